"""Metrics of detectors with intervals that resample speakers, averaged over seeds, and paired differences."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from sslig.errors import DataError
from sslig.stats.bootstrap import Estimate, Units, estimate
from sslig.stats.metrics import METRICS, conditions, weighted
from sslig.stats.resampling import Clusters, bootstrap  # noqa: F401 until the cues use sslig.stats.bootstrap

SCORES = dict.fromkeys(METRICS, "spoof_score")
"""Metric -> column of scores that it is computed on: all on the scores as they are."""


def estimates(
    trials: pd.DataFrame,
    columns: Mapping[str, str] = SCORES,
    *,
    by: str | Sequence[str] = "detector",
    recordings: bool,
    seed: int,
    rounds: int = 1000,
) -> dict[str | tuple, Estimate]:
    """Estimate metrics of each detector, averaged over its seeds.

    Detectors with the same trials meet the same draws, so the difference of two estimates is paired
    (`sslig.stats.bootstrap.Estimate`).

    Parameters
    ----------
    trials
        A row for each detector, seed and utterance: ``detector``, ``seed``, ``utterance``, ``key``, ``speaker``,
        ``recording`` and scores.
    columns
        Metric (`sslig.stats.metrics.METRICS`) -> column of scores that it is computed on.
    by
        Columns whose values are estimated apart: ``detector``, or ``["detector", "seed"]``.
    recordings
        Whether recordings are resampled within speakers.
    seed, rounds
        Seed and number of the draws.

    Returns
    -------
    dict
        Value of `by` (a tuple for several columns) -> estimate of (metric,) in the order of `columns`.

    Raises
    ------
    DataError
        Seeds scored different utterances, or a class is missing.
    """
    options = {"seed": seed, "rounds": rounds}
    return {name: _mean_over_seeds(_runs(part), columns, recordings, options) for name, part in _parts(trials, by)}


def table(
    trials: pd.DataFrame,
    columns: Mapping[str, str] = SCORES,
    *,
    by: str | Sequence[str] = "detector",
    recordings: bool,
    seed: int,
    rounds: int = 1000,
) -> pd.DataFrame:
    """The `estimates` as a table.

    Returns
    -------
    DataFrame
        `by`, ``metric``, ``value``, ``sd`` (standard deviation over seeds; NaN for one seed), ``low`` and ``high``
        (NaN where there is one unit to resample), ``n_bonafide``, ``n_spoof`` and ``n_speakers``. Values are NaN where
        a class has no trials.
    """
    rows, options = [], {"seed": seed, "rounds": rounds}
    by = [by] if isinstance(by, str) else list(by)
    for name, part in trials.groupby(by, sort=False):
        runs = _runs(part)
        counts = runs[0]["key"].value_counts()
        frame = pd.DataFrame({"value": np.nan, "sd": np.nan, "low": np.nan, "high": np.nan}, index=range(len(columns)))
        if len(counts) == 2:
            frame = _mean_over_seeds(runs, columns, recordings, options).frame().drop(columns="p")
            frame["sd"] = np.std(_by_seed(runs, columns), axis=0, ddof=1) if len(runs) > 1 else np.nan
        rows.append(frame.assign(
            **dict(zip(by, name, strict=True)), metric=list(columns), n_bonafide=counts.get("bonafide", 0),
            n_spoof=counts.get("spoof", 0), n_speakers=runs[0]["speaker"].nunique(),
        ))  # fmt: skip
    order = [*by, "metric", "value", "sd", "low", "high", "n_bonafide", "n_spoof", "n_speakers"]
    return pd.concat(rows, ignore_index=True)[order]


def by_condition(trials: pd.DataFrame, condition: str | Sequence[str], *args, **options) -> pd.DataFrame:
    """The `table` of each condition, such as ``["attack", "codec"]`` (`sslig.stats.metrics.conditions`)."""
    parts = [table(part, *args, **options).assign(**values) for values, part in conditions(trials, condition)]
    names = [condition] if isinstance(condition, str) else list(condition)
    whole = pd.concat(parts, ignore_index=True)
    return whole[[*names, *whole.columns.drop(names)]]


def differences(
    estimates: Mapping[str, Estimate], pairs: Iterable[tuple[str, str]], names: Sequence[str] = METRICS
) -> pd.DataFrame:
    """First minus second detector of each pair: ``first``, ``second``, ``metric``, ``value``, ``low``, ``high``."""
    frames = [
        (estimates[first] - estimates[second]).frame().assign(first=first, second=second, metric=list(names))
        for first, second in pairs
    ]
    columns = ["first", "second", "metric", "value", "low", "high"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _parts(trials: pd.DataFrame, by: str | Sequence[str]) -> Iterable[tuple[str | tuple, pd.DataFrame]]:
    return trials.groupby(by if isinstance(by, str) else list(by), sort=False)


def _runs(trials: pd.DataFrame) -> list[pd.DataFrame]:
    """The trials of each seed of one detector, by utterance."""
    runs = [part.sort_values("utterance") for _, part in trials.groupby(["detector", "seed"], sort=False)]
    for run in runs[1:]:
        if not np.array_equal(run["utterance"], runs[0]["utterance"]):
            names = [f"{part['detector'].iloc[0]} (seed {part['seed'].iloc[0]})" for part in (run, runs[0])]
            raise DataError(f"{names[0]} scored other utterances than {names[1]}; the same are needed")
    return runs


def _statistics(runs: list[pd.DataFrame], columns: Mapping[str, str]) -> list:
    """A function for each seed from (round, trial) weights to (round, metric) values."""
    is_bonafide = runs[0]["key"] == "bonafide"
    judged = {score: [name for name in columns if columns[name] == score] for score in columns.values()}
    order = np.argsort([list(columns).index(name) for names in judged.values() for name in names])

    def of_run(run: pd.DataFrame):
        parts = [weighted(run[score], is_bonafide, names) for score, names in judged.items()]
        return lambda weights: np.concatenate([part(weights) for part in parts], axis=1)[:, order]

    return [of_run(run) for run in runs]


def _by_seed(runs: list[pd.DataFrame], columns: Mapping[str, str]) -> np.ndarray:
    """(seed, metric)"""
    return np.concatenate([statistic(np.ones((1, len(runs[0])))) for statistic in _statistics(runs, columns)])


def _mean_over_seeds(
    runs: list[pd.DataFrame], columns: Mapping[str, str], recordings: bool, options: Mapping[str, int]
) -> Estimate:
    statistics = _statistics(runs, columns)
    units = Units.of_table(runs[0], recordings=recordings)
    return estimate(lambda weights: sum(part(weights) for part in statistics) / len(statistics), units, **options)
