import numpy as np
import pandas as pd
import pytest

from sslig.cues import cue_tally
from sslig.cues.cue_profile import CLASSES
from sslig.cues.cue_tally import TallyError, added, summary, tally

OPTIONS = {"seed": 0, "rounds": 100, "resample_recordings": False}


@pytest.fixture
def utterances():
    rows = []
    for number in range(12):
        times = dict.fromkeys((f"{kind}_{name}" for kind in ("time", "evidence") for name in CLASSES), 0.0)
        times |= {"time_vowel": 0.25, "time_pause": 0.75, "evidence_vowel": 0.3, "evidence_pause": 0.1}
        rows.append({"utterance": f"u{number}", "speaker": f"s{number % 4}", "attack": f"A{number % 2}", "n_regions": 2,
                     "effective_frames": 10.0 + number, "effective_share": 0.1, "gini": 0.5, **times})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def regions(utterances):
    rows = []
    for name in utterances["utterance"]:
        rows.append((name, 0.1, 0.3, 1, "vowel", 20.0))
        rows.append((name, 0.3, 0.1, -1, "pause", 2.0))
    columns = ["utterance", "duration_s", "share", "sign", "segment_class", "above_floor_db"]
    return pd.DataFrame(rows, columns=columns)


def of(table, measure, name=""):
    return table[(table["measure"] == measure) & (table["segment_class"] == name)].squeeze()


def test_figures_are_those_of_the_regions(regions, utterances):
    found = summary(tally(regions, utterances, ["attack"]), ["attack"], **OPTIONS)
    first = found[found["attack"] == "A0"]
    expected = {"regions": 2, "region_duration_s": 0.2, "above_floor_db": 11, "in_regions": 0.4, "for_spoof": 0.75,
                "effective_frames": 15, "gini": 0.5}  # fmt: skip
    assert {name: of(first, name)["value"] for name in expected} == pytest.approx(expected)
    assert of(first, "evidence_share", "vowel")["value"] == pytest.approx(0.75)
    assert of(first, "time_share", "vowel")["value"] == pytest.approx(0.25)
    assert of(first, "relative", "vowel")["value"] == pytest.approx(3)
    assert set(first["segment_class"]) == {"", "vowel", "pause"}
    assert set(first["n"]) == {6}


def test_intervals_hold_the_value_and_are_none_of_one_unit(regions, utterances):
    row = of(
        summary(tally(regions, utterances, ["attack"]), ["attack"], **OPTIONS).query("attack == 'A1'"),
        "effective_frames",
    )
    assert row["low"] <= row["value"] <= row["high"]
    assert row["low"] < row["high"]
    one = utterances.assign(speaker="s")
    assert np.isnan(summary(tally(regions, one, ["attack"]), ["attack"], **OPTIONS)["low"]).all()
    drawn = one.assign(recording=one["utterance"])
    found = summary(tally(regions, drawn, ["attack"]), ["attack"], **OPTIONS | {"resample_recordings": True})
    assert found["low"].notna().all()


def test_shards_add_up_to_the_whole(regions, utterances):
    whole = tally(regions, utterances, ["attack"])
    names = utterances["utterance"]
    parts = [
        tally(regions[regions["utterance"].isin(list(part))], utterances[names.isin(list(part))], ["attack"])
        for part in (names[:5], names[5:9], names[9:])
    ]
    pd.testing.assert_frame_equal(added(parts, ["attack"]), whole)


def test_an_utterance_without_evidence_counts_as_one_without_regions(regions, utterances):
    utterances.loc[0, ["effective_frames", "effective_share", "gini"]] = np.nan
    utterances.loc[0, "n_regions"] = 0
    found = summary(tally(regions[regions["utterance"] != "u0"], utterances, ["attack"]), ["attack"], **OPTIONS)
    first = found[found["attack"] == "A0"]
    assert of(first, "effective_frames")["value"] == pytest.approx(16)
    assert of(first, "regions")["value"] == pytest.approx(10 / 6)


def test_what_is_missing_is_named(regions, utterances):
    with pytest.raises(TallyError, match="codec"):
        tally(regions, utterances, ["codec"])
    with pytest.raises(TallyError, match="no profiles"):
        added([], ["attack"])


def test_every_mean_is_of_sums_that_are_tallied(regions, utterances):
    columns = set(tally(regions, utterances, ["attack"]).columns)
    assert {name for pair in cue_tally.MEANS.values() for name in pair} <= columns
