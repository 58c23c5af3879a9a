"""Time correlation: whether the evidence of a detector follows loudness or voicing, beyond chance."""

import math

import numpy as np
import pandas as pd

from sslig import frames
from sslig.cues.contribution import Tracks, fitting, groups, names_of
from sslig.frames import FrameClock
from sslig.stats.bootstrap import Units, estimate, mean
from sslig.stats.tests import ALPHA, corrected, standardised

EVIDENCE = {"size": np.abs, "signed": np.asarray}
"""What is followed: the size of the evidence, or the evidence for spoof (negative for bona fide)."""


def loudness(samples: np.ndarray, clock: FrameClock) -> np.ndarray:
    """(frame,) RMS of (samples,) within the receptive field of each frame."""
    return np.sqrt(frames.energy(samples, clock.hop_samples, clock.receptive_field_samples))


def correlation_table(
    attributions: pd.DataFrame, tracks: Tracks, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """Rank correlation over time of evidence with tracks, by detector and class, against circular shifts.

    Neighbouring frames are alike, so unrelated tracks correlate by chance. A circular shift keeps the structure of each
    track and unties them. The correlation of a group is the mean over its utterances; chance is the same mean after
    shifting each track by a random number of frames.

    Parameters
    ----------
    attributions
        As for `sslig.cues.contribution.contribution_table`.
    tracks
        (frame,) tracks such as `loudness`, the same in every utterance. Frames after the end of an attribution are
        ignored.
    recordings
        Whether recordings are resampled within speakers.
    seed, rounds
        Seed of bootstrap and shifts, and their least number; more are drawn where Holm's correction needs them.

    Returns
    -------
    DataFrame
        ``detector``, ``key``, ``track``, ``evidence`` (of `EVIDENCE`), ``r`` with ``low`` and ``high``, ``null_low``
        and ``null_high`` (2.5 and 97.5 % by chance), ``p``, ``p_holm`` over the rows of a detector and class, ``n``
        utterances with a correlation, and ``n_undefined`` in which a track is constant. Figures are NaN for n = 0.

    Raises
    ------
    DataError
        A column or track is missing or does not fit the attribution.

    References
    ----------
    K. D. Harris, "Nonsense correlations in neuroscience", 2020 (shifts as a null distribution, and its limits).
    """
    rows, names = [], names_of(tracks)
    rounds = max(rounds, math.ceil(len(EVIDENCE) * len(names) / ALPHA))  # the least p-value is 1 / (rounds + 1)
    for labels, part in groups(attributions, recordings):
        for name in names:
            for evidence, of_frames in EVIDENCE.items():
                pairs = [(of_frames(row.by_frame), tracks[row.utterance][name]) for row in part.itertuples()]
                shifted = [_after_shifts(*pair) for pair in pairs]
                figures = _mean_correlation(part, shifted, recordings, seed, rounds)
                rows.append({**labels, "track": name, "evidence": evidence, **figures})
    return corrected(pd.DataFrame(rows), ["detector", "key"])


def _after_shifts(attribution: np.ndarray, track: np.ndarray) -> np.ndarray:
    """(shift,) Rank correlation with the track shifted circularly by 0, 1, ... frames; NaN where either is constant."""
    from scipy.stats import rankdata

    first, second = (np.fft.rfft(standardised(rankdata(values))) for values in fitting(attribution, track))
    return np.fft.irfft(first * second.conj(), len(attribution)) / len(attribution)


def _mean_correlation(
    part: pd.DataFrame, shifted: list[np.ndarray], recordings: bool, seed: int, rounds: int
) -> dict[str, float]:
    """The mean correlation of a group, its interval, and its distribution by chance."""
    defined = np.array([np.isfinite(shifts[0]) for shifts in shifted])
    counts = {"n": int(defined.sum()), "n_undefined": int((~defined).sum())}
    if not defined.any():
        return dict.fromkeys(["r", "low", "high", "null_low", "null_high", "p"], np.nan) | counts
    known = [shifts for shifts, good in zip(shifted, defined, strict=True) if good]
    units = Units.of_table(part[defined], recordings=recordings)
    r = estimate(mean([shifts[0] for shifts in known]), units, seed=seed, rounds=rounds)
    generator = np.random.default_rng(seed)
    chance = np.mean([shifts[generator.integers(len(shifts), size=rounds)] for shifts in known], axis=0)  # (round,)
    low, high = np.quantile(chance, [0.025, 0.975])
    # Tolerance, because the transform rounds and shifts of a periodic track tie.
    p = (1 + np.count_nonzero(np.abs(chance) >= abs(r.value) - 1e-9)) / (rounds + 1)
    figures = {"r": r.value, "low": r.low, "high": r.high, "null_low": low, "null_high": high, "p": p}
    return {name: float(figure) for name, figure in figures.items()} | counts
