"""Operating points and rates at a held threshold, against hand counts."""

import numpy as np
import pandas as pd
import pytest

from sslig.stats import metrics
from sslig.stats.intervals import bootstrap
from sslig.stats.metrics import MetricError
from sslig.stats.operating_points import at_eer, at_fmr, at_fnmr, at_threshold, table, under_conditions

BONAFIDE, SPOOF = [0.0, 1.0, 2.0, 3.0], [2.5, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("threshold", "p_miss", "p_fa"), [(-1, 1, 0), (2.5, 0.25, 0), (3, 0.25, 0.25), (3.5, 0, 0.25), (np.inf, 0, 1)]
)
def test_both_rates_at_a_given_threshold(threshold, p_miss, p_fa):
    assert at_threshold(BONAFIDE, SPOOF, threshold) == (threshold, p_miss, p_fa)


def test_the_point_of_the_eer_is_that_of_metrics():
    assert at_eer(BONAFIDE, SPOOF) == (3.0, 0.25, 0.25)


def test_a_held_fmr_takes_the_highest_threshold_and_a_held_fnmr_the_lowest():
    assert at_fmr(BONAFIDE, SPOOF, 0.0) == (2.5, 0.25, 0.0)
    assert at_fmr(BONAFIDE, SPOOF, 0.25) == (4.0, 0.0, 0.25)
    assert at_fnmr(BONAFIDE, SPOOF, 0.0) == (4.0, 0.0, 0.25)
    assert at_fnmr(BONAFIDE, SPOOF, 0.25) == (2.5, 0.25, 0.0)
    assert at_fmr(BONAFIDE, SPOOF, 1) == (np.inf, 0.0, 1.0)
    assert at_fnmr(BONAFIDE, SPOOF, 1) == (0.0, 1.0, 0.0)


def test_an_fnmr_that_no_finite_threshold_holds_is_held_by_an_infinite_one():
    assert at_fnmr([9.0], [1.0], 0.001) == (np.inf, 0.0, 1.0)


def test_a_rate_lets_exactly_its_share_of_distinct_trials_through():
    bonafide, spoof = np.arange(3000.0), np.arange(3000.0) + 1e-3
    low, high = at_fmr(bonafide, spoof, 0.001), at_fnmr(bonafide, spoof, 0.001)
    assert np.count_nonzero(spoof < low.threshold) == 3
    assert np.count_nonzero(bonafide >= high.threshold) == 3


def test_ties_are_one_step_so_a_rate_is_not_exceeded():
    point = at_fnmr([0.0] * 9 + [1.0], [0.0, 1.0], 0.5)
    assert point == (1.0, 0.1, 0.5)


def test_points_hold_at_random_and_no_threshold_is_better(rng):
    bonafide, spoof = rng.integers(0, 12, size=200).astype(float), rng.integers(4, 16, size=300).astype(float)
    _, p_miss, p_fa = metrics.error_rates(bonafide, spoof)
    assert at_fmr(bonafide, spoof, 0.07).p_miss == p_miss[p_fa <= 0.07].min()
    assert at_fnmr(bonafide, spoof, 0.07).p_fa == p_fa[p_miss <= 0.07].min()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at_fmr(BONAFIDE, SPOOF, 1.5), "a FMR of 1.5"),
        (lambda: at_fnmr(BONAFIDE, SPOOF, np.nan), "a FNMR of nan"),
        (lambda: at_threshold(BONAFIDE, SPOOF, np.nan), "threshold is NaN"),
        (lambda: at_threshold([], SPOOF, 1.0), "no bona fide scores"),
    ],
)
def test_rates_and_thresholds_that_are_none_are_refused(call, message):
    with pytest.raises(MetricError, match=message):
        call()


@pytest.fixture
def scores(rng):
    """Ten speakers with eight bona fide and eight spoofs each, two deviations apart."""
    spoof = np.tile(np.repeat([False, True], 8), 10)
    return pd.DataFrame({
        "spoof_score": rng.normal(size=160) + 2 * spoof,
        "key": np.where(spoof, "spoof", "bonafide"),
        "speaker": np.repeat([f"S{number}" for number in range(10)], 16),
    })  # fmt: skip


def by_key(scores):
    return [scores.loc[scores["key"] == key, "spoof_score"] for key in ("bonafide", "spoof")]


class TestTable:
    def test_each_point_has_its_rate_inside_its_interval(self, scores):
        found = table(scores, rates=(0.1,), seed=0, rounds=100).set_index("point")
        assert list(found.index) == ["EER", "FNMR at FMR 10 %", "FMR at FNMR 10 %"]
        assert found.loc["EER", "value"] == metrics.eer(*by_key(scores))
        assert found.loc["FNMR at FMR 10 %", "value"] == at_fmr(*by_key(scores), 0.1).p_miss
        assert found.loc["FMR at FNMR 10 %", "value"] == at_fnmr(*by_key(scores), 0.1).p_fa
        assert (found["low"] <= found["value"]).all()
        assert (found["value"] <= found["high"]).all()
        assert found["errors_allowed"].tolist() == pytest.approx([np.nan, 8, 8], nan_ok=True)

    def test_the_eer_has_the_interval_of_the_bootstrap(self, scores):

        found = table(scores, seed=4, rounds=60).iloc[0]
        labels = (scores["key"] == "spoof").astype(int)
        eer = bootstrap(scores["spoof_score"], labels, scores["speaker"], "eer", seed=4, rounds=60)["eer"]
        assert (found["low"], found["high"]) == pytest.approx((eer.low, eer.high))

    def test_the_order_of_the_rows_does_not_matter(self, scores):
        shuffled = scores.sample(frac=1, random_state=0)
        pd.testing.assert_frame_equal(table(shuffled, seed=0, rounds=20), table(scores, seed=0, rounds=20))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.drop(columns="speaker"), "the table lacks speaker"),
            (lambda t: t[t["key"] == "spoof"], "0 bona fide and 80 spoof"),
            (lambda t: t.replace("spoof", "fake"), "key 'fake' in row 8"),
        ],
    )
    def test_unfit_tables_are_refused(self, scores, change, message):
        with pytest.raises(MetricError, match=message):
            table(change(scores), seed=0)


class TestUnderConditions:
    def test_the_same_scores_change_nothing(self, scores):
        found = under_conditions(scores, {"none": scores}, seed=0, rounds=50)
        assert (found["change"] == 0).all()
        assert (found["change_low"] == 0).all()
        assert (found["change_high"] == 0).all()
        assert (found["baseline"] == found["modified"]).all()

    def test_scores_that_rise_reject_all_bona_fide_and_accept_no_spoof(self, scores):
        risen = scores.assign(spoof_score=scores["spoof_score"] + 100)
        found = under_conditions(scores, {"risen": risen}, seed=0, rounds=50).set_index("rate")
        assert found["modified"].to_dict() == {"FAR": 0, "FRR": 1}
        point = at_eer(*by_key(scores))
        assert found["baseline"].to_dict() == {"FAR": point.p_fa, "FRR": point.p_miss}
        assert set(found["threshold"]) == {point.threshold}
        assert found["n"].to_dict() == {"FAR": 80, "FRR": 80}

    def test_change_is_paired_by_speaker_so_narrower_than_two_apart(self, scores):
        few = scores.assign(spoof_score=scores["spoof_score"] + 0.01)
        found = under_conditions(scores, {"few": few}, seed=0, rounds=100)
        assert (found["change_high"] - found["change_low"] < found["high"] - found["low"]).all()

    def test_a_faulty_condition_is_named(self, scores):
        with pytest.raises(MetricError, match=r"condition 'cut' has 80 bona fide and 0 spoof"):
            under_conditions(scores, {"cut": scores[scores["key"] == "bonafide"]}, seed=0)
