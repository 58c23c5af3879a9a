"""Scores as log-likelihood ratios: logistic calibration of one detector, and logistic fusion of several.

Logits of different heads differ tenfold in scale, and no training makes them log-likelihood ratios. The maps here are
fitted on one set (*dev*) and applied to another (*eval*), never to the trials they were fitted on.

References
----------
N. Brummer and J. du Preez, "Application-independent evaluation of speaker detection", 2006.
N. Brummer et al., "Fusion of heterogeneous speaker recognition systems in the STBU submission for the NIST speaker
recognition evaluation 2006", 2007.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.errors import DataError
from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.stats import metrics
from sslig.stats.bootstrap import Units, estimate, ratio

RATIO = "spoof_llr"
"""Column of log p(scores | spoof) / p(scores | bona fide), natural logarithm."""

FUSION = "fusion"  # its name among the detectors

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e3)
"""Inverse strengths of the penalty on the weights of standardised scores that cross-validation chooses from."""

WEAK = 1e4
"""Inverse strength for calibration: almost no penalty, but finite weights where the classes are separable."""

FOLDS = 5
BINS = 8

Maps = dict[tuple[str, int], "LogisticMap"]
"""Detector and seed -> its map."""


@dataclass(frozen=True)
class LogisticMap:
    """LLR = weights . scores + offset: log p(scores | spoof) / p(scores | bona fide)."""

    detectors: tuple[str, ...]  # names of the scores
    weights: tuple[float, ...]  # (detector,) of the raw scores, in 1/logit
    offset: float
    strength: float = WEAK  # inverse strength of the penalty that it was fitted with
    disjoint_in: str = ""  # what the folds that chose the strength did not share: speakers or recordings

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        """(trial,) Log-likelihood ratios of (trial, detector) spoof scores; higher = spoof."""
        return np.asarray(scores, dtype=np.float64) @ np.array(self.weights) + self.offset


def calibrate(scores: ArrayLike, labels: ArrayLike, detector: str = "") -> LogisticMap:
    """Fit the affine map of (trial,) scores to log-likelihood ratios that minimises Cllr at equal class weights."""
    return _fit(np.asarray(scores, dtype=np.float64)[:, None], np.asarray(labels), [detector], WEAK)


def fuse(
    scores: ArrayLike, labels: ArrayLike, speakers: Sequence, recordings: Sequence, detectors: Sequence[str]
) -> LogisticMap:
    """Fit the weighted sum of several detectors' spoof scores that is the best log-likelihood ratio.

    The penalty on the weights is the one with the lowest Cllr over held-out trials, in folds that share no speaker;
    where a class has speakers for one fold only, in folds that share no recording (`LogisticMap.disjoint_in`).
    `scores` are (trial, detector); `labels`, `speakers` and `recordings` (trial,).
    """
    matrix, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    disjoint_in, folds = _folds(labels, {"speakers": speakers, "recordings": recordings})
    strength = min(STRENGTHS, key=lambda strength: _held_out_cllr(matrix, labels, folds, strength))
    return replace(_fit(matrix, labels, detectors, strength), disjoint_in=disjoint_in)


def calibrated(fitted_on: pd.DataFrame, applied_to: pd.DataFrame) -> tuple[pd.DataFrame, Maps]:
    """`applied_to` with the column `RATIO`, and the maps, each fitted on the same detector and seed of the other set.

    Both tables have ``detector``, ``seed``, ``key`` and ``spoof_score``.
    """
    maps, parts = {}, []
    for (detector, seed), part in applied_to.groupby(["detector", "seed"], sort=False):
        dev = fitted_on[(fitted_on["detector"] == detector) & (fitted_on["seed"] == seed)]
        maps[detector, seed] = calibrate(dev["spoof_score"], dev["key"].map(KEYS), detector)
        parts.append(part.assign(**{RATIO: maps[detector, seed](part[["spoof_score"]])}))
    return pd.concat(parts, ignore_index=True), maps


def fused(fitted_on: pd.DataFrame, applied_to: pd.DataFrame) -> tuple[pd.DataFrame, Maps]:
    """The trials of `applied_to` that all detectors scored, as a detector `FUSION`, and the map of each seed.

    Its `RATIO` and ``spoof_score`` are the ratio of the map, which is fitted on the other set. Both tables have
    ``detector``, ``seed``, ``utterance``, ``key``, ``speaker``, ``recording`` and ``spoof_score``.
    """
    maps, parts, detectors = {}, [], list(applied_to["detector"].unique())
    for seed in applied_to["seed"].unique():
        (dev, dev_scores), (trials, scores) = (
            _side_by_side(table[table["seed"] == seed], detectors) for table in (fitted_on, applied_to)
        )
        fitted = fuse(dev_scores, dev["key"].map(KEYS), dev["speaker"], dev["recording"], detectors)
        llr, maps[FUSION, seed] = fitted(scores), fitted
        parts.append(trials.assign(detector=FUSION, spoof_score=llr, **{RATIO: llr}))
    return pd.concat(parts, ignore_index=True), maps


def reliability(scores: pd.DataFrame, *, recordings: bool, seed: int, rounds: int = 1000) -> pd.DataFrame:
    """Claimed and observed shares of spoofs in bins with equal numbers of trials, at equal weight of both classes.

    Of trials whose log-likelihood ratio is L, a share 1 / (1 + e^-L) is spoof where the ratio holds. `scores` are
    trials of one detector and seed: `RATIO`, ``key``, ``speaker`` and, where resampled, ``recording``.

    Returns
    -------
    DataFrame
        A row a bin: ``claimed`` (mean of that share over its trials, both classes weighing the same), ``observed``
        (share of spoofs) with ``low`` and ``high``, and ``n`` trials.
    """
    edges = np.unique(np.quantile(scores[RATIO], np.linspace(0, 1, BINS + 1)[1:-1]))
    in_bin = np.searchsorted(edges, scores[RATIO], side="right")[:, None] == np.arange(len(edges) + 1)  # (trial, bin)
    is_spoof = (scores["key"] == "spoof").to_numpy()

    def observed(weights: np.ndarray) -> np.ndarray:
        spoof, bonafide = (
            weights[:, rows] @ in_bin[rows] / weights[:, rows].sum(axis=1, keepdims=True)
            for rows in (is_spoof, ~is_spoof)
        )  # (round, bin)
        return ratio(spoof, spoof + bonafide)

    units = Units.of_table(scores, recordings=recordings)
    figures = estimate(observed, units, seed=seed, rounds=rounds, classes=is_spoof)
    balanced = 1 / np.where(is_spoof, is_spoof.sum(), (~is_spoof).sum())  # (trial,)
    claim = 1 / (1 + np.exp(-scores[RATIO].to_numpy()))
    table = figures.frame()[["value", "low", "high"]].rename(columns={"value": "observed"})
    table.insert(0, "claimed", ratio((balanced * claim) @ in_bin, balanced @ in_bin))
    return table.assign(n=in_bin.sum(axis=0)).dropna(subset="observed").reset_index(drop=True)


def rising_shares(scores: pd.DataFrame) -> pd.DataFrame:
    """Claimed and observed shares of spoofs by pool-adjacent-violators, without bins (`metrics.spoof_share`).

    The arguments are those of `reliability`; a row stands for each block of equal ratios, ``claimed`` rising.
    """
    trials = metrics.Trials.of(*metrics.by_class(scores, RATIO))
    claimed = 1 / (1 + np.exp(-trials.scores[trials.steps]))
    return pd.DataFrame({"claimed": claimed[::-1], "observed": metrics.spoof_share(trials)[::-1]})


def _side_by_side(scores: pd.DataFrame, detectors: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    wide = scores.pivot(index="utterance", columns="detector", values="spoof_score")[detectors].dropna()
    trials = scores[(scores["detector"] == detectors[0]) & scores["utterance"].isin(wide.index)]
    return trials, wide.loc[trials["utterance"]]


def _fit(matrix: np.ndarray, labels: np.ndarray, names: Sequence[str], strength: float) -> LogisticMap:
    from sklearn.linear_model import LogisticRegression

    classes = np.unique(labels)
    if not np.array_equal(classes, [BONAFIDE, SPOOF]):
        raise DataError(f"labels {classes[:5]}; both {BONAFIDE} (bona fide) and {SPOOF} (spoof) are needed")
    mean, deviation = matrix.mean(axis=0), matrix.std(axis=0)
    if not (deviation > 0).all():
        raise DataError(f"the scores of {names[int(np.argmin(deviation))]!r} do not vary")
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit((matrix - mean) / deviation, labels == SPOOF)
    weights = model.coef_[0] / deviation
    return LogisticMap(tuple(names), tuple(map(float, weights)), float(model.intercept_[0] - weights @ mean), strength)


def _held_out_cllr(matrix: np.ndarray, labels: np.ndarray, folds: list[tuple], strength: float) -> float:
    ratios = np.empty(len(labels))
    for fitted, held_out in folds:
        llr = _fit(matrix[fitted], labels[fitted], ["held out"] * matrix.shape[1], strength)
        ratios[held_out] = llr(matrix[held_out])
    return metrics.cllr(ratios[labels == BONAFIDE], ratios[labels == SPOOF])


def _folds(labels: np.ndarray, groupings: Mapping[str, Sequence[str]]) -> tuple[str, list[tuple]]:
    """The first grouping that gives at least two folds with both classes left to fit on."""
    from sklearn.model_selection import GroupKFold

    for name, groups in groupings.items():
        groups = np.asarray(groups)
        n_folds = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in (BONAFIDE, SPOOF)))
        if n_folds < 2:
            continue
        folds = list(GroupKFold(n_folds).split(labels, groups=groups))
        if all(len(np.unique(labels[fitted])) == 2 for fitted, _ in folds):
            return name, folds
    raise DataError("fewer than two recordings of a class: nothing can be held out")
