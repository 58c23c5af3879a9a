"""Runs made with other values: they stand aside under their keys, and the one that is wanted again comes back."""

import json
from itertools import chain, count
from pathlib import Path

RECORD = "training.json"
WORK, STARTED = "lightning", "started.json"
UNKNOWN = "unknown"


def finished(run: Path, key: str) -> bool:
    """Whether the folder `run` holds a finished run of `key`."""
    return (run / RECORD).is_file() and key_of(run) == key


def key_of(run: Path) -> str | None:
    """The key that the run in a folder was finished with, or else started with; none where nothing says so."""
    for file in (run / RECORD, run / WORK / STARTED):
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))["key"]
    return None


def take_up(run: Path, key: str) -> None:
    """Leave in the folder `run` what belongs to `key`: what is there, what was set aside, or nothing.

    What belongs to another key, finished or not, moves to ``<run>.<its key>``, to ``<run>.<its key>.2`` ... where that
    is taken, with all that was made from it. Nothing is removed.
    """
    if run.is_dir():
        if not any(run.iterdir()):
            run.rmdir()
        elif (found := key_of(run)) != key:
            run.rename(_free(run, found or UNKNOWN))
    if not run.exists() and (held := _held(run, key)):
        held.rename(run)


def _free(run: Path, key: str) -> Path:
    names = chain([f"{run.name}.{key}"], (f"{run.name}.{key}.{number}" for number in count(2)))
    return next(place for name in names if not (place := run.with_name(name)).exists())


def _held(run: Path, key: str) -> Path | None:
    """The folder of `key` among those set aside, a finished one before others; none where there is none."""
    beside = sorted(run.parent.iterdir()) if run.parent.is_dir() else []
    held = [folder for folder in beside if folder.name.startswith(f"{run.name}.{key}") and key_of(folder) == key]
    return min(held, key=lambda folder: not finished(folder, key), default=None)
