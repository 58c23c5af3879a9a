"""Annotations as labelled stretches for Praat and Audacity, a file an utterance or more, in a folder.

A label reads ``glitch 4 audible: a click`` (cue, locality, audible or not, comment), with ``?`` for no cue. These
forms hold what has a place in a recording: a region that nobody marked is left out, as is one with less than 0.1 ms
within the recording; white space in comments becomes single spaces, what was drawn before 0 s or past the end of the
recording ends there, and Audacity keeps microseconds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sslig.annotation.imported import Imported, InterchangeError, gathered, joined, one_annotator
from sslig.annotation.table import marked
from sslig.annotation.vocabulary import CUES
from sslig.cues.tiers import (
    SHORTEST_WRITTEN_S,
    Tier,
    TierError,
    read_audacity,
    read_textgrid,
    write_audacity,
    write_textgrid,
)

NO_CUE = "?"
HEARD = {"audible": True, "inaudible": False}
LABEL = re.compile(rf"({'|'.join(CUES)}|\?)( [1-5])?( audible| inaudible)?(?:: (.+))?")
SAID = "cue, then a locality from 1 to 5, audible or inaudible, and after ': ' a comment: 'glitch 4 audible: a click'"

WHOLE = ("general", "similarity")
"""Tiers of a TextGrid for what is said of the utterance as a whole."""

REPEAT, DECOY = " repeat", " decoy"
"""Marks of file names and of tiers."""

SOURCE: Mapping[str, str] = {"tool": "annotation"}
LONGEST_S = 86_400.0


def write_textgrids(folder: Path, table: pd.DataFrame, duration_s: Mapping[str, float] | None = None) -> list[Path]:
    """Write a TextGrid for each utterance of one annotator: a tier a detector, so that regions may overlap.

    Parameters
    ----------
    folder
        Where the files go, under the names of the utterances; a repeat has " repeat" in its name.
    table
        Annotations of one annotator.
    duration_s
        Length of each recording in seconds; without it a grid ends where the last region does.

    Raises
    ------
    InterchangeError
        There are several annotators, or a name cannot be that of a file.
    """
    paths = []
    for path, part, end_s in _files(folder, table, duration_s, ".TextGrid"):
        tiers = [_tier(f"{row['detector']}{DECOY * row['decoy']}", row, end_s) for row in part.to_dict("records")]
        whole = part.iloc[0]
        tiers += [
            Tier(name, [0.0], [end_s], (" ".join(whole[name].split()),), end_s, SOURCE)
            for name in WHOLE if whole[name].split()
        ]  # fmt: skip
        write_textgrid(path, tiers)
        paths.append(path)
    return paths


def read_textgrids(paths: Iterable[Path], annotator: str) -> Imported:
    """The regions of TextGrids as `write_textgrids` writes them, or as drawn in Praat: a tier a detector.

    A grid that cannot be read is a fault; the others are read.
    """
    return joined(gathered(path, _of_grid(path, annotator)) for path in map(Path, paths))


def write_audacities(folder: Path, table: pd.DataFrame, duration_s: Mapping[str, float] | None = None) -> list[Path]:
    """Write a label track for each utterance and detector of one annotator: ``<utterance>.<detector>.txt``.

    Parameters and errors are those of `write_textgrids`; what is said of whole utterances has no place in them.
    """
    paths = []
    for path, part, end_s in _files(folder, table, duration_s, ".txt"):
        for row in part.to_dict("records"):
            name = f"{row['detector']}{DECOY * row['decoy']}"
            paths.append(path.with_name(f"{path.stem}.{_file_name(name)}.txt"))
            write_audacity(paths[-1], _tier(name, row, end_s))
    return paths


def read_audacities(paths: Iterable[Path], annotator: str) -> Imported:
    """The regions of label tracks named ``<utterance>.<detector>.txt``; what cannot be read is a fault."""
    return joined(gathered(path, _of_track(path, annotator)) for path in map(Path, paths))


def _files(
    folder: Path, table: pd.DataFrame, duration_s: Mapping[str, float] | None, ending: str
) -> Iterator[tuple[Path, pd.DataFrame, float]]:  # fmt: skip
    one_annotator(folder, table)
    for (utterance, repeat), part in marked(table).groupby(["utterance", "repeat"], sort=False):
        path = folder / f"{_file_name(utterance)}{REPEAT * repeat}{ending}"
        last_s = float((duration_s or {}).get(utterance, part["end_s"].max()))
        within = part.assign(start_s=part["start_s"].clip(lower=0), end_s=part["end_s"].clip(upper=last_s))
        within = within[within["end_s"] - within["start_s"] >= SHORTEST_WRITTEN_S]
        if len(within):
            yield path, within, last_s


def _file_name(name: str) -> str:
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise InterchangeError(f"{name!r} cannot name a file; a plain name is needed")
    return name


def _tier(name: str, row: Mapping[str, Any], end_s: float) -> Tier:
    return Tier(name, [row["start_s"]], [row["end_s"]], (_label(row),), end_s, SOURCE)


def _label(row: Mapping[str, Any]) -> str:
    words = [NO_CUE if pd.isna(row["cue"]) else row["cue"]]
    words += [] if pd.isna(row["locality"]) else [str(row["locality"])]
    words += [] if pd.isna(row["audible"]) else ["audible" if row["audible"] else "inaudible"]
    comment = " ".join(row["comment"].split())
    return " ".join(words) + (f": {comment}" if comment else "")


def _of_grid(path: Path, annotator: str) -> Iterator[tuple[int, str, list[dict[str, Any]] | str]]:
    utterance = path.name.removesuffix(".TextGrid")
    try:
        tiers = read_textgrid(path)
    except TierError as error:
        yield 0, utterance, str(error)
        return
    about = _about(utterance, annotator)
    whole = {tier.name: tier.labels[0] for tier in tiers if tier.name in WHOLE and len(tier)}
    regions = [tier for tier in tiers if tier.name not in WHOLE]
    for number, tier in enumerate(regions, start=1):
        yield number, utterance, _of_tier(tier, about | whole)


def _of_track(path: Path, annotator: str) -> Iterator[tuple[int, str, list[dict[str, Any]] | str]]:
    utterance, _, detector = path.name.removesuffix(".txt").rpartition(".")
    if not utterance:
        yield 0, "", "a name without an utterance; <utterance>.<detector>.txt is needed"
        return
    try:
        tier = read_audacity(path, detector, LONGEST_S)
    except TierError as error:
        yield 0, utterance, str(error)
        return
    yield 1, utterance, _of_tier(tier, _about(utterance, annotator))


def _about(utterance: str, annotator: str) -> dict[str, Any]:
    repeat = utterance.endswith(REPEAT)
    return {"annotator": annotator, "utterance": utterance.removesuffix(REPEAT), "repeat": repeat}


def _of_tier(tier: Tier, about: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    if len(tier) != 1:
        return f"tier {tier.name!r} has {len(tier)} regions; one is accepted"
    match = LABEL.fullmatch(tier.labels[0])
    if match is None:
        return f"tier {tier.name!r}: label {tier.labels[0]!r}; accepted: {SAID}; cues: {', '.join(CUES)}"
    cue, locality, heard, comment = match.groups()
    return [{
        **about, "detector": tier.name.removesuffix(DECOY), "decoy": tier.name.endswith(DECOY),
        "start_s": float(tier.start_s[0]), "end_s": float(tier.end_s[0]), "cue": None if cue == NO_CUE else cue,
        "locality": int(locality) if locality else None, "audible": HEARD[heard.strip()] if heard else None,
        "comment": comment or "",
    }]  # fmt: skip
