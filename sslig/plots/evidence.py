"""Figures of one recording on one time axis: spectrogram, evidence of detectors and of their layers, segments."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import median_filter

from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.style import (
    BLACK,
    EVIDENCE,
    GREY,
    ORANGE,
    WIDTH_IN,
    YELLOW,
    evidence_map,
    evidence_patches,
    figure_grid,
    style,
)

TIME = "time (s)"
TREND_FRAMES = 15
RANGE_DB = 70.0
TICKS_KHZ = (0.5, 1, 2, 4, 8)

SPECTROGRAM_IN, EVIDENCE_IN, LAYERS_IN, TIER_IN = 1.6, 1.0, 0.7, 0.28
LETTER_IN = 0.058
"""Width of a letter of a label; a label wider than its segment is left out."""

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
        (samples,) Mono at 16 kHz.
    maps
        (frame,) Attribution in logits, by detector; positive = evidence for spoof.
    clock
        The frame grid of the maps.
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
    title
        Title of the figure.

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
    figure, axes = figure_grid(len(rows) + len(tiers), heights=rows + [TIER_IN] * len(tiers), sharex=True)
    remaining = iter(axes)
    draw_spectrogram(next(remaining), waveform, clock)
    largest = max((np.abs(frames).max() for frames in maps.values()), default=0)
    for name, frames in maps.items():
        axis = next(remaining)
        draw_evidence(axis, trend(frames, trend_frames) if smooth else frames, clock, trend_frames)
        symmetric(axis, largest if common_scale else np.abs(frames).max())
        axis.set_ylabel(f"{name}\n(logit)")
        if name in read_s:
            axis.axvspan(read_s[name], len(waveform) / SAMPLE_RATE_HZ, zorder=0.4, **UNREAD)
        if name in layers:
            draw_layers(next(remaining), layers[name], clock)
    for name, tier in tiers.items():
        draw_tier(next(remaining), name, tier)
    _mark(axes, places_s, region_s)
    axes[0].set_xlim(0, len(waveform) / SAMPLE_RATE_HZ)
    axes[-1].set_xlabel(TIME)
    handles = [
        *evidence_patches("evidence for {}"),
        Line2D([], [], color=BLACK, label=f"median of {trend_frames} frames"),
    ]
    handles += [Patch(**PLACE, label="planted")] if places_s else []
    handles += [Patch(**UNREAD, label="not read")] if read_s else []
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize=10)
    figure.align_ylabels(axes)
    return figure


@style()
def layer_map(layers: np.ndarray, clock: FrameClock, *, title: str | None = None) -> Figure:
    """(layer, frame) Attributions as a heat map, white at 0; layer 0 is what the first transformer layer reads."""
    figure, (axis,) = figure_grid(1, heights=[3.2])
    image = draw_layers(axis, layers, clock)
    axis.set(xlabel=TIME, title=title)
    figure.colorbar(image, label="attribution (logit)\nbona fide  ←  →  spoof", pad=0.02)
    return figure


def draw_spectrogram(axis: Axes, waveform: np.ndarray, clock: FrameClock) -> None:
    """Draw (samples,) at 16 kHz as mel bands in dB on the frame clock: each column is the window its frame sees."""
    decibel = mel_decibel(waveform, clock)  # (mel band, frame)
    extent = (*edges_s(clock, decibel.shape[1]), 0, 1)
    axis.imshow(decibel, cmap="gray_r", extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    axis.set_yticks([mel_share(tick) for tick in TICKS_KHZ], [f"{tick:g}" for tick in TICKS_KHZ])
    axis.set_ylabel("frequency\n(kHz, mel scale)")


def mel_decibel(
    waveform: np.ndarray, clock: FrameClock, n_fft: int = 1024, n_mels: int = 80, reference: float | None = None
) -> np.ndarray:
    """(mel band, frame) Power of (samples,) at 16 kHz in dB relative to the loudest point, or to `reference`."""
    import librosa

    # The window is padded to n_fft on both sides, and so is the waveform: frame t keeps its centre.
    margin = (n_fft - clock.receptive_field_samples) // 2
    power = librosa.feature.melspectrogram(
        y=np.pad(waveform, margin),
        sr=SAMPLE_RATE_HZ,
        n_fft=n_fft,
        hop_length=clock.hop_samples,
        win_length=clock.receptive_field_samples,
        center=False,
        n_mels=n_mels,
    )
    return librosa.power_to_db(power, ref=np.max if reference is None else reference, top_db=RANGE_DB)


def mel_share(khz: float) -> float:
    """Where a frequency lies between 0 Hz and the highest one on the mel scale, from 0 to 1."""
    import librosa

    return float(librosa.hz_to_mel(1000 * khz) / librosa.hz_to_mel(SAMPLE_RATE_HZ / 2))


def draw_evidence(axis: Axes, frames: np.ndarray, clock: FrameClock, trend_frames: int = TREND_FRAMES) -> None:
    """Draw (frame,) attributions as steps filled in the colours of both labels, and their running median."""
    time_s = clock.centre_s(len(frames))
    for label, part in ((SPOOF, np.maximum(frames, 0)), (BONAFIDE, np.minimum(frames, 0))):
        axis.fill_between(time_s, part, step="mid", color=EVIDENCE[label], alpha=0.75, lw=0)
    axis.plot(time_s, trend(frames, trend_frames), color=BLACK, lw=1.3)
    axis.axhline(0, color=GREY, lw=0.6)


def draw_layers(axis: Axes, layers: np.ndarray, clock: FrameClock) -> AxesImage:
    """Draw (layer, frame) attributions as a heat map, white at 0."""
    limit = np.abs(layers).max() or 1.0
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_ylabel("layer")
    return axis.imshow(
        layers,
        cmap=evidence_map(),
        vmin=-limit,
        vmax=limit,
        extent=(*edges_s(clock, layers.shape[1]), -0.5, len(layers) - 0.5),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )


def draw_tier(axis: Axes, name: str, tier: Tier) -> None:
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


def trend(frames: np.ndarray, trend_frames: int = TREND_FRAMES) -> np.ndarray:
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


def _mark(axes: Sequence[Axes], places_s: Sequence[tuple[float, float]], region_s: tuple[float, float] | None) -> None:
    for axis in axes:
        for start_s, end_s in places_s:
            axis.axvspan(start_s, end_s, zorder=2 if axis is axes[0] else 0.5, **PLACE)
        if region_s is not None:
            axis.axvspan(*region_s, color=ORANGE, alpha=0.2, lw=0)
