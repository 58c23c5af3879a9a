"""Draws on one axis what runs over time: a waveform, a mel spectrogram, the evidence of a detector."""

import numpy as np
from matplotlib.axes import Axes
from scipy.ndimage import median_filter

from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.style import BLACK, EVIDENCE, GREY

TIME = "time (s)"

RANGE_DB = 70.0
TICKS_KHZ = (0.5, 1, 2, 4, 8)
"""Of a spectrogram."""


def draw_waveform(axis: Axes, waveform: np.ndarray) -> None:
    """Draw (samples,) at 16 kHz."""
    axis.plot(np.arange(len(waveform)) / SAMPLE_RATE_HZ, waveform, color=GREY, lw=0.5, rasterized=True)
    symmetric(axis, np.abs(waveform).max())
    axis.set_ylabel("amplitude")


def draw_spectrogram(axis: Axes, waveform: np.ndarray, clock: FrameClock, n_fft: int = 1024, n_mels: int = 80) -> None:
    """Draw (samples,) at 16 kHz as mel bands in dB on the frame clock: each column is the window its frame sees."""
    decibel = mel_decibel(waveform, clock, n_fft, n_mels)  # (mel band, frame)
    extent = (*edges_s(clock, decibel.shape[1]), 0, 1)
    axis.imshow(decibel, cmap="gray_r", extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    axis.set_yticks([mel_share(tick) for tick in TICKS_KHZ], [f"{tick:g}" for tick in TICKS_KHZ])
    axis.set_ylabel("frequency\n(kHz, mel scale)")


def mel_decibel(waveform: np.ndarray, clock: FrameClock, n_fft: int = 1024, n_mels: int = 80) -> np.ndarray:
    """(mel band, frame) Power in dB below the loudest, at most `RANGE_DB`, of (samples,) at 16 kHz."""
    import librosa

    # The window is padded to n_fft on both sides, and so is the waveform: frame t keeps its centre.
    margin = (n_fft - clock.receptive_field_samples) // 2
    power = librosa.feature.melspectrogram(
        y=np.pad(waveform, margin), sr=SAMPLE_RATE_HZ, n_fft=n_fft, hop_length=clock.hop_samples,
        win_length=clock.receptive_field_samples, center=False, n_mels=n_mels,
    )  # fmt: skip
    return librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB)


def mel_share(khz: float) -> float:
    """Where a frequency lies between 0 Hz and the highest one on the mel scale, from 0 to 1."""
    import librosa

    return float(librosa.hz_to_mel(1000 * khz) / librosa.hz_to_mel(SAMPLE_RATE_HZ / 2))


def draw_evidence(axis: Axes, frames: np.ndarray, clock: FrameClock, trend_frames: int) -> None:
    """Draw (frame,) attributions as steps filled in the colours of both labels, and their running median."""
    time_s = clock.centre_s(len(frames))
    for label, part in ((SPOOF, np.maximum(frames, 0)), (BONAFIDE, np.minimum(frames, 0))):
        axis.fill_between(time_s, part, step="mid", color=EVIDENCE[label], alpha=0.75, lw=0)
    axis.plot(time_s, trend(frames, trend_frames), color=BLACK, lw=1.3)
    axis.axhline(0, color=GREY, lw=0.6)


def trend(frames: np.ndarray, trend_frames: int) -> np.ndarray:
    """(frame,) Running median over `trend_frames` frames; the ends are continued by their last value."""
    return median_filter(np.asarray(frames, dtype=float), trend_frames, mode="nearest")


def edges_s(clock: FrameClock, n_frames: int) -> tuple[float, float]:
    """Where the first frame starts and the last one ends when each is drawn one hop wide around its centre."""
    centre_s = clock.centre_s(n_frames)
    return centre_s[0] - clock.hop_s / 2, centre_s[-1] + clock.hop_s / 2


def symmetric(axis: Axes, largest: float) -> None:
    """Centre the y axis on 0 and make room for +- `largest`."""
    limit = 1.05 * largest or 1.0
    axis.set_ylim(-limit, limit)
