"""What each attribution method is: its function, its parameters, and what it promises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from sslig.attribution import gradients
from sslig.attribution.contexts import BASELINES, BONAFIDE_MEAN, Context
from sslig.attribution.evidence import Evidence
from sslig.attribution.integrated_gradients import FREE, FROZEN, mean_score, same_rows
from sslig.attribution.occlusion import occlusion
from sslig.models.aasist import AASIST
from sslig.models.camhfa import CAMHFA
from sslig.models.sls import SLS
from sslig.specs import Parameter


@dataclass(frozen=True)
class Definition:
    """One entry of `REGISTRY`: a method before its parameters have values.

    Parameters
    ----------
    name
        Its key.
    apply
        ``(head, features, context, **parameters)`` to `Evidence`.
    description
        One plain sentence, with the parameters in braces.
    parameters
        By name, in the order of the canonical text.
    adds_up
        Whether it promises that the attribution adds up to a difference of logits.
    """

    name: str
    apply: Callable[..., Evidence]
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    adds_up: bool = False


RESCALE_MISSES: Mapping[type[nn.Module], str] = MappingProxyType({
    CAMHFA: "it multiplies attention weights by values and calls softmax as a function",
    SLS: "it multiplies gates by frames and calls sigmoid, SELU and max-pooling as functions",
    AASIST: "it multiplies nodes by nodes and by attention weights, drops nodes, and calls SELU, tanh, softmax and "
            "maxima as functions",
})  # fmt: skip
"""What captum's DeepLIFT does not see in a head: its rescale rule is for modules with one input, and it takes all else
for linear, so that what it gives is the gradient times the way from the baseline and does not add up."""


def random(head: nn.Module, features: Tensor, context: Context) -> Evidence:
    """Normal noise for each layer and frame: a map that knows nothing, which every measure must find at chance."""
    _, n_layers, n_frames, _ = features.shape
    noise = torch.randn(n_layers, n_frames, 1, dtype=torch.float64, generator=context.generator("random"))
    return Evidence(noise, mean_score(same_rows(head), features))


_BASELINE = {"baseline": Parameter(BONAFIDE_MEAN, words=BASELINES)}
_DRAWS = {"draws": Parameter(8, 1, 32)}

REGISTRY = MappingProxyType({one.name: one for one in (
    Definition(
        "ig", gradients.integrated_gradients,
        "Integrated Gradients from the baseline {baseline}, with the {selection} selection of nodes.",
        _BASELINE | {"selection": Parameter(FROZEN, words=(FROZEN, FREE))}, adds_up=True,
    ),
    Definition(
        "expected_gradients", gradients.expected_gradients,
        "Integrated Gradients averaged over {draws} real bona fide utterances as baselines.", _DRAWS, adds_up=True,
    ),
    Definition("gradient_x_input", gradients.gradient_x_input, "The gradient at the features times the features."),
    Definition(
        "gradient_shap", gradients.gradient_shap,
        "Gradients at {samples} random points between the features and {draws} real bona fide utterances, times the "
        "way between them.",
        {"samples": Parameter(64, 16, 4096)} | _DRAWS, adds_up=True,
    ),
    Definition(
        "deeplift", gradients.deeplift, "DeepLIFT by the rescale rule, from the baseline {baseline}.", _BASELINE,
        adds_up=True,
    ),
    Definition(
        "occlusion", occlusion,
        "How much the logit falls when {width} frames are replaced by the baseline {baseline}, every {stride} frames.",
        {"width": Parameter(5, 1, 1000), "stride": Parameter(2, 1, 1000)} | _BASELINE,
    ),
    Definition(
        "smoothgrad_ig", gradients.smoothgrad_ig,
        "Integrated Gradients from the baseline {baseline}, averaged over {samples} copies of the features with noise "
        "of {noise:g} standard deviations of their layer.",
        {"samples": Parameter(4, 2, 256), "noise": Parameter(0.5, 0, 10)} | _BASELINE,
    ),
    Definition("random", random, "Noise, which knows nothing."),
)})  # fmt: skip
"""Every method by name."""
