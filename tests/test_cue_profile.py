import numpy as np
import pandas as pd
import pytest
import torch

from sslig.attribution import baselines
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.methods import explain
from sslig.corpora import protocol
from sslig.cues import cue_profile
from sslig.cues.cue_profile import CLASSES, level_dbfs, locality, noise_floor_dbfs, profiles
from sslig.cues.tiers import Tier
from sslig.cues.top_regions import top_regions
from sslig.study import Attribution, Scoring

OPTIONS = Attribution(max_steps=16)


@pytest.fixture
def utterances(corpus):
    return protocol.load_set(corpus, "eval")


@pytest.fixture
def made(tiny_detector, utterances):
    detector = tiny_detector()
    baseline = baselines.zero(detector.backbone.n_layers, detector.backbone.feature_size)
    speech = Tier("speech", np.array([0.0, 0.2]), np.array([0.2, 0.375]), ("leading", "speech"), 0.375, {})
    tiers = {utterances["utterance"].iloc[0]: {"speech": speech}}
    return profiles(detector, utterances, baseline, OPTIONS, Scoring(), tiers)


def test_the_spread_of_equal_frames_is_their_number():
    found = locality(np.where(np.arange(40) % 2, 3.0, 0.0) * np.where(np.arange(40) % 4 == 1, -1, 1))
    assert found["effective_frames"] == pytest.approx(20)
    assert found["participation_frames"] == pytest.approx(20)
    assert found["effective_share"] == pytest.approx(0.5)
    assert found["gini"] == pytest.approx(0.5)


def test_one_frame_is_as_local_as_can_be_and_a_flat_map_as_little():
    one, flat = locality(np.eye(50)[7]), locality(np.full(50, -2.0))
    assert (one["effective_frames"], one["participation_frames"], one["gini"]) == pytest.approx((1, 1, 0.98))
    assert (flat["effective_frames"], flat["gini"]) == pytest.approx((50, 0))


def test_without_evidence_nothing_is_local():
    assert np.isnan(list(locality(np.zeros(5)).values())).all()


def test_the_floor_is_the_power_of_the_quietest_tenth():
    rms = np.concatenate([np.full(90, 0.5), np.full(10, 0.01)])
    assert noise_floor_dbfs(rms) == pytest.approx(-40)
    assert noise_floor_dbfs(rms[[0]]) == pytest.approx(20 * np.log10(0.5))
    assert level_dbfs(np.zeros(3)) == -100
    assert level_dbfs(np.array([0.1, 0.3])) == pytest.approx(10 * np.log10(0.05))


def test_a_row_stands_for_each_region_and_each_utterance(made, tiny_detector, utterances, corpus):
    assert made.utterances["utterance"].tolist() == utterances["utterance"].tolist()
    assert list(made.regions.columns) == list(cue_profile.REGION_COLUMNS)
    assert list(made.utterances.columns) == list(cue_profile.UTTERANCE_COLUMNS)
    assert (
        made.regions["utterance"].value_counts().to_dict()
        == made.utterances.set_index("utterance")["n_regions"].to_dict()
    )
    assert made.left_out.empty
    assert made.regions["above_floor_db"].min() > -1e-6


def test_regions_are_those_of_the_explanation(made, tiny_detector, utterances):
    from sslig import audio

    detector, row = tiny_detector(), utterances.iloc[3]
    samples = audio.read(row["path"])
    waveform = torch.from_numpy(samples[: detector.clock.n_samples(detector.clock.n_frames(len(samples)))])[None]
    with torch.no_grad():
        features = detector.features(waveform)
    baseline = baselines.zero(detector.backbone.n_layers, detector.backbone.feature_size)
    expected = top_regions(explain("ig", detector.head, features, Context({BONAFIDE_MEAN: baseline}, options=OPTIONS)).by_frame)
    found = made.regions[made.regions["utterance"] == row["utterance"]]
    assert found["share"].tolist() == pytest.approx([region.share for region in expected], rel=1e-4)
    assert found["rank"].tolist() == list(range(1, len(expected) + 1))


def test_time_is_shared_among_classes(made):
    times = made.utterances[[f"time_{name}" for name in CLASSES]]
    assert times.sum(axis=1).tolist() == pytest.approx([1] * len(times))
    first, others = made.utterances.iloc[0], made.utterances.iloc[1:]
    assert first["time_leading"] == pytest.approx(np.mean(np.arange(first["n_read"]) * 0.02 + 0.0125 < 0.2))
    assert set(others["time_unknown"]) == {1.0}


def test_evidence_in_regions_is_shared_among_the_classes_of_their_frames(made):
    evidence = made.utterances.set_index("utterance")[[f"evidence_{name}" for name in CLASSES]]
    in_regions = made.regions.groupby("utterance")["share"].sum()
    assert evidence.sum(axis=1).to_dict() == pytest.approx(in_regions.to_dict())
    first = made.regions[made.regions["utterance"] == evidence.index[0]]
    assert evidence.iloc[0][["evidence_leading", "evidence_speech"]].sum() == pytest.approx(first["share"].sum())


def test_even_evidence_lies_in_each_class_as_much_as_it_has_time():
    classes = np.array(["vowel"] * 30 + ["plosive"] * 10 + ["vowel"] * 20, dtype=object)
    found = cue_profile._by_class(np.full(60, -0.3), top_regions(np.full(60, -0.3)), classes)
    for name, share in (("vowel", 5 / 6), ("plosive", 1 / 6), ("pause", 0)):
        assert (found[f"time_{name}"], found[f"evidence_{name}"]) == pytest.approx((share, share))


def test_faulty_files_are_listed(tiny_detector, utterances, tmp_path):
    detector = tiny_detector()
    baseline = baselines.zero(detector.backbone.n_layers, detector.backbone.feature_size)
    broken = utterances.head(2).copy()
    broken["path"] = [str(tmp_path / "none.flac"), broken["path"].iloc[1]]
    found = profiles(detector, broken, baseline, OPTIONS, Scoring(), {})
    assert found.left_out["utterance"].tolist() == [broken["utterance"].iloc[0]]
    assert found.utterances["utterance"].tolist() == [broken["utterance"].iloc[1]]
    nothing = profiles(detector, broken.head(1), baseline, OPTIONS, Scoring(), {})
    assert nothing.regions.empty
    assert isinstance(nothing.utterances, pd.DataFrame)
