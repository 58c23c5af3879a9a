"""The tidy table: what is in the store, decoded by the plan, with types that hold what is missing."""

import numpy as np
import pandas as pd
import pytest

from sslig.annotation import plan as plans
from sslig.annotation import table as tables
from sslig.annotation.store import Store
from sslig.annotation.vocabulary import VocabularyError
from sslig.study import Annotation

MARKUP = "<b onclick='x()'>loud</b> & | \"quoted\""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "s.sqlite") as opened:
        yield opened


def kept(store, annotator="Ann", options=None):
    """A plan of four utterances with two detectors, kept in the store."""
    utterances = pd.DataFrame({"utterance": [f"E_{i}" for i in range(4)], "group": "spoof"})
    regions = pd.DataFrame([
        {"utterance": name, "detector": detector, "start_s": 1.0, "end_s": 1.5, "read_s": 4.0}
        for name in utterances["utterance"] for detector in ("aasist", "sls")
    ])  # fmt: skip
    return plans.kept(store, utterances, regions, annotator, options or Annotation(), seed=0)


def test_what_is_said_stands_in_a_row_a_track(store):
    item = kept(store)[0]
    store.record("Ann", item.id, {"AASIST.start_s": 0, "AASIST.end_s": 2.25, "AASIST.cue": "glitch"})
    last = store.record("Ann", item.id, {"AASIST.locality": 4, "AASIST.audible": False, "AASIST.comment": MARKUP})[-1]
    store.append("Ann", item.id, "comment", "flat voice")
    table = tables.annotations(store)
    assert list(table) == list(tables.TYPES)
    assert table.dtypes.astype(str).to_dict() == dict(tables.TYPES)
    assert len(table) == 2
    row = table.iloc[0]
    expected = {"annotator": "Ann", "utterance": item.utterance, "detector": "aasist", "track": "AASIST",
                "start_s": 0.0, "end_s": 2.25, "cue": "glitch", "locality": 4, "audible": False, "comment": MARKUP,
                "general": "flat voice", "similarity": "", "group": "spoof", "proposed_end_s": 1.5}  # fmt: skip
    assert row[list(expected)].to_dict() == expected
    assert row["changed_at"] >= last.at
    assert (len(tables.marked(table)), len(tables.judged(table))) == (1, 1)
    assert pd.isna(table.iloc[1]["cue"])
    assert table.iloc[1]["general"] == "flat voice"


def test_a_region_that_was_judged_and_not_moved_is_the_proposed_one(store):
    item = kept(store)[0]
    store.append("Ann", item.id, "SLS.cue", "noise")
    store.append("Ann", item.id, "AASIST.locality", 3)
    table = tables.annotations(store).set_index("detector")
    assert table.loc["sls", ["start_s", "end_s"]].tolist() == [1.0, 1.5]
    assert np.isnan(table.loc["aasist", "start_s"])


def test_letters_are_decoded_and_decoys_and_repeats_marked(store):
    items = kept(store, options=Annotation(blind=True, repeats=0.25))
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
    kept(store)
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
        ({"decoy": 1}, "decoy is 1; true or false"),
        ({"proposed_start_s": "a"}, "proposed_start_s is 'a'"),
        ({"locality": 0}, "locality is 0"),
    ]
    for bad, said in faults:
        with pytest.raises(VocabularyError, match=said):
            tables.row_of(good | bad)
