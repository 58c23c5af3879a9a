"""Attribution methods on heads whose attributions are known, from baselines b or real draws to features x."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context
from sslig.attribution.methods import METHODS, default, explain, offered, parse
from sslig.errors import DetectorError, InputError
from sslig.study import Attribution as Options

N_LAYERS, N_FRAMES, FEATURE_SIZE = 2, 5, 3
SHAPE = (1, N_LAYERS, N_FRAMES, FEATURE_SIZE)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def context_of(n_layers, feature_size, **changed):
    """Baselines and eight draws of different lengths."""
    values = normal(n_layers, feature_size, seed=3)
    pairs = (("bonafide_mean", values), ("nonspeech", -values))
    baselines = {name: Baseline(name, start, {}) for name, start in pairs}
    draws = tuple(normal(n_layers, 3 + 4 * k, feature_size, seed=10 + k) for k in range(8))
    return Context(baselines, draws, **changed)


@pytest.fixture
def features():
    return normal(*SHAPE, seed=2)


@pytest.fixture
def context():
    return context_of(N_LAYERS, FEATURE_SIZE)


class Linear(nn.Module):
    """F(x) = w . x + 4."""

    weights = normal(*SHAPE[1:], seed=1)

    def forward(self, x):
        return (self.weights * x).sum(dim=(1, 2, 3)) + 4


def assert_close(values, expected, atol=1e-5):
    np.testing.assert_allclose(values, np.asarray(expected), atol=atol)


@pytest.mark.parametrize(
    ("spec", "start"),
    [
        ("ig", "bonafide_mean"),
        ("ig(baseline=zero)", "zero"),
        ("ig(baseline=nonspeech)", "nonspeech"),
        ("ig(baseline=blurred)", "blurred"),
        ("gradient_x_input", "zero"),
    ],
)
def test_a_linear_head_gives_weight_times_difference(features, context, spec, start):
    result = explain(spec, Linear(), features, context)
    a = (Linear.weights * (features - context.start(start, features)))[0]  # (layer, frame, feature)
    assert_close(result.by_layer, a.sum(dim=-1))
    assert_close(result.by_frame, a.sum(dim=(0, 2)))
    assert_close(result.frames("absolute"), a.abs().sum(dim=(0, 2)))
    assert_close(result.frames("l2"), a.square().sum(dim=(0, 2)).sqrt())
    assert result.spoof_score == pytest.approx(Linear()(features).item())


def test_expected_gradients_average_over_the_draws(features, context):
    """F(x) = sum of x ** 2: a = x ** 2 - the mean of b ** 2."""
    result = explain("expected_gradients(draws=3)", lambda x: (x**2).sum(dim=(1, 2, 3)), features, context)
    starts = context.starts(3, features)
    assert_close(result.by_layer, (features[0] ** 2 - (starts**2).mean(dim=0)).sum(dim=-1))
    assert result.baseline_score == pytest.approx((starts**2).sum().item() / 3, rel=1e-5)
    assert result.status == "complete"


def test_gradient_shap_comes_near_expected_gradients_within_its_standard_error(features, context):
    head = lambda x: (x**3).sum(dim=(1, 2, 3))  # noqa: E731
    exact = explain("expected_gradients", head, features, context)
    drawn = explain("gradient_shap(samples=4096)", head, features, context)
    assert_close(drawn.by_layer, exact.by_layer, atol=1)
    assert abs(drawn.residual) < 1.5 * drawn.uncertainty
    assert drawn.uncertainty < explain("gradient_shap(samples=16)", head, features, context).uncertainty


def test_a_step_is_a_jump_for_every_method_that_promises_a_sum(features):
    """Only the smooth part adds up; the 10 of the step are missing."""
    target, context = features.mean(), context_of(N_LAYERS, FEATURE_SIZE, options=Options(max_steps=32))
    head = lambda x: 0.1 * x.mean(dim=(1, 2, 3)) / target + 10 * (x.mean(dim=(1, 2, 3)) / target > 0.99)  # noqa: E731
    for spec in ("ig(baseline=zero)", "expected_gradients", "gradient_shap"):
        result = explain(spec, head, features, context)
        assert result.status == "jump"
        assert result.residual == pytest.approx(-10, abs=0.5)
        assert result.uncertainty < 0.5
        assert result.relative_residual == pytest.approx(1, abs=0.1)


def test_occlusion_measures_the_fall_of_the_logit(features, context):
    """One frame at a time on a linear head: the sum of w (x - b) over layers and features of that frame."""
    result = explain("occlusion(width=1, stride=1)", Linear(), features, context)
    expected = (Linear.weights * (features - context.start("bonafide_mean", features))).sum(dim=(0, 1, 3))
    assert result.by_layer.shape == (1, N_FRAMES)
    assert_close(result.by_frame, expected)
    assert_close(result.frames("l2"), expected.abs())
    assert (result.status, result.residual, result.steps) == ("not promised", None, N_FRAMES)


def test_wide_windows_are_averaged_where_they_overlap(features, context):
    """Two of five frames, every frame: the ends are covered by one window, the rest by two."""
    by_frame = explain("occlusion(width=1, stride=1)", Linear(), features, context).by_frame
    pairs = by_frame[:-1] + by_frame[1:]
    expected = [pairs[0], *(pairs[:-1] + pairs[1:]) / 2, pairs[-1]]
    assert_close(explain("occlusion(width=2, stride=1)", Linear(), features, context).by_frame, expected)
    assert explain("occlusion(width=2, stride=2)", Linear(), features, context).steps == 3  # the last is cut
    whole = explain("occlusion(width=100)", Linear(), features, context)
    assert_close(whole.by_frame, np.full(N_FRAMES, by_frame.sum()), atol=1e-4)
    assert whole.steps == 1


def test_smooth_gradients_of_a_linear_head_come_near_the_plain_ones(features, context):
    plain = explain("ig", Linear(), features, context)
    smooth = explain("smoothgrad_ig(samples=256, noise=0.05)", Linear(), features, context)
    assert_close(smooth.by_layer, plain.by_layer, atol=0.05)
    assert np.abs(smooth.by_frame - plain.by_frame).max() > 1e-4
    assert (smooth.status, smooth.residual, smooth.relative_residual) == ("not promised", None, None)


@pytest.mark.parametrize("spec", ["gradient_shap(samples=16)", "smoothgrad_ig(samples=2)", "random"])
def test_draws_follow_the_seed_and_leave_the_global_ones_alone(features, context, spec):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    head = lambda x: (x**3).sum(dim=(1, 2, 3))  # noqa: E731
    first, second = (explain(spec, head, features, context).by_frame.tolist() for _ in range(2))
    drawn = torch.rand(1).item(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert first == second
    assert drawn == (torch.rand(1).item(), np.random.rand())  # noqa: NPY002
    seeded = context_of(N_LAYERS, FEATURE_SIZE, seed=1)
    assert explain(spec, head, features, seeded).by_frame.tolist() != first


@pytest.mark.parametrize(
    ("options", "spec"),
    [({}, "ig"), ({"baseline": "zero"}, "ig(baseline=zero)"), ({"freeze_selection": False}, "ig(selection=free)")],
)
def test_the_default_method_follows_the_options_of_a_study(options, spec):
    assert default(Options(**options)) == spec


def test_only_a_head_that_selects_nodes_has_a_free_selection_by_default(tiny_detector):
    options = Options(freeze_selection=False)
    specs = {name: default(options, tiny_detector(name).head) for name in ("aasist", "camhfa", "sls")}
    assert specs == {"aasist": "ig(selection=free)", "camhfa": "ig", "sls": "ig"}


def test_a_study_with_the_free_selection_freezes_nothing(tiny_detector):
    head, features = tiny_detector("aasist").head, normal(1, 3, 12, 16)
    free = context_of(3, 16, options=Options(freeze_selection=False, min_steps=4, max_steps=4))
    for spec in ("ig", "expected_gradients(draws=2)", "gradient_shap(samples=16)", "smoothgrad_ig(samples=2)"):
        assert explain(spec, head, features, free).selection == "free"


@pytest.mark.parametrize("spec", METHODS)
def test_every_method_explains_every_head_or_says_why_not(tiny_detector, spec):
    quick = context_of(3, 16, options=Options(max_steps=16))
    for name in ("aasist", "camhfa", "sls"):
        head = tiny_detector(name).head
        if spec not in [method.spec for method in offered(head)]:
            with pytest.raises(DetectorError, match="it selects no nodes"):
                explain(spec, head, normal(1, 3, 40, 16), quick)
            assert (spec, name) in [("ig(selection=free)", "camhfa"), ("ig(selection=free)", "sls")]
        else:
            result = explain(spec, head, normal(1, 3, 40, 16), quick)
            assert result.by_layer.shape[1] == 40
            assert np.isfinite(result.by_layer).all()
            assert result.by_layer.dtype == result.frames("l2").dtype == np.float64
            assert (result.residual is not None) == parse(spec).adds_up
            assert result.cost.seconds > 0
            if name == "sls" and spec != "random":
                assert (result.frames("absolute")[30:] == 0).all()


@pytest.mark.parametrize("spec", [spec for spec in METHODS if spec != "ig(selection=free)"])
def test_every_method_refuses_other_heads(features, context, spec):
    with pytest.raises(DetectorError, match=r"gave shape \(\) for a batch of \d+; one logit a row, batch first"):
        explain(spec, lambda x: x.sum(), features, context)


def test_features_are_checked(features, context):
    with pytest.raises(InputError, match=r"features in torch\.float64"):
        explain("random", Linear(), features.double(), context)


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("ig(baseline=bonafide_mean)", "ig"),
        ("ig(selection=free,baseline=zero)", "ig(baseline=zero, selection=free)"),
        (" expected_gradients( draws = 8 ) ", "expected_gradients"),
    ],
)
def test_one_method_has_one_text(written, spec):
    method = parse(written)
    assert method.spec == spec
    assert parse(spec) == method
    assert pickle.loads(pickle.dumps(method)) == method
    assert method.description.endswith(".")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("lime", "method 'lime'; accepted: ig, expected_gradients"),
        ("ig(baseline=silence)", "accepted: bonafide_mean or zero or nonspeech or blurred"),
    ],
)
def test_what_is_not_accepted_is_refused(spec, says):
    with pytest.raises(InputError, match=says):
        parse(spec)


def test_offered_methods_come_once_and_in_order(tiny_detector):
    head = tiny_detector("camhfa").head
    specs = ["random", "ig", "ig(baseline=bonafide_mean)", "ig(selection=free)"]
    assert [method.spec for method in offered(head, specs)] == ["random", "ig"]
