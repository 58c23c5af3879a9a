"""Figures of calibrated scores: what they claim against what is so."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sslig.plots.style import BLACK, GREY, detector_styles, figure_grid, style


@style()
def reliability(table: pd.DataFrame) -> Figure:
    """Share of spoofs against the share that the scores claim, one panel a detector; on the diagonal where they hold.

    Parameters
    ----------
    table
        ``detector``, ``claimed``, ``observed``, ``low``, ``high`` (shares; NaN draws no interval).
    """
    looks = detector_styles(table["detector"])
    names = list(dict.fromkeys(table["detector"]))
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, axes = figure_grid(rows, [2.6] * rows, columns=columns, width=2.8 * columns, sharex=True, sharey=True)
    for axis, name in zip(axes, names, strict=False):
        part, look = table[table["detector"] == name].sort_values("claimed"), looks[name]
        axis.plot([0, 100], [0, 100], color=GREY, lw=0.8, ls=(0, (1, 2)))
        axis.vlines(100 * part["claimed"], 100 * part["low"], 100 * part["high"], color=BLACK, lw=1)
        axis.plot(100 * part["claimed"], 100 * part["observed"], color=look["color"], ls=look["linestyle"],
                  marker=look["marker"], ms=5, mec="white")  # fmt: skip
        axis.set(title=name, aspect="equal", xlim=(-4, 104), ylim=(-4, 104))
        axis.set_xticks(np.arange(0, 101, 25))
        axis.set_yticks(np.arange(0, 101, 25))
    for axis in axes[len(names) :]:
        axis.remove()
    figure.supxlabel("claimed share of spoofs (%)", fontsize=10)
    figure.supylabel("observed share of spoofs (%)", fontsize=10)
    return figure
