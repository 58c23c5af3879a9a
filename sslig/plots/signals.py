"""Figures of what happens over time in one recording: the evidence of detectors and of their layers."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.style import (
    BLACK,
    EVIDENCE,
    GREY,
    detector_styles,
    evidence_map,
    evidence_patches,
    figure_grid,
    legend_above,
    style,
)
from sslig.plots.timeline import TIME, draw_evidence, draw_spectrogram, draw_waveform, edges_s, symmetric, trend


@style()
def attribution(
    waveform: np.ndarray,
    attributions: Mapping[str, np.ndarray],
    clock: FrameClock,
    *,
    spectrogram: bool = True,
    trend_frames: int = 15,
    common_scale: bool = False,
    title: str | None = None,
) -> Figure:
    """The recording on top and, on the same time axis, each detector's evidence over time below it.

    Parameters
    ----------
    waveform
        (samples,) Mono at 16 kHz.
    attributions
        (frame,) Attribution in logits, by detector; positive = evidence for spoof.
    clock
        The frame grid of the attributions.
    spectrogram
        A mel spectrogram on top, in place of the waveform.
    trend_frames
        Length of the running median that is drawn as a line.
    common_scale
        One scale for all detectors; each has its own otherwise, since logits of different detectors do not compare.
    title
        Title of the figure.

    Raises
    ------
    ValueError
        An attribution has another number of frames than the recording.
    """
    wrong = [name for name, frames in attributions.items() if len(frames) != clock.n_frames(len(waveform))]
    if wrong:
        raise ValueError(f"{wrong}: {len(waveform)} samples are {clock.n_frames(len(waveform))} frames, not as given")
    figure, axes = figure_grid(1 + len(attributions), heights=[1.7] + [1.0] * len(attributions), sharex=True)
    draw_spectrogram(axes[0], waveform, clock) if spectrogram else draw_waveform(axes[0], waveform)
    largest = max(np.abs(frames).max() for frames in attributions.values())
    for axis, (name, frames) in zip(axes[1:], attributions.items(), strict=True):
        draw_evidence(axis, frames, clock, trend_frames)
        symmetric(axis, largest if common_scale else np.abs(frames).max())
        axis.set_ylabel(f"{name}\n(logit)")
    axes[0].set_xlim(0, len(waveform) / SAMPLE_RATE_HZ)
    axes[-1].set_xlabel(TIME)
    line = Line2D([], [], color=BLACK, label=f"median of {trend_frames} frames")
    figure.legend(handles=[*evidence_patches("evidence for {}"), line], loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize=11)
    figure.align_ylabels(axes)
    return figure


@style()
def attribution_common_axis(
    attributions: Mapping[str, np.ndarray], clock: FrameClock, *, trend_frames: int = 15, title: str | None = None
) -> Figure:
    """The trends of several detectors on one axis, each divided by its largest magnitude.

    Parameters
    ----------
    attributions
        (frame,) Attribution by detector; positive = evidence for spoof.
    clock
        The frame grid of the attributions.
    trend_frames
        Length of the running median; 1 draws the attributions as they are.
    title
        Title of the figure.
    """
    figure, (axis,) = figure_grid(1, heights=[2.8])
    for name, look in detector_styles(attributions).items():
        running = trend(attributions[name], trend_frames)
        scale = np.abs(running).max() or 1.0
        axis.plot(clock.centre_s(len(running)), running / scale, label=name, color=look["color"], ls=look["linestyle"])
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set(xlabel=TIME, ylabel="attribution / its maximum", ylim=(-1.08, 1.08))
    for place, label, word in ((0.97, SPOOF, "spoof"), (0.03, BONAFIDE, "bona fide")):
        side = "top" if label == SPOOF else "bottom"
        axis.text(1.01, place, f"for\n{word}", color=EVIDENCE[label], va=side, fontsize=9, transform=axis.transAxes)
    axis.set_title(title)
    legend_above(figure, axis)
    return figure


@style()
def layer_map(layers: np.ndarray, clock: FrameClock, *, title: str | None = None) -> Figure:
    """(layer, frame) Attributions as a heat map, white at 0; layer 0 is what the first transformer layer reads."""
    figure, (axis,) = figure_grid(1, heights=[3.2])
    limit = np.abs(layers).max() or 1.0
    extent = (*edges_s(clock, layers.shape[1]), -0.5, len(layers) - 0.5)
    image = axis.imshow(
        layers, cmap=evidence_map(), vmin=-limit, vmax=limit, extent=extent, origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set(xlabel=TIME, ylabel="layer", title=title)
    figure.colorbar(image, label="attribution (logit)\nbona fide  ←  →  spoof", pad=0.02)
    return figure
