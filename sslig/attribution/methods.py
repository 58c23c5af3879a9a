"""The registry of attribution methods, and `explain`, which applies one to a head.

A method is one line of text, a name and the parameters that are not at their default: ``ig``, ``ig(baseline=zero)``,
``ig(selection=free)``, ``expected_gradients(draws=8)``, ``occlusion(width=5)``.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from captum.attr import Occlusion
from torch import Tensor

from sslig import specs
from sslig.attribution import gradients
from sslig.attribution.context import BASELINES, BONAFIDE_MEAN, Context
from sslig.attribution.explanation import Explanation, measured, of_features
from sslig.attribution.target import FREE, FROZEN, Logit, Target, check, of_head, of_projected
from sslig.errors import DetectorError, InputError
from sslig.specs import Parameter
from sslig.study import Attribution as Options

METHODS = (
    "ig",
    "ig(baseline=zero)",
    "ig(baseline=nonspeech)",
    "ig(baseline=blurred)",
    "ig(selection=free)",
    "expected_gradients",
    "gradient_shap",
    "gradient_x_input",
    "smoothgrad_ig",
    "occlusion",
    "random",
)
"""The methods of a study that names none: the default first, and last a map that knows nothing."""


@dataclass(frozen=True)
class Definition:
    """An entry of `REGISTRY`: a method before its parameters have values.

    Attributes
    ----------
    name
        Its key.
    apply
        ``(target, context, **parameters)`` to `Explanation`.
    description
        One sentence, with the parameters in braces.
    parameters
        By name, in the order of the canonical text. ``baseline`` or ``draws`` gives the starts of the target.
    adds_up
        Whether it promises that the attribution adds up to a difference of logits.
    freezes
        Whether a head keeps the selection of nodes of the explained input.
    """

    name: str
    apply: Callable[..., Explanation]
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    adds_up: bool = False
    freezes: bool = False


@dataclass(frozen=True)
class Method:
    """A method with the values of its parameters, as `parse` gives it.

    Attributes
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

    def starts(self, context: Context, features: Tensor) -> Tensor | None:
        """(start, layer, frame, feature) The inputs that an attribution of `features` starts from."""
        if "baseline" in self.parameters:
            return context.start(self.parameters["baseline"], features)
        return context.starts(self.parameters["draws"], features) if "draws" in self.parameters else None

    def target(self, head: Logit, features: Tensor, context: Context) -> Target:
        """What the method explains of a head."""
        starts = self.starts(context, features)
        if self.name == "occlusion":
            return of_projected(head, features, starts)
        freezes = REGISTRY[self.name].freezes and self.parameters.get("selection", FROZEN) == FROZEN
        return of_head(head, features, starts, freeze=freezes and context.options.freeze_selection)


def occlusion(target: Target, context: Context, *, width: int, stride: int, baseline: str) -> Explanation:
    """F(x) - F(x with `width` frames of the baseline), averaged over the windows that cover a frame.

    All layers of a frame are replaced at once, so there is one layer and one feature. A head that selects nodes does so
    freely: the question is what the detector would say.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """
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
    windows = 1 + -(-(n_read - width) // stride)
    return of_features(target, by_feature, steps=windows)


def random(target: Target, context: Context) -> Explanation:
    """Normal noise for each layer and frame: a map that knows nothing, which every measure must find at chance."""
    _, n_layers, n_frames, _ = target.x.shape
    noise = torch.randn(n_layers, n_frames, 1, dtype=torch.float64, generator=context.generator("random"))
    return of_features(target, noise, steps=0)


_BASELINE = {"baseline": Parameter(BONAFIDE_MEAN, words=BASELINES)}
_DRAWS = {"draws": Parameter(8, 1, 32)}
_SELECTION = {"selection": Parameter(FROZEN, words=(FROZEN, FREE))}
_WINDOW = {"width": Parameter(5, 1, 1000), "stride": Parameter(2, 1, 1000)}

_DEFINITIONS = (
    Definition(
        "ig",
        gradients.integrated_gradients,
        "Integrated Gradients from the baseline {baseline}, with the {selection} selection of nodes.",
        _BASELINE | _SELECTION,
        adds_up=True,
        freezes=True,
    ),
    Definition(
        "expected_gradients",
        gradients.expected_gradients,
        "Integrated Gradients averaged over {draws} real bona fide utterances as baselines.",
        _DRAWS,
        adds_up=True,
        freezes=True,
    ),
    Definition("gradient_x_input", gradients.gradient_x_input, "The gradient at the features times the features."),
    Definition(
        "gradient_shap",
        gradients.gradient_shap,
        "Gradients at {samples} random points between the features and {draws} real bona fide utterances, times the "
        "way between them.",
        {"samples": Parameter(64, 16, 4096)} | _DRAWS,
        adds_up=True,
        freezes=True,
    ),
    Definition(
        "occlusion",
        occlusion,
        "How much the logit falls when {width} frames are replaced by the baseline {baseline}, every {stride} frames.",
        _WINDOW | _BASELINE,
    ),
    Definition(
        "smoothgrad_ig",
        gradients.smoothgrad_ig,
        "Integrated Gradients from the baseline {baseline}, averaged over {samples} copies of the features with noise "
        "of {noise:g} standard deviations of their layer.",
        {"samples": Parameter(4, 2, 256), "noise": Parameter(0.5, 0, 10)} | _BASELINE,
        freezes=True,
    ),
    Definition("random", random, "Noise, which knows nothing."),
)

REGISTRY: Mapping[str, Definition] = MappingProxyType({definition.name: definition for definition in _DEFINITIONS})
"""Every method by name."""


def parse(spec: str) -> Method:
    """The method that a line such as ``ig(baseline=zero)`` names.

    Raises
    ------
    InputError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    try:
        definition, values = specs.read(spec, REGISTRY, "method")
    except ValueError as error:
        raise InputError(str(error)) from error
    text = specs.written(definition.name, definition.parameters, values)
    return Method(text, definition.name, values, definition.adds_up, definition.description.format_map(values))


def default(options: Options) -> str:
    """The method that a study explains with: Integrated Gradients from its baseline."""
    selection = FROZEN if options.freeze_selection else FREE
    return parse(f"ig(baseline={options.baseline}, selection={selection})").spec


def available(method: Method | str, head: Logit) -> str | None:
    """Why a method cannot explain a head; None where it can."""
    method = parse(method) if isinstance(method, str) else method
    if method.parameters.get("selection") == FREE and not hasattr(head, "select"):
        return "this head selects no nodes, so there is no free selection beside the frozen one"
    return None


def offered(head: Logit, methods: Sequence[str] | None = None) -> list[Method]:
    """Those of `methods` (none: `METHODS`) that can explain a head, none twice."""
    asked = dict.fromkeys(parse(spec) for spec in (METHODS if methods is None else methods))
    return [method for method in asked if available(method, head) is None]


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
        target = method.target(head, features, context)
        explanation = REGISTRY[method.name].apply(target, context, **method.parameters)
    return dataclasses.replace(explanation, method=method.spec, cost=cost)
