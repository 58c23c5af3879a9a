"""Figures of errors: trade-offs, error rates of groups, and distributions of scores."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sslig.labels import KEYS
from sslig.style import (
    BLACK,
    EVIDENCE,
    GREY,
    PERCENT,
    detector_styles,
    evidence_patches,
    figure_grid,
    legend_above,
    style,
)

DET_TICKS = np.array(
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99]
)


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
