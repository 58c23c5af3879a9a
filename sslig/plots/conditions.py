"""Heat maps of a metric under pairs of conditions, such as attack and codec, with counts."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslig.plots.style import GREY, WIDTH_IN, figure_grid, style

LOOKS = {
    "eer": (100, 1, "EER (%)"),
    "min_dcf": (1, 2, "minDCF"),
    "act_dcf": (1, 2, "actDCF"),
    "cllr": (1, 2, "Cllr (bits)"),
}
"""Metric -> factor, decimals and label."""

MOST_COLUMNS = 8
"""Columns of a heat map side by side, so that its numbers can be read."""


@style()
def metric_heatmap(
    table: pd.DataFrame,
    metric: str,
    *,
    rows: str = "attack",
    columns: str = "codec",
    panels: Sequence[str] = (),
    title: str | None = None,
) -> Figure:
    """One metric under each pair of conditions, a panel for each combination of further ones, with counts.

    A cell holds the metric and, below it, the number of its spoofs; the bona fide trials that they meet are counted
    below the name of the column.

    Parameters
    ----------
    table
        `rows`, `columns`, `panels`, the metric by its name (NaN leaves the cell empty) and, if cells are to be counted,
        ``n_spoof`` and ``n_bonafide``.
    metric
        One of `sslig.stats.metrics.METRICS`.
    rows, columns
        Conditions on the axes.
    panels
        Conditions, such as detector and gender, whose combinations have panels of their own; those of the last of
        several stand side by side where there is room.
    title
        Of a figure without panels.
    """
    factor, decimals, label = LOOKS[metric]
    groups = _panels(table, panels) if panels else {title: table}
    n_columns = table[columns].nunique()
    across = table[panels[-1]].nunique() if len(panels) > 1 else 1
    across = across if across * n_columns <= MOST_COLUMNS else 1
    down = -(-len(groups) // across)
    height = 0.75 + 0.36 * table[rows].nunique()
    width = min(WIDTH_IN, max(4.0, 1.6 + 0.62 * across * n_columns))
    figure, axes = figure_grid(down, [height] * down, columns=across, width=width)
    highest = factor * table[metric].max()
    limits = {"vmin": 0, "vmax": highest if highest > 0 else 1, "cmap": "cividis"}
    for place, (axis, (name, part)) in enumerate(zip(axes, groups.items(), strict=False)):
        grid = factor * part.pivot(index=rows, columns=columns, values=metric)
        seaborn.heatmap(grid, ax=axis, cbar=False, annot=True, fmt=f".{decimals}f", annot_kws={"size": 9},
                        linewidths=0.5, **limits)  # fmt: skip
        axis.tick_params(length=0, rotation=0)
        axis.tick_params(axis="x", labelsize=9 if n_columns <= MOST_COLUMNS else 7)
        axis.set(xlabel=columns if place >= len(groups) - across else "", ylabel="" if place % across else rows,
                 title=name)  # fmt: skip
        if "n_spoof" in part:
            _count(axis, part, grid, rows, columns)
    for axis in axes[len(groups) :]:
        axis.remove()
    figure.colorbar(axes[0].collections[0], ax=list(axes[: len(groups)]), label=label, pad=0.02, aspect=30)
    return figure


def _panels(table: pd.DataFrame, conditions: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The rows of each combination of conditions by their names, the last condition changing fastest."""
    parts = dict(list(table.groupby(list(conditions), sort=False)))
    order = product(*(table[name].unique() for name in conditions))
    return {" ".join(map(str, names)): parts[names] for names in order if names in parts}


def _count(axis: Axes, part: pd.DataFrame, grid: pd.DataFrame, rows: str, columns: str) -> None:
    """Write the spoofs of each cell below its metric, and the bona fide trials below the names of the columns."""
    for text in axis.texts:
        text.set_verticalalignment("bottom")
    written = {text.get_position(): text.get_color() for text in axis.texts}
    counts = part.pivot(index=rows, columns=columns, values="n_spoof").loc[grid.index, grid.columns]
    for (row, column), n in np.ndenumerate(counts.to_numpy()):
        if n > 0:
            place = (column + 0.5, row + 0.5)
            axis.text(*place, f"{int(n):,}", ha="center", va="top", size=7.5, color=written.get(place, GREY))
    bonafide = part.groupby(columns)["n_bonafide"].max().loc[grid.columns]
    axis.set_xticks(np.arange(len(bonafide)) + 0.5, [f"{name}\n{n:,}" for name, n in bonafide.items()])
