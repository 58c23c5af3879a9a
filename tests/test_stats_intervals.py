"""Metrics with intervals: over seeds, by condition, paired, against the metrics of drawn trials and closed forms."""

import numpy as np
import pandas as pd
import pytest

from sslig.errors import DataError
from sslig.stats import intervals, metrics
from sslig.stats.bootstrap import Units
from sslig.stats.metrics import METRICS
from sslig.stats.tests import expanded

OPTIONS = {"recordings": False, "seed": 1, "rounds": 60}
LOW, HIGH = expanded(np.array([0.025, 0.975]), 8, 7)


@pytest.fixture
def trials(rng):
    """Scores of two detectors and seeds one deviation apart, 6 bona fide and 9 spoofs of each of 8 speakers."""
    spoof = np.tile(np.repeat([False, True], [6, 9]), 8)
    trials = pd.DataFrame(
        {
            "utterance": np.arange(120),
            "key": np.where(spoof, "spoof", "bonafide"),
            "attack": np.where(spoof, np.resize(["A01", "A02", "A03"], 120), "-"),
            "codec": np.resize(["-", "C01"], 120),
            "speaker": np.repeat(np.arange(8), 15),
            "recording": np.arange(120) // 3,
        }
    )
    parts = [
        trials.assign(detector=detector, seed=seed, spoof_score=spoof + rng.normal(size=120))
        for detector in ("aasist", "sls")
        for seed in (0, 1)
    ]
    return pd.concat(parts, ignore_index=True)


def values(trials, columns=intervals.SCORES):
    parts = [[getattr(metrics, name)(*metrics.by_class(trials, score))] for name, score in columns.items()]
    return np.concatenate(parts)


def test_a_round_has_the_metrics_of_the_drawn_speakers_trials(trials):
    run = trials[(trials["detector"] == "sls") & (trials["seed"] == 0)].reset_index(drop=True)
    estimate = intervals.estimates(run, **OPTIONS)["sls"]
    rounds = []
    for weights in np.concatenate(list(Units.of(run["speaker"]).weights(1, 60))):
        rounds.append(values(run.loc[np.repeat(run.index, weights.astype(int))]))
    assert estimate.value == pytest.approx(values(run))
    assert estimate.low == pytest.approx(np.quantile(rounds, LOW, axis=0))
    assert estimate.high == pytest.approx(np.quantile(rounds, HIGH, axis=0))


def test_seeds_are_averaged_within_a_detector(trials):
    table = intervals.table(trials, **OPTIONS)
    runs = trials[trials["detector"] == "sls"].groupby("seed")
    by_seed = np.array([values(part) for _, part in runs])  # (seed, metric)
    part = table[table["detector"] == "sls"].set_index("metric")
    assert part["value"].tolist() == pytest.approx(by_seed.mean(axis=0))
    assert part["sd"].tolist() == pytest.approx(by_seed.std(axis=0, ddof=1))
    assert part.loc["eer", ["n_bonafide", "n_spoof", "n_speakers"]].tolist() == [48, 72, 8]
    apart = intervals.table(trials, by=["detector", "seed"], **OPTIONS)
    assert apart.groupby(["detector", "metric"])["value"].mean()["sls", "eer"] == pytest.approx(part["value"]["eer"])
    assert apart["sd"].isna().all()


def test_the_order_of_the_trials_does_not_matter(trials):
    shuffled = pd.concat([part.sample(frac=1, random_state=0) for _, part in trials.groupby("detector")])
    pd.testing.assert_frame_equal(intervals.table(shuffled, **OPTIONS), intervals.table(trials, **OPTIONS))


def test_one_speaker_has_no_interval_unless_recordings_are_resampled(trials):
    alone = trials.assign(speaker="S")
    assert intervals.table(alone, **OPTIONS)[["low", "high"]].isna().all(axis=None)
    resampled = intervals.table(alone, **OPTIONS | {"recordings": True})
    assert (resampled["low"] < resampled["high"]).all()


def test_metrics_are_computed_on_their_columns(trials):
    columns = {"cllr": "spoof_llr", "eer": "spoof_score", "act_dcf": "spoof_llr"}
    table = intervals.table(trials.assign(spoof_llr=0.0), columns, **OPTIONS)
    assert table["metric"].tolist() == list(columns) * 2
    part = table[table["detector"] == "aasist"].set_index("metric")["value"]
    assert (part["cllr"], part["act_dcf"]) == pytest.approx((1, 1))
    assert part["eer"] < 0.5


def test_a_difference_is_paired(trials):
    estimates = intervals.estimates(trials, **OPTIONS)
    table = intervals.differences(estimates, [("sls", "sls"), ("sls", "aasist")])
    assert (table.loc[table["second"] == "sls", ["value", "low", "high"]] == 0).all(axis=None)
    part = table[table["second"] == "aasist"]
    assert part["value"].tolist() == pytest.approx(estimates["sls"].value - estimates["aasist"].value)
    rounds = estimates["sls"].rounds - estimates["aasist"].rounds
    assert part["low"].tolist() == pytest.approx(np.quantile(rounds, LOW, axis=0))
    assert part["metric"].tolist() == list(METRICS)
    assert (table.loc[table["second"] == "sls", "p"] == 1).all()
    assert (table["family"] == 8).all()
    assert part["p"].tolist() == (estimates["sls"] - estimates["aasist"]).p.tolist()


def test_each_condition_has_the_table_of_its_trials(trials):
    columns = {"eer": "spoof_score"}
    table = intervals.by_condition(trials, ["attack", "codec"], columns, **OPTIONS)
    assert list(table.columns[:4]) == ["attack", "codec", "detector", "metric"]
    part = trials[trials["attack"].isin(["-", "A02"]) & (trials["codec"] == "C01")]
    expected = intervals.table(part, columns, **OPTIONS)
    row = table[(table["attack"] == "A02") & (table["codec"] == "C01")].drop(columns=["attack", "codec"])
    pd.testing.assert_frame_equal(row.reset_index(drop=True), expected)


def test_a_condition_without_a_class_has_counts_and_no_metrics(trials):
    cut = trials[(trials["key"] == "spoof") | (trials["codec"] == "-")]
    table = intervals.by_condition(cut, "codec", **OPTIONS).query("codec == 'C01'")
    assert table[["value", "sd", "low", "high"]].isna().all(axis=None)
    assert (table["n_bonafide"] == 0).all()
    assert (table["n_spoof"] == 36).all()


def test_seeds_that_scored_other_utterances_are_refused(trials):
    with pytest.raises(DataError, match=r"sls: seed 1 scored other utterances than seed 0"):
        intervals.table(trials[:-1], **OPTIONS)


class TestOperatingPoints:
    @pytest.fixture
    def scores(self, trials):
        return trials[(trials["detector"] == "sls") & (trials["seed"] == 0)]

    def test_each_point_has_its_rate_inside_its_interval(self, scores):
        classes = metrics.by_class(scores)
        points = intervals.operating_points(scores, rates=(0.1,), **OPTIONS).set_index("point")
        assert list(points.index) == ["EER", "BPCER at APCER 10 %", "APCER at BPCER 10 %"]
        expected = [metrics.operating_point(*classes, kind, 0.1) for kind in ("eer", "fmr", "fnmr")]
        assert points[["threshold", "fnmr", "fmr"]].to_numpy().tolist() == [list(point) for point in expected]
        assert points["value"].tolist() == [metrics.eer(*classes), expected[1].p_miss, expected[2].p_fa]
        assert (points["low"] <= points["value"]).all()
        assert (points["value"] <= points["high"]).all()
        assert points["errors_allowed"].tolist() == pytest.approx([np.nan, 7.2, 4.8], nan_ok=True)

    def test_each_round_takes_its_own_thresholds_whatever_the_order_of_the_rows(self, scores):
        points = intervals.operating_points(scores.sample(frac=1, random_state=0), (0.1,), **OPTIONS)
        scores = scores.reset_index(drop=True)
        rounds = []
        for weights in np.concatenate(list(Units.of(scores["speaker"]).weights(1, 60))):
            classes = metrics.by_class(scores.loc[np.repeat(scores.index, weights.astype(int))])
            at_rates = metrics.operating_point(*classes, "fmr", 0.1), metrics.operating_point(*classes, "fnmr", 0.1)
            rounds.append([metrics.eer(*classes), at_rates[0].p_miss, at_rates[1].p_fa])
        assert points["low"].tolist() == pytest.approx(np.quantile(rounds, LOW, axis=0))
        assert points["high"].tolist() == pytest.approx(np.quantile(rounds, HIGH, axis=0))
