import io

import numpy as np
import pytest
import soundfile

from sslig.attribution.explanation import Explanation
from sslig.audio import AudioError
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK
from sslig.widgets.recording import ExplainedRecording, Upload, read_file, shown_name

ABOUT = {"key": "spoof", "attack": "A07", "codec": "C02", "speaker": "S9", "group": "middle wrong"}


def recording(waveform, frames, about=ABOUT, **values):
    """A recording explained by SLS, with `frames` in the first of two layers."""
    explanation = Explanation(np.stack([frames, 0 * frames]), 2.5, 0.25, **values)
    tiers = {name: Tier(name, [0.1], [0.6], (name,), 1.0, {}) for name in ("voicing", "speech")}
    return ExplainedRecording(
        "E_1", about, waveform[: SSL_CLOCK.n_samples(49)], SSL_CLOCK, {"sls": explanation}, {"sls": -0.5}, tiers
    )


@pytest.fixture
def spiky(tone):
    """One frame with three of four logits for spoof, and one with the fourth for bona fide."""
    frames = np.zeros(49)
    frames[10], frames[40] = 3.0, -1.0
    return recording(tone, frames, residual=-0.25, steps=32, status="jump", selection="frozen")


def test_scores_come_with_their_completeness(spiky):
    (row,) = spiky.scores().to_dict("records")
    assert (row["detector"], row["spoof_score"], row["spoof_llr"], row["baseline_score"]) == ("sls", 2.5, -0.5, 0.25)
    assert row["relative_residual"] == pytest.approx(0.25 / 2.25)
    assert (row["status"], row["steps"], row["selection"]) == ("jump", 32, "frozen")


def test_the_strongest_region_is_where_the_evidence_is(spiky):
    first = spiky.top_segments().iloc[0]
    assert (first["detector"], first["rank"], first["sign"], first["segment_class"]) == ("sls", 1, 1, "speech")
    # Frame 10 is drawn from 0.2025 to 0.2225 s.
    assert first["start_s"] <= 0.2026 < 0.2224 <= first["end_s"]
    assert first["share"] == pytest.approx(0.75)
    assert len(spiky.top_segments(1)) == 1


def test_the_view_has_a_lane_for_each_detector_and_the_tiers_in_order(spiky):
    message = spiky.view()
    assert [(lane["name"], lane["note"]) for lane in message["lanes"]] == [("sls", "score +2.50")]
    assert [tier["name"] for tier in message["tiers"]] == ["speech"]  # voicing serves masks only
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
    assert recording(tone, np.zeros(49), about).title() == title


def test_numbers_that_are_not_finite_are_none(tone):
    flat = recording(tone, np.zeros(49), residual=0.2, steps=16, status="not converged")
    flat.explanations["sls"].__dict__["baseline_score"] = 2.5  # F(x) - F(b) = 0
    numbers = flat.numbers()
    assert numbers["scores"][0]["relative_residual"] is None
    assert numbers["scores"][0]["spoof_llr"] == -0.5
    assert numbers["segments"] == []
    assert numbers["decoded"] is True


# ---------------------------------------------------------------- uploaded files


def coded(samples, rate=16_000, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


@pytest.mark.parametrize(("ending", "form"), [("wav", "WAV"), ("FLAC", "FLAC"), ("mp3", "MP3"), ("ogg", "OGG")])
def test_four_formats_become_whole_frames(tone, ending, form):
    samples = read_file(f"my file.{ending}", coded(tone, form=form), SSL_CLOCK, max_s=60)
    n_frames = SSL_CLOCK.n_frames(len(samples))
    assert len(samples) == SSL_CLOCK.n_samples(n_frames)
    assert n_frames >= 49
    np.testing.assert_allclose(samples[4000:8000], tone[4000:8000], atol=0.6 if form == "MP3" else 0.02)


def test_stereo_at_another_rate_is_averaged_and_resampled():
    time_s = np.arange(44_100) / 44_100
    sound = np.sin(2 * np.pi * 440 * time_s)
    samples = read_file("a.wav", coded(np.stack([sound, np.zeros_like(sound)], axis=1), 44_100), SSL_CLOCK, max_s=60)
    assert len(samples) == SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(16_000))
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("notes.txt", b"x", InputError, "'notes.txt': accepted are WAV, FLAC, MP3, OGG"),
        ("wav", b"x", InputError, "'wav': accepted are"),
        ("a.wav", b"", InputError, "'a.wav': 0.0 MiB; accepted are files that are not empty and have at most 50 MiB"),
        ("a.wav", b"no sound at all", AudioError, "'a.wav': not a sound file"),
        ("../../etc/passwd.wav", b"no sound", AudioError, "passwd.wav': not a sound file"),
    ],
)
def test_files_without_sound_are_refused_by_the_name_they_came_with(name, content, error, message):
    with pytest.raises(error, match=message) as caught:
        read_file(name, content, SSL_CLOCK, max_s=60)
    assert "/tmp" not in str(caught.value)


def test_length_has_limits(tone):
    with pytest.raises(InputError, match=r"'a.wav': 1.0 s long; at most 0.5 s are accepted"):
        read_file("a.wav", coded(tone), SSL_CLOCK, max_s=0.5)
    with pytest.raises(InputError, match=r"'a.wav': 0.06 s long; at least 0.12 s are needed"):
        read_file("a.wav", coded(tone[:1000]), SSL_CLOCK, max_s=60, min_frames=6)


def test_an_upload_comes_in_parts():
    upload = Upload("a.wav", 5)
    assert not upload.add(b"abc")
    assert upload.add(memoryview(b"de"))
    assert upload.content == b"abcde"


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
