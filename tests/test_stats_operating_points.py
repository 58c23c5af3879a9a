"""Operating points and rates at a held threshold, against hand counts."""

import numpy as np
import pandas as pd
import pytest

from sslig.errors import DataError
from sslig.stats import intervals, metrics
from sslig.stats.operating_points import at_fmr, at_fnmr, table

BONAFIDE, SPOOF = [0.0, 1.0, 2.0, 3.0], [2.5, 4.0, 5.0, 6.0]


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
        (lambda: at_fmr(BONAFIDE, SPOOF, 1.5), "FMR of 1.5"),
        (lambda: at_fnmr(BONAFIDE, SPOOF, np.nan), "FNMR of nan"),
        (lambda: at_fmr([], SPOOF, 0.1), "no bona fide scores"),
    ],
)
def test_rates_and_thresholds_that_are_none_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.fixture
def scores(rng):
    """Ten speakers with eight bona fide and eight spoofs each, two deviations apart."""
    spoof = np.tile(np.repeat([False, True], 8), 10)
    return pd.DataFrame(
        {
            "spoof_score": rng.normal(size=160) + 2 * spoof,
            "key": np.where(spoof, "spoof", "bonafide"),
            "speaker": np.repeat([f"S{number}" for number in range(10)], 16),
        }
    )


def by_key(scores):
    return [scores.loc[scores["key"] == key, "spoof_score"] for key in ("bonafide", "spoof")]


class TestTable:
    def test_each_point_has_its_rate_inside_its_interval(self, scores):
        points = table(scores, rates=(0.1,), recordings=False, seed=0, rounds=100).set_index("point")
        assert list(points.index) == ["EER", "FNMR at FMR 10 %", "FMR at FNMR 10 %"]
        assert points.loc["EER", "value"] == metrics.eer(*by_key(scores))
        assert points.loc["FNMR at FMR 10 %", "value"] == at_fmr(*by_key(scores), 0.1).p_miss
        assert points.loc["FMR at FNMR 10 %", "value"] == at_fnmr(*by_key(scores), 0.1).p_fa
        assert (points["low"] <= points["value"]).all()
        assert (points["value"] <= points["high"]).all()
        assert points["errors_allowed"].tolist() == pytest.approx([np.nan, 8, 8], nan_ok=True)

    def test_the_eer_has_the_interval_of_the_metric(self, scores):
        eer = table(scores, recordings=False, seed=4, rounds=60).iloc[0]
        trials = scores.assign(detector="sls", seed=0, utterance=np.arange(160))
        expected = intervals.table(trials, {"eer": "spoof_score"}, recordings=False, seed=4, rounds=60).iloc[0]
        assert (eer["low"], eer["high"]) == pytest.approx((expected["low"], expected["high"]))

    def test_the_order_of_the_rows_does_not_matter(self, scores):
        shuffled = scores.sample(frac=1, random_state=0)
        pd.testing.assert_frame_equal(
            table(shuffled, recordings=False, seed=0, rounds=20), table(scores, recordings=False, seed=0, rounds=20)
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.drop(columns="key"), "the table lacks key"),
            (lambda t: t[t["key"] == "spoof"], "no bona fide scores"),
            (lambda t: t.replace("spoof", "fake"), "key 'fake' in row 8"),
        ],
    )
    def test_unfit_tables_are_refused(self, scores, change, message):
        with pytest.raises(DataError, match=message):
            table(change(scores), recordings=False, seed=0)
