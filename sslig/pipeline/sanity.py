"""Sanity: whether attribution methods know the parameters of a detector, and hold still where they should."""

from pathlib import Path

import pandas as pd

from sslig.attribution import context
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.files import write_parquet
from sslig.models.detector import Detector
from sslig.study import Study
from sslig.validation.presented import dev_threshold, measure, sanity_rows

METHODS = ("ig", "gradient_x_input", "occlusion", "random")
"""Methods that are checked: cheap ones, and the one that knows nothing, which has to fail."""

UTTERANCES = 8
"""Utterances at most; each costs some twenty explanations a method."""


def sanity(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    sanity: Path,
    left_out: Path,
) -> None:
    """Check `METHODS` on the first utterances of the rule *faithfulness*.

    Parameters and tables are those of `sslig.pipeline.faithfulness.faithfulness`, with the statistics of
    `sslig.validation.presented.sanity_rows`.
    """
    n = min(UTTERANCES, study.validation.utterances)
    utterances = stratified(protocol.load_set(corpus, "eval"), n, study.corpus.seed)
    utterances = protocol.with_recordings(corpus, utterances)
    model = Detector.from_pretrained(detector)
    prepared = context.load(study, seed, model, corpus, baseline, nonspeech)
    threshold = dev_threshold(pd.read_parquet(scores_dev))
    table, unread = measure(study, model, prepared, utterances, threshold, METHODS, sanity_rows)
    write_parquet(sanity, table.assign(detector=name, seed=seed))
    write_parquet(left_out, unread)
