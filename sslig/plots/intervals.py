"""Figures of estimates with the intervals that a table holds, which seaborn draws from raw observations only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslig.cues.effects import SUPPORTED
from sslig.errors import InputError
from sslig.plots.style import BLACK, GREY, detector_styles, panels, style

MASKS_IN = 6.0
"""Width of figures of masks, narrower than others, so that the many names stay readable on a telephone."""

LABEL_CHARACTERS = 24
"""A longer name of a mask has its parameters on a second line."""

TESTED = {"excess": ("o", "beyond the control"), "change": ("D", "against unmasked (no control)")}
FILLS = {BLACK: "supported (.05, Holm)", "white": "not shown, or not tested"}

SCALES = {
    "bonafide_change": ("bona fide score (logit), right: more like spoof", 1),
    "spoof_change": ("spoof score (logit), right: more like spoof", 1),
    "separation": ("separation (SD), right: classes further apart", 1),
    "eer": ("EER (percentage points), right: more errors", 100),
    "min_dcf": ("minDCF, right: more errors", 1),
    "far": ("APCER (percentage points), right: more spoofs called bona fide", 100),
    "frr": ("BPCER (percentage points), right: more bona fide called spoof", 100),
}
"""Statistic -> its name on an axis, and the factor to its unit."""


@style()
def intervals(
    table: pd.DataFrame,
    value: str,
    group: str,
    hue: str,
    looks: Mapping[Any, Mapping[str, Any]],
    *,
    panel: str | None = None,
    xlabel: str = "",
    zero: bool = False,
) -> Figure:
    """Draw a point and its interval for each row, groups from top to bottom in their order in the table.

    Parameters
    ----------
    table
        ``low`` and ``high`` (NaN draws no interval), and the columns named by the other arguments.
    value, group, hue, panel
        Columns of the points, of the places on the axis, of what is dodged within a place, and of the panels.
    looks
        ``color`` and ``marker`` of each hue, in the order in which they are dodged.
    zero
        Whether 0 is marked.
    """
    groups, names = list(dict.fromkeys(table[group])), list(dict.fromkeys(table[panel])) if panel else [None]
    height = 0.5 + (0.18 + 0.12 * len(looks)) * len(groups)
    figure, axes = panels(len(names), height, sharex=True, sharey=True)
    for axis, name in zip(axes, names, strict=True):
        part = table if panel is None else table[table[panel] == name]
        for place, (label, look) in enumerate(looks.items()):
            points = part[part[hue] == label]
            y = np.array([groups.index(item) for item in points[group]]) + 0.7 * ((place + 0.5) / len(looks) - 0.5)
            axis.hlines(y, points["low"], points["high"], color=look["color"], lw=1.8)
            axis.plot(points[value], y, look["marker"], color=look["color"], mec=BLACK, mew=0.5, ms=5, label=label)
        if zero:
            axis.axvline(0, color=GREY, lw=0.8, ls=":")
        axis.set(title=name or "", ylim=(len(groups) - 0.5, -0.5))
        axis.set_yticks(range(len(groups)), groups)
        axis.grid(axis="x", color="0.9")
        axis.tick_params(axis="y", length=0)
    figure.supxlabel(xlabel, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        texts = [str(label).replace("$", r"\$") for label in labels]
        figure.legend(handles, texts, loc="outside upper center", ncols=4)
    return figure


@style()
def mask_effects(table: pd.DataFrame, statistic: str) -> Figure:
    """The effect of each mask with its interval: a panel a detector, three panels in a row.

    A circle is the excess over the control, a diamond the change against the unmasked scores where a mask has no
    control. It is filled where the effect is supported. Logits of different detectors do not compare, so they have
    an axis for each panel. `table` is that of `sslig.cues.effects.effects` for one seed, with masks in its order.
    """
    rows, (label, factor) = _rows(table, statistic)
    masks, looks = list(rows["mask"].unique()), detector_styles(rows["detector"])
    share_x = "none" if statistic.endswith("_change") else "all"
    figure, axes = panels(len(looks), 0.8 + 0.3 * len(masks), width=MASKS_IN, sharey=True, sharex=share_x)
    for axis, (name, look) in zip(axes, looks.items(), strict=True):
        part = rows[rows["detector"] == name]
        place = part["mask"].map(masks.index)
        axis.axvline(0, color=GREY, lw=0.8)
        axis.hlines(place, factor * part["low"], factor * part["high"], color=look["color"], lw=1.3)
        for (tested, supported), marks in part.groupby(["tested", part["verdict"] == SUPPORTED]):
            face = look["color"] if supported else "white"
            axis.plot(factor * marks["effect"], place[marks.index], TESTED[tested][0], color=look["color"], mfc=face)
        axis.set_title(name)
        axis.tick_params(axis="x", labelbottom=True)
        axis.xaxis.set_major_locator(MaxNLocator(3))
    texts = [mask.replace("(", "\n(", 1) if len(mask) > LABEL_CHARACTERS else mask for mask in masks]
    axes[0].set_yticks(range(len(masks)), texts, fontsize=8)
    axes[0].set_ylim(len(masks) - 0.5, -0.5)
    figure.supxlabel(f"effect on {label}", fontsize=10)
    handles = [Line2D([], [], color=BLACK, marker=marker, label=text) for marker, text in TESTED.values()]
    handles += [Line2D([], [], color=BLACK, marker="s", ls="", mfc=face, label=text) for face, text in FILLS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@style()
def dose_response(table: pd.DataFrame, statistic: str = "separation") -> Figure:
    """The effect of a mask over the parameter that is swept: a panel a family, a line a detector, its control dotted.

    Both are changes against the unmasked scores; the band is the interval of the masked. A marker is filled where the
    effect of the mask is supported. `table` is that of `sslig.cues.effects.effects` for one seed, with ``family``,
    ``parameter`` and ``value``.
    """
    rows, (label, factor) = _rows(table, statistic)
    families, looks = list(rows.groupby(["family", "parameter"])), detector_styles(rows["detector"])
    figure, axes = panels(len(families), 2.6, columns=1, width=MASKS_IN)
    for axis, ((family, parameter), part) in zip(axes, families, strict=True):
        axis.axhline(0, color=GREY, lw=0.8)
        for detector, line in part.sort_values("value").groupby("detector"):
            _draw_dose(axis, line, factor, looks[detector])
        axis.set(xlabel=parameter, ylabel=f"change of\n{label.split(',')[0]}", title=family)
    lines = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    lines.append(Line2D([], [], color=GREY, ls=":", label="control"))
    figure.legend(handles=lines, loc="outside upper center", ncols=4)
    return figure


def _rows(table: pd.DataFrame, statistic: str) -> tuple[pd.DataFrame, tuple[str, int]]:
    rows = table[table["statistic"] == statistic]
    if statistic not in SCALES or not len(rows):
        known = ", ".join(table["statistic"].unique()) or "no rows"
        raise InputError(f"no rows of the statistic {statistic!r}; the table has {known}")
    return rows, SCALES[statistic]


def _draw_dose(axis: Axes, line: pd.DataFrame, factor: int, look: dict) -> None:
    value, change, colour = line["value"], factor * line["change"], look["color"]
    axis.fill_between(value, factor * line["change_low"], factor * line["change_high"], color=colour, alpha=0.15, lw=0)
    axis.plot(value, change, color=colour, ls=look["linestyle"], lw=1.8)
    for supported, part in line.groupby(line["verdict"] == SUPPORTED):
        face = colour if supported else "white"
        axis.plot(part["value"], factor * part["change"], look["marker"], color=colour, mfc=face, ms=5)
    axis.plot(value, factor * (line["control"] - line["unmasked"]), color=colour, ls=":", lw=1.5)
