"""The stretches of time that hold most of an explanation, and what is said in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d

from sslig.cues import phones
from sslig.cues.tiers import Tier, runs
from sslig.cues.vad import NON_SPEECH, SPEECH
from sslig.frames import FrameClock

N_REGIONS = 5
SMOOTH_FRAMES = 3
LEVEL = 0.5
GAP_FRAMES = 2

ROUNDING = 1e-9
"""Means that differ by no more than this share of themselves are equal."""

UNKNOWN = "unknown"
"""Class of a frame of which nothing is known."""

COLUMNS = ("rank", "start_s", "end_s", "duration_s", "share", "sign", "segment_class")


class RegionError(ValueError):
    """Frames or values that regions cannot be found with; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Region:
    """A stretch of frames with evidence of one direction.

    Attributes
    ----------
    start, stop
        First frame, and the one past the last.
    share
        Of the absolute evidence of all frames. Frames that a head does not read have none, so it is the share of those
        that it reads.
    sign
        1 for evidence of spoof, -1 for evidence of bona fide.
    """

    start: int
    stop: int
    share: float
    sign: int


def top_regions(
    frames: np.ndarray,
    *,
    n: int | None = N_REGIONS,
    smooth_frames: int = SMOOTH_FRAMES,
    level: float = LEVEL,
    gap_frames: int = GAP_FRAMES,
) -> list[Region]:
    """The regions that hold the most evidence, strongest first.

    Evidence is averaged over `smooth_frames`, sign and all. The largest of these means, as few as together hold the
    share `level` of their absolute sum, are what regions are made of (and whatever equals the smallest of them): a map
    of a few spikes gives a few frames, a flat one gives all. Runs of one sign with at most `gap_frames` between them
    and none of the other sign are one region. Nothing is drawn; regions of equal share come in the order of time.

    Parameters
    ----------
    frames
        (frame,) Attribution, positive is evidence for spoof.
    n
        Regions at most; none: all.
    smooth_frames
        Odd; 1 leaves the evidence as it is.
    level
        Above 0, at most 1.
    gap_frames
        Not negative.

    Returns
    -------
    list of Region
        Empty only where all frames are 0.

    Raises
    ------
    RegionError
        The frames are not one axis of finite numbers, or a value is out of range.
    """
    frames = _checked(frames, n, smooth_frames, level, gap_frames)
    size = np.abs(frames).sum()
    if size == 0:
        return []
    smooth = uniform_filter1d(frames, smooth_frames, mode="nearest")
    rounding = np.finfo(np.float64).eps * np.abs(frames).max() * smooth_frames
    if not (np.abs(smooth) > rounding).any():  # evidence of both signs in turns has no mean
        smooth = frames
    chosen = np.sign(smooth) * (np.abs(smooth) >= _threshold(np.abs(smooth), level))  # (frame,) -1, 0 or 1
    found = []
    for start, stop, sign in _merged(chosen, gap_frames):
        found.append(Region(start, stop, float(np.abs(frames[start:stop]).sum() / size), sign))
    found.sort(key=lambda region: (-region.share, region.start))
    return found[:n]


def described(regions: Sequence[Region], clock: FrameClock, tiers: Mapping[str, Tier] | None) -> pd.DataFrame:
    """When regions are and what is said in them.

    Parameters
    ----------
    regions
        As of `top_regions`.
    clock
        The frame grid: a frame lasts one hop around its centre.
    tiers
        Tiers by name, as of `frame_classes`; none where the utterance was not decoded.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a region in the order given; ``rank`` counts from 1. ``segment_class`` is that of most frames,
        of the earlier where two are equal.
    """
    first_s = clock.centre_s(1)[0] - clock.hop_s / 2
    rows = []
    for rank, region in enumerate(regions, start=1):
        start_s, end_s = (float(first_s + frame * clock.hop_s) for frame in (region.start, region.stop))
        classes = frame_classes(tiers, clock, region.stop)[region.start :].tolist()
        most = max(dict.fromkeys(classes), key=classes.count)
        rows.append((rank, start_s, end_s, end_s - start_s, region.share, region.sign, most))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def frame_classes(tiers: Mapping[str, Tier] | None, clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) Class of each frame.

    It is ``leading``, ``pause`` or ``trailing`` where the tier ``speech`` says so, else the class of the phone
    (`sslig.cues.phones.CLASSES`) of the tier ``phones``, else ``speech``, else ``unknown``.
    """
    classes = np.full(n_frames, UNKNOWN, dtype=object)
    tiers = tiers or {}
    if "speech" in tiers:
        classes[tiers["speech"].mask(clock, n_frames, (SPEECH,))] = SPEECH
    if "phones" in tiers:
        for label in sorted(set(tiers["phones"].labels)):
            classes[tiers["phones"].mask(clock, n_frames, (label,))] = phones.known_class(label) or UNKNOWN
    if "speech" in tiers:
        for label in NON_SPEECH:
            classes[tiers["speech"].mask(clock, n_frames, (label,))] = label
    return classes


def _threshold(size: np.ndarray, level: float) -> float:
    """The smallest of the fewest (frame,) sizes that hold the share `level` of their sum; never 0."""
    largest = np.sort(size[size > 0])[::-1]
    held = np.cumsum(largest)
    return float(largest[np.searchsorted(held, level * held[-1] * (1 - ROUNDING))]) * (1 - ROUNDING)


def _merged(chosen: np.ndarray, gap_frames: int) -> list[tuple[int, int, int]]:
    """Start, stop and sign of the runs in (frame,) signs, in order, those that a short gap of zeros parts as one."""
    found = [(start, stop, sign) for sign in (-1, 1) for start, stop in runs(chosen == sign).tolist()]
    merged: list[tuple[int, int, int]] = []
    for start, stop, sign in sorted(found):
        if merged and merged[-1][2] == sign and start - merged[-1][1] <= gap_frames:
            start = merged.pop()[0]
        merged.append((start, stop, sign))
    return merged


def _checked(frames: np.ndarray, n: int | None, smooth_frames: int, level: float, gap_frames: int) -> np.ndarray:
    frames = np.asarray(frames, dtype=np.float64)
    if frames.ndim != 1 or not len(frames) or not np.isfinite(frames).all():
        broken = np.count_nonzero(~np.isfinite(frames))
        raise RegionError(f"an attribution of shape {frames.shape} with {broken} values that are not finite; (frame,) "
                          "finite numbers are needed")  # fmt: skip
    if (n is not None and n < 1) or smooth_frames < 1 or smooth_frames % 2 == 0 or not 0 < level <= 1 or gap_frames < 0:
        raise RegionError(f"{n} regions, {smooth_frames} frames smoothed, level {level}, gaps of {gap_frames} frames; "
                          "accepted: one region or more or none, an odd number, above 0 to 1, 0 or more")  # fmt: skip
    return frames
