import io

import numpy as np
import pytest
import soundfile

from sslig.audio import AudioError
from sslig.frames import SSL_CLOCK
from sslig.widgets import own_file
from sslig.widgets.own_file import OwnFileError, Upload, read


def coded(samples, rate=16_000, form="WAV"):
    made = io.BytesIO()
    soundfile.write(made, samples, rate, format=form)
    return made.getvalue()


@pytest.mark.parametrize(("ending", "form"), [("wav", "WAV"), ("FLAC", "FLAC"), ("mp3", "MP3"), ("ogg", "OGG")])
def test_four_kinds_of_files_become_whole_frames(tone, ending, form):
    samples = read(f"my file.{ending}", coded(tone, form=form), SSL_CLOCK, max_s=60)
    n_frames = SSL_CLOCK.n_frames(len(samples))
    assert len(samples) == SSL_CLOCK.n_samples(n_frames)
    assert n_frames >= 49
    np.testing.assert_allclose(samples[4000:8000], tone[4000:8000], atol=0.6 if form == "MP3" else 0.02)


def test_stereo_at_another_rate_is_averaged_and_converted():
    time_s = np.arange(44_100) / 44_100
    sound = np.sin(2 * np.pi * 440 * time_s)
    samples = read("a.wav", coded(np.stack([sound, np.zeros_like(sound)], axis=1), 44_100), SSL_CLOCK, max_s=60)
    assert len(samples) == SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(16_000))
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("notes.txt", b"x", OwnFileError, "'notes.txt': accepted are WAV, FLAC, MP3, OGG"),
        ("wav", b"x", OwnFileError, "'wav': accepted are"),
        ("a.wav", b"", OwnFileError, "'a.wav': 0.0 MiB; accepted is more than nothing and at most 50 MiB"),
        ("a.wav", b"no sound at all", AudioError, "'a.wav': not a sound file"),
        ("../../etc/passwd.wav", b"no sound", AudioError, "passwd.wav': not a sound file"),
    ],
)
def test_what_is_no_sound_is_refused_by_its_own_name(name, content, error, message):
    with pytest.raises(error, match=message) as caught:
        read(name, content, SSL_CLOCK, max_s=60)
    assert "/tmp" not in str(caught.value)


def test_length_has_limits(tone):
    with pytest.raises(OwnFileError, match=r"'a.wav': 1.0 s long; accepted are at most 0.5 s"):
        read("a.wav", coded(tone), SSL_CLOCK, max_s=0.5)
    with pytest.raises(OwnFileError, match=r"'a.wav': 0.06 s long; at least 0.12 s are needed"):
        read("a.wav", coded(tone[:1000]), SSL_CLOCK, max_s=60, min_frames=6)


def test_an_upload_comes_in_parts():
    upload = Upload("a.wav", 5)
    assert not upload.add(b"abc")
    assert upload.add(memoryview(b"de"))
    assert upload.content() == b"abcde"


def test_an_upload_is_refused_before_it_is_large():
    with pytest.raises(OwnFileError, match=r"'a.wav': 60.0 MiB"):
        Upload("a.wav", 60 * 2**20)
    upload = Upload("a.wav", 3)
    with pytest.raises(OwnFileError, match=r"a.wav: 4 bytes came of 3 that were promised"):
        upload.add(b"abcd")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("C:\\Users\\me\\a.wav", "a.wav"), ("/home/me/a.wav", "a.wav"), ("a\x07\u202eb.wav", "ab.wav"), ("", "recording"),
     ("<img src=x onerror=alert(1)>.wav", "<img src=x onerror=alert(1)>.wav")],
)  # fmt: skip
def test_a_name_is_shown_without_its_folder(name, shown):
    assert own_file.shown_name(name) == shown
