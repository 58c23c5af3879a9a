import io

import numpy as np
import pytest
import soundfile

from sslig.errors import InputError, StudyError
from sslig.widgets import bench
from sslig.widgets.explorer import Explorer


@pytest.fixture
def explorer(explained_study, inside_rule):
    widget = Explorer(explained_study)
    yield widget
    widget.close()


@pytest.fixture
def wav(rng):
    file = io.BytesIO()
    soundfile.write(file, 0.1 * rng.standard_normal(12_000), 16_000, format="WAV")
    return file.getvalue()


def listed(explorer):
    return [name for name, _ in explorer.listing["rows"]]


def ask(explorer, do, *buffers, **values):
    """Send a message as a browser does."""
    explorer._answer({"do": do, **values}, list(buffers))


def test_it_opens_the_first_explained_utterance(explorer):
    assert explorer.utterance == listed(explorer)[0] == "E_0000"
    assert [lane["name"] for lane in explorer.view["lanes"]] == ["aasist", "camhfa", "sls"]
    assert [tier["name"] for tier in explorer.view["tiers"]] == ["speech", "phones"]
    assert explorer.numbers["title"].startswith("E_0000: bona fide, speaker E_S0")


def test_it_opens_a_file_where_one_is_named(explained_study, inside_rule, wav, tmp_path):
    (tmp_path / "call.wav").write_bytes(wav)
    widget = Explorer(explained_study, ["sls"], utterance=str(tmp_path / "call.wav"))
    assert widget.recording.name == "call.wav"
    widget.close()


def test_filters_and_order_change_the_list_and_not_the_open_recording(explorer):
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


def test_another_utterance_clears_the_selection_and_its_results(explorer):
    explorer.selection = [0.1, 0.2]
    explorer.what_if()
    assert len(explorer.changes) == 6
    assert explorer.heard[:4] == b"fLaC"
    explorer.next()
    assert (explorer.selection, explorer.changes, explorer.heard) == ([], [], b"")


def test_what_if_sends_one_row_after_the_other(explorer):
    counts = []
    explorer.observe(lambda change: counts.append(len(change["new"])), "changes")
    explorer.selection = [0.1, 0.2]
    table = explorer.what_if(fill="silence")
    assert counts == [1, 2, 3, 4, 5, 6]
    assert table["space"].tolist() == ["feature"] * 3 + ["waveform"] * 3
    assert (table["draws"] == 3).all()
    assert set(explorer.what_if("phonemes")["spec"]) == {"phonemes"}
    assert explorer.heard == b""


def test_an_uploaded_file_is_explained_with_its_segments(explorer, wav):
    recording = explorer.show_file(wav, "C:\\mine\\<b>voice.wav")
    assert explorer.utterance == recording.name == "<b>voice.wav"
    assert {tier["name"] for tier in explorer.view["tiers"]} >= {"speech", "phones"}
    assert explorer.numbers["decoded"]
    assert explorer.listing["place"] == -1
    explorer.selection = [0.1, 0.2]
    assert len(explorer.what_if()) == 6


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
        ("what_if", {"spec": "vowels"}, "'vowels'; accepted: noise"),
        ("what_if", {}, "nothing is selected; drag over the recording"),
        ("export", {"kind": "docx"}, "export as 'docx'; accepted: png"),
        ("show_file", {"file": "/etc/passwd"}, "unknown request 'show_file'; known: open"),
        ("__class__", {}, "unknown request '__class__'; known: open"),
        ("open", {}, "missing 1 required positional argument"),
    ],
)
def test_bad_requests_of_a_browser_are_refused_with_a_message(explorer, do, values, message):
    ask(explorer, do, **values)
    assert message in explorer.problem
    assert explorer.utterance == "E_0000"


def test_a_verdict_is_the_score_without_the_strongest_region_in_both_spaces(explorer):
    table = explorer.verdict()
    assert table["detector"].tolist() == ["aasist", "aasist", "camhfa", "camhfa", "sls", "sls"]
    assert table["space"].tolist() == 3 * ["feature", "waveform"]
    explorer.selection = table.loc[0, ["start_s", "end_s"]].tolist()
    alone = explorer.what_if()
    alone = alone[alone["detector"] == "aasist"].set_index("space")
    assert table["change"][0] == pytest.approx(alone["change"]["feature"])
    assert [row["detector"] for row in explorer.numbers["verdicts"]] == ["aasist", "camhfa", "sls"]
    explorer.next()
    assert explorer.numbers["verdicts"] == []


def test_evidence_in_time_and_frequency_is_heard_alone_and_left_out(explorer, monkeypatch):
    monkeypatch.setattr(bench, "GRID_PASSES", 24)
    grid = explorer.grid("sls")
    recording = explorer.recording
    np.testing.assert_allclose(grid["only"] + grid["without"], recording.waveform, atol=1e-5)
    assert grid["density"].shape == (80, recording.clock.n_frames(len(recording.waveform)))
    assert grid["spoof_score"] == pytest.approx(recording.explanations["sls"].spoof_score, abs=1e-4)
    assert (explorer.evidence["detector"], explorer.evidence["only"][:4]) == ("sls", b"fLaC")
    ask(explorer, "grid", detector="resnet")
    assert explorer.problem == "detector 'resnet'; accepted: aasist, camhfa, sls"
    explorer.next()
    assert explorer.evidence == {}


def test_several_files_become_a_list(explorer, wav):
    for name in ("a.wav", "b.wav"):
        ask(explorer, "upload", wav, name=name, size=len(wav), first=True, shown=name == "a.wav")
    assert (explorer.utterance, explorer.listing["files"]) == ("a.wav", ["a.wav", "b.wav"])
    ask(explorer, "open", name="b.wav")
    assert (explorer.utterance, explorer.problem) == ("b.wav", "")


def test_a_part_of_a_long_file_is_offered(explorer, tone):
    file = io.BytesIO()
    soundfile.write(file, np.tile(tone, 70), 16_000, format="FLAC")
    ask(explorer, "upload", file.getvalue(), name="a.flac", size=len(file.getvalue()), first=True)
    assert explorer.offer == {"name": "a.flac", "duration_s": 70.0, "longest_s": 60.0, "seconds": 0.0}
    assert explorer.utterance == "E_0000"
    ask(explorer, "clip", start_s=2.0, end_s=3.0)
    assert (explorer.problem, explorer.offer, explorer.utterance) == ("", {}, "a.flac")
    assert explorer.numbers["duration_s"] == pytest.approx(1.0, abs=0.03)
    ask(explorer, "clip", start_s=2.0, end_s=3.0)
    assert explorer.problem == "no file waits for a choice of its part"


def test_a_bad_upload_is_refused_and_the_next_one_accepted(explorer, wav):
    ask(explorer, "upload", b"x", name="a.exe", size=1, first=True)
    assert "'a.exe': not a sound file" in explorer.problem
    ask(explorer, "upload", b"x", name="a.wav", size=1, first=False)
    assert explorer.problem == "'a.wav': the beginning of the file is missing; send it again"
    ask(explorer, "upload", wav, name="a.wav", size=len(wav), first=True)
    assert (explorer.utterance, explorer.problem) == ("a.wav", "")


def test_exports_go_to_the_browser_as_files(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers: sent.append((content["file"], buffers)))
    for kind in explorer.choices["exports"]:
        ask(explorer, "export", kind=kind)
    assert [name for name, _ in sent] == [
        f"E_0000.{end}" for end in ("png", "svg", "csv", "TextGrid", "txt", "html", "report.html", "json")
    ]
    assert all(len(buffers) == 1 and buffers[0] for _, buffers in sent)
    assert explorer.problem == ""


def test_it_explores_some_of_the_detectors(explained_study, inside_rule):
    explorer = Explorer(explained_study, ["sls"], utterance="E_0001")
    assert [lane["name"] for lane in explorer.view["lanes"]] == ["sls"]
    assert explorer.utterance == "E_0001"
    with pytest.raises(InputError, match="filter mood is 'x'"):
        explorer.filters = {"mood": "x"}
    with pytest.raises(StudyError, match="unknown detector 'resnet'"):
        Explorer(explained_study, ["resnet"])
