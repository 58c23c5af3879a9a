import numpy as np
import pytest

from sslig.validation import curves
from sslig.validation.curves import CurveError


def linear(evidence, bias=0.0):
    """Scores where frame t is worth evidence[t], and nothing where it is replaced."""
    return lambda masks: bias + (~masks) @ evidence


def drawn(evidence, frames, direction=1, seed=0, **options):
    options = {"draws": 20, "generator": np.random.default_rng(seed)} | options
    return curves.curves(linear(evidence), frames, direction, **options)


@pytest.fixture
def evidence(rng):
    return rng.standard_normal(200)


def test_a_linear_head_loses_and_gains_the_evidence_of_the_top_frames(evidence):
    found = drawn(evidence, evidence)
    highest = np.sort(evidence)[::-1]
    expected = [highest[:count].sum() for count in (2, 4, 10, 20, 40, 100)]
    assert found.deletion[0] == pytest.approx(expected)
    assert found.insertion[0] == pytest.approx(expected)
    assert found.whole == pytest.approx(evidence.sum())


def test_one_direction_is_better_whatever_the_decision(evidence):
    spoof, bonafide = drawn(evidence, evidence), drawn(-evidence, -evidence, direction=-1)
    assert bonafide.deletion == pytest.approx(spoof.deletion)
    assert bonafide.insertion == pytest.approx(spoof.insertion)


def test_the_area_is_that_of_the_trapezes_over_the_share_of_frames():
    percents = np.array([10.0, 50.0])
    assert curves.area(percents, np.array([[2.0, 4.0]])) == pytest.approx([(10 * 1 + 40 * 3) / 50])


def test_controls_are_the_same_curves_of_the_shifted_map():
    evidence, n_read = np.arange(10.0), 10
    found = drawn(evidence, evidence, percents=[20], draws=9)
    expected = sorted(evidence[(8 + shift) % n_read] + evidence[(9 + shift) % n_read] for shift in range(1, 10))
    assert sorted(found.deletion[1:, 0]) == pytest.approx(expected)


def test_frames_that_are_not_read_are_never_touched(evidence):
    read = np.arange(200) < 50

    def scores(masks):
        assert not masks[:, ~read].any()
        return (~masks[:, read]) @ evidence[read]

    frames = np.where(read, evidence, 100.0)
    options = {"n_read": 50, "draws": 20, "generator": np.random.default_rng(0)}
    found = curves.curves(scores, frames, 1, percents=[2, 100], **options)
    assert found.deletion[0] == pytest.approx([evidence[read].max(), evidence[read].sum()])


def test_rows_hold_the_points_and_their_means(evidence):
    found = {(row["statistic"], row["at"]): row for row in curves.rows(drawn(evidence, evidence))}
    highest = np.cumsum(np.sort(evidence)[::-1])
    points = highest[[1, 3, 9, 19, 39, 99]]
    assert found["deletion", "5"]["value"] == pytest.approx(points[2])
    assert found["comprehensiveness", ""]["value"] == pytest.approx(points.mean())
    assert found["sufficiency", ""]["value"] == pytest.approx(points.mean() - evidence.sum())
    assert found["deletion_area", ""]["value"] == pytest.approx(curves.area(np.array(curves.PERCENTS), points))
    assert found["insertion_area", ""]["beaten"] == 1


def test_the_true_map_beats_its_controls_and_the_opposite_map_none(evidence):
    for frames, beaten in ((evidence, 1), (-evidence, 0)):
        rows = curves.rows(drawn(evidence, frames))
        assert {row["beaten"] for row in rows} == {beaten}


def test_a_random_map_beats_half_of_its_controls(rng):
    beaten = []
    for number in range(60):
        found = drawn(rng.standard_normal(80), rng.standard_normal(80), seed=number, percents=[10, 30])
        beaten.append(curves.rows(found)[2]["beaten"])
    error = np.std(beaten) / np.sqrt(len(beaten))
    assert abs(np.mean(beaten) - 0.5) < 2.5 * error
    assert error < 0.06


def test_the_insertion_curve_is_left_out_on_demand(evidence):
    found = drawn(evidence, evidence, insertion=False)
    assert found.insertion is None
    assert {row["statistic"] for row in curves.rows(found)} == {"deletion", "deletion_area", "comprehensiveness"}


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.ones(5), {"direction": 0}, "direction 0"),
        (np.ones(5), {"percents": [5, 2]}, r"percents \(5, 2\)"),
        (np.ones(5), {"percents": []}, r"percents \(\)"),
        (np.ones(5), {"percents": [0, 2]}, r"percents \(0, 2\)"),
        (np.ones(5), {"draws": 0}, "0 draws"),
        (np.ones((5, 2)), {}, r"shape \(5, 2\)"),
        (np.array([1, np.inf]), {}, r"finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(frames, options, message):
    with pytest.raises(CurveError, match=message):
        drawn(np.ones(5), frames, **options)
