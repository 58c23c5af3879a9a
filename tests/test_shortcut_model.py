import numpy as np
import pandas as pd
import pytest

from sslig.cues import shortcut_model as model
from sslig.cues.association import on_all
from sslig.stats.metrics import MetricError

FEW = {"seed": 0, "rounds": 100, "resample_recordings": False}


@pytest.fixture
def study(rng):
    """200 utterances of 20 speakers: a score that is 3 x of a measure plus noise of variance 1, and pure noise."""
    n = 200
    measures = pd.DataFrame({"utterance": [f"u{i}" for i in range(n)], "x": rng.standard_normal(n),
                             "y": rng.standard_normal(n)})  # fmt: skip
    common = {"utterance": measures["utterance"], "key": np.where(np.arange(n) % 2, "spoof", "bonafide"),
              "speaker": [f"s{i // 10}" for i in range(n)], "recording": [f"r{i // 2}" for i in range(n)]}  # fmt: skip
    tables = [pd.DataFrame(common | {"detector": name, "spoof_score": score}) for name, score in
              (("follows", 3 * measures["x"] + rng.standard_normal(n)), ("noise", rng.standard_normal(n)))]  # fmt: skip
    return measures, pd.concat(tables, ignore_index=True)


def test_a_score_that_follows_a_measure_is_predicted_and_noise_is_not(study):
    fits, importances = model.shortcut_model(*study, "speaker", **FEW)
    assert len(fits) == 2 * 3 * 2
    fits = fits.set_index(["detector", "key", "model"])
    told = fits.loc[("follows", "all", "ridge")]
    assert told["r2"] == pytest.approx(0.9, abs=0.04)
    assert told["low"] < told["r2"] < told["high"]
    assert told[["n", "n_groups", "folds"]].tolist() == [200, 20, 5]
    assert fits.loc[("follows", "all", "boosting"), "r2"] > 0.75
    assert (fits.loc["noise", "r2"] < 0.1).all()
    strongest = importances.groupby(["detector", "key", "model"]).first().loc["follows"]
    assert (strongest["measure"] == "x").all()
    # Shuffling what explains 0.9 of the variance doubles its part in the error.
    assert strongest.loc[("all", "ridge"), "importance"] == pytest.approx(1.8, abs=0.3)


def test_a_missing_value_can_say_something(study):
    measures, scores = study
    scores = scores[scores["detector"] == "follows"].assign(spoof_score=(measures["x"] > 0) * 1.0)
    measures = measures.assign(x=np.where(measures["x"] > 0, np.nan, 1.0))
    fits, _ = model.shortcut_model(measures, scores, "recording", **FEW)
    assert (fits["r2"] > 0.9).all()
    assert fits["n_groups"].tolist() == [100] * 6


def test_folds_share_no_group(study):
    _, scores = study
    part = scores[scores["detector"] == "noise"]
    splits = model._splits(part, "speaker", 5, 0)
    for train, test in splits:
        assert not set(part["speaker"].iloc[train]) & set(part["speaker"].iloc[test])
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(200))


def test_a_mark_of_the_speaker_does_not_predict_unknown_speakers(rng):
    """The measure names the speaker, whose mean is all there is: known in folds of utterances, unknown in folds of
    speakers."""
    speaker = np.repeat(np.arange(12), 10)
    measures = pd.DataFrame({"utterance": np.arange(120), "voice": speaker * 1.0})
    scores = pd.DataFrame({"detector": "d", **dict.fromkeys(("utterance", "recording"), np.arange(120)),
                           "speaker": speaker,
                           "key": np.where(np.arange(120) % 2, "spoof", "bonafide"),
                           "spoof_score": rng.permutation(12)[speaker] * 1.0})  # fmt: skip
    by = {groups: model.shortcut_model(measures, scores, groups, **FEW)[0] for groups in ("recording", "speaker")}
    r2 = {groups: fits.set_index(["key", "model"]).loc[("all", "boosting"), "r2"] for groups, fits in by.items()}
    assert r2["recording"] > 0.8
    assert r2["speaker"] < 0.3


def test_r2_of_perfect_mean_and_worse_predictions():
    scores = np.array([1.0, 2.0, 3.0])
    assert on_all(model.r2(scores, scores), 3) == 1
    assert on_all(model.r2(scores, np.full(3, 2.0)), 3) == 0
    assert on_all(model.r2(scores, scores[::-1]), 3) == pytest.approx(-3)
    assert np.isnan(on_all(model.r2(np.ones(3), scores), 3))


def test_one_speaker_has_no_r2_but_counts(study, monkeypatch):
    monkeypatch.delitem(model.MODELS, "boosting")
    measures, scores = study
    fits, _ = model.shortcut_model(measures, scores.assign(speaker="s"), "recording", **FEW)
    assert fits[["r2", "low", "high"]].isna().all(axis=None)
    assert fits["n"].tolist() == [200, 100, 100] * 2


def test_too_few_groups_and_unknown_ones_are_refused(study):
    measures, scores = study
    with pytest.raises(MetricError, match=r"columns \['room'\] are missing"):
        model.shortcut_model(measures, scores, "room", **FEW)
    with pytest.raises(MetricError, match="follows, all: 1 room; folds that share none need at least two"):
        model.shortcut_model(measures, scores.assign(room=1), "room", **FEW)


def test_a_class_that_is_not_there_has_no_model(study):
    measures, scores = study
    fits, _ = model.shortcut_model(measures, scores[scores["key"] == "spoof"], "speaker", **FEW)
    assert set(fits["key"]) == {"all", "spoof"}


def test_two_groups_make_two_folds(study):
    measures, scores = study
    rooms = scores.assign(room=scores["speaker"].str[1:].astype(int) % 2)
    fits, _ = model.shortcut_model(measures, rooms, "room", **FEW)
    assert (fits["folds"] == 2).all()
