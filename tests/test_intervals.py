"""Bootstrap intervals: each round is the metric of the drawn speakers' trials, and the interval covers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sslig.stats import metrics
from sslig.stats.intervals import bootstrap, by_group
from sslig.stats.metrics import METRICS, MetricError


def corpus(rng, n_speakers, n_each=10, speaker_sd=1.0):
    """Scores, labels and speakers: classes 2 apart, trials of a speaker shifted together."""
    shift = np.repeat(rng.normal(0, speaker_sd, n_speakers), 2 * n_each)
    labels = np.tile(np.repeat([0, 1], n_each), n_speakers)
    return 2 * labels + shift + rng.normal(size=len(shift)), labels, np.repeat(np.arange(n_speakers), 2 * n_each)


def test_a_round_is_the_metric_of_the_drawn_speakers_trials(rng):
    scores, labels, speakers = corpus(rng, 7)
    scores = scores.round(1)  # with ties
    draws, expected = np.random.default_rng(5), {name: [] for name in METRICS}
    for _ in range(40):
        rows = np.concatenate([np.flatnonzero(speakers == speaker) for speaker in draws.integers(7, size=7)])
        drawn = metrics.summary(scores[rows][labels[rows] == 0], scores[rows][labels[rows] == 1])
        for name in METRICS:
            expected[name].append(drawn[name])
    intervals = bootstrap(scores, labels, speakers, seed=5, rounds=40, level=0.9)
    for name, interval in intervals.items():
        low, high = np.quantile(expected[name], [0.05, 0.95])
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)
        assert interval.value == pytest.approx(getattr(metrics, name)(scores[labels == 0], scores[labels == 1]))
        assert (interval.rounds, interval.n_speakers, interval.level) == (40, 7, 0.9)
        assert interval.stages == ("speakers",)


def test_speakers_cover_the_truth_where_independent_trials_do_not():
    rng = np.random.default_rng(3)
    truth = norm.cdf(-1 / np.sqrt(2))  # half the distance over the standard deviation of shift and noise together
    covered = {"speakers": 0, "trials": 0}
    for corpus_seed in range(100):
        scores, labels, speakers = corpus(rng, n_speakers=30)
        for unit, clusters in (("speakers", speakers), ("trials", np.arange(len(scores)))):
            interval = bootstrap(scores, labels, clusters, "eer", seed=corpus_seed, rounds=100)["eer"]
            covered[unit] += interval.low <= truth <= interval.high
    assert covered["speakers"] >= 85
    assert covered["trials"] < covered["speakers"]


def test_the_order_of_the_trials_does_not_matter(rng):
    scores, labels, speakers = corpus(rng, 5)
    shuffled = rng.permutation(len(scores))
    arguments = (scores, labels, np.char.add("D_", speakers.astype(str)))
    again = bootstrap(*(values[shuffled] for values in arguments), seed=1, rounds=50)
    for name, interval in bootstrap(*arguments, seed=1, rounds=50).items():
        assert (again[name].low, again[name].high) == pytest.approx((interval.low, interval.high))


def test_a_second_stage_resamples_recordings_within_speakers(rng):
    scores, labels, speakers = corpus(rng, 2, n_each=40)
    recordings = np.arange(len(scores)) // 2
    one = bootstrap(scores, labels, speakers, "cllr", seed=1, rounds=200)["cllr"]
    two = bootstrap(scores, labels, speakers, "cllr", seed=1, rounds=200, recordings=recordings)["cllr"]
    assert two.stages == ("speakers", "recordings")
    assert two.high - two.low > one.high - one.low
    assert two.n_speakers == 2


def test_one_speaker_needs_recordings(rng):
    scores, labels, speakers = corpus(rng, 1)
    with pytest.raises(MetricError, match=r"one speaker \(0\): pass recordings="):
        bootstrap(scores, labels, speakers, seed=1)
    interval = bootstrap(scores, labels, speakers, "eer", seed=1, rounds=50, recordings=np.arange(len(scores)))["eer"]
    assert interval.stages == ("recordings",)
    assert interval.low <= interval.value <= interval.high


def test_rounds_without_a_class_are_left_out_and_counted():
    # Two speakers, one class each: half of the draws take one speaker twice.
    interval = bootstrap([0.0, 1.0], [0, 1], ["a", "b"], "eer", seed=1, rounds=400)["eer"]
    assert interval.rounds + interval.left_out == 400
    assert interval.left_out == pytest.approx(200, abs=40)
    assert (interval.low, interval.high) == (0, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metrics": "err"}, r"unknown metrics \['err'\]; accepted: eer"),
        ({"labels": [0, 1, 2, 0]}, "labels are 0"),
        ({"labels": [0, 1]}, "one of each per trial"),
        ({"labels": [1, 1, 1, 1]}, "no bona fide scores"),
        ({"scores": [0, 1, np.nan, 2]}, "bona fide scores are NaN"),
        ({"speakers": ["a", "b", None, "b"]}, "speakers: 1 trials have none"),
        ({"recordings": ["r"]}, "1 recordings for 4 speakers"),
        ({"level": 95}, "a level between 0 and 1"),
    ],
)
def test_arguments_that_do_not_fit(changed, message):
    arguments = {"scores": [0.0, 1.0, 2.0, 3.0], "labels": [0, 1, 0, 1], "speakers": ["a", "b", "a", "b"], "seed": 1}
    with pytest.raises(MetricError, match=message):
        bootstrap(**(arguments | changed))


def test_groups_have_the_metric_and_interval_of_their_trials(rng):
    scores, labels, speakers = corpus(rng, 5)
    key, attack = np.array(["bonafide", "spoof"])[labels], np.where(labels, np.resize(["A01", "A02"], len(labels)), "-")
    table = pd.DataFrame({"spoof_score": scores, "key": key, "attack": attack, "speaker": speakers})
    groups = by_group(table, "attack", seed=1, rounds=50)
    assert list(groups.columns) == ["attack", "n_bonafide", "n_spoof", "eer", "low", "high"]
    assert list(groups["eer"]) == list(metrics.by_group(table, "attack")["eer"])
    trials = attack != "A02"
    alone = bootstrap(scores[trials], labels[trials], speakers[trials], "eer", seed=1, rounds=50)["eer"]
    assert groups.loc[0, ["low", "high"]].tolist() == [alone.low, alone.high]
    with pytest.raises(MetricError, match=r"A01: all trials are of one speaker \(0\)"):
        by_group(table[speakers == 0], "attack", seed=1)
