"""Means over seeds and paired differences, with intervals that agree with those of `sslig.stats.intervals`."""

import numpy as np
import pandas as pd
import pytest

from sslig.labels import KEYS
from sslig.report.resampled import SCORE_COLUMNS, difference, interval_text, over_seeds
from sslig.stats import intervals
from sslig.stats.metrics import METRICS
from sslig.study import Evaluation

ONE = Evaluation(rounds=50)
TWO = Evaluation(rounds=50, resample_recordings=True)


@pytest.fixture
def trials(rng):
    """One detector on 30 bona fide and 60 spoofs of five speakers, two trials of each recording."""
    numbers = np.arange(90)
    table = pd.DataFrame({
        "detector": "sls", "seed": 0, "utterance": [f"E_{n:02d}" for n in numbers],
        "key": np.where(numbers % 3 == 0, "bonafide", "spoof"), "speaker": [f"S{n % 5}" for n in numbers],
    })  # fmt: skip
    table["recording"] = [f"{speaker}_{n // 10}" for speaker, n in zip(table["speaker"], numbers, strict=True)]
    return table.assign(spoof_score=rng.normal(table["key"].map(KEYS) * 1.5))


@pytest.mark.parametrize("options", [ONE, TWO])
def test_one_seed_has_the_intervals_of_the_bootstrap(trials, options):
    recordings = trials["recording"] if options.resample_recordings else None
    expected = intervals.bootstrap(
        trials["spoof_score"], trials["key"].map(KEYS), trials["speaker"], seed=3, rounds=50, recordings=recordings
    )
    found = over_seeds(trials.sample(frac=1, random_state=1), SCORE_COLUMNS, options, seed=3).set_index("metric")
    for name in METRICS:
        interval = expected[name]
        assert found.loc[name, ["value", "low", "high"]].tolist() == pytest.approx(
            [interval.value, interval.low, interval.high]
        )
    assert found["sd"].isna().all()
    assert found[["n_bonafide", "n_spoof", "n_speakers"]].iloc[0].tolist() == [30, 60, 5]


def test_seeds_are_averaged_within_a_detector(trials):
    """Of scores and of the same turned around the EERs are e and 1 - e."""
    turned = trials.assign(seed=1, spoof_score=-trials["spoof_score"])
    table = pd.concat([trials, turned, trials.assign(detector="aasist")])
    found = over_seeds(table, {"eer": "spoof_score"}, ONE, seed=0).set_index("detector")
    alone = found.loc["aasist", "value"]
    assert found.loc["sls", "value"] == pytest.approx(0.5)
    assert found.loc["sls", "sd"] == pytest.approx((1 - 2 * alone) / np.sqrt(2))
    assert np.isnan(found.loc["aasist", "sd"])


def test_metrics_judge_the_columns_they_are_told(trials):
    table = trials.assign(sure=np.where(trials["key"] == "spoof", 50.0, -50.0))
    found = over_seeds(table, {"cllr": "sure", "eer": "spoof_score"}, ONE, seed=0)
    assert found["metric"].tolist() == ["cllr", "eer"]
    assert found["value"][0] == pytest.approx(0, abs=1e-12)
    assert found["value"][1] > 0


def test_a_class_without_trials_has_no_metric_but_counts(trials):
    found = over_seeds(trials[trials["key"] == "spoof"], SCORE_COLUMNS, ONE, seed=0)
    assert found[["value", "sd", "low", "high"]].isna().all(axis=None)
    assert found[["n_bonafide", "n_spoof"]].iloc[0].tolist() == [0, 60]


def test_one_speaker_has_no_interval_unless_recordings_are_resampled(trials):
    alone = trials[trials["speaker"] == "S0"]
    assert np.isnan(over_seeds(alone, {"eer": "spoof_score"}, ONE, seed=0)["low"][0])
    assert not np.isnan(over_seeds(alone, {"eer": "spoof_score"}, TWO, seed=0)["low"][0])


def test_a_difference_to_itself_is_zero_with_certainty(trials):
    found = difference(trials, trials.assign(detector="other"), SCORE_COLUMNS, ONE, seed=0)
    assert (found[["value", "low", "high"]] == 0).all(axis=None)


def test_a_difference_is_that_of_the_values_and_paired(trials, rng):
    noisy = trials.assign(spoof_score=trials["spoof_score"] + rng.normal(size=90))
    found = difference(noisy, trials, {"eer": "spoof_score"}, ONE, seed=0)
    values = [over_seeds(part, {"eer": "spoof_score"}, ONE, seed=0)["value"][0] for part in (noisy, trials)]
    assert found["value"][0] == pytest.approx(values[0] - values[1])
    assert found["low"][0] <= found["value"][0] <= found["high"][0]


def test_a_difference_of_two_columns(trials):
    """Of all-zero scores Cllr is 1 bit; of very sure and right ones 0."""
    table = trials.assign(zero=0.0, sure=np.where(trials["key"] == "spoof", 50.0, -50.0))
    found = difference(table, table, {"cllr": "sure"}, ONE, seed=0, second_columns={"cllr": "zero"})
    assert found[["value", "low", "high"]].iloc[0].tolist() == pytest.approx([-1, -1, -1])


def test_what_does_not_fit_together_is_refused(trials):
    with pytest.raises(ValueError, match=r"aasist \(seed 0\) scored other utterances than sls \(seed 0\)"):
        over_seeds(pd.concat([trials, trials.iloc[1:].assign(detector="aasist")]), SCORE_COLUMNS, ONE, seed=0)
    with pytest.raises(ValueError, match=r"seeds \[0\] and \[1\]"):
        difference(trials, trials.assign(seed=1), SCORE_COLUMNS, ONE, seed=0)


@pytest.mark.parametrize(
    ("values", "metric", "signed", "text"),
    [
        ((0.125, 0.1, 0.15), "eer", False, "12.5 % [10.0, 15.0]"),
        ((0.125, 0.1, 0.15), "cllr", False, "0.12 [0.10, 0.15]"),
        ((-0.001, -0.25, 0.25), "cllr", True, "+0.00 [-0.25, +0.25]"),
        ((0.5, np.nan, np.nan), "eer", False, "50.0 %"),
        ((np.nan, np.nan, np.nan), "eer", False, ""),
    ],
)
def test_figures_as_text(values, metric, signed, text):
    assert interval_text(dict(zip(("value", "low", "high"), values, strict=True)), metric, signed=signed) == text
