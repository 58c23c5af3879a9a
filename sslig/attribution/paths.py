"""Integrated Gradients along straight paths: the quadrature, and how far the sum adds up."""

from sslig.attribution.explanation import COMPLETE, JUMP, NOT_CONVERGED, Explanation, allowance, of_features
from sslig.attribution.target import Target
from sslig.study import Attribution as Options


def integrate(target: Target, options: Options) -> Explanation:
    """Integrated Gradients along straight paths to `target.x`, averaged over the starts of the paths.

    The path points double from `options.min_steps` up to `options.max_steps` until the relative residual is within
    `options.tolerance`; it is not monotone in their number, so the last is kept.

    References
    ----------
    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1 and proposition 1; quadrature
    by Gauss and Legendre.
    """
    from captum.attr import IntegratedGradients

    difference = target.spoof_score - target.baseline_score
    allowed = allowance(difference, options.tolerance)
    rows = max(target.rows_at_once, len(target.starts))  # captum gives each point of the path to all starts
    quadrature = {"method": "gausslegendre", "internal_batch_size": rows}
    gradients, x = IntegratedGradients(target.logit), target.x.expand_as(target.starts)
    earlier, steps = None, options.min_steps
    while True:
        by_start = gradients.attribute(x, target.starts, n_steps=steps, **quadrature)  # (start, layer, frame, feature)
        by_feature = target.mean(by_start.detach().double())
        residual = by_feature.sum().item() - difference
        if abs(residual) <= allowed or 2 * steps > options.max_steps:
            break
        earlier, steps = residual, 2 * steps
    change = None if earlier is None else abs(residual - earlier)
    settled = JUMP if change is not None and change <= allowed else NOT_CONVERGED
    status = COMPLETE if abs(residual) <= allowed else settled
    return of_features(target, by_feature, steps=steps, residual=residual, uncertainty=change, status=status)
