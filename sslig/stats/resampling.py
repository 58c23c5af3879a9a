"""Percentile intervals of any statistic of weighted trials, from a bootstrap that resamples speakers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sslig.stats.intervals import Clusters
from sslig.stats.metrics import MetricError

Statistic = Callable[[np.ndarray], ArrayLike]
"""From (trial,) how often each trial counts to (value,) figures; NaN where there is none in that draw."""


class Spread(NamedTuple):
    """(value,) arrays: the statistic of all trials and the ends of its intervals, NaN where no round had one."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def percentiles(
    statistic: Statistic,
    speakers: ArrayLike,
    *,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
    recordings: ArrayLike | None = None,
) -> Spread:
    """Percentile intervals of `statistic` from resampling speakers with replacement, all values on the same rounds.

    The draws are those of `sslig.stats.intervals.bootstrap`: the same seed, speakers and recordings give the same rounds.

    Parameters
    ----------
    statistic
        What is measured; it is called once with ones and once a round.
    speakers, recordings
        (trial,) As of `sslig.stats.intervals.bootstrap`.
    seed, rounds, level
        As of `sslig.stats.intervals.bootstrap`.

    Raises
    ------
    MetricError
        Nothing can be resampled, or `rounds` or `level` are out of range.
    """
    if rounds < 1 or not 0 < level < 1:
        raise MetricError(f"{rounds} rounds at level {level}; at least one and a level between 0 and 1 are needed")
    clusters = Clusters.of(speakers, recordings)
    rng = np.random.default_rng(seed)
    value = np.atleast_1d(np.asarray(statistic(np.ones(len(clusters.of_trial), dtype=np.int64)), dtype=np.float64))
    drawn = np.stack([statistic(clusters.draw(rng)[clusters.of_trial]) for _ in range(rounds)])
    low, high = np.full((2, len(value)), np.nan)
    for column, values in enumerate(drawn.reshape(rounds, -1).T):
        if not np.isnan(values).all():
            low[column], high[column] = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Spread(value, low, high)
