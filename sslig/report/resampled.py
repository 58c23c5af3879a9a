"""Metrics averaged over seeds, and differences of systems on the same trials, with intervals that resample speakers."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig.labels import BONAFIDE, KEYS
from sslig.stats.metrics import COST_METRICS, CURVE_METRICS, METRICS, Trials
from sslig.stats.resampling import Spread, percentiles
from sslig.study import Evaluation

HEADINGS = {"eer": "EER", "min_dcf": "minDCF", "act_dcf": "actDCF", "cllr": "Cllr (bits)"}
"""Metric -> how pages call it."""

SCORE_COLUMNS = dict.fromkeys(METRICS, "spoof_score")
"""Every metric of the scores as they are."""


def over_seeds(
    trials: pd.DataFrame, columns: Mapping[str, str], options: Evaluation, *, seed: int
) -> pd.DataFrame:  # fmt: skip
    """Metrics of each detector: their mean and standard deviation over its seeds, and the interval of the mean.

    All detectors and seeds meet the same drawn speakers. With one seed an interval is that of
    `sslig.stats.intervals.bootstrap`.

    Parameters
    ----------
    trials
        A row for each detector, seed and utterance, the same utterances for all: ``detector``, ``seed``,
        ``utterance``, ``key``, ``speaker``, ``recording`` and scores.
    columns
        Metric (`sslig.stats.metrics.METRICS`) -> the column of scores that it judges.
    options
        Rounds, and whether recordings are resampled.
    seed
        Of the draws.

    Returns
    -------
    DataFrame
        ``detector``, ``metric``, ``value``, ``sd`` (NaN of one seed), ``low``, ``high`` (NaN where there is nothing to
        resample), ``n_bonafide``, ``n_spoof`` and ``n_speakers``; values are NaN where a class has no trials.

    Raises
    ------
    ValueError
        Not all detectors and seeds scored the same utterances.
    """
    about, runs = _runs(trials)
    detectors = list(dict.fromkeys(detector for detector, _ in runs))
    counts = {f"n_{key}": int((about["key"] == key).sum()) for key in KEYS}
    found, deviation = Spread(*np.full((3, len(detectors) * len(columns)), np.nan)), np.nan
    if all(counts.values()):
        judges = [_Judge.of(part, columns) for part in runs.values()]
        of_detector = np.array([[own == name for own, _ in runs] for name in detectors], dtype=float)  # (detector, run)
        average = of_detector / of_detector.sum(axis=1, keepdims=True)
        found = spread(lambda weights: (average @ [judge(weights) for judge in judges]).ravel(), about, options, seed)
        values = np.array([judge(np.ones(len(about))) for judge in judges])  # (run, metric)
        deviation = np.concatenate([_deviation(values[own > 0]) for own in of_detector])
    return pd.DataFrame({
        "detector": np.repeat(detectors, len(columns)), "metric": list(columns) * len(detectors), "value": found.value,
        "sd": deviation, "low": found.low, "high": found.high, **counts, "n_speakers": about["speaker"].nunique(),
    })  # fmt: skip


def difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    columns: Mapping[str, str],
    options: Evaluation,
    *,
    seed: int,
    second_columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Metrics of one detector less those of another, seed by seed and averaged.

    Each round draws the same speakers for both, so the interval is that of a paired difference.

    Parameters
    ----------
    first, second
        Trials as of `over_seeds`, of one detector each, of the same seeds and utterances; both classes.
    columns, second_columns
        Metric -> the column of scores that it judges, of `first` and of `second`; by default the same.
    options, seed
        As of `over_seeds`.

    Returns
    -------
    DataFrame
        ``metric``, ``value`` (first - second), ``low`` and ``high``.

    Raises
    ------
    ValueError
        Seeds or utterances differ.
    """
    about, runs = _runs(pd.concat([first.assign(detector=0), second.assign(detector=1)]))
    ours, theirs = ([trained for side, trained in runs if side == wanted] for wanted in (0, 1))
    if ours != theirs:
        raise ValueError(f"seeds {ours} and {theirs}; a difference is one of the same seeds")
    pairs = [
        (_Judge.of(runs[0, one], columns), _Judge.of(runs[1, one], second_columns or columns)) for one in ours
    ]  # fmt: skip
    found = spread(lambda weights: sum(a(weights) - b(weights) for a, b in pairs) / len(pairs), about, options, seed)
    return pd.DataFrame({"metric": list(columns), **found._asdict()})


def spread(
    statistic: Callable[[np.ndarray], np.ndarray], about: pd.DataFrame, options: Evaluation, seed: int
) -> Spread:  # fmt: skip
    """Intervals of a statistic (`sslig.stats.resampling.percentiles`) of trials with ``speaker`` and ``recording``.

    They are NaN where all that could be drawn is one speaker or one recording.
    """
    units = ["speaker", "recording"] if options.resample_recordings else ["speaker"]
    if len(about[units].drop_duplicates()) == 1:
        value = statistic(np.ones(len(about)))
        return Spread(value, *np.full((2, len(value)), np.nan))
    recordings = about["recording"] if options.resample_recordings else None
    return percentiles(statistic, about["speaker"], seed=seed, rounds=options.rounds, recordings=recordings)


def interval_text(row: Mapping[str, float], metric: str = "", *, signed: bool = False) -> str:
    """A figure as tables show it: ``12.3 % [10.1, 14.5]``; rates (``eer``) in percent, with ± where ``sd`` is known."""
    scale, decimals, unit = (100, 1, " %") if metric == "eer" else (1, 2, "")
    if np.isnan(row["value"]):
        return ""
    # Adding 0.0 turns what rounds to -0 into 0.
    value, low, high = (f"{round(scale * row[name], decimals) + 0.0:{'+' if signed else ''}.{decimals}f}"
                        for name in ("value", "low", "high"))  # fmt: skip
    deviation = row.get("sd", np.nan)
    within = "" if np.isnan(deviation) else f" ± {scale * deviation:.{decimals}f}"
    interval = "" if np.isnan(row["low"]) else f" [{low}, {high}]"
    return f"{value}{within}{unit}{interval}"


def _runs(trials: pd.DataFrame) -> tuple[pd.DataFrame, dict[tuple[str, int], pd.DataFrame]]:
    """What is known of each utterance, and the trials of each detector and seed, all in the order of their names."""
    runs = {
        name: part.sort_values("utterance") for name, part in trials.groupby(["detector", "seed"], sort=False)
    }  # fmt: skip
    first, about = next(iter(runs.items()))
    for name, part in runs.items():
        if not np.array_equal(part["utterance"], about["utterance"]):
            raise ValueError(f"{name[0]} (seed {name[1]}) scored other utterances than {first[0]} (seed {first[1]})")
    return about[["utterance", "key", "speaker", "recording"]], runs


def _deviation(values: np.ndarray) -> np.ndarray:
    """(metric,) Standard deviation of (run, metric) values; NaN of one run."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)


class _Scores(NamedTuple):
    """One column of scores, sorted once, and the metrics that judge it."""

    trials: Trials
    positions: np.ndarray  # (trial,) where each sorted trial stands in the table
    names: list[str]
    costs: dict[str, np.ndarray]  # (trial,) of the metrics that are mean costs

    @classmethod
    def of(cls, scores: np.ndarray, is_bonafide: np.ndarray, names: list[str]) -> "_Scores":
        trials = Trials.of(scores[is_bonafide], scores[~is_bonafide])
        places = np.concatenate([np.flatnonzero(is_bonafide), np.flatnonzero(~is_bonafide)])
        costs = {name: COST_METRICS[name](trials.scores, trials.is_bonafide) for name in names if name in COST_METRICS}
        return cls(trials, places[trials.order], names, costs)

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        weights = weights[self.positions]
        n = np.bincount(self.trials.is_bonafide, weights, minlength=2)
        if not n.all():
            return dict.fromkeys(self.names, np.nan)
        of_class = weights / n[self.trials.is_bonafide.astype(int)]  # (trial,) each class sums to one
        rates = self.trials.rates(weights) if len(self.costs) < len(self.names) else ()
        return {
            name: float(self.costs[name] @ of_class) if name in self.costs else CURVE_METRICS[name](*rates)
            for name in self.names
        }


class _Judge(NamedTuple):
    """(metric,) Metrics of one seed as a function of how often each utterance counts."""

    columns: list[_Scores]
    order: list[str]

    @classmethod
    def of(cls, part: pd.DataFrame, columns: Mapping[str, str]) -> "_Judge":
        is_bonafide = (part["key"].map(KEYS) == BONAFIDE).to_numpy()
        names = {column: [name for name in columns if columns[name] == column] for column in columns.values()}
        return cls([_Scores.of(part[column].to_numpy(), is_bonafide, judged) for column, judged in names.items()],
                   list(columns))  # fmt: skip

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        found = {name: value for scores in self.columns for name, value in scores(weights).items()}
        return np.array([found[name] for name in self.order])
