"""Faithfulness: whether the score of a detector follows the map of each attribution method."""

from pathlib import Path

import pandas as pd

from sslig.attribution import context
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.files import write_parquet
from sslig.models.detector import Detector
from sslig.study import Study
from sslig.validation.presented import dev_threshold, faithfulness_rows, measure


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
    and `sslig.validation.faithfulness.rows`, ``detector`` and ``seed``.

    Parameters
    ----------
    name, seed
        The detector and its training seed.
    detector, corpus
        Folders of the trained detector and of the corpus.
    baseline, nonspeech
        Mean features of bona fide frames, and of those without speech.
    scores_dev
        Scores of *dev*, whose EER threshold tells which decision is explained.
    faithfulness, left_out
        The tables to write.
    """
    utterances = stratified(protocol.load_set(corpus, "eval"), study.validation.utterances, study.corpus.seed)
    utterances = protocol.with_recordings(corpus, utterances)
    model = Detector.from_pretrained(detector)
    prepared = context.load(study, seed, model, corpus, baseline, nonspeech)
    threshold, methods = dev_threshold(pd.read_parquet(scores_dev)), study.validation.methods
    table, unread = measure(study, model, prepared, utterances, threshold, methods, faithfulness_rows)
    write_parquet(faithfulness, table.assign(detector=name, seed=seed))
    write_parquet(left_out, unread)
