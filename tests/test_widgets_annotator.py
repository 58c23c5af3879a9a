"""The annotator without a browser: its answers, what it stores, its sheet, and what a blind page never receives."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.annotation import plan
from sslig.annotation.plan import Track
from sslig.annotation.store import Store
from sslig.corpora import protocol
from sslig.errors import InputError, PipelineError
from sslig.files import write_parquet
from sslig.frames import SSL_CLOCK
from sslig.pipeline import outputs
from sslig.study import Annotation
from sslig.widgets import annotator
from sslig.widgets.annotator import Annotator, Session, Sheet
from sslig.widgets.view import join

DETECTORS = ("aasist", "camhfa", "sls")
UTTERANCES = [f"E_{number:04d}" for number in range(10)]
GROUPS = {"E_0000": "confidently wrong spoof"}
N_FRAMES, HOP_S = 50, 0.02
REGION_S = (0.3, 0.4)


def floats(values):
    return np.asarray(values, dtype="<f4").tobytes()


def view(utterance):
    """A message of `sslig.widgets.view`, whose evidence peaks at `REGION_S`."""
    frames = np.zeros(N_FRAMES)
    frames[15:20] = 1
    common = {"note": "", "color": "#009E73", "frames": floats(frames), "trend": floats(frames)}
    drawn = {"name": utterance, "duration_s": 1.0, "audio": b"fLaC" + utterance.encode()[-1:], "mime": "audio/flac"}
    drawn |= {
        "clock": {"start_s": 0.0, "hop_s": HOP_S},
        "lanes": [{"key": key, "name": key} | common for key in DETECTORS],
    }
    return drawn | {"peaks": b"", "spectrogram": None, "maps": [], "tiers": []}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    utterances = pd.DataFrame({"utterance": UTTERANCES})
    utterances["group"] = utterances["utterance"].map(GROUPS).fillna("bona fide")
    start_s, end_s = REGION_S
    regions = pd.DataFrame(
        [(utterance, name, start_s, end_s, N_FRAMES * HOP_S) for utterance in UTTERANCES for name in DETECTORS],
        columns=["utterance", "detector", "start_s", "end_s", "read_s"],
    )
    path = tmp_path_factory.mktemp("study") / "sheet.parquet"
    annotator.write_sheet(Sheet(path, utterances, regions), map(view, UTTERANCES))
    return annotator.read_sheet(path)


@pytest.fixture
def session(sheet, tmp_path):
    """Makes a session on the same store; keywords are options of the annotation."""

    def make(**options):
        options = Annotation(**{"listen_first": False} | options)
        return Session(sheet, Store(tmp_path / "store.sqlite"), options, seed=0)

    return make


def start(session, name="Ada"):
    """The session, and the handles of its items in order."""
    return session, [item["handle"] for item in session.answer({"kind": "start", "name": name})["items"]]


def put(session, item, values):
    return session.answer({"kind": "record", "item": item, "id": "1", "values": values})


def state(session, item):
    return session.answer({"kind": "open", "item": item})["state"]


def test_a_name_opens_the_plan(session):
    opened = session().answer({"kind": "start", "name": "  Ada   Lovelace "})
    assert (opened["kind"], opened["name"], opened["blind"], opened["place"]) == ("plan", "Ada Lovelace", False, 0)
    assert sorted(item["title"] for item in opened["items"]) == UTTERANCES
    assert {item["group"] for item in opened["items"]} == {"bona fide", "confidently wrong spoof"}
    assert not any(item["done"] for item in opened["items"])


@pytest.mark.parametrize("name", ["   ", None, "x" * 81])
def test_a_faulty_name_is_refused(session, name):
    answer = session().answer({"kind": "start", "name": name})
    assert (answer["kind"], answer["again"]) == ("refused", False)


def test_an_item_has_sound_and_evidence(session):
    page, items = start(session())
    item = page.answer({"kind": "open", "item": items[0]})
    assert [track["name"] for track in item["tracks"]] == ["AASIST", "CA-MHFA", "SLS"]
    assert [lane["key"] for lane in item["view"]["lanes"]] == ["AASIST", "CA-MHFA", "SLS"]
    assert item["view"]["audio"] == view(item["title"])["audio"]
    assert item["tracks"][0]["region"] == REGION_S
    assert item["state"] == {}


def test_an_annotator_listens_before_anything_is_shown(session):
    page, items = start(session(listen_first=True))
    first = page.answer({"kind": "open", "item": items[0]})
    assert (first["heard"], first["tracks"], first["view"]["lanes"]) == (False, [], [])
    assert (first["title"], first["group"]) == ("Item 1", None)
    disclosed = json.dumps({name: value for name, value in first.items() if name != "view"})
    assert not any(name in disclosed for name in UTTERANCES)
    put(page, items[0], {"comment": "  "})
    assert not page.answer({"kind": "open", "item": items[0]})["heard"]
    put(page, items[0], {"comment": "a click"})
    again = page.answer({"kind": "open", "item": items[0]})
    assert (again["heard"], len(again["tracks"]), again["title"] in UTTERANCES) == (True, 3, True)
    titles = [item["title"] in UTTERANCES for item in page.answer({"kind": "start", "name": "Ada"})["items"]]
    assert titles == [True, *[False] * 9]


def test_more_regions_have_labels_in_own_words(session):
    page, items = start(session())
    rows = [{"start_s": 0.5, "end_s": 0.6, "label": "hiss"}, {"start_s": 0.1, "end_s": 0.2, "label": ""}]
    assert put(page, items[0], {"marks": rows})["kind"] == "saved"
    assert state(page, items[0])["marks"] == rows[::-1]
    table = plan.marks(page.store)
    assert table[["annotator", "label"]].to_numpy().tolist() == [["Ada", ""], ["Ada", "hiss"]]
    assert set(table["utterance"]) <= set(UTTERANCES)
    refused = put(page, items[0], {"marks": [{"start_s": 0.5, "end_s": 0.4, "label": "x"}]})
    assert "a region from 0.5 to 0.4 s" in refused["why"]


def test_a_saved_change_is_in_the_store(session):
    page, items = start(session())
    values = {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "glitch"}
    assert put(page, items[3], values) == {"kind": "saved", "item": items[3], "id": "1", "done": 0, "of": 10}
    assert put(page, items[3], {"done": True})["done"] == 1
    other = session()
    assert other.answer({"kind": "start", "name": "Ada"})["items"][3]["done"]
    assert state(other, items[3]) == values | {"done": True}


def test_undo_and_redo_take_a_step_of_this_item(session):
    page, (first, second, *_) = start(session())
    put(page, first, {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "noise"})
    put(page, second, {"comment": "elsewhere"})
    undone = page.answer({"kind": "undo", "item": first})
    assert (undone["state"], undone["changed"]) == ({}, ["AASIST.start_s", "AASIST.end_s", "AASIST.cue"])
    assert page.answer({"kind": "undo", "item": first})["changed"] == []
    assert page.answer({"kind": "redo", "item": first})["state"]["AASIST.cue"] == "noise"
    assert state(page, second) == {"comment": "elsewhere"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"AASIST.cue": "ghost"}, "accepted: glitch"),
        ({"A.cue": "glitch"}, "the tracks of this item are AASIST, CA-MHFA, SLS"),
        ({}, "a mapping of fields"),
        ("cue", "a mapping of fields"),
    ],
)
def test_a_value_that_its_field_cannot_hold_is_refused_for_good(session, tmp_path, values, why):
    page, items = start(session())
    answer = put(page, items[0], values)
    assert (answer["kind"], answer["id"], answer["again"]) == ("refused", "1", False)
    assert why in answer["why"]
    assert str(tmp_path) not in answer["why"]
    assert page.store.states("Ada") == {}


ITEMS = ["E_0001", "../../etc/passwd", "%2e%2e", None, ["x"]]


@pytest.mark.parametrize(
    "message", [*({"kind": "open", "item": item} for item in ITEMS), {"kind": "delete"}, None, [1]]
)
def test_no_message_reaches_what_is_not_in_the_plan(session, message):
    for page in (session(), start(session())[0]):
        answer = page.answer(message)
        assert answer["kind"] == "refused"
        assert "view" not in answer


@pytest.mark.parametrize("name", ["../sheet.json", "/etc/passwd", "E_9999", ""])
def test_the_sheet_gives_only_what_is_on_it(sheet, name):
    with pytest.raises(InputError, match="is not among its 10 utterances"):
        sheet.view(name)


def test_a_store_that_is_busy_is_tried_again(session):
    page, items = start(session())
    other = Store(page.store.path)
    page.store = Store(page.store.path, patience_s=0.05)
    with other._writing():
        answer = put(page, items[0], {"comment": "kept by the browser"})
    assert (answer["kind"], answer["again"]) == ("refused", True)
    assert put(page, items[0], {"comment": "now"})["kind"] == "saved"


SECRETS = [*UTTERANCES, *DETECTORS, "AASIST", "CA-MHFA", "SLS", "bona fide", "spoof", "confidently", "decoy", "shift"]


def received(widget):
    """Everything that a page receives: traits and messages as text, and the messages with their bytes."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._heard(None, {"kind": "start", "name": "Ada"}, [])
    record = {"kind": "record", "id": "1"}
    messages = [{"kind": "open"}, *(record | {"values": {field: "glitch"}} for field in ("A.cue", "Z.cue"))]
    for item in sent[0][0]["items"]:
        for message in (*messages, {"kind": "undo"}, {"kind": "redo"}):
            widget._heard(None, message | {"item": item["handle"]}, [])
    traits = {name: value for name, value in widget.get_state().items() if name != "_esm"}
    return json.dumps([traits, [content for content, _ in sent]]), sent


def test_a_blind_page_receives_nothing_that_it_hides(session):
    text, _ = received(Annotator(session(), "study"))
    assert all(name in text for name in ("E_0003", "AASIST", "confidently wrong spoof"))
    text, sent = received(Annotator(session(blind=True, repeats=0.2), "study"))
    assert [secret for secret in [*SECRETS, "#009E73"] if secret in text] == []
    items = [join(content, buffers) for content, buffers in sent if content["kind"] == "item"]
    assert len(items) == 12
    for item in items:
        assert [track["name"] for track in item["tracks"]] == ["A", "B", "C", "D"]
        assert [lane["key"] for lane in item["view"]["lanes"]] == ["A", "B", "C", "D"]
        assert all(lane["plain"] and not lane["color"] for lane in item["view"]["lanes"])


def test_the_curve_of_a_decoy_peaks_where_the_decoy_is(session):
    page, items = start(session(blind=True))
    for handle in items:
        item = page.answer({"kind": "open", "item": handle})
        for track, lane in zip(item["tracks"], item["view"]["lanes"], strict=True):
            start_s, end_s = track["region"]
            peak = np.flatnonzero(np.frombuffer(lane["frames"], "<f4"))
            assert abs(peak[0] * HOP_S - start_s) <= HOP_S
            assert abs((peak[-1] + 1) * HOP_S - end_s) <= HOP_S


def test_handles_differ_from_person_to_person_and_not_from_page_to_page(session):
    ada, again, bo = (start(session(blind=True), name)[1] for name in ("Ada", "Ada", "Bo"))
    assert ada == again
    assert set(ada).isdisjoint(bo)


# the sheet ---------------------------------------------------------------------------------------------------------

NAMES = ["E_0000", "E_0003"]


@pytest.fixture
def study(tmp_path, corpus, write_experiment, tiny_detector, monkeypatch):
    """Makes a study of a copy of the corpus with given attributions: those of AASIST fall, the others rise."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    monkeypatch.setenv(outputs.IN_RULE, "1")

    def make(**annotation):
        experiment = write_experiment(tmp_path, corpus={"root": str(root)}, annotation=annotation)
        table = protocol.load_set(root, "eval")
        explained = table[table["utterance"].isin(NAMES)]
        lengths = [SSL_CLOCK.n_frames(audio.n_samples(path)) for path in explained["path"]]
        for name in experiment.detectors:
            run = experiment.run(name, 0)
            tiny_detector(name).save_pretrained(run / "detector")
            curves = [(-2 if name == "aasist" else 1) * np.arange(1.0, n + 1) for n in lengths]
            attributions = pd.DataFrame({"utterance": explained["utterance"], "by_frame": curves, "detector": name})
            write_parquet(run / "attributions.parquet", attributions.assign(seed=0))
            write_parquet(run / "scores_eval.parquet", table.assign(spoof_score=np.arange(float(len(table)))))
        return experiment

    return make


def frames(lane):
    return np.frombuffer(lane["frames"], "<f4")


def test_a_sheet_holds_sound_and_evidence_of_each_utterance(study):
    experiment = study()
    annotator.make_sheet(experiment)
    sheet = annotator.read_sheet(annotator.sheet_path(experiment))
    assert sorted(sheet.utterances["utterance"]) == NAMES
    assert sheet.regions.groupby("utterance")["detector"].apply(list).tolist() == [["aasist", "camhfa", "sls"]] * 2
    for name in NAMES:
        view = sheet.view(name)
        n_frames = len(frames(view["lanes"][0]))
        assert view["name"] == name
        assert view["audio"].startswith(b"fLaC")
        assert view["duration_s"] == SSL_CLOCK.n_samples(n_frames) / 16_000
        assert view["spectrogram"]["clock"]["hop_s"] == 0.005
        assert [lane["key"] for lane in view["lanes"]] == ["aasist", "camhfa", "sls"]
        np.testing.assert_array_equal(frames(view["lanes"][0]), -2 * np.arange(1, n_frames + 1))


def test_the_evidence_of_a_blind_study_has_no_sign_and_no_size(study):
    experiment = study(blind=True)
    annotator.make_sheet(experiment)
    for lane in annotator.read_sheet(annotator.sheet_path(experiment)).view(NAMES[0])["lanes"]:
        n_frames = len(frames(lane))
        np.testing.assert_allclose(frames(lane), np.arange(1, n_frames + 1) / n_frames, rtol=1e-6)


def test_regions_without_evidence_come_back(tmp_path):
    utterances = pd.DataFrame({"utterance": ["E_0000"], "group": ["spoof"]})
    regions = pd.DataFrame({"utterance": ["E_0000"], "detector": ["sls"], "start_s": [np.nan], "read_s": [0.1 + 0.2]})
    annotator.write_sheet(Sheet(tmp_path / "sheet.parquet", utterances, regions), [])
    pd.testing.assert_frame_equal(annotator.read_sheet(tmp_path / "sheet.parquet").regions, regions)


def test_a_missing_sheet_and_missing_attributions_are_named(study):
    experiment = study()
    with pytest.raises(InputError, match=r"no such file; python -m sslig\.widgets\.serve writes it"):
        annotator.read_sheet(annotator.sheet_path(experiment))
    (experiment.run("sls", 0) / "attributions.parquet").unlink()
    with pytest.raises(PipelineError, match=r"sls/seed0/attributions\.parquet is missing"):
        annotator.make_sheet(experiment)


def test_the_folder_of_a_set_may_lie_outside_the_corpus_but_no_recording(study, tmp_path):
    experiment = study()
    folder = experiment.corpus_root / "flac_E_eval"
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    annotator.make_sheet(experiment)
    annotator.sheet_path(experiment).unlink()
    recording = folder / f"{NAMES[1]}.flac"
    shutil.move(recording, tmp_path / "private.flac")
    recording.symlink_to(tmp_path / "private.flac")
    with pytest.raises(InputError, match=rf"{NAMES[1]}\.flac: a link to .*private\.flac, outside the corpus"):
        annotator.make_sheet(experiment)
    assert not annotator.sheet_path(experiment).exists()


def test_the_lane_of_a_decoy_is_rotated_within_what_is_read():
    lane = {"key": "sls", "color": "#fff", "frames": np.arange(6, dtype="<f4").tobytes(), "trend": b"\0" * 24}
    view = {"lanes": [lane], "clock": {"start_s": 0.0, "hop_s": 0.02}}
    decoy = Track("B", "sls", True, (0.04, 0.06), shift_s=0.04)
    shifted = annotator.lane(view, decoy, 0.08, blind=True)
    np.testing.assert_array_equal(frames(shifted), [2, 3, 0, 1, 4, 5])
    assert (shifted["key"], shifted["color"], shifted["plain"]) == ("B", "", True)


def test_an_annotator_needs_no_detectors_in_memory():
    """Twenty kernels run at once: what trains, explains or draws figures stays out of them."""
    heavy = "{'torch', 'librosa', 'matplotlib', 'scipy', 'captum'} & set(sys.modules)"
    code = f"import sys, sslig.widgets.annotator; print(*({heavy}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
