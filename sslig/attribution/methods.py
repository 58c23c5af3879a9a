"""The one registry of attribution methods: what may explain a logit, written as one line of text, on one interface.

``ig``, ``ig(baseline=zero)``, ``ig(selection=free)``, ``expected_gradients(draws=8)``, ``occlusion(width=5)``: a name
and, where it has any, its parameters (`sslig.attribution.method_definitions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from sslig import specs
from sslig.attribution import costs, evidence
from sslig.attribution.contexts import Context
from sslig.attribution.evidence import SIGNED
from sslig.attribution.integrated_gradients import FREE, AttributionError, check
from sslig.attribution.method_definitions import REGISTRY, RESCALE_MISSES
from sslig.specs import SpecError

METHODS = (
    "ig",
    "ig(baseline=zero)",
    "ig(baseline=nonspeech)",
    "ig(baseline=blurred)",
    "ig(selection=free)",
    "expected_gradients",
    "gradient_shap",
    "gradient_x_input",
    "deeplift",
    "smoothgrad_ig",
    "occlusion",
    "random",
)
"""The methods of a study that names none: the default first, and last the one that knows nothing."""


class MethodError(AttributionError):
    """A method that is not known or cannot explain a head; the message says what was found and is accepted."""


@dataclass(frozen=True)
class Method:
    """A method with the values of its parameters, as `parse` gives it.

    Parameters
    ----------
    spec
        The canonical text: parameters in the order of the registry, those at their default left out.
    name
        The key in the registry.
    parameters
        All of them by name.
    adds_up
        Whether the method promises that an attribution adds up to a difference of logits.
    description
        One plain sentence.
    """

    spec: str
    name: str
    parameters: Mapping[str, Any] = field(hash=False)
    adds_up: bool
    description: str


@dataclass(frozen=True)
class Explanation:
    """What a method says of one utterance, how far it adds up, and what it cost.

    Attributes
    ----------
    method
        Its canonical text.
    by_layer
        Aggregation over features (`sslig.attribution.evidence.AGGREGATIONS`) -> (layer, frame) in float64, one layer
        where a method takes all of them as one; ``signed``: positive is evidence for spoof.
    spoof_score, baseline_score, residual, uncertainty, status, steps, selection, free_baseline_score
        As of `sslig.attribution.evidence.Evidence`.
    seconds, peak_mib
        As of `sslig.attribution.costs.Cost`.
    """

    method: str
    by_layer: Mapping[str, np.ndarray]
    spoof_score: float
    baseline_score: float | None
    residual: float | None
    uncertainty: float | None
    status: str
    steps: int
    selection: str
    free_baseline_score: float | None
    seconds: float
    peak_mib: float

    def by_frame(self, aggregation: str = SIGNED) -> np.ndarray:
        """(frame,) Over layers and features."""
        return evidence.by_frame(self.by_layer[aggregation], aggregation)

    @property
    def relative_residual(self) -> float | None:
        """|residual| / |F(x) - F(b)|; infinite where only the difference is 0, None where nothing is promised."""
        if self.residual is None or self.residual == 0:
            return self.residual
        difference = self.spoof_score - self.baseline_score
        return abs(self.residual / difference) if difference else float("inf")


def parse(spec: str) -> Method:
    """The method that a line such as ``ig(baseline=zero)`` names.

    Raises
    ------
    MethodError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    try:
        definition, values = specs.read(spec, REGISTRY, "method")
    except SpecError as error:
        raise MethodError(str(error)) from error
    text = specs.written(definition.name, definition.parameters, values)
    return Method(text, definition.name, values, definition.adds_up, definition.description.format_map(values))


def available(method: Method | str, head: nn.Module) -> str | None:
    """Why a method cannot explain a head; None where it can."""
    method = parse(method) if isinstance(method, str) else method
    if method.name == "deeplift" and not isinstance(head, nn.Module):
        return "captum's DeepLIFT hooks the modules of a network, and this head is none"
    if method.name == "deeplift" and type(head) in RESCALE_MISSES:
        return f"captum's rescale rule does not cover this head: {RESCALE_MISSES[type(head)]}"
    if method.parameters.get("selection") == FREE and not hasattr(head, "select"):
        return "this head selects no nodes, so there is no free selection beside the frozen one"
    return None


def offered(head: nn.Module, methods: Sequence[str] | None = None) -> list[Method]:
    """Those of `methods` (none: `METHODS`) that can explain a head, none twice."""
    found = dict.fromkeys(parse(spec) for spec in (METHODS if methods is None else methods))
    return [method for method in found if available(method, head) is None]


def explain_by(method: Method | str, head: nn.Module, features: Tensor, context: Context) -> Explanation:
    """Explain the logit of one utterance by any method.

    Parameters
    ----------
    method
        As of `parse`.
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode, in float32.
    features
        (1, layer, frame, feature) of one utterance.
    context
        Baselines, draws, options and seed; `Context.of` the utterance.

    Raises
    ------
    MethodError
        The method is unknown or cannot explain this head.
    AttributionError
        The features are not one utterance in float32, or the head mixes or drops rows of its batch.
    sslig.attribution.baselines.BaselineError
        The context lacks a baseline or draws, or they do not fit.
    """
    method = parse(method) if isinstance(method, str) else method
    check(features)
    if reason := available(method, head):
        raise MethodError(f"{method.spec} cannot explain {type(head).__name__}: {reason}")
    with costs.measured(features.device) as cost:
        found = REGISTRY[method.name].apply(head, features, context, **method.parameters)
        layers = evidence.by_layer(found.by_feature)
    return Explanation(
        method.spec, layers, found.spoof_score, found.baseline_score, found.residual, found.uncertainty, found.status,
        found.steps, found.selection, found.free_baseline_score, cost.seconds, cost.peak_mib,
    )  # fmt: skip
