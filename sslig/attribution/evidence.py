"""What a method finds for one utterance: attributions of all features, and how they are put together by frame."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sslig.attribution.integrated_gradients import FREE, AttributionError

SIGNED, ABSOLUTE, L2 = AGGREGATIONS = ("signed", "absolute", "l2")
"""Over features: their sum; the sum of their absolute values; the root of the sum of their squares. Only the first
tells evidence for spoof from evidence for bona fide, and only it adds up to the logit."""

INCOMPLETE, NOT_PROMISED = "incomplete", "not promised"
"""What stands in place of a status of `sslig.attribution.integrated_gradients`: the attribution does not add up and
there are no points to be doubled; or it need not add up."""


@dataclass(frozen=True)
class Evidence:
    """What a method finds.

    Attributes
    ----------
    by_feature
        (layer, frame, feature) in float64; one layer where a method takes all of them as one, and one feature where it
        takes all features as one.
    spoof_score
        F(x), the logit that is explained.
    baseline_score
        F(b), or its mean over the baselines; None where the method has none.
    residual
        sum of the attribution - (F(x) - F(b)), where the method promises that it is 0; else None.
    uncertainty
        How much of the residual is due to too few points: its change by the last doubling of the points of a path, or
        the half width of the 99 % confidence interval of random draws; None where no more can be said.
    status
        ``complete``, ``jump`` or ``not converged`` (`sslig.attribution.integrated_gradients`), ``incomplete`` or ``not
        promised``.
    steps
        Points on a path, random draws, or windows.
    selection
        Whether a head that selects nodes kept the selection of the explained input.
    free_baseline_score
        F(b) with the free selection, where it was frozen.
    """

    by_feature: Tensor
    spoof_score: float
    baseline_score: float | None = None
    residual: float | None = None
    uncertainty: float | None = None
    status: str = NOT_PROMISED
    steps: int = 0
    selection: str = FREE
    free_baseline_score: float | None = None


def by_layer(by_feature: Tensor) -> dict[str, np.ndarray]:
    """(layer, frame) of each of `AGGREGATIONS` from (layer, frame, feature)."""
    found = (by_feature.sum(dim=-1), by_feature.abs().sum(dim=-1), torch.linalg.vector_norm(by_feature, dim=-1))
    return {name: values.cpu().numpy() for name, values in zip(AGGREGATIONS, found, strict=True)}


def by_frame(layers: np.ndarray, aggregation: str) -> np.ndarray:
    """(frame,) from (layer, frame), put together over layers as `aggregation` does over features.

    Raises
    ------
    AttributionError
        The aggregation is unknown.
    """
    if aggregation not in AGGREGATIONS:
        raise AttributionError(f"aggregation {aggregation!r}; accepted: {', '.join(AGGREGATIONS)}")
    return np.sqrt((layers**2).sum(axis=0)) if aggregation == L2 else layers.sum(axis=0)
