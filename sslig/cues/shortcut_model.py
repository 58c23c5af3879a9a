"""How much of a detector's score its artefacts alone predict: cross-validated R2 of models of nothing but measures."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslig.cues.association import NO_SPREAD, Statistic, clusters_of, estimate
from sslig.cues.shortcuts import ALL, joined_scores
from sslig.labels import KEYS
from sslig.stats.metrics import MetricError

PENALTIES = np.logspace(0, 4, 9)
"""Ridge penalties, of standardised measures, among which the training part of a fold chooses."""
SHUFFLES = 5


def ridge(seed: int) -> RegressorMixin:
    """Linear, of standardised measures; a missing value is the median, and that it is missing is a measure too."""
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler(), RidgeCV(PENALTIES))


def boosting(seed: int) -> RegressorMixin:
    """Small gradient-boosted trees; they know missing values."""
    return HistGradientBoostingRegressor(max_iter=100, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed)


MODELS: dict[str, Callable[[int], RegressorMixin]] = {"ridge": ridge, "boosting": boosting}
"""Name -> what makes a model from a seed."""


def shortcut_model(
    measures: pd.DataFrame,
    scores: pd.DataFrame,
    groups: str,
    *,
    seed: int,
    folds: int = 5,
    rounds: int = 1000,
    resample_recordings: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict the scores of each detector from the measures, in folds that share no group.

    R2 is 1 - sum (score - predicted)^2 / sum (score - mean score)^2 over the held-out predictions of all folds: 1 where
    the measures say everything, 0 where they say no more than the mean, below 0 where they mislead. Over both classes a
    measure that tells the classes apart predicts the score of any good detector; a model of the utterances of one class
    cannot profit from that.

    Parameters
    ----------
    measures, scores
        As of `sslig.cues.shortcuts.score_correlation`; `scores` holds the column `groups` too.
    groups
        ``recording`` or ``speaker``: what no two folds share.
    seed
        Of folds, models, shuffles and bootstrap.
    folds
        At most; as many as there are groups where these are fewer.
    rounds, resample_recordings
        Of the bootstrap over held-out predictions; models are not fitted anew.

    Returns
    -------
    fits, importances
        ``detector``, ``key`` (`ALL` or a class that there is: of which utterances the model is), ``model``, ``r2`` with
        ``low`` and ``high`` (NaN where all utterances are of one unit to resample), ``n``, ``n_groups`` and ``folds``;
        and ``detector``, ``key``, ``model``, ``measure``, ``importance``: by how much the held-out R2 falls where the
        measure is shuffled within a fold, mean over shuffles, largest first. Measures that say the same share their
        importance.

    Raises
    ------
    MetricError
        There are fewer than two groups, or no such column, or as of `sslig.cues.shortcuts.score_correlation`.

    References
    ----------
    L. Breiman, "Random forests", 2001, section 10 (permutation importance).
    """
    also = [groups, *(["recording"] if resample_recordings else [])]
    joined, names = joined_scores(measures, scores, also)
    fits, importances = [], []
    for detector, part in joined.groupby("detector"):
        for key in (ALL, *KEYS):
            chosen = part if key == ALL else part[part["key"] == key]
            if chosen.empty:
                continue
            n_groups = chosen[groups].nunique()
            if n_groups < 2:
                raise MetricError(f"{detector}, {key}: {n_groups} {groups}; folds that share none need at least two")
            splits = _splits(chosen, groups, min(folds, n_groups), seed)
            clusters = clusters_of(chosen["speaker"], chosen["recording"] if resample_recordings else None)
            for model, make in MODELS.items():
                told = {"detector": detector, "key": key, "model": model}
                predicted, importance = _held_out(chosen, names, splits, partial(make, seed), seed)
                found = estimate(r2(chosen["spoof_score"].to_numpy(), predicted), clusters, seed=seed, rounds=rounds)
                fits.append(told | {"r2": found.value, "low": found.low, "high": found.high, "n": len(chosen),
                                    "n_groups": n_groups, "folds": len(splits)})  # fmt: skip
                importances.append(pd.DataFrame(told | {"measure": names, "importance": importance}))
    ordered = [table.sort_values("importance", ascending=False, kind="stable") for table in importances]
    return pd.DataFrame(fits), pd.concat(ordered, ignore_index=True)


def _splits(part: pd.DataFrame, groups: str, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    # Stratified, so that no fold lacks a class where groups allow it.
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(part, part["key"], part[groups])
    return [(train, test) for train, test in split if len(train) and len(test)]


def _held_out(
    part: pd.DataFrame,
    names: list[str],
    splits: list[tuple[np.ndarray, np.ndarray]],
    make: Callable[[], RegressorMixin],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(trial,) Predictions by a model that has not seen the trial's group, and (measure,) mean importances."""
    inputs, target = part[names].to_numpy(dtype=np.float64), part["spoof_score"].to_numpy(dtype=np.float64)
    predicted, importance = np.full(len(part), np.nan), []
    for train, test in splits:
        model = make().fit(inputs[train], target[train])
        predicted[test] = model.predict(inputs[test])
        shuffled = permutation_importance(model, inputs[test], target[test], scoring=_fall, n_repeats=SHUFFLES,
                                          random_state=seed)  # fmt: skip
        # In units of the variance of all, because a fold may hold one utterance.
        importance.append(shuffled.importances_mean * len(test))
    return predicted, np.sum(importance, axis=0) / (len(part) * np.var(target))


def _fall(model: RegressorMixin, inputs: np.ndarray, target: np.ndarray) -> float:
    return -float(np.mean((model.predict(inputs) - target) ** 2))


def r2(scores: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Share of the variance of (trial,) scores that (trial,) predictions explain; NaN where scores do not vary."""

    def explained(weights: np.ndarray) -> np.ndarray:
        mean = weights @ scores / weights.sum(axis=1)  # (round,)
        total = (weights * (scores - mean[:, None]) ** 2).sum(axis=1)
        varies = total > NO_SPREAD * (weights @ scores**2)
        return 1 - weights @ (scores - predicted) ** 2 / np.where(varies, total, np.nan)

    return explained
