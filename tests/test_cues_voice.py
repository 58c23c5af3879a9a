import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sslig.cues import voice
from sslig.cues.voice import speech, voicing
from sslig.frames import SSL_CLOCK

RATE = 16_000


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


def spoken(length_s: float) -> np.ndarray:
    """(samples,) Pulses of falling pitch through three resonances, another vowel every 0.2 s: speech to Silero."""
    generator, vowels = np.random.default_rng(0), []
    for first_hz, second_hz in ((700, 1200), (300, 2200), (350, 800), (600, 1800)):
        phase = np.cumsum(np.linspace(130, 110, RATE // 5) / RATE)
        sound = np.diff(np.floor(phase), prepend=0) + 0.02 * generator.standard_normal(len(phase))
        for formant_hz, width_hz in ((first_hz, 80), (second_hz, 100), (2700, 140)):
            radius, angle = np.exp(-np.pi * width_hz / RATE), 2 * np.pi * formant_hz / RATE
            sound = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], sound)
        vowels.append(0.3 * np.sqrt(np.hanning(len(sound))) * sound / np.abs(sound).max())
    return np.resize(np.concatenate(vowels), round(length_s * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def utterance() -> np.ndarray:
    """(samples,) 0.5 s of faint noise, 1 s of voice, 0.6 s of noise, 1 s of voice, 0.4 s of noise."""
    quiet = [np.zeros(round(length_s * RATE), dtype=np.float32) for length_s in (0.5, 0.6, 0.4)]
    sound = np.concatenate([quiet[0], spoken(1), quiet[1], spoken(1), quiet[2]])
    return sound + 1e-4 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)


def test_speech_is_found_between_silences(utterance):
    tier = speech(utterance)
    assert tier.labels == ("leading", "speech", "pause", "speech", "trailing")
    assert (tier.start_s[0], tier.end_s[-1]) == (0, 3.5)
    np.testing.assert_array_equal(tier.start_s[1:], tier.end_s[:-1])
    np.testing.assert_allclose(tier.end_s[:-1], [0.5, 1.5, 2.1, 3.1], atol=0.2)
    assert tier.source["tool"] == "silero-vad"
    assert tier.source["threshold"] == 0.5


@pytest.fixture
def silero(monkeypatch):
    """Puts given bounds (stretch, 2) in samples in the place of Silero's."""

    def give(*bounds: tuple[int, int]) -> None:
        stretches = [{"start": start, "end": end} for start, end in bounds]
        monkeypatch.setattr(voice, "_silero", lambda: lambda waveform, **values: stretches)

    return give


@pytest.mark.parametrize("samples", [np.zeros(16_000), 0.01 * np.random.default_rng(0).standard_normal(16_000)])
def test_a_recording_without_speech_is_leading(samples):
    tier = speech(samples.astype(np.float32))
    assert (tier.labels, tier.start_s, tier.end_s) == (("leading",), 0, 1)


@pytest.mark.parametrize(
    ("bounds", "labels", "cuts_s"),
    [
        ([(0, 16_000)], ("speech",), []),
        ([(0, 8_000)], ("speech", "trailing"), [0.5]),
        ([(8_000, 16_000)], ("leading", "speech"), [0.5]),
        ([(0, 4_000), (4_000, 8_000), (12_000, 17_000)], ("speech", "speech", "pause", "speech"), [0.25, 0.5, 0.75]),
        ([(0, 8_000), (16_400, 17_000)], ("speech", "trailing"), [0.5]),
    ],
)
def test_what_has_no_length_is_left_out(silero, bounds, labels, cuts_s):
    """Speech that Silero lets end, or begin, in the silence added behind the recording is cut to the recording."""
    silero(*bounds)
    tier = speech(np.zeros(16_000, dtype=np.float32))
    assert tier.labels == labels
    assert tier.start_s.tolist() == [0, *cuts_s]
    assert tier.end_s.tolist() == [*cuts_s, 1]


@pytest.mark.parametrize("length", [0, 1, 100, 600, 720])
@pytest.mark.parametrize(("tier_of", "label"), [(speech, "leading"), (voicing, "unvoiced")])
def test_any_length_is_decided(tier_of, label, length):
    tier = tier_of(np.zeros(length, dtype=np.float32))
    assert (tier.labels, tier.duration_s) == ((label,) * (length > 0), length / RATE)


def test_speech_does_not_depend_on_company(utterance):
    """Threads share the model; each recording is decided as if alone."""
    recordings = [utterance, utterance[8_000:], np.zeros(8_000, dtype=np.float32), utterance[:30_000]] * 2
    alone = [speech(samples).end_s.tolist() for samples in recordings]
    with ThreadPoolExecutor(4) as pool:
        assert [tier.end_s.tolist() for tier in pool.map(speech, recordings)] == alone


def test_torch_keeps_its_threads(utterance):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    speech(utterance)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
