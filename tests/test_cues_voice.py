import math

import numpy as np
import pytest

from sslig.cues import voice
from sslig.frames import SSL_CLOCK


def glottal(f0_hz, duration_s=1.0, amplitude=None):
    """(samples,) Harmonics of `f0_hz`, a number or a (samples,) track, up to 2 kHz."""
    n_samples = round(duration_s * 16_000)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0_hz, n_samples)) / 16_000
    sound = sum(np.sin(k * phase) / k for k in range(1, 8))
    return 0.2 * sound * (1 if amplitude is None else amplitude)


def test_a_steady_voice():
    measures = voice.measure(glottal(120.0))
    assert list(measures) == list(voice.MEASURES)
    assert measures["f0_mean_hz"] == pytest.approx(120, abs=0.2)
    assert measures["f0_range_semitones"] == pytest.approx(0, abs=0.05)
    assert measures["voiced_share"] == 1
    assert measures["jitter_percent"] < 0.1
    assert measures["shimmer_percent"] < 0.5


def test_an_octave_in_even_steps_has_a_range_of_nearly_twelve_semitones():
    """F0 rises by an octave in 2 s; 5th to 95th percentile are 90 % of it."""
    measures = voice.measure(glottal(100 * 2 ** np.linspace(0, 1, 32_000), 2.0))
    assert measures["f0_range_semitones"] == pytest.approx(0.9 * 12, abs=0.3)
    assert measures["f0_mean_hz"] == pytest.approx(100 / math.log(2), abs=2)


def test_an_amplitude_that_wavers_is_shimmer():
    wavering = 1 + 0.2 * np.sin(2 * np.pi * 30 * np.arange(16_000) / 16_000)
    assert voice.measure(glottal(120.0, amplitude=wavering))["shimmer_percent"] > 3


@pytest.mark.parametrize("samples", [np.zeros(16_000), np.full(10, 0.1), np.full(900, 0.1)])
def test_without_a_voice_nothing_is_invented(samples):
    measures = voice.measure(samples)
    assert measures.pop("voiced_share") == 0
    assert all(math.isnan(value) for value in measures.values())


def test_noise_is_hardly_voiced(rng):
    assert voice.measure(0.1 * rng.standard_normal(16_000))["voiced_share"] < 0.2


def test_frames_are_voiced_where_the_voice_is():
    samples = np.concatenate([np.zeros(8_000), glottal(150.0), np.zeros(8_000)])
    track = voice.voicing(samples).mask(SSL_CLOCK, SSL_CLOCK.n_frames(len(samples)), {"voiced"})
    centre_s = SSL_CLOCK.centre_s(len(track))
    assert track[(centre_s > 0.55) & (centre_s < 1.45)].all()
    assert not track[(centre_s < 0.45) | (centre_s > 1.55)].any()


@pytest.mark.parametrize("n_samples", [0, 100, 400, 720])
def test_a_recording_too_short_for_a_pitch_has_unvoiced_frames(n_samples):
    assert set(voice.voicing(np.full(n_samples, 0.1)).labels) <= {"unvoiced"}
