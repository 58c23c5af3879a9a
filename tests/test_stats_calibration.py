"""Calibration and fusion against scores whose log-likelihood ratios are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from sslig.errors import DataError
from sslig.labels import BONAFIDE, SPOOF
from sslig.stats import calibration, metrics
from sslig.stats.calibration import FUSION, RATIO, calibrate, calibrated, fuse, fused, reliability

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
    fitted = calibrate(gaussian(rng, labels, 4.0), labels)
    assert fitted.weights[0] == pytest.approx(1, abs=0.05)
    assert fitted.offset == pytest.approx(0, abs=0.08)


def test_scale_and_offset_are_undone(rng, labels):
    ratios = gaussian(rng, labels, 4.0)
    fitted = calibrate(10 * ratios + 7, labels)
    assert fitted.weights[0] == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(
        fitted((10 * ratios + 7)[:, None]), calibrate(ratios, labels)(ratios[:, None]), atol=1e-2
    )


def test_calibration_lowers_cllr_on_other_trials_and_keeps_the_order(rng, labels):
    fitted = calibrate(20 * gaussian(rng, labels, 3.0) - 5, labels)
    raw = 20 * gaussian(rng, labels, 3.0) - 5
    assert metrics.cllr(*by_class(fitted(raw[:, None]), labels)) < 0.7 < metrics.cllr(*by_class(raw, labels))
    assert metrics.eer(*by_class(fitted(raw[:, None]), labels)) == metrics.eer(*by_class(raw, labels))


def test_the_numbers_of_trials_do_not_shift_the_ratios(rng, labels):
    scores = gaussian(rng, labels, 4.0)
    few_spoofs = np.concatenate([np.arange(N), N + np.arange(N // 8)])
    fitted = calibrate(scores[few_spoofs], labels[few_spoofs])
    assert fitted.offset == pytest.approx(0, abs=0.15)


def test_separable_classes_give_finite_ratios():
    fitted = calibrate([-2.0, -1.0, 1.0, 2.0], [BONAFIDE, BONAFIDE, SPOOF, SPOOF])
    assert np.isfinite(fitted([[0.0], [100.0]])).all()


def test_fusion_of_independent_detectors_adds_their_ratios(rng, labels):
    scores = np.stack([gaussian(rng, labels, 2.0), 10 * gaussian(rng, labels, 2.0)], axis=1)
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    fitted = fuse(scores, labels, people, people, ["sls", "two"])
    assert fitted.disjoint_in == "speakers"
    assert fitted.weights[0] == pytest.approx(1, abs=0.12)
    assert fitted.weights[1] == pytest.approx(0.1, abs=0.012)
    alone = [metrics.eer(*by_class(column, labels)) for column in scores.T]
    assert metrics.eer(*by_class(fitted(scores), labels)) < min(alone) - 0.03


def test_a_detector_that_knows_nothing_gets_no_weight(rng, labels):
    scores = np.stack([gaussian(rng, labels, 4.0), rng.standard_normal(2 * N)], axis=1)
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    assert abs(fuse(scores, labels, people, people, ["sls", "noise"]).weights[1]) < 0.1


def test_the_strength_is_the_best_of_the_held_out(rng, labels, monkeypatch):
    scores = gaussian(rng, labels, 2.0)[:, None]
    people = np.tile([f"S{i % 20}" for i in range(N)], 2)
    costs = dict.fromkeys(calibration.STRENGTHS, 1.0) | {0.1: 0.5}
    monkeypatch.setattr(calibration, "_held_out_cllr", lambda *arguments: costs[arguments[-1]])
    assert fuse(scores, labels, people, people, ["sls"]).strength == 0.1


def test_one_speaker_is_held_out_by_recordings_and_says_so(rng, labels):
    scores = gaussian(rng, labels, 2.0)[:, None]
    recordings = np.tile([f"R{i % 50}" for i in range(N)], 2)
    assert fuse(scores, labels, ["S"] * 2 * N, recordings, ["sls"]).disjoint_in == "recordings"


def test_folds_share_no_speaker():
    labels = np.tile([BONAFIDE, SPOOF], 30)
    people = np.repeat([f"S{i}" for i in range(10)], 6)
    name, folds = calibration._folds(labels, {"speakers": people})
    assert name == "speakers"
    for rest, held_out in folds:
        assert not set(people[rest]) & set(people[held_out])
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(60))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [1, 1], r"labels \[1\]; both 0 \(bona fide\) and 1 \(spoof\) are needed"),
        ([1.0, 1.0], [0, 1], "the scores of 'sls' do not vary"),
    ],
)
def test_bad_scores_are_named(scores, labels, message):
    with pytest.raises(DataError, match=message):
        calibrate(scores, labels, "sls")


def test_a_class_of_one_recording_cannot_be_held_out(rng):
    with pytest.raises(DataError, match="nothing can be held out"):
        fuse(rng.standard_normal((4, 1)), [0, 0, 1, 1], ["S"] * 4, ["R"] * 4, ["sls"])


@pytest.fixture
def tables(rng):
    """*dev* and *eval* of two detectors and two seeds: independent ratios, tenfold for aasist."""

    def table(n):
        key = np.resize(["bonafide", "spoof"], n)
        trials = {"utterance": np.arange(n), "key": key, "speaker": np.arange(n) // 10, "recording": np.arange(n)}
        labels = np.where(key == "spoof", SPOOF, BONAFIDE)
        parts = [
            pd.DataFrame(trials | {"detector": name, "seed": seed, "spoof_score": scale * gaussian(rng, labels, 3.0)})
            for name, scale in (("aasist", 10), ("sls", 1))
            for seed in (0, 1)
        ]
        return pd.concat(parts, ignore_index=True)

    return table(2000), table(2000)


def test_each_detector_and_seed_is_calibrated_by_its_own_map(tables):
    table, maps = calibrated(*tables)
    assert list(maps) == [("aasist", 0), ("aasist", 1), ("sls", 0), ("sls", 1)]
    assert [maps["aasist", 0].weights[0], maps["sls", 1].weights[0]] == pytest.approx([0.1, 1], rel=0.15)
    part = table[(table["detector"] == "aasist") & (table["seed"] == 1)]
    np.testing.assert_allclose(part[RATIO], maps["aasist", 1](part[["spoof_score"]]))
    assert len(table) == len(tables[1])


def test_a_fusion_adds_the_ratios_of_trials_that_all_detectors_scored(tables):
    dev, applied_to = tables
    table, maps = fused(dev, applied_to[1:])  # the first utterance lacks a score of aasist, seed 0
    assert list(maps) == [(FUSION, 0), (FUSION, 1)]
    assert table.groupby("seed").size().to_dict() == {0: 1999, 1: 2000}
    assert set(table["detector"]) == {FUSION}
    (row,) = table[(table["seed"] == 1) & (table["utterance"] == 5)].itertuples()
    alone = applied_to[(applied_to["seed"] == 1) & (applied_to["utterance"] == 5)].set_index("detector")["spoof_score"]
    expected = maps[FUSION, 1](alone[["aasist", "sls"]].to_numpy()[None])[0]
    assert (row.spoof_llr, row.spoof_score) == pytest.approx((expected, expected))
    assert row.spoof_llr == pytest.approx(0.1 * alone["aasist"] + alone["sls"], abs=1)


def test_ratios_that_hold_lie_on_the_diagonal(rng):
    key = np.resize(["bonafide", "spoof"], 8000)
    llr = gaussian(rng, np.where(key == "spoof", SPOOF, BONAFIDE), 3.0)
    scores = pd.DataFrame({RATIO: llr, "key": key, "speaker": np.arange(8000) // 40})
    table = reliability(scores, recordings=False, seed=0, rounds=200)
    assert table["n"].tolist() == [1000] * 8
    assert table["claimed"].between(table["low"] - 0.02, table["high"] + 0.02).all()
    lowest = np.sort(llr)[:1000]
    assert table["claimed"][0] == pytest.approx(expit(lowest).mean(), abs=1e-9)
    doubled = reliability(scores.assign(**{RATIO: 3 * llr}), recordings=False, seed=0, rounds=200)
    assert (doubled["claimed"] < doubled["low"])[:2].all()


def test_classes_weigh_the_same_and_a_constant_is_one_bin():
    scores = pd.DataFrame({RATIO: 0.0, "key": ["bonafide"] * 9 + ["spoof"], "speaker": range(10)})
    (row,) = reliability(scores, recordings=False, seed=0, rounds=20).to_dict("records")
    assert (row["claimed"], row["observed"], row["n"]) == (0.5, 0.5, 10)


def test_rising_shares_are_those_of_pooled_neighbours():
    table = pd.DataFrame({"key": ["bonafide", "bonafide", "spoof", "spoof"], calibration.RATIO: [0.0, 3.0, 2.0, 4.0]})
    shares = calibration.rising_shares(table)
    assert shares["claimed"].tolist() == pytest.approx(1 / (1 + np.exp([-0.0, -2, -3, -4])))
    assert shares["observed"].tolist() == [0, 0.5, 0.5, 1]
