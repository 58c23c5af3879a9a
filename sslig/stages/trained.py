"""The first steps of a study: its corpus, and its detectors trained."""

from pathlib import Path

import pandas as pd

from sslig import records, training
from sslig.corpora import building, corpora, planted, protocol
from sslig.study import Study

READY_MADE = "asvspoof5"


def corpus(experiment: Study, workers: int = 2) -> Path:
    """The folder of the corpus, built from its source unless it lies there ready-made or finished.

    That of a study of planted cues was built when the study was derived (`sslig.stages.planted`).
    """
    root, values = experiment.corpus_root, experiment.corpus
    if values.source.startswith(planted.SOURCE):
        if not (root / building.SUMMARY).is_file():
            raise building.CorpusError(f"{root}: no {building.SUMMARY}; sslig.stages.planted builds this corpus")
        return root
    if values.source == READY_MADE:
        for name in protocol.SETS:
            if not (root / protocol.SETS[name][0]).is_file():
                raise protocol.ProtocolError(f"{root}: no {protocol.SETS[name][0]}; set corpus.root in "
                                             f"{experiment.path} to the folder of ASVspoof 5")  # fmt: skip
        return root
    corpora.ensure(values.source, root, values.seed, values.recordings, workers)
    return root


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
