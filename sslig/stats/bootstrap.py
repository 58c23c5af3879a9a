"""The bootstrap: how far a statistic moves when speakers, or recordings within speakers, are resampled.

A *statistic* maps weights to figures, where ``weights[r, i]`` says how often row i counts in round r::

    units = Units.of(table["speaker"], table["recording"])  # without recordings: speakers only
    means = estimate(mean(table[["masked", "unmasked"]]), units, seed=0, rounds=1000)
    means.value, means.low, means.high, means.p             # (figure,) arrays
    change = means[0] - means[1]                            # paired: both from the same draws

All statistics of the same units, seed and number of rounds meet the same draws, so the difference of two estimates is a
paired difference. Any function of (round, row) weights is a statistic, such as
``lambda weights: ratio(weights @ hits, weights @ trials)``; `sslig.stats.metrics.weighted` makes those of error rates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.errors import DataError
from sslig.stats.tests import NO_SPREAD, two_sided_p

Statistic = Callable[[np.ndarray], np.ndarray]
"""(round, row) weights -> (round,) or (round, figure) values, NaN where a round does not define one."""

CHUNK = 2**17  # weights that are drawn at a time; larger blocks leave the cache and are slower
LEVEL = 0.95  # coverage of intervals
ENDS = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])


@dataclass(frozen=True)
class Units:
    """What a round draws: speakers with replacement, then recordings with replacement within each drawn speaker.

    Rows of one speaker, and coded copies of one recording, depend on each other; resampling rows would make intervals
    far too narrow. With fewer than some twenty speakers they are still too narrow.

    References
    ----------
    R. M. Bolle et al., "Error analysis of pattern recognition systems -- the subsets bootstrap", 2004.
    C. A. Field and A. H. Welsh, "Bootstrapping clustered data", 2007.
    """

    of_row: np.ndarray  # (row,) unit of each row: its recording, or its speaker where recordings are not resampled
    size: np.ndarray  # (speaker,) units of each speaker, which are neighbours
    second_stage: bool  # whether recordings are resampled within speakers

    @classmethod
    def of(cls, speakers: ArrayLike, recordings: ArrayLike | None = None) -> "Units":
        """Units of (row,) speakers and, for the second stage, recordings; rows in any order give the same draws."""
        speaker = _codes(speakers, "speakers")
        recording = speaker if recordings is None else _codes(recordings, "recordings")
        n_recordings = recording.max(initial=0) + 1
        pairs, of_row = np.unique(speaker * n_recordings + recording, return_inverse=True)
        return cls(of_row, np.bincount(pairs // n_recordings), recordings is not None)

    @classmethod
    def of_table(cls, table: pd.DataFrame, *, recordings: bool) -> "Units":
        """Units of a table with the column ``speaker`` and, where these are resampled, ``recording``."""
        return cls.of(table["speaker"], table["recording"] if recordings else None)

    @property
    def n(self) -> int:
        """Number of units, as `sslig.stats.tests.two_sided_p` takes it."""
        return int(self.size.sum())

    @property
    def n_speakers(self) -> int:
        """Number of speakers."""
        return len(self.size)

    def _counts(self, rng: np.random.Generator, rounds: int) -> np.ndarray:
        """(round, unit) How often each unit is drawn in the next `rounds` rounds of `rng`."""
        if self.second_stage:
            return np.array([self._two_stages(rng) for _ in range(rounds)])
        shape = rounds, self.n_speakers
        cells = rng.integers(self.n_speakers, size=shape) + self.n_speakers * np.arange(rounds)[:, None]
        return np.bincount(cells.ravel(), minlength=np.prod(shape)).reshape(shape)

    def weights(self, seed: int, rounds: int) -> Iterator[np.ndarray]:
        """(round, row) arrays of how often each row counts, as many rounds at a time as fit into `CHUNK`."""
        rng, step = np.random.default_rng(seed), max(1, CHUNK // len(self.of_row))
        for start in range(0, rounds, step):
            yield self._counts(rng, min(step, rounds - start))[:, self.of_row].astype(np.float64)

    def _two_stages(self, rng: np.random.Generator) -> np.ndarray:
        speakers = rng.integers(self.n_speakers, size=self.n_speakers)
        first = np.cumsum(self.size) - self.size
        n_units = np.repeat(self.size[speakers], self.size[speakers])
        units = np.repeat(first[speakers], self.size[speakers]) + rng.integers(n_units)
        return np.bincount(units, minlength=self.n)


@dataclass(frozen=True)
class Estimate:
    """Figures with their bootstrap rounds; arrays lose the figure axis where the statistic is one number.

    Intervals and p-values are NaN where the value or all rounds are, or where one unit leaves nothing to resample.
    """

    value: np.ndarray  # (figure,) where each row counts once
    rounds: np.ndarray  # (round, figure), NaN where a round does not define a figure
    n_units: int

    @cached_property
    def _interval(self) -> np.ndarray:
        return self._quantiles(ENDS)

    @property
    def low(self) -> np.ndarray:
        """(figure,) Lower ends of the intervals."""
        return self._interval[0]

    @property
    def high(self) -> np.ndarray:
        """(figure,) Upper ends of the intervals."""
        return self._interval[1]

    @property
    def n_rounds(self) -> np.ndarray:
        """(figure,) Rounds that define each figure and that its interval and p-value rest on."""
        return np.isfinite(self.rounds).sum(axis=0)

    @property
    def p(self) -> np.ndarray:
        """(figure,) Two-sided p-values of the figures being 0 (`sslig.stats.tests.two_sided_p`)."""
        columns = self.rounds.reshape(len(self.rounds), np.size(self.value)).T
        p = [two_sided_p(column[np.isfinite(column)], self.n_units) for column in columns]
        return np.where(np.isnan(self.low), np.nan, np.reshape(p, np.shape(self.value)))[()]

    def ends_between(self) -> np.ndarray:
        """(end, side, figure) Where each end of the interval lies, given how many rounds were drawn.

        The number of n rounds below quantile q is binomial: an end lies between q -/+ 3 sqrt(q (1 - q) / n).
        """
        reach = 3 * np.sqrt(ENDS * (1 - ENDS) / max(np.min(self.n_rounds), 1))
        around = np.clip(np.stack([ENDS - reach, ENDS + reach], axis=1), 0, 1)
        return self._quantiles(around.ravel()).reshape(2, 2, *np.shape(self.value))

    def __getitem__(self, figure: int | slice | np.ndarray) -> "Estimate":
        """The estimate of some of the figures."""
        return Estimate(self.value[figure], self.rounds[:, figure], self.n_units)

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The paired difference of two estimates from the same units, seed and rounds."""
        if self.n_units != other.n_units or len(self.rounds) != len(other.rounds):
            draws = [f"{len(estimate.rounds)} rounds of {estimate.n_units} units" for estimate in (self, other)]
            raise DataError(f"{' and '.join(draws)}; a paired difference needs the same draws")
        return Estimate(self.value - other.value, self.rounds - other.rounds, self.n_units)

    def frame(self) -> pd.DataFrame:
        """A row a figure: ``value``, ``low``, ``high`` and ``p``."""
        names = ("value", "low", "high", "p")
        return pd.DataFrame({name: np.atleast_1d(getattr(self, name)) for name in names})

    def _quantiles(self, shares: ArrayLike) -> np.ndarray:
        """(share, figure) Quantiles over the rounds that define a figure."""
        quantiles = np.full((len(shares), *np.shape(self.value)), np.nan)
        some = (self.n_rounds > 0) & np.isfinite(self.value)
        if np.any(some):
            quantiles[:, some] = np.nanquantile(self.rounds[:, some], shares, axis=0)
        return quantiles


def estimate(
    statistic: Statistic,
    units: Units,
    *,
    seed: int,
    rounds: int = 1000,
    classes: ArrayLike | None = None,
) -> Estimate:
    """Resample `units` and compute `statistic` in each round.

    `classes` (row,) name a class of each row, such as ``key``: rounds that draw no row of a class are left out.
    """
    if not len(units.of_row):
        raise DataError("no rows to resample; at least one is needed")
    value = np.asarray(statistic(np.ones((1, len(units.of_row)))), dtype=np.float64)
    if units.n == 1:
        return Estimate(value[0], np.empty((0, *value.shape[1:])), 1)
    members = [] if classes is None else [np.asarray(classes) == name for name in pd.unique(np.asarray(classes))]
    drawn = []
    for weights in units.weights(seed, rounds):
        complete = np.all([weights[:, rows].any(axis=1) for rows in members], axis=0) & np.ones(len(weights), bool)
        values = np.full((len(weights), *value.shape[1:]), np.nan)
        if complete.any():
            values[complete] = statistic(weights if complete.all() else weights[complete])
        drawn.append(values)
    return Estimate(value[0], np.concatenate(drawn), units.n)


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, NaN where `bottom` is 0 or less."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def mean(values: ArrayLike) -> Statistic:
    """The mean of (row,) values, or of each column of (row, column) values, over the rows that have one (not NaN)."""
    values = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(values)
    filled = np.where(defined, values, 0.0)
    return lambda weights: ratio(weights @ filled, weights @ defined)


def mean_of_cells(values: ArrayLike, cells: ArrayLike) -> Statistic:
    """The mean over (row,) cells of the `mean` in each, so that a cell of many rows counts no more than one of few.

    A cell without any value in a round is left out of it.
    """
    values, cells = np.asarray(values), np.asarray(cells)
    means = [(cells == cell, mean(values[cells == cell])) for cell in pd.unique(cells)]

    def average(weights: np.ndarray) -> np.ndarray:
        by_cell = np.stack([statistic(weights[:, rows]) for rows, statistic in means])  # (cell, round, ...)
        return ratio(np.nansum(by_cell, axis=0), np.isfinite(by_cell).sum(axis=0))

    return average


def mean_of_pairs(values: ArrayLike, groups: ArrayLike) -> Statistic:
    """The mean of (row, row) values over pairs of rows from different (row,) groups, as often as both are drawn."""
    groups = np.asarray(groups)
    apart = (groups[:, None] != groups).astype(np.float64)
    values = np.asarray(values, dtype=np.float64) * apart
    return lambda weights: ratio(((weights @ values) * weights).sum(axis=1), ((weights @ apart) * weights).sum(axis=1))


def spearman(*columns: ArrayLike) -> Statistic:
    """Correlation of the mid-ranks of two (row,) arrays, ranked anew in each round; NaN where one does not vary.

    More than two arrays give a figure for each pair, in the order of `itertools.combinations`.
    """
    rankers = [_ranker(np.asarray(values)) for values in columns]

    def correlations(weights: np.ndarray) -> np.ndarray:
        ranks = [ranker(weights) for ranker in rankers]
        rho = [_correlation(*pair, weights) for pair in combinations(ranks, 2)]
        return rho[0] if len(rho) == 1 else np.stack(rho, axis=1)

    return correlations


def cliffs_delta(values: ArrayLike, second: ArrayLike) -> Statistic:
    """Probability that a row of the `second` (row,) group is larger, minus the probability that it is smaller.

    References
    ----------
    N. Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", 1993.
    """
    ranker, second = _ranker(np.asarray(values)), np.asarray(second, dtype=bool)

    def delta(weights: np.ndarray) -> np.ndarray:
        ranks = ranker(weights) * weights  # (round, row)
        n_second, n_all = weights[:, second].sum(axis=1), weights.sum(axis=1)
        mean_second = ratio(ranks[:, second].sum(axis=1), n_second)
        mean_first = ratio(ranks[:, ~second].sum(axis=1), n_all - n_second)
        return 2 * (mean_second - mean_first) / n_all

    return delta


def _codes(values: ArrayLike, name: str) -> np.ndarray:
    codes, _ = pd.factorize(np.asarray(values), sort=True)
    if (codes < 0).any():
        raise DataError(f"{name}: {np.count_nonzero(codes < 0)} rows have none")
    return codes


def _ranker(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from (round, row) weights to (round, row) mid-ranks of the rows counted that often."""
    order = np.argsort(values, kind="stable")
    _, level, n_equal = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(n_equal) - 1  # (level,) position of its last row in the order

    def ranks(weights: np.ndarray) -> np.ndarray:
        up_to = np.cumsum(weights[:, order], axis=1)[:, last]  # (round, level)
        return (up_to - np.diff(up_to, axis=1, prepend=0) / 2)[:, level]

    return ranks


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(round,) Correlation of two (round, row) arrays."""
    share = weights / weights.sum(axis=1, keepdims=True)

    def average(values: np.ndarray) -> np.ndarray:
        return (share * values).sum(axis=1, keepdims=True)

    away = first - average(first), second - average(second)
    variances = [average(part**2) for part in away]
    varies = [var > NO_SPREAD * average(values**2) for var, values in zip(variances, (first, second), strict=True)]
    spread = np.where(varies[0] & varies[1], variances[0] * variances[1], np.nan)
    return (average(away[0] * away[1]) / np.sqrt(spread))[:, 0]
