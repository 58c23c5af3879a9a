"""Figures: arrays and tables in, matplotlib figures out; nothing is loaded and nothing is saved here."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.style import (
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
from sslig.timeline import TIME, draw_evidence, draw_spectrogram, draw_waveform, edges_s, symmetric, trend

PERCENT = FuncFormatter(lambda rate, _: f"{100 * rate:g}")
DET_TICKS = np.array(
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99]
)


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


@style()
def det(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], eers: Mapping[str, float] | None = None) -> Figure:
    """Detection error trade-off on probit axes, where normal scores give straight lines.

    Parameters
    ----------
    curves
        (point,) P_fa and (point,) P_miss by detector (`sslig.metrics.det_points`).
    eers
        Equal error rate by detector; marked on the curve and told in the legend.

    References
    ----------
    A. Martin et al., "The DET curve in assessment of detection task performance", 1997.
    """
    figure, (axis,) = figure_grid(1, heights=[4.7], width=5.6)
    low, high = _det_limits(curves)
    for name, look in detector_styles(curves).items():
        p_fa, p_miss = (ndtri(np.clip(rate, low / 2, 1 - 1e-6)) for rate in curves[name])
        label = name if eers is None else f"{name} (EER {eers[name]:.2%})".replace("%", " %")
        axis.plot(p_fa, p_miss, color=look["color"], ls=look["linestyle"], lw=1.8, label=label)
        if eers is not None:
            point = ndtri(max(eers[name], low))
            axis.plot(point, point, look["marker"], color=look["color"], ms=7, mec="white")
    axis.plot(ndtri([low, high]), ndtri([low, high]), color=GREY, lw=0.8, ls=(0, (1, 2)))
    ticks = _apart(DET_TICKS[(low <= DET_TICKS) & (high >= DET_TICKS)])
    for along in (axis.xaxis, axis.yaxis):
        along.set_ticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axis.set(xlim=ndtri([low, high]), ylim=ndtri([low, high]), aspect="equal")
    axis.set(xlabel="false acceptance: spoof accepted (%)", ylabel="miss: bona fide rejected (%)")
    axis.grid(color="0.9")
    axis.legend(loc="upper right", frameon=True, framealpha=0.9)
    return figure


@style()
def eer_bars(table: pd.DataFrame, *, group: str = "group") -> Figure:
    """Equal error rate of each group (attack, codec ...) and detector, with its interval.

    Parameters
    ----------
    table
        ``detector``, ``group``, ``eer``, ``low``, ``high`` (rates; NaN draws no interval) and ``n`` (trials).
    group
        What the groups are, for the axis.
    """
    groups, looks = list(dict.fromkeys(table["group"])), detector_styles(table["detector"])
    figure, (axis,) = figure_grid(1, heights=[1.0 + len(groups) * (0.13 + 0.14 * len(looks))])
    thickness = 0.8 / len(looks)
    for place, (name, look) in enumerate(looks.items()):
        rows = table[table["detector"] == name]
        y = np.array([groups.index(value) for value in rows["group"]]) + (place + 0.5) * thickness - 0.4
        axis.barh(y, rows["eer"], thickness * 0.92, color=look["color"], label=name)
        axis.hlines(y, rows["low"], rows["high"], color=BLACK, lw=1.2)
    counts = table.groupby("group")["n"].max()
    axis.set_yticks(range(len(groups)), [f"{name} (n = {counts[name]:,})" for name in groups])
    axis.set(xlabel="EER (%)", ylabel=group, ylim=(len(groups) - 0.5, -0.5))
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(PERCENT)
    axis.tick_params(axis="y", length=0)
    legend_above(figure, axis)
    return figure


@style()
def eer_heatmap(
    table: pd.DataFrame, *, rows: str = "attack", columns: str = "codec", title: str | None = None
) -> Figure:
    """Equal error rate of each pair of conditions, in percent (a table of `sslig.metrics.by_group` by both)."""
    grid = 100 * table.pivot(index=rows, columns=columns, values="eer")
    figure, (axis,) = figure_grid(1, heights=[1.0 + 0.3 * len(grid)])
    seaborn.heatmap(
        grid, ax=axis, cmap="cividis", vmin=0, annot=True, fmt=".1f", annot_kws={"size": 8}, linewidths=0.5,
        cbar_kws={"label": "EER (%)", "pad": 0.02},
    )  # fmt: skip
    axis.tick_params(length=0, rotation=0)
    axis.set(xlabel=columns, ylabel=rows, title=title)
    return figure


@style()
def training_curves(table: pd.DataFrame) -> Figure:
    """Loss and development metrics over epochs: each seed a thin line, their mean a thick one.

    Parameters
    ----------
    table
        ``detector``, ``seed``, ``epoch``, ``train_loss``, ``dev_eer`` (rate) and ``dev_min_dcf``.
    """
    panels = {"train_loss": "training loss", "dev_eer": "development EER (%)", "dev_min_dcf": "development minDCF"}
    figure, axes = figure_grid(1, heights=[2.9], columns=3)
    for name, look in detector_styles(table["detector"]).items():
        rows = table[table["detector"] == name]
        for axis, column in zip(axes, panels, strict=True):
            for _, seed in rows.groupby("seed"):
                axis.plot(seed["epoch"], seed[column], color=look["color"], lw=0.8, alpha=0.5)
            mean = rows.groupby("epoch")[column].mean()
            axis.plot(mean.index, mean, label=name, lw=2, ms=4, **look)
    for axis, label in zip(axes, panels.values(), strict=True):
        axis.set(xlabel="epoch", title=label)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].yaxis.set_major_formatter(PERCENT)
    legend_above(figure, axes[0])
    return figure


@style()
def score_distributions(table: pd.DataFrame) -> Figure:
    """Density of the spoof scores of both classes, one panel a detector.

    Parameters
    ----------
    table
        ``spoof_score``, ``key`` and, for several detectors, ``detector``.
    """
    table = table if "detector" in table else table.assign(detector="")
    names = list(dict.fromkeys(table["detector"]))
    figure, axes = figure_grid(len(names), heights=[1.6] * len(names))
    for axis, name in zip(axes, names, strict=True):
        rows = table[table["detector"] == name]
        bins = np.histogram_bin_edges(rows["spoof_score"], bins=60)
        for key, label in KEYS.items():
            scores = rows.loc[rows["key"] == key, "spoof_score"]
            axis.hist(scores, bins, density=True, histtype="stepfilled", color=EVIDENCE[label], alpha=0.45)
            axis.hist(scores, bins, density=True, histtype="step", color=EVIDENCE[label], lw=1.2)
        axis.set(ylabel="density (1/logit)", title=name or None)
    axes[-1].set_xlabel("spoof score (logit)")
    figure.legend(handles=evidence_patches("{}"), loc="outside lower center", ncols=2)
    return figure


def _det_limits(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> tuple[float, float]:
    """The part of the axes that says something: from the smallest rate to well above the largest EER."""
    rates = np.concatenate([np.asarray(curve) for curve in curves.values()], axis=1)
    worst = max(np.maximum(*map(np.asarray, curve)).min() for curve in curves.values())
    high = DET_TICKS[min(np.searchsorted(DET_TICKS, 3 * worst), len(DET_TICKS) - 1)]
    smallest = min(rates[rates > 0].min(), worst / 4, high / 10) if worst > 0 else DET_TICKS[0]
    low = DET_TICKS[max(np.searchsorted(DET_TICKS, smallest, side="right") - 1, 0)]
    return low, max(high, 0.1)


def _apart(ticks: np.ndarray, most: int = 12) -> np.ndarray:
    """The ticks that leave room for the labels of one another, from the highest down."""
    gap, kept = np.ptp(ndtri(ticks)) / most, [ticks[-1]]
    for tick in ticks[-2::-1]:
        if ndtri(kept[-1]) - ndtri(tick) >= gap:
            kept.append(tick)
    return np.array(kept[::-1])
