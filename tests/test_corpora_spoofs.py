import numpy as np
import pytest

from sslig.audio import trim
from sslig.corpora import recordings
from sslig.corpora.spoofs import ATTACKS, pitch_track

SAMPLES = trim(recordings.synthetic(1, 2)[1].sound())
RESYNTHESES = [name for name, attack in ATTACKS.items() if not attack.needs_transcript]


def log_mel(samples):
    import librosa

    return np.log(librosa.feature.melspectrogram(y=samples, sr=16_000, n_mels=40) + 1e-4)


@pytest.mark.parametrize("name", RESYNTHESES)
def test_a_resynthesis_is_like_the_recording_but_not_it(name):
    spoof = ATTACKS[name](SAMPLES, np.random.default_rng(1), None)
    assert spoof.dtype == np.float32
    assert spoof.shape == SAMPLES.shape
    assert np.abs(spoof).max() < 3 * np.abs(SAMPLES).max()
    assert np.corrcoef(log_mel(SAMPLES).ravel(), log_mel(spoof).ravel())[0, 1] > 0.8
    assert np.mean((spoof - SAMPLES) ** 2) > 0.05 * np.mean(SAMPLES**2)


@pytest.mark.parametrize("name", RESYNTHESES)
def test_the_generator_decides_every_sample(name):
    first, again, other = (ATTACKS[name](SAMPLES, np.random.default_rng(seed), None) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_text_to_speech_lasts_as_long_as_the_recording():
    pytest.importorskip("hibari", reason="hibari-tts, the extra 'demo', is not installed")
    attack = ATTACKS["neural_tts"]
    first, again = (attack(SAMPLES, np.random.default_rng(1), "Please enter your number.") for _ in range(2))
    assert 0.8 * len(SAMPLES) < len(first) <= len(SAMPLES)
    assert np.array_equal(first, again)
    assert 0.01 < np.abs(first).max() < 1.5


@pytest.mark.parametrize("pitch_hz", [90.0, 150.0, 240.0])
def test_the_pitch_of_a_harmonic_tone_is_found(pitch_hz):
    time_s = np.arange(16_000) / 16_000
    tone = sum(np.sin(2 * np.pi * pitch_hz * number * time_s) / number for number in range(1, 8))
    found_hz, strength = pitch_track(tone)
    assert np.median(found_hz) == pytest.approx(pitch_hz, rel=0.02)
    assert np.median(strength) == 1.0


def test_noise_is_not_voiced():
    assert pitch_track(np.random.default_rng(0).standard_normal(16_000))[1].mean() < 0.3
