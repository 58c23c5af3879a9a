"""An open recording: its tables, its exports without markup from names, and files that are refused."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig.attribution.explanation import Explanation
from sslig.audio import AudioError
from sslig.cues.cue_profile import top_regions
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK
from sslig.widgets.recording import (
    ExplainedRecording,
    Upload,
    exported,
    notices,
    player,
    read_file,
    region_tiers,
    shown_name,
    source,
)

ABOUT = {"key": "spoof", "attack": "A07", "codec": "C02", "speaker": "S9", "group": "middle wrong"}
PLAIN = {"smooth": False, "common": False, "maps": False, "hidden": []}
HOSTILE = "<script>alert('x')</script> & Co"


def recording(tone, about=ABOUT, name="E_1", label="one"):
    """A second of a tone: evidence for spoof from frame 10 to 19, for bona fide from 30 to 34."""
    frames = np.zeros(49)
    frames[10:20], frames[30:35] = 1.0, -0.5
    explanation = Explanation(np.stack([frames / 4, 3 * frames / 4]), 8.0, 0.5, -0.25, 32, "jump", "frozen")
    tiers = {"words": Tier("words", [0.1, 0.5], [0.3, 0.9], (label, "two"), 1.0, {})}
    tiers["voicing"] = Tier("voicing", [0.1], [0.6], ("voiced",), 1.0, {})
    waveform = tone[: SSL_CLOCK.n_samples(49)]
    return ExplainedRecording(name, about, waveform, SSL_CLOCK, {"sls": explanation}, {"sls": 1.5}, tiers)


@pytest.fixture
def spoof(tone):
    return recording(tone)


def content(recording, kind, options=PLAIN, region=None):
    return exported(recording, kind, options, region).content


def test_scores_come_with_their_completeness(spoof):
    (row,) = spoof.scores().to_dict("records")
    assert (row["detector"], row["spoof_score"], row["spoof_llr"], row["baseline_score"]) == ("sls", 8.0, 1.5, 0.5)
    assert row["relative_residual"] == pytest.approx(0.25 / 7.5)
    assert (row["status"], row["steps"], row["selection"]) == ("jump", 32, "frozen")


def test_the_strongest_region_is_where_the_evidence_is(spoof):
    first = spoof.top_segments().iloc[0]
    assert (first["detector"], first["rank"], first["sign"]) == ("sls", 1, 1)
    # Frames 10 to 19 are drawn from 0.2025 to 0.4025 s.
    assert first["start_s"] <= 0.2226 < 0.3824 <= first["end_s"]


def test_the_view_has_a_lane_for_each_detector_and_the_tiers_in_order(spoof):
    message = spoof.view()
    assert [(lane["name"], lane["note"]) for lane in message["lanes"]] == [("sls", "score +8.00")]
    assert [tier["name"] for tier in message["tiers"]] == ["words"]  # voicing serves masks only
    assert message["maps"][0]["rows"] == 2


@pytest.mark.parametrize(
    ("about", "title"),
    [
        (ABOUT, "E_1: spoof by A07, coded with C02, speaker S9, middle wrong"),
        (ABOUT | {"key": "bonafide", "codec": "-"}, "E_1: bona fide, speaker S9, middle wrong"),
        ({}, "E_1: your own file"),
    ],
)
def test_the_title_names_label_codec_speaker_and_group(tone, about, title):
    assert recording(tone, about).title() == title


def test_what_a_head_does_not_read_is_known(spoof):
    # Evidence ends with frame 34, which is drawn from 0.6825 to 0.7025 s.
    assert spoof.read_s() == {"sls": pytest.approx(0.7025)}
    assert spoof.view()["lanes"][0]["read_s"] == pytest.approx(0.7025)


@pytest.mark.parametrize(
    ("samples", "of", "kinds"),
    [
        (np.zeros(16_000), None, {"silent"}),
        (0.1 * np.ones(16_000), {"rate_hz": 48_000, "channels": 2}, {"converted"}),
        (np.r_[np.zeros(8_000), 0.1 * np.ones(8_000)], {"rate_hz": 16_000, "channels": 1}, {"zeros"}),
        (np.sign(np.sin(np.arange(16_000))), None, {"clipped"}),
    ],
)
def test_a_reader_is_warned_of_the_sound(samples, of, kinds):
    assert {notice["kind"] for notice in notices(samples.astype(np.float32), SSL_CLOCK, of)} == kinds


def test_half_a_recording_of_zeros_is_half_of_its_frames():
    (notice,) = notices(np.r_[np.zeros(8_000), 0.1 * np.ones(8_000)], SSL_CLOCK)
    assert notice["share"] == pytest.approx(0.5, abs=0.03)


def test_numbers_that_are_not_finite_are_none(spoof):
    spoof.explanations["sls"].__dict__["baseline_score"] = 8.0  # F(x) - F(b) = 0
    numbers = spoof.numbers()
    assert numbers["scores"][0]["relative_residual"] is None
    assert numbers["scores"][0]["spoof_llr"] == 1.5
    assert numbers["decoded"] is True


# ---------------------------------------------------------------- exports


def test_frames_are_a_table(spoof):
    table = pd.read_csv(io.BytesIO(content(spoof, "csv")), keep_default_na=False)
    assert table.columns.tolist() == ["frame", "time_s", "sls", "words", "voicing"]
    assert table["time_s"].iloc[0] == 0.0125
    np.testing.assert_array_equal(table["sls"], spoof.explanations["sls"].by_frame)
    assert table.loc[table["words"] == "one", "time_s"].between(0.1, 0.3).all()
    assert set(table["words"]) == {"", "one", "two"}


def test_segments_regions_and_selection_are_tiers(spoof):
    words, _, top, selection = region_tiers(spoof, (0.25, 0.5))
    assert (top.name, selection.name) == ("sls top regions", "selection")
    assert words.labels == ("one", "two")
    strongest = top_regions(spoof.explanations["sls"].by_frame)[0]
    assert strongest.sign == 1
    assert top.labels[0] == f"1 spoof {100 * strongest.share:.0f} % unknown"
    # Frame t is drawn from 0.0025 + 0.02 t s.
    assert top.start_s[0] == pytest.approx(0.0025 + 0.02 * strongest.start)
    assert top.end_s[0] == pytest.approx(0.0025 + 0.02 * strongest.stop)
    assert (selection.start_s[0], selection.end_s[0]) == (0.25, 0.5)


def test_a_textgrid_has_all_tiers(spoof):
    text = content(spoof, "textgrid", region=(0.25, 0.5)).decode()
    assert all(f'"{name}"' in text for name in ("words", "sls top regions", "selection"))


def test_regions_are_labels_of_audacity(spoof):
    rows = [line.split("\t") for line in content(spoof, "audacity").decode().splitlines()]
    assert rows[0][2].startswith("sls: 1 spoof ")
    assert float(rows[0][0]) < float(rows[0][1])
    assert len(rows) == len(top_regions(spoof.explanations["sls"].by_frame))


@pytest.mark.parametrize("options", [PLAIN, {"smooth": True, "common": True, "maps": True, "hidden": []}])
def test_pictures_are_drawn_like_the_view(spoof, options):
    assert content(spoof, "png", options, (0.2, 0.4)).startswith(b"\x89PNG")
    picture = content(spoof, "svg", options)
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert len(content(spoof, "svg", options | {"hidden": ["sls", "tier:words"]})) < len(picture)


def embedded_data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_page_holds_all_it_needs(spoof):
    page = content(spoof, "html").decode()
    data = embedded_data(page)
    assert data["numbers"]["scores"][0]["spoof_llr"] == 1.5
    assert data["view"]["mime"] == "audio/flac"
    assert data["view"]["audio"]["base64"].startswith("ZkxhQ")  # fLaC
    assert not re.search(r"""(?:src|href)=["']?http|@import|url\(http""", page)
    assert page.count("</script>") == 2


def test_names_in_a_page_and_in_its_frame_are_text(tone):
    hostile = recording(tone, ABOUT, HOSTILE, HOSTILE)
    page = content(hostile, "html").decode()
    assert page.count("</script>") == 2
    assert "<script>alert" not in page
    assert embedded_data(page)["view"]["name"] == HOSTILE
    assert exported(hostile, "html", PLAIN).name == "_script_alert__x____script____Co.html"
    frame = player(hostile).data
    assert "<" not in re.search(r'srcdoc="([^"]*)"', frame)[1]
    assert frame.count("<iframe") == 1
    assert "<script>alert" not in frame


def test_everything_is_json(spoof):
    session = {"study": "demo", "detectors": {"sls": "ab12"}, "questions": []}
    values = json.loads(exported(spoof, "json", PLAIN, session=session).content)
    assert values["maps"]["sls"] == spoof.explanations["sls"].by_frame.tolist()
    assert values["tiers"]["words"] == [[0.1, 0.3, "one"], [0.5, 0.9, "two"]]
    assert (values["scores"][0]["spoof_score"], values["detectors"]) == (8.0, {"sls": "ab12"})


def test_a_report_is_a_page_with_picture_numbers_and_hashes(tone):
    hostile = recording(tone, ABOUT, HOSTILE, HOSTILE)
    page = exported(hostile, "report", PLAIN, session={"detectors": {"sls": "ab12"}}).content.decode()
    data = embedded_data(page)
    assert base64.b64decode(data["picture"]).startswith(b"\x89PNG")
    assert data["session"]["detectors"] == {"sls": "ab12"}
    assert page.count("</script>") == 2
    assert "<script>alert" not in page


def test_an_unknown_kind_is_refused(spoof):
    with pytest.raises(
        InputError, match="export as 'docx'; accepted: png, svg, csv, textgrid, audacity, html, report, json"
    ):
        content(spoof, "docx")


# ---------------------------------------------------------------- uploaded files


def coded(samples, rate=16_000, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "form"), [("a.wav", "WAV"), ("A.FLAC", "FLAC"), ("a.mp3", "MP3"), ("voice note.opus", "OGG"), ("b", "OGG")]
)
def test_formats_become_whole_frames_under_any_name(tone, name, form):
    samples = read_file(name, coded(tone, form=form), SSL_CLOCK, max_s=60, min_frames=1)
    n_frames = SSL_CLOCK.n_frames(len(samples))
    assert len(samples) == SSL_CLOCK.n_samples(n_frames)
    assert n_frames >= 49
    np.testing.assert_allclose(samples[4000:8000], tone[4000:8000], atol=0.6 if form == "MP3" else 0.02)


def test_a_part_of_a_file_is_read(tone):
    samples = read_file("a.wav", coded(tone), SSL_CLOCK, max_s=60, min_frames=1, clip_s=(0.25, 0.5))
    np.testing.assert_allclose(samples, tone[4_000:][: len(samples)], atol=1e-4)
    assert 0.22 < len(samples) / 16_000 <= 0.25


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_the_source_of_a_file_is_described(form):
    described = source("a", coded(np.zeros((44_100, 2)), 44_100, form))
    assert (described["rate_hz"], described["channels"]) == (44_100, 2)
    assert described["duration_s"] == pytest.approx(1, abs=0.1)
    assert len(described["sha256"]) == 64


def test_stereo_at_another_rate_is_averaged_and_resampled():
    sound = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    content = coded(np.stack([sound, np.zeros_like(sound)], axis=1), 44_100)
    samples = read_file("a.wav", content, SSL_CLOCK, max_s=60, min_frames=1)
    assert len(samples) == SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(16_000))
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("notes.txt", b"x", AudioError, "'notes.txt': not a sound file"),
        ("a.wav", b"", InputError, "'a.wav': 0.0 MiB; accepted are files that are not empty, of at most 50 MiB"),
        ("a.wav", b"no sound at all", AudioError, "'a.wav': not a sound file"),
        ("../../etc/passwd.wav", b"no sound", AudioError, "passwd.wav': not a sound file"),
    ],
)
def test_files_without_sound_are_refused_by_the_name_they_came_with(name, content, error, message):
    with pytest.raises(error, match=message) as caught:
        read_file(name, content, SSL_CLOCK, max_s=60, min_frames=1)
    assert "/tmp" not in str(caught.value)


def test_length_has_limits(tone):
    with pytest.raises(InputError, match=r"'a.wav': 1.0 s long; at most 0.5 s are accepted"):
        read_file("a.wav", coded(tone), SSL_CLOCK, max_s=0.5, min_frames=1)
    with pytest.raises(InputError, match=r"'a.wav': 0.06 s long; at least 0.12 s are needed"):
        read_file("a.wav", coded(tone[:1000]), SSL_CLOCK, max_s=60, min_frames=6)


def test_a_large_upload_is_refused_before_it_comes():
    with pytest.raises(InputError, match=r"'a.wav': 60.0 MiB"):
        Upload("a.wav", 60 * 2**20)
    upload = Upload("a.wav", 3)
    with pytest.raises(InputError, match=r"a.wav: 4 bytes received; 3 were announced"):
        upload.add(b"abcd")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("C:\\Users\\me\\a.wav", "a.wav"),
        ("/home/me/a.wav", "a.wav"),
        ("a\x07\u202eb.wav", "ab.wav"),
        ("", "recording"),
        ("<img src=x onerror=alert(1)>.wav", "<img src=x onerror=alert(1)>.wav"),
    ],
)
def test_a_name_is_shown_without_its_folder(name, shown):
    assert shown_name(name) == shown
