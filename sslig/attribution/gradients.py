"""Attribution methods that follow gradients of the logit, each by captum and with what it promises checked."""

import torch
from torch import Tensor

from sslig.attribution.context import Context, drawing_from
from sslig.attribution.explanation import COMPLETE, JUMP, NOT_CONVERGED, Explanation, allowance, of_features
from sslig.attribution.target import FREE, Target
from sslig.study import Attribution as Options

FREE_MAX_STEPS = 64
"""With the free selection a jump stays however many points there are; with more of them it only takes longer."""

DRAWS_AT_ONCE = 8
"""Random draws in one call of captum: bounds memory, and the spread between calls gives the standard error."""

SAMPLING_LEVEL = 0.99
"""A residual within the confidence interval of this level around 0 may be due to chance."""


def integrate(target: Target, options: Options) -> Explanation:
    """Integrated Gradients along straight paths to `target.x`, averaged over the starts of the paths.

    The number of path points starts at `options.min_steps` and doubles up to `options.max_steps` until the relative
    residual is within `options.tolerance`; the residual is not monotone in the number of points, so the last is kept.

    References
    ----------
    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1 and proposition 1; quadrature
    by Gauss and Legendre.
    """
    difference = target.spoof_score - target.baseline_score
    allowed = allowance(difference, options.tolerance)
    earlier, steps = None, options.min_steps
    while True:
        by_feature = _integral(target, steps)  # (layer, frame, feature)
        residual = by_feature.sum().item() - difference
        if abs(residual) <= allowed or 2 * steps > options.max_steps:
            break
        earlier, steps = residual, 2 * steps
    change = None if earlier is None else abs(residual - earlier)
    settled = JUMP if change is not None and change <= allowed else NOT_CONVERGED
    status = COMPLETE if abs(residual) <= allowed else settled
    return of_features(target, by_feature, steps=steps, residual=residual, uncertainty=change, status=status)


def _integral(target: Target, steps: int) -> Tensor:
    """(layer, frame, feature) in float64: (x - b) * integral of dF/dx from b to x, averaged over the starts b."""
    from captum.attr import IntegratedGradients

    rows = max(target.rows_at_once, len(target.starts))  # captum gives each point of the path to all starts
    x = target.x.expand_as(target.starts)
    quadrature = {"n_steps": steps, "method": "gausslegendre", "internal_batch_size": rows}
    by_feature = IntegratedGradients(target.logit).attribute(x, target.starts, **quadrature)
    # (start, layer, frame, feature)
    return by_feature.detach().double().mean(dim=0)


def integrated_gradients(target: Target, context: Context, *, baseline: str, selection: str) -> Explanation:
    """Integrated Gradients from one baseline, with the frozen or the free selection of nodes."""
    options = context.options
    if selection == FREE:
        options = options.model_copy(update={"max_steps": min(options.max_steps, FREE_MAX_STEPS)})
    return integrate(target, options)


def expected_gradients(target: Target, context: Context, *, draws: int) -> Explanation:
    """Integrated Gradients averaged over baselines that are real bona fide utterances.

    The expectation over paths and points is Erion's; here each path has a Gauss-Legendre quadrature in place of random
    points, so that the sum can be held to what it promises. Where paths are many, each needs fewer points.

    References
    ----------
    Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and expected
    gradients", Nature Machine Intelligence 3, 2021, equation 3.
    """
    least, most = context.options.min_steps, context.options.max_steps
    fewer = {"min_steps": max(2, least // 2), "max_steps": max(2, min(most, least))}
    return integrate(target, context.options.model_copy(update=fewer))


def gradient_x_input(target: Target, context: Context) -> Explanation:
    """The gradient at the features times the features, which adds up for a linear head only.

    References
    ----------
    Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
    arXiv 1605.01713, 2016.
    """
    from captum.attr import InputXGradient

    by_feature = InputXGradient(target.logit).attribute(target.x.detach().clone().requires_grad_())
    return of_features(target, by_feature[0], steps=1)


def gradient_shap(target: Target, context: Context, *, samples: int, draws: int) -> Explanation:
    """Gradients at random points between the features and random bona fide utterances, times the way between them.

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
        drawn = [method.attribute(target.x, target.starts, DRAWS_AT_ONCE, 0.0).detach()[0] for _ in range(calls)]
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
    """Integrated Gradients averaged over copies of the features with noise; nothing is promised of their sum.

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
