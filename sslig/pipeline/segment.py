"""Segments of utterances, decoded once for all detectors."""

from pathlib import Path

import pandas as pd

from sslig.corpora import protocol
from sslig.corpora.protocol import draw, stratified
from sslig.cues.segments import decode
from sslig.errors import InputError
from sslig.files import write_json, write_parquet
from sslig.labels import KEYS
from sslig.study import Study

WHICH = ("eval", "train", "profile")
"""The masked utterances of *eval*, the bona fide utterances of *train* whose non-speech is averaged, and the utterances
of the cue profile."""


def segment(study: Study, *, corpus: Path, which: str, segments: Path, left_out: Path, sources: Path) -> None:
    """Decode the segments of one of `WHICH`: *train* has voice activity only, *profile* voice activity and phones.

    `segments` is the table of `sslig.cues.segments.decode`; `sources` is a JSON list with the tool, version, model and
    parameters of each source of a tier, and the number of utterances. Transcripts and languages come from the corpus's
    table of recordings, where it has them.

    Raises
    ------
    InputError
        `which` or a source is unknown.
    """
    utterances = chosen(study, corpus, which)
    names = {
        "eval": study.masking.segments,
        "train": ["vad"],
        "profile": [name for name in study.masking.segments if name == "vad" or name.split(":")[1:2] == ["phones"]],
    }[which]
    decoded = decode(_spoken(corpus, utterances), names, study.masking.workers)
    write_parquet(segments, decoded.table)
    write_parquet(left_out, decoded.left_out)
    write_json(sources, decoded.sources)


def chosen(study: Study, corpus: Path, which: str) -> pd.DataFrame:
    """The utterances of one of `WHICH`."""
    if which not in WHICH:
        raise InputError(f"which={which}; accepted: {', '.join(WHICH)}")
    if which == "train":
        train = protocol.load_set(corpus, study.corpus.reference)
        bonafide = train[train["label"] == KEYS["bonafide"]]
        return draw(bonafide, study.masking.nonspeech_utterances, study.corpus.seed)
    utterances = protocol.load_set(corpus, "eval")
    n = study.masking.utterances if which == "eval" else study.validation.profile_utterances
    return utterances if n is None else stratified(utterances, n, study.corpus.seed)


def _spoken(corpus: Path, utterances: pd.DataFrame) -> pd.DataFrame:
    """The utterances with their ``transcript`` and ``language``, where the corpus knows them."""
    path = corpus / protocol.RECORDINGS
    if not path.is_file():
        return utterances
    recordings = pd.read_csv(path, sep="\t", dtype=str).reindex(columns=["utterance", "transcript", "language"])
    fresh = utterances.drop(columns=["transcript", "language"], errors="ignore")
    return fresh.merge(recordings, on="utterance", how="left", validate="one_to_one")
