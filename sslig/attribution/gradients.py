"""Attributions by gradients at single or random points, most of them by captum."""

import torch

from sslig.attribution.context import Context, drawing_from
from sslig.attribution.explanation import COMPLETE, JUMP, NOT_CONVERGED, Explanation, allowance, of_features
from sslig.attribution.target import Target

DRAWS_AT_ONCE = 8
"""Random draws in one call of captum: bounds memory, and the spread between calls gives the standard error."""

SAMPLING_LEVEL = 0.99
"""A residual within the confidence interval of this level around 0 may be due to chance."""


def gradient_x_input(target: Target, context: Context) -> Explanation:
    """The gradient at the input times the input, which adds up for a linear detector only.

    References
    ----------
    Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
    arXiv 1605.01713, 2016.
    """
    from captum.attr import InputXGradient

    by_feature = InputXGradient(target.logit).attribute(target.x.detach().clone().requires_grad_())
    return of_features(target, by_feature[0], steps=1)


def gradient_shap(target: Target, context: Context, *, samples: int, draws: int, origin: str) -> Explanation:
    """Gradients at random points on the ways from random real utterances, times these ways.

    In expectation that is `expected_gradients`, so the sum is held to the same promise within its sampling error, which
    is taken from the spread between calls of `DRAWS_AT_ONCE` points: a residual that chance does not explain is a jump.

    References
    ----------
    Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017.
    """
    from captum.attr import GradientShap
    from scipy import stats

    method, calls = GradientShap(target.logit), -(-samples // DRAWS_AT_ONCE)
    with drawing_from(context.generator("gradient_shap")):
        picked = [target.starts[torch.multinomial(target.weights, DRAWS_AT_ONCE, True)] for _ in range(calls)]
        drawn = [method.attribute(target.x, starts, DRAWS_AT_ONCE, 0.0).detach()[0] for starts in picked]
    parts = torch.stack(drawn).double()  # (call, layer, frame, feature)
    by_feature, sums = parts.mean(dim=0), parts.sum(dim=(1, 2, 3))
    difference = target.spoof_score - target.baseline_score
    residual = by_feature.sum().item() - difference
    width = stats.t.ppf((1 + SAMPLING_LEVEL) / 2, calls - 1)  # in standard errors
    error = float(width * sums.std().item() / calls**0.5)
    within = abs(residual) <= allowance(difference, context.options.tolerance)
    status = COMPLETE if within else NOT_CONVERGED if abs(residual) <= error else JUMP
    certificate = {"steps": calls * DRAWS_AT_ONCE, "residual": residual, "uncertainty": error, "status": status}
    return of_features(target, by_feature, **certificate)


def smoothgrad_ig(target: Target, context: Context, *, samples: int, noise: float, baseline: str) -> Explanation:
    """Integrated Gradients averaged over copies of the input with noise; nothing is promised of their sum.

    `noise` is a share of the standard deviation of each layer. Layers are brought to one scale for it, which changes
    nothing else: Integrated Gradients do not depend on the scale of a feature.

    References
    ----------
    Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv 1706.03825, 2017.
    """
    from captum.attr import IntegratedGradients, NoiseTunnel

    spread = target.x.std(dim=(2, 3), keepdim=True)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))  # (1, layer, 1, 1)
    steps, method = context.options.min_steps, NoiseTunnel(IntegratedGradients(lambda x: target.logit(x * scale)))
    quadrature = {"n_steps": steps, "method": "gausslegendre", "internal_batch_size": target.rows_at_once}
    noisy = {"nt_type": "smoothgrad", "nt_samples": samples, "nt_samples_batch_size": 1, "stdevs": float(noise)}
    with drawing_from(context.generator("smoothgrad_ig")):
        by_feature = method.attribute(target.x / scale, baselines=target.starts / scale, **noisy, **quadrature)
    return of_features(target, by_feature[0], steps=steps)


def grad_cam(target: Target, context: Context) -> Explanation:
    """Grad-CAM with frames as places: features weighted by their mean gradient over time, where the sum is positive.

    With a the mean over frames of the gradient of a feature, it is (sum of a x)+ over layers and features; what speaks
    for bona fide is not shown.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
    equations 1 and 2.
    """
    x = target.x.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(target.logit(x).sum(), x)
    weights = gradient.mean(dim=2, keepdim=True)  # (1, layer, 1, feature)
    by_frame = (weights * target.x)[0].sum(dim=(0, 2)).clamp_min(0)
    return of_features(target, by_frame[None, :, None], steps=1)
