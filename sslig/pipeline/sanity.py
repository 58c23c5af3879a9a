"""Sanity: whether attribution methods know the parameters of a detector, and hold still where they should."""

from pathlib import Path

from sslig.files import write_parquet
from sslig.pipeline.faithfulness import tested
from sslig.study import Study
from sslig.validation.presented import sanity_rows

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

    The table is that of `sslig.pipeline.faithfulness.faithfulness`, with the statistics of
    `sslig.validation.presented.sanity_rows`.
    """
    inputs = {"detector": detector, "corpus": corpus, "baseline": baseline, "nonspeech": nonspeech}
    n = min(UTTERANCES, study.validation.utterances)
    table, unread = tested(study, seed, n, METHODS, sanity_rows, **inputs, scores_dev=scores_dev)
    write_parquet(sanity, table.assign(detector=name, seed=seed))
    write_parquet(left_out, unread)
