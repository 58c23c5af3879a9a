"""Metrics of resampled units from scores that are sorted once: what a bootstrap of a large set spends its time on."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sslig.stats.metrics import COST_METRICS, FA_WEIGHT, METRICS, MISS_WEIGHT, Trials, nearest

CELLS = 2048
"""Coarse thresholds: the counts of each unit between two of them are kept, and only a few cells are looked into."""

MOST_UNITS, LEAST_TRIALS = 4096, 20_000
"""With more units, or fewer trials, weights of all trials are as fast."""

Metrics = Callable[[np.ndarray], np.ndarray]
"""(round, unit) counts of how often each unit is drawn -> (round, metric)."""


def pays(n_units: int, n_trials: int) -> bool:
    """Whether sorted counts are faster than weights of all trials."""
    return n_units <= MOST_UNITS and n_trials >= LEAST_TRIALS


class Counts:
    """Trials of units by coarse threshold, highest score first.

    With n trials and u units, a round costs u `CELLS` products and a look into a few cells instead of n weights. The
    rates of a cell lie between those of its ends and both are monotone: the EER is in the cell where they cross, and
    minDCF in one whose bound, P_miss of its start and P_fa of its end, is below the best end of all cells.

    Parameters
    ----------
    scores, is_bonafide, of_row
        (trial,) Spoof scores, whether they are bona fide, and their units, 0 to `n_units` - 1.
    """

    def __init__(self, scores: ArrayLike, is_bonafide: ArrayLike, of_row: np.ndarray, n_units: int) -> None:
        scores, is_bonafide = np.asarray(scores), np.asarray(is_bonafide, dtype=bool)
        trials = Trials.of(scores[is_bonafide], scores[~is_bonafide])
        order = np.concatenate([np.flatnonzero(is_bonafide), np.flatnonzero(~is_bonafide)])[trials.order]
        self.trials, self.unit = trials, of_row[order]
        self.at = np.unique(np.linspace(0, len(trials.steps) - 1, CELLS + 1).astype(int))  # (cell,) steps at their ends
        cell = np.searchsorted(trials.steps[self.at], np.arange(len(scores)))
        shape, flat = (n_units, len(self.at)), self.unit * len(self.at) + cell
        classes = (trials.is_bonafide, ~trials.is_bonafide)
        self.tables = [np.bincount(flat[part], minlength=shape[0] * shape[1]).reshape(shape) for part in classes]

    def totals(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(round, cell + 1) Bona fide and spoof trials called spoof at the ends of cells, none first."""
        sums = [np.cumsum(counts @ table.astype(np.float64), axis=1) for table in self.tables]
        return tuple(np.pad(part, ((0, 0), (1, 0))) for part in sums)

    def within(self, counts: np.ndarray, totals: Sequence[np.ndarray], first: int, last: int) -> tuple[np.ndarray, ...]:
        """(threshold,) P_miss and P_fa of one round, from the start of cell `first` to the end of cell `last`.

        `counts` are (unit,), `totals` (cell + 1,) of the round.
        """
        steps = self.trials.steps
        start = steps[self.at[first - 1]] + 1 if first else 0
        inside = slice(start, steps[self.at[last]] + 1)
        weights, is_bonafide = counts[self.unit[inside]], self.trials.is_bonafide[inside]
        bonafide, every = np.cumsum(np.where(is_bonafide, weights, 0.0)), np.cumsum(weights)
        here = steps[self.at[first - 1] + 1 if first else 0 : self.at[last] + 1] - start
        bonafide, every = np.append(0.0, bonafide[here]), np.append(0.0, every[here])
        misses, spoofs = totals[0][first] + bonafide, totals[1][first] + every - bonafide
        return misses / totals[0][-1], (totals[1][-1] - spoofs) / totals[1][-1]


def metrics(
    scores: ArrayLike, is_bonafide: ArrayLike, of_row: np.ndarray, n_units: int, names: Sequence[str] = METRICS
) -> Metrics:
    """`sslig.stats.metrics.weighted` on counts of units instead of weights of trials, with the same values."""
    table = Counts(scores, is_bonafide, of_row, n_units)
    classes = (table.trials.is_bonafide, ~table.trials.is_bonafide)
    costs = {name: COST_METRICS[name](table.trials.scores, classes[0]) for name in names if name in COST_METRICS}
    sums = {
        name: [np.bincount(table.unit[part], cost[part], n_units) for part in classes] for name, cost in costs.items()
    }

    def of_counts(counts: np.ndarray) -> np.ndarray:
        counts = np.asarray(counts, dtype=np.float64)
        totals = table.totals(counts)
        values = np.full((len(counts), len(names)), np.nan)
        for row in np.flatnonzero((totals[0][:, -1] > 0) & (totals[1][:, -1] > 0)):
            of_round = [part[row] for part in totals]
            for column, name in enumerate(names):
                if name in sums:
                    parts = zip(sums[name], of_round, strict=True)
                    values[row, column] = sum(counts[row] @ part / total[-1] for part, total in parts)
                else:
                    values[row, column] = CURVES[name](table, counts[row], of_round)
        return values

    return of_counts


def _rates(totals: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return totals[0] / totals[0][-1], (totals[1][-1] - totals[1]) / totals[1][-1]


def _eer(table: Counts, counts: np.ndarray, totals: Sequence[np.ndarray]) -> float:
    p_miss, p_fa = _rates(totals)
    cell = int(np.argmax(p_miss >= p_fa)) - 1
    p_miss, p_fa = table.within(counts, totals, cell, cell)
    at = nearest(p_miss, p_fa)
    return (p_miss[at] + p_fa[at]) / 2


def _min_dcf(table: Counts, counts: np.ndarray, totals: Sequence[np.ndarray]) -> float:
    p_miss, p_fa = _rates(totals)
    best = np.min(MISS_WEIGHT * p_miss + FA_WEIGHT * p_fa)
    promising = np.flatnonzero(MISS_WEIGHT * p_miss[:-1] + FA_WEIGHT * p_fa[1:] < best)
    if not len(promising):
        return best
    p_miss, p_fa = table.within(counts, totals, promising[0], promising[-1])
    return min(best, np.min(MISS_WEIGHT * p_miss + FA_WEIGHT * p_fa))


CURVES = {"eer": _eer, "min_dcf": _min_dcf}
