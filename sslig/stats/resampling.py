"""The interface of the former bootstraps on `sslig.stats.bootstrap`, until their last callers have moved there."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from sslig.labels import BONAFIDE
from sslig.stats.bootstrap import Units, estimate
from sslig.stats.metrics import METRICS, weighted


class Clusters(Units):
    """Units by their former name."""

    @property
    def of_trial(self):
        return self.of_row

    def draw(self, rng):
        return self.counts(rng, 1)[0]


class Spread(NamedTuple):
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def percentiles(statistic, speakers, *, seed, rounds=1000, level=0.95, recordings=None):
    def many(weights):
        return np.stack([np.atleast_1d(statistic(row)) for row in weights])

    drawn = estimate(many, Units.of(speakers, recordings), seed=seed, rounds=rounds, level=level)
    return Spread(drawn.value, drawn.low, drawn.high)


def bootstrap(scores, labels, speakers, metrics=METRICS, *, seed, rounds=1000, level=0.95, recordings=None):
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    statistic = weighted(scores, np.asarray(labels) == BONAFIDE, names)
    drawn = estimate(statistic, Units.of(speakers, recordings), seed=seed, rounds=rounds, level=level)
    return {
        name: SimpleNamespace(value=drawn.value[i], low=drawn.low[i], high=drawn.high[i])
        for i, name in enumerate(names)
    }
