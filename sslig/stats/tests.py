"""Significance: p-values of bootstrap rounds, Holm's correction, and correlations that survive constant input."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

ALPHA = 0.05  # an effect is significant where its p-value after Holm's correction is below this
POWER = 0.8  # with which a smallest detectable effect would be found
LEAST_DOF = 5  # with fewer, six speakers say, no test is made: the data cannot decide
MOST_UNITS = 100_000  # an effect that would need more is none
NO_SPREAD = 1e-20  # a variance that is this small a share of the mean square is what rounding leaves of a constant


def expanded(levels: np.ndarray, n_units: int, dof: int) -> np.ndarray:
    """(level,) Levels of the bootstrap quantiles that stand for quantiles of t; NaN with fewer than `LEAST_DOF`.

    The normal deviate of each is sqrt(n / f) times the deviate of t with f degrees of freedom.

    References
    ----------
    T. C. Hesterberg, "What teachers should know about the bootstrap", 2015 (the expanded percentile interval).
    """
    from scipy.special import ndtr, stdtrit

    if dof < LEAST_DOF:
        return np.full(np.shape(levels), np.nan)
    return ndtr(np.sqrt(n_units / dof) * stdtrit(dof, levels))


def two_sided_p(rounds: np.ndarray, value: float, n_units: int, dof: int) -> float:
    """p-value of an effect being 0, from its value and its (round,) values in a bootstrap of so many units.

    The tail probability is the smaller share of rounds on either side of 0; a round at 0 counts on both sides, and one
    is added to the rounds and to each count. Where no round lies beyond 0, the normal with the standard deviation of
    the rounds continues the tail. The normal deviate z is read as the deviate sqrt(f / n) z of t with f degrees of
    freedom. NaN with fewer than `LEAST_DOF`.

    References
    ----------
    A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application", 1997, section 4.2.5 (one added).
    """
    from scipy.special import ndtri, stdtr

    if dof < LEAST_DOF or not len(rounds):
        return np.nan
    beyond = min((rounds <= 0).sum(), (rounds >= 0).sum())
    deviate = -ndtri(min(0.5, (1 + beyond) / (1 + len(rounds))))
    if beyond == 0 and rounds.std() > 0:
        deviate = max(deviate, abs(value) / rounds.std())
    return float(2 * stdtr(dof, -np.sqrt(dof / n_units) * deviate))


def needed_multiple(dof: float, level: float = ALPHA, power: float = POWER) -> float:
    """How many standard errors an effect has to have for a two-sided t test at `level` to find it with `power`."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, 1 - level / 2) + stdtrit(dof, power)) if dof >= LEAST_DOF else np.nan


def units_needed(mean: float, deviation: float, level: float = ALPHA, power: float = POWER) -> float:
    """Fewest units that find a `mean` with this standard deviation over units; at least `LEAST_DOF` + 1."""
    from scipy.special import ndtri

    if np.isnan(mean) or np.isnan(deviation):
        return np.nan
    if abs(mean) <= deviation / np.sqrt(MOST_UNITS):
        return np.inf
    n = LEAST_DOF + 1
    if deviation > 0:
        n = max(n, int(((ndtri(1 - level / 2) + ndtri(power)) * deviation / mean) ** 2))  # t needs no fewer
    while needed_multiple(n - 1, level, power) * deviation > abs(mean) * np.sqrt(n):
        n += 1
    return float(n)


def holm(p: ArrayLike) -> np.ndarray:
    """(test,) p-values after Holm's correction (1979) for all of them; NaN is no test and stays NaN."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN sorts last
    scaled = p[order] * np.arange(len(order), 0, -1)  # statsmodels gives the same, but collects garbage in every call
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected


def corrected(table: pd.DataFrame, by: str | list[str] | None = None) -> pd.DataFrame:
    """`table` with its column ``p`` corrected over all rows that a reader judges together, or within each group `by`.

    Adds ``p_holm``, ``family`` (tests that the correction counts; NaN is no test) and ``significant``.
    """
    if by is None:
        p_holm, family = holm(table["p"]), int(table["p"].notna().sum())
    else:
        groups = table.groupby(by, dropna=False)["p"]
        p_holm, family = groups.transform(holm), groups.transform("count").astype(int)
    return table.assign(p_holm=p_holm, family=family, significant=p_holm < ALPHA)


def standardised(values: ArrayLike) -> np.ndarray:
    """(..., value) `values` with mean 0 and variance 1 along the last axis, NaN where they do not vary.

    The mean product of two standardised arrays is their correlation; rank them first for Spearman's.
    """
    values = np.asarray(values, dtype=np.float64)
    variance = values.var(axis=-1, keepdims=True)
    varies = variance > NO_SPREAD * np.mean(values**2, axis=-1, keepdims=True)
    return (values - values.mean(axis=-1, keepdims=True)) / np.sqrt(np.where(varies, variance, np.nan))


def correlation(first: ArrayLike, second: ArrayLike, *, ranks: bool = True) -> float:
    """Spearman's correlation of two (value,) arrays, without `ranks` Pearson's; NaN where one is constant."""
    from scipy.stats import rankdata

    pair = [standardised(rankdata(values) if ranks else values) for values in (first, second)]
    return float(np.mean(pair[0] * pair[1]))
