"""The annotations of a study: where they are kept, and what is known of their utterances."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from sslig import audio
from sslig.corpora import protocol
from sslig.frames import SAMPLE_RATE_HZ
from sslig.study import Study

ANNOTATED_SET = "eval"


def store_path(experiment: Study) -> Path:
    """The file that every change of every annotator is appended to."""
    return experiment.runs / experiment.annotation.store


def utterances(experiment: Study, names: Iterable[str]) -> pd.DataFrame:
    """Rows of the protocol with ``path``, ``recording`` and ``duration_s``, of those names that the corpus has."""
    table = protocol.load_set(experiment.corpus_root, ANNOTATED_SET)
    table = table[table["utterance"].isin(set(names))].reset_index(drop=True)
    table = protocol.with_recordings(experiment.corpus_root, table)
    return table.assign(duration_s=[audio.n_samples(path) / SAMPLE_RATE_HZ for path in table["path"]])
