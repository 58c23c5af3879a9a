"""One recording as the explorer shows it: spectrogram, evidence of each detector, its layers, segments."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.plots.style import BLACK, GREY, ORANGE, WIDTH_IN, evidence_map, evidence_patches, figure_grid, style
from sslig.plots.timeline import TIME, draw_evidence, draw_spectrogram, edges_s, symmetric, trend

SPECTROGRAM_IN, EVIDENCE_IN, LAYERS_IN, TIER_IN = 1.5, 0.95, 0.7, 0.28
LETTER_IN = 0.058
"""Width of a letter of a label: what does not fit is left out."""


@style()
def explored(
    waveform: np.ndarray,
    attributions: Mapping[str, np.ndarray],
    clock: FrameClock,
    tiers: Mapping[str, Tier],
    *,
    layers: Mapping[str, np.ndarray] | None = None,
    trend_frames: int = 15,
    common_scale: bool = False,
    smooth: bool = False,
    region_s: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """All that is known of one recording, on one time axis.

    Parameters
    ----------
    waveform
        (samples,) Mono at 16 kHz.
    attributions
        (frame,) Attribution in logits, by detector; positive = evidence for spoof.
    clock
        The frame grid.
    tiers
        Segments by name, drawn as labelled boxes below.
    layers
        (layer, frame) Attribution by detector, drawn as a heat map below its evidence.
    trend_frames
        Length of the running median that is drawn as a line, or with `smooth` in place of the evidence.
    common_scale
        One scale for all detectors.
    smooth
        The running median in place of the evidence.
    region_s
        Start and end of a selection, shaded.
    title
        Of the figure.
    """
    layers = layers or {}
    rows = [("spectrogram", SPECTROGRAM_IN)]
    for name in attributions:
        rows += [("evidence", EVIDENCE_IN), *([("layers", LAYERS_IN)] if name in layers else [])]
    rows += [("tier", TIER_IN)] * len(tiers)
    figure, axes = figure_grid(len(rows), heights=[height for _, height in rows], sharex=True)
    left = iter(axes)
    draw_spectrogram(next(left), waveform, clock)
    largest = max((np.abs(frames).max() for frames in attributions.values()), default=0)
    for name, frames in attributions.items():
        shown = trend(frames, trend_frames) if smooth else frames
        _evidence(next(left), name, shown, clock, trend_frames, largest if common_scale else np.abs(frames).max())
        if name in layers:
            _layers(next(left), layers[name], clock)
    for name, tier in tiers.items():
        _tier(next(left), name, tier)
    for axis in axes:
        if region_s is not None:
            axis.axvspan(*region_s, color=ORANGE, alpha=0.2, lw=0)
    axes[0].set_xlim(0, len(waveform) / SAMPLE_RATE_HZ)
    axes[-1].set_xlabel(TIME)
    line = Line2D([], [], color=BLACK, label=f"median of {trend_frames} frames")
    figure.legend(handles=[*evidence_patches("evidence for {}"), line], loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize=10)
    figure.align_ylabels(axes)
    return figure


def _evidence(
    axis: Axes, name: str, frames: np.ndarray, clock: FrameClock, trend_frames: int, largest: float
) -> None:  # fmt: skip
    draw_evidence(axis, frames, clock, trend_frames)
    symmetric(axis, largest)
    axis.set_ylabel(f"{name}\n(logit)")


def _layers(axis: Axes, layers: np.ndarray, clock: FrameClock) -> None:
    limit = np.abs(layers).max() or 1.0
    extent = (*edges_s(clock, layers.shape[1]), -0.5, len(layers) - 0.5)
    axis.imshow(layers, cmap=evidence_map(), vmin=-limit, vmax=limit, extent=extent, origin="lower", aspect="auto",
                interpolation="nearest")  # fmt: skip
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_ylabel("layer")


def _tier(axis: Axes, name: str, tier: Tier) -> None:
    axis.broken_barh(list(zip(tier.start_s, tier.end_s - tier.start_s, strict=True)), (0, 1), facecolor="0.94",
                     edgecolor=GREY, lw=0.5)  # fmt: skip
    room = 0.85 * WIDTH_IN / tier.duration_s / LETTER_IN  # letters that fit into a second
    for start_s, end_s, label in zip(tier.start_s, tier.end_s, tier.labels, strict=True):
        if len(label) <= (end_s - start_s) * room:
            axis.text((start_s + end_s) / 2, 0.45, label, ha="center", va="center", fontsize=7, parse_math=False)
    axis.set_yticks([0.5], [name])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(0, 1)
