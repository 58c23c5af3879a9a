"""Confidence intervals of metrics: a bootstrap that resamples speakers, sorting the scores once for all rounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.stats.metrics import COST_METRICS, CURVE_METRICS, METRICS, MetricError, Trials, grouped


@dataclass(frozen=True)
class Interval:
    """A metric with its bootstrap percentile interval.

    Parameters
    ----------
    value
        The metric on all trials.
    low, high
        The ends of the interval.
    level
        Its nominal coverage, 0.95 for 95 %.
    rounds
        Rounds that the interval rests on.
    n_speakers
        Speakers of the trials.
    stages
        What was resampled: ``("speakers",)``, ``("speakers", "recordings")`` or ``("recordings",)``.
    left_out
        Rounds that drew no bona fide or no spoof trial and are not among `rounds`.
    """

    value: float
    low: float
    high: float
    level: float
    rounds: int
    n_speakers: int
    stages: tuple[str, ...]
    left_out: int = 0


def bootstrap(
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike,
    metrics: str | Sequence[str] = METRICS,
    *,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
    recordings: ArrayLike | None = None,
) -> dict[str, Interval]:
    """Percentile intervals of metrics from resampling speakers with replacement, all metrics on the same rounds.

    Trials of a speaker, and coded copies of a recording, are not independent; to resample trials would claim far
    too narrow intervals. Speakers are few in small corpora: a second stage then resamples recordings within each
    drawn speaker. With fewer than some twenty speakers a percentile interval remains too narrow; read it as such.

    Parameters
    ----------
    scores, labels, speakers
        (trial,) Spoof scores, labels (`sslig.labels`) and speakers.
    metrics
        Names out of `METRICS`.
    seed
        Of the draws. The same trials in another order give the same intervals.
    rounds
        Draws; those that lack a class are left out and counted.
    level
        Coverage of the interval.
    recordings
        (trial,) Group of dependent trials, such as the original that coded variants stem from: the second stage.

    Raises
    ------
    MetricError
        The arrays do not fit together, a metric is unknown, a class is missing, or nothing is left to resample:
        one speaker only and no `recordings`.

    References
    ----------
    R. M. Bolle et al., "Error analysis of pattern recognition systems -- the subsets bootstrap", 2004.
    C. A. Field and A. H. Welsh, "Bootstrapping clustered data", 2007.
    """
    names = _known_metrics(metrics)
    scores, labels = np.asarray(scores), np.asarray(labels)
    clusters = Clusters.of(speakers, recordings)
    if not scores.shape == labels.shape == clusters.of_trial.shape:
        shapes = f"{scores.shape} scores, {labels.shape} labels and {clusters.of_trial.shape} speakers"
        raise MetricError(f"{shapes}; one of each per trial is needed")
    if not np.isin(labels, (BONAFIDE, SPOOF)).all():
        raise MetricError(f"labels are {BONAFIDE} (bona fide) and {SPOOF} (spoof), got {np.unique(labels)[:5]}")
    if rounds < 1 or not 0 < level < 1:
        raise MetricError(
            f"{rounds} rounds at level {level}; at least one round and a level between 0 and 1 are needed"
        )
    sample = _Sample.of(scores, labels, clusters.of_trial)
    rng = np.random.default_rng(seed)
    drawn = [sample.metrics(clusters.draw(rng), names) for _ in range(rounds)]
    kept = np.array([values for values in drawn if values is not None])  # (round, metric)
    if not len(kept):
        raise MetricError(f"none of {rounds} rounds drew both classes: too few speakers have trials of one of them")
    value = sample.metrics(np.ones(clusters.size.sum(), dtype=np.int64), names)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2], axis=0)
    common = (level, len(kept), len(clusters.size), clusters.stages, rounds - len(kept))
    return {name: Interval(value[i], float(low[i]), float(high[i]), *common) for i, name in enumerate(names)}


def by_group(
    table: pd.DataFrame,
    columns: str | Sequence[str],
    metric: str = "eer",
    *,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
    recordings: str | None = None,
) -> pd.DataFrame:
    """One metric with its interval for each group of `sslig.stats.metrics.by_group`.

    Parameters
    ----------
    table
        Trials with ``spoof_score``, ``key``, ``speaker`` and `columns` (a table of `sslig.scores`).
    columns, metric
        What groups are made of, and one of `METRICS`.
    seed, rounds, level
        As of `bootstrap`; every group has the same seed.
    recordings
        Column of the second stage.

    Returns
    -------
    DataFrame
        `columns`, ``n_bonafide``, ``n_spoof``, `metric`, ``low`` and ``high``; NaN where a class has no trials.

    Raises
    ------
    MetricError
        As of `bootstrap`; the message names the group.
    """
    rows = []
    for group, bonafide, spoof in grouped(table, columns):
        row = {
            **group,
            "n_bonafide": len(bonafide),
            "n_spoof": len(spoof),
            metric: np.nan,
            "low": np.nan,
            "high": np.nan,
        }
        if len(bonafide) and len(spoof):
            trials = pd.concat([bonafide, spoof])
            labels, second = trials["key"].map(KEYS), None if recordings is None else trials[recordings]
            options = {"seed": seed, "rounds": rounds, "level": level, "recordings": second}
            try:
                found = bootstrap(trials["spoof_score"], labels, trials["speaker"], metric, **options)[metric]
            except MetricError as error:
                raise MetricError(f"{', '.join(map(str, group.values()))}: {error}") from error
            row |= {metric: found.value, "low": found.low, "high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Clusters:
    """What is drawn: speakers, and within each its units (recordings, or the speaker as a whole).

    Parameters
    ----------
    of_trial
        (trial,) Unit of each trial.
    size
        (speaker,) Units of each speaker; the units of a speaker are neighbours.
    stages
        What a draw resamples.
    """

    of_trial: np.ndarray
    size: np.ndarray
    stages: tuple[str, ...]

    @classmethod
    def of(cls, speakers: ArrayLike, recordings: ArrayLike | None) -> "Clusters":
        speaker, speaker_names = _codes(speakers, "speakers")
        recording, recording_names = (
            (speaker, speaker_names) if recordings is None else _codes(recordings, "recordings")
        )
        if len(recording) != len(speaker):
            raise MetricError(
                f"{len(recording)} recordings for {len(speaker)} speakers; one of each per trial is needed"
            )
        pairs, of_trial = np.unique(speaker * len(recording_names) + recording, return_inverse=True)
        size = np.bincount(pairs // len(recording_names))
        if len(pairs) == 1:
            remedy = "pass recordings=... to resample them" if recordings is None else "nothing is left to resample"
            raise MetricError(f"all trials are of one speaker ({speaker_names[0]}): {remedy}")
        drawn = (("speakers", len(size) > 1), ("recordings", recordings is not None))
        return cls(of_trial, size, tuple(stage for stage, resampled in drawn if resampled))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(unit,) How often each unit is drawn: speakers with replacement, then units within each drawn speaker."""
        speakers = rng.integers(len(self.size), size=len(self.size))
        if "recordings" not in self.stages:
            return np.bincount(speakers, minlength=len(self.size))
        first = np.cumsum(self.size) - self.size
        n_units = np.repeat(self.size[speakers], self.size[speakers])
        units = np.repeat(first[speakers], self.size[speakers]) + rng.integers(n_units)
        return np.bincount(units, minlength=self.size.sum())


@dataclass(frozen=True)
class _Sample:
    """Sorted trials and the sums over each unit that make metrics of a draw cheap."""

    trials: Trials
    unit: np.ndarray  # (trial,) of the sorted trials
    count: np.ndarray  # (class, unit)
    cost: dict[str, np.ndarray]  # (class, unit) of each metric of COST_METRICS

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray, unit: np.ndarray) -> "_Sample":
        trials = Trials.of(scores[labels == BONAFIDE], scores[labels == SPOOF])
        unit = np.concatenate([unit[labels == BONAFIDE], unit[labels == SPOOF]])[trials.order]
        n_units = unit.max() + 1
        row = np.where(trials.is_bonafide, BONAFIDE, SPOOF) * n_units + unit

        def per_unit(values: np.ndarray | None) -> np.ndarray:
            return np.bincount(row, values, minlength=2 * n_units).reshape(2, n_units)

        costs = {name: per_unit(cost(trials.scores, trials.is_bonafide)) for name, cost in COST_METRICS.items()}
        return cls(trials, unit, per_unit(None), costs)

    def metrics(self, drawn: np.ndarray, names: Sequence[str]) -> list[float] | None:
        """The metrics where unit u counts ``drawn[u]`` times; None where a class is missing."""
        count = self.count @ drawn  # (class,)
        if not count.all():
            return None
        values = {name: float(np.sum(self.cost[name] @ drawn / count)) for name in names if name in COST_METRICS}
        if len(values) < len(names):
            rates = self.trials.rates(drawn[self.unit])
            values |= {name: CURVE_METRICS[name](*rates) for name in names if name in CURVE_METRICS}
        return [values[name] for name in names]


def _known_metrics(metrics: str | Sequence[str]) -> list[str]:
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise MetricError(f"unknown metrics {unknown}; accepted: {', '.join(METRICS)}")
    return names


def _codes(values: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    codes, names = pd.factorize(np.asarray(values), sort=True)
    if (codes < 0).any():
        raise MetricError(f"{name}: {np.count_nonzero(codes < 0)} trials have none")
    return codes, names
