"""The bootstrap: how far a statistic moves when speakers, or recordings of the same speakers, are resampled.

A *statistic* maps weights to figures, where ``weights[r, i]`` says how often row i counts in round r::

    units = Units.of(table["speaker"])                         # a claim about speakers at large
    units = Units.of(table["speaker"], table["recording"])     # a claim about these speakers
    means = estimate(mean(table[["masked", "unmasked"]]), units, seed=0, rounds=1000)
    means.value, means.low, means.high, means.p                # (figure,) arrays
    change = means[0] - means[1]                               # paired: both from the same draws

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
from sslig.stats.tests import ALPHA, LEAST_DOF, NO_SPREAD, POWER, expanded, needed_multiple, two_sided_p

Statistic = Callable[[np.ndarray], np.ndarray]
"""(round, row) weights -> (round,) or (round, figure) values, NaN where a round does not define one."""

CHUNK = 2**17  # weights that are drawn at a time; larger blocks leave the cache and are slower
LEVEL = 1 - ALPHA  # coverage of intervals

AT_LARGE, THESE = "speakers at large", "these speakers"
"""Whom a claim is about."""


@dataclass(frozen=True)
class Units:
    """What a round draws with replacement: speakers, with all of their rows, or recordings within each speaker.

    Rows of one speaker, and coded copies of one recording, depend on each other. Where *speakers* are drawn, a claim is
    about speakers at large and has as many degrees of freedom as there are speakers, less one. Where *recordings* are
    drawn, speakers are strata that stay: a claim is about these speakers and has as many degrees of freedom as there
    are recordings, less the number of speakers. With fewer than `sslig.stats.tests.LEAST_DOF` nothing is decided.

    Attacks may be crossed with the units: each round draws attacks too, and a spoof counts as often as its speaker (or
    recording) times its attack. A claim is then about attacks at large, and the degrees of freedom are those of the
    smaller factor. Its variance is too large rather than too small.

    References
    ----------
    A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application", 1997, sections 3.2 (strata), 3.8.
    C. A. Field and A. H. Welsh, "Bootstrapping clustered data", 2007.
    A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007 (crossed factors).
    """

    of_row: np.ndarray  # (row,) unit of each row: its speaker, or its recording where these are drawn
    size: np.ndarray  # (speaker,) units of each speaker, which are neighbours
    within: bool  # whether recordings are drawn within speakers
    attacks: np.ndarray | None = None  # (row,) attack of each row, -1 for bona fide, where attacks are drawn

    @classmethod
    def of(cls, speakers: ArrayLike, recordings: ArrayLike | None = None, attacks: ArrayLike | None = None) -> "Units":
        """Units of (row,) speakers, or of recordings; rows in any order give the same draws.

        `attacks` (row,) are drawn too where given, missing (NaN or None) for bona fide rows.
        """
        speaker = _codes(speakers, "speakers")
        recording = speaker if recordings is None else _codes(recordings, "recordings")
        n_recordings = recording.max(initial=0) + 1
        pairs, of_row = np.unique(speaker * n_recordings + recording, return_inverse=True)
        attack = None if attacks is None else pd.factorize(np.asarray(attacks), sort=True)[0]
        return cls(of_row, np.bincount(pairs // n_recordings), recordings is not None, attack)

    @classmethod
    def of_table(cls, table: pd.DataFrame, *, recordings: bool, attacks: bool = False) -> "Units":
        """Units of a table with ``speaker``, ``recording`` where these are drawn, ``attack`` and ``key`` likewise."""
        drawn = table["attack"].where(table["key"] == "spoof") if attacks else None
        return cls.of(table["speaker"], table["recording"] if recordings else None, drawn)

    @property
    def n(self) -> int:
        """Number of units; where attacks are drawn too, of the smaller factor."""
        return int(self.size.sum()) if self._n_attacks is None else min(int(self.size.sum()), self._n_attacks)

    @property
    def dof(self) -> int:
        """Degrees of freedom."""
        of_units = int(self.size.sum()) - (self.n_speakers if self.within else 1)
        return of_units if self._n_attacks is None else min(of_units, self._n_attacks - 1)

    @property
    def n_speakers(self) -> int:
        """Number of speakers."""
        return len(self.size)

    @property
    def about(self) -> str:
        """Whom a claim is about: `AT_LARGE` or `THESE`."""
        return THESE if self.within else AT_LARGE

    @property
    def of_speaker(self) -> np.ndarray:
        """(row,) The speaker of each row."""
        return np.repeat(np.arange(self.n_speakers), self.size)[self.of_row]

    @property
    def _n_attacks(self) -> int | None:
        return None if self.attacks is None else int(self.attacks.max(initial=-1)) + 1

    def _counts(self, rng: np.random.Generator, rounds: int) -> np.ndarray:
        """(round, unit) How often each unit is drawn in the next `rounds` rounds of `rng`."""
        if not self.within:
            return _tally(rng.integers(self.n_speakers, size=(rounds, self.n_speakers)), self.n_speakers)
        size, first = (np.repeat(part, self.size) for part in (self.size, np.cumsum(self.size) - self.size))
        return _tally(first + rng.integers(size, size=(rounds, len(size))), len(size))

    def counts(self, seed: int, rounds: int) -> np.ndarray:
        """(round, unit) How often each unit is drawn, where attacks are not drawn too; `weights` are made of it."""
        return self._counts(np.random.default_rng(seed), rounds)

    def weights(self, seed: int, rounds: int) -> Iterator[np.ndarray]:
        """(round, row) arrays of how often each row counts, as many rounds at a time as fit into `CHUNK`."""
        rng, step = np.random.default_rng(seed), max(1, CHUNK // len(self.of_row))
        of_attacks = np.random.default_rng((seed, 1))
        for start in range(0, rounds, step):
            block = min(step, rounds - start)
            weights = self._counts(rng, block)[:, self.of_row].astype(np.float64)
            if self.attacks is not None:
                n = self._n_attacks
                drawn = np.hstack([_tally(of_attacks.integers(n, size=(block, n)), n), np.ones((block, 1))])
                weights *= drawn[:, self.attacks]  # bona fide rows, -1, take the last column
            yield weights


def _tally(drawn: np.ndarray, n: int) -> np.ndarray:
    """(round, unit) How often each of `n` units is among the (round, draw) drawn ones."""
    cells = drawn + n * np.arange(len(drawn))[:, None]
    return np.bincount(cells.ravel(), minlength=len(drawn) * n).reshape(-1, n)


@dataclass(frozen=True)
class Estimate:
    """Figures with their bootstrap rounds; arrays lose the figure axis where the statistic is one number.

    A bootstrap of n units with f degrees of freedom is too narrow by sqrt(f / n) and has the tails of a normal rather
    than of a t distribution. Intervals are therefore percentile intervals at expanded levels, and p-values are read on
    t (`sslig.stats.tests`). Both, and what they need, are NaN where the value or all rounds are, or with fewer than
    `LEAST_DOF` degrees of freedom: the data cannot decide.
    """

    value: np.ndarray  # (figure,) where each row counts once
    rounds: np.ndarray  # (round, figure), NaN where a round does not define a figure
    n_units: int
    dof: int

    @cached_property
    def _interval(self) -> np.ndarray:
        return self._quantiles(self._ends)

    @property
    def _ends(self) -> np.ndarray:
        """(end,) Levels of the quantiles that are the ends of the intervals."""
        return expanded(np.array([ALPHA / 2, 1 - ALPHA / 2]), self.n_units, self.dof)

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
        values = np.ravel(self.value)
        p = [
            two_sided_p(column[np.isfinite(column)], value, self.n_units, self.dof)
            for column, value in zip(columns, values, strict=True)
        ]
        return np.where(np.isnan(self.low), np.nan, np.reshape(p, np.shape(self.value)))[()]

    @property
    def error(self) -> np.ndarray:
        """(figure,) Standard errors: the standard deviation of the rounds times sqrt(n / f)."""
        if self.dof < LEAST_DOF:
            return np.full(np.shape(self.value), np.nan)[()]
        deviation = np.nanstd(np.where(np.isnan(self.value), 0.0, self.rounds), axis=0)
        return np.where(np.isnan(self.low), np.nan, deviation * np.sqrt(self.n_units / self.dof))[()]

    def detectable(self, level: float = ALPHA, power: float = POWER) -> np.ndarray:
        """(figure,) The smallest effects that a test at `level` finds with a probability of `power`.

        References
        ----------
        H. S. Bloom, "Minimum detectable effects", Evaluation Review 1995: t_{1 - level / 2} + t_power standard errors.
        """
        return self.error * needed_multiple(self.dof, level, power)

    def ends_between(self) -> np.ndarray:
        """(end, side, figure) Where each end of the interval lies, given how many rounds were drawn.

        The number of n rounds below quantile q is binomial: an end lies between q -/+ 3 sqrt(q (1 - q) / n).
        """
        ends = self._ends
        reach = 3 * np.sqrt(ends * (1 - ends) / max(np.min(self.n_rounds), 1))
        around = np.clip(np.stack([ends - reach, ends + reach], axis=1), 0, 1)
        return self._quantiles(around.ravel()).reshape(2, 2, *np.shape(self.value))

    def __getitem__(self, figure: int | slice | np.ndarray) -> "Estimate":
        """The estimate of some of the figures."""
        return Estimate(self.value[figure], self.rounds[:, figure], self.n_units, self.dof)

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The paired difference of two estimates from the same units, seed and rounds."""
        if self.n_units != other.n_units or len(self.rounds) != len(other.rounds):
            draws = [f"{len(estimate.rounds)} rounds of {estimate.n_units} units" for estimate in (self, other)]
            raise DataError(f"{' and '.join(draws)}; a paired difference needs the same draws")
        return Estimate(self.value - other.value, self.rounds - other.rounds, self.n_units, self.dof)

    def frame(self) -> pd.DataFrame:
        """A row a figure: ``value``, ``low``, ``high`` and ``p``."""
        names = ("value", "low", "high", "p")
        return pd.DataFrame({name: np.atleast_1d(getattr(self, name)) for name in names})

    def _quantiles(self, shares: np.ndarray) -> np.ndarray:
        """(share, figure) Quantiles over the rounds that define a figure."""
        quantiles = np.full((len(shares), *np.shape(self.value)), np.nan)
        some = (self.n_rounds > 0) & np.isfinite(self.value)
        if np.any(some) and np.isfinite(shares).all():
            quantiles[:, some] = np.nanquantile(self.rounds[:, some], shares, axis=0)
        return quantiles


def estimate(
    statistic: Statistic,
    units: Units,
    *,
    seed: int,
    rounds: int = 1000,
    classes: ArrayLike | None = None,
    counted: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Estimate:
    """Resample `units` and compute `statistic` in each round.

    `counted` gives the same values from the (round, unit) counts of `Units.counts`, where that is faster
    (`sslig.stats.resampling`).

    `classes` (row,) name a class of each row, such as ``key``: rounds that draw no row of a class are left out. Where
    the units decide nothing, nothing is drawn.
    """
    if not len(units.of_row):
        raise DataError("no rows to resample; at least one is needed")
    value = np.asarray(statistic(np.ones((1, len(units.of_row)))), dtype=np.float64)
    if units.dof < LEAST_DOF:
        return Estimate(value[0], np.empty((0, *value.shape[1:])), units.n, units.dof)
    if counted is not None:
        return Estimate(value[0], np.asarray(counted(units.counts(seed, rounds))), units.n, units.dof)
    members = [] if classes is None else [np.asarray(classes) == name for name in pd.unique(np.asarray(classes))]
    drawn = []
    for weights in units.weights(seed, rounds):
        complete = np.all([weights[:, rows].any(axis=1) for rows in members], axis=0) & np.ones(len(weights), bool)
        values = np.full((len(weights), *value.shape[1:]), np.nan)
        if complete.any():
            values[complete] = statistic(weights if complete.all() else weights[complete])
        drawn.append(values)
    return Estimate(value[0], np.concatenate(drawn), units.n, units.dof)


def speakers_needed(statistic: Statistic, units: Units, level: float = ALPHA, power: float = POWER) -> np.ndarray:
    """(figure,) How many speakers it takes to find an effect of this size in speakers at large, if they vary as these.

    The statistic is taken over the rows of each speaker alone. With its standard deviation s over speakers, n speakers
    find a mean m at `level` with a probability of `power` where (t_{1 - level / 2} + t_power) s / sqrt(n) <= |m|. At
    least six; infinite where the mean is 0, NaN where fewer than two speakers define the figure.
    """
    from sslig.stats.tests import units_needed

    each = np.asarray(statistic((units.of_speaker == np.arange(units.n_speakers)[:, None]).astype(np.float64)))
    defined = np.isfinite(each)
    deviation = np.full(each.shape[1:], np.nan)
    several = defined.sum(axis=0) > 1
    deviation[several] = np.nanstd(each[:, several], axis=0, ddof=1)
    means = np.where(several, np.where(defined, each, 0.0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan)
    return np.vectorize(lambda mean, spread: units_needed(mean, spread, level, power), otypes=[float])(means, deviation)


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
