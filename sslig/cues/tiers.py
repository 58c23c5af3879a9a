"""Labelled stretches of one recording: as masks on the frame clock, as Praat TextGrids, as Audacity labels."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sslig.errors import InputError
from sslig.files import atomic, write_text
from sslig.frames import FrameClock

TOLERANCE_S = 1e-5
"""Rounding that is forgiven where stretches touch and at the end of a recording; label files hold six decimals."""

SHORTEST_WRITTEN_S = 1e-4
"""Times of a TextGrid below this are written as 0: praatio does not read the exponents of smaller ones."""


@dataclass(frozen=True, eq=False)
class Tier:
    """Labelled stretches of one recording, in order and without overlap; what lies between them has no label.

    `source` says what the (stretch,) times and labels come from: tool, version, model, parameters.

    Raises
    ------
    InputError
        The stretches do not fit together, overlap, are empty or leave the recording, or a label is not words with
        single spaces between them.
    """

    name: str
    start_s: np.ndarray
    end_s: np.ndarray
    labels: tuple[str, ...]
    duration_s: float
    source: Mapping[str, str | float]

    def __post_init__(self) -> None:
        for field in ("start_s", "end_s"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), dtype=np.float64))
        shapes = {self.start_s.shape, self.end_s.shape, (len(self.labels),)}
        if len(shapes) > 1 or not 0 <= self.duration_s < np.inf:
            raise InputError(
                f"tier {self.name!r}: {self.start_s.shape} starts, {self.end_s.shape} ends and {len(self.labels)} "
                f"labels of {self.duration_s} s; one of each per stretch, and a duration of 0 or more (not negative)"
            )
        rows = list(zip(self.start_s.tolist(), self.end_s.tolist(), self.labels, strict=True))
        for number, (start_s, end_s, label) in enumerate(rows, start=1):
            where = f"tier {self.name!r}, stretch {number} ({start_s} to {end_s} s, {label!r})"
            if not 0 <= start_s < end_s <= self.duration_s + TOLERANCE_S:
                raise InputError(
                    f"{where}: it must begin at 0 or later, before its end, and end by {self.duration_s} s"
                )
            if not label or label != " ".join(label.split()):
                raise InputError(f"{where}: a label is words with single spaces between them, and not empty")
        for number, (before, after) in enumerate(pairwise(rows), start=2):
            if before[1] > after[0]:
                raise InputError(f"tier {self.name!r}: stretch {number} {after} begins before {before} ends")

    def __len__(self) -> int:
        return len(self.labels)

    def mask(self, clock: FrameClock, n_frames: int, labels: Collection[str] | None = None) -> np.ndarray:
        """(frame,) bool: the frame's centre lies in a stretch with one of the `labels`, or with any."""
        if not len(self):
            return np.zeros(n_frames, dtype=bool)
        centre_s = clock.centre_s(n_frames)
        stretch = np.searchsorted(self.start_s, centre_s, side="right") - 1  # (frame,), -1 before the first one
        return (stretch >= 0) & (centre_s < self.end_s[stretch]) & self.has(labels)[stretch]

    def has(self, labels: Collection[str] | None) -> np.ndarray:
        """(stretch,) bool: the stretch has one of the `labels`, or any."""
        return np.array([labels is None or label in labels for label in self.labels], dtype=bool)

    def changes_s(self, labels: Collection[str] | None = None) -> np.ndarray:
        """(change,) Times inside the recording at which stretches begin or end.

        With `labels`, stretches with one of them are one state and everything else is the other, so a boundary
        between two such stretches that touch is no change.
        """
        chosen = self.has(labels)
        start_s, end_s = self.start_s[chosen], self.end_s[chosen]
        times_s = np.union1d(start_s, end_s) if labels is None else np.setxor1d(start_s, end_s)
        return times_s[(times_s > TOLERANCE_S) & (times_s < self.duration_s - TOLERANCE_S)]


def runs(mask: ArrayLike) -> np.ndarray:
    """(run, 2) First frame, and one past the last, of each run of True in a (frame,) mask."""
    padded = np.concatenate([[False], np.asarray(mask, dtype=bool), [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def coverage(mask: np.ndarray, clock: FrameClock) -> dict[str, float | int]:
    """Measure how much of a (frame,) bool mask is True, in how many runs of what length; 0 where nothing is."""
    run_s = np.diff(runs(mask), axis=1).ravel() * clock.hop_s
    return {
        "n_frames": len(mask),
        "n_masked": int(mask.sum()),
        "share": float(mask.mean()) if len(mask) else 0.0,
        "n_runs": len(run_s),
        "mean_run_s": float(run_s.mean()) if len(run_s) else 0.0,
        "longest_run_s": float(run_s.max(initial=0.0)),
    }


def near(times_s: np.ndarray, clock: FrameClock, n_frames: int, width_ms: float) -> np.ndarray:
    """(frame,) bool: the frame's centre is within half of `width_ms` of one of the sorted (time,) `times_s`."""
    half_s = width_ms / 2000 + 1e-9  # so that rounding does not decide
    centre_s = clock.centre_s(n_frames)
    return np.searchsorted(times_s, centre_s - half_s) < np.searchsorted(times_s, centre_s + half_s, side="right")


def write_textgrid(path: str | os.PathLike, tiers: Sequence[Tier]) -> None:
    """Write the tiers of one recording as a Praat TextGrid, which has no place for their `source`.

    An InputError refuses no tiers, two of the same name, of different durations, or a stretch that ends within 0.1 ms.
    """
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    names, durations_s = [tier.name for tier in tiers], {float(tier.duration_s) for tier in tiers}
    if len(durations_s) != 1 or len(set(names)) < len(names):
        raise InputError(
            f"{path}: tiers {names} of recordings of {sorted(durations_s)} s; a TextGrid needs tiers with different "
            "names, all of one recording"
        )
    grid = textgrid.Textgrid(0, durations_s.pop())
    try:
        for tier in tiers:
            entries = textgrid.IntervalTier(tier.name, _entries(tier), 0, float(tier.duration_s))
            grid.addTier(entries, reportingMode="error")
        with atomic(path) as part:
            grid.save(str(part), format="long_textgrid", includeBlankSpaces=True, reportingMode="error")
    except PraatioException as error:
        raise InputError(f"{path}: praatio refuses the tiers ({error})") from error


def read_textgrid(path: str | os.PathLike) -> list[Tier]:
    """Read the interval tiers of a Praat TextGrid in their order; stretches without text are gaps.

    An InputError says that the file is missing or no TextGrid, does not start at 0 s, or has a faulty tier.
    """
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")
    except (PraatioException, OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a TextGrid that praatio reads ({type(error).__name__}: {error})") from error
    if grid.minTimestamp != 0:
        raise InputError(f"{path}: starts at {grid.minTimestamp} s; a TextGrid of a whole recording starts at 0")
    intervals = [tier for tier in grid.tiers if isinstance(tier, textgrid.IntervalTier)]
    return [_read(path, "TextGrid", tier.name, list(tier.entries), grid.maxTimestamp) for tier in intervals]


def write_audacity(path: str | os.PathLike, tier: Tier) -> None:
    """Write a tier as an Audacity label track: start, end and label, separated by tabs."""
    rows = zip(tier.start_s, tier.end_s, tier.labels, strict=True)
    write_text(path, "".join(f"{start_s:.6f}\t{end_s:.6f}\t{label}\n" for start_s, end_s, label in rows))


def read_audacity(path: str | os.PathLike, name: str, duration_s: float) -> Tier:
    r"""Read an Audacity label track as the tier `name`; lines of frequencies (they begin with ``\``) are skipped.

    An InputError says that the file is missing, a line is no label, or the stretches are faulty.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a text in UTF-8 that can be read ({error})") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and line[0] != "\\"]
    rows = [_label(path, number, line) for number, line in numbered]
    return _read(path, "Audacity labels", name, sorted(rows), duration_s)


def _entries(tier: Tier) -> list[tuple[float, float, str]]:
    # Plain floats: praatio writes the repr of a number, which names the type of numpy's.
    start_s, end_s = (np.where(times < SHORTEST_WRITTEN_S, 0, times).tolist() for times in (tier.start_s, tier.end_s))
    return list(zip(start_s, end_s, tier.labels, strict=True))


def _label(path: str | os.PathLike, number: int, line: str) -> tuple[float, float, str]:
    try:
        start_s, end_s, label = line.split("\t", maxsplit=2)
        # Audacity writes the decimal mark of the system's language.
        return float(start_s.replace(",", ".")), float(end_s.replace(",", ".")), label
    except ValueError as error:
        raise InputError(
            f"{path}, line {number}: {line!r} is no label; start, end (s) and text, separated by tabs, are needed"
        ) from error


def _read(path: str | os.PathLike, tool: str, name: str, rows: Sequence[Sequence[Any]], duration_s: float) -> Tier:
    start_s, end_s = np.array([row[:2] for row in rows], dtype=np.float64).reshape(-1, 2).T
    touching = np.abs(start_s[1:] - end_s[:-1]) <= TOLERANCE_S
    start_s[1:][touching] = end_s[:-1][touching]
    labels = tuple(" ".join(row[2].split()) for row in rows)
    try:
        return Tier(name, start_s, end_s, labels, duration_s, {"tool": tool, "file": Path(path).name})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
