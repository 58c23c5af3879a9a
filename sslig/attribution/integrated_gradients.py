"""Integrated Gradients of the spoof logit over SSL features, with a certificate of completeness."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from sslig.attribution.baselines import Baseline
from sslig.study import Attribution as Options

COMPLETE, JUMP, NOT_CONVERGED = "complete", "jump", "not converged"
FREE, FROZEN = "free", "frozen"

PATH_POINTS_AT_ONCE, PATH_POINTS_AT_ONCE_ON_CPU = 32, 8
"""Path points in one pass through the head; bounds memory, changes nothing else. On a CPU more only wait for memory:
the heads of the demo took 1.3 to 1.9 times as long with 32 as with 8, and three times the memory."""


FLOOR_LOGIT = 1e-4
"""A residual within it counts as none: float32 sums over thousands of features are not more exact than that."""


class AttributionError(ValueError):
    """Features or a head that cannot be explained; the message says what was got and what is accepted."""


@dataclass(frozen=True)
class Attribution:
    """Why a head gives its logit: evidence by layer and frame, and how far it adds up.

    Attributes
    ----------
    by_layer
        (layer, frame) Attribution summed over features; positive is evidence for spoof.
    spoof_score, baseline_score
        The explained logit F(x), and F(b) of the baseline.
    residual
        sum of the attribution - (F(x) - F(b)), a logit; 0 where the explanation is complete.
    steps
        Points on the integration path.
    status
        ``complete`` where the residual is within the tolerance times F(x) - F(b), or within `FLOOR_LOGIT`; ``jump``
        where it is not but more points do not change it, so the head is discontinuous on the path; else ``not
        converged``.
    free_baseline_score
        F(b) with the free selection. Where the selection is frozen, `baseline_score` is that of the head with the nodes
        of the explained input, and differs; else they are the same.
    selection
        ``frozen`` where the head's choice of nodes was held at that of the explained input, else ``free``.
    """

    by_layer: np.ndarray
    spoof_score: float
    baseline_score: float
    residual: float
    steps: int
    status: str
    selection: str
    free_baseline_score: float

    @property
    def by_frame(self) -> np.ndarray:
        """(frame,) Attribution summed over layers and features."""
        return self.by_layer.sum(axis=0)

    @property
    def difference(self) -> float:
        """F(x) - F(b), what a complete attribution sums to."""
        return self.spoof_score - self.baseline_score

    @property
    def relative_residual(self) -> float:
        """|residual| / |F(x) - F(b)|; infinite where only the difference is 0, and 0 where both are."""
        if self.residual == 0:
            return 0.0
        return abs(self.residual) / abs(self.difference) if self.difference else float("inf")


def explain(head: nn.Module, features: Tensor, baseline: Baseline, options: Options) -> Attribution:
    """Integrated Gradients of a head's logit for one utterance.

    The number of path points starts at `options.min_steps` and doubles up to `options.max_steps` until the relative
    residual is within `options.tolerance`; the residual is not monotone in the number of points, so the last is kept.

    Parameters
    ----------
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode, in float32.
    features
        (1, layer, frame, feature) of one utterance.
    baseline
        Where the path starts.
    options
        Steps, tolerance, and whether a head that selects nodes keeps its selection along the path.

    Raises
    ------
    AttributionError
        The features are not one utterance in float32, or the head mixes or drops rows of its batch.

    References
    ----------
    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1 and proposition 1; quadrature
    by Gauss and Legendre.
    """
    check(features)
    explained, selection = explained_by(head, features, options.freeze_selection)
    start = baseline.like(features)
    path = integrate(explained, features, start, options)
    free_baseline_score = path.baseline_score if selection == FREE else mean_score(head, start)
    return Attribution(
        path.by_feature.sum(dim=-1).cpu().numpy(), path.spoof_score, path.baseline_score, path.residual, path.steps,
        path.status, selection, free_baseline_score,
    )  # fmt: skip


@dataclass(frozen=True)
class Path:
    """Gradients integrated along straight paths to the features, averaged over the starts of the paths.

    Attributes
    ----------
    by_feature
        (layer, frame, feature) in float64.
    spoof_score, baseline_score
        F(x), and the mean of F over the starts.
    residual
        sum of `by_feature` - (F(x) - F(b)), a logit.
    change
        By how much the residual differs from the one with half as many points; None where the first was complete.
    steps
        Points on each path.
    status
        As of `Attribution`.
    """

    by_feature: Tensor
    spoof_score: float
    baseline_score: float
    residual: float
    change: float | None
    steps: int
    status: str


def explained_by(head: nn.Module, features: Tensor, freeze: bool) -> tuple[Callable[[Tensor], Tensor], str]:
    """The function that is explained, and ``frozen`` or ``free``.

    With `freeze`, a head that selects nodes sees everywhere the nodes that `features` select. The function refuses to
    go on where it does not give one logit a row.
    """
    if not freeze or not hasattr(head, "select"):
        return same_rows(head), FREE
    selection = head.select(features)
    return same_rows(lambda x: head(x, selection)), FROZEN


def mean_score(explained: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The mean logit of (batch, layer, frame, feature)."""
    with torch.no_grad():
        return explained(x).double().mean().item()


def rows_at_once(x: Tensor) -> int:
    """How many rows go through a head at once on the device of `x`."""
    return PATH_POINTS_AT_ONCE_ON_CPU if x.device.type == "cpu" else PATH_POINTS_AT_ONCE


def integrate(explained: Callable[[Tensor], Tensor], features: Tensor, starts: Tensor, options: Options) -> Path:
    """Integrated Gradients from each of the (start, layer, frame, feature) `starts`, averaged; see `explain`."""
    spoof_score, baseline_score = mean_score(explained, features), mean_score(explained, starts)
    difference = spoof_score - baseline_score
    earlier, steps = None, options.min_steps
    while True:
        by_feature = _integral(explained, features, starts, steps)  # (layer, frame, feature)
        residual = by_feature.sum().item() - difference
        status = _status(residual, earlier, difference, options.tolerance)
        if status == COMPLETE or 2 * steps > options.max_steps:
            break
        earlier, steps = residual, 2 * steps
    change = None if earlier is None else abs(residual - earlier)
    return Path(by_feature, spoof_score, baseline_score, residual, change, steps, status)


def _integral(explained: Callable[[Tensor], Tensor], x: Tensor, starts: Tensor, steps: int) -> Tensor:
    """(layer, frame, feature) in float64: (x - b) * integral of dF/dx from b to x, averaged over the starts b."""
    rows = max(rows_at_once(x), len(starts))  # captum gives each point of the path to all starts
    by_feature = IntegratedGradients(explained).attribute(
        x.expand_as(starts), starts, n_steps=steps, method="gausslegendre", internal_batch_size=rows
    )  # (start, layer, frame, feature)
    return by_feature.detach().double().mean(dim=0)


def allowance(difference: float, tolerance: float) -> float:
    """The largest residual, a logit, with which an explanation of F(x) - F(b) = `difference` counts as complete."""
    return max(tolerance * abs(difference), FLOOR_LOGIT)


def _status(residual: float, earlier: float | None, difference: float, tolerance: float) -> str:
    allowed = allowance(difference, tolerance)
    if abs(residual) <= allowed:
        return COMPLETE
    settled = earlier is not None and abs(residual - earlier) <= allowed
    return JUMP if settled else NOT_CONVERGED


def same_rows(head: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The head, refused where it does not give one logit a row.

    captum lays path points along dimension 0. A head that reads another axis as the batch would return numbers all
    the same, and they would mean nothing.
    """

    def guarded(x: Tensor) -> Tensor:
        logits = head(x)
        if logits.shape != x.shape[:1]:
            raise AttributionError(f"the head gave shape {tuple(logits.shape)} for a batch of {len(x)}; one logit a "
                                   "row, batch first, is needed")  # fmt: skip
        return logits

    return guarded


def check(features: Tensor) -> None:
    """Refuse what is not (1, layer, frame, feature) of one utterance, finite and in float32.

    Raises
    ------
    AttributionError
        It is something else.
    """
    if features.ndim != 4 or len(features) != 1:
        raise AttributionError(f"features of shape {tuple(features.shape)}; (1, layer, frame, feature) of one "
                               "utterance is needed")  # fmt: skip
    if features.dtype != torch.float32:
        raise AttributionError(f"features in {features.dtype}; attributions are complete in float32 only")
    if not torch.isfinite(features).all():
        raise AttributionError("the features hold NaN or infinite values")
