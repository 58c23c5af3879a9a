"""Decisions at one threshold: where it lies for a wanted error rate, and what it does under other conditions.

A threshold calls spoof what scores at least as much. The false non-match rate FNMR, of bona fide trials called spoof,
is ``p_miss`` of `sslig.stats.metrics` and also known as the false rejection rate FRR; the false match rate FMR, of spoofs
called bona fide, is ``p_fa``, the false acceptance rate FAR.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.labels import BONAFIDE, KEYS
from sslig.stats.metrics import MetricError, Trials, checked, eer_threshold, require
from sslig.stats.resampling import percentiles

RATES = (0.01, 0.001)
"""Rates of the operating points that `table` shows."""


class OperatingPoint(NamedTuple):
    """A threshold and both error rates at it."""

    threshold: float
    p_miss: float
    p_fa: float


def at_threshold(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> OperatingPoint:
    """Both error rates at a given threshold, such as that of a baseline.

    Raises
    ------
    MetricError
        Scores are unfit (`sslig.stats.metrics.checked`), or the threshold is NaN.
    """
    if np.isnan(threshold):
        raise MetricError("the threshold is NaN; a number is needed")
    bonafide, spoof = checked(bonafide, "bona fide"), checked(spoof, "spoof")
    return OperatingPoint(float(threshold), float(np.mean(bonafide >= threshold)), float(np.mean(spoof < threshold)))


def at_eer(bonafide: ArrayLike, spoof: ArrayLike) -> OperatingPoint:
    """Where both rates are nearest (`sslig.stats.metrics.eer_threshold`)."""
    return at_threshold(bonafide, spoof, eer_threshold(bonafide, spoof))


def at_fmr(bonafide: ArrayLike, spoof: ArrayLike, rate: float) -> OperatingPoint:
    """The highest threshold, thus the lowest FNMR, at which the FMR is at most `rate`.

    Raises
    ------
    MetricError
        Scores are unfit, or the rate is not between 0 and 1.
    """
    return _point(Trials.of(bonafide, spoof), "fmr", rate)


def at_fnmr(bonafide: ArrayLike, spoof: ArrayLike, rate: float) -> OperatingPoint:
    """The lowest threshold, thus the lowest FMR, at which the FNMR is at most `rate`.

    Raises
    ------
    MetricError
        Scores are unfit, or the rate is not between 0 and 1.
    """
    return _point(Trials.of(bonafide, spoof), "fnmr", rate)


def table(
    scores: pd.DataFrame,
    rates: Sequence[float] = RATES,
    *,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
    recordings: str | None = None,
) -> pd.DataFrame:
    """The EER, the FNMR at each FMR and the FMR at each FNMR of one detector, with intervals that resample speakers.

    Each round finds its own thresholds, as the figure is that of the best threshold for the trials at hand.

    Parameters
    ----------
    scores
        Trials of one detector with ``spoof_score``, ``key`` and ``speaker``.
    rates
        The rates to hold.
    seed, rounds, level, recordings
        As of `sslig.stats.intervals.by_group`.

    Returns
    -------
    DataFrame
        ``point``, ``threshold``, ``fnmr``, ``fmr``, ``value`` (the EER, or the rate that is not held), ``low``,
        ``high``, ``errors_allowed`` (trials that the held rate lets through; below one, the point says more about the
        size of the set than about the detector), ``n_bonafide`` and ``n_spoof``.

    Raises
    ------
    MetricError
        A column is missing, a class is missing, a rate is not between 0 and 1, or nothing can be resampled.
    """
    bonafide, spoof = _by_key(scores, ["spoof_score", "key", "speaker"], "the table")
    trials = Trials.of(bonafide["spoof_score"], spoof["spoof_score"])
    ordered = pd.concat([bonafide, spoof]).iloc[trials.order]  # as the sorted trials
    held = [("eer", np.nan), *(("fmr", rate) for rate in rates), *(("fnmr", rate) for rate in rates)]
    points = [_point(trials, *what) for what in held]

    def values(weights: np.ndarray) -> np.ndarray:
        counts = [weights[trials.is_bonafide].sum(), weights[~trials.is_bonafide].sum()]
        if not all(counts):
            return np.full(len(held), np.nan)
        curve = trials.rates(weights)
        return np.array([_value(name, *(rates[_position(name, rate, *curve)] for rates in curve))
                         for name, rate in held])  # fmt: skip

    second = None if recordings is None else ordered[recordings]
    spread = percentiles(values, ordered["speaker"], seed=seed, rounds=rounds, level=level, recordings=second)
    size = {"eer": np.nan, "fmr": len(spoof), "fnmr": len(bonafide)}
    return pd.DataFrame({
        "point": [_name(*what) for what in held],
        "threshold": [point.threshold for point in points],
        "fnmr": [point.p_miss for point in points],
        "fmr": [point.p_fa for point in points],
        "value": spread.value, "low": spread.low, "high": spread.high,
        "errors_allowed": [rate * size[name] for name, rate in held],
        "n_bonafide": len(bonafide), "n_spoof": len(spoof),
    })  # fmt: skip


def under_conditions(
    baseline: pd.DataFrame,
    conditions: Mapping[str, pd.DataFrame],
    *,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
    recordings: str | None = None,
) -> pd.DataFrame:
    """FAR and FRR of modified conditions at the EER threshold of the baseline, which a detector in use would keep.

    The threshold is held over all rounds; a speaker is drawn for baseline and condition alike, so that the change is
    a paired one.

    Parameters
    ----------
    baseline, conditions
        Trials of one detector with ``spoof_score``, ``key`` and ``speaker``; conditions by name.
    seed, rounds, level, recordings
        As of `sslig.stats.intervals.by_group`.

    Returns
    -------
    DataFrame
        A row a condition and rate: ``condition``, ``rate`` (``FAR`` or ``FRR``), ``threshold``, ``baseline``,
        ``modified``, ``low``, ``high``, ``change`` (modified - baseline), ``change_low``, ``change_high`` and ``n``,
        the modified trials that the rate is of.

    Raises
    ------
    MetricError
        A column or a class is missing (the message names the condition), or nothing can be resampled.
    """
    needed = ["spoof_score", "key", "speaker"]
    threshold = eer_threshold(*(part["spoof_score"] for part in _by_key(baseline, needed, "the baseline")))
    rows = []
    for name, modified in conditions.items():
        sizes = [len(part) for part in _by_key(modified, needed, f"condition {name!r}")]
        both = pd.concat([baseline.assign(modified=0), modified.assign(modified=1)], ignore_index=True)
        second = None if recordings is None else both[recordings]
        spread = percentiles(
            _ErrorsAt.of(both, threshold), both["speaker"], seed=seed, rounds=rounds, level=level, recordings=second
        )
        for rate, at, n in (("FAR", 0, sizes[1]), ("FRR", 1, sizes[0])):
            before, after, change = (np.array(spread)[:, at + shift] for shift in (0, 2, 4))  # (value, low, high)
            rows.append([name, rate, threshold, before[0], *after, *change, n])
    columns = ["condition", "rate", "threshold", "baseline", "modified", "low", "high", "change", "change_low",
               "change_high", "n"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


class _ErrorsAt(NamedTuple):
    """(value,) FAR and FRR of the baseline, of the modified trials, and their differences, at a held threshold."""

    cell: np.ndarray  # (trial,) 0 and 1: spoof and bona fide of the baseline, 2 and 3: modified
    wrong: np.ndarray  # (trial,) 1 where the decision is wrong

    @classmethod
    def of(cls, both: pd.DataFrame, threshold: float) -> "_ErrorsAt":
        is_bonafide = (both["key"].map(KEYS) == BONAFIDE).to_numpy()
        called_spoof = checked(both["spoof_score"], "both classes'") >= threshold
        return cls(2 * both["modified"].to_numpy() + is_bonafide, called_spoof == is_bonafide)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        count = np.bincount(self.cell, weights, minlength=4)
        with np.errstate(invalid="ignore"):
            rates = np.bincount(self.cell, weights * self.wrong, minlength=4) / count
        return np.append(rates, rates[2:] - rates[:2])


def _position(name: str, rate: float, p_miss: np.ndarray, p_fa: np.ndarray) -> int:
    """Where an operating point stands among the thresholds, which descend: FNMR rises and FMR falls."""
    if name == "eer":
        return int(np.argmin(np.abs(p_miss - p_fa)))
    if name == "fmr":
        return int(np.argmax(p_fa <= rate))
    return int(np.count_nonzero(p_miss <= rate)) - 1


def _point(trials: Trials, name: str, rate: float) -> OperatingPoint:
    if name != "eer" and not 0 <= rate <= 1:
        raise MetricError(f"a {name.upper()} of {rate}; a rate between 0 and 1 is needed")
    p_miss, p_fa = trials.rates()
    at = _position(name, rate, p_miss, p_fa)
    threshold = np.inf if at == 0 else trials.scores[trials.steps[at - 1]]
    return OperatingPoint(float(threshold), float(p_miss[at]), float(p_fa[at]))


def _value(name: str, p_miss: float, p_fa: float) -> float:
    return {"eer": (p_miss + p_fa) / 2, "fmr": p_miss, "fnmr": p_fa}[name]


def _name(name: str, rate: float) -> str:
    return {"eer": "EER", "fmr": f"FNMR at FMR {100 * rate:g} %", "fnmr": f"FMR at FNMR {100 * rate:g} %"}[name]


def _by_key(scores: pd.DataFrame, columns: Sequence[str], what: str) -> list[pd.DataFrame]:
    """The bona fide and the spoof trials."""
    require(scores, columns, what)
    parts = [scores[scores["key"] == key] for key in KEYS]
    if not all(map(len, parts)):
        raise MetricError(f"{what} has {len(parts[0])} bona fide and {len(parts[1])} spoof trials; both are needed")
    return parts
