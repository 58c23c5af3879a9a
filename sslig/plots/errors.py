"""Figures of errors: trade-offs, error rates of groups, and distributions of scores."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.plots.style import (
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

MOST_REGIONS = 15

RATE_LOOKS = {
    "fnmr": (EVIDENCE[BONAFIDE], "-", "FNMR: bona fide called spoof"),
    "fmr": (EVIDENCE[SPOOF], "--", "FMR: spoof called bona fide"),
}
"""Rate -> colour, line style and name."""


@style()
def det(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], eers: Mapping[str, float] | None = None) -> Figure:
    """Detection error trade-off on probit axes, where normal scores give straight lines.

    Parameters
    ----------
    curves
        (point,) P_fa and (point,) P_miss by detector (`sslig.stats.metrics.det_points`).
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
def error_rates(curves: Mapping[str, pd.DataFrame], points: pd.DataFrame) -> Figure:
    """Both error rates over the threshold, one panel a detector, with the threshold of the EER and of held rates.

    Parameters
    ----------
    curves
        By detector: ``threshold``, ``fnmr`` and ``fmr``.
    points
        ``detector``, ``point``, ``threshold``, ``fnmr`` and ``fmr`` (`sslig.stats.operating_points.table`); the EER is
        marked as such, the others by the rate that they hold.
    """
    figure, axes = figure_grid(len(curves), heights=[1.9] * len(curves), width=5.6)
    shown = np.concatenate([curve[["fnmr", "fmr"]].to_numpy().ravel() for curve in curves.values()])
    floor = 10 ** np.floor(np.log10(min(shown[shown > 0].min(), 0.001)))
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        for rate, (colour, line, text) in RATE_LOOKS.items():
            visible = curve[curve[rate] > 0]
            axis.plot(visible["threshold"], visible[rate], color=colour, ls=line, lw=1.8, label=text)
        for row in points[points["detector"] == name].itertuples():
            if not np.isfinite(row.threshold):
                continue
            if row.point == "EER":
                rate = max((row.fnmr + row.fmr) / 2, floor)
                axis.plot(row.threshold, rate, "o", color=BLACK, ms=6, mec="white", zorder=4, clip_on=False)
                continue
            held = "fnmr" if "at FNMR" in row.point else "fmr"
            axis.plot(row.threshold, max(getattr(row, held), floor), marker="v", ls="", color=RATE_LOOKS[held][0], ms=7,
                      mec="white", zorder=4, clip_on=False)  # fmt: skip
        axis.set(yscale="log", ylim=(floor, 1.3), ylabel="error rate (%)", title=name)
        axis.set_yticks(10.0 ** np.arange(round(np.log10(floor)), 1))
        axis.yaxis.set_major_formatter(PERCENT)
        axis.minorticks_off()
        axis.grid(axis="y", color="0.9")
    axes[-1].set_xlabel("threshold (spoof score, logit)")
    handles, labels = axes[0].get_legend_handles_labels()
    handles += [Line2D([], [], marker="o", ls="", color=BLACK), Line2D([], [], marker="v", ls="", color=GREY)]
    figure.legend(handles, [*labels, "EER", "1 % and 0.1 % held"], loc="outside upper center", ncols=2)
    return figure


@style()
def error_regions(table: pd.DataFrame) -> Figure:
    """The regions of the Venn diagram of errors: how many utterances each set of detectors, and no other, gets wrong.

    Parameters
    ----------
    table
        ``key``, ``wrong`` (the set), ``n_wrong``, ``observed`` and ``expected`` of independent errors
        (`sslig.stats.consensus.error_overlap`); the region without errors is left out, and of many regions the rarest.
    """
    table = table[table["n_wrong"] > 0]
    largest = table.groupby("wrong")["observed"].sum().nlargest(MOST_REGIONS).index
    names = [name for name in dict.fromkeys(table["wrong"]) if name in largest]
    figure, axes = figure_grid(2, [0.5 + 0.28 * len(names)] * 2, width=5.6, sharex=True)
    for axis, (key, label) in zip(axes, KEYS.items(), strict=True):
        rows = table[table["key"] == key].set_index("wrong").loc[names]
        axis.barh(range(len(names)), rows["observed"], 0.7, color=EVIDENCE[label], alpha=0.75)
        axis.plot(rows["expected"], range(len(names)), "D", color=BLACK, ms=5, mec="white", label="if independent")
        axis.set_yticks(range(len(names)), [f"{name} ({n:,})" for name, n in rows["observed"].items()])
        axis.set(title={"bonafide": "bona fide called spoof", "spoof": "spoofs called bona fide"}[key])
        axis.set(ylabel="wrong are", ylim=(len(names) - 0.5, -0.5), xlim=(0, None))
        axis.tick_params(axis="y", length=0)
    axes[-1].set_xlabel("utterances")
    axes[-1].margins(x=0.1)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center")
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
