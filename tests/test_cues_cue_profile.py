import numpy as np
import pandas as pd
import pytest
import torch

from sslig import audio
from sslig.attribution.context import Context
from sslig.attribution.methods import explain
from sslig.corpora import protocol
from sslig.cues import cue_profile
from sslig.cues.cue_profile import (
    CLASSES,
    Region,
    class_shares,
    described,
    frame_classes,
    level_dbfs,
    locality,
    noise_floor_dbfs,
    profiles,
    summary,
    top_regions,
)
from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK

OPTIONS = {"seed": 0, "rounds": 100, "recordings": False}


@pytest.fixture
def study(experiment):
    options = experiment.attribution.model_copy(update={"max_steps": 16, "method": "ig(baseline=zero, space=features)"})
    return experiment.model_copy(update={"attribution": options})


@pytest.fixture
def spoken(corpus):
    return protocol.with_recordings(corpus, protocol.load_set(corpus, "eval"))


@pytest.fixture
def context(study):
    return Context({}, options=study.attribution)


@pytest.fixture
def made(study, tiny_detector, spoken, context):
    speech = Tier("speech", np.array([0.0, 0.2]), np.array([0.2, 0.375]), ("leading", "speech"), 0.375, {})
    return profiles(study, tiny_detector(), spoken, context, {spoken["utterance"].iloc[0]: {"speech": speech}})


def test_the_spread_of_equal_frames_is_their_number():
    frames = np.where(np.arange(40) % 2, 3.0, 0.0) * np.where(np.arange(40) % 4 == 1, -1, 1)
    assert locality(frames) == pytest.approx({"effective_frames": 20, "effective_share": 0.5, "gini": 0.5})


def test_a_single_frame_is_as_local_as_can_be_and_a_flat_map_as_little():
    single, flat = locality(np.eye(50)[7]), locality(np.full(50, -2.0))
    assert (single["effective_frames"], single["gini"]) == pytest.approx((1, 0.98))
    assert (flat["effective_frames"], flat["gini"]) == pytest.approx((50, 0))
    assert np.isnan(list(locality(np.zeros(5)).values())).all()


def test_the_floor_is_the_power_of_the_quietest_tenth():
    rms = np.concatenate([np.full(90, 0.5), np.full(10, 0.01)])
    assert noise_floor_dbfs(rms) == pytest.approx(-40)
    assert noise_floor_dbfs(rms[[0]]) == pytest.approx(20 * np.log10(0.5))
    assert level_dbfs(np.zeros(3)) == -100
    assert level_dbfs(np.array([0.1, 0.3])) == pytest.approx(10 * np.log10(0.05))


def test_even_evidence_lies_in_each_class_as_much_as_it_has_time():
    classes = np.array(["vowel"] * 30 + ["plosive"] * 10 + ["vowel"] * 20, dtype=object)
    shares = class_shares(np.full(60, -0.3), top_regions(np.full(60, -0.3)), classes)
    for name, share in (("vowel", 5 / 6), ("plosive", 1 / 6), ("pause", 0)):
        assert (shares[f"time_{name}"], shares[f"evidence_{name}"]) == pytest.approx((share, share))


def test_each_region_and_each_utterance_has_a_row(made, spoken):
    regions, utterances, left_out = made
    assert utterances["utterance"].tolist() == spoken["utterance"].tolist()
    assert list(regions.columns) == list(cue_profile.REGION_COLUMNS)
    assert list(utterances.columns) == list(cue_profile.UTTERANCE_COLUMNS)
    assert regions["utterance"].value_counts().to_dict() == utterances.set_index("utterance")["n_regions"].to_dict()
    assert left_out.empty
    assert regions["above_floor_db"].min() > -1e-6


def test_regions_are_those_of_the_explanation(made, tiny_detector, spoken, context):
    detector, row = tiny_detector(), spoken.iloc[3]
    samples = audio.read(row["path"])
    waveform = torch.from_numpy(samples[: detector.clock.n_samples(detector.clock.n_frames(len(samples)))])[None]
    expected = top_regions(explain("ig(baseline=zero, space=features)", detector, waveform, context).by_frame)
    regions = made[0][made[0]["utterance"] == row["utterance"]]
    assert regions["share"].tolist() == pytest.approx([region.share for region in expected], rel=1e-4)
    assert regions["rank"].tolist() == list(range(1, len(expected) + 1))


def test_time_and_evidence_are_shared_among_classes(made):
    regions, utterances, _ = made
    times = utterances[[f"time_{name}" for name in CLASSES]]
    assert times.sum(axis=1).tolist() == pytest.approx([1] * len(times))
    first, others = utterances.iloc[0], utterances.iloc[1:]
    assert first["time_leading"] == pytest.approx(np.mean(np.arange(first["n_read"]) * 0.02 + 0.0125 < 0.2))
    assert set(others["time_unknown"]) == {1.0}
    evidence = utterances.set_index("utterance")[[f"evidence_{name}" for name in CLASSES]].sum(axis=1)
    assert evidence.to_dict() == pytest.approx(regions.groupby("utterance")["share"].sum().to_dict())


def test_faulty_files_are_listed(study, tiny_detector, spoken, context, tmp_path):
    (tmp_path / "empty.flac").touch()
    broken = spoken.head(2).assign(path=[str(tmp_path / "empty.flac"), spoken["path"].iloc[1]])
    _, utterances, left_out = profiles(study, tiny_detector(), broken, context, {})
    assert left_out["utterance"].tolist() == [broken["utterance"].iloc[0]]
    assert utterances["utterance"].tolist() == [broken["utterance"].iloc[1]]
    regions, utterances, _ = profiles(study, tiny_detector(), broken.head(1), context, {})
    assert regions.empty
    assert utterances.empty


@pytest.fixture
def utterances():
    times = dict.fromkeys(cue_profile.CLASS_COLUMNS, 0.0)
    times |= {"time_vowel": 0.25, "time_pause": 0.75, "evidence_vowel": 0.3, "evidence_pause": 0.1}
    numbers = np.arange(12)
    about = {"utterance": [f"u{n}" for n in numbers], "speaker": [f"s{n}" for n in numbers]}
    about |= {"attack": [f"A{n % 2}" for n in numbers], "n_regions": 2, "effective_frames": 10.0 + numbers}
    return pd.DataFrame(about | {"effective_share": 0.1, "gini": 0.5} | times)


@pytest.fixture
def regions(utterances):
    columns = ["duration_s", "share", "sign", "segment_class", "above_floor_db"]
    parts = [(0.1, 0.3, 1, "vowel", 20.0), (0.3, 0.1, -1, "pause", 2.0)]
    return pd.DataFrame(parts * 12, columns=columns).assign(utterance=np.repeat(utterances["utterance"].to_numpy(), 2))


def of(table, measure, name=""):
    return table[(table["measure"] == measure) & (table["segment_class"] == name)].squeeze()


def test_figures_of_a_group_are_those_of_its_regions(regions, utterances):
    table = summary(regions, utterances, ["attack"], **OPTIONS).query("attack == 'A0'")
    expected = {"regions": 2, "region_duration_s": 0.2, "above_floor_db": 11, "in_regions": 0.4, "for_spoof": 0.75}
    expected |= {"effective_frames": 15, "gini": 0.5}
    assert {name: of(table, name)["value"] for name in expected} == pytest.approx(expected)
    shares = [of(table, measure, "vowel")["value"] for measure in ("evidence_share", "time_share", "relative")]
    assert shares == pytest.approx([0.75, 0.25, 3])
    assert set(table["segment_class"]) == {"", "vowel", "pause"}
    assert set(table["n"]) == {6}


def test_intervals_hold_the_value_and_a_single_unit_has_none(regions, utterances):
    row = of(summary(regions, utterances, ["attack"], **OPTIONS).query("attack == 'A1'"), "effective_frames")
    assert row["low"] <= row["value"] <= row["high"]
    assert row["low"] < row["high"]
    single = utterances.assign(speaker="s", recording=utterances["utterance"])
    assert summary(regions, single, ["attack"], **OPTIONS)["low"].isna().all()
    assert summary(regions, single, ["attack"], **OPTIONS | {"recordings": True})["low"].notna().all()


def test_an_utterance_without_evidence_counts_as_one_without_regions(regions, utterances):
    utterances.loc[0, ["effective_frames", "effective_share", "gini"]] = np.nan
    utterances.loc[0, "n_regions"] = 0
    table = summary(regions[regions["utterance"] != "u0"], utterances, ["attack"], **OPTIONS).query("attack == 'A0'")
    assert of(table, "effective_frames")["value"] == pytest.approx(16)
    assert of(table, "regions")["value"] == pytest.approx(10 / 6)


def test_detectors_do_not_mix(regions, utterances):
    pair = [table.assign(detector=name) for name in ("x", "y") for table in (regions, utterances)]
    pair[2]["share"] /= 2
    table = summary(pd.concat(pair[::2]), pd.concat(pair[1::2]), ["detector"], **OPTIONS)
    assert table.loc[table["measure"] == "in_regions", "value"].tolist() == pytest.approx([0.4, 0.2])


def tier(name, *stretches):
    start_s, end_s, labels = zip(*stretches, strict=True)
    return Tier(name, np.array(start_s), np.array(end_s), labels, end_s[-1], {})


def spikes(n_frames, **values):
    """(frame,) Zeros but for ``f3=1`` and the like."""
    frames = np.zeros(n_frames)
    for name, value in values.items():
        frames[int(name[1:])] = value
    return frames


def spans(frames, n=5):
    return [(region.start, region.stop, region.sign) for region in top_regions(frames, n)]


def test_a_spike_is_one_region_that_holds_its_share():
    """Means over three frames: 2, 2, 2 around the 6, and -2/3 around the -2."""
    assert top_regions(spikes(8, f2=6, f5=-2)) == [Region(1, 4, 0.75, 1)]


def test_a_flat_map_is_one_region():
    assert top_regions(np.full(50, -0.2)) == [Region(0, 50, pytest.approx(1.0), -1)]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (spikes(12, f2=3, f7=3), [(1, 9, 1)]),  # two frames without evidence between the means
        (spikes(12, f2=3, f8=3), [(1, 4, 1), (7, 10, 1)]),  # three
        (spikes(12, f2=3, f5=-3, f8=3), [(1, 4, 1), (4, 7, -1), (7, 10, 1)]),  # equal shares: in order of time
    ],
)
def test_short_gaps_are_bridged_but_not_over_the_other_sign(frames, expected):
    assert spans(frames) == expected


def test_no_more_regions_are_given_than_asked_for():
    """The means of 1.5 and 2 are taken for half of the evidence, those of 1 are not needed."""
    frames = spikes(17, f1=3, f8=6, f15=4.5)
    assert spans(frames) == [(7, 10, 1), (14, 17, 1)]
    assert spans(frames, n=1) == [(7, 10, 1)]


def test_smoothing_lets_evidence_of_both_signs_cancel():
    """Means of alternating signs are a third, those of the plateau 0.8."""
    in_turns = np.where(np.arange(9) % 2, 1.0, -1.0)
    ((start, stop, sign),) = spans(np.concatenate([in_turns, np.full(10, 0.8), in_turns]))
    assert sign == 1
    assert 8 <= start < stop <= 20


@pytest.mark.parametrize("frames", [[1.0, -1.0], [0.0, 1.0, -2.0, 1.0, 0.0], [1e-300, 0, 0], [0, 0, -5.0]])
def test_there_is_a_region_wherever_there_is_evidence(frames):
    assert top_regions(np.array(frames))


def test_without_evidence_there_is_none():
    assert top_regions(np.zeros(20)) == []
    assert described([], SSL_CLOCK, None).empty


def test_regions_do_not_overlap_nor_depend_on_unit_and_sign(rng):
    frames = rng.standard_normal(400)
    regions = top_regions(frames, n=400)
    counts = np.zeros(400, dtype=int)
    for region in regions:
        counts[region.start : region.stop] += 1
        assert region.share == pytest.approx(np.abs(frames[region.start : region.stop]).sum() / np.abs(frames).sum())
    assert counts.max() == 1
    assert [region.share for region in regions] == sorted((region.share for region in regions), reverse=True)
    assert spans(-1e-6 * frames) == [(start, stop, -sign) for start, stop, sign in spans(frames)]


def test_a_region_has_times_and_the_class_of_most_of_its_frames():
    tiers = {
        "speech": tier("speech", (0, 0.1, "leading"), (0.1, 0.5, "speech"), (0.5, 0.7, "trailing")),
        "phones": tier("phones", (0, 0.1, "SIL"), (0.1, 0.3, "AA1"), (0.3, 0.5, "S"), (0.5, 0.7, "+NSN+")),
    }
    regions = [Region(2, 5, 0.1, 1), Region(10, 17, 0.2, 1), Region(14, 18, 0.2, 1), Region(24, 30, 0.1, -1)]
    table = described(regions, SSL_CLOCK, tiers)
    assert table["segment_class"].tolist() == ["leading", "vowel", "fricative", "trailing"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    times = (SSL_CLOCK.centre_s(3)[2] - 0.01, SSL_CLOCK.centre_s(5)[4] + 0.01, 0.06)
    assert tuple(table.loc[0, ["start_s", "end_s", "duration_s"]]) == pytest.approx(times)


def test_classes_are_as_fine_as_what_was_decoded():
    speech = tier("speech", (0, 0.1, "leading"), (0.1, 0.3, "speech"))
    phones = tier("phones", (0, 0.15, "AA"), (0.15, 0.2, "??"))
    assert set(frame_classes({"speech": speech}, SSL_CLOCK, 14)) == {"leading", "speech"}
    assert set(frame_classes({"phones": phones}, SSL_CLOCK, 14)) == {"vowel", "unknown"}
    assert set(frame_classes(None, SSL_CLOCK, 14)) == {"unknown"}
