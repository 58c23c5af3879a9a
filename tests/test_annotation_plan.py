"""Plans of annotators and their table: deterministic, blind where asked, decoded as planned, and kept."""

import numpy as np
import pandas as pd
import pytest

from sslig.annotation import plan as plans
from sslig.annotation.store import Store
from sslig.corpora import protocol
from sslig.errors import InputError, StudyError
from sslig.frames import SSL_CLOCK
from sslig.study import Annotation

OPEN, BLIND = Annotation(), Annotation(blind=True)
MARKUP = "<b onclick='x()'>loud</b> & | \"quoted\""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "s.sqlite") as opened:
        yield opened


def material(n=40, read_s=4.0, length_s=0.5):
    """`n` utterances of two groups with a region of three detectors each."""
    utterances = pd.DataFrame({"utterance": [f"E_{i:03d}" for i in range(n)], "group": ["wrong", "right"] * (n // 2)})
    starts = pd.DataFrame({"detector": ["aasist", "camhfa", "own.one"], "start_s": [0.0, 0.7, 2.5]})
    regions = utterances[["utterance"]].merge(starts, how="cross").assign(read_s=read_s)
    lengths = length_s * regions["detector"].map({"aasist": 1, "camhfa": 2, "own.one": 3})
    return utterances, regions.assign(end_s=regions["start_s"] + lengths)


def test_an_open_plan_goes_through_the_groups_with_detectors_by_name():
    items = plans.plan(*material(), "Ann", OPEN, seed=0)
    assert [item.group for item in items] == ["wrong"] * 20 + ["right"] * 20
    assert {tuple(track.name for track in item.tracks) for item in items} == {("AASIST", "CA-MHFA", "own.one")}
    assert not any(track.decoy for item in items for track in item.tracks)
    assert items[0].tracks[1].region == (0.7, 1.7)
    assert not any(item.repeat_of for item in items)


def test_a_plan_depends_on_annotator_and_seed_and_not_on_the_order_of_rows():
    utterances, regions = material()
    shuffled = regions.sort_values(["start_s", "utterance"], ascending=[True, False])
    once = plans.plan(utterances, regions, "Ann", BLIND, seed=0)
    assert plans.plan(utterances.iloc[::-1], shuffled, " Ann ", BLIND, seed=0) == once
    order = [item.utterance for item in once]
    for annotator, seed in (("Bob", 0), ("Ann", 1)):
        assert [item.utterance for item in plans.plan(utterances, regions, annotator, BLIND, seed)] != order


def test_letters_say_nothing_of_detectors_and_groups_are_mixed():
    items = plans.plan(*material(), "Ann", BLIND, seed=0)
    assert {tuple(track.name for track in item.tracks) for item in items} == {("A", "B", "C", "D")}
    real = [track for item in items for track in item.tracks if not track.decoy]
    counts = pd.crosstab([track.detector for track in real], [track.name for track in real])
    assert counts.to_numpy().min() >= 3
    groups = [item.group for item in items]
    assert groups != sorted(groups)


def test_decoys_are_as_long_as_a_region_and_where_no_detector_points():
    items = plans.plan(*material(), "Ann", BLIND, seed=0)
    matched = []
    for item in items:
        (decoy,) = [track for track in item.tracks if track.decoy]
        real = {track.detector: track.region for track in item.tracks if not track.decoy}
        start_s, end_s = decoy.region
        region = real[decoy.detector]
        assert end_s - start_s == pytest.approx(region[1] - region[0])
        assert decoy.shift_s == pytest.approx(start_s - region[0])
        assert 0 <= start_s < end_s <= 4.0 + 1e-9
        matched += [] if item.repeat_of else [decoy.detector]
        if decoy.detector == "aasist":  # there is room for half a second: between 1.7 and 2.5 s
            assert 1.7 <= start_s <= 2.0
        else:
            assert end_s <= region[0] + 1e-9 or start_s >= region[1] - 1e-9
    assert pd.Series(matched).value_counts().to_dict() == {"aasist": 14, "camhfa": 13, "own.one": 13}


def test_where_there_is_no_room_at_all_a_decoy_may_overlap():
    utterances, regions = material(n=4)
    regions = regions.assign(start_s=0.0, end_s=3.5)
    for item in plans.plan(utterances, regions, "Ann", BLIND, seed=0):
        (decoy,) = [track for track in item.tracks if track.decoy]
        assert 0 <= decoy.region[0] <= 0.5
    silent = plans.plan(utterances, regions.assign(start_s=np.nan, end_s=np.nan), "Ann", BLIND, seed=0)
    assert {track.region for track in silent[0].tracks} == {None}
    assert len(silent[0].tracks) == 3


def test_places_of_decoys_are_even_over_the_room():
    """A second of starts lies before a region from 2 to 3 s of 6 s, two seconds after it."""
    utterances = pd.DataFrame({"utterance": [f"E_{i:04d}" for i in range(1500)], "group": "spoof"})
    regions = utterances.assign(detector="sls", start_s=2.0, end_s=3.0, read_s=6.0)
    items = plans.plan(utterances, regions, "Ann", Annotation(blind=True, repeats=0), seed=0)
    starts = np.array([track.region[0] for item in items for track in item.tracks if track.decoy])
    assert not ((starts > 1.0) & (starts < 3.0)).any()
    assert (starts <= 1.0).mean() == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize(("n", "share", "repeats"), [(40, 0.1, 4), (40, 0.5, 20), (6, 0.1, 1), (2, 0.1, 0), (40, 0, 0)])
def test_repeats_come_at_least_half_of_the_utterances_later(n, share, repeats):
    for seed in range(5):
        items = plans.plan(*material(n), "Ann", BLIND.model_copy(update={"repeats": share}), seed)
        place = {item.id: at for at, item in enumerate(items)}
        again = [item for item in items if item.repeat_of]
        assert (len(again), len(items), len(place)) == (repeats, n + repeats, n + repeats)
        assert all(place[item.id] - place[item.repeat_of] > n / 2 for item in again)
        for item in again:
            first = items[place[item.repeat_of]]
            regions = [{(track.detector, track.decoy, track.region) for track in both.tracks} for both in (first, item)]
            assert regions[0] == regions[1]


def test_a_kept_plan_stays_when_regions_move(store):
    utterances, regions = material(6)
    first = plans.kept(store, utterances, regions, "Ann", BLIND, seed=0)
    moved = regions.assign(start_s=regions["start_s"] + 0.1, end_s=regions["end_s"] + 0.1, read_s=5.0)
    assert plans.kept(store, utterances, moved, "Ann", BLIND, seed=0) == first
    assert plans.plan(utterances, regions, "Ann", BLIND, seed=0) == first
    other = plans.kept(store, utterances, regions, "Ann", OPEN, seed=0)
    assert not {item.id for item in other} & {item.id for item in first}
    assert plans.plans(store) == {"Ann": [*first, *other]}


def test_an_annotator_goes_on_where_they_stopped(store):
    items = plans.plan(*material(4), "Ann", OPEN, seed=0)
    assert plans.resume(items, store, "Ann") == 0
    for place, field, value, following in ((2, "comment", "", 2), (2, "done", True, 3), (3, "done", True, 0)):
        store.append("Ann", items[place].id, field, value)
        assert plans.resume(items, store, "Ann") == following
    assert plans.n_done(items, store.states("Ann")) == 2
    for item in items:
        store.append("Ann", item.id, "done", True)
    assert plans.resume(items, store, "Ann") == 3


# what a study gives its annotators -----------------------------------------------------------------------------------


@pytest.fixture
def explained(corpus):
    """Six explained utterances whose evidence is in frames 3 and 4; SLS reads ten frames and has none in the first."""
    table = protocol.load_set(corpus, "eval").head(6)
    peak = np.eye(20)[3] + np.eye(20)[4]
    by_frame = {"aasist": peak + 0.001, "sls": peak + 0.001 * (np.arange(20) < 10)}
    rows = [
        {"utterance": utterance, "detector": detector, "by_frame": frames * (detector == "aasist" or place > 0)}
        for detector, frames in by_frame.items()
        for place, utterance in enumerate(table["utterance"])
    ]
    return pd.DataFrame(rows)


def test_utterances_are_annotated_by_reason_and_class(tmp_path, write_experiment, explained):
    chosen = pd.DataFrame({"utterance": ["E_0003", "E_0000", "E_0007"], "reason": ["worst", "best", "worst"]})
    study = write_experiment(tmp_path)
    known = protocol.load_set(study.corpus_root, "eval")
    groups = plans.utterances(study, known, explained, chosen).set_index("utterance")["group"]
    bonafide, spoof = dict.fromkeys(("E_0002", "E_0004"), "bona fide"), dict.fromkeys(("E_0001", "E_0005"), "spoof")
    assert [*groups.items()] == [("E_0003", "worst"), ("E_0000", "best"), *bonafide.items(), *spoof.items()]
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0002", "E_0003"]})
    groups = plans.utterances(study, known, explained, chosen).set_index("utterance")["group"]
    assert groups.to_dict() == {"E_0003": "worst", "E_0002": "bona fide", "E_0001": "spoof"}
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0007"]})
    with pytest.raises(StudyError, match=r"1 of 2 are not among the 6 explained ones; the first: 'E_0007'"):
        plans.utterances(study, known, explained, chosen)


def test_regions_are_the_top_ones_and_end_where_the_head_stops(explained):
    table = plans.regions(explained).set_index(["detector", "utterance"])
    first_s, last_s = SSL_CLOCK.centre_s(20)[[3, 4]]
    region = table.loc["aasist", "E_0001"]
    assert region["start_s"] <= first_s - SSL_CLOCK.hop_s / 2 + 1e-9
    assert region["end_s"] >= last_s + SSL_CLOCK.hop_s / 2 - 1e-9
    assert region["read_s"] == pytest.approx(SSL_CLOCK.centre_s(20)[-1] + SSL_CLOCK.hop_s / 2)
    assert table.loc["sls", "E_0001"]["read_s"] == pytest.approx(SSL_CLOCK.centre_s(10)[-1] + SSL_CLOCK.hop_s / 2)
    assert np.isnan(table.loc["sls", "E_0000"]["start_s"])
    assert set(table["segment_class"]) == {"unknown"}


# the table of annotations --------------------------------------------------------------------------------------------


def planned(store, options=OPEN):
    """A plan of four utterances with two detectors, kept in the store."""
    utterances = pd.DataFrame({"utterance": [f"E_{i}" for i in range(4)], "group": "spoof"})
    regions = utterances.merge(pd.DataFrame({"detector": ["aasist", "sls"]}), how="cross")
    return plans.kept(store, utterances, regions.assign(start_s=1.0, end_s=1.5, read_s=4.0), "Ann", options, seed=0)


def test_a_row_holds_what_was_judged_of_a_track(store):
    item = planned(store)[0]
    store.record("Ann", item.id, {"AASIST.start_s": 0, "AASIST.end_s": 2.25, "AASIST.cue": "glitch"})
    last = store.record("Ann", item.id, {"AASIST.locality": 4, "AASIST.audible": False, "AASIST.comment": MARKUP})[-1]
    store.append("Ann", item.id, "comment", "flat voice")
    table = plans.annotations(store)
    assert table.dtypes.astype(str).to_dict() == dict(plans.TYPES)
    assert len(table) == 2
    row = table.iloc[0]
    expected = {"annotator": "Ann", "utterance": item.utterance, "detector": "aasist", "track": "AASIST"}
    expected |= {"start_s": 0.0, "end_s": 2.25, "cue": "glitch", "locality": 4, "audible": False, "comment": MARKUP}
    expected |= {"general": "flat voice", "similarity": "", "group": "spoof", "proposed_end_s": 1.5}
    assert row[list(expected)].to_dict() == expected
    assert row["changed_at"] >= last.at
    assert (len(plans.marked(table)), len(plans.judged(table))) == (1, 1)
    assert pd.isna(table.iloc[1]["cue"])
    assert table.iloc[1]["general"] == "flat voice"


def test_a_region_that_was_judged_and_not_moved_is_the_proposed_one(store):
    item = planned(store)[0]
    store.append("Ann", item.id, "SLS.cue", "noise")
    store.append("Ann", item.id, "AASIST.locality", 3)
    table = plans.annotations(store).set_index("detector")
    assert table.loc["sls", ["start_s", "end_s"]].tolist() == [1.0, 1.5]
    assert np.isnan(table.loc["aasist", "start_s"])


def test_letters_are_decoded_and_decoys_and_repeats_marked(store):
    assert plans.annotations(store).dtypes.astype(str).to_dict() == dict(plans.TYPES)
    for item in planned(store, Annotation(blind=True, repeats=0.25)):
        for track in item.tracks:
            store.append("Ann", item.id, f"{track.name}.comment", f"{track.detector} {track.decoy}")
    table = plans.annotations(store)
    assert (table["comment"] == table["detector"] + " " + table["decoy"].astype(str)).all()
    assert table["repeat"].sum() == 3
    assert table["blind"].all()
    assert (len(table), len(plans.plain(table))) == (15, 8)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"cue": "x"}, "cue is 'x'; accepted"),
        ({"start_s": 2.0, "end_s": 1.0}, "end after it begins"),
        ({"detector": None}, "detector '' has 0 characters"),
        ({"decoy": 1}, "decoy is 1; accepted: true or false"),
        ({"proposed_start_s": "a"}, "proposed_start_s is 'a'"),
        ({"locality": 0}, "locality is 0"),
    ],
)
def test_a_row_from_outside_is_checked_and_filled(bad, fault):
    row = {"annotator": "Ann", "utterance": "E_1", "detector": "sls", "decoy": True, "repeat": True}
    filled = plans.row_of(row)
    assert (filled["item"], filled["track"], filled["cue"], filled["comment"]) == ("E_1/2", "SLS decoy", None, "")
    with pytest.raises(InputError, match=fault):
        plans.row_of(row | bad)


def rows(*given):
    common = {"annotator": "Ann", "utterance": "E_0", "start_s": 0.1, "end_s": 0.2, "cue": "noise"}
    return plans.conformed([plans.row_of(common | row) for row in given])


def test_a_table_comes_back_from_the_store_and_is_kept_once(store):
    table = rows(
        {"detector": "sls", "locality": 2, "audible": False, "comment": "<i>a</i>\nb", "general": "flat"},
        {"detector": "aasist", "cue": None, "general": "flat"},
        {"detector": "sls", "decoy": True, "cue": "unclear", "general": "flat"},
        {"detector": "sls", "repeat": True},
        {"annotator": "Bob", "detector": "sls"},
    )
    assert plans.keep(store, table) > 0
    by, names = ["annotator", "repeat", "detector", "decoy"], ["group", "item", "track", "blind", "changed_at"]
    stored, given = (
        rows.sort_values(by, ignore_index=True).drop(columns=names) for rows in (plans.annotations(store), table)
    )
    pd.testing.assert_frame_equal(stored, given)
    assert plans.keep(store, table) == plans.keep(store, plans.annotations(store)) == 0


def test_what_is_in_a_plan_goes_there(store):
    items = planned(store, Annotation(blind=True, repeats=0))
    plans.keep(store, rows({"detector": "sls", "comment": "kept"}, {"detector": "sls", "utterance": "E_9"}))
    (item,) = [item for item in items if item.utterance == "E_0"]
    (name,) = [track.name for track in item.tracks if track.detector == "sls" and not track.decoy]
    values = {"start_s": 0.1, "end_s": 0.2, "cue": "noise", "comment": "kept"}
    assert store.state("Ann", item.id) == {f"{name}.{field}": value for field, value in values.items()}
    assert len(store.plans("Ann")) == 2
    assert plans.annotations(store).query("cue == 'noise'")["utterance"].tolist() == ["E_0", "E_9"]


def test_another_value_is_a_change_and_other_regions_stay(store):
    plans.keep(store, rows({"detector": "sls"}))
    assert plans.keep(store, rows({"detector": "sls", "cue": "glitch"})) == 1
    assert [change.value for change in store.history() if change.field.endswith("cue")] == ["noise", "glitch"]
    plans.keep(store, rows({"detector": "aasist"}))
    assert sorted(plans.annotations(store)["detector"]) == ["aasist", "sls"]
