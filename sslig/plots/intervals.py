"""Points with the intervals that a table holds, which seaborn draws from raw observations only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sslig.plots.style import BLACK, GREY, WIDTH_IN, figure_grid, style

COLUMNS = 3
"""Panels beside each other."""


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
    groups, panels = list(dict.fromkeys(table[group])), list(dict.fromkeys(table[panel])) if panel else [None]
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    heights = [0.5 + (0.18 + 0.12 * len(looks)) * len(groups)] * rows
    figure, axes = figure_grid(rows, heights, columns=columns, width=WIDTH_IN, sharex=True, sharey=True)
    for axis, name in zip(axes, panels, strict=False):
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
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.supxlabel(xlabel, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, [str(label).replace("$", r"\$") for label in labels], loc="outside upper center", ncols=4
        )
    return figure
