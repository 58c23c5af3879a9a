"""Segments of the utterances of a study, decoded once for all detectors."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from sslig import records
from sslig.cues import ctc, phones, segments, vad, voice
from sslig.files import write_json, write_parquet, write_tsv
from sslig.study import Study

TOOLS = ("silero-vad", "pocketsphinx", "praat-parselmouth", "transformers")


def decoded(
    experiment: Study,
    folder: str,
    set_name: str,
    utterances: pd.DataFrame,
    sources: Sequence[str],
    workers: int,
) -> pd.DataFrame:
    """The table of `sslig.cues.segments.decode` for utterances of a set, in ``<folder>/<set>.parquet`` below the runs.

    ``<set>.json`` beside it says what decoded it, and ``left_out_<set>.tsv`` which files could not be read.
    """
    place = experiment.runs / folder
    path, record = place / f"{set_name}.parquet", place / f"{set_name}.json"
    contents = records.contents(experiment, set_name)
    key = records.hash_of(utterances["utterance"].tolist(), list(sources), contents, _decoders())
    if records.stored_key(record) == key:
        return pd.read_parquet(path)
    record.unlink(missing_ok=True)
    found = segments.decode(utterances, sources, workers)
    write_parquet(path, found.table)
    write_tsv(place / f"left_out_{set_name}.tsv", found.left_out)
    write_json(record, {"key": key, "sources": found.sources})
    return found.table


def _decoders() -> list[str]:
    """What decides segments besides sources and recordings: the modules that decode, and the tools they call."""
    modules = [records.hash_of_file(Path(module.__file__)) for module in (vad, voice, phones, ctc, segments)]
    return modules + [version(tool) for tool in TOOLS]
