"""The first steps of a study: its corpus, and its detectors trained."""

from pathlib import Path

import pandas as pd

from sslig import records, training
from sslig.pipeline.corpus import corpus as build_corpus
from sslig.study import READY_MADE, Study  # noqa: F401


def corpus(experiment: Study, workers: int = 2) -> Path:
    """The folder of the corpus, which the rule ``corpus`` makes."""
    build_corpus(experiment, workers=workers)
    return experiment.corpus_root


def epochs(experiment: Study, detector: str, seed: int) -> pd.DataFrame:
    """The table of epochs of a trained detector, whose folder then holds ``checkpoint/`` and ``last/``.

    Where another study is the start of this one, its detector is trained first.
    """
    corpus(experiment)
    if experiment.start is not None:
        epochs(experiment.start, detector, seed)
    run, key = experiment.run(detector, seed), training.key(experiment, detector, seed)
    if records.stored_key(run / training.RECORD) != key:
        training.train(experiment, detector, seed, key)
    return pd.read_csv(run / training.EPOCHS, sep="\t")


def checkpoint(experiment: Study, detector: str, seed: int) -> Path:
    """The folder of the trained detector."""
    epochs(experiment, detector, seed)
    return training.checkpoint(experiment, detector, seed)
