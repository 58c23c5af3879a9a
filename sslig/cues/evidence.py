"""Evidence over time: its share in classes of segments, and whether it follows loudness or voicing beyond chance."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sslig import frames
from sslig.errors import DataError
from sslig.frames import FrameClock
from sslig.stats.bootstrap import Units, estimate, mean, ratio
from sslig.stats.tests import ALPHA, corrected, enough_rounds, standardised

EVIDENCE = {"size": np.abs, "signed": np.asarray}
"""What is followed: the size of the evidence, or the evidence for spoof (negative for bona fide)."""

Tracks = Mapping[str, Mapping[str, np.ndarray]]
"""Utterance -> name -> (frame,) array: a track over time, or the frames of a class of segments."""


def contribution_table(
    attributions: pd.DataFrame, segments: Tracks, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """Share of the size of evidence in each class of segments over its share of time, by detector and class.

    1 is the value of arbitrary frames; 2 is twice as much evidence as time. Minus 1 and in percent, this is the
    relative contribution quantification (RCQ). Frames are pooled over utterances. Each attribution is divided by its
    mean size first, so that utterances with large logits do not dominate.

    Parameters
    ----------
    attributions
        ``detector``, ``key``, ``utterance``, ``by_frame``, ``speaker``, and ``recording`` where these are resampled.
    segments
        (frame,) bool for each class of segments, the same classes in every utterance. Frames after the end of an
        attribution are ignored.
    recordings
        Whether recordings are resampled within speakers.
    seed, rounds
        Seed and least number of bootstrap rounds; more are drawn where Holm's correction needs them (`enough_rounds`).

    Returns
    -------
    DataFrame
        ``detector``, ``key``, ``segment``, ``share_of_time``, ``share``, ``relative`` with ``low`` and ``high``, ``p``
        of a value of 1, ``p_holm`` over the segments of a detector and class, ``n`` utterances and ``n_with`` such a
        segment. NaN where a group has no evidence or no such segment.

    Raises
    ------
    DataError
        Segments end before the attribution, or a value is not finite.

    References
    ----------
    T. Liu, L. Zhang, R. K. Das, Y. Ma, R. Tao and H. Li, "How do neural spoofing countermeasures detect partially
    spoofed audio?", Interspeech 2024 (RCQ, there for Grad-CAM).
    """
    rows, names = [], list(next(iter(segments.values()), {}))
    groups = list(attributions.groupby(["detector", "key"]))
    fewest = min((Units.of_table(part, recordings=recordings).n for _, part in groups), default=0)
    rounds = enough_rounds(len(names), fewest, least=rounds)
    for (detector, key), part in groups:
        units = Units.of_table(part, recordings=recordings)
        for name in names:
            sums = np.array([_sums(row.by_frame, segments[row.utterance][name]) for row in part.itertuples()])
            excess = estimate(lambda weights, sums=sums: _excess(weights @ sums), units, seed=seed, rounds=rounds)
            n_frames, n_inside, total, inside = sums.sum(axis=0)  # of (utterance, 4)
            rows.append(
                {
                    **{"detector": detector, "key": key, "segment": name},
                    "share_of_time": n_inside / n_frames,
                    "share": inside / total if total else np.nan,
                    "relative": 1 + float(excess.value),
                    "low": 1 + float(excess.low),
                    "high": 1 + float(excess.high),
                    "p": float(excess.p),
                    "n": len(part),
                    "n_with": int((sums[:, 1] > 0).sum()),
                }
            )
    columns = ["detector", "key", "segment", "share_of_time", "share", "relative", "low", "high", "p", "n", "n_with"]
    return corrected(pd.DataFrame(rows, columns=columns), ["detector", "key"])


def correlation_table(
    attributions: pd.DataFrame, tracks: Tracks, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """Rank correlation over time of evidence with tracks, by detector and class, against circular shifts.

    Neighbouring frames are alike, so unrelated tracks correlate by chance. A circular shift keeps the structure of each
    track and unties them. The correlation of a group is the mean over its utterances; chance is the same mean after
    shifting each track by a random number of frames.

    Parameters
    ----------
    attributions, recordings
        As for `contribution_table`.
    tracks
        (frame,) tracks such as `loudness`, the same in every utterance. Frames after the end of an attribution are
        ignored.
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
        A track ends before the attribution, or a value is not finite.

    References
    ----------
    K. D. Harris, "Nonsense correlations in neuroscience", 2020 (shifts as a null distribution, and its limits).
    """
    rows, names = [], list(next(iter(tracks.values()), {}))
    rounds = max(rounds, math.ceil(len(EVIDENCE) * len(names) / ALPHA))  # the least p-value is 1 / (rounds + 1)
    for (detector, key), part in attributions.groupby(["detector", "key"]):
        for name in names:
            for evidence, of_frames in EVIDENCE.items():
                pairs = [(of_frames(row.by_frame), tracks[row.utterance][name]) for row in part.itertuples()]
                shifted = [_after_shifts(*pair) for pair in pairs]
                figures = _mean_correlation(part, shifted, recordings, seed, rounds)
                rows.append({"detector": detector, "key": key, "track": name, "evidence": evidence, **figures})
    return corrected(pd.DataFrame(rows), ["detector", "key"])


def loudness(samples: np.ndarray, clock: FrameClock) -> np.ndarray:
    """(frame,) RMS of (samples,) within the receptive field of each frame."""
    return np.sqrt(frames.energy(samples, clock.hop_samples, clock.receptive_field_samples))


def _fitting(attribution: np.ndarray, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An attribution and a track as (frame,) arrays, the track cut to the frames of the attribution."""
    attribution, track = np.asarray(attribution, dtype=np.float64), np.asarray(track)[: len(attribution)]
    if len(track) < len(attribution) or not (np.isfinite(attribution).all() and np.isfinite(track).all()):
        raise DataError(
            f"attribution of shape {attribution.shape} and track of shape {track.shape}; finite values for every frame "
            "are needed"
        )
    return attribution, track


def _sums(attribution: np.ndarray, segment: np.ndarray) -> list[float]:
    """Frames, frames inside, size of the evidence in all frames and inside."""
    attribution, inside = _fitting(attribution, segment)
    size = np.abs(attribution)
    size = size / size.mean() if size.any() else size
    return [len(inside), inside.sum(), size.sum(), size[inside].sum()]


def _excess(sums: np.ndarray) -> np.ndarray:
    """(round,) RCQ from (round, 4) sums; NaN where it is not defined."""
    n_frames, n_inside, total, inside = sums.T
    return ratio(inside * n_frames, total * n_inside) - 1


def _after_shifts(attribution: np.ndarray, track: np.ndarray) -> np.ndarray:
    """(shift,) Rank correlation with the track shifted circularly by 0, 1, ... frames; NaN where either is constant."""
    from scipy.stats import rankdata

    first, second = (np.fft.rfft(standardised(rankdata(values))) for values in _fitting(attribution, track))
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
