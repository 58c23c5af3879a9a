"""Metrics against hand counts, closed forms, a plain implementation and the official ASVspoof 5 package."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sslig.errors import DataError
from sslig.stats import metrics
from sslig.stats.metrics import METRICS

BONAFIDE, SPOOF = [0.0, 1.0, 2.0, 3.0], [2.5, 4.0, 5.0, 6.0]
OFFICIAL = {
    "eer": 0.00619731789960915,
    "min_dcf": 0.01631981160660231,
    "act_dcf": 0.018024153192537015,
    "cllr": 0.028190618341414547,
}


def every(bonafide, spoof):
    return {name: getattr(metrics, name)(bonafide, spoof) for name in METRICS}


def test_four_trials_of_each_class_counted_by_hand():
    # At 3.0 one bona fide trial of four is missed and one spoof of four accepted; at 4.0 only the spoof is wrong.
    assert metrics.eer(BONAFIDE, SPOOF) == 0.25
    assert metrics.eer_threshold(BONAFIDE, SPOOF) == 3.0
    assert metrics.min_dcf(BONAFIDE, SPOOF) == 0.25
    # Above log(1.9) = 0.64 lie three bona fide trials and all spoofs.
    assert metrics.act_dcf(BONAFIDE, SPOOF) == pytest.approx(1.9 * 3 / 4)


def test_error_rates_run_from_nothing_is_spoof_to_all_is():
    threshold, p_miss, p_fa = metrics.error_rates(BONAFIDE, SPOOF)
    np.testing.assert_array_equal(threshold, [np.inf, 6, 5, 4, 3, 2.5, 2, 1, 0])
    np.testing.assert_array_equal(4 * p_miss, [0, 0, 0, 0, 1, 1, 2, 3, 4])
    np.testing.assert_array_equal(4 * p_fa, [4, 3, 2, 1, 1, 0, 0, 0, 0])


def test_det_points_are_the_corners_of_the_staircase():
    p_fa, p_miss = metrics.det_points(BONAFIDE, SPOOF)
    np.testing.assert_array_equal(4 * p_fa, [4, 1, 1, 0, 0])
    np.testing.assert_array_equal(4 * p_miss, [0, 0, 1, 1, 4])


@pytest.mark.parametrize(
    ("bonafide", "spoof", "eer", "min_dcf"),
    [([-1, -2], [1, 2], 0, 0), ([1, 2], [-1, -2], 1, 1), ([0, 0, 0], [0, 0], 0.5, 1)],
    ids=["separated", "reversed", "constant"],
)
def test_the_extremes(bonafide, spoof, eer, min_dcf):
    assert metrics.eer(bonafide, spoof) == eer
    assert metrics.min_dcf(bonafide, spoof) == min_dcf


def test_normal_scores_have_the_eer_of_their_distance(rng):
    distance, n = 2.0, 100_000
    eer = metrics.eer(rng.normal(0, 1, n), rng.normal(distance, 1, n))
    assert eer == pytest.approx(norm.cdf(-distance / 2), abs=0.003)


def test_cllr_is_one_bit_without_information_and_log2_of_odds_with():
    assert metrics.cllr([0, 0], [0]) == pytest.approx(1)
    odds = np.log(3)
    assert metrics.cllr([-odds], [odds, odds]) == pytest.approx(np.log2(1 + 1 / 3))
    assert metrics.cllr([1e4], [-1e4]) == pytest.approx(1e4 / np.log(2))  # no overflow


def test_act_dcf_decides_at_log_1_9():
    below, above = np.log(1.9) - 1e-9, np.log(1.9) + 1e-9
    assert metrics.act_dcf([below], [above]) == 0
    assert metrics.act_dcf([above], [above]) == pytest.approx(1.9)
    assert metrics.act_dcf([below], [below]) == pytest.approx(1)


def test_ties_are_one_step_as_if_each_threshold_were_counted_anew(rng):
    bonafide, spoof = rng.integers(0, 12, size=200), rng.integers(4, 16, size=300)
    p_miss, p_fa = np.array([[np.mean(bonafide >= t), np.mean(spoof < t)] for t in range(17)]).T
    nearest = np.argmin(np.abs(p_miss - p_fa))
    assert metrics.eer(bonafide, spoof) == pytest.approx((p_miss[nearest] + p_fa[nearest]) / 2, abs=1e-15)
    assert metrics.min_dcf(bonafide, spoof) == pytest.approx(np.min(1.9 * p_miss + p_fa), abs=1e-15)


def test_the_official_package_gives_the_same(reference):
    table = pd.read_csv(reference / "asvspoof5_dev_cm_scores.csv")
    spoof_score, is_spoof = -table["cm_score"], table["sasv_label"] == 0
    assert every(spoof_score[~is_spoof], spoof_score[is_spoof]) == pytest.approx(OFFICIAL, rel=0, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "rate", "point"),
    [
        ("eer", np.nan, (3.0, 0.25, 0.25)),
        ("fmr", 0.0, (2.5, 0.25, 0.0)),
        ("fmr", 0.25, (4.0, 0.0, 0.25)),
        ("fmr", 1, (np.inf, 0.0, 1.0)),
        ("fnmr", 0.0, (4.0, 0.0, 0.25)),
        ("fnmr", 0.25, (2.5, 0.25, 0.0)),
        ("fnmr", 1, (0.0, 1.0, 0.0)),
    ],
)
def test_a_held_fmr_takes_the_highest_threshold_and_a_held_fnmr_the_lowest(kind, rate, point):
    assert metrics.operating_point(BONAFIDE, SPOOF, kind, rate) == point


def test_a_held_rate_is_not_exceeded_by_a_block_of_ties_nor_where_only_an_infinite_threshold_holds_it():
    assert metrics.operating_point([0.0] * 9 + [1.0], [0.0, 1.0], "fnmr", 0.5) == (1.0, 0.1, 0.5)
    assert metrics.operating_point([9.0], [1.0], "fnmr", 0.001) == (np.inf, 0.0, 1.0)


@pytest.mark.parametrize(("kind", "rate"), [("fmr", 1.5), ("fnmr", np.nan)])
def test_a_rate_outside_0_to_1_is_refused(kind, rate):
    with pytest.raises(DataError, match=f"{kind.upper()} of {rate}"):
        metrics.operating_point(BONAFIDE, SPOOF, kind, rate)


@pytest.mark.parametrize("metric", [*METRICS, "error_rates", "det_points", "eer_threshold"])
@pytest.mark.parametrize(
    ("bonafide", "spoof", "message"),
    [
        ([], [1.0], "no bona fide scores"),
        ([1.0], [], "no spoof scores"),
        ([1.0], [0.0, np.nan, np.inf], "2 of 3 spoof scores are NaN or infinite, first at 1"),
        ([[1.0], [2.0]], [1.0], r"bona fide scores have shape \(2, 1\)"),
    ],
)
def test_scores_without_a_metric_say_which_class_is_at_fault(metric, bonafide, spoof, message):
    with pytest.raises(DataError, match=message):
        getattr(metrics, metric)(bonafide, spoof)


class TestConditions:
    @pytest.fixture
    def table(self):
        """Two attacks under two codecs; A02 scores below all, C01 moves the bona fide scores."""
        rows = [
            ("bonafide", "-", "-", -1.0),
            ("bonafide", "-", "C01", 3.0),
            ("spoof", "A01", "-", 2.0),
            ("spoof", "A01", "C01", 2.5),
            ("spoof", "A02", "-", -2.0),
            ("spoof", "A02", "C02", -2.0),
        ]
        return pd.DataFrame(rows, columns=["key", "attack", "codec", "spoof_score"])

    @staticmethod
    def scores(table, columns):
        """Condition -> scores of its bona fide and of its spoof trials."""
        parts = metrics.conditions(table, columns)
        return {tuple(values.values()): tuple(map(list, metrics.by_class(part))) for values, part in parts}

    def test_each_attack_meets_all_bona_fide_trials(self, table):
        assert self.scores(table, ["attack"]) == {("A01",): ([-1, 3], [2, 2.5]), ("A02",): ([-1, 3], [-2, -2])}

    def test_each_codec_meets_its_own_bona_fide_trials(self, table):
        expected = {("-",): ([-1], [2, -2]), ("C01",): ([3], [2.5]), ("C02",): ([], [-2])}
        assert self.scores(table, ["codec"]) == expected
        only_bonafide = table[(table["key"] == "bonafide") | (table["codec"] == "-")]
        assert self.scores(only_bonafide, ["codec"]) == {("-",): ([-1], [2, -2]), ("C01",): ([3], [])}

    def test_both_columns_pair_an_attack_with_the_bona_fide_trials_of_the_codec(self, table):
        assert self.scores(table, ["attack", "codec"]) == {
            ("A01", "-"): ([-1], [2]),
            ("A01", "C01"): ([3], [2.5]),
            ("A02", "-"): ([-1], [-2]),
            ("A02", "C02"): ([], [-2]),
        }

    def test_unknown_keys_are_refused(self, table):
        with pytest.raises(DataError, match="key 'genuine' in row 0"):
            metrics.by_class(table.replace("bonafide", "genuine"))


class TestWeighted:
    def test_whole_weights_repeat_trials(self, rng):
        scores, is_bonafide = rng.integers(0, 9, 60).astype(float), rng.random(60) < 0.4
        weights = rng.integers(0, 4, (20, 60))
        values = metrics.weighted(scores, is_bonafide)(weights)
        for row, row_values in zip(weights, values, strict=True):
            drawn, bonafide = np.repeat(scores, row), np.repeat(is_bonafide, row)
            expected = every(drawn[bonafide], drawn[~bonafide])
            assert dict(zip(METRICS, row_values, strict=True)) == pytest.approx(expected)

    def test_metrics_come_in_the_order_asked_for_and_are_nan_without_a_class(self):
        values = metrics.weighted([0.0, 1.0, 2.0], [True, False, False], ["cllr", "eer"])
        assert values(np.ones((1, 3)))[0] == pytest.approx([metrics.cllr([0.0], [1.0, 2.0]), 0.0])
        assert np.isnan(values(np.array([[0, 1, 1]]))).all()


def test_min_cllr_is_the_cllr_of_the_best_rising_map(rng):
    """Brute force over rising step functions of four scores, and 0 where a threshold separates the classes."""
    assert metrics.min_cllr([-2.0, -1.0], [1.0, 2.0]) == pytest.approx(0, abs=1e-9)
    assert metrics.min_cllr([1.0, 2.0], [1.0, 2.0]) == pytest.approx(1)
    # Spoof, bona fide from the top: pooled to one half; the rest is separated.
    assert metrics.min_cllr([0.0, 3.0], [2.0, 4.0]) == pytest.approx(0.5)
    bonafide, spoof = rng.normal(size=50), rng.normal(1, 2, size=60)
    lowest = metrics.min_cllr(bonafide, spoof)
    assert lowest < min(metrics.cllr(a * bonafide + b, a * spoof + b) for a in (0.3, 0.5, 1) for b in (-1, 0))
    assert metrics.min_cllr(np.exp(bonafide), np.exp(spoof)) == pytest.approx(lowest)


def test_a_round_of_min_cllr_is_that_of_the_repeated_trials(rng):
    scores, is_bonafide = rng.normal(size=30).round(1), np.arange(30) % 3 == 0
    weights = rng.integers(0, 3, size=(5, 30))
    rounds = metrics.weighted(scores, is_bonafide, ["cllr", "min_cllr"])(weights)
    for row, (cllr, lowest) in zip(weights, rounds, strict=True):
        classes = [np.repeat(scores[members], row[members]) for members in (is_bonafide, ~is_bonafide)]
        assert (cllr, lowest) == pytest.approx((metrics.cllr(*classes), metrics.min_cllr(*classes)))


def test_shares_of_spoofs_rise_with_the_score_and_pool_what_falls():
    trials = metrics.Trials.of([0.0, 3.0], [2.0, 4.0])
    assert metrics.spoof_share(trials).tolist() == [1, 0.5, 0.5, 0]
