"""Attribution methods that follow gradients of the logit, each by captum and with what it promises checked."""

import dataclasses
import warnings

import torch
from captum.attr import DeepLift, GradientShap, InputXGradient, IntegratedGradients, NoiseTunnel
from scipy import stats
from torch import Tensor, nn

from sslig.attribution.contexts import Context, drawing_from
from sslig.attribution.evidence import INCOMPLETE, Evidence
from sslig.attribution.integrated_gradients import (
    COMPLETE,
    FREE,
    FROZEN,
    JUMP,
    NOT_CONVERGED,
    allowance,
    explained_by,
    integrate,
    mean_score,
    rows_at_once,
    same_rows,
)
from sslig.study import Attribution as Options

FREE_MAX_STEPS = 64
"""With the free selection a jump stays however many points there are; with more of them it only takes longer."""

DRAWS_AT_ONCE = 8
"""Random draws in one call of captum: bounds memory, and the spread between calls gives the standard error."""

SAMPLING_LEVEL = 0.99
"""A residual within the confidence interval of this level around 0 may be due to chance."""


def integrated_gradients(
    head: nn.Module, features: Tensor, context: Context, *, baseline: str, selection: str
) -> Evidence:
    """Integrated Gradients from one baseline (`sslig.attribution.integrated_gradients.explain`)."""
    options = context.options
    if selection == FREE:
        options = dataclasses.replace(options, max_steps=min(options.max_steps, FREE_MAX_STEPS))
    freeze = options.freeze_selection and selection == FROZEN
    return _along(head, features, context.start(baseline, features), options, freeze)


def expected_gradients(head: nn.Module, features: Tensor, context: Context, *, draws: int) -> Evidence:
    """Integrated Gradients averaged over baselines that are real bona fide utterances.

    The expectation over paths and points is Erion's; here each path has a Gauss-Legendre quadrature in place of random
    points, so that the sum can be held to what it promises. Where paths are many, each needs fewer points.

    References
    ----------
    Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and expected
    gradients", Nature Machine Intelligence 3, 2021, equation 3.
    """
    options = context.options
    fewer = dataclasses.replace(
        options, min_steps=max(2, options.min_steps // 2), max_steps=max(2, min(options.max_steps, options.min_steps))
    )
    return _along(head, features, context.starts(draws, features), fewer, options.freeze_selection)


def gradient_x_input(head: nn.Module, features: Tensor, context: Context) -> Evidence:
    """The gradient at the features times the features; adds up for a head that is linear, and promises nothing else.

    References
    ----------
    Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
    arXiv 1605.01713, 2016.
    """
    explained = same_rows(head)
    found = InputXGradient(explained).attribute(features.detach().clone().requires_grad_())
    return Evidence(found.detach()[0].double(), mean_score(explained, features), steps=1)


def gradient_shap(head: nn.Module, features: Tensor, context: Context, *, samples: int, draws: int) -> Evidence:
    """Gradients at random points between the features and random bona fide utterances, times the way between them.

    In expectation that is `expected_gradients`, so the sum is held to the same promise within its sampling error, which
    is taken from the spread between calls of `DRAWS_AT_ONCE` points: a residual that chance does not explain is a jump.

    References
    ----------
    Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017.
    """
    explained, selection = explained_by(head, features, context.options.freeze_selection)
    starts, method = context.starts(draws, features), GradientShap(explained)
    with drawing_from(context.generator("gradient_shap")):
        parts = torch.stack(
            [
                method.attribute(features, starts, n_samples=DRAWS_AT_ONCE, stdevs=0.0).detach()[0].double()
                for _ in range(-(-samples // DRAWS_AT_ONCE))
            ]
        )  # (call, layer, frame, feature)
    by_feature, sums = parts.mean(dim=0), parts.sum(dim=(1, 2, 3))
    spoof_score, baseline_score = mean_score(explained, features), mean_score(explained, starts)
    residual = by_feature.sum().item() - (spoof_score - baseline_score)
    width = stats.t.ppf((1 + SAMPLING_LEVEL) / 2, len(sums) - 1)  # in standard errors
    error = float(width * sums.std().item() / len(sums) ** 0.5)
    within = abs(residual) <= allowance(spoof_score - baseline_score, context.options.tolerance)
    status = COMPLETE if within else NOT_CONVERGED if abs(residual) <= error else JUMP
    free = mean_score(head, starts) if selection == FROZEN else baseline_score
    return Evidence(by_feature, spoof_score, baseline_score, residual, error, status, len(parts) * DRAWS_AT_ONCE,
                    selection, free)  # fmt: skip


def smoothgrad_ig(
    head: nn.Module, features: Tensor, context: Context, *, samples: int, noise: float, baseline: str
) -> Evidence:
    """Integrated Gradients averaged over copies of the features with noise; nothing is promised of their sum.

    `noise` is a share of the standard deviation of each layer. Layers are brought to one scale for it, which changes
    nothing else: Integrated Gradients do not depend on the scale of a feature.

    References
    ----------
    Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv 1706.03825, 2017.
    """
    explained, selection = explained_by(head, features, context.options.freeze_selection)
    start, steps = context.start(baseline, features), context.options.min_steps
    spread = features.std(dim=(2, 3), keepdim=True)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))  # (1, layer, 1, 1)
    with drawing_from(context.generator("smoothgrad_ig")):
        found = NoiseTunnel(IntegratedGradients(lambda x: explained(x * scale))).attribute(
            features / scale, nt_type="smoothgrad", nt_samples=samples, nt_samples_batch_size=1, stdevs=float(noise),
            baselines=start / scale, n_steps=steps, method="gausslegendre", internal_batch_size=rows_at_once(features),
        )  # fmt: skip
    score, baseline_score = mean_score(explained, features), mean_score(explained, start)
    return Evidence(found.detach()[0].double(), score, baseline_score, steps=steps, selection=selection)


def deeplift(head: nn.Module, features: Tensor, context: Context, *, baseline: str) -> Evidence:
    """DeepLIFT by the rescale rule; `sslig.attribution.methods.available` says which heads it cannot explain.

    References
    ----------
    Shrikumar et al., "Learning Important Features Through Propagating Activation Differences", ICML 2017.
    """
    start = context.start(baseline, features)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks", category=UserWarning)
        found = DeepLift(_Hooked(head)).attribute(features.detach().clone().requires_grad_(), start)
    by_feature = found.detach()[0].double()
    spoof_score, baseline_score = mean_score(head, features), mean_score(head, start)
    residual = by_feature.sum().item() - (spoof_score - baseline_score)
    within = abs(residual) <= allowance(spoof_score - baseline_score, context.options.tolerance)
    status = COMPLETE if within else INCOMPLETE
    return Evidence(by_feature, spoof_score, baseline_score, residual, status=status, steps=1)


class _Hooked(nn.Module):
    """A head as the module that captum hooks, which refuses to go on where it does not give one logit a row."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return same_rows(self.head)(features)


def _along(head: nn.Module, features: Tensor, starts: Tensor, options: Options, freeze: bool) -> Evidence:
    """Integrated Gradients from (start, layer, frame, feature) `starts`."""
    explained, selection = explained_by(head, features, freeze)
    path = integrate(explained, features, starts, options)
    free = mean_score(head, starts) if selection == FROZEN else path.baseline_score
    return Evidence(path.by_feature, path.spoof_score, path.baseline_score, path.residual, path.change, path.status,
                    path.steps, selection, free)  # fmt: skip
