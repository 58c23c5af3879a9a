"""Whether the evidence of a detector follows loudness or voicing over time, or only seems to by chance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sslig.cues.association import NO_SPREAD, Statistic, clusters_of, corrected, estimate
from sslig.cues.contribution import EVIDENCE, ContributionError, Tracks, fitting, groups
from sslig.frames import FrameClock

METHODS = ("pearson", "spearman")


class TimeCorrelation(NamedTuple):
    """The correlation of two tracks of one utterance, against all circular shifts of one of them.

    Parameters
    ----------
    r
        The correlation; NaN where a track does not vary.
    null_low, null_high
        2.5 and 97.5 % of the correlations after the shifts; NaN where `r` is.
    p
        Share of shifts, no shift among them, after which the correlation is as large in size; NaN where `r` is.
    n_frames
        Frames, which are the shifts too.
    """

    r: float
    null_low: float
    null_high: float
    p: float
    n_frames: int


def loudness(samples: np.ndarray, clock: FrameClock) -> np.ndarray:
    """(frame,) RMS of the samples that each frame of `clock` sees."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(clock.n_frames(len(samples))) * clock.hop_samples
    seen = energy[starts + clock.receptive_field_samples] - energy[starts]
    return np.sqrt(seen / clock.receptive_field_samples)


def time_correlation(attribution: np.ndarray, track: np.ndarray, method: str = "pearson") -> TimeCorrelation:
    """Correlation of an attribution with a track, against that after every circular shift of the track.

    Neighbouring frames are alike, so that two tracks that have nothing to do with each other correlate by chance. A
    shift around the end keeps what is alike within each track and unties the one from the other. All shifts are taken.

    Parameters
    ----------
    attribution, track
        (frame,) each.
    method
        ``pearson``, or ``spearman`` for the correlation of ranks.

    Raises
    ------
    ContributionError
        The tracks are not of one length, empty, or not finite, or the method is unknown.

    References
    ----------
    K. D. Harris, "Nonsense correlations in neuroscience", 2020 (shifts as a null distribution, and its limits).
    """
    shifted = _after_shifts(attribution, track, method)
    if not np.isfinite(shifted[0]):
        return TimeCorrelation(np.nan, np.nan, np.nan, np.nan, len(shifted))
    low, high = np.quantile(shifted, [0.025, 0.975])
    # The transform rounds, and the shifts of a periodic track tie.
    as_large = np.abs(shifted) >= abs(shifted[0]) - 1e-9
    return TimeCorrelation(float(shifted[0]), float(low), float(high), float(as_large.mean()), len(shifted))


def correlation_table(
    attributions: pd.DataFrame,
    tracks: Tracks,
    by: Sequence[str] = ("detector", "key"),
    kinds: Sequence[str] = ("signed", "size"),
    *,
    seed: int,
    rounds: int = 2000,
    resample_recordings: bool,
) -> pd.DataFrame:
    """Whether the evidence of detectors follows tracks over time, in each group of utterances.

    The correlation of a group is the mean of its utterances. By chance it is what remains after each utterance's track
    was shifted by its own random number of frames.

    Parameters
    ----------
    attributions
        ``utterance``, ``by_frame``, ``speaker``, the columns `by`, and ``recording`` for a second stage.
    tracks
        Such as `loudness` and the frames of `sslig.cues.voice.voicing`, the same of every utterance.
    by
        What groups are made of: detector, class, reason of selection ...
    kinds
        Names out of `EVIDENCE`.
    seed, rounds
        Of the bootstrap and of the shifts.
    resample_recordings
        Whether recordings are drawn within each drawn speaker.

    Returns
    -------
    DataFrame
        `by`, ``track``, ``evidence``, ``method`` (of `METHODS`), ``r`` with ``low`` and ``high``, ``null_low`` and
        ``null_high`` (2.5 and 97.5 % by chance), ``p``, ``p_holm`` over all rows, ``n`` utterances with a correlation
        and ``n_undefined`` in which a track does not vary; with n = 0, or all n of one unit to
        resample, there is no correlation (NaN).

    Raises
    ------
    ContributionError
        A column or track is missing or has another length than the attribution.
    """
    rows = []
    for group, part, names in groups(attributions, tracks, by, resample_recordings):
        for name in names:
            for kind in kinds:
                for method in METHODS:
                    shifted = [_after_shifts(EVIDENCE[kind](row.by_frame), tracks[row.utterance][name], method)
                               for row in part.itertuples()]  # fmt: skip
                    told = group | {"track": name, "evidence": kind, "method": method}
                    rows.append(told | _mean_correlation(part, shifted, seed, rounds, resample_recordings))
    return corrected(pd.DataFrame(rows))


def _after_shifts(attribution: np.ndarray, track: np.ndarray, method: str) -> np.ndarray:
    """(shift,) Correlation with the track shifted by 0, 1 ... frames around its end; NaN where one does not vary."""
    if method not in METHODS:
        raise ContributionError(f"method {method!r}; accepted: {', '.join(METHODS)}")
    pair = fitting(attribution, track)
    scores = [_standardised(rankdata(values) if method == "spearman" else values) for values in pair]
    first, second = (np.fft.rfft(score) for score in scores)
    return np.fft.irfft(first * second.conj(), len(track)) / len(track)


def _standardised(values: np.ndarray) -> np.ndarray:
    """(frame,) Of mean 0 and variance 1; NaN where the values do not vary."""
    values = np.asarray(values, dtype=np.float64)
    variance = values.var()
    return (values - values.mean()) / (np.sqrt(variance) if variance > NO_SPREAD * np.mean(values**2) else np.nan)


def _mean_correlation(
    part: pd.DataFrame, shifted: list[np.ndarray], seed: int, rounds: int, recordings: bool
) -> dict[str, float]:
    """The mean correlation of a group, its interval, and what it is by chance."""
    defined = np.array([np.isfinite(shifts[0]) for shifts in shifted])
    counts = {"n": int(defined.sum()), "n_undefined": int((~defined).sum())}
    clusters = clusters_of(part["speaker"], part["recording"] if recordings else None, defined)
    if clusters is None:
        return dict.fromkeys(["r", "low", "high", "null_low", "null_high", "p"], np.nan) | counts
    kept = [shifts for shifts, good in zip(shifted, defined, strict=True) if good]
    found = estimate(_mean(np.array([shifts[0] for shifts in kept])), clusters, seed=seed, rounds=rounds)
    generator = np.random.default_rng(seed)
    chance = np.mean([shifts[generator.integers(len(shifts), size=rounds)] for shifts in kept], axis=0)  # (round,)
    low, high = np.quantile(chance, [0.025, 0.975])
    p = (1 + np.count_nonzero(np.abs(chance) >= abs(found.value) - 1e-9)) / (rounds + 1)
    told = {"r": found.value, "low": found.low, "high": found.high, "null_low": low, "null_high": high, "p": p}
    return told | counts


def _mean(values: np.ndarray) -> Statistic:
    return lambda weights: weights @ values / weights.sum(axis=1)
