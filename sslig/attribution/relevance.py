"""Relevance through attention: two methods that follow the transformer, by its attention maps or layer by layer."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sslig.attribution.context import Context
from sslig.attribution.explanation import Explanation, of_features
from sslig.attribution.target import Target
from sslig.errors import DetectorError

Rule = Callable[..., Any]


class Attention(TorchFunctionMode):
    """Within the block, attention is computed step by step, and `maps` collects its (..., frame, frame) weights.

    Hugging Face encoders call one of two functions for all of attention, whose weights of single heads cannot be seen
    otherwise: `multi_head_attention_forward` (WavLM, where a gated position bias is the mask) or
    `scaled_dot_product_attention` (wav2vec 2.0, HuBERT). Values stay what they are, up to rounding.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Tensor] = []
        self.rules: dict[Any, Rule] = {
            functional.multi_head_attention_forward: self._multi_head,
            functional.scaled_dot_product_attention: self._scaled,
        }

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return self.rules.get(func, func)(*args, **(kwargs or {}))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product."""
        return a @ b

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        """(..., frame, feature) Values weighted by softmax(scale q k' + bias)."""
        logits = scale * self.product(query, key.transpose(-2, -1))
        weights = (logits if bias is None else logits + bias).softmax(dim=-1)
        self.maps.append(weights)
        return self.product(weights, value)

    def _scaled(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **more: Any):
        scale = more.get("scale") or query.shape[-1] ** -0.5
        return self._attended(query, key, value, attn_mask, scale)

    def _multi_head(self, query: Tensor, key: Tensor, value: Tensor, size: int, n_heads: int, *args: Any, **more: Any):
        """The call that WavLM makes: (frame, batch, feature), projections apart, without dropout or padding."""
        projections = (more[f"{name}_proj_weight"] for name in "qkv")
        biases, output = args[1].chunk(3), args[6:8]

        def heads(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            split = functional.linear(x, weight, bias).unflatten(-1, (n_heads, -1))  # (frame, batch, head, feature)
            return split.flatten(1, 2).transpose(0, 1)  # (batch * head, frame, feature)

        q, k, v = (heads(*each) for each in zip((query, key, value), projections, biases, strict=True))
        attended = self._attended(q, k, v, more["attn_mask"], math.sqrt(n_heads / size))
        joined = attended.transpose(0, 1).reshape(query.shape)  # (frame, batch, feature)
        return functional.linear(joined, *output), None


class Relevance(Attention):
    """Within the block, gradient times input is relevance by the rules of AttnLRP.

    Normalisation layers pass relevance on as if their scale were a constant; an activation f(x) is taken for the factor
    f(x) / x; a product of two things that depend on the input halves it between them; softmax stays as it is, since its
    rule is gradient times input. Sigmoids gate (WavLM's position bias, the layers of SLS, the pools of AASIST) and are
    taken for constants: the gated signal takes all (Arras et al., WASSA 2017, section 3).
    """

    def __init__(self) -> None:
        super().__init__()
        products = (torch.mul, Tensor.mul, Tensor.__mul__, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm)
        activations = (functional.gelu, functional.selu, functional.relu, functional.silu, torch.tanh, Tensor.tanh)
        self.rules |= {func: _halved(func) for func in products}
        self.rules |= {func: _factor(func) for func in activations}
        self.rules |= {func: _constant(func) for func in (torch.sigmoid, Tensor.sigmoid, functional.sigmoid)}
        self.rules |= {functional.layer_norm: _layer_norm}

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product, halved between factors that depend on the input."""
        return _halved(torch.matmul)(a, b)


def _half(x: Tensor) -> Tensor:
    """The same value with half the gradient."""
    return x.detach() + 0.5 * (x - x.detach())


def _halved(func: Rule) -> Rule:
    """A product, of which each factor takes half where both depend on the input."""

    def rule(a: Any, b: Any, **more: Any) -> Tensor:
        both = isinstance(a, Tensor) and isinstance(b, Tensor) and a.requires_grad and b.requires_grad
        return func(_half(a), _half(b), **more) if both else func(a, b, **more)

    return rule


def _factor(func: Rule) -> Rule:
    """An activation as a constant factor f(x) / x."""

    def rule(x: Tensor, *args: Any, **more: Any) -> Tensor:
        y = func(x, *args, **more).detach()
        return torch.where(x == 0, y, x * (y / torch.where(x == 0, 1.0, x)).detach())

    return rule


def _constant(func: Rule) -> Rule:
    return lambda x, *args, **more: func(x, *args, **more).detach()


def _layer_norm(x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5):
    dims = tuple(range(-len(shape), 0))
    scale = (x.var(dim=dims, keepdim=True, correction=0) + eps).rsqrt().detach()
    y = (x - x.mean(dim=dims, keepdim=True)) * scale
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def attention_lrp(target: Target, context: Context) -> Explanation:
    """Attention-aware layer-wise relevance propagation through encoder and head; biases take a part of the logit.

    References
    ----------
    Achtibat et al., "AttnLRP: Attention-Aware Layer-wise Relevance Propagation for Transformers", ICML 2024, section 3;
    as a changed gradient in one backward pass, section 3.4 there.
    """
    with torch.enable_grad(), Relevance():
        x = target.x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(target.logit(x).sum(), x)
    return of_features(target, (gradient * target.x)[0], steps=1)


def gatr(target: Target, context: Context) -> Explanation:
    """Gradient average transformer relevancy: how much each frame is attended to, weighted by gradients.

    With A the attention of a layer and G its gradient, relevance is R <- R + mean_heads((G A)+) R from the first layer
    to the last, from R = 1. There is no class token whose row could be read, so the rows are averaged, each weighted by
    the positive gradient of the attention of the last layer. All values are positive: what speaks for bona fide is not
    shown.

    References
    ----------
    Grinberg et al., "What Does an Audio Deepfake Detector Focus on? A Study in the Time Domain", ICASSP 2025. Chefer et
    al., "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers", ICCV 2021,
    equations 5 and 6.

    Raises
    ------
    DetectorError
        No attention is found.
    """
    with torch.enable_grad(), Attention() as attention:
        logit = target.logit(target.x.detach().clone().requires_grad_())
        maps = [each for each in attention.maps if each.requires_grad]
        if not maps:
            raise DetectorError("no attention of a transformer is found; gatr needs an encoder of transformer layers")
        gradients = torch.autograd.grad(logit.sum(), maps)
    n_frames = maps[0].shape[-1]
    relevance = torch.eye(n_frames, dtype=torch.float64, device=logit.device)
    for weights, gradient in zip(maps, gradients, strict=True):
        update = (gradient * weights).detach().double().clamp_min(0).reshape(-1, n_frames, n_frames).mean(dim=0)
        relevance = relevance + update @ relevance
    rows = gradients[-1].double().clamp_min(0).reshape(-1, n_frames, n_frames).mean(dim=(0, 2))
    by_frame = rows @ relevance / rows.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return of_features(target, by_frame[None, :, None], steps=1)
