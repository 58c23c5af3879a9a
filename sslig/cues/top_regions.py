"""The stretches of time that hold most of an explanation, and what is said in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d

from sslig.cues import phones
from sslig.cues.tiers import Tier, runs
from sslig.cues.vad import NON_SPEECH, SPEECH
from sslig.errors import InputError
from sslig.frames import FrameClock

SMOOTH_FRAMES = 3
"""Frames that evidence is averaged over, with its sign."""

LEVEL = 0.5
"""Share of the evidence that the regions are made from."""

GAP_FRAMES = 2
"""Frames without evidence that do not part a region."""

ROUNDING = 1e-9
"""Means that differ by no more than this share of themselves are equal."""

UNKNOWN = "unknown"
"""Class of a frame of which nothing is known."""

COLUMNS = ("rank", "start_s", "end_s", "duration_s", "share", "sign", "segment_class")


@dataclass(frozen=True)
class Region:
    """A stretch of frames, first and the one past the last, with evidence of one direction.

    ``share`` is its share of the absolute evidence of all frames. ``sign`` is 1 for evidence of spoof, -1 for evidence
    of bona fide.
    """

    start: int
    stop: int
    share: float
    sign: int


def top_regions(frames: np.ndarray, n: int | None = 5) -> list[Region]:
    """The `n` regions (none: all) that hold the most evidence, strongest first; those of equal share in order of time.

    The evidence of (frame,), positive for spoof, is averaged over `SMOOTH_FRAMES` with its sign. The fewest means,
    largest first, that together hold half of their absolute sum make the regions (with any that equal the smallest of
    them): a map of a few spikes gives a few frames, a flat one gives all. Runs of one sign with at most `GAP_FRAMES`
    between them and none of the other sign are one region. There is none only where all frames are 0.

    Raises
    ------
    InputError
        The frames are not one axis of finite numbers, or `n` is below 1.
    """
    frames = np.asarray(frames, dtype=np.float64)
    if frames.ndim != 1 or not len(frames) or not np.isfinite(frames).all() or (n is not None and n < 1):
        broken = np.count_nonzero(~np.isfinite(frames))
        raise InputError(
            f"{n} regions of an attribution of shape {frames.shape} with {broken} values that are not finite; at least "
            "one region and (frame,) finite numbers are needed"
        )
    evidence = np.abs(frames).sum()
    if evidence == 0:
        return []
    smooth = uniform_filter1d(frames, SMOOTH_FRAMES, mode="nearest")
    rounding = np.finfo(np.float64).eps * np.abs(frames).max() * SMOOTH_FRAMES
    if not (np.abs(smooth) > rounding).any():  # alternating signs have no mean
        smooth = frames
    signs = np.sign(smooth) * (np.abs(smooth) >= _threshold(np.abs(smooth)))  # (frame,) -1, 0 or 1
    regions = [
        Region(start, stop, float(np.abs(frames[start:stop]).sum() / evidence), sign)
        for start, stop, sign in _merged(signs)
    ]
    return sorted(regions, key=lambda region: (-region.share, region.start))[:n]


def described(regions: Sequence[Region], clock: FrameClock, tiers: Mapping[str, Tier] | None) -> pd.DataFrame:
    """When regions are and what is said in them: `COLUMNS`, a row a region in the order given, ``rank`` from 1.

    A frame lasts one hop around its centre. ``segment_class`` is the class of most frames (`frame_classes` of `tiers`,
    none where the utterance was not decoded), of the earlier where two are equal.
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
    """(frame,) Class of each frame: the part of the tier ``speech`` without speech, else the class of its phone, else
    ``speech``, else ``unknown``."""
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


def _threshold(sizes: np.ndarray) -> float:
    """The smallest of the fewest (frame,) sizes that hold the share `LEVEL` of their sum; never 0."""
    largest = np.sort(sizes[sizes > 0])[::-1]
    sums = np.cumsum(largest)
    return float(largest[np.searchsorted(sums, LEVEL * sums[-1] * (1 - ROUNDING))]) * (1 - ROUNDING)


def _merged(signs: np.ndarray) -> list[tuple[int, int, int]]:
    """Start, stop and sign of the runs in (frame,) signs, in order; a short gap of zeros does not part a run."""
    stretches = [(start, stop, sign) for sign in (-1, 1) for start, stop in runs(signs == sign).tolist()]
    merged: list[tuple[int, int, int]] = []
    for start, stop, sign in sorted(stretches):
        if merged and merged[-1][2] == sign and start - merged[-1][1] <= GAP_FRAMES:
            start = merged.pop()[0]
        merged.append((start, stop, sign))
    return merged
