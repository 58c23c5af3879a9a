"""Integrated Gradients in closed form, from a baseline b to features x."""

import numpy as np
import pytest
import torch

from sslig.attribution.baselines import Baseline, zero
from sslig.attribution.paths import integrate
from sslig.attribution.target import of_head
from sslig.study import Attribution as Options

N_LAYERS, N_FRAMES, FEATURE_SIZE = 2, 5, 3
SHAPE = (1, N_LAYERS, N_FRAMES, FEATURE_SIZE)


@pytest.fixture
def features():
    return torch.randn(*SHAPE, generator=torch.Generator().manual_seed(2))


def assert_close(values, expected, atol=1e-5):
    np.testing.assert_allclose(values, np.asarray(expected), atol=atol)


@pytest.fixture
def baseline():
    """(layer, feature), held over all frames."""
    return Baseline("given", torch.tensor([[0.5, -1.0, 0.0], [2.0, 0.3, -0.2]]), {})


@pytest.fixture
def origin():
    return zero(N_LAYERS, FEATURE_SIZE)


def integrated(head, features, baseline, options):
    """Integrated Gradients of a head from one baseline."""
    return integrate(of_head(head, features, baseline.like(features), freeze=options.freeze_selection), options)


def mean(x):
    return x.mean(dim=(1, 2, 3))


def test_a_quadratic_head_gives_the_difference_of_squares(features, baseline):
    """F(x) = sum of x ** 2: a = x ** 2 - b ** 2."""
    result = integrated(lambda x: (x**2).sum(dim=(1, 2, 3)), features, baseline, Options())
    assert_close(result.by_layer, (features[0] ** 2 - baseline.values.unsqueeze(1) ** 2).sum(dim=-1))
    assert (result.status, result.steps) == ("complete", 16)


def test_a_product_is_shared_by_its_factors(features, baseline):
    """F(x) = x_1 x_2: a_1 = (x_1 - b_1) (x_2 + b_2) / 2, and the same the other way round."""
    result = integrated(lambda x: x[:, 0, 1, 2] * x[:, 1, 3, 0], features, baseline, Options())
    x1, x2 = features[0, 0, 1, 2].item(), features[0, 1, 3, 0].item()
    b1, b2 = baseline.values[0, 2].item(), baseline.values[1, 0].item()
    expected = np.zeros((N_LAYERS, N_FRAMES))
    expected[0, 1], expected[1, 3] = (x1 - b1) * (x2 + b2) / 2, (x2 - b2) * (x1 + b1) / 2
    assert_close(result.by_layer, expected)
    assert result.by_layer.sum() == pytest.approx(x1 * x2 - b1 * b2, abs=1e-5)


def test_positive_attribution_is_evidence_for_spoof(origin):
    """What raises the spoof logit is positive, what lowers it negative."""
    features = torch.zeros(1, N_LAYERS, N_FRAMES, FEATURE_SIZE)
    features[:, :, 1], features[:, :, 3] = 1.0, -1.0
    result = integrated(lambda x: torch.tanh(x).sum(dim=(1, 2, 3)), features, origin, Options())
    share = N_LAYERS * FEATURE_SIZE * np.tanh(1)
    assert_close(result.by_frame, [0, share, 0, -share, 0])
    assert result.spoof_score == pytest.approx(0, abs=1e-6)


def steep(features):
    """A logit that rises from 0 to 1 within a few hundredths of the path from the origin, at 40 % of it."""
    return lambda x: torch.sigmoid(100 * (mean(x) / mean(features) - 0.4))


@pytest.mark.parametrize(
    ("options", "status", "steps"),
    [
        ({}, "complete", 64),
        ({"tolerance": 0.3}, "complete", 32),
        ({"tolerance": 0.001}, "complete", 128),
        ({"max_steps": 16}, "not converged", 16),
        ({"max_steps": 63}, "not converged", 32),
    ],
)
def test_points_are_doubled_until_the_sum_is_right(features, origin, options, status, steps):
    result = integrated(steep(features), features, origin, Options(**options))
    assert (result.status, result.steps) == (status, steps)
    assert result.residual == pytest.approx(result.by_layer.sum() - result.difference, abs=1e-9)
    assert (result.relative_residual <= options.get("tolerance", 0.01)) == (status == "complete")
    assert (result.uncertainty is None) == (steps == 16)


def test_the_path_has_as_many_points_as_it_says(features, origin):
    """16, then 32, then 64 points; forward passes without gradient are the two ends."""
    with_gradient, points = steep(features), []

    def counting(x):
        points.append(len(x) if x.requires_grad else 0)
        return with_gradient(x)

    result = integrated(counting, features, origin, Options(max_steps=64, tolerance=1e-9))
    assert result.steps == 64
    assert sum(points) == 16 + 32 + 64
    assert max(points) <= 8


def test_evidence_that_cancels_is_complete():
    """F(x) = x_1 - x_2 at x_1 = x_2: both attributions stay, and their sum is the difference, 0."""
    features = torch.ones(1, 1, 2, 1)
    result = integrated(lambda x: x[:, 0, 0, 0] - x[:, 0, 1, 0], features, zero(1, 1), Options())
    assert_close(result.by_frame, [1, -1])
    assert (result.difference, result.residual, result.relative_residual, result.status) == (0, 0, 0, "complete")


@pytest.fixture
def aasist(tiny_detector):
    """A head that selects nodes, its last weights large enough for the choice to matter."""
    head = tiny_detector("aasist").head
    with torch.no_grad():
        head.out_layer.weight.mul_(20)
    return head


@pytest.mark.parametrize("seed", range(3))
def test_a_frozen_selection_makes_aasist_complete(aasist, seed):
    features = torch.randn(1, 3, 30, 16, generator=torch.Generator().manual_seed(seed))
    origin, options = zero(3, 16), Options(max_steps=256)
    frozen = integrated(aasist, features, origin, options)
    free = integrated(aasist, features, origin, Options(max_steps=64, freeze_selection=False))
    assert (frozen.selection, free.selection) == ("frozen", "free")
    assert frozen.status == "complete"
    assert free.relative_residual >= frozen.relative_residual
    assert free.relative_residual > 0.05
    assert free.status != "complete"
    assert frozen.spoof_score == free.spoof_score == pytest.approx(aasist(features).item())
    assert frozen.by_layer[:-1].tolist() == np.zeros((2, 30)).tolist()  # only the last layer is read
