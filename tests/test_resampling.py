"""Percentile intervals of any statistic, against closed forms and the bootstrap of metrics."""

import numpy as np
import pytest

from sslig.stats import metrics
from sslig.stats.intervals import bootstrap
from sslig.stats.metrics import MetricError
from sslig.stats.resampling import percentiles

SPEAKERS = np.repeat(["a", "b", "c", "d"], 5)


def test_a_statistic_of_all_trials_counts_each_once_and_varies_with_the_speakers_only():
    means = np.repeat([0.0, 1.0, 2.0, 3.0], 5)
    spread = percentiles(lambda weights: [weights.sum(), weights @ means / weights.sum()], SPEAKERS, seed=0)
    assert spread.value.tolist() == [20, 1.5]
    assert spread.low[0] == spread.high[0] == 20  # equal speakers: the number of trials is always the same
    assert 0 <= spread.low[1] < 1.5 < spread.high[1] <= 3
    # The mean of four draws of 0, 1, 2, 3 has a standard deviation of sqrt(1.25 / 4) = 0.56.
    assert spread.high[1] - spread.low[1] == pytest.approx(2 * 1.96 * 0.559, abs=0.3)


def test_the_rounds_are_those_of_the_bootstrap_of_metrics(rng):
    labels = np.tile([0, 1], 10)
    scores = rng.normal(size=20) + labels
    trials = metrics.Trials.of(scores[labels == 0], scores[labels == 1])
    places = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)])[trials.order]
    min_dcf = metrics.CURVE_METRICS["min_dcf"]
    spread = percentiles(lambda weights: min_dcf(*trials.rates(weights[places])), SPEAKERS, seed=3, rounds=50)
    found = bootstrap(scores, labels, SPEAKERS, "min_dcf", seed=3, rounds=50)["min_dcf"]
    assert (spread.value[0], spread.low[0], spread.high[0]) == pytest.approx((found.value, found.low, found.high))


def test_rounds_without_a_value_are_left_out_and_none_at_all_is_nan():
    spread = percentiles(lambda weights: [np.nan, 1.0 if weights[0] else np.nan], SPEAKERS, seed=0, rounds=50)
    assert np.isnan([spread.low[0], spread.high[0]]).all()
    assert (spread.low[1], spread.high[1]) == (1.0, 1.0)


def test_a_second_stage_resamples_recordings_within_one_speaker():
    values = np.arange(4.0)
    spread = percentiles(lambda w: w @ values / w.sum(), ["a"] * 4, seed=0, rounds=200, recordings=list("wxyz"))
    assert spread.low[0] < 1.5 < spread.high[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rounds": 0}, "0 rounds"), ({"level": 1.0}, r"level 1\.0"), ({"speakers": ["a", "a"]}, r"one speaker \(a\)")],
)
def test_what_cannot_be_resampled_is_refused(options, message):
    with pytest.raises(MetricError, match=message):
        percentiles(np.sum, options.pop("speakers", ["a", "b"]), seed=0, **options)
