"""Figures of recordings over time: spectrograms, evidence of detectors and of their layers, segments."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.signals import TICKS_KHZ, TREND_FRAMES, mel_decibel, mel_share, trend
from sslig.plots.style import (
    BLACK,
    EVIDENCE,
    GREY,
    ORANGE,
    SKY,
    WIDTH_IN,
    YELLOW,
    evidence_map,
    figure_grid,
    panels,
    style,
)

TIME = "time (s)"
LEVELS_DB = (-70.0, 10.0)
"""Grey scale of `spectrograms`, relative to the loudest point of the first version; some versions are louder."""

SPECTROGRAM_IN, EVIDENCE_IN, LAYERS_IN, TIER_IN = 1.6, 1.0, 0.7, 0.28
LETTER_IN = 0.058
"""Width of a letter of a label; a label wider than its segment is left out."""

WORDS = {BONAFIDE: "bona fide", SPOOF: "spoof"}

PLACE = {"facecolor": YELLOW, "alpha": 0.35, "edgecolor": BLACK, "linewidth": 0.8, "linestyle": "--"}
"""A known place; its edge shows it without colour."""

UNREAD = {"facecolor": "0.96", "edgecolor": "0.8", "hatch": "///", "linewidth": 0}


@style()
def lanes(
    waveform: np.ndarray,
    maps: Mapping[str, np.ndarray],
    clock: FrameClock,
    *,
    layers: Mapping[str, np.ndarray] = MappingProxyType({}),
    tiers: Mapping[str, Tier] = MappingProxyType({}),
    places_s: Sequence[tuple[float, float]] = (),
    read_s: Mapping[str, float] = MappingProxyType({}),
    region_s: tuple[float, float] | None = None,
    trend_frames: int = TREND_FRAMES,
    common_scale: bool = False,
    smooth: bool = False,
    title: str | None = None,
) -> Figure:
    """A recording on top and, on the same time axis, the evidence of each detector below it.

    Parameters
    ----------
    waveform
        (samples,) at 16 kHz.
    maps
        (frame,) Attribution in logits, by detector; positive = evidence for spoof.
    layers
        (layer, frame) Attribution by detector, drawn as a heat map below its evidence.
    tiers
        Segments by name, drawn as labelled boxes at the bottom.
    places_s, region_s
        Start and end of known places, marked, and of a selection, shaded.
    read_s
        By detector whose head stops before the end, when it does; what follows is hatched.
    trend_frames
        Length of the running median that is drawn as a line, or with `smooth` in place of the evidence.
    common_scale
        One scale for all detectors. Logits of different detectors do not compare, so each has a scale to itself
        otherwise.

    Raises
    ------
    InputError
        A map has another number of frames than the recording.
    """
    wrong = [name for name, frames in maps.items() if len(frames) != clock.n_frames(len(waveform))]
    if wrong:
        raise InputError(f"{wrong}: {len(waveform)} samples are {clock.n_frames(len(waveform))} frames, not as given")
    rows = [SPECTROGRAM_IN]
    for name in maps:
        rows += [EVIDENCE_IN, *([LAYERS_IN] if name in layers else [])]
    rows += [TIER_IN] * len(tiers)
    figure, axes = figure_grid(len(rows), rows, sharex=True)
    remaining = iter(axes)
    _draw_mel(next(remaining), mel_decibel(waveform, clock), clock)
    axes[0].set_ylabel("frequency\n(kHz, mel scale)")
    largest = max((np.abs(frames).max() for frames in maps.values()), default=0)
    for name, frames in maps.items():
        axis = next(remaining)
        _draw_evidence(axis, trend(frames, trend_frames) if smooth else frames, clock, trend_frames)
        limit = 1.05 * (largest if common_scale else np.abs(frames).max()) or 1.0
        axis.set(ylabel=f"{name}\n(logit)", ylim=(-limit, limit))
        if name in read_s:
            axis.axvspan(read_s[name], len(waveform) / SAMPLE_RATE_HZ, zorder=0.4, **UNREAD)
        if name in layers:
            _draw_layers(next(remaining), layers[name], clock)
    for name, tier in tiers.items():
        _draw_tier(next(remaining), name, tier)
    _mark(axes, places_s, region_s)
    axes[0].set_xlim(0, len(waveform) / SAMPLE_RATE_HZ)
    axes[-1].set_xlabel(TIME)
    handles = _legend(trend_frames, places=bool(places_s), unread=bool(read_s))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize=10)
    figure.align_ylabels(axes)
    return figure


def _mark(axes: Sequence[Axes], places_s: Sequence[tuple[float, float]], region_s: tuple[float, float] | None) -> None:
    """Mark known places and shade a selection on every axis; the first one is a picture, so marks lie above it."""
    for axis in axes:
        for start_s, end_s in places_s:
            axis.axvspan(start_s, end_s, zorder=2 if axis is axes[0] else 0.5, **PLACE)
        if region_s is not None:
            axis.axvspan(*region_s, color=ORANGE, alpha=0.2, lw=0)


def _legend(trend_frames: int, *, places: bool, unread: bool) -> list[Patch | Line2D]:
    handles = [Patch(color=EVIDENCE[key], alpha=0.75, label=f"evidence for {word}") for key, word in WORDS.items()]
    handles += [Line2D([], [], color=BLACK, label=f"median of {trend_frames} frames")]
    handles += [Patch(**PLACE, label="planted")] if places else []
    return handles + ([Patch(**UNREAD, label="not read")] if unread else [])


@style()
def spectrograms(waveforms: Mapping[str, np.ndarray], *, columns: int = 3) -> Figure:
    """The mel spectrogram of each version of one utterance; the time after the end of a version is shaded.

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
    figure, axes = panels(len(waveforms), 1.2, columns=columns, sharex=True, sharey=True)
    for axis, (title, level) in zip(axes, levels.items(), strict=True):
        image = _draw_mel(axis, level - loudest, SSL_CLOCK)
        image.set_clim(*LEVELS_DB)
        axis.axvspan(len(waveforms[title]) / SAMPLE_RATE_HZ, longest_s, color=SKY, alpha=0.35, lw=0)
        axis.set_title(title, fontsize=10, pad=3)
        axis.set_xlim(0, longest_s)
    figure.supxlabel(TIME, fontsize=10)
    figure.supylabel("frequency (kHz, mel scale)", fontsize=10)
    figure.colorbar(image, ax=list(axes), label=f"dB, 0 = loudest of {next(iter(waveforms))}", extend="both", aspect=40)
    return figure


@style()
def layer_map(layers: np.ndarray, clock: FrameClock, *, title: str | None = None) -> Figure:
    """(layer, frame) Attributions as a heat map, white at 0; layer 0 is what the first transformer layer reads."""
    figure, (axis,) = figure_grid(1, [3.2])
    image = _draw_layers(axis, layers, clock)
    axis.set(xlabel=TIME, title=title)
    figure.colorbar(image, label="attribution (logit)\nbona fide  ←  →  spoof", pad=0.02)
    return figure


@style()
def time_frequency(
    waveform: np.ndarray, densities: Mapping[str, np.ndarray], clock: FrameClock, *, title: str | None = None
) -> Figure:
    """A recording on top and, below it, the evidence of each detector in time and frequency, white at 0.

    `densities` are (mel band, frame), logits per mel and second, by detector, each drawn on a scale to itself.
    """
    figure, axes = figure_grid(1 + len(densities), [SPECTROGRAM_IN] * (1 + len(densities)), sharex=True)
    _draw_mel(axes[0], mel_decibel(waveform, clock), clock)
    axes[0].set_ylabel("frequency\n(kHz, mel scale)")
    for axis, (name, density) in zip(axes[1:], densities.items(), strict=True):
        limit = np.abs(density).max() or 1.0
        look = {"cmap": evidence_map(), "vmin": -limit, "vmax": limit}
        image = _draw_image(axis, density, clock, (0, 1), **look)
        axis.set_yticks([mel_share(khz) for khz in TICKS_KHZ], [f"{khz:g}" for khz in TICKS_KHZ])
        axis.set_ylabel(f"{name}\n(kHz)")
        figure.colorbar(image, ax=axis, ticks=[], label="bona fide ← → spoof", pad=0.02)
    axes[-1].set_xlabel(TIME)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_mel(axis: Axes, decibel: np.ndarray, clock: FrameClock) -> AxesImage:
    axis.set_yticks([mel_share(khz) for khz in TICKS_KHZ], [f"{khz:g}" for khz in TICKS_KHZ])
    return _draw_image(axis, decibel, clock, (0, 1), cmap="gray_r")


def _draw_layers(axis: Axes, layers: np.ndarray, clock: FrameClock) -> AxesImage:
    limit = np.abs(layers).max() or 1.0
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_ylabel("layer")
    rows = (-0.5, len(layers) - 0.5)
    return _draw_image(axis, layers, clock, rows, cmap=evidence_map(), vmin=-limit, vmax=limit)


def _draw_image(axis: Axes, values: np.ndarray, clock: FrameClock, rows: tuple[float, float], **look) -> AxesImage:
    """Draw (row, frame) values on the frame clock: each frame one hop wide around its centre."""
    centre_s = clock.centre_s(values.shape[1])
    extent = (centre_s[0] - clock.hop_s / 2, centre_s[-1] + clock.hop_s / 2, *rows)
    return axis.imshow(values, extent=extent, origin="lower", aspect="auto", interpolation="nearest", **look)


def _draw_evidence(axis: Axes, frames: np.ndarray, clock: FrameClock, trend_frames: int) -> None:
    """Draw (frame,) attributions as steps filled in the colours of both labels, and their running median."""
    time_s = clock.centre_s(len(frames))
    for label, part in ((SPOOF, np.maximum(frames, 0)), (BONAFIDE, np.minimum(frames, 0))):
        axis.fill_between(time_s, part, step="mid", color=EVIDENCE[label], alpha=0.75, lw=0)
    axis.plot(time_s, trend(frames, trend_frames), color=BLACK, lw=1.3)
    axis.axhline(0, color=GREY, lw=0.6)


def _draw_tier(axis: Axes, name: str, tier: Tier) -> None:
    """Draw segments as boxes with the labels that fit."""
    spans = list(zip(tier.start_s, tier.end_s - tier.start_s, strict=True))
    axis.broken_barh(spans, (0, 1), facecolor="0.94", edgecolor=GREY, lw=0.5)
    room = 0.85 * WIDTH_IN / tier.duration_s / LETTER_IN  # letters a second
    for (start_s, duration_s), label in zip(spans, tier.labels, strict=True):
        if len(label) <= duration_s * room:
            centre_s = start_s + duration_s / 2
            axis.text(centre_s, 0.45, label, ha="center", va="center", fontsize=7, parse_math=False)
    axis.set_yticks([0.5], [name])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(0, 1)
