"""Faithfulness: whether the score of a detector follows the map of each attribution method."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from sslig.attribution import context
from sslig.attribution.methods import Method
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.files import write_parquet
from sslig.models import named
from sslig.study import Study
from sslig.validation.presented import Presented, faithfulness_rows, measure
from sslig.validation.statistics import Rows


def faithfulness(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    faithfulness: Path,
    left_out: Path,
) -> None:
    """Measure how faithful each method is to the score of one detector, on utterances of *eval*.

    A row of the table is an utterance, method and statistic, with the columns of `sslig.validation.presented.measure`
    and `sslig.validation.faithfulness.rows`, ``detector`` and ``seed``. The EER threshold of `scores_dev` says which
    decision is explained.
    """
    inputs = {"detector": detector, "corpus": corpus, "baseline": baseline, "nonspeech": nonspeech}
    n, methods = study.validation.utterances, study.validation.methods
    table, unread = tested(study, seed, n, methods, faithfulness_rows, **inputs, scores_dev=scores_dev)
    write_parquet(faithfulness, table.assign(detector=name, seed=seed))
    write_parquet(left_out, unread)


def tested(
    study: Study,
    seed: int,
    n: int,
    methods: Sequence[str] | None,
    rows_of: Callable[[Presented, Method], Rows],
    *,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows and left-out utterances of `measure` for `n` utterances of *eval*, drawn evenly."""
    utterances = stratified(protocol.load_set(corpus, "eval"), n, study.corpus.seed)
    utterances, model = protocol.with_recordings(corpus, utterances), named.load(detector)
    prepared = context.load(study, seed, model, corpus, baseline, nonspeech, scores_dev)
    return measure(study, model, prepared, utterances, prepared.threshold, methods, rows_of)
