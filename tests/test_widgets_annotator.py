"""The annotator without a browser: what it answers, what it keeps, and what a blind page is never told."""

import json

import numpy as np
import pandas as pd
import pytest

from sslig.annotation.store import Store
from sslig.errors import InputError
from sslig.study import Annotation
from sslig.widgets import annotator_sheet
from sslig.widgets.annotator import Annotator, Session
from sslig.widgets.annotator_sheet import Sheet
from sslig.widgets.view import join

DETECTORS = ("aasist", "camhfa", "sls")
UTTERANCES = [f"E_{number:04d}" for number in range(10)]
GROUPS = {"E_0000": "confidently wrong spoof"}
N_FRAMES, HOP_S = 50, 0.02
REGION_S = (0.3, 0.4)
NASTY = [
    '<img src=x onerror="alert(1)">',
    'it\'s "quoted" \\ {{7*7}} ${x} </script>',
    "שלום \u202eעולם",
    "👩‍👩‍👧 naïve Ω",
    "x" * 10_000,
]


def floats(values):
    return np.asarray(values, dtype="<f4").tobytes()


def view(utterance):
    """A message as of `sslig.widgets.view.message`, whose evidence peaks at `REGION_S`."""
    frames = np.zeros(N_FRAMES)
    frames[15:20] = 1
    lanes = [
        {"key": name, "name": name, "note": "", "color": "#009E73", "frames": floats(frames), "trend": floats(frames)}
        for name in DETECTORS
    ]
    clock = {"start_s": 0.0, "hop_s": HOP_S}
    return {"name": utterance, "duration_s": 1.0, "audio": b"fLaC" + utterance.encode()[-1:], "mime": "audio/flac",
            "peaks": b"", "clock": clock, "spectrogram": None, "lanes": lanes, "maps": [], "tiers": []}  # fmt: skip


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    utterances = pd.DataFrame({"utterance": UTTERANCES})
    utterances["group"] = utterances["utterance"].map(GROUPS).fillna("bona fide")
    start_s, end_s = REGION_S
    regions = pd.DataFrame(
        [(one, name, start_s, end_s, N_FRAMES * HOP_S) for one in UTTERANCES for name in DETECTORS],
        columns=["utterance", "detector", "start_s", "end_s", "read_s"],
    )
    path = tmp_path_factory.mktemp("study") / "sheet.parquet"
    annotator_sheet.write(Sheet(path, utterances, regions), map(view, UTTERANCES))
    return annotator_sheet.read(path)


@pytest.fixture
def session(sheet, tmp_path):
    """Makes a session on the same store; keywords are options of the annotation."""

    def make(**options):
        return Session(sheet, Store(tmp_path / "store.sqlite"), Annotation(**options), seed=0)

    return make


def started(session, name="Ada"):
    return session, session.answer({"kind": "start", "name": name})


def put(session, item, values):
    return session.answer({"kind": "record", "item": item, "id": "1", "values": values})


def test_a_name_opens_the_plan(session):
    _, plan = started(session(), "  Ada   Lovelace ")
    assert (plan["kind"], plan["name"], plan["blind"], plan["place"]) == ("plan", "Ada Lovelace", False, 0)
    assert sorted(item["title"] for item in plan["items"]) == UTTERANCES
    assert {item["group"] for item in plan["items"]} == {"bona fide", "confidently wrong spoof"}
    assert not any(item["done"] for item in plan["items"])


@pytest.mark.parametrize("name", ["", "   ", None, 7, "a\x00b", "a\u202eb", "x" * 81])
def test_a_name_that_is_none_is_refused(session, name):
    answer = session().answer({"kind": "start", "name": name})
    assert (answer["kind"], answer["again"]) == ("refused", False)


def test_an_item_has_sound_evidence_and_what_was_said(session):
    one, plan = started(session())
    item = one.answer({"kind": "open", "item": plan["items"][0]["handle"]})
    assert [track["name"] for track in item["tracks"]] == ["AASIST", "CA-MHFA", "SLS"]
    assert [lane["key"] for lane in item["view"]["lanes"]] == ["AASIST", "CA-MHFA", "SLS"]
    assert item["view"]["audio"] == view(item["title"])["audio"]
    assert item["tracks"][0]["region"] == REGION_S
    assert item["state"] == {}


def test_what_is_said_is_in_the_store_when_it_is_called_saved(session):
    one, plan = started(session())
    item = plan["items"][3]["handle"]
    saved = put(one, item, {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "glitch"})
    assert saved == {"kind": "saved", "item": item, "id": "1", "done": 0, "of": 10}
    assert put(one, item, {"done": True})["done"] == 1
    again, plan = started(session())
    assert plan["items"][3]["done"]
    said = {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "glitch", "done": True}
    assert again.answer({"kind": "open", "item": item})["state"] == said


def test_one_goes_on_where_one_stopped(session):
    one, plan = started(session())
    put(one, plan["items"][4]["handle"], {"comment": "hm"})
    assert started(session())[1]["place"] == 4
    put(one, plan["items"][4]["handle"], {"done": True})
    assert started(session())[1]["place"] == 5


@pytest.mark.parametrize("text", NASTY)
def test_text_stays_as_it_was_typed(session, text):
    one, plan = started(session(), "<b>Ada</b>")
    item = plan["items"][0]["handle"]
    assert put(one, item, {"comment": text, "SLS.comment": text})["kind"] == "saved"
    again, plan = started(session(), "<b>Ada</b>")
    assert plan["name"] == "<b>Ada</b>"
    assert again.answer({"kind": "open", "item": item})["state"] == {"comment": text, "SLS.comment": text}


def test_undo_and_redo_take_a_step_of_this_item(session):
    one, plan = started(session())
    first, second = (item["handle"] for item in plan["items"][:2])
    put(one, first, {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "noise"})
    put(one, second, {"comment": "elsewhere"})
    undone = one.answer({"kind": "undo", "item": first})
    assert (undone["state"], undone["changed"]) == ({}, ["AASIST.start_s", "AASIST.end_s", "AASIST.cue"])
    assert one.answer({"kind": "undo", "item": first})["changed"] == []
    assert one.answer({"kind": "redo", "item": first})["state"]["AASIST.cue"] == "noise"
    assert one.answer({"kind": "open", "item": second})["state"] == {"comment": "elsewhere"}


@pytest.mark.parametrize(("values", "why"), [
    ({"AASIST.cue": "ghost"}, "accepted: glitch"), ({"AASIST.locality": 6}, "whole number from 1"),
    ({"A.cue": "glitch"}, "the tracks of this item are AASIST, CA-MHFA, SLS"), ({"label": "spoof"}, "unknown field"),
    ({"AASIST.start_s": 0.5, "AASIST.end_s": 0.4}, "must end after it begins"), ({}, "a mapping of fields"),
    ({"comment": "x" * 10_001}, "at most 10,000"), ("cue", "a mapping of fields"),
])  # fmt: skip
def test_what_a_field_cannot_hold_is_refused_for_good(session, tmp_path, values, why):
    one, plan = started(session())
    answer = put(one, plan["items"][0]["handle"], values)
    assert (answer["kind"], answer["id"], answer["again"]) == ("refused", "1", False)
    assert why in answer["why"]
    assert str(tmp_path) not in answer["why"]
    assert one.store.states("Ada") == {}


@pytest.mark.parametrize("message", [
    {"kind": "open", "item": "E_0001"}, {"kind": "open", "item": "../../etc/passwd"},
    {"kind": "open", "item": "/etc/passwd"},
    {"kind": "open", "item": None}, {"kind": "open", "item": ["x"]}, {"kind": "open"}, {"kind": "record", "item": "x"},
    {"kind": "undo", "item": "%2e%2e"}, {"kind": "delete"}, {}, None, "start", [1],
])  # fmt: skip
def test_no_message_reaches_what_is_not_in_the_plan(session, message):
    for one in (session(), started(session())[0]):
        answer = one.answer(message)
        assert answer["kind"] == "refused"
        assert "view" not in answer


@pytest.mark.parametrize("name", ["../sheet.json", "/etc/passwd", "E_9999", "", "E_0000/../E_0001"])
def test_the_sheet_gives_what_is_on_it(sheet, name):
    with pytest.raises(InputError, match="is not among its 10 utterances"):
        sheet.view(name)


def test_a_store_that_is_busy_is_tried_again(session):
    one, plan = started(session())
    other = Store(one.store.path)
    one.store = Store(one.store.path, patience_s=0.05)
    with other._writing():
        answer = put(one, plan["items"][0]["handle"], {"comment": "kept by the browser"})
    assert (answer["kind"], answer["again"]) == ("refused", True)
    assert put(one, plan["items"][0]["handle"], {"comment": "now"})["kind"] == "saved"


SECRETS = [*UTTERANCES, *DETECTORS, "AASIST", "CA-MHFA", "SLS", "bona fide", "spoof", "confidently", "decoy", "shift",
           "#009E73"]  # fmt: skip


def told(widget):
    """Everything that a page is sent: the traits of the widget and all messages, as text; and the bytes."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._heard(None, {"kind": "start", "name": "Ada"}, [])
    items = sent[0][0]["items"]
    for item in items:
        for message in (
            {"kind": "open"}, {"kind": "record", "id": "1", "values": {"A.cue": "glitch"}},
            {"kind": "record", "id": "2", "values": {"Z.cue": "glitch"}}, {"kind": "undo"}, {"kind": "redo"},
        ):  # fmt: skip
            widget._heard(None, message | {"item": item["handle"]}, [])
    traits = {name: value for name, value in widget.get_state().items() if name != "_esm"}
    return json.dumps([traits, [content for content, _ in sent]]), sent


def test_a_blind_page_is_told_nothing_that_it_hides(session):
    text, sent = told(Annotator(session(blind=True, repeats=0.2), "study"))
    assert [secret for secret in SECRETS if secret in text] == []
    items = [join(content, buffers) for content, buffers in sent if content["kind"] == "item"]
    assert len(items) == 12
    for item in items:
        assert [track["name"] for track in item["tracks"]] == ["A", "B", "C", "D"]
        assert [lane["key"] for lane in item["view"]["lanes"]] == ["A", "B", "C", "D"]
        assert all(lane["plain"] and not lane["color"] for lane in item["view"]["lanes"])


def test_an_open_page_names_what_a_blind_one_hides(session):
    text, _ = told(Annotator(session(), "study"))
    assert {"E_0003", "AASIST", "confidently wrong spoof"} <= {
        secret for secret in [*SECRETS, *GROUPS.values()] if secret in text
    }


def test_the_curve_of_a_decoy_peaks_where_the_decoy_is(session):
    one, plan = started(session(blind=True))
    for entry in plan["items"]:
        item = one.answer({"kind": "open", "item": entry["handle"]})
        for track, lane in zip(item["tracks"], item["view"]["lanes"], strict=True):
            start_s, end_s = track["region"]
            peak = np.flatnonzero(np.frombuffer(lane["frames"], "<f4"))
            assert abs(peak[0] * HOP_S - start_s) <= HOP_S
            assert abs((peak[-1] + 1) * HOP_S - end_s) <= HOP_S


def test_handles_differ_from_person_to_person_and_not_from_page_to_page(session):
    handles = [
        [item["handle"] for item in started(session(blind=True), name)[1]["items"]] for name in ("Ada", "Ada", "Bo")
    ]
    assert handles[0] == handles[1]
    assert set(handles[0]).isdisjoint(handles[2])
