"""Significance: p-values of bootstrap rounds, Holm's correction, and correlations that survive constant input."""

import sys

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

ALPHA = 0.05  # an effect is significant where its p-value after Holm's correction is below this
MOST_ROUNDS = 10_000  # at most these are drawn where Holm's correction needs more than a study asks for
NO_SPREAD = 1e-20  # a variance that is this small a share of the mean square is what rounding leaves of a constant


def two_sided_p(rounds: np.ndarray, n_units: int) -> np.ndarray:
    """p-value of each effect being 0, from (round, ...) values of a bootstrap of so many units.

    The tail probability is twice the smaller share of rounds on either side of 0; a round at 0 counts on both sides,
    and one is added to the rounds and to each count. A bootstrap of n units is too narrow by sqrt((n - 1) / n) and has
    the tails of a normal rather than of a t distribution, which matters once p-values are corrected for many tests. The
    normal deviate z is therefore read as the deviate sqrt((n - 1) / n) z of t with n - 1 degrees of freedom.

    References
    ----------
    A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application", 1997, section 4.2.5 (one added).
    T. C. Hesterberg, "What teachers should know about the bootstrap", 2015 (the expanded percentile interval).
    """
    from scipy.stats import norm, t

    below, above = (rounds <= 0).sum(axis=0), (rounds >= 0).sum(axis=0)
    p = np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (1 + len(rounds)))
    return 2 * t.sf(np.sqrt((n_units - 1) / n_units) * norm.isf(p / 2), n_units - 1)


def rounds_needed(p: float, n_units: int) -> int:
    """Fewest rounds with which `two_sided_p` of `n_units` units can fall below `p`; two units never suffice."""
    from scipy.stats import norm, t

    deviate = t.isf(p / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1))
    tail = norm.sf(deviate)
    return int(1 / tail) if tail > 0 else sys.maxsize


def enough_rounds(tests: int, n_units: int, *, least: int) -> int:
    """Rounds with which one of `tests` tests can survive Holm; `least` where fewer do, or `MOST_ROUNDS` do not help."""
    needed = rounds_needed(ALPHA / max(tests, 1), n_units) if n_units > 1 else sys.maxsize
    return max(least, needed) if needed <= max(least, MOST_ROUNDS) else least


def holm(p: ArrayLike) -> np.ndarray:
    """(test,) p-values after Holm's correction (1979) for all of them; NaN is no test and stays NaN."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN sorts last
    scaled = p[order] * np.arange(len(order), 0, -1)  # statsmodels gives the same, but collects garbage in every call
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return corrected


def corrected(table: pd.DataFrame, by: str | list[str] | None = None) -> pd.DataFrame:
    """`table` with ``p_holm``: its column ``p`` corrected over all rows, or within each group of the columns `by`."""
    if by is None:
        return table.assign(p_holm=holm(table["p"]))
    return table.assign(p_holm=table.groupby(by, dropna=False)["p"].transform(holm))


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
