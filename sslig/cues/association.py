"""How strongly two things go together, and how sure that is: effect sizes and correlations with cluster bootstraps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests

from sslig.cues.masked_trials import two_sided_p
from sslig.stats.intervals import Clusters
from sslig.stats.metrics import MetricError

Statistic = Callable[[np.ndarray], np.ndarray]
"""(round, trial) how often each trial counts in each round -> (round,) values; NaN where a value is not defined."""

CHUNK_TRIALS = 2**17
"""Rounds are drawn together up to this many trials; larger blocks leave the cache and are slower."""
NO_SPREAD = 1e-20
"""A variance that is this small a share of the mean square is what rounding leaves of a constant."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap percentile interval and the p-value of its being 0.

    Parameters
    ----------
    value
        On all trials; NaN where it is not defined.
    low, high
        The ends of the interval; NaN where `value` is.
    p
        Two-sided; NaN where `value` is.
    rounds
        Draws in which it is defined and which the interval rests on.
    """

    value: float
    low: float
    high: float
    p: float
    rounds: int


def estimate(
    statistic: Statistic, clusters: Clusters | None, *, seed: int, rounds: int, level: float = 0.95
) -> Estimate:
    """A statistic on all trials and on bootstrap draws of `clusters`, as of `sslig.stats.intervals.bootstrap`.

    The p-value is `sslig.cues.masked_trials.two_sided_p` of the draws in which the statistic is defined, with as many
    units as `clusters` has to draw. Without clusters (`clusters_of`) nothing is estimated (NaN, 0 rounds).

    Raises
    ------
    MetricError
        There are no rounds, or the level is not between 0 and 1.
    """
    if rounds < 1 or not 0 < level < 1:
        raise MetricError(f"{rounds} rounds at level {level}; at least one and a level between 0 and 1 are needed")
    if clusters is None:
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0)
    value = on_all(statistic, len(clusters.of_trial))
    drawn = np.concatenate([statistic(weights) for weights in draws(clusters, seed, rounds)])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or not np.isfinite(value):
        return Estimate(np.nan, np.nan, np.nan, np.nan, len(drawn))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    p = two_sided_p(drawn, clusters.size.sum())
    return Estimate(value, float(low), float(high), float(p), len(drawn))


def on_all(statistic: Statistic, n_trials: int) -> float:
    """The statistic where each of `n_trials` trials counts once."""
    return float(statistic(np.ones((1, n_trials)))[0])


def draws(clusters: Clusters, seed: int, rounds: int) -> Iterator[np.ndarray]:
    """(round, trial) arrays of how often each trial is drawn, of as many rounds at a time as memory should hold."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_TRIALS // len(clusters.of_trial))
    for start in range(0, rounds, step):
        drawn = [clusters.draw(generator) for _ in range(min(step, rounds - start))]
        yield np.array(drawn, dtype=np.float64)[:, clusters.of_trial]


def holm(p: ArrayLike) -> np.ndarray:
    """(test,) p-values after Holm's correction for testing them all; a NaN is no test and stays.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    tested = np.isfinite(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected


def corrected(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with ``p_holm``, the correction of its column ``p`` over all of its rows, beside it."""
    return table.assign(p_holm=holm(table["p"]))


def cliffs_delta(values: np.ndarray, second: np.ndarray) -> Statistic:
    """Probability that a trial of the second group is larger, less the probability that it is smaller: -1 to 1.

    Parameters
    ----------
    values
        (trial,) of both groups.
    second
        (trial,) bool. Which trials are of the second group.

    References
    ----------
    N. Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", 1993.
    """
    ranks = _ranker(values)

    def delta(weights: np.ndarray) -> np.ndarray:
        rank = ranks(weights) * weights  # (round, trial)
        n_second, n_all = weights[:, second].sum(axis=1), weights.sum(axis=1)
        with np.errstate(invalid="ignore"):  # a draw without a group has no mean of it
            mean_second = rank[:, second].sum(axis=1) / n_second
            mean_first = rank[:, ~second].sum(axis=1) / (n_all - n_second)
        return 2 * (mean_second - mean_first) / n_all

    return delta


def pearson(first: np.ndarray, second: np.ndarray) -> Statistic:
    """Correlation of two (trial,) arrays; NaN where one of them does not vary."""
    return lambda weights: _correlation(first, second, weights)


def spearman(first: np.ndarray, second: np.ndarray) -> Statistic:
    """Correlation of the mid-ranks of two (trial,) arrays, ranked anew in each draw; NaN where one does not vary."""
    ranks = _ranker(first), _ranker(second)
    return lambda weights: _correlation(*(rank(weights) for rank in ranks), weights)


def usable(values: np.ndarray) -> np.ndarray:
    """(trial,) bool. Which values are there; infinite ones are refused.

    Raises
    ------
    MetricError
        A value is infinite.
    """
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise MetricError(
            f"row {infinite[0]} is infinite ({len(infinite)} in all); a number or a missing one is needed"
        )
    return np.isfinite(values)


def clusters_of(
    speakers: ArrayLike, recordings: ArrayLike | None, rows: np.ndarray | slice = slice(None)
) -> Clusters | None:
    """The clusters of the chosen trials; None where these are of one unit or none, so that nothing can be resampled.

    Parameters
    ----------
    speakers, recordings
        (trial,) As of `sslig.stats.intervals.bootstrap`.
    rows
        (trial,) bool. Which trials are chosen; all by default.

    Raises
    ------
    MetricError
        Speakers and recordings are not of the same trials, or a trial has none.
    """
    chosen = [np.asarray(values)[rows] for values in (speakers, recordings) if values is not None]
    if all(len(pd.unique(values)) < 2 for values in chosen):
        return None
    return Clusters.of(*chosen, *([None] if recordings is None else []))


def _ranker(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from (round, trial) weights to (round, trial) mid-ranks of the trials counted so often."""
    order = np.argsort(values, kind="stable")
    _, level, held = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(held) - 1  # (level,) place of its last trial in the order

    def ranks(weights: np.ndarray) -> np.ndarray:
        up_to = np.cumsum(weights[:, order], axis=1)[:, last]  # (round, level)
        return (up_to - np.diff(up_to, axis=1, prepend=0) / 2)[:, level]

    return ranks


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(round,) of two arrays of shape (trial,) or (round, trial)."""
    share = weights / weights.sum(axis=1, keepdims=True)

    def mean(values: np.ndarray) -> np.ndarray:
        return (share * values).sum(axis=1, keepdims=True)

    away = first - mean(first), second - mean(second)
    variances = [mean(part**2) for part in away]
    varies = [spread > NO_SPREAD * mean(values**2) for spread, values in zip(variances, (first, second), strict=True)]
    spread = np.where(varies[0] & varies[1], variances[0] * variances[1], np.nan)
    return (mean(away[0] * away[1]) / np.sqrt(spread))[:, 0]
