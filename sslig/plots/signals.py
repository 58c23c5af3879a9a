"""What figures and the browser draw of signals: the mel spectrogram, its axis, and a running median."""

from functools import cache

import numpy as np

from sslig.frames import SAMPLE_RATE_HZ, FrameClock

TREND_FRAMES = 15
RANGE_DB = 70.0
TICKS_KHZ = (0.5, 1, 2, 4, 8)
N_FFT, N_MELS = 1024, 80

FLOOR = 1e-10
"""Power below which nothing has a level."""

LINEAR_HZ, BREAK_HZ, STEP = 200 / 3, 1000.0, np.log(6.4) / 27
"""Slaney's mel scale: linear up to the break, logarithmic above it."""


def mel_decibel(waveform: np.ndarray, clock: FrameClock, reference: float | None = None) -> np.ndarray:
    """(mel band, frame) Power of (samples,) at 16 kHz in dB relative to the loudest point, or to `reference`.

    Each column is the window that its frame sees. librosa gives the same; importing it takes longer than the rest of
    the explorer.

    References
    ----------
    M. Slaney, "Auditory Toolbox", Technical Report 1998-010, Interval Research.
    """
    width = clock.receptive_field_samples
    padded = np.pad(waveform, (0, max(0, width - len(waveform))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[:: clock.hop_samples]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    power = np.abs(np.fft.rfft(windows * hann, N_FFT)) ** 2  # (frame, frequency)
    bands = _filters() @ power.T
    reference = bands.max() if reference is None else reference
    decibel = 10 * np.log10(np.maximum(bands, FLOOR)) - 10 * np.log10(max(reference, FLOOR))
    return np.maximum(decibel, decibel.max() - RANGE_DB)


def mel_share(khz: float) -> float:
    """Where a frequency lies between 0 Hz and the highest one on the mel scale, from 0 to 1."""
    return float(_mel(1000 * khz) / _mel(SAMPLE_RATE_HZ / 2))


def band_hz() -> np.ndarray:
    """(mel band,) The frequency at the middle of each band of `mel_decibel`."""
    return _hz(np.linspace(0, _mel(SAMPLE_RATE_HZ / 2), N_MELS + 2))[1:-1]


def trend(frames: np.ndarray, trend_frames: int = TREND_FRAMES) -> np.ndarray:
    """(frame,) Running median over `trend_frames` frames; the ends are continued by their last value."""
    from scipy.ndimage import median_filter  # the annotator imports this module, and needs no more of scipy

    return median_filter(np.asarray(frames, dtype=float), trend_frames, mode="nearest")


def _mel(hz: np.ndarray | float) -> np.ndarray:
    hz = np.asarray(hz, dtype=float)
    above = BREAK_HZ / LINEAR_HZ + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / STEP
    return np.where(hz < BREAK_HZ, hz / LINEAR_HZ, above)


def _hz(mel: np.ndarray) -> np.ndarray:
    highest = BREAK_HZ / LINEAR_HZ
    return np.where(mel < highest, mel * LINEAR_HZ, BREAK_HZ * np.exp(STEP * (mel - highest)))


@cache
def _filters() -> np.ndarray:
    """(mel band, frequency) Triangles between neighbouring bands, each of area 1."""
    edges_hz = _hz(np.linspace(0, _mel(SAMPLE_RATE_HZ / 2), N_MELS + 2))
    fft_hz = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE_HZ)
    rising = (fft_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - fft_hz) / np.diff(edges_hz)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
