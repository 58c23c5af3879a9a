"""Attribution methods on heads whose attributions are known, from baselines b or real draws to features x."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sslig import audio
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context, Draw, fitted
from sslig.attribution.methods import METHODS, default, explain, explain_batch, explain_head, offered, parse
from sslig.attribution.target import SPACES, view
from sslig.errors import DetectorError, InputError
from sslig.frames import SSL_CLOCK
from sslig.models.detector import Detector
from sslig.study import Attribution as Options

N_LAYERS, N_FRAMES, FEATURE_SIZE = 2, 5, 3
SHAPE = (1, N_LAYERS, N_FRAMES, FEATURE_SIZE)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def context_of(n_layers, feature_size, **changed):
    """Baselines and eight draws of different lengths."""
    values = normal(n_layers, feature_size, seed=3)
    pairs = (("bonafide_mean", values), ("nonspeech", -values))
    baselines = {name: Baseline(name, start, {}, start) for name, start in pairs}
    inputs = [normal(n_layers, 3 + 4 * k, feature_size, seed=10 + k) for k in range(16)]
    draws = [Draw(k % 2, dict.fromkeys(SPACES, drawn)) for k, drawn in enumerate(inputs)]
    return Context(baselines, tuple(draws), **changed)


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
    result = explain_head(spec, Linear(), features, context)
    a = (Linear.weights * (features - context.start(start, features, "features")))[0]  # (layer, frame, feature)
    assert_close(result.by_layer, a.sum(dim=-1))
    assert_close(result.by_frame, a.sum(dim=(0, 2)))
    assert_close(result.frames("absolute"), a.abs().sum(dim=(0, 2)))
    assert_close(result.frames("l2"), a.square().sum(dim=(0, 2)).sqrt())
    assert result.spoof_score == pytest.approx(Linear()(features).item())


def test_expected_gradients_average_over_the_draws(features, context):
    """F(x) = sum of x ** 2: a = x ** 2 - the mean of b ** 2."""
    spec, head = "expected_gradients(draws=3, origin=bonafide)", lambda x: (x**2).sum(dim=(1, 2, 3))
    result = explain_head(spec, head, features, context)
    starts = torch.stack([fitted(draw.inputs["recording"], N_FRAMES) for draw in context.drawn(3, "bonafide")])
    assert_close(result.by_layer, (features[0] ** 2 - (starts**2).mean(dim=0)).sum(dim=-1))
    assert result.baseline_score == pytest.approx((starts**2).sum().item() / 3, rel=1e-5)
    assert (result.status, result.threshold_gap) == ("complete", None)


@pytest.mark.parametrize("spec", ["expected_gradients", "expected_gradients(space=features)", "gradient_shap"])
def test_evidence_of_a_balanced_start_adds_up_to_the_distance_from_the_threshold(features, spec):
    """The sum of two means, where spoofs score 1.5 and bona fide utterances 0.5: starts score 1.2 at weights .7, .3."""
    head = lambda x: x.mean(dim=(1, 2, 3))  # noqa: E731
    inputs = {label: dict.fromkeys(SPACES, torch.full((N_LAYERS, 4, FEATURE_SIZE), 0.5 + label)) for label in (0, 1)}
    draws = tuple(Draw(label, inputs[label]) for label in (0, 1) for _ in range(6))
    result = explain_head(spec, head, features, Context({}, draws, threshold=1.2))
    assert result.baseline_score == pytest.approx(1.2)
    assert result.threshold_gap == pytest.approx(0, abs=1e-6)
    if spec != "gradient_shap":
        assert result.by_frame.sum() == pytest.approx(head(features).item() - 1.2, abs=1e-5)


def test_real_utterances_are_added_where_smooth_starts_lie_on_one_side(features):
    """F is the largest value: the peaks of a spoof score above the threshold, and blurred they do not."""
    head = lambda x: x.amax(dim=(1, 2, 3))  # noqa: E731
    flat, peaked = torch.zeros(N_LAYERS, N_FRAMES, FEATURE_SIZE), torch.zeros(N_LAYERS, N_FRAMES, FEATURE_SIZE)
    peaked[0, 2, 0] = 3.0
    draws = tuple(Draw(label, dict.fromkeys(SPACES, each)) for label, each in enumerate((flat, peaked)))
    two_sided, one_sided = (Context({}, draws, threshold=threshold) for threshold in (0.05, 1.0))
    counts = {}
    for context in (two_sided, one_sided):
        target = parse("expected_gradients(draws=2)").target(head, features, context, SSL_CLOCK)
        counts[context.threshold] = len(target.starts)
        assert target.baseline_score == pytest.approx(context.threshold, abs=1e-5)
    assert counts == {0.05: 3, 1.0: 4}


def test_gradient_shap_comes_near_expected_gradients_within_its_standard_error(features, context):
    head = lambda x: (x**3).sum(dim=(1, 2, 3))  # noqa: E731
    exact = explain_head("expected_gradients", head, features, context)
    drawn = explain_head("gradient_shap(samples=4096)", head, features, context)
    assert_close(drawn.by_layer, exact.by_layer, atol=1)
    assert abs(drawn.residual) < 1.5 * drawn.uncertainty
    assert drawn.uncertainty < explain_head("gradient_shap(samples=16)", head, features, context).uncertainty


def test_a_step_is_a_jump_for_every_method_that_promises_a_sum(features):
    """Only the smooth part adds up; the 10 of the step are missing."""
    target, context = features.mean(), context_of(N_LAYERS, FEATURE_SIZE, options=Options(max_steps=32))
    head = lambda x: 0.1 * x.mean(dim=(1, 2, 3)) / target + 10 * (x.mean(dim=(1, 2, 3)) / target > 0.99)  # noqa: E731
    for spec in ("ig(baseline=zero)", "expected_gradients", "gradient_shap"):
        result = explain_head(spec, head, features, context)
        assert result.status == "jump"
        assert result.residual == pytest.approx(-10, abs=0.5)
        assert result.uncertainty < 0.5
        assert result.relative_residual == pytest.approx(1, abs=0.1)


def test_occlusion_measures_the_fall_of_the_logit(features, context):
    """One frame at a time on a linear head: the sum of w (x - b) over layers and features of that frame."""
    result = explain_head("occlusion(width_ms=20, stride_ms=20)", Linear(), features, context)
    expected = (Linear.weights * (features - context.start("bonafide_mean", features, "features"))).sum(dim=(0, 1, 3))
    assert result.by_layer.shape == (1, N_FRAMES)
    assert_close(result.by_frame, expected)
    assert_close(result.frames("l2"), expected.abs())
    assert (result.status, result.residual, result.steps) == ("not promised", None, N_FRAMES)


def test_wide_windows_are_averaged_where_they_overlap(features, context):
    """Two of five frames, every frame: the ends are covered by one window, the rest by two."""
    by_frame = explain_head("occlusion(width_ms=20, stride_ms=20)", Linear(), features, context).by_frame
    pairs = by_frame[:-1] + by_frame[1:]
    expected = [pairs[0], *(pairs[:-1] + pairs[1:]) / 2, pairs[-1]]
    assert_close(explain_head("occlusion(width_ms=40, stride_ms=20)", Linear(), features, context).by_frame, expected)
    assert (
        explain_head("occlusion(width_ms=40, stride_ms=40)", Linear(), features, context).steps == 3
    )  # the last is cut
    whole = explain_head("occlusion(width_ms=2000)", Linear(), features, context)
    assert_close(whole.by_frame, np.full(N_FRAMES, by_frame.sum()), atol=1e-4)
    assert whole.steps == 1


def test_smooth_gradients_of_a_linear_head_come_near_the_plain_ones(features, context):
    plain = explain_head("ig", Linear(), features, context)
    smooth = explain_head("smoothgrad_ig(samples=256, noise=0.05)", Linear(), features, context)
    assert_close(smooth.by_layer, plain.by_layer, atol=0.05)
    assert np.abs(smooth.by_frame - plain.by_frame).max() > 1e-4
    assert (smooth.status, smooth.residual, smooth.relative_residual) == ("not promised", None, None)


@pytest.mark.parametrize("spec", ["gradient_shap(samples=16)", "smoothgrad_ig(samples=2)", "random"])
def test_draws_follow_the_seed_and_leave_the_global_ones_alone(features, context, spec):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    head = lambda x: (x**3).sum(dim=(1, 2, 3))  # noqa: E731
    first, second = (explain_head(spec, head, features, context).by_frame.tolist() for _ in range(2))
    drawn = torch.rand(1).item(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert first == second
    assert drawn == (torch.rand(1).item(), np.random.rand())  # noqa: NPY002
    seeded = context_of(N_LAYERS, FEATURE_SIZE, seed=1)
    assert explain_head(spec, head, features, seeded).by_frame.tolist() != first


def test_the_default_method_is_that_of_the_study_or_needs_only_a_logit(tiny_detector):
    assert default(Options()) == "expected_gradients(smooth_ms=100)"
    assert default(Options(method="ig(space=features)"), tiny_detector("sls")) == "ig(space=features)"
    assert default(Options(), tiny_detector("aasist")) == "expected_gradients(smooth_ms=100)"
    assert default(Options(), Loud()) == "waveform_occlusion"
    with pytest.raises(InputError, match="method 'lime'; accepted: ig"):
        default(Options(method="lime"))


@pytest.fixture
def waveform():
    """(1, samples) of 40 frames."""
    return 0.1 * normal(1, SSL_CLOCK.n_samples(40))


def context_for(detector, **options):
    """Means and draws of a detector, in both spaces, of noise."""
    mean = Baseline("mean", normal(3, 16, seed=3), {}, normal(1, 8, seed=4))
    waveforms = 0.1 * normal(16, 1, SSL_CLOCK.n_samples(30), seed=5)
    inputs = [{space: view(detector, each, space)[1][0] for space in SPACES} for each in waveforms]
    draws = tuple(Draw(k % 2, each) for k, each in enumerate(inputs))
    return Context(dict.fromkeys(("bonafide_mean", "nonspeech"), mean), draws, Options(**options), threshold=0.0)


def test_a_study_with_the_free_selection_freezes_nothing(tiny_detector, waveform):
    detector = tiny_detector("aasist")
    free = context_for(detector, freeze_selection=False, min_steps=4, max_steps=4)
    for spec in ("ig", "expected_gradients(draws=2)", "gradient_shap(samples=16)", "smoothgrad_ig(samples=2)"):
        assert explain(spec, detector, waveform, free).selection == "free"


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_every_method_explains_every_detector_or_says_why_not(tiny_detector, waveform, name):
    detector = tiny_detector(name)
    quick, possible = context_for(detector, max_steps=16), [method.spec for method in offered(detector)]
    for spec in METHODS:
        if spec not in possible:
            with pytest.raises(DetectorError, match="it selects no nodes"):
                explain(spec, detector, waveform, quick)
            assert spec == "ig(selection=free)"
            assert name != "aasist"
            continue
        result, method = explain(spec, detector, waveform, quick), parse(spec)
        assert result.by_layer.shape[1] == 40
        assert np.isfinite(result.by_layer).all()
        assert result.by_layer.dtype == result.frames("l2").dtype == np.float64
        assert (result.residual is not None) == method.adds_up, spec
        assert (result.method, result.space) == (spec, method.space)
        assert result.spoof_score == pytest.approx(detector(waveform).item(), abs=1e-5)
        assert result.cost.seconds > 0
        if name == "sls" and method.space == "features" and method.name != "random":
            assert (result.frames("absolute")[30:] == 0).all()
    assert all(parameter.requires_grad for parameter in detector.parameters())


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
@pytest.mark.parametrize("spec", ["ig", "ig(space=features)", "expected_gradients(draws=2)", "occlusion"])
def test_a_batch_is_explained_as_its_utterances_are(tiny_detector, waveform, name, spec):
    detector = tiny_detector(name)
    context, waveforms = context_for(detector, max_steps=16), torch.cat([waveform, waveform.flip(1), 3 * waveform])
    contexts = [context.of(name) for name in "abc"]
    together = explain_batch(spec, detector, waveforms, contexts)
    for result, row, given in zip(together, waveforms.split(1), contexts, strict=True):
        alone = explain(spec, detector, row, given)
        assert_close(result.by_layer, alone.by_layer, atol=1e-4 * np.abs(alone.by_layer).max())
        for column in ("method", "space", "steps", "status", "selection"):
            assert getattr(result, column) == getattr(alone, column)
        for column in ("spoof_score", "baseline_score", "free_baseline_score", "threshold_gap"):
            assert getattr(result, column) == pytest.approx(getattr(alone, column), abs=1e-5)


def test_the_encoder_makes_frames_count_that_the_head_does_not_read(tiny_detector, waveform):
    """SLS reads 30 frames, and the transformer takes the last 10 into them."""
    detector = tiny_detector("sls")
    frames = explain("ig", detector, waveform, context_for(detector)).frames("absolute")
    assert (frames[30:] > 0).all()


def test_a_frozen_selection_is_that_of_the_recording(tiny_detector, waveform):
    detector = tiny_detector("aasist")
    frozen, free = (explain(spec, detector, waveform, context_for(detector)) for spec in ("ig", "ig(selection=free)"))
    assert (frozen.selection, free.selection) == ("frozen", "free")
    assert frozen.spoof_score == free.spoof_score
    assert frozen.free_baseline_score == pytest.approx(free.baseline_score, abs=1e-5)


class Loud(nn.Module):
    """A black box: from (batch, samples) to the mean square of each."""

    clock = SSL_CLOCK

    def forward(self, waveforms):
        return waveforms.square().mean(dim=1)


@pytest.mark.parametrize(
    "spec", ["waveform_occlusion", "waveform_gradient", "waveform_ig", "waveform_ig(smooth_ms=60)"]
)
def test_a_black_box_needs_only_its_logit(waveform, spec):
    waveform[:, 4_000:5_000] *= 20
    assert spec.split("(")[0] in [method.name for method in offered(Loud())]
    result = explain(spec, Loud(), waveform, Context({}))
    assert result.by_layer.shape == (1, 40)
    assert 4_000 <= result.by_frame.argmax() * 320 + 200 < 5_000
    assert result.space == "recording"
    if spec.startswith("waveform_ig"):
        assert result.by_frame.sum() == pytest.approx(Loud()(waveform).item(), rel=1e-4)
        assert result.status == "complete"


def test_a_black_box_is_offered_what_needs_its_logit_alone():
    specs = [method.spec for method in offered(Loud())]
    assert specs == ["waveform_occlusion", "waveform_gradient", "waveform_ig"]


def test_what_a_detector_lacks_is_named(waveform):
    detector = nn.Linear(4, 1)
    with pytest.raises(
        DetectorError, match=r"Linear has no convolutions, encode, head; a map in the space 'recording'"
    ):
        explain("ig", detector, waveform, Context({}))
    with pytest.raises(DetectorError, match="Linear has no features, head"):
        explain("ig(space=features)", detector, waveform, Context({}))


@pytest.mark.parametrize("spec", [spec for spec in METHODS if spec not in ("ig(selection=free)", "waveform_occlusion")])
def test_every_method_refuses_other_heads(features, context, spec):
    with pytest.raises(DetectorError, match=r"gave shape \(\) for a batch of \d+; one logit a row, batch first"):
        explain_head(spec, lambda x: x.sum(), features, context)


def test_features_are_checked(features, context):
    with pytest.raises(InputError, match=r"features in torch\.float64"):
        explain_head("random", Linear(), features.double(), context)


def test_a_waveform_is_one_utterance_in_float32(tiny_detector, waveform):
    detector = tiny_detector()
    with pytest.raises(InputError, match=r"waveform in torch\.float64"):
        explain("random", detector, waveform.double(), Context({}))
    with pytest.raises(InputError, match=r"a waveform of shape \(2, 12880\)"):
        explain("random", detector, waveform.repeat(2, 1), Context({}))
    with pytest.raises(InputError, match="NaN or infinite"):
        explain("random", detector, waveform / 0, Context({}))


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("ig(baseline=bonafide_mean)", "ig"),
        ("ig(selection=free,baseline=zero)", "ig(baseline=zero, selection=free)"),
        (" expected_gradients( draws = 4 ) ", "expected_gradients"),
        ("ig(space=recording)", "ig"),
        ("ig(space=features, baseline=zero)", "ig(baseline=zero, space=features)"),
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
    specs = ["random", "ig", "ig(baseline=bonafide_mean)", "ig(selection=free)"]
    assert [method.spec for method in offered(tiny_detector("camhfa"), specs)] == ["random", "ig"]


@pytest.mark.parametrize("name", ["aasist", "camhfa"])
def test_golden_maps_have_the_sign_of_the_decision_and_find_the_place(golden, name):
    """A spliced spoof and its bona fide twin; the starts are other spoofs and their twins."""
    folder = golden / "planted" / "splice"
    detector = Detector.from_pretrained(folder / "detectors" / name)
    detected = pd.read_csv(folder / "detected.tsv", sep="\t").query("detector == @name")
    (*others, explained), threshold = detected["utterance"].iloc[:7], detected["threshold"].iloc[0]

    def read(kind, utterance):
        samples = audio.read(folder / kind / f"{utterance}.flac")
        return torch.from_numpy(samples[: SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(len(samples)))])[None]

    draws = tuple(
        Draw(label, {"recording": view(detector, read(kind, other), "recording")[1][0]})
        for label, kind in enumerate(("twin", "spoof"))
        for other in others
    )
    context = Context({}, draws, Options(min_steps=16, max_steps=16), threshold=threshold)
    spec = "expected_gradients(draws=2, smooth_ms=100)"
    spoof, twin = (explain(spec, detector, read(kind, explained), context) for kind in ("spoof", "twin"))
    for result in (spoof, twin):
        assert result.threshold_gap == pytest.approx(0, abs=1e-3)
        assert np.sign(result.by_frame.sum()) == np.sign(result.spoof_score - threshold)
    assert spoof.by_frame.sum() > 0 > twin.by_frame.sum()
    place = pd.read_csv(folder / "places.tsv", sep="\t").query("utterance == @explained").iloc[0]
    centre_s = SSL_CLOCK.centre_s(len(spoof.by_frame))
    assert place["start_s"] - 0.1 <= centre_s[spoof.by_frame.argmax()] <= place["end_s"] + 0.1
