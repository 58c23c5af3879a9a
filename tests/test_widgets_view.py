import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.widgets import view
from sslig.widgets.view import Lane, join, split

ENTRIES = sorted(path.stem for path in view.STATIC.glob("*.js"))


@pytest.fixture
def waveform(tone):
    return tone[: SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(len(tone)))]


def floats(data):
    return np.frombuffer(data, dtype="<f4")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_module_loads_nothing(entry):
    text = view.module(entry)
    assert re.findall(r"^\s*import\b", text, re.MULTILINE) == []
    assert re.findall(r"https?://(?!wavesurfer\.xyz|www\.w3\.org)[\w.]+", text) == []


def test_a_module_holds_the_library_its_licence_and_each_import_once():
    text = view.module("lanes")
    assert "Copyright (c) 2012-2023, katspaugh and contributors" in text
    assert all(f"const {name} = (" in text for name in view.SCRIPTS)
    assert text.count("function drawEvidence(") == text.count("function make(") == 1
    assert text.index("function drawEvidence(") < text.index("class LaneView")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_module_is_one_scope_that_parses(entry, tmp_path):
    if not (node := shutil.which("node")):
        pytest.skip("no node to parse it")
    (tmp_path / "module.mjs").write_text(view.module(entry), encoding="utf-8")
    checked = subprocess.run([node, "--check", tmp_path / "module.mjs"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_our_modules_never_read_text_as_markup():
    for path in view.STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


MIXED = {"a": 1, "b": [b"one", {"c": b"two", "d": None}], "e": "text"}


@pytest.mark.parametrize("message", [MIXED, {"empty": {}, "list": []}, b"alone", {"bytes": b"x"}])
def test_join_inverts_split(message):
    plain, buffers = split(message)
    assert join(json.loads(json.dumps(plain)), buffers) == message


def test_a_message_holds_the_recording_as_it_is_heard_and_its_clock(waveform):
    message = view.message("E_1", waveform, SSL_CLOCK)
    samples, rate = soundfile.read(io.BytesIO(message["audio"]))
    assert rate == 16_000
    assert len(samples) == len(waveform)
    assert message["duration_s"] == len(waveform) / 16_000
    # Frame t is drawn one hop wide around its centre, (320 t + 200) / 16000 s.
    assert message["clock"] == {"start_s": pytest.approx(200 / 16_000 - 0.01), "hop_s": 0.02}


def test_evidence_comes_with_its_median_its_layers_and_the_colour_of_its_detector(waveform, rng):
    frames = rng.standard_normal(SSL_CLOCK.n_frames(len(waveform)))
    layers = np.stack([frames / 4, 3 * frames / 4])
    lanes = [Lane("sls", frames, layers, "note"), Lane("x", frames)]
    message = view.message("E_1", waveform, SSL_CLOCK, lanes)
    lane, other = message["lanes"]
    assert (lane["key"], lane["note"], lane["color"]) == ("sls", "note", "#56B4E9")
    np.testing.assert_allclose(floats(lane["frames"]), frames, rtol=1e-6)
    assert floats(lane["trend"])[20] == pytest.approx(np.median(frames[13:28]), rel=1e-6)
    assert [message["maps"][0][name] for name in ("key", "rows", "columns")] == ["sls", 2, len(frames)]
    np.testing.assert_allclose(floats(message["maps"][0]["values"]).reshape(2, -1), layers, rtol=1e-6)
    assert len(message["maps"]) == 1
    assert other["key"] == "x"


def test_the_spectrogram_is_loudest_where_the_tone_is(waveform):
    from sslig.plots.signals import mel_share

    picture = view.message("E_1", waveform, SSL_CLOCK)["spectrogram"]
    values = np.frombuffer(picture["values"], dtype=np.uint8).reshape(picture["rows"], picture["columns"])
    assert picture["columns"] == (len(waveform) - 400) // 80 + 1  # a column every 5 ms
    assert values.max() == 255
    assert values[:, 20].argmax() == pytest.approx(mel_share(0.44) * picture["rows"], abs=1.5)


def test_peaks_are_the_largest_and_smallest_samples(waveform):
    values = np.frombuffer(view.peaks(np.repeat([0.5, -1.0, 0.25, 2.0], 20).astype(np.float32)), dtype=np.int8)
    np.testing.assert_array_equal(values, [64, -127, 32, 127] * 2)
    assert len(view.peaks(waveform)) == 2 * int(len(waveform) / 20)


def test_segments_are_named_stretches(waveform):
    tier = Tier("words", [0.1, 0.5], [0.3, 0.9], ("<b>one</b>", "two"), 1.0, {})
    (shown,) = view.message("E_1", waveform, SSL_CLOCK, [], {"words": tier})["tiers"]
    stretches = [[0.1, 0.3, "<b>one</b>"], [0.5, 0.9, "two"]]
    assert shown == {"key": "tier:words", "name": "words", "stretches": stretches}
