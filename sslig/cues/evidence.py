"""Evidence over time: its share in classes of segments, and whether it follows loudness or voicing beyond chance."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sslig import frames
from sslig.errors import DataError
from sslig.frames import FrameClock
from sslig.stats.bootstrap import Units, estimate, mean, ratio
from sslig.stats.tests import ALPHA, corrected, standardised

EVIDENCE = {"size": np.abs, "signed": np.asarray}
"""What is followed: the size of the evidence, or the evidence for spoof (negative for bona fide)."""

SWAPS = 20
"""Tracks of other recordings that each map is correlated with, at most."""

FIGURES = (
    *("r", "low", "high", "null_low", "null_high", "p_shift"),
    *("swapped", "excess", "excess_low", "excess_high", "p_swap", "p"),
)

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
        Seed and number of bootstrap rounds.

    Returns
    -------
    DataFrame
        ``detector``, ``key``, ``segment``, ``share_of_time``, ``share``, ``relative`` with ``low`` and ``high``, ``p``
        of a value of 1, ``n`` utterances and ``n_with`` such a segment, and ``p_holm``, ``family`` and ``significant``
        over all rows (`sslig.stats.tests.corrected`). NaN where a group has no evidence or no such segment.

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
    for (detector, key), part in attributions.groupby(["detector", "key"]):
        units = Units.of_table(part, recordings=recordings)
        for name in names:
            sums = np.array([_sums(row.by_frame, segments[row.utterance][name]) for row in part.itertuples()])
            estimated = estimate(lambda weights, sums=sums: excess(weights @ sums), units, seed=seed, rounds=rounds)
            n_frames, n_inside, total, inside = sums.sum(axis=0)  # of (utterance, 4)
            rows.append(
                {
                    **{"detector": detector, "key": key, "segment": name},
                    "share_of_time": n_inside / n_frames,
                    "share": inside / total if total else np.nan,
                    "relative": 1 + float(estimated.value),
                    "low": 1 + float(estimated.low),
                    "high": 1 + float(estimated.high),
                    "p": float(estimated.p),
                    "n": len(part),
                    "n_with": int((sums[:, 1] > 0).sum()),
                }
            )
    columns = ["detector", "key", "segment", "share_of_time", "share", "relative", "low", "high", "p", "n", "n_with"]
    return corrected(pd.DataFrame(rows, columns=columns))


def correlation_table(
    attributions: pd.DataFrame, tracks: Tracks, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """Rank correlation over time of evidence with tracks, by detector and class, against two kinds of chance.

    Neighbouring frames are alike, so unrelated tracks correlate by chance. A *circular shift* keeps the structure of
    each track and unties them; the correlation of a group is the mean over its utterances, and so is chance, after
    shifting each track by a random number of frames. A map that knows nothing but the place in the file survives that
    test, because loudness begins and ends low in every recording. The track of *another utterance*, stretched to the
    same length, keeps what all recordings have in common: the excess is the correlation with the utterance's track less
    the mean correlation with up to `SWAPS` tracks of other recordings of the group.

    Parameters
    ----------
    attributions, recordings
        As for `contribution_table`.
    tracks
        (frame,) tracks such as `loudness`, the same in every utterance. Frames after the end of an attribution are
        ignored.
    seed, rounds
        Seed and number of bootstrap rounds and shifts; more shifts are drawn where Holm's correction needs them.

    Returns
    -------
    DataFrame
        ``detector``, ``key``, ``track``, ``evidence`` (of `EVIDENCE`), ``r`` with ``low`` and ``high``, ``null_low``
        and ``null_high`` (2.5 and 97.5 % of shifts) with ``p_shift``, ``swapped`` (mean correlation with tracks of
        others), ``excess`` with ``excess_low``, ``excess_high`` and ``p_swap``, ``p`` (the larger of both), ``p_holm``,
        ``family`` and ``significant`` over all rows, ``n`` utterances with a correlation, and ``n_undefined`` in which
        a track is constant. Figures are NaN for n = 0.

    Raises
    ------
    DataError
        A track ends before the attribution, or a value is not finite.

    References
    ----------
    K. D. Harris, "Nonsense correlations in neuroscience", 2020 (shifts and swaps as null distributions).
    """
    rows, names = [], list(next(iter(tracks.values()), {}))
    groups = list(attributions.groupby(["detector", "key"]))
    shifts = max(rounds, int(len(groups) * len(EVIDENCE) * len(names) / ALPHA))  # the least p is 1 / (shifts + 1)
    for (detector, key), part in groups:
        for name in names:
            known = [tracks[utterance][name] for utterance in part["utterance"]]
            for evidence, of_frames in EVIDENCE.items():
                maps = [of_frames(frames) for frames in part["by_frame"]]
                figures = mean_correlation(part, maps, known, recordings, seed, rounds, shifts)
                rows.append({"detector": detector, "key": key, "track": name, "evidence": evidence, **figures})
    return corrected(pd.DataFrame(rows))


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


def excess(sums: np.ndarray) -> np.ndarray:
    """(round,) RCQ from (round, 4) sums; NaN where it is not defined."""
    n_frames, n_inside, total, inside = sums.T
    return ratio(inside * n_frames, total * n_inside) - 1


def _after_shifts(attribution: np.ndarray, track: np.ndarray) -> np.ndarray:
    """(shift,) Rank correlation with the track shifted circularly by 0, 1, ... frames; NaN where either is constant."""
    from scipy.stats import rankdata

    first, second = (np.fft.rfft(standardised(rankdata(values))) for values in _fitting(attribution, track))
    return np.fft.irfft(first * second.conj(), len(attribution)) / len(attribution)


def mean_correlation(
    part: pd.DataFrame,
    maps: list[np.ndarray],
    tracks: list[np.ndarray],
    recordings: bool,
    seed: int,
    rounds: int,
    shifts: int,
) -> dict[str, float]:
    """The mean correlation of a group, its interval, and both kinds of chance."""
    shifted = [_after_shifts(*pair) for pair in zip(maps, tracks, strict=True)]
    defined = np.array([np.isfinite(by_shift[0]) for by_shift in shifted])
    counts = {"n": int(defined.sum()), "n_undefined": int((~defined).sum())}
    if not defined.any():
        return dict.fromkeys(FIGURES, np.nan) | counts
    maps, tracks, shifted = ([values[i] for i in np.flatnonzero(defined)] for values in (maps, tracks, shifted))
    part, generator = part[defined], np.random.default_rng(seed)
    swapped = _swapped(maps, tracks, part["recording" if "recording" in part else "utterance"].to_numpy(), generator)
    each = np.stack([[by_shift[0] for by_shift in shifted], swapped], axis=1)  # (utterance, 2)
    units = Units.of_table(part, recordings=recordings)
    figures = estimate(mean(np.column_stack([each, each[:, 0] - each[:, 1]])), units, seed=seed, rounds=rounds)
    chance = np.mean([by_shift[generator.integers(len(by_shift), size=shifts)] for by_shift in shifted], axis=0)
    # Tolerance, because the transform rounds and shifts of a periodic track tie.
    p_shift = (1 + np.count_nonzero(np.abs(chance) >= abs(figures.value[0]) - 1e-9)) / (shifts + 1)
    values = (figures.value[0], figures.low[0], figures.high[0], *np.quantile(chance, [0.025, 0.975]), p_shift)
    values += (figures.value[1], figures.value[2], figures.low[2], figures.high[2], figures.p[2])
    row = dict(zip(FIGURES, map(float, (*values, np.maximum(p_shift, figures.p[2]))), strict=True))
    return row | counts


def _swapped(
    maps: list[np.ndarray], tracks: list[np.ndarray], recordings: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """(utterance,) Mean rank correlation of each map with stretched tracks of other recordings; NaN without any."""
    from scipy.stats import rankdata

    means = np.full(len(maps), np.nan)
    for place, evidence in enumerate(maps):
        others = generator.permutation(np.flatnonzero(recordings != recordings[place]))[:SWAPS]
        # (other, frame) the track of the other at the same share of its length
        stretched = [tracks[j][np.arange(len(evidence)) * len(tracks[j]) // len(evidence)] for j in others]
        if stretched:
            ranks = standardised(rankdata([evidence, *stretched], axis=1))
            r = ranks[1:] @ ranks[0] / len(evidence)
            means[place] = np.nanmean(r) if np.isfinite(r).any() else np.nan
    return means
