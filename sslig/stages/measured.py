"""Artefact measures of the utterances of *eval*, and the voice activity they rest on."""

from pathlib import Path

import pandas as pd

from sslig.corpora import protocol
from sslig.cues import artefact_table, segments
from sslig.cues.artefacts import ArtefactError
from sslig.cues.tiers import Tier
from sslig.cues.vad import SPEECH
from sslig.files import write_tsv
from sslig.corpora.sample import stratified
from sslig.stages.attributed import EXPLAINED_SET
from sslig.stages.decoded import decoded
from sslig.stages.trained import corpus
from sslig.study import Study

SOURCES = ("vad",)
FOLDER = "artefacts"
"""Below the runs of a study."""


def measured_utterances(experiment: Study) -> pd.DataFrame:
    """The utterances of *eval* that are measured: all, or the first of the draw that the explained are the first of."""
    utterances = protocol.load_set(corpus(experiment), EXPLAINED_SET)
    n = experiment.artefacts.utterances
    return utterances if n is None else stratified(utterances, n, experiment.corpus.seed)


def measures(experiment: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The artefact measures of the `measured_utterances`, and those that could not be measured.

    Below the runs of the study, ``artefacts/eval.parquet`` holds their voice activity by Silero, made once for the
    same utterances of the same corpus. ``artefacts/measures.parquet`` holds what was measured: each row knows the file,
    voice activity and definitions that it is of and is made again where they changed, so more utterances cost only
    themselves. ``artefacts/left_out.tsv`` names the others.

    Returns
    -------
    measures, left_out
        As of `sslig.cues.artefact_table.table`.

    Raises
    ------
    ArtefactError
        None could be read or measured; the message says why the first one could not.
    """
    folder, utterances = _folder(experiment), measured_utterances(experiment)
    speech, unread = _speech(experiment, utterances)
    readable = utterances[~utterances["utterance"].isin(unread["utterance"])]
    if readable.empty:
        raise ArtefactError(f"none of {len(utterances)} utterances could be read, first {unread.iloc[0].to_dict()}")
    options = experiment.artefacts
    found, faulty = artefact_table.table(readable, options.workers, options.f0, speech, folder / "measures.parquet")
    left_out = pd.concat([unread, faulty], ignore_index=True)
    write_tsv(folder / "left_out.tsv", left_out)
    return found, left_out


def _speech(experiment: Study, utterances: pd.DataFrame) -> tuple[dict[str, Tier], pd.DataFrame]:
    """Utterance -> its voice activity, and those that could not be read."""
    table = decoded(experiment, FOLDER, EXPLAINED_SET, utterances, SOURCES, experiment.artefacts.workers)
    parts = table.groupby("utterance")
    unread = pd.read_csv(_folder(experiment) / f"left_out_{EXPLAINED_SET}.tsv", sep="\t", dtype=str)
    return {name: segments.tiers_of(part, name)[SPEECH] for name, part in parts}, unread


def _folder(experiment: Study) -> Path:
    return experiment.runs / FOLDER
