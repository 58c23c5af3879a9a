"""Shortcuts: whether plain measures of recordings separate classes, follow the scores of detectors, or predict them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from sslig import processes
from sslig.labels import KEYS
from sslig.stats.bootstrap import Statistic, Units, cliffs_delta, estimate, spearman
from sslig.stats.metrics import eer, weighted
from sslig.stats.tests import NO_SPREAD, corrected, correlation

SHORTCUTS = "shortcuts"
"""The name of the shortcut detector among detectors."""

ALL = "all"
"""Both classes together; a correlation there may only reflect the classes."""

NEITHER = "neither"
"""Marks a measure with equal errors in both directions and a Cliff's delta of 0."""

FOLDS = 5
PENALTIES = np.logspace(0, 4, 9)
"""Ridge penalties, for standardised measures, among which the training part of a fold chooses."""
SHUFFLES = 5

FIT_COLUMNS = ["detector", "key", "model", "r2", "low", "high", "n", "n_groups", "folds"]
IMPORTANCE_COLUMNS = ["detector", "key", "measure", "importance"]


def separation(
    table: pd.DataFrame,
    measures: Sequence[str],
    *,
    by: str = "key",
    pair: tuple[str, str] = tuple(KEYS),
    recordings: bool,
    seed: int,
    rounds: int = 1000,
    workers: int = 1,
) -> pd.DataFrame:
    """How well each measure alone separates two groups of utterances, in the direction with fewer errors.

    The bootstrap keeps that direction, so an interval reaches above 50 % where another sample could have the other.

    Parameters
    ----------
    table
        A row per utterance with `by`, ``speaker``, ``recording`` (where these are resampled) and `measures`, whose
        missing values are left out and counted.
    by, pair
        Column of the groups, and the two groups to compare; other rows are ignored.
    recordings
        Whether recordings are resampled within speakers.
    seed, rounds
        Seed and number of bootstrap rounds.

    Returns
    -------
    DataFrame
        A row per measure: ``measure``; ``eer`` with ``low`` and ``high``; ``larger_in``, the group with the larger
        values or `NEITHER`; ``delta`` (Cliff's, positive where the second group has the larger values) with
        ``delta_low`` and ``delta_high``; ``p`` of a delta of 0 with ``p_holm``, ``family`` and ``significant``;
        ``n_first``, ``n_second`` and ``n_missing``. Figures are NaN where a group has no value, intervals and p where
        there are too few units to decide.
    """
    part = table[table[by].isin(pair)]
    jobs = [(part, names, by, pair, recordings, seed, rounds) for names in _alike(part, measures)]
    return corrected(pd.DataFrame([row for rows in processes.each(_separation, jobs, workers) for row in rows]))


def score_correlation(
    table: pd.DataFrame,
    measures: Sequence[str],
    *,
    recordings: bool,
    seed: int,
    rounds: int = 1000,
    workers: int = 1,
) -> pd.DataFrame:
    """Correlation of the scores of detectors with each measure, over all utterances and within each class.

    Parameters
    ----------
    table
        A row per detector and utterance with ``detector``, ``key``, ``speaker``, ``recording`` (where these are
        resampled), ``spoof_score`` and `measures`; the other parameters are those of `separation`.

    Returns
    -------
    DataFrame
        ``detector``, ``key`` (`ALL` or a class), ``measure``, ``pearson``, ``spearman`` with ``low``, ``high`` and
        ``p``, ``n`` and ``n_missing``, and ``p_holm``, ``family`` and ``significant`` over all rows. A constant measure
        has no correlation (NaN).
    """
    jobs = [(*part, names, recordings, seed, rounds) for part in _parts(table) for names in _alike(part[1], measures)]
    return corrected(pd.DataFrame([row for rows in processes.each(_correlation, jobs, workers) for row in rows]))


def score_models(
    table: pd.DataFrame,
    measures: Sequence[str],
    folds_of: str,
    *,
    recordings: bool,
    seed: int,
    rounds: int = 1000,
    workers: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict the scores of each detector from the measures alone, by cross-validation.

    R2 = 1 - sum (score - predicted)^2 / sum (score - mean score)^2 over the predictions for all held-out folds. Over
    both classes, a measure that separates the classes predicts the score of any good detector; models of one class
    have no such advantage.

    Parameters
    ----------
    table
        As for `score_correlation`, with the column `folds_of` too.
    folds_of
        ``recording`` or ``speaker``: no two folds share one.
    seed, rounds
        Seed of folds, models, shuffles and bootstrap; its rounds over the predictions. Models are not refitted.

    Returns
    -------
    fits, importances
        ``detector``, ``key`` (`ALL` or a class), ``model``, ``r2`` with ``low`` and ``high``, ``n``, ``n_groups`` and
        ``folds``; and for the linear model ``detector``, ``key``, ``measure``, ``importance``: the loss of R2 when the
        measure is shuffled within held-out folds, largest first. Correlated measures share their importance. Both
        tables lack detectors and classes with fewer than two groups.

    References
    ----------
    L. Breiman, "Random forests", 2001, section 10 (permutation importance).
    """
    parts = [part for part in _parts(table) if part[1][folds_of].nunique() >= 2]
    jobs = [(*part, model, list(measures), folds_of, recordings, seed, rounds) for part in parts for model in MODELS]
    results = list(processes.each(_model, jobs, workers))
    fits, importances = [fit for fit, _ in results], [row for _, rows in results for row in rows]
    return pd.DataFrame(fits, columns=FIT_COLUMNS), pd.DataFrame(importances, columns=IMPORTANCE_COLUMNS)


def detector_scores(
    train: pd.DataFrame, tables: Sequence[pd.DataFrame], measures: Sequence[str], *, seed: int
) -> list[np.ndarray]:
    """Spoof scores (logits) of a detector that knows nothing but the measures: boosted trees, fitted to `train`.

    `train` has a row an utterance with ``key`` and `measures`; each of `tables` has `measures`. Missing values are
    values too. Both classes weigh the same.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    options = {"max_iter": 100, "max_leaf_nodes": 8, "min_samples_leaf": 10, "class_weight": "balanced"}
    model = HistGradientBoostingClassifier(**options, random_state=seed)
    model.fit(train[list(measures)].to_numpy(dtype=np.float64), train["key"] == "spoof")
    return [model.decision_function(table[list(measures)].to_numpy(dtype=np.float64)) for table in tables]


def ridge(seed: int):
    """A linear model of standardised measures; missing values become the median, and a measure marks them."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler(), RidgeCV(PENALTIES))


def boosting(seed: int):
    """Small gradient-boosted trees, which handle missing values."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=100, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed)


LINEAR = "ridge"
MODELS: dict[str, Callable] = {LINEAR: ridge, "boosting": boosting}
"""Name -> function that makes a model from a seed."""


def r2(scores: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Share of the variance of (row,) scores that (row,) predictions explain; NaN where scores do not vary."""

    def explained(weights: np.ndarray) -> np.ndarray:
        mean = weights @ scores / weights.sum(axis=1)  # (round,)
        total = (weights * (scores - mean[:, None]) ** 2).sum(axis=1)
        varies = total > NO_SPREAD * (weights @ scores**2)
        return 1 - weights @ (scores - predicted) ** 2 / np.where(varies, total, np.nan)

    return explained


def _separation(
    table: pd.DataFrame, measures: list[str], by: str, pair: tuple[str, str], recordings: bool, seed: int, rounds: int
) -> list[dict[str, float | str]]:
    """The rows of measures with values for the same utterances, which share the draws of the bootstrap."""
    part = table[table[measures[0]].notna()]
    second = (part[by] == pair[1]).to_numpy()
    counts = {"n_first": int((~second).sum()), "n_second": int(second.sum()), "n_missing": len(table) - len(part)}
    if not counts["n_first"] or not counts["n_second"]:
        figures = ["eer", "low", "high", "larger_in", "delta", "delta_low", "delta_high", "p"]
        return [{"measure": name, **dict.fromkeys(figures, np.nan), **counts} for name in measures]
    statistics, larger_in = [], []
    for name in measures:
        values = part[name].to_numpy(dtype=np.float64)
        delta = cliffs_delta(values, second)
        up, down = (eer(sign * values[~second], sign * values[second]) for sign in (1, -1))
        difference = delta(np.ones((1, len(part))))[0]
        rises = up < down or (up == down and difference >= 0)
        statistics += [delta, weighted(values if rises else -values, ~second, ["eer"])]
        larger_in.append(NEITHER if up == down and difference == 0 else pair[int(rises)])
    figures = _estimated(statistics, part, recordings, seed, rounds)
    deltas = figures[::2].rename(columns={"value": "delta", "low": "delta_low", "high": "delta_high"})
    rates = figures[1::2].rename(columns={"value": "eer"}).drop(columns="p")
    rates.insert(0, "measure", measures)
    rows = rates.assign(larger_in=larger_in).reset_index(drop=True).join(deltas.reset_index(drop=True))
    return rows.assign(**counts).to_dict("records")


def _correlation(
    labels: dict[str, str], table: pd.DataFrame, measures: list[str], recordings: bool, seed: int, rounds: int
) -> list[dict[str, float | str]]:
    """The rows of measures with values for the same utterances."""
    part = table[table[measures[0]].notna()]
    counts = {"n": len(part), "n_missing": len(table) - len(part)}
    if part.empty:
        empty = dict.fromkeys(["pearson", "spearman", "low", "high", "p"], np.nan)
        return [labels | {"measure": name} | empty | counts for name in measures]
    pairs = [(part[name].to_numpy(dtype=np.float64), part["spoof_score"].to_numpy()) for name in measures]
    linear = [correlation(*pair, ranks=False) for pair in pairs]
    figures = _estimated([spearman(*pair) for pair in pairs], part, recordings, seed, rounds)
    figures.insert(0, "pearson", linear)
    figures.insert(0, "measure", measures)
    rows = figures.rename(columns={"value": "spearman"}).assign(**counts)
    return [labels | row for row in rows.to_dict("records")]


def _estimated(
    statistics: Sequence[Statistic], table: pd.DataFrame, recordings: bool, seed: int, rounds: int
) -> pd.DataFrame:
    """A row per statistic: ``value``, ``low``, ``high`` and ``p``, all from the same draws."""

    def figures(weights: np.ndarray) -> np.ndarray:
        return np.stack([np.reshape(statistic(weights), len(weights)) for statistic in statistics], axis=1)

    units = Units.of_table(table, recordings=recordings)
    return estimate(figures, units, seed=seed, rounds=rounds).frame()


def _model(
    labels: dict[str, str],
    part: pd.DataFrame,
    model: str,
    measures: list[str],
    folds_of: str,
    recordings: bool,
    seed: int,
    rounds: int,
) -> tuple[dict, list[dict]]:
    """The row of a fit, and the rows of its importances."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = part[folds_of].nunique()
    # Stratified, so that no fold lacks a class where the groups allow it.
    folds = StratifiedGroupKFold(min(FOLDS, n_groups), shuffle=True, random_state=seed)
    splits = [s for s in folds.split(part, part["key"], part[folds_of]) if len(s[0]) and len(s[1])]
    predicted, importance = _held_out(part, measures, splits, model, seed)
    units = Units.of_table(part, recordings=recordings)
    fit = estimate(r2(part["spoof_score"].to_numpy(), predicted), units, seed=seed, rounds=rounds)
    values = {"model": model, "r2": float(fit.value), "low": float(fit.low), "high": float(fit.high)}
    counts = {"n": len(part), "n_groups": n_groups, "folds": len(splits)}
    order = np.argsort(-importance, kind="stable")
    return labels | values | counts, [labels | {"measure": measures[i], "importance": importance[i]} for i in order]


def _held_out(
    part: pd.DataFrame, measures: list[str], splits: list[tuple[np.ndarray, np.ndarray]], model: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(row,) predictions by models that have not seen the row's group, and (measure,) importances in the linear one."""
    from sklearn.inspection import permutation_importance

    inputs, target = part[measures].to_numpy(dtype=np.float64), part["spoof_score"].to_numpy(dtype=np.float64)
    predicted, losses = np.full(len(part), np.nan), []
    options = {"scoring": "neg_mean_squared_error", "n_repeats": SHUFFLES, "random_state": seed}
    for train, test in splits:
        fitted = MODELS[model](seed).fit(inputs[train], target[train])
        predicted[test] = fitted.predict(inputs[test])
        if model == LINEAR:
            loss = permutation_importance(fitted, inputs[test], target[test], **options).importances_mean
            losses.append(loss * len(test))
    # In units of the variance of all scores, because a fold may hold a single utterance.
    return predicted, np.sum(losses, axis=0) / (len(part) * np.var(target)) if losses else np.empty(0)


def _parts(table: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The utterances of each detector: all, and those of each class that it has."""
    for detector, part in table.groupby("detector", sort=False):
        for key in (ALL, *KEYS):
            rows = part if key == ALL else part[part["key"] == key]
            if len(rows):
                yield {"detector": detector, "key": key}, rows


def _alike(table: pd.DataFrame, measures: Sequence[str]) -> list[list[str]]:
    """The measures in groups with values for the same utterances."""
    groups: dict[bytes, list[str]] = {}
    for name in measures:
        groups.setdefault(table[name].notna().to_numpy().tobytes(), []).append(name)
    return list(groups.values())
