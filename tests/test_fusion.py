import numpy as np
import pytest

from sslig.labels import BONAFIDE, SPOOF
from sslig.stats import fusion, metrics
from sslig.stats.fusion import FusionError, calibrate, fuse

N = 4000


@pytest.fixture
def labels():
    return np.repeat([BONAFIDE, SPOOF], N)


def gaussian(rng, labels, distance):
    """Scores that are log-likelihood ratios: N(-d/2, d) and N(+d/2, d) in variance d."""
    return rng.normal(np.where(labels == SPOOF, distance / 2, -distance / 2), np.sqrt(distance))


def by_class(scores, labels):
    return scores[labels == BONAFIDE], scores[labels == SPOOF]


def test_log_likelihood_ratios_are_left_alone(rng, labels):
    found = calibrate(gaussian(rng, labels, 4.0), labels)
    assert found.weights[0] == pytest.approx(1, abs=0.05)
    assert found.offset == pytest.approx(0, abs=0.08)


def test_scale_and_offset_are_undone(rng, labels):
    ratios = gaussian(rng, labels, 4.0)
    found = calibrate(10 * ratios + 7, labels)
    assert found.weights[0] == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(found((10 * ratios + 7)[:, None]), calibrate(ratios, labels)(ratios[:, None]), atol=1e-2)


def test_calibration_lowers_cllr_on_other_trials_and_keeps_the_order(rng, labels):
    fitted = calibrate(20 * gaussian(rng, labels, 3.0) - 5, labels)
    raw = 20 * gaussian(rng, labels, 3.0) - 5
    assert metrics.cllr(*by_class(fitted(raw[:, None]), labels)) < 0.7 < metrics.cllr(*by_class(raw, labels))
    assert metrics.eer(*by_class(fitted(raw[:, None]), labels)) == metrics.eer(*by_class(raw, labels))


def test_the_numbers_of_trials_do_not_shift_the_ratios(rng, labels):
    scores = gaussian(rng, labels, 4.0)
    few_spoofs = np.concatenate([np.arange(N), N + np.arange(N // 8)])
    found = calibrate(scores[few_spoofs], labels[few_spoofs])
    assert found.offset == pytest.approx(0, abs=0.15)


def test_separable_classes_give_finite_ratios():
    found = calibrate([-2.0, -1.0, 1.0, 2.0], [BONAFIDE, BONAFIDE, SPOOF, SPOOF])
    assert np.isfinite(found([[0.0], [100.0]])).all()


def test_fusion_of_independent_detectors_adds_their_ratios(rng, labels):
    scores = np.stack([gaussian(rng, labels, 2.0), 10 * gaussian(rng, labels, 2.0)], axis=1)
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    found = fuse(scores, labels, people, people, ["one", "two"])
    assert found.disjoint_in == "speakers"
    assert found.weights[0] == pytest.approx(1, abs=0.12)
    assert found.weights[1] == pytest.approx(0.1, abs=0.012)
    alone = [metrics.eer(*by_class(column, labels)) for column in scores.T]
    assert metrics.eer(*by_class(found(scores), labels)) < min(alone) - 0.03


def test_a_detector_that_knows_nothing_gets_no_weight(rng, labels):
    scores = np.stack([gaussian(rng, labels, 4.0), rng.standard_normal(2 * N)], axis=1)
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    assert abs(fuse(scores, labels, people, people, ["one", "noise"]).weights[1]) < 0.1


def test_the_strength_is_the_best_of_the_held_out(rng, labels):
    scores = gaussian(rng, labels, 2.0)[:, None]
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    found = fuse(scores, labels, people, people, ["one"])
    held_out = dict(found.cross_validated)
    assert tuple(held_out) == fusion.STRENGTHS
    assert held_out[found.strength] == min(held_out.values())


def test_one_speaker_is_held_out_by_recordings_and_says_so(rng, labels):
    scores = gaussian(rng, labels, 2.0)[:, None]
    recordings = np.tile([f"R{i % 50}" for i in range(N)], 2)
    assert fuse(scores, labels, ["S"] * 2 * N, recordings, ["one"]).disjoint_in == "recordings"


def test_folds_share_no_speaker(rng):
    labels = np.tile([BONAFIDE, SPOOF], 30)
    people = np.repeat([f"S{i}" for i in range(10)], 6)
    name, folds = fusion._folds(labels, {"speakers": people})
    assert name == "speakers"
    for kept, held_out in folds:
        assert not set(people[kept]) & set(people[held_out])
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(60))


def test_what_is_stored_is_the_whole_map(rng, labels):
    found = calibrate(gaussian(rng, labels, 2.0), labels, "sls")
    assert fusion.LogisticMap(**found.values()) == found


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, np.nan], [0, 1], "1 scores are not finite"),
        ([1.0, 2.0], [1, 1], r"labels \[1\]; both 0 \(bona fide\) and 1 \(spoof\) are needed"),
        ([1.0, 1.0], [0, 1], "the scores of 'sls' do not vary"),
    ],
)
def test_bad_scores_are_named(scores, labels, message):
    with pytest.raises(FusionError, match=message):
        calibrate(scores, labels, "sls")


def test_other_shapes_are_named(rng, labels):
    with pytest.raises(FusionError, match=r"scores of shape \(3,\); \(trial, 1\) is needed"):
        calibrate(gaussian(rng, labels, 2.0), labels)(np.zeros(3))
    with pytest.raises(FusionError, match="2 speakers for 8000 trials; one a trial is needed"):
        fuse(np.zeros((2 * N, 1)), labels, ["a", "b"], ["a", "b"], ["one"])
    with pytest.raises(FusionError, match="nothing can be held out"):
        fuse(rng.standard_normal((4, 1)), [0, 0, 1, 1], ["S"] * 4, ["R"] * 4, ["one"])
