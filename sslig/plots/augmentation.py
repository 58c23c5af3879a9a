"""The figure of versions of one utterance: what augmentation made of it, on one scale of time, level and amplitude."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.plots.evidence import TIME
from sslig.plots.style import GREY, SKY, figure_grid, style

N_FFT, N_MELS = 512, 64
RANGE_DB = (-70.0, 10.0)
"""What the grey scale spans, relative to the loudest point of the first version; some versions are louder."""
TICKS_KHZ = (0.5, 1, 2, 4, 8)
HEIGHTS_IN = (1.0, 0.35)
"""Of a spectrogram and of the waveform below it."""


@style()
def spectrograms(waveforms: Mapping[str, np.ndarray], *, columns: int = 3) -> Figure:
    """A panel a version: its mel spectrogram, and its waveform below; what lies after its end is shaded.

    Parameters
    ----------
    waveforms
        (samples,) Mono at 16 kHz by title; levels are relative to the loudest point of the first one.
    columns
        Panels side by side.

    Raises
    ------
    ValueError
        There is nothing to draw, or the first waveform is all zero.
    """
    first = next(iter(waveforms.values()), np.zeros(1))
    if not np.any(first):
        raise ValueError(f"{len(waveforms)} waveforms, the first without sound; levels need one to be relative to")
    rows = -(-len(waveforms) // columns)
    figure, axes = figure_grid(2 * rows, HEIGHTS_IN * rows, columns=columns, sharex=True, sharey="row")
    grid = np.reshape(axes, (rows, 2, columns)).swapaxes(1, 2).reshape(-1, 2)  # (panel, spectrogram and waveform)
    reference = mel_power(first).max()
    for (upper, lower), (title, samples) in zip(grid, waveforms.items(), strict=False):
        image = _draw_mel(upper, samples, reference)
        _draw_samples(lower, samples)
        upper.set_title(title, fontsize=10, pad=3)
    _finish(grid, columns, list(waveforms.values()))
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.03, hspace=0)
    figure.supxlabel(TIME, fontsize=10)
    figure.supylabel("frequency (kHz, mel scale), amplitude", fontsize=10)
    shown = list(grid[: len(waveforms)].ravel())
    figure.colorbar(image, ax=shown, label=f"dB, 0 = loudest\nof {next(iter(waveforms))}", extend="both",
                    aspect=40, pad=0.02)  # fmt: skip
    return figure


def mel_power(samples: np.ndarray) -> np.ndarray:
    """(mel band, frame) Power of (samples,) at 16 kHz; frame t is centred at t hops of the features' clock."""
    import librosa

    return librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE_HZ, n_fft=N_FFT, win_length=SSL_CLOCK.receptive_field_samples,
        hop_length=SSL_CLOCK.hop_samples, n_mels=N_MELS,
    )  # fmt: skip


def _draw_mel(axis: Axes, samples: np.ndarray, reference: float) -> AxesImage:
    import librosa

    level_db = librosa.power_to_db(mel_power(samples), ref=reference, amin=1e-12, top_db=None)
    half_s, top = SSL_CLOCK.hop_s / 2, librosa.hz_to_mel(SAMPLE_RATE_HZ / 2)
    extent = (-half_s, (level_db.shape[1] - 0.5) * SSL_CLOCK.hop_s, 0, top)
    axis.set_yticks(librosa.hz_to_mel(1000 * np.array(TICKS_KHZ)), [f"{tick:g}" for tick in TICKS_KHZ], fontsize=8)
    low, high = RANGE_DB
    return axis.imshow(level_db, cmap="gray_r", vmin=low, vmax=high, extent=extent, origin="lower", aspect="auto",
                       interpolation="nearest")  # fmt: skip


def _draw_samples(axis: Axes, samples: np.ndarray) -> None:
    axis.plot(np.arange(len(samples)) / SAMPLE_RATE_HZ, samples, color=GREY, lw=0.4, rasterized=True)


def _finish(grid: np.ndarray, columns: int, waveforms: Sequence[np.ndarray]) -> None:
    """One time axis and one amplitude for all panels, times below the last panel of each column, no empty panels."""
    longest_s = max(map(len, waveforms)) / SAMPLE_RATE_HZ
    limit = 1.05 * max(np.abs(samples).max() for samples in waveforms)
    tick = float(f"{0.7 * limit:.1g}")  # two labels only: three would touch
    for (upper, lower), samples in zip(grid, waveforms, strict=False):
        for axis in (upper, lower):
            axis.axvspan(len(samples) / SAMPLE_RATE_HZ, longest_s, color=SKY, alpha=0.35, lw=0)
        lower.set(xlim=(0, longest_s), ylim=(-limit, limit))
        lower.tick_params(axis="y", labelsize=8)
        lower.set_yticks([-tick, tick])
    for lower in grid[: len(waveforms)][-columns:, 1]:
        lower.tick_params(labelbottom=True, labelsize=8)
    for axis in grid[len(waveforms) :].ravel():
        axis.remove()
