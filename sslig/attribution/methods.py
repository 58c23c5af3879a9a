"""Attribution methods, those that follow gradients each by captum, and `explain`, which applies one to a detector.

A method is one line of text, a name and the parameters that are not at their default: ``ig``, ``ig(baseline=zero)``,
``ig(space=features)``, ``expected_gradients(draws=8)``, ``occlusion(width_ms=100)``. Without ``space`` it explains the
recording.
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
from sslig.attribution.context import (
    BALANCED,
    BASELINES,
    BONAFIDE,
    BONAFIDE_MEAN,
    ORIGINS,
    SMOOTH,
    ZERO,
    Context,
    neutral_weights,
    one_sided,
)
from sslig.attribution.explanation import Cost, Explanation, measured, of_features
from sslig.attribution.gradients import grad_cam, gradient_shap, gradient_x_input, smoothgrad_ig
from sslig.attribution.occlusion import occlusion, waveform_occlusion
from sslig.attribution.paths import integrate, integrate_all
from sslig.attribution.relevance import attention_lrp, gatr
from sslig.attribution.target import (
    FREE,
    FROZEN,
    RECORDING,
    SPACES,
    Heard,
    Logit,
    Target,
    check,
    check_waveform,
    lacking,
    of_head,
    of_projected,
    selected,
    view,
    without_gradients,
)
from sslig.data import fills
from sslig.errors import DetectorError
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.specs import Parameter
from sslig.study import Attribution as Options

METHODS = (
    *("expected_gradients", "ig", "ig(baseline=nonspeech)", "ig(baseline=blurred)", "ig(selection=free)"),
    *("gradient_shap", "gradient_x_input", "smoothgrad_ig", "occlusion", "grad_cam", "gatr", "attention_lrp"),
    *("waveform_occlusion", "waveform_gradient", "waveform_ig"),
    *("expected_gradients(space=features)", "ig(space=features)", "ig(baseline=zero, space=features)"),
    *("gradient_x_input(space=features)", "occlusion(space=features)", "random"),
)
"""The methods of a study that names none: the default first, and last a map that knows nothing."""

BLACK_BOX = "waveform_occlusion"
"""The method for a detector of which only the logit is known."""

FEW_STEPS = 64
"""Steps of a path at most where paths are many, and with the free selection, whose jumps stay with any number."""


@dataclass(frozen=True)
class Method:
    """An attribution method; `parse` gives it values for its parameters.

    Attributes
    ----------
    apply
        ``(target, context, **values)`` to `Explanation`.
    adds_up
        Whether it promises that the attribution adds up to a difference of logits.
    freezes
        Whether a head keeps the selection of nodes of the explained input.
    hears
        Whether it explains the logit as a function of the samples, so that it needs nothing but the logit.
    parameters, values
        By name, in the order of `spec`. ``baseline`` or ``draws`` says where attributions start; ``smooth_ms`` is the
        width over which maps are smoothed (`Explanation.smoothed`).
    """

    name: str
    apply: Callable[..., Explanation]
    adds_up: bool = False
    freezes: bool = False
    hears: bool = False
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

    def frozen(self, options: Options) -> bool:
        """Whether a head that selects nodes keeps the selection of the explained input."""
        return self.freezes and self.values.get("selection", FROZEN) == FROZEN and options.freeze_selection

    @property
    def space(self) -> str:
        """One of `sslig.attribution.target.SPACES`: where the evidence lies."""
        return self.values.get("space", RECORDING)

    @property
    def draws_in(self) -> list[str]:
        """The spaces that it needs real utterances in."""
        return [self.space] if "draws" in self.values else []

    def smooth_frames(self, clock: FrameClock) -> int:
        """The odd number of frames over which its maps are smoothed; 1 where they are not."""
        smooth_ms = self.values.get("smooth_ms", 0)
        return clock.nearest_frames(smooth_ms) | 1 if smooth_ms else 1

    def explains(self, detector: Any) -> bool:
        """Whether a detector has what the method needs."""
        if self.values.get("selection") == FREE and not hasattr(getattr(detector, "head", None), "select"):
            return False
        return self.hears or not lacking(detector, self.space)

    def target(
        self,
        head: Logit,
        x: Tensor,
        context: Context,
        clock: FrameClock,
        nodes: Mapping[str, Tensor] | None = None,
    ) -> Target:
        """What the method explains of a head, and where it starts; `nodes` are those of `x`, where they are known."""
        baseline, space = self.values.get("baseline"), self.space
        starts = context.start(baseline, x, space) if baseline else None
        if self.name == "occlusion":
            return of_projected(head, x, starts, clock=clock)
        draws, origin = self.values.get("draws"), self.values.get("origin")
        starts = context.starts(draws, origin, x, space) if draws else starts
        target = of_head(head, x, starts, freeze=self.frozen(context.options), clock=clock, nodes=nodes)
        target = dataclasses.replace(target, smooth_frames=self.smooth_frames(clock))
        if not draws:
            return target
        threshold = None if origin == BONAFIDE else context.threshold
        if origin == SMOOTH and one_sided(target.start_scores, threshold):
            real = context.starts(len(context.draws), BALANCED, x, space)
            target = _with_other_side(target, real, draws, threshold)
        return dataclasses.replace(target, weights=neutral_weights(target.start_scores, threshold))


def _with_other_side(target: Target, real: Tensor, n: int, threshold: float) -> Target:
    """The target with up to `n` real utterances more to start from, on the side of the threshold that has no start."""
    missing = (target.scores(target.logit, real) > threshold) != (target.start_scores[0] > threshold)
    return dataclasses.replace(target, starts=torch.cat([target.starts, real[missing.to(real.device)][:n]]))


def integrated_gradients(target: Target, context: Context, *, baseline: str, selection: str) -> Explanation:
    """Integrated Gradients from one baseline, with the frozen or the free selection of nodes."""
    return integrate(target, _path_options(context.options, selection=selection))


def expected_gradients(target: Target, context: Context, *, draws: int, origin: str) -> Explanation:
    """Integrated Gradients averaged over several starts on both sides of the threshold.

    The starts (`sslig.attribution.context.ORIGINS`) are weighted so that their mean score is the threshold
    (`neutral_weights`): evidence then adds up to the distance of the score from the threshold, and its sign is that of
    the decision. With ``origin=bonafide`` all count alike, as published. Each path has a
    quadrature in place of random points, so that the sum can be held to what it promises.

    References
    ----------
    Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and expected
    gradients", Nature Machine Intelligence 3, 2021, equation 3.
    """
    return integrate(target, _path_options(context.options, draws=draws))


def _path_options(options: Options, *, selection: str = FROZEN, draws: int = 1, **_: Any) -> Options:
    """How many steps the paths of a method take."""
    limited = draws > 1 or selection == FREE or not options.freeze_selection
    return options.model_copy(update={"max_steps": min(options.max_steps, FEW_STEPS)}) if limited else options


def waveform_gradients(target: Target, context: Context, *, baseline: str) -> Explanation:
    """Integrated Gradients from digital silence to the samples of the recording, summed over the samples of a frame."""
    return integrate(target, context.options)


def random(target: Target, context: Context) -> Explanation:
    """Normal noise for each layer and frame: a map that knows nothing, which every measure must find at chance."""
    shape = (*target.x.shape[1:3], 1)  # (layer, frame, 1)
    noise = torch.randn(shape, dtype=torch.float64, generator=context.generator("random"))
    return of_features(target, noise, steps=0)


_SPACE = {"smooth_ms": Parameter(0.0, 0, 1e4), "space": Parameter(RECORDING, words=SPACES)}
_BASELINE = {"baseline": Parameter(BONAFIDE_MEAN, words=BASELINES)}
_DRAWS = {"draws": Parameter(4, 1, 16), "origin": Parameter(SMOOTH, words=ORIGINS), **_SPACE}
_PATH = {**_BASELINE, "selection": Parameter(FROZEN, words=(FROZEN, FREE)), **_SPACE}
_SAMPLED = {"samples": Parameter(64, 16, 4096), **_DRAWS}
_NOISY = {"samples": Parameter(4, 2, 256), "noise": Parameter(0.5, 0, 10), **_BASELINE, **_SPACE}
_WINDOWS = {"width_ms": Parameter(140.0, 1, 1e4), "stride_ms": Parameter(40.0, 1, 1e4)}
_HEARD = {"smooth_ms": Parameter(0.0, 0, 1e4)}
_FILLED = {"fill": Parameter(fills.NOISE, words=fills.FILLS), **_WINDOWS, **_HEARD}
_SILENCE = {"baseline": Parameter(ZERO, words=(ZERO,)), **_HEARD}

_METHODS = (
    Method("ig", integrated_gradients, True, True, parameters=_PATH),
    Method("expected_gradients", expected_gradients, True, True, parameters=_DRAWS),
    Method("gradient_x_input", gradient_x_input, parameters=_SPACE),
    Method("gradient_shap", gradient_shap, True, True, parameters=_SAMPLED),
    Method("smoothgrad_ig", smoothgrad_ig, freezes=True, parameters=_NOISY),
    Method("occlusion", occlusion, parameters={**_WINDOWS, **_BASELINE, **_SPACE}),
    Method("grad_cam", grad_cam, parameters=_SPACE),
    Method("gatr", gatr, parameters=_HEARD),
    Method("attention_lrp", attention_lrp, parameters=_HEARD),
    Method("waveform_occlusion", waveform_occlusion, hears=True, parameters=_FILLED),
    Method("waveform_gradient", gradient_x_input, hears=True, parameters=_HEARD),
    Method("waveform_ig", waveform_gradients, True, True, hears=True, parameters=_SILENCE),
    Method("random", random, parameters={"space": _SPACE["space"]}),
)
REGISTRY: Mapping[str, Method] = MappingProxyType({method.name: method for method in _METHODS})


def parse(spec: str) -> Method:
    """The method that a line such as ``ig(baseline=zero)`` names; InputError says what is accepted."""
    method, values = specs.read(spec, REGISTRY, "method")
    return dataclasses.replace(method, values=values)


def default(options: Options, detector: Any = None) -> str:
    """The method that a study explains with; for a `detector` that lacks what it needs, the one that needs a logit."""
    method = parse(options.method)
    return (method if detector is None or method.explains(detector) else parse(BLACK_BOX)).spec


def offered(detector: Any, methods: Sequence[str] | None = None) -> list[Method]:
    """Those of `methods` (none: `METHODS`) that can explain a detector, none twice."""
    asked = {method.spec: method for method in map(parse, METHODS if methods is None else methods)}
    return [method for method in asked.values() if method.explains(detector)]


def explain(method: Method | str, detector: Any, waveform: Tensor, context: Context) -> Explanation:
    """Explain the spoof logit of one utterance.

    Parameters
    ----------
    detector
        In evaluation mode, in float32: any module from (batch, samples) to (batch,) spoof logits with a ``clock``. A
        method that does not hear the waveform needs more: in the recording the ``convolutions``, ``encode`` and
        ``head`` of a `Detector`, in the features its ``features`` and ``head``.
    waveform
        (1, samples) of one utterance, at 16 kHz, on the device of the detector.
    context
        `Context.of` the utterance.

    Raises
    ------
    InputError
        The waveform is not one utterance in float32, or the context lacks a baseline or draws that fit.
    DetectorError
        The method cannot explain this detector, or the detector mixes or drops rows of its batch.
    """
    method = parse(method) if isinstance(method, str) else method
    check_waveform(waveform)
    with measured(waveform.device) as cost, without_gradients(detector):
        head, x = _heard(detector, waveform) if method.hears else view(detector, waveform, method.space)
        explanation = _explain(method, head, x, context, detector.clock)
    return dataclasses.replace(explanation, cost=cost)


def explain_batch(
    method: Method | str, detector: Any, waveforms: Tensor, contexts: Sequence[Context]
) -> list[Explanation]:
    """Explain the spoof logits of utterances of one length, as `explain` does each of them.

    `waveforms` are (utterance, samples), with a context each. Methods that follow paths take all utterances through the
    encoder and the head together, so many rows at once as a target allows; their costs are the mean of the batch.
    """
    method = parse(method) if isinstance(method, str) else method
    if method.apply not in (integrated_gradients, expected_gradients) or len(waveforms) == 1:
        each = zip(waveforms.split(1), contexts, strict=True)
        return [explain(method, detector, waveform, context) for waveform, context in each]
    for waveform in waveforms.split(1):
        check_waveform(waveform)
    with measured(waveforms.device) as cost, without_gradients(detector):
        head, x = view(detector, waveforms, method.space)
        _check_selects(method, head)
        targets = _targets(method, head, x, contexts, detector.clock)
        explanations = _integrated(targets, _path_options(contexts[0].options, **method.values))
    share = Cost(cost.seconds / len(waveforms), cost.peak_mib)
    pairs = zip(explanations, contexts, strict=True)
    return [dataclasses.replace(_placed(method, each, context, detector.clock), cost=share) for each, context in pairs]


def _integrated(targets: Sequence[Target], options: Options) -> list[Explanation]:
    """Integrated Gradients of targets, those with as many starts together."""
    explanations: dict[int, Explanation] = {}
    for n_starts in {len(target.starts) for target in targets}:
        part = {k: target for k, target in enumerate(targets) if len(target.starts) == n_starts}
        explanations |= zip(part, integrate_all(list(part.values()), options), strict=True)
    return [explanations[k] for k in range(len(targets))]


def _targets(method: Method, head: Logit, x: Tensor, contexts: Sequence[Context], clock: FrameClock) -> list[Target]:
    """What a method explains of a head at each of (utterance, layer, frame, feature)."""
    nodes = selected(head, x) if hasattr(head, "select") and method.frozen(contexts[0].options) else {}
    by_row = [{name: rows[k : k + 1] for name, rows in nodes.items()} or None for k in range(len(x))]
    each = zip(x.split(1), contexts, by_row, strict=True)
    return [method.target(head, row, context, clock, chosen) for row, context, chosen in each]


def _heard(detector: Any, waveform: Tensor) -> tuple[Heard, Tensor]:
    heard = Heard(detector, waveform.shape[1])
    return heard, heard.cells(waveform)


def explain_head(
    method: Method | str, head: Logit, x: Tensor, context: Context, clock: FrameClock = SSL_CLOCK
) -> Explanation:
    """Explain a logit at one input of the method's space, as `explain` does.

    `head` is from (batch, layer, frame, feature) to (batch,) and `x` is (1, layer, frame, feature), as
    `sslig.attribution.target.view` gives them.
    """
    method = parse(method) if isinstance(method, str) else method
    check(x)
    with measured(x.device) as cost:
        explanation = _explain(method, head, x, context, clock)
    return dataclasses.replace(explanation, cost=cost)


def _explain(method: Method, head: Logit, x: Tensor, context: Context, clock: FrameClock) -> Explanation:
    _check_selects(method, head)
    values = {name: value for name, value in method.values.items() if name not in ("space", "smooth_ms")}
    return _placed(method, method.apply(method.target(head, x, context, clock), context, **values), context, clock)


def _check_selects(method: Method, head: Logit) -> None:
    if method.values.get("selection") == FREE and not hasattr(head, "select"):
        raise DetectorError(f"{method.spec} cannot explain {type(head).__name__}: it selects no nodes")


def _placed(method: Method, explanation: Explanation, context: Context, clock: FrameClock) -> Explanation:
    """The explanation, smoothed, with its method, its space and the distance of its start from the threshold."""
    if (n_frames := method.smooth_frames(clock)) > 1:
        explanation = explanation.smoothed(n_frames)
    known = None not in (context.threshold, explanation.baseline_score)
    gap = explanation.baseline_score - context.threshold if known else None
    return dataclasses.replace(explanation, method=method.spec, space=method.space, threshold_gap=gap)
