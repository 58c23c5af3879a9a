"""Error rates and calibration of spoof scores: EER, minDCF, actDCF, Cllr, operating points and conditions.

Functions take two arrays ``bonafide, spoof`` of spoof scores (higher = more likely spoof), so that no label can be
confused, and raise `DataError` where a class is empty or not one axis of finite numbers. P_miss is the rate of bona
fide trials called spoof, the false non-match rate FNMR; P_fa that of spoofs called bona fide, the false match rate FMR.
The log-likelihood ratio in the official direction (bona fide over spoof) is the negated spoof score.

Equal scores cannot be separated by a threshold, so a block of ties is one step. The official ASVspoof 5 package steps
through a block, bona fide trials first: for a constant score it reports an EER of 100 %, this module 50 %.

References
----------
X. Wang et al., "ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial attacks at scale", 2024.
N. Brummer and J. du Preez, "Application-independent evaluation of speaker detection", 2006 (Cllr).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.errors import DataError
from sslig.labels import KEYS
from sslig.stats.bootstrap import Statistic

P_SPOOF, C_MISS, C_FA = 0.05, 1.0, 10.0
_DEFAULT_COST = min(C_MISS * (1 - P_SPOOF), C_FA * P_SPOOF)
MISS_WEIGHT, FA_WEIGHT = C_MISS * (1 - P_SPOOF) / _DEFAULT_COST, C_FA * P_SPOOF / _DEFAULT_COST
"""The normalised detection cost is MISS_WEIGHT * P_miss + FA_WEIGHT * P_fa = 1.9 P_miss + P_fa."""

BAYES_SPOOF_SCORE = np.log(MISS_WEIGHT / FA_WEIGHT)
"""A spoof score above this, log(1.9), is called spoof where scores are taken for log-likelihood ratios."""

METRICS = ("eer", "min_dcf", "act_dcf", "cllr")

MIN_CLLR = "min_cllr"
"""The name of `min_cllr` among metrics; it fits scores in each round and is computed where it is asked for."""

SPOOF_ONLY_COLUMNS = ("attack", "attack_tag")  # columns that do not describe bona fide trials


def error_rates(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(threshold,) Thresholds, P_miss and P_fa, from "nothing is spoof" to "all is": spoof scores >= the threshold."""
    trials = Trials.of(bonafide, spoof)
    return np.append(np.inf, trials.scores[trials.steps]), *trials.rates()


def det_points(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(point,) P_fa and (point,) P_miss at the corners of the DET staircase, without the points between them."""
    _, p_miss, p_fa = error_rates(bonafide, spoof)
    step = (np.diff(p_miss) > 0) + 2 * (np.diff(p_fa) < 0)  # 1: bona fide, 2: spoof, 3: a tied block of both
    corner = (step[1:] != step[:-1]) | (step[1:] == 3)
    keep = np.concatenate([[True], corner, [True]])
    return p_fa[keep], p_miss[keep]


def eer(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Equal error rate: (P_miss + P_fa) / 2 at the threshold where they are nearest, the highest of equals."""
    return float(_eer(*Trials.of(bonafide, spoof).rates()))


def eer_threshold(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """The threshold of `eer`: trials with at least this spoof score are called spoof."""
    return operating_point(bonafide, spoof, "eer").threshold


class OperatingPoint(NamedTuple):
    """A threshold and both error rates at it."""

    threshold: float
    p_miss: float
    p_fa: float


def operating_point(bonafide: ArrayLike, spoof: ArrayLike, kind: str, rate: float = np.nan) -> OperatingPoint:
    """The point of the EER, or the best one that holds an error rate.

    ``fmr`` is the highest threshold, thus the lowest FNMR, at which the FMR is at most `rate`; ``fnmr`` the lowest
    threshold at which the FNMR is.
    """
    if kind != "eer" and not 0 <= rate <= 1:
        raise DataError(f"{kind.upper()} of {rate}; a rate between 0 and 1 is needed")
    curves = error_rates(bonafide, spoof)
    at = position(kind, rate, *curves[1:])
    return OperatingPoint(*(float(curve[at]) for curve in curves))


def position(kind: str, rate: float, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    """(...) Where an `operating_point` stands along the last axis."""
    if kind == "eer":
        return nearest(p_miss, p_fa)
    if kind == "fmr":
        return np.argmax(p_fa <= rate, axis=-1)
    return np.count_nonzero(p_miss <= rate, axis=-1) - 1


def min_dcf(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Normalised detection cost at its best threshold: min over thresholds of 1.9 P_miss + P_fa."""
    return float(_min_dcf(*Trials.of(bonafide, spoof).rates()))


def act_dcf(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Normalised detection cost where the log-likelihood ratio, the negated spoof score, is cut at -log(1.9)."""
    return _mean_cost(bonafide, spoof, _decision_cost)


def cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Cost of the log-likelihood ratio in bits: (mean_b log2(1 + e^s) + mean_s log2(1 + e^-s)) / 2."""
    return _mean_cost(bonafide, spoof, _log_cost)


def min_cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """The lowest Cllr of any map of the scores that keeps their order: what they are worth if they were calibrated.

    Cllr less this is the calibration loss.

    References
    ----------
    N. Brummer and J. du Preez, "Application-independent evaluation of speaker detection", 2006, section 5 (PAV).
    """
    trials = Trials.of(bonafide, spoof)
    return float(_min_cllr(trials, np.ones((1, len(trials.scores))))[0])


def spoof_share(trials: "Trials", weights: np.ndarray | None = None) -> np.ndarray:
    """(threshold,) Shares of spoofs, both classes weighing the same, that rise with the score and fit best (PAV).

    They stand for the blocks of equal scores in descending order. `weights` (trial,) say how often each sorted trial
    counts; blocks that do not count have the share of their neighbours.
    """
    from sklearn.isotonic import isotonic_regression

    weights = np.ones(len(trials.scores)) if weights is None else weights
    of_class = [weights * members for members in (trials.is_bonafide, ~trials.is_bonafide)]
    starts = np.append(0, trials.steps[:-1] + 1)
    bonafide, spoof = (np.add.reduceat(part / part.sum(), starts) for part in of_class)
    both = bonafide + spoof
    share = np.divide(spoof, both, out=np.full(len(both), 0.5), where=both > 0)
    return isotonic_regression(share, sample_weight=np.maximum(both, 1e-12), increasing=False)


def by_class(table: pd.DataFrame, score: str = "spoof_score") -> tuple[np.ndarray, np.ndarray]:
    """(trial,) scores of the bona fide and of the spoof trials of a table with ``key``."""
    unknown = table.loc[~table["key"].isin(KEYS), "key"]
    if len(unknown):
        raise DataError(f"key {unknown.iloc[0]!r} in row {unknown.index[0]}; accepted: {', '.join(KEYS)}")
    return tuple(table.loc[table["key"] == key, score].to_numpy() for key in KEYS)


def conditions(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Each condition in sorted order, column -> value, with its spoof trials and all bona fide trials that share it.

    Grouped by attack, each attack meets all bona fide trials; grouped by codec, those of that codec; grouped by both,
    each attack under a codec meets the bona fide trials of the codec. One class of a condition may be missing.
    """
    columns = list(columns)
    shared = [column for column in columns if column not in SPOOF_ONLY_COLUMNS]
    bonafide, spoof = (table[table["key"] == key] for key in KEYS)
    # A condition that only bona fide trials have counts too, unless conditions are attacks.
    named = table if shared == columns else spoof
    partners = dict(list(bonafide.groupby(shared, sort=False))) if shared else {(): bonafide}
    spoofs = dict(list(spoof.groupby(columns, sort=False)))
    for condition in named[columns].drop_duplicates().sort_values(columns).to_dict("records"):
        shared_values = tuple(condition[name] for name in shared)
        parts = partners.get(shared_values, bonafide[:0]), spoofs.get(tuple(condition.values()), spoof[:0])
        yield condition, pd.concat(parts)


@dataclass(frozen=True)
class Trials:
    """Trials in descending order of spoof score, so that a threshold is a position and its rates are sums."""

    scores: np.ndarray  # (trial,) highest first
    is_bonafide: np.ndarray  # (trial,)
    order: np.ndarray  # (trial,) where each stood before
    steps: np.ndarray  # (threshold,) last position of each block of equal scores

    @classmethod
    def of(cls, bonafide: ArrayLike, spoof: ArrayLike) -> "Trials":
        """The bona fide trials followed by the spoof trials, sorted."""
        bonafide, spoof = _checked(bonafide, "bona fide"), _checked(spoof, "spoof")
        scores = np.concatenate([bonafide, spoof])
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        steps = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
        return cls(scores, order < len(bonafide), order, steps)

    def rates(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(..., threshold + 1) P_miss and P_fa with the first steps called spoof, none to all.

        `weights` (..., trial) say how often each sorted trial counts, and both classes need a positive sum.
        """
        weights = np.ones(len(self.scores)) if weights is None else np.asarray(weights, dtype=np.float64)
        bonafide = np.cumsum(np.where(self.is_bonafide, weights, 0.0), axis=-1)
        every = np.cumsum(weights, axis=-1)
        if len(self.steps) < len(self.scores):
            bonafide, every = bonafide[..., self.steps], every[..., self.steps]
        spoof = every - bonafide
        p_miss, p_fa = np.zeros((2, *weights.shape[:-1], len(self.steps) + 1))
        p_miss[..., 1:] = bonafide / bonafide[..., -1:]
        p_fa[..., 0], p_fa[..., 1:] = 1.0, (spoof[..., -1:] - spoof) / spoof[..., -1:]
        return p_miss, p_fa


def weighted(scores: ArrayLike, is_bonafide: ArrayLike, names: Sequence[str] = METRICS) -> Statistic:
    """Metrics of (trial,) scores as a statistic of `sslig.stats.bootstrap`: (round, trial) -> (round, metric).

    With whole weights each round has exactly the metrics of the trials repeated that often; NaN without a class.
    """
    scores, is_bonafide = np.asarray(scores), np.asarray(is_bonafide, dtype=bool)
    trials = Trials.of(scores[is_bonafide], scores[~is_bonafide])
    order = np.concatenate([np.flatnonzero(is_bonafide), np.flatnonzero(~is_bonafide)])[trials.order]
    costs = {name: COST_METRICS[name](trials.scores, trials.is_bonafide) for name in names if name in COST_METRICS}
    of_class = [(trials.is_bonafide == label).astype(np.float64) for label in (True, False)]

    def metrics(weights: np.ndarray) -> np.ndarray:
        weights = np.asarray(weights, dtype=np.float64)[:, order]
        sizes = [weights @ members for members in of_class]  # (class, round)
        both, values = np.all(sizes, axis=0), np.full((len(weights), len(names)), np.nan)
        if both.any():
            weights, sizes = weights[both], [size[both] for size in sizes]
            curves = trials.rates(weights) if len(costs) < len(names) else ()
            columns = [
                sum(weights @ (members * costs[name]) / size for members, size in zip(of_class, sizes, strict=True))
                if name in costs
                else _min_cllr(trials, weights)
                if name == MIN_CLLR
                else CURVE_METRICS[name](*curves)
                for name in names
            ]
            values[both] = np.stack(columns, axis=1)
        return values

    return metrics


def _checked(scores: ArrayLike, name: str) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise DataError(f"{name} scores have shape {scores.shape}; one axis of trials is needed")
    if not len(scores):
        raise DataError(f"no {name} scores; both classes are needed")
    faulty = np.flatnonzero(~np.isfinite(scores))
    if len(faulty):
        raise DataError(f"{len(faulty)} of {len(scores)} {name} scores are NaN or infinite, first at {faulty[0]}")
    return scores


def nearest(p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    """(...) Position along the last axis where both rates are nearest, the first of equals: the point of the EER."""
    return np.argmin(np.abs(p_miss - p_fa), axis=-1)


def _eer(p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    at = nearest(p_miss, p_fa)[..., None]
    return np.take_along_axis((p_miss + p_fa) / 2, at, axis=-1)[..., 0]


def _min_dcf(p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    return np.min(MISS_WEIGHT * p_miss + FA_WEIGHT * p_fa, axis=-1)


def _decision_cost(scores: np.ndarray, is_bonafide: np.ndarray | bool) -> np.ndarray:
    called_spoof = scores > BAYES_SPOOF_SCORE
    return np.where(is_bonafide, MISS_WEIGHT * called_spoof, FA_WEIGHT * ~called_spoof)


def _log_cost(scores: np.ndarray, is_bonafide: np.ndarray | bool) -> np.ndarray:
    return np.logaddexp(0.0, np.where(is_bonafide, scores, -scores)) / np.log(2) / 2


def _min_cllr(trials: Trials, weights: np.ndarray) -> np.ndarray:
    """(round,) From (round, trial) weights of sorted trials."""
    block, values = np.searchsorted(trials.steps, np.arange(len(trials.scores))), []
    for row in weights:
        share = np.clip(spoof_share(trials, row), 1e-12, 1 - 1e-12)[block]
        cost = -np.log2(np.where(trials.is_bonafide, 1 - share, share))
        values.append(
            sum(np.average(cost, weights=row * part) for part in (trials.is_bonafide, ~trials.is_bonafide)) / 2
        )
    return np.array(values)


CURVE_METRICS = {"eer": _eer, "min_dcf": _min_dcf}
"""Metrics of the two error rates over all thresholds."""

COST_METRICS = {"act_dcf": _decision_cost, "cllr": _log_cost}
"""The cost per trial of metrics that are the mean cost of bona fide trials plus the mean cost of spoof trials."""


def _mean_cost(bonafide: ArrayLike, spoof: ArrayLike, cost) -> float:
    bonafide, spoof = _checked(bonafide, "bona fide"), _checked(spoof, "spoof")
    return float(cost(bonafide, True).mean() + cost(spoof, False).mean())
