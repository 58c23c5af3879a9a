"""Mel spectrograms equal those of librosa; a tone is where it belongs; a median ignores a spike."""

import librosa
import numpy as np
import pytest

from sslig.frames import SSL_CLOCK, FrameClock
from sslig.plots.signals import N_FFT, N_MELS, RANGE_DB, mel_decibel, mel_share, trend


@pytest.mark.parametrize("clock", [SSL_CLOCK, FrameClock(80, 400)])
@pytest.mark.parametrize("reference", [None, 1.0])
def test_the_spectrogram_is_that_of_librosa(clock, reference, rng):
    waveform = rng.normal(size=4_000) * np.hanning(4_000)
    margin = (N_FFT - 400) // 2
    options = {"n_fft": N_FFT, "hop_length": clock.hop_samples, "win_length": 400, "center": False, "n_mels": N_MELS}
    power = librosa.feature.melspectrogram(y=np.pad(waveform, margin), sr=16_000, **options)
    expected = librosa.power_to_db(power, ref=np.max if reference is None else reference, top_db=RANGE_DB)
    np.testing.assert_allclose(mel_decibel(waveform, clock, reference), expected, atol=1e-3)


@pytest.mark.parametrize("khz", [0, 0.25, 1, 3, 8])
def test_a_frequency_lies_where_librosa_places_it(khz):
    assert mel_share(khz) == pytest.approx(librosa.hz_to_mel(1000 * khz) / librosa.hz_to_mel(8_000))


def test_silence_is_flat():
    assert (mel_decibel(np.zeros(4_000), SSL_CLOCK) == 0).all()


def test_a_spike_does_not_move_the_trend():
    frames = np.zeros(40)
    frames[20] = 5
    assert (trend(frames) == 0).all()
