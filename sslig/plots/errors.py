"""Figures of errors: trade-off of both kinds, rates over the threshold and by condition, and reliability."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.style import BLACK, EVIDENCE, GREY, PERCENT, detector_styles, figure_grid, panels, style
from sslig.stats import metrics

DET_TICKS = np.array([0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99])

RATE_LOOKS = {
    "p_miss": (EVIDENCE[BONAFIDE], "-", "BPCER: bona fide called spoof"),
    "p_fa": (EVIDENCE[SPOOF], "--", "APCER: spoof called bona fide"),
}
"""Rate -> colour, line style and name (ISO/IEC 30107-3)."""

Scores = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Detector -> (trial,) spoof scores of its bona fide and of its spoof trials."""


@style()
def det(scores: Scores) -> Figure:
    """Detection error trade-off on probit axes, where normal scores give straight lines; the EER is marked.

    References
    ----------
    A. Martin et al., "The DET curve in assessment of detection task performance", 1997.
    """
    figure, (axis,) = figure_grid(1, [4.7], width=5.6)
    curves = {name: metrics.det_points(*classes) for name, classes in scores.items()}
    low, high = _det_limits(curves)
    for name, look in detector_styles(curves).items():
        eer = metrics.eer(*scores[name])
        p_fa, p_miss = (ndtri(np.clip(rate, low / 2, 1 - 1e-6)) for rate in curves[name])
        axis.plot(p_fa, p_miss, color=look["color"], ls=look["linestyle"], lw=1.8, label=f"{name} (EER {eer:.2%})")
        axis.plot(*[ndtri(max(eer, low))] * 2, look["marker"], color=look["color"], ms=7, mec="white")
    axis.plot(ndtri([low, high]), ndtri([low, high]), color=GREY, lw=0.8, ls=(0, (1, 2)))
    ticks = DET_TICKS[(low <= DET_TICKS) & (high >= DET_TICKS)]
    for along in (axis.xaxis, axis.yaxis):
        along.set_ticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axis.set(xlim=ndtri([low, high]), ylim=ndtri([low, high]), aspect="equal")
    axis.set(xlabel="APCER: spoof called bona fide (%)", ylabel="BPCER: bona fide called spoof (%)")
    axis.grid(color="0.9")
    axis.legend(loc="upper right", frameon=True, framealpha=0.9)
    return figure


@style()
def error_rates(scores: Scores, points: pd.DataFrame) -> Figure:
    """Both error rates over the threshold, one panel a detector, with the thresholds of operating points.

    Parameters
    ----------
    points
        ``detector``, ``point``, ``threshold``, ``fnmr`` and ``fmr`` (`sslig.stats.intervals.operating_points`). The EER
        is a circle, a held rate a triangle at that rate; a rate of 0 lies on the lower edge.
    """
    figure, axes = panels(len(scores), 1.9, columns=1, width=5.6)
    curves = {name: _rates(*classes) for name, classes in scores.items()}
    rates = np.concatenate([curve[["p_miss", "p_fa"]].to_numpy().ravel() for curve in curves.values()])
    floor = 10 ** np.floor(np.log10(min(rates[rates > 0].min(), 0.001)))
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        for rate, (colour, line, text) in RATE_LOOKS.items():
            drawn = curve[curve[rate] > 0]
            axis.plot(drawn["threshold"], drawn[rate], color=colour, ls=line, lw=1.8, label=text)
        marked = points[(points["detector"] == name) & np.isfinite(points["threshold"])]
        for row in marked.itertuples():
            marker, colour, rate = _mark(row)
            axis.plot(row.threshold, max(rate, floor), marker, color=colour, ms=7, mec="white", zorder=4, clip_on=False)
        axis.set(yscale="log", ylim=(floor, 1.3), ylabel="error rate (%)", title=name)
        axis.set_yticks(10.0 ** np.arange(round(np.log10(floor)), 1))
        axis.yaxis.set_major_formatter(PERCENT)
        axis.minorticks_off()
        axis.grid(axis="y", color="0.9")
    axes[-1].set_xlabel("threshold (spoof score, logit)")
    handles, labels = axes[0].get_legend_handles_labels()
    handles += [Line2D([], [], marker="o", ls="", color=BLACK), Line2D([], [], marker="v", ls="", color=GREY)]
    figure.legend(handles, [*labels, "EER", "rate held"], loc="outside upper center", ncols=2)
    return figure


def _rates(bonafide: ArrayLike, spoof: ArrayLike) -> pd.DataFrame:
    """Both error rates at 1000 thresholds."""
    bonafide, spoof = np.sort(bonafide), np.sort(spoof)
    at = np.linspace(min(bonafide[0], spoof[0]), max(bonafide[-1], spoof[-1]), 1000)
    p_miss = 1 - np.searchsorted(bonafide, at) / len(bonafide)
    return pd.DataFrame({"threshold": at, "p_miss": p_miss, "p_fa": np.searchsorted(spoof, at) / len(spoof)})


def _mark(point) -> tuple[str, str, float]:
    """Marker, colour and rate of an operating point."""
    if point.point == "EER":
        return "o", BLACK, (point.fnmr + point.fmr) / 2
    if "at BPCER" in point.point:
        return "v", EVIDENCE[BONAFIDE], point.fnmr
    return "v", EVIDENCE[SPOOF], point.fmr


@style()
def eer_bars(table: pd.DataFrame, group: str) -> Figure:
    """Equal error rate of each group (attack, codec ...) and detector, with its interval.

    Parameters
    ----------
    table
        ``detector``, `group`, ``value``, ``low``, ``high`` (rates; NaN draws no interval) and ``n_spoof``
        (`sslig.stats.intervals.by_condition`).
    """
    groups, looks = list(dict.fromkeys(table[group])), detector_styles(table["detector"])
    figure, (axis,) = figure_grid(1, [1.0 + len(groups) * (0.13 + 0.14 * len(looks))])
    thickness = 0.8 / len(looks)
    for position, (name, look) in enumerate(looks.items()):
        rows = table[table["detector"] == name]
        y = np.array([groups.index(value) for value in rows[group]]) + (position + 0.5) * thickness - 0.4
        axis.barh(y, rows["value"], thickness * 0.92, color=look["color"], label=name)
        axis.hlines(y, rows["low"], rows["high"], color=BLACK, lw=1.2)
    counts = table.groupby(group)["n_spoof"].max()
    axis.set_yticks(range(len(groups)), [f"{name} (n = {counts[name]:,})" for name in groups])
    axis.set(xlabel="EER (%)", ylabel=group, ylim=(len(groups) - 0.5, -0.5))
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(PERCENT)
    axis.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=min(4, len(looks)))
    return figure


@style()
def reliability(table: pd.DataFrame) -> Figure:
    """Observed against claimed share of spoofs, one panel a detector; points on the diagonal are well calibrated.

    `table` has ``detector``, ``claimed``, ``observed``, ``low`` and ``high`` (shares; NaN draws no interval).
    """
    looks, names = detector_styles(table["detector"]), list(dict.fromkeys(table["detector"]))
    width = 2.8 * min(2, len(names))
    figure, axes = panels(len(names), 2.6, columns=2, width=width, sharex=True, sharey=True)
    for axis, name in zip(axes, names, strict=True):
        part, look = table[table["detector"] == name].sort_values("claimed"), looks[name]
        axis.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (1, 2)))
        axis.vlines(part["claimed"], part["low"], part["high"], color=BLACK, lw=1)
        axis.plot(part["claimed"], part["observed"], **look, ms=5, mec="white")
        axis.set(title=name, aspect="equal", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
        for along in (axis.xaxis, axis.yaxis):
            along.set_ticks(np.linspace(0, 1, 5))
            along.set_major_formatter(PERCENT)
    figure.supxlabel("claimed share of spoofs (%)", fontsize=10)
    figure.supylabel("observed share of spoofs (%)", fontsize=10)
    return figure


def _det_limits(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The part of the axes that is worth drawing: from the smallest rate to well above the largest EER."""
    rates = np.concatenate([np.asarray(curve) for curve in curves.values()], axis=1)
    worst = max(np.maximum(*curve).min() for curve in curves.values())
    high = DET_TICKS[min(np.searchsorted(DET_TICKS, 3 * worst), len(DET_TICKS) - 1)]
    smallest = min(rates[rates > 0].min(), worst / 4, high / 10) if worst > 0 else DET_TICKS[0]
    low = DET_TICKS[max(np.searchsorted(DET_TICKS, smallest, side="right") - 1, 0)]
    return low, max(high, 0.1)
