"""The tidy table: what is in the store, decoded by the plan, with types that hold what is missing."""

import numpy as np
import pandas as pd
import pytest

from sslig.annotation import plan as plans
from sslig.annotation import table as tables
from sslig.annotation.store import Store
from sslig.errors import InputError
from sslig.study import Annotation

MARKUP = "<b onclick='x()'>loud</b> & | \"quoted\""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "s.sqlite") as opened:
        yield opened


def planned(store, annotator="Ann", options=None):
    """A plan of four utterances with two detectors, kept in the store."""
    utterances = pd.DataFrame({"utterance": [f"E_{i}" for i in range(4)], "group": "spoof"})
    regions = pd.DataFrame(
        [
            {"utterance": name, "detector": detector, "start_s": 1.0, "end_s": 1.5, "read_s": 4.0}
            for name in utterances["utterance"]
            for detector in ("aasist", "sls")
        ]
    )
    return plans.kept(store, utterances, regions, annotator, options or Annotation(), seed=0)


def test_what_is_said_stands_in_a_row_a_track(store):
    item = planned(store)[0]
    store.record("Ann", item.id, {"AASIST.start_s": 0, "AASIST.end_s": 2.25, "AASIST.cue": "glitch"})
    last = store.record("Ann", item.id, {"AASIST.locality": 4, "AASIST.audible": False, "AASIST.comment": MARKUP})[-1]
    store.append("Ann", item.id, "comment", "flat voice")
    table = tables.annotations(store)
    assert list(table) == list(tables.TYPES)
    assert table.dtypes.astype(str).to_dict() == dict(tables.TYPES)
    assert len(table) == 2
    row = table.iloc[0]
    expected = {
        "annotator": "Ann",
        "utterance": item.utterance,
        "detector": "aasist",
        "track": "AASIST",
        "start_s": 0.0,
        "end_s": 2.25,
        "cue": "glitch",
        "locality": 4,
        "audible": False,
        "comment": MARKUP,
        "general": "flat voice",
        "similarity": "",
        "group": "spoof",
        "proposed_end_s": 1.5,
    }
    assert row[list(expected)].to_dict() == expected
    assert row["changed_at"] >= last.at
    assert (len(tables.marked(table)), len(tables.judged(table))) == (1, 1)
    assert pd.isna(table.iloc[1]["cue"])
    assert table.iloc[1]["general"] == "flat voice"


def test_a_region_that_was_judged_and_not_moved_is_the_proposed_one(store):
    item = planned(store)[0]
    store.append("Ann", item.id, "SLS.cue", "noise")
    store.append("Ann", item.id, "AASIST.locality", 3)
    table = tables.annotations(store).set_index("detector")
    assert table.loc["sls", ["start_s", "end_s"]].tolist() == [1.0, 1.5]
    assert np.isnan(table.loc["aasist", "start_s"])


def test_letters_are_decoded_and_decoys_and_repeats_marked(store):
    items = planned(store, options=Annotation(blind=True, repeats=0.25))
    for item in items:
        for track in item.tracks:
            store.append("Ann", item.id, f"{track.name}.comment", f"{track.detector} {track.decoy}")
    table = tables.annotations(store)
    assert (table["comment"] == table["detector"] + " " + table["decoy"].astype(str)).all()
    assert table["repeat"].sum() == 3
    assert table["blind"].all()
    assert len(tables.plain(table)) == 8
    assert len(table) == 15


def test_annotators_and_what_is_in_no_plan_are_there(store):
    store.append("Bob", "stray", "A.cue", "breath")
    store.append("Bob", "stray", "comment", "kept")
    planned(store)
    table = tables.annotations(store)
    assert table[["annotator", "utterance", "detector", "cue", "general"]].to_numpy().tolist() == [
        ["Bob", "stray", "A", "breath", "kept"]
    ]


def test_an_empty_store_gives_an_empty_table_of_the_same_types(store):
    table = tables.annotations(store)
    assert len(table) == 0
    assert table.dtypes.astype(str).to_dict() == dict(tables.TYPES)


def test_a_row_from_outside_is_checked_and_filled():
    row = tables.row_of({"annotator": "Ann", "utterance": "E_1", "detector": "sls", "decoy": True, "repeat": True})
    assert (row["item"], row["track"], row["cue"], row["comment"]) == ("E_1/2", "SLS decoy", None, "")
    good = {"annotator": "Ann", "utterance": "E_1", "detector": "sls"}
    faults = [
        ({"cue": "x"}, "cue is 'x'; accepted"),
        ({"start_s": 2.0, "end_s": 1.0}, "end after it begins"),
        ({"detector": None}, "detector None"),
        ({"decoy": 1}, "decoy is 1; accepted: true or false"),
        ({"proposed_start_s": "a"}, "proposed_start_s is 'a'"),
        ({"locality": 0}, "locality is 0"),
    ]
    for bad, fault in faults:
        with pytest.raises(InputError, match=fault):
            tables.row_of(good | bad)


def rows(*given):
    common = {"annotator": "Ann", "utterance": "E_0000", "start_s": 0.1, "end_s": 0.2, "cue": "noise"}
    return tables.conformed([tables.row_of(common | row) for row in given])


SAID = (
    "annotator",
    "utterance",
    "repeat",
    "detector",
    "decoy",
    "start_s",
    "end_s",
    "cue",
    "locality",
    "audible",
    "comment",
    "general",
    "similarity",
)


def test_a_table_comes_back_from_the_store_and_is_kept_once(store):
    table = rows(
        {"detector": "sls", "locality": 2, "audible": False, "comment": "<i>a</i>\nb", "general": "flat"},
        {"detector": "aasist", "cue": None, "general": "flat"},
        {"detector": "sls", "decoy": True, "cue": "unclear", "general": "flat"},
        {"detector": "sls", "repeat": True},
        {"annotator": "Bob", "detector": "sls"},
    )
    assert tables.keep(store, table) > 0
    by = ["annotator", "repeat", "detector", "decoy"]
    stored = tables.annotations(store).sort_values(by, ignore_index=True)[list(SAID)]
    pd.testing.assert_frame_equal(stored, table.sort_values(by, ignore_index=True)[list(SAID)])
    assert tables.keep(store, table) == 0
    assert tables.keep(store, tables.annotations(store)) == 0


def test_what_is_in_a_plan_goes_there(store):
    utterances = pd.DataFrame({"utterance": ["E_0000", "E_0001"], "group": "spoof"})
    regions = pd.DataFrame(
        {"utterance": ["E_0000", "E_0001"], "detector": "sls", "start_s": 0.1, "end_s": 0.2, "read_s": 1.0}
    )
    items = plans.kept(store, utterances, regions, "Ann", Annotation(blind=True, repeats=0), seed=0)
    tables.keep(store, rows({"detector": "sls", "comment": "kept"}, {"detector": "sls", "utterance": "E_9999"}))
    (item,) = [item for item in items if item.utterance == "E_0000"]
    (track,) = [track for track in item.tracks if not track.decoy]
    assert store.state("Ann", item.id) == {f"{track.name}.cue": "noise", f"{track.name}.comment": "kept"}
    assert len(store.plans("Ann")) == 2
    assert tables.annotations(store).query("cue == 'noise'")["utterance"].tolist() == ["E_0000", "E_9999"]


def test_another_value_is_a_change_and_the_log_keeps_both(store):
    tables.keep(store, rows({"detector": "sls"}))
    assert tables.keep(store, rows({"detector": "sls", "cue": "glitch"})) == 1
    assert [change.value for change in store.history() if change.field.endswith("cue")] == ["noise", "glitch"]


def test_more_regions_of_an_utterance_leave_the_others_alone(store):
    tables.keep(store, rows({"detector": "sls"}))
    tables.keep(store, rows({"detector": "aasist"}))
    assert sorted(tables.annotations(store)["detector"]) == ["aasist", "sls"]
