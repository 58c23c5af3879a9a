"""The figure of versions of one utterance: their spectrograms on one scale of time and level."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.plots.evidence import TICKS_KHZ, TIME, edges_s, mel_decibel, mel_share
from sslig.plots.style import SKY, figure_grid, style

LEVELS_DB = (-70.0, 10.0)
"""Span of the grey scale, relative to the loudest point of the first version; some versions are louder."""


@style()
def spectrograms(waveforms: Mapping[str, np.ndarray], *, columns: int = 3) -> Figure:
    """Draw the mel spectrogram of each version; the time after the end of a version is shaded.

    Parameters
    ----------
    waveforms
        Title -> (samples,) at 16 kHz; levels are relative to the loudest point of the first one.
    columns
        Panels side by side.
    """
    levels = {title: mel_decibel(samples, SSL_CLOCK, reference=1.0) for title, samples in waveforms.items()}
    loudest = next(iter(levels.values())).max()
    longest_s = max(map(len, waveforms.values())) / SAMPLE_RATE_HZ
    rows = -(-len(waveforms) // columns)
    figure, axes = figure_grid(rows, [1.2] * rows, columns=columns, sharex=True, sharey=True)
    for axis, (title, level) in zip(axes, levels.items(), strict=False):
        extent = (*edges_s(SSL_CLOCK, level.shape[1]), 0, 1)
        low, high = LEVELS_DB
        grey = {"cmap": "gray_r", "vmin": low, "vmax": high, "interpolation": "nearest"}
        image = axis.imshow(level - loudest, extent=extent, origin="lower", aspect="auto", **grey)
        axis.axvspan(len(waveforms[title]) / SAMPLE_RATE_HZ, longest_s, color=SKY, alpha=0.35, lw=0)
        axis.set_title(title, fontsize=10, pad=3)
        axis.set(xlim=(0, longest_s), yticks=[mel_share(khz) for khz in TICKS_KHZ], yticklabels=TICKS_KHZ)
    for axis in axes[len(waveforms) :]:
        axis.remove()
    figure.supxlabel(TIME, fontsize=10)
    figure.supylabel("frequency (kHz, mel scale)", fontsize=10)
    panels = list(axes[: len(waveforms)])
    for axis in panels[-columns:]:
        axis.tick_params(labelbottom=True)
    figure.colorbar(image, ax=panels, label=f"dB, 0 = loudest of {next(iter(waveforms))}", extend="both", aspect=40)
    return figure
