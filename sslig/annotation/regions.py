"""How regions of two sources meet: overlap, optimal matching, and frames that both or one of them mark."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock


def intersection_over_union(one: ArrayLike, other: ArrayLike) -> np.ndarray:
    """(one, other) What each of (one, 2) and each of (other, 2) regions both cover, over what either covers."""
    one, other = np.reshape(one, (-1, 2)).astype(float), np.reshape(other, (-1, 2)).astype(float)
    (start, end), (other_start, other_end) = one.T[:, :, None], other.T[:, None, :]
    shared = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
    return shared / (end - start + other_end - other_start - shared)


def matched(one: ArrayLike, other: ArrayLike, least: float) -> int:
    """How many of (one, 2) regions can be paired with one each of (other, 2) that they overlap by `least` or more."""
    found = intersection_over_union(one, other) >= least
    return int(found[linear_sum_assignment(found, maximize=True)].sum()) if found.size else 0


def marked_frames(regions: ArrayLike, duration_s: float, clock: FrameClock = SSL_CLOCK) -> np.ndarray:
    """(frame,) bool: the frame's centre lies in one of (region, 2) regions."""
    centre_s = clock.centre_s(clock.n_frames(round(duration_s * SAMPLE_RATE_HZ)))
    regions = np.reshape(regions, (-1, 2)).astype(float)
    return ((centre_s >= regions[:, :1]) & (centre_s < regions[:, 1:])).any(axis=0)
