import io

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig.audio import AudioError
from sslig.study import StudyError
from sslig.widgets.catalogue import CatalogueError
from sslig.widgets.explorer import Explorer
from sslig.widgets.own_file import OwnFileError
from sslig.widgets.whatif import WhatIfError


@pytest.fixture
def explorer(explained_study):
    made = Explorer(explained_study)
    yield made
    made.close()


@pytest.fixture
def wav(rng):
    made = io.BytesIO()
    soundfile.write(made, 0.1 * rng.standard_normal(12_000), 16_000, format="WAV")
    return made.getvalue()


def listed(explorer):
    return [name for name, _ in explorer.listing["rows"]]


def ask(explorer, do, *buffers, **values):
    """As a browser asks."""
    explorer._asked(explorer, {"do": do, **values}, list(buffers))


def test_it_opens_on_the_first_explained_utterance(explorer):
    assert explorer.utterance == listed(explorer)[0] == "E_0000"
    assert [lane["name"] for lane in explorer.view["lanes"]] == ["aasist", "camhfa", "sls"]
    assert [tier["name"] for tier in explorer.view["tiers"]] == ["speech", "phones"]
    assert explorer.numbers["title"].startswith("E_0000: bona fide, speaker E_S0")
    assert explorer.answer().startswith("**Answer.** aasist, camhfa and sls have explained 4 of 8 utterances")


def test_numbers_are_those_of_the_study(explorer):
    rows = {row["detector"]: row for row in explorer.numbers["scores"]}
    for name in explorer.bench.names:
        made = explorer.bench.attributions(name).loc["E_0000"]
        assert rows[name]["spoof_score"] == pytest.approx(made["spoof_score"])
        assert rows[name]["status"] == made["status"]
        llr = explorer.bench.calibration(name)(np.array([[made["spoof_score"]]]))[0]
        assert rows[name]["spoof_llr"] == pytest.approx(llr)
    shares = pd.DataFrame(explorer.numbers["segments"])
    assert set(shares["detector"]) <= set(rows)
    assert (shares.groupby("detector").size() <= 5).all()


def test_filters_and_order_change_the_list_and_not_what_is_open(explorer):
    explorer.filters = {"explained": False, "key": "spoof"}
    assert listed(explorer) == ["E_0001", "E_0003", "E_0005", "E_0007"]
    assert explorer.utterance == "E_0000"
    assert explorer.listing["place"] == -1
    explorer.order = "-utterance"
    assert listed(explorer)[0] == "E_0007"
    assert explorer.next().name == "E_0007"
    assert explorer.listing["place"] == 0


def test_next_and_previous_stop_at_the_ends(explorer):
    names = listed(explorer)
    assert explorer.previous() is None
    for name in names[1:]:
        assert explorer.next().name == explorer.utterance == name
    assert explorer.next() is None
    assert explorer.previous().name == names[-2]


def test_another_utterance_clears_what_was_asked_of_the_last(explorer):
    explorer.selection = [0.1, 0.2]
    explorer.what_if(draws=2)
    assert len(explorer.changes) == 6
    assert explorer.heard[:4] == b"fLaC"
    explorer.next()
    assert (explorer.selection, explorer.changes, explorer.heard) == ([], [], b"")


def test_an_utterance_that_the_study_has_not_explained_is_explained_now(explorer):
    name = "E_0003"
    assert name not in explorer.bench.explained()
    ask(explorer, "open", name=name)
    assert explorer.utterance == name
    scores = explorer.catalogue.row(name)
    for row in explorer.numbers["scores"]:
        assert row["spoof_score"] == pytest.approx(scores[row["detector"]], abs=1e-4)
    assert explorer.progress == {"what": "", "share": 1}


def test_what_if_streams_a_row_a_detector_and_space(explorer):
    seen = []
    explorer.observe(lambda change: seen.append(len(change["new"])), "changes")
    explorer.selection = [0.1, 0.2]
    table = explorer.what_if(fill="silence", draws=2)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert table["space"].tolist() == ["feature"] * 3 + ["waveform"] * 3
    assert (table["draws"] == 2).all()
    named = explorer.what_if("phonemes", draws=2)
    assert set(named["spec"]) == {"phonemes"}
    assert explorer.heard == b""


def test_a_file_of_ones_own_is_explained_with_its_segments(explorer, wav):
    opened = explorer.show_file(wav, "C:\\mine\\<b>voice.wav")
    assert explorer.utterance == opened.name == "<b>voice.wav"
    assert [lane["name"] for lane in explorer.view["lanes"]] == ["aasist", "camhfa", "sls"]
    assert {tier["name"] for tier in explorer.view["tiers"]} >= {"speech", "phones"}
    assert explorer.numbers["decoded"]
    assert explorer.listing["place"] == -1
    explorer.selection = [0.1, 0.2]
    assert len(explorer.what_if(draws=2)) == 6


def test_a_file_comes_from_the_browser_in_parts(explorer, wav):
    half = len(wav) // 2
    ask(explorer, "upload", wav[:half], name="a.wav", size=len(wav), first=True)
    assert explorer.utterance == "E_0000"
    ask(explorer, "upload", wav[half:], name="a.wav", size=len(wav), first=False)
    assert (explorer.utterance, explorer.problem) == ("a.wav", "")


@pytest.mark.parametrize(
    ("do", "values", "message"),
    [
        ("open", {"name": "../../etc/passwd"}, "no utterance '../../etc/passwd' among 8 of eval"),
        ("open", {"name": "/etc/passwd"}, "no utterance '/etc/passwd'"),
        ("what_if", {"spec": "vowels"}, "intervention 'vowels'; accepted: noise"),
        ("what_if", {}, "nothing is selected; drag over the recording"),
        ("export", {"kind": "docx"}, "export as 'docx'; accepted: png"),
        ("show_file", {"file": "/etc/passwd"}, "the browser asks for 'show_file'; known: open"),
        ("__class__", {}, "the browser asks for '__class__'; known: open"),
        ("open", {}, "missing 1 required positional argument"),
    ],
)
def test_what_a_browser_may_not_ask_is_refused_in_words(explorer, do, values, message):
    ask(explorer, do, **values)
    assert message in explorer.problem
    assert explorer.utterance == "E_0000"


def test_a_bad_upload_is_refused_and_the_next_one_taken(explorer, wav):
    ask(explorer, "upload", b"x", name="a.exe", size=1, first=True)
    assert "'a.exe': accepted are WAV, FLAC, MP3, OGG" in explorer.problem
    ask(explorer, "upload", b"x", name="a.wav", size=1, first=False)
    assert explorer.problem == "'a.wav': a part of a file whose beginning is missing; send it again"
    ask(explorer, "upload", wav, name="a.wav", size=len(wav), first=True)
    assert (explorer.utterance, explorer.problem) == ("a.wav", "")


def test_python_hears_of_refusals_too(explorer):
    with pytest.raises(CatalogueError):
        explorer.show("nobody")
    with pytest.raises(WhatIfError):
        explorer.what_if()
    with pytest.raises(OwnFileError):
        explorer.show_file(b"x", "a.exe")
    with pytest.raises(AudioError):
        explorer.show_file(b"x", "a.wav")
    with pytest.raises(CatalogueError):
        explorer.filters = {"mood": "x"}


def test_exports_go_to_the_browser_as_files(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers: sent.append((content, buffers)))
    for kind in explorer.choices["exports"]:
        ask(explorer, "export", kind=kind)
    assert [content["file"] for content, _ in sent] == [
        "E_0000.png", "E_0000.svg", "E_0000.csv", "E_0000.TextGrid", "E_0000.txt", "E_0000.html",
    ]  # fmt: skip
    assert all(len(buffers) == 1 and buffers[0] for _, buffers in sent)
    assert explorer.problem == ""


def test_it_explores_some_of_the_detectors(explained_study):
    explorer = Explorer(explained_study, ["sls"], utterance="E_0001")
    assert [lane["name"] for lane in explorer.view["lanes"]] == ["sls"]
    assert explorer.utterance == "E_0001"
    with pytest.raises(StudyError, match="unknown detector 'resnet'"):
        Explorer(explained_study, ["resnet"])
