"""The annotator without a browser: its answers, what it stores, and what a blind page never receives."""

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
    """A message of `sslig.widgets.view`, whose evidence peaks at `REGION_S`."""
    frames = np.zeros(N_FRAMES)
    frames[15:20] = 1
    lanes = [
        {"key": name, "name": name, "note": "", "color": "#009E73", "frames": floats(frames), "trend": floats(frames)}
        for name in DETECTORS
    ]
    clock = {"start_s": 0.0, "hop_s": HOP_S}
    return {
        "name": utterance,
        "duration_s": 1.0,
        "audio": b"fLaC" + utterance.encode()[-1:],
        "mime": "audio/flac",
        "peaks": b"",
        "clock": clock,
        "spectrogram": None,
        "lanes": lanes,
        "maps": [],
        "tiers": [],
    }


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
    annotator_sheet.write(Sheet(path, utterances, regions), map(view, UTTERANCES))
    return annotator_sheet.read(path)


@pytest.fixture
def session(sheet, tmp_path):
    """Makes a session on the same store; keywords are options of the annotation."""

    def make(**options):
        return Session(sheet, Store(tmp_path / "store.sqlite"), Annotation(**options), seed=0)

    return make


def start(session, name="Ada"):
    """The session, and the handles of its items in order."""
    return session, [item["handle"] for item in session.answer({"kind": "start", "name": name})["items"]]


def put(session, item, values):
    return session.answer({"kind": "record", "item": item, "id": "1", "values": values})


def state(session, item):
    return session.answer({"kind": "open", "item": item})["state"]


def test_a_name_opens_the_plan(session):
    plan = session().answer({"kind": "start", "name": "  Ada   Lovelace "})
    assert (plan["kind"], plan["name"], plan["blind"], plan["place"]) == ("plan", "Ada Lovelace", False, 0)
    assert sorted(item["title"] for item in plan["items"]) == UTTERANCES
    assert {item["group"] for item in plan["items"]} == {"bona fide", "confidently wrong spoof"}
    assert not any(item["done"] for item in plan["items"])


@pytest.mark.parametrize("name", ["", "   ", None, 7, "a\x00b", "a\u202eb", "x" * 81])
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


def test_a_saved_change_is_in_the_store(session):
    page, items = start(session())
    values = {"AASIST.start_s": 0.1, "AASIST.end_s": 0.2, "AASIST.cue": "glitch"}
    assert put(page, items[3], values) == {"kind": "saved", "item": items[3], "id": "1", "done": 0, "of": 10}
    assert put(page, items[3], {"done": True})["done"] == 1
    other = session()
    assert other.answer({"kind": "start", "name": "Ada"})["items"][3]["done"]
    assert state(other, items[3]) == values | {"done": True}


def test_an_annotator_goes_on_after_the_last_item(session):
    page, items = start(session())
    for values, place in (({"comment": "hm"}, 4), ({"done": True}, 5)):
        put(page, items[4], values)
        assert session().answer({"kind": "start", "name": "Ada"})["place"] == place


@pytest.mark.parametrize("text", NASTY)
def test_text_stays_as_it_was_typed(session, text):
    page, items = start(session(), "<b>Ada</b>")
    assert put(page, items[0], {"comment": text, "SLS.comment": text})["kind"] == "saved"
    other, items = start(session(), "<b>Ada</b>")
    assert other.annotator == "<b>Ada</b>"
    assert state(other, items[0]) == {"comment": text, "SLS.comment": text}


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
        ({"label": "spoof"}, "unknown field"),
        ({"AASIST.start_s": 0.5, "AASIST.end_s": 0.4}, "must end after it begins"),
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


@pytest.mark.parametrize("name", ["../sheet.json", "/etc/passwd", "E_9999", "", "E_0000/../E_0001"])
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
    text, sent = received(Annotator(session(blind=True, repeats=0.2), "study"))
    assert [secret for secret in [*SECRETS, "#009E73"] if secret in text] == []
    items = [join(content, buffers) for content, buffers in sent if content["kind"] == "item"]
    assert len(items) == 12
    for item in items:
        assert [track["name"] for track in item["tracks"]] == ["A", "B", "C", "D"]
        assert [lane["key"] for lane in item["view"]["lanes"]] == ["A", "B", "C", "D"]
        assert all(lane["plain"] and not lane["color"] for lane in item["view"]["lanes"])


def test_an_open_page_names_what_a_blind_page_hides(session):
    text, _ = received(Annotator(session(), "study"))
    assert all(name in text for name in ("E_0003", "AASIST", "confidently wrong spoof"))


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
