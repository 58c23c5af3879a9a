"""Figures of artefacts: measures as detectors, against scores, and evidence over time and in segments of speech."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from sslig.labels import KEYS
from sslig.plots.style import (
    BLACK,
    EVIDENCE,
    GREY,
    PERCENT,
    detector_styles,
    evidence_map,
    figure_grid,
    style,
)

CLASSES = {"bonafide": "bona fide", "spoof": "spoof"}
MARKERS = {"bonafide": "o", "spoof": "s"}


@style()
def measure_eers(table: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """The EER of each measure alone with its interval, the strongest on top, coloured by the class it is larger in.

    Parameters
    ----------
    table
        ``measure``, ``eer``, ``low``, ``high`` (rates), ``larger_in`` (a key, or another word for neither) and
        ``p_holm``; a measure without EER is left out.
    alpha
        Filled where ``p_holm`` is below.
    """
    rows = table[table["eer"].notna()].sort_values("eer", kind="stable").reset_index(drop=True)
    figure, (axis,) = figure_grid(1, heights=[0.8 + 0.24 * len(rows)], width=5.6)
    for y, row in rows.iterrows():
        color = EVIDENCE[KEYS[row["larger_in"]]] if row["larger_in"] in KEYS else GREY
        _point(axis, row["eer"], row["low"], row["high"], y, color, MARKERS.get(row["larger_in"], "D"),
               row["p_holm"] < alpha)  # fmt: skip
    axis.axvline(0.5, color=GREY, lw=1, ls=(0, (1, 2)))
    axis.set_yticks(range(len(rows)), rows["measure"], fontsize=10)
    axis.set(xlabel="EER as the only measure (%); 50 is chance", ylim=(len(rows) - 0.5, -0.5))
    axis.xaxis.set_major_formatter(PERCENT)
    _calm(axis)
    handles = [Line2D([], [], ls="", marker=MARKERS[key], color=EVIDENCE[label], label=f"larger in {CLASSES[key]}")
               for key, label in KEYS.items()]  # fmt: skip
    figure.legend(handles=[*handles, _open("not beyond doubt")], loc="outside upper center", ncols=2)
    return figure


@style()
def score_heatmap(table: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """Rank correlations of scores with measures, a row a measure, a column a detector, a panel a class.

    Parameters
    ----------
    table
        ``detector``, ``key``, ``measure``, ``spearman`` and ``p_holm``.
    alpha
        Numbers are bold where ``p_holm`` is below.
    """
    keys = [key for key in KEYS if (table["key"] == key).any()]
    measures, detectors = table["measure"].unique(), table["detector"].unique()
    figure, axes = figure_grid(1, heights=[0.6 + 0.24 * len(measures)], columns=len(keys), sharey=True)
    limit = max(0.1, table.loc[table["key"].isin(keys), "spearman"].abs().max())
    for axis, key in zip(axes, keys, strict=True):
        part = table[table["key"] == key].set_index(["measure", "detector"])
        grid, p = (part[name].unstack().loc[measures, detectors] for name in ("spearman", "p_holm"))
        seaborn.heatmap(grid, ax=axis, cmap=evidence_map(), vmin=-limit, vmax=limit, annot=True, fmt="+.2f",
                        annot_kws={"size": 9, "color": BLACK}, cbar=False, linewidths=0.5)  # fmt: skip
        supported = (p < alpha).to_numpy()[grid.notna().to_numpy()]  # (number that is written,)
        for text, bold in zip(axis.texts, supported, strict=True):
            text.set_fontweight("bold" if bold else "normal")
        axis.set(title=CLASSES[key], xlabel="", ylabel="")
        axis.tick_params(length=0, rotation=0, labelsize=10)
    figure.supxlabel("rank correlation with the spoof score; bold: beyond doubt", fontsize=10)
    return figure


@style()
def time_correlations(table: pd.DataFrame, kinds: Mapping[str, str], alpha: float = 0.05) -> Figure:
    """Correlation over time of evidence with tracks, on a grey bar of what chance gives; a panel a track.

    Parameters
    ----------
    table
        ``detector``, ``key``, ``track``, ``evidence``, ``r``, ``low``, ``high``, ``null_low``, ``null_high``,
        ``p_holm``; a correlation that is not defined is left out.
    kinds
        Name of each value of ``evidence`` for the axis.
    alpha
        Filled where ``p_holm`` is below.
    """
    tracks, looks = list(table["track"].unique()), detector_styles(table["detector"])
    groups = [(kind, key) for kind in kinds for key in KEYS if (table["key"] == key).any()]
    heights = [0.6 + len(groups) * (0.32 + 0.18 * len(looks))]
    figure, axes = figure_grid(1, heights=heights, columns=len(tracks), sharey=True, sharex=True)
    for axis, track in zip(axes, tracks, strict=True):
        for row in table[(table["track"] == track) & table["r"].notna()].itertuples():
            y = groups.index((row.evidence, row.key)) + _beside(looks, row.detector)
            axis.plot([row.null_low, row.null_high], [y, y], color="0.8", lw=6, solid_capstyle="butt", zorder=1)
            look = looks[row.detector]
            _point(axis, row.r, row.low, row.high, y, look["color"], look["marker"], row.p_holm < alpha)
        axis.axvline(0, color=GREY, lw=1)
        axis.set(title=track, ylim=(len(groups) - 0.5, -0.5))
        _calm(axis)
    axes[0].set_yticks(range(len(groups)), [f"{kinds[kind]},\n{CLASSES[key]}" for kind, key in groups], fontsize=10)
    figure.supxlabel("rank correlation over time", fontsize=10)
    extra = [Patch(color="0.8", label="by chance"), _open("not beyond chance")]
    figure.legend(handles=[*_detectors(looks), *extra], loc="outside upper center", ncols=3)
    return figure


@style()
def contributions(table: pd.DataFrame, segments: Mapping[str, str], alpha: float = 0.05) -> Figure:
    """Evidence in classes of segments over their share of time, on a logarithmic axis; a panel a class of utterances.

    Parameters
    ----------
    table
        ``detector``, ``key``, ``segment``, ``relative``, ``low``, ``high`` (1 = the share of time) and ``p_holm``;
        what is not defined is left out, as is an end of an interval at 0.
    segments
        Name of each segment class for the axis, the first on top.
    alpha
        Filled where ``p_holm`` is below.
    """
    keys, looks = [key for key in KEYS if (table["key"] == key).any()], detector_styles(table["detector"])
    heights = [0.6 + len(segments) * (0.15 + 0.15 * len(looks))]
    figure, axes = figure_grid(1, heights=heights, columns=len(keys), sharey=True, sharex=True)
    rows = table[(table["relative"] > 0) & table["segment"].isin(segments)]
    low, high = _ratio_limits(rows)
    for axis, key in zip(axes, keys, strict=True):
        for row in rows[rows["key"] == key].itertuples():
            y, look = list(segments).index(row.segment) + _beside(looks, row.detector), looks[row.detector]
            _point(axis, row.relative, max(row.low, low), min(row.high, high), y, look["color"], look["marker"],
                   row.p_holm < alpha)  # fmt: skip
        axis.axvline(1, color=GREY, lw=1)
        axis.set(title=CLASSES[key], xscale="log", xlim=(low, high), ylim=(len(segments) - 0.5, -0.5))
        _ratio_axis(axis, low, high)
        _calm(axis)
    axes[0].set_yticks(range(len(segments)), list(segments.values()), fontsize=10)
    figure.supxlabel("evidence over share of time; 1 is what any frames would have", fontsize=10)
    figure.legend(handles=[*_detectors(looks), _open("not beyond doubt")], loc="outside upper center", ncols=4)
    return figure


def _ratio_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Powers of two that hold every point, and of the intervals what is within a factor of two of it."""
    if rows.empty:
        return 1 / 2, 2
    low = min(0.9, max(rows["low"].min(), rows["relative"].min() / 2))
    high = max(1.1, min(rows["high"].max(), rows["relative"].max() * 2))
    return 2.0 ** np.floor(np.log2(low)), 2.0 ** np.ceil(np.log2(high))


def _ratio_axis(axis: Axes, low: float, high: float) -> None:
    axis.set_xticks(2.0 ** np.arange(np.log2(low), np.log2(high) + 1))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}" if ratio >= 1 else f"1/{1 / ratio:g}"))
    axis.xaxis.set_minor_locator(NullLocator())


def _point(
    axis: Axes, value: float, low: float, high: float, y: float, color: str, marker: str, filled: bool
) -> None:  # fmt: skip
    axis.plot([low, high], [y, y], color=color, lw=2, zorder=2)
    face = color if filled else "white"
    axis.plot(value, y, marker, color=color, mfc=face, mec=color if not filled else BLACK, mew=1.2, ms=7, zorder=3)


def _beside(names: Sequence[str] | Mapping[str, dict], name: str) -> float:
    """How far from its group's place a detector is drawn."""
    return 0.7 * ((list(names).index(name) + 0.5) / len(names) - 0.5)


def _detectors(looks: Mapping[str, dict]) -> list[Line2D]:
    return [Line2D([], [], ls="", marker=look["marker"], color=look["color"], mec=BLACK, label=name)
            for name, look in looks.items()]  # fmt: skip


def _open(label: str) -> Line2D:
    return Line2D([], [], ls="", marker="o", mfc="white", mec=GREY, mew=1.2, label=label)


def _calm(axis: Axes) -> None:
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
