"""Integrated Gradients in closed form, from a baseline b to features x."""

import numpy as np
import pytest
import torch

from sslig.attribution.baselines import Baseline, zero
from sslig.attribution.paths import integrate, integrate_all, quadrature
from sslig.attribution.target import of_head
from sslig.study import Attribution as Options

N_LAYERS, N_FRAMES, FEATURE_SIZE = 2, 5, 3
SHAPE = (1, N_LAYERS, N_FRAMES, FEATURE_SIZE)


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def features():
    return normal(*SHAPE, seed=2)


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
    assert (result.status, result.steps) == ("complete", 8)
    assert result.map_error < 1e-5


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
        ({}, "complete", 128),
        ({"tolerance": 0.3, "map_tolerance": 1}, "complete", 32),
        ({"tolerance": 0.3, "map_tolerance": 0.1}, "complete", 128),
        ({"tolerance": 0.001}, "complete", 128),
        ({"max_steps": 16}, "not converged", 16),
        ({"max_steps": 63}, "not converged", 32),
    ],
)
def test_steps_are_doubled_until_sum_and_map_are_right(features, origin, options, status, steps):
    result = integrated(steep(features), features, origin, Options(**{"map_tolerance": 0.05} | options))
    assert (result.status, result.steps) == (status, steps)
    assert result.residual == pytest.approx(result.by_layer.sum() - result.difference, abs=1e-9)
    if status == "complete":
        assert result.relative_residual <= options.get("tolerance", 0.01)
        assert result.map_error <= options.get("map_tolerance", 0.05)
    else:
        assert result.map_error > 0.05


def test_a_sum_that_is_right_does_not_make_a_map_complete():
    """F(x) = s(x_1) - s(x_2), s a steep sigmoid, at x_1 = x_2: the sum is 0 with any points, the frames need many."""
    features = torch.ones(1, 1, 2, 1)
    head = lambda x: torch.sigmoid(100 * (x[:, 0, :, 0] - 0.37)) @ torch.tensor([1.0, -1.0])  # noqa: E731
    coarse = integrated(head, features, zero(1, 1), Options(max_steps=8))
    assert abs(coarse.residual) < 1e-6
    assert coarse.status == "not converged"
    fine = integrated(head, features, zero(1, 1), Options(map_tolerance=0.01))
    assert fine.status == "complete"
    assert_close(fine.by_frame, [1, -1], atol=0.01)
    assert np.abs(coarse.by_frame - [1, -1]).max() < coarse.map_error


def test_no_point_is_taken_twice(features, origin):
    """7 points of 8 steps, 8 more of 16, 16 more of 32; passes without gradient are the two ends."""
    with_gradient, points = steep(features), []

    def counting(x):
        if x.requires_grad:
            points.append(mean(x) / mean(features))
        return with_gradient(x)

    result = integrated(counting, features, origin, Options(max_steps=32, tolerance=1e-9))
    assert result.steps == 32
    assert max(map(len, points)) <= 8
    angles = np.arccos(1 - 2 * torch.cat(points).detach().double().numpy())
    assert_close(np.sort(angles) / np.pi * 32, np.arange(1, 32), atol=1e-3)


@pytest.mark.parametrize("n_steps", [2, 4, 8, 64, 512])
def test_the_rule_is_exact_for_polynomials_of_a_degree_below_its_steps_less_one(n_steps):
    points, weights = quadrature(n_steps, like=torch.empty(0, dtype=torch.float64))
    for degree in range(min(n_steps - 1, 20)):
        assert (weights @ points**degree).item() == pytest.approx(1 / (degree + 1), abs=1e-12)
    assert weights.min() > 0
    if n_steps > 2:
        assert_close(quadrature(n_steps // 2, like=points)[0], points[1::2], atol=1e-15)


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


# --- Lines of heads: captum, which builds every point in feature space, is the oracle


HEADS = ("aasist", "camhfa", "sls")


def loud(head, seed=0):
    """A head in which all parts of the gradient matter: random layer weights and gates, large last weights."""
    with torch.no_grad():
        for k, (name, values) in enumerate(head.named_parameters()):
            if name in ("weights_k", "weights_v", "fc0.weight", "fc0.bias", "att_head.weight"):
                values.copy_(2 * normal(*values.shape, seed=seed + k))
        for buffer in (name for name, _ in head.named_buffers() if name.endswith("running_mean")):
            head.get_buffer(buffer).add_(0.1)
    return head.requires_grad_(False)


def by_captum(head, features, start, nodes, n_steps):
    """(layer, frame, feature) in float64, by 1024 points of a Gauss-Legendre rule or those of `quadrature`."""
    from captum.attr import IntegratedGradients

    points, weights = quadrature(n_steps, like=features)
    rule = (lambda n: points.tolist(), lambda n: weights.tolist())
    from unittest.mock import patch

    with patch("captum.attr._core.integrated_gradients.approximation_parameters", lambda method: rule[::-1]):
        logit = (lambda x: head(x, nodes)) if nodes else head
        return IntegratedGradients(logit).attribute(features, start, n_steps=len(points))[0].double()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("n_frames", [24, 40])  # SLS reads 30
@pytest.mark.parametrize("constant", [True, False])
def test_lines_give_what_points_in_feature_space_give(tiny_detector, name, n_frames, constant):
    head, x = loud(tiny_detector(name).head), normal(1, 3, n_frames, 16, seed=5)
    start = normal(1, 3, 1, 16, seed=6).expand_as(x) if constant else normal(*x.shape, seed=6)
    target, options = of_head(head, x, start, freeze=True), Options(min_steps=16, max_steps=16)
    result = integrate(target, options)
    expected = by_captum(head, x, start, target.nodes, 16)
    peak = expected.abs().sum(dim=(0, 2)).max().item()
    assert_close(result.by_layer, expected.sum(dim=2), atol=1e-5 * peak)
    assert_close(result.frames("absolute"), expected.abs().sum(dim=(0, 2)), atol=1e-5 * peak)
    assert_close(result.residual, result.by_layer.sum() - result.difference, atol=1e-5 * peak)


@pytest.mark.parametrize("name", HEADS)
def test_targets_in_one_batch_are_explained_as_alone(tiny_detector, name):
    """Also where one needs more points than another, and from several starts each."""
    head = loud(tiny_detector(name).head)
    xs = [scale * normal(1, 3, 24, 16, seed=seed) for seed, scale in enumerate((1, 0.01, 3, 1))]
    starts = normal(2, 3, 1, 16, seed=9).expand(-1, -1, 24, -1)
    targets = [of_head(head, x, starts, freeze=True) for x in xs]
    options = Options(max_steps=64, map_tolerance=0.02)
    together, alone = integrate_all(targets, options), [integrate(target, options) for target in targets]
    assert [result.steps for result in together] == [result.steps for result in alone]
    for both, single in zip(together, alone, strict=True):
        assert_close(both.by_layer, single.by_layer, atol=1e-5 * np.abs(single.by_layer).max())
        assert (both.status, both.selection) == (single.status, single.selection)
