"""Plans of annotators: deterministic, blind where asked, decoys of matched length, repeats far away, and kept."""

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


def material(n=40, read_s=4.0, length_s=0.5):
    """`n` utterances of two groups with a region of three detectors each."""
    utterances = pd.DataFrame({"utterance": [f"E_{i:03d}" for i in range(n)], "group": ["wrong", "right"] * (n // 2)})
    rows = [
        {
            "utterance": utterance,
            "detector": detector,
            "start_s": start_s,
            "end_s": start_s + length_s * (1 + place),
            "read_s": read_s,
        }
        for utterance in utterances["utterance"]
        for place, (detector, start_s) in enumerate({"aasist": 0.0, "camhfa": 0.7, "own.one": 2.5}.items())
    ]
    return utterances, pd.DataFrame(rows)


def test_an_open_plan_goes_through_the_groups_with_detectors_by_name():
    items = plans.plan(*material(), "Ann", OPEN, seed=0)
    assert [item.group for item in items] == ["wrong"] * 20 + ["right"] * 20
    assert {tuple(track.name for track in item.tracks) for item in items} == {("AASIST", "CA-MHFA", "own.one")}
    assert not any(track.decoy for item in items for track in item.tracks)
    assert items[0].tracks[1].region == (0.7, 1.7)
    assert not any(item.repeat_of for item in items)
    assert plans.public(items[0])["group"] == "wrong"


def test_a_plan_depends_on_annotator_and_seed_and_not_on_the_order_of_rows():
    utterances, regions = material()
    shuffled = regions.sort_values(["start_s", "utterance"], ascending=[True, False])
    once = plans.plan(utterances, regions, "Ann", BLIND, seed=0)
    assert plans.plan(utterances.iloc[::-1], shuffled, " Ann ", BLIND, seed=0) == once
    for annotator, seed in (("Bob", 0), ("Ann", 1)):
        assert [item.utterance for item in plans.plan(utterances, regions, annotator, BLIND, seed)] != [
            item.utterance for item in once
        ]


def test_a_blind_plan_tells_nothing_and_letters_say_nothing_of_detectors():
    items = plans.plan(*material(), "Ann", BLIND, seed=0)
    assert {tuple(track.name for track in item.tracks) for item in items} == {("A", "B", "C", "D")}
    visible = str([plans.public(item) for item in items])
    assert not any(word in visible for word in ("E_0", "aasist", "camhfa", "own", "wrong", "right", "decoy", "repeat"))
    real = [track for item in items for track in item.tracks if not track.decoy]
    counts = pd.crosstab([track.detector for track in real], [track.name for track in real])
    assert counts.to_numpy().min() >= 3
    groups = [item.group for item in items]
    assert groups != sorted(groups)


def test_decoys_are_as_long_as_a_region_and_where_no_detector_points():
    utterances, regions = material()
    items = plans.plan(utterances, regions, "Ann", BLIND, seed=0)
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
    rng = np.random.default_rng(0)
    starts = np.array([plans._place(1.0, np.array([[2.0, 3.0]]), 6.0, rng) for _ in range(3000)])
    assert not ((starts > 1.0) & (starts < 3.0)).any()
    assert (starts <= 1.0).mean() == pytest.approx(1 / 3, abs=0.03)  # 1 s of starts before it, 2 s after it
    assert plans._place(3.5, np.array([[2.0, 3.0]]), 6.0, rng) is None
    assert plans._place(2.0, np.array([[2.0, 5.0]]), 6.0, rng) == 0.0


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


def test_a_kept_plan_stays_when_regions_move(tmp_path):
    utterances, regions = material(6)
    with Store(tmp_path / "s.sqlite") as store:
        first = plans.kept(store, utterances, regions, "Ann", BLIND, seed=0)
        moved = regions.assign(start_s=regions["start_s"] + 0.1, end_s=regions["end_s"] + 0.1, read_s=5.0)
        assert plans.kept(store, utterances, moved, "Ann", BLIND, seed=0) == first
        assert plans.plan(utterances, regions, "Ann", BLIND, seed=0) == first
        other = plans.kept(store, utterances, regions, "Ann", OPEN, seed=0)
        assert not {item.id for item in other} & {item.id for item in first}
        assert plans.plans(store) == {"Ann": [*first, *other]}


def test_an_annotator_goes_on_where_they_stopped(tmp_path):
    utterances, regions = material(4)
    items = plans.plan(utterances, regions, "Ann", OPEN, seed=0)
    with Store(tmp_path / "s.sqlite") as store:
        assert plans.resume(items, store, "Ann") == 0
        store.append("Ann", items[2].id, "comment", "began here")
        assert plans.resume(items, store, "Ann") == 2
        store.append("Ann", items[2].id, "done", True)
        assert plans.resume(items, store, "Ann") == 3
        store.append("Ann", items[3].id, "done", True)
        assert plans.resume(items, store, "Ann") == 0
        assert plans.n_done(items, store.states("Ann")) == 2
        for item in items:
            store.append("Ann", item.id, "done", True)
        assert plans.resume(items, store, "Ann") == 3


def test_an_utterance_without_regions_is_named():
    utterances, regions = material(4)
    with pytest.raises(InputError, match="1 of 4 utterances have no region; the first: E_003"):
        plans.plan(utterances, regions[regions["utterance"] != "E_003"], "Ann", BLIND, seed=0)


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


CHOSEN = pd.DataFrame({"utterance": ["E_0003", "E_0000", "E_0007"], "reason": ["worst", "best", "worst"]})


def test_the_explained_utterances_are_annotated_by_reason_and_class(experiment, explained):
    table = plans.utterances(experiment, protocol.load_set(experiment.corpus_root, "eval"), explained, CHOSEN)
    assert table[["utterance", "group"]].to_numpy().tolist() == [
        ["E_0003", "worst"],
        ["E_0000", "best"],
        ["E_0002", "bona fide"],
        ["E_0004", "bona fide"],
        ["E_0001", "spoof"],
        ["E_0005", "spoof"],
    ]


def test_an_experiment_may_name_the_utterances(tmp_path, write_experiment, explained):
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0002", "E_0003"]})
    known = protocol.load_set(study.corpus_root, "eval")
    groups = plans.utterances(study, known, explained, CHOSEN).set_index("utterance")["group"]
    assert groups.to_dict() == {"E_0003": "worst", "E_0002": "bona fide", "E_0001": "spoof"}
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0007"]})
    with pytest.raises(StudyError, match=r"1 of 2 are not among the 6 explained ones; the first: 'E_0007'"):
        plans.utterances(study, known, explained, CHOSEN)


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


def test_the_store_lies_below_the_runs(experiment):
    assert plans.store_path(experiment) == experiment.runs / "annotations.sqlite"
