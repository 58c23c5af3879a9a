"""Metrics and operating points with intervals that resample speakers, averaged over seeds, and paired differences.

`recordings` says whether recordings are resampled within speakers; `seed` and `rounds` are those of the draws.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from sslig.errors import DataError
from sslig.stats import resampling
from sslig.stats.bootstrap import Estimate, Statistic, Units, estimate
from sslig.stats.metrics import METRICS, MIN_CLLR, Trials, by_class, conditions, operating_point, position, weighted
from sslig.stats.tests import corrected

SCORES = dict.fromkeys(METRICS, "spoof_score")
RATES = (0.01, 0.001)


def estimates(
    trials: pd.DataFrame, columns: Mapping[str, str] = SCORES, *, recordings: bool, seed: int, rounds: int = 1000
) -> dict[str, Estimate]:
    """Detector -> estimate of (metric,) in the order of `columns`, averaged over its seeds.

    Detectors with the same trials meet the same draws, so the difference of two estimates is paired.

    Parameters
    ----------
    trials
        ``detector``, ``seed``, ``utterance``, ``key``, ``speaker``, scores and, where resampled, ``recording``.
    columns
        Metric (`sslig.stats.metrics.METRICS`) -> column of scores that it is computed on.

    Raises
    ------
    DataError
        Seeds scored different utterances, or a class is missing.
    """
    draws = {"recordings": recordings, "seed": seed, "rounds": rounds}
    return {name: _estimate(runs, columns, **draws) for (name,), runs in _runs(trials, ["detector"])}


def table(
    trials: pd.DataFrame,
    columns: Mapping[str, str] = SCORES,
    *,
    by: Sequence[str] = ("detector",),
    recordings: bool,
    seed: int,
    rounds: int = 1000,
) -> pd.DataFrame:
    """The `estimates` as a table, of each detector, or of each seed with ``by=["detector", "seed"]``.

    Returns
    -------
    DataFrame
        `by`, ``metric``, ``value``, ``sd`` (standard deviation over seeds; NaN for one seed), ``low`` and ``high``
        (NaN where there is one unit to resample), ``n_bonafide``, ``n_spoof`` and ``n_speakers``. Values are NaN where
        a class has no trials.
    """
    parts = []
    for names, runs in _runs(trials, list(by)):
        counts = runs[0]["key"].value_counts()
        frame = pd.DataFrame(np.nan, index=range(len(columns)), columns=["value", "sd", "low", "high"])
        if len(counts) == 2:
            drawn = _estimate(runs, columns, recordings=recordings, seed=seed, rounds=rounds)
            by_seed = [statistic(np.ones((1, len(runs[0]))))[0] for statistic in _statistics(runs, columns)]
            deviation = np.std(by_seed, axis=0, ddof=1) if len(runs) > 1 else np.nan
            frame = drawn.frame()[["value", "low", "high"]].assign(sd=deviation)
        sizes = {f"n_{key}": counts.get(key, 0) for key in ("bonafide", "spoof")}
        sizes |= {"n_speakers": runs[0]["speaker"].nunique(), "metric": list(columns)}
        parts.append(frame.assign(**dict(zip(by, names, strict=True)), **sizes))
    order = [*by, "metric", "value", "sd", "low", "high", "n_bonafide", "n_spoof", "n_speakers"]
    return pd.concat(parts, ignore_index=True)[order]


def by_condition(trials: pd.DataFrame, condition: str | Sequence[str], *args, **options) -> pd.DataFrame:
    """The `table` of each condition, such as ``["attack", "codec"]`` (`sslig.stats.metrics.conditions`)."""
    names = [condition] if isinstance(condition, str) else list(condition)
    parts = [table(part, *args, **options).assign(**values) for values, part in conditions(trials, names)]
    whole = pd.concat(parts, ignore_index=True)
    return whole[[*names, *whole.columns.drop(names)]]


def differences(
    estimates: Mapping[str, Estimate], pairs: Iterable[tuple[str, str]], names: Sequence[str] = METRICS
) -> pd.DataFrame:
    """First minus second detector of each pair, on the same trials and draws.

    ``first``, ``second``, ``metric``, ``value``, ``low``, ``high``, and ``p`` with ``p_holm``, ``family`` and
    ``significant`` over all rows.
    """
    columns = ["first", "second", "metric", "value", "low", "high", "p"]
    frames = [
        (estimates[first] - estimates[second]).frame().assign(first=first, second=second, metric=list(names))
        for first, second in pairs
    ]
    table = pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    return corrected(table.astype({"p": float}))


def operating_points(
    scores: pd.DataFrame, rates: Sequence[float] = RATES, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """The EER, the BPCER at each APCER and the APCER at each BPCER of one detector, with intervals.

    `rates` are the error rates to hold. Each round takes its own thresholds, because the figure is that of the best
    threshold for the trials at hand.

    Returns
    -------
    DataFrame
        ``point``, ``threshold``, ``fnmr``, ``fmr``, ``value`` (the EER, or the rate that is not held), ``low``,
        ``high``, ``errors_allowed`` (trials that the held rate lets through; below one, the point depends on the size
        of the set rather than on the detector), ``n_bonafide`` and ``n_spoof``.
    """
    bonafide, spoof = by_class(scores)
    trials = Trials.of(bonafide, spoof)
    ordered = pd.concat([scores[scores["key"] == key] for key in ("bonafide", "spoof")]).iloc[trials.order]
    kinds = [("eer", np.nan), *(("fmr", rate) for rate in rates), *(("fnmr", rate) for rate in rates)]
    points = [operating_point(bonafide, spoof, *kind) for kind in kinds]

    def values(weights: np.ndarray) -> np.ndarray:
        p_miss, p_fa = trials.rates(weights)
        of_kind = {"eer": (p_miss + p_fa) / 2, "fmr": p_miss, "fnmr": p_fa}
        at = [position(*kind, p_miss, p_fa)[:, None] for kind in kinds]
        columns = [np.take_along_axis(of_kind[kind], where, axis=1) for (kind, _), where in zip(kinds, at, strict=True)]
        return np.concatenate(columns, axis=1)

    units = Units.of_table(ordered, recordings=recordings)
    figures = estimate(values, units, seed=seed, rounds=rounds, classes=trials.is_bonafide)
    names = {"eer": "EER", "fmr": "BPCER at APCER {:g} %", "fnmr": "APCER at BPCER {:g} %"}
    sizes = {"eer": np.nan, "fmr": len(spoof), "fnmr": len(bonafide)}
    return pd.DataFrame(points, columns=["threshold", "fnmr", "fmr"]).assign(
        **figures.frame()[["value", "low", "high"]],
        point=[names[kind].format(100 * rate) for kind, rate in kinds],
        errors_allowed=[rate * sizes[kind] for kind, rate in kinds],
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
    )


def _runs(trials: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple, list[pd.DataFrame]]]:
    """The values of `by` and the trials of each seed, in the order of their utterances."""
    for names, part in trials.groupby(by, sort=False):
        runs = [run.sort_values("utterance") for _, run in part.groupby("seed", sort=False)]
        for run in runs[1:]:
            if not np.array_equal(run["utterance"], runs[0]["utterance"]):
                seeds = [f"seed {other['seed'].iloc[0]}" for other in (run, runs[0])]
                raise DataError(f"{names[0]}: {seeds[0]} scored other utterances than {seeds[1]}; the same are needed")
        yield names, runs


def _statistics(runs: list[pd.DataFrame], columns: Mapping[str, str], made: Callable = weighted) -> list[Statistic]:
    """A function for each seed to (round, metric) values, of what `made` makes of scores: (round, trial) weights."""
    is_bonafide = runs[0]["key"] == "bonafide"
    by_score = {score: [name for name in columns if columns[name] == score] for score in columns.values()}
    order = np.argsort([list(columns).index(name) for names in by_score.values() for name in names])

    def statistic(run: pd.DataFrame) -> Statistic:
        parts = [made(run[score], is_bonafide, names=names) for score, names in by_score.items()]
        return lambda weights: np.concatenate([part(weights) for part in parts], axis=1)[:, order]

    return [statistic(run) for run in runs]


def _estimate(runs: list[pd.DataFrame], columns: Mapping[str, str], *, recordings: bool, **draws: int) -> Estimate:
    units = Units.of_table(runs[0], recordings=recordings)
    statistics = [_statistics(runs, columns)]
    if resampling.pays(units.n, len(runs[0])) and MIN_CLLR not in columns:
        made = partial(resampling.metrics, of_row=units.of_row, n_units=units.n)
        statistics.append(_statistics(runs, columns, made))
    statistic, *counted = [
        lambda draw, parts=parts: sum(part(draw) for part in parts) / len(runs) for parts in statistics
    ]
    return estimate(statistic, units, counted=counted[0] if counted else None, **draws)
