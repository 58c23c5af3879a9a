import io

import numpy as np
import pytest
import soundfile

from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.widgets import view
from sslig.widgets.view import Lane, Recording, ViewError


@pytest.fixture
def waveform(tone):
    return tone[: SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(len(tone)))]


def floats(data):
    return np.frombuffer(data, dtype="<f4")


def test_a_message_holds_the_recording_as_it_is_heard_and_its_clock(waveform):
    told = view.message(Recording("E_1", waveform, SSL_CLOCK))
    samples, rate = soundfile.read(io.BytesIO(told["audio"]))
    assert rate == 16_000
    assert len(samples) == len(waveform)
    assert told["duration_s"] == len(waveform) / 16_000
    # Frame t is drawn one hop wide around its centre, (320 t + 200) / 16000 s.
    assert told["clock"] == {"start_s": pytest.approx(200 / 16_000 - 0.01), "hop_s": 0.02}


def test_evidence_goes_with_its_median_its_layers_and_the_colour_of_its_detector(waveform, rng):
    frames = rng.standard_normal(SSL_CLOCK.n_frames(len(waveform)))
    layers = np.stack([frames / 4, 3 * frames / 4])
    told = view.message(Recording("E_1", waveform, SSL_CLOCK, [Lane("sls", frames, layers, "note"), Lane("x", frames)]))
    lane, other = told["lanes"]
    assert (lane["key"], lane["note"], lane["color"]) == ("sls", "note", "#56B4E9")
    np.testing.assert_allclose(floats(lane["frames"]), frames, rtol=1e-6)
    assert floats(lane["trend"])[20] == pytest.approx(np.median(frames[13:28]), rel=1e-6)
    assert [told["maps"][0][name] for name in ("key", "rows", "columns")] == ["sls", 2, len(frames)]
    np.testing.assert_allclose(floats(told["maps"][0]["values"]).reshape(2, -1), layers, rtol=1e-6)
    assert len(told["maps"]) == 1
    assert other["key"] == "x"


def test_a_lane_may_hide_its_detector(waveform):
    frames = np.zeros(SSL_CLOCK.n_frames(len(waveform)))
    (lane,) = view.message(Recording("E_1", waveform, SSL_CLOCK, [Lane("A", frames, key="track0")]))["lanes"]
    assert (lane["name"], lane["key"]) == ("A", "track0")


def test_the_spectrogram_is_loudest_where_the_tone_is(waveform):
    told = view.message(Recording("E_1", waveform, SSL_CLOCK))["spectrogram"]
    values = np.frombuffer(told["values"], dtype=np.uint8).reshape(told["rows"], told["columns"])
    assert told["columns"] == SSL_CLOCK.n_frames(len(waveform))
    share = view.mel_share(0.44)
    assert values.max() == 255
    assert values[:, 20].argmax() == pytest.approx(share * told["rows"], abs=1.5)
    assert view.message(Recording("E_1", waveform, SSL_CLOCK), spectrogram=False)["spectrogram"] is None


def test_peaks_are_the_largest_and_smallest_samples(waveform):
    found = np.frombuffer(view.peaks(np.repeat([0.5, -1.0, 0.25, 2.0], 20).astype(np.float32)), dtype=np.int8)
    np.testing.assert_array_equal(found, [64, -127, 32, 127] * 2)
    assert len(view.peaks(waveform)) == 2 * int(len(waveform) / 20)


def test_segments_are_named_stretches(waveform):
    tier = Tier("words", [0.1, 0.5], [0.3, 0.9], ("<b>one</b>", "two"), 1.0, {})
    told = view.message(Recording("E_1", waveform, SSL_CLOCK, [], {"words": tier}))
    assert told["tiers"] == [{"key": "tier:words", "name": "words",
                              "stretches": [[0.1, 0.3, "<b>one</b>"], [0.5, 0.9, "two"]]}]  # fmt: skip


def test_what_does_not_fit_together_is_refused(waveform):
    with pytest.raises(ViewError, match=r"E_1: sls has evidence of shape \[\(3,\)\]; one value for each of 49 frames"):
        view.message(Recording("E_1", waveform, SSL_CLOCK, [Lane("sls", np.zeros(3))]))
    with pytest.raises(ViewError, match="E_1: 399 samples are not one frame of 400"):
        view.message(Recording("E_1", waveform[:399], SSL_CLOCK))
