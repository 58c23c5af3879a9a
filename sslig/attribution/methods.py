"""The registry of attribution methods, and `explain`, which applies one to a head.

A method is one line of text, a name and the parameters that are not at their default: ``ig``, ``ig(baseline=zero)``,
``ig(selection=free)``, ``expected_gradients(draws=8)``, ``occlusion(width=5)``.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from sslig import specs
from sslig.attribution import gradients
from sslig.attribution.context import BASELINES, BONAFIDE_MEAN, Context
from sslig.attribution.explanation import Explanation, measured, of_features
from sslig.attribution.target import FREE, FROZEN, Logit, Target, check, of_head, of_projected
from sslig.errors import DetectorError
from sslig.specs import Parameter
from sslig.study import Attribution as Options

METHODS = (
    *("ig", "ig(baseline=zero)", "ig(baseline=nonspeech)", "ig(baseline=blurred)", "ig(selection=free)"),
    *("expected_gradients", "gradient_shap", "gradient_x_input", "smoothgrad_ig", "occlusion", "random"),
)
"""The methods of a study that names none: the default first, and last a map that knows nothing."""


@dataclass(frozen=True)
class Method:
    """An attribution method; `parse` gives it values for its parameters.

    Attributes
    ----------
    name
        Its key in `REGISTRY`.
    apply
        ``(target, context, **values)`` to `Explanation`.
    adds_up
        Whether it promises that the attribution adds up to a difference of logits.
    freezes
        Whether a head keeps the selection of nodes of the explained input.
    parameters, values
        By name, in the order of `spec`. ``baseline`` or ``draws`` says where attributions start.
    """

    name: str
    apply: Callable[..., Explanation]
    adds_up: bool = False
    freezes: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def spec(self) -> str:
        """The canonical text: parameters in their order, those at their default left out."""
        return specs.written(self.name, self.parameters, self.values)

    @property
    def description(self) -> str:
        """What it does, in one sentence."""
        return inspect.getdoc(self.apply).splitlines()[0]

    def target(self, head: Logit, features: Tensor, context: Context) -> Target:
        """What the method explains of a head, and where it starts."""
        if self.name == "occlusion":
            return of_projected(head, features, context.start(self.values["baseline"], features))
        baseline, draws = self.values.get("baseline"), self.values.get("draws")
        starts = context.start(baseline, features) if baseline else None
        starts = context.starts(draws, features) if draws else starts
        freeze = self.freezes and self.values.get("selection", FROZEN) == FROZEN and context.options.freeze_selection
        return of_head(head, features, starts, freeze=freeze)


def occlusion(target: Target, context: Context, *, width: int, stride: int, baseline: str) -> Explanation:
    """The fall of the logit when `width` frames become the baseline, averaged over the windows that cover a frame.

    All layers of a frame are replaced at once, so there is one layer and one feature. A head that selects nodes does so
    freely: the question is what the detector would say.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """
    from captum.attr import Occlusion

    n_read = target.n_read
    x, start = target.x[:, :, :n_read], target.starts[:, :, :n_read]
    width, stride = min(width, n_read), min(stride, width, n_read)
    with torch.no_grad():
        falls = Occlusion(target.logit).attribute(
            x,
            (x.shape[1], width, x.shape[3]),
            strides=(x.shape[1], stride, x.shape[3]),
            baselines=start,
            perturbations_per_eval=target.rows_at_once,
        )
    by_feature = torch.zeros(1, target.x.shape[2], 1, dtype=torch.float64)
    by_feature[0, :n_read, 0] = falls[0, 0, :, 0].double().cpu()
    return of_features(target, by_feature, steps=1 + -(-(n_read - width) // stride))


def random(target: Target, context: Context) -> Explanation:
    """Normal noise for each layer and frame: a map that knows nothing, which every measure must find at chance."""
    shape = (*target.x.shape[1:3], 1)  # (layer, frame, 1)
    noise = torch.randn(shape, dtype=torch.float64, generator=context.generator("random"))
    return of_features(target, noise, steps=0)


_BASELINE = {"baseline": Parameter(BONAFIDE_MEAN, words=BASELINES)}
_DRAWS = {"draws": Parameter(8, 1, 32)}
_PATH = {**_BASELINE, "selection": Parameter(FROZEN, words=(FROZEN, FREE))}
_SAMPLED = {"samples": Parameter(64, 16, 4096), **_DRAWS}
_NOISY = {"samples": Parameter(4, 2, 256), "noise": Parameter(0.5, 0, 10), **_BASELINE}
_WINDOWS = {"width": Parameter(5, 1, 1000), "stride": Parameter(2, 1, 1000), **_BASELINE}

_KNOWN = (
    Method("ig", gradients.integrated_gradients, True, True, _PATH),
    Method("expected_gradients", gradients.expected_gradients, True, True, _DRAWS),
    Method("gradient_x_input", gradients.gradient_x_input),
    Method("gradient_shap", gradients.gradient_shap, True, True, _SAMPLED),
    Method("occlusion", occlusion, parameters=_WINDOWS),
    Method("smoothgrad_ig", gradients.smoothgrad_ig, freezes=True, parameters=_NOISY),
    Method("random", random),
)

REGISTRY: Mapping[str, Method] = MappingProxyType({method.name: method for method in _KNOWN})
"""Every method by name, without values."""


def parse(spec: str) -> Method:
    """The method that a line such as ``ig(baseline=zero)`` names.

    Raises
    ------
    InputError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    method, values = specs.read(spec, REGISTRY, "method")
    return dataclasses.replace(method, values=values)


def default(options: Options, head: Logit | None = None) -> str:
    """The method that a study explains a head with: Integrated Gradients from its baseline.

    Only a head that selects nodes has a free selection; without `head` it is the method for such a head.
    """
    selects = head is None or hasattr(head, "select")
    selection = FREE if selects and not options.freeze_selection else FROZEN
    return parse(f"ig(baseline={options.baseline}, selection={selection})").spec


def available(method: Method | str, head: Logit) -> str | None:
    """Why a method cannot explain a head; None where it can."""
    method = parse(method) if isinstance(method, str) else method
    if method.values.get("selection") == FREE and not hasattr(head, "select"):
        return "this head selects no nodes, so there is no free selection beside the frozen one"
    return None


def offered(head: Logit, methods: Sequence[str] | None = None) -> list[Method]:
    """Those of `methods` (none: `METHODS`) that can explain a head, none twice."""
    asked = {method.spec: method for method in map(parse, METHODS if methods is None else methods)}
    return [method for method in asked.values() if available(method, head) is None]


def explain(method: Method | str, head: Logit, features: Tensor, context: Context) -> Explanation:
    """Explain the spoof logit of one utterance.

    Parameters
    ----------
    method
        A method, or its text for `parse`.
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode, in float32.
    features
        (1, layer, frame, feature) of one utterance.
    context
        Baselines, draws, options and seed; `Context.of` the utterance.

    Raises
    ------
    InputError
        The method is unknown, the features are not one utterance in float32, or the context lacks a baseline or draws
        that fit.
    DetectorError
        The method cannot explain this head, or the head mixes or drops rows of its batch.
    """
    method = parse(method) if isinstance(method, str) else method
    check(features)
    if reason := available(method, head):
        raise DetectorError(f"{method.spec} cannot explain {type(head).__name__}: {reason}")
    with measured(features.device) as cost:
        explanation = method.apply(method.target(head, features, context), context, **method.values)
    return dataclasses.replace(explanation, method=method.spec, cost=cost)
