"""Scores as log-likelihood ratios: logistic calibration of one detector, and logistic fusion of several.

Logits of different heads differ tenfold in scale, and no training makes them log-likelihood ratios. Both maps here are
fitted on one set (*dev*) and applied to another (*eval*), never to the trials they were fitted on.

References
----------
N. Brummer and J. du Preez, "Application-independent evaluation of speaker detection", 2006.
N. Brummer et al., "Fusion of heterogeneous speaker recognition systems in the STBU submission for the NIST speaker
recognition evaluation 2006", 2007.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from sslig.labels import BONAFIDE, SPOOF
from sslig.stats import metrics

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e3)
"""Inverse strengths of the penalty on the weights of standardised scores that cross-validation chooses from."""

WEAK = 1e4
"""Inverse strength for the calibration of one detector: none to speak of, but finite weights where classes part."""

FOLDS = 5


class FusionError(ValueError):
    """Scores that cannot be calibrated or fused; the message says what was found and what is needed."""


@dataclass(frozen=True)
class LogisticMap:
    """LLR = weights . scores + offset: log p(scores | spoof) / p(scores | bona fide).

    Attributes
    ----------
    detectors
        Names of the scores, in the order of the weights.
    weights
        (detector,) Of the raw scores, in 1/logit.
    offset
        What the sum starts from.
    strength
        Inverse strength of the penalty that it was fitted with.
    disjoint_in
        What the folds that chose the strength had not in common: ``speakers`` or ``recordings``; empty where nothing
        was chosen.
    cross_validated
        Strength -> Cllr in bits over the held-out trials.
    """

    detectors: tuple[str, ...]
    weights: tuple[float, ...]
    offset: float
    strength: float = WEAK
    disjoint_in: str = ""
    cross_validated: tuple[tuple[float, float], ...] = ()

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        """(trial,) Log-likelihood ratios of (trial, detector) spoof scores; higher = spoof.

        Raises
        ------
        FusionError
            The scores are of another number of detectors, or not finite.
        """
        return _matrix(scores, len(self.weights)) @ np.array(self.weights) + self.offset

    def values(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return asdict(self)


def calibrate(scores: ArrayLike, labels: ArrayLike, detector: str = "") -> LogisticMap:
    """The affine map of one detector's (trial,) spoof scores to log-likelihood ratios, which minimises Cllr.

    Both classes weigh the same, whatever their numbers.

    Raises
    ------
    FusionError
        A class is missing, or a score is not finite.
    """
    return _fit(_matrix(np.asarray(scores).reshape(-1, 1), 1), _classes(labels), (detector,), WEAK)


def fuse(
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: Sequence[str],
    recordings: Sequence[str],
    detectors: Sequence[str],
) -> LogisticMap:
    """The weighted sum of several detectors' spoof scores that is the best log-likelihood ratio.

    The penalty on the weights is the one with the lowest Cllr over held-out trials, in folds that share no speaker;
    where a class has speakers for one fold only, in folds that share no recording, and `disjoint_in` says so.

    Parameters
    ----------
    scores
        (trial, detector) Spoof scores.
    labels, speakers, recordings
        (trial,) Labels (`sslig.labels`), speakers, and groups of coded variants of one recording.
    detectors
        Names of the columns.

    Raises
    ------
    FusionError
        A class is missing, a score is not finite, or there are too few recordings for two folds.
    """
    matrix, labels = _matrix(scores, len(detectors)), _classes(labels)
    disjoint_in, folds = _folds(labels, {"speakers": speakers, "recordings": recordings})
    found = {strength: _held_out_cllr(matrix, labels, folds, strength) for strength in STRENGTHS}
    best = min(found, key=found.__getitem__)
    fitted = _fit(matrix, labels, tuple(detectors), best)
    return LogisticMap(fitted.detectors, fitted.weights, fitted.offset, best, disjoint_in, tuple(found.items()))


def _fit(matrix: np.ndarray, labels: np.ndarray, names: tuple[str, ...], strength: float) -> LogisticMap:
    mean, deviation = matrix.mean(axis=0), matrix.std(axis=0)
    if not (deviation > 0).all():
        raise FusionError(f"the scores of {names[int(np.argmin(deviation))]!r} do not vary")
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit((matrix - mean) / deviation, labels == SPOOF)
    weights = model.coef_[0] / deviation
    return LogisticMap(names, tuple(map(float, weights)), float(model.intercept_[0] - weights @ mean), strength)


def _held_out_cllr(
    matrix: np.ndarray, labels: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], strength: float
) -> float:
    ratios = np.empty(len(labels))
    for kept, held_out in folds:
        ratios[held_out] = _fit(matrix[kept], labels[kept], tuple("*" * matrix.shape[1]), strength)(matrix[held_out])
    return metrics.cllr(ratios[labels == BONAFIDE], ratios[labels == SPOOF])


def _folds(
    labels: np.ndarray, groupings: dict[str, Sequence[str]]
) -> tuple[str, list[tuple[np.ndarray, np.ndarray]]]:  # fmt: skip
    """The first grouping that gives at least two folds with both classes left to fit on, and those folds."""
    for name, groups in groupings.items():
        groups = np.asarray(groups)
        if len(groups) != len(labels):
            raise FusionError(f"{len(groups)} {name} for {len(labels)} trials; one a trial is needed")
        n_folds = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in (BONAFIDE, SPOOF)))
        if n_folds < 2:
            continue
        folds = list(GroupKFold(n_folds).split(labels, groups=groups))
        if all(len(np.unique(labels[kept])) == 2 for kept, _ in folds):
            return name, folds
    raise FusionError("fewer than two recordings of a class: nothing can be held out")


def _matrix(scores: ArrayLike, n_detectors: int) -> np.ndarray:
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != n_detectors:
        raise FusionError(f"scores of shape {matrix.shape}; (trial, {n_detectors}) is needed")
    if not np.isfinite(matrix).all():
        raise FusionError(f"{np.count_nonzero(~np.isfinite(matrix))} scores are not finite")
    return matrix


def _classes(labels: ArrayLike) -> np.ndarray:
    labels = np.asarray(labels)
    if set(np.unique(labels)) != {BONAFIDE, SPOOF}:
        raise FusionError(f"labels {np.unique(labels)[:5]}; both {BONAFIDE} (bona fide) and {SPOOF} (spoof) are needed")
    return labels
