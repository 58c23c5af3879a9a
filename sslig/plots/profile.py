"""Figures of cue profiles: in which segments the top regions of explanations lie."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from sslig.plots.style import BLACK, GREY, detector_styles, figure_grid, style

SMALLEST, LARGEST = 1 / 16, 16.0
"""Ratios outside are drawn at these ends."""

WIDTH_IN = 5.6


@style()
def class_ratios(table: pd.DataFrame) -> Figure:
    """Evidence in each class of segments over its share of time, with intervals, on a logarithmic axis.

    Parameters
    ----------
    table
        ``detector``, ``segment_class`` (the first on top), ``value``, ``low`` and ``high``; intervals of NaN are not
        drawn, and a marker is filled where its interval does not hold 1.

    Raises
    ------
    ValueError
        The table has no rows.
    """
    if table.empty:
        raise ValueError("no classes of segments to draw")
    looks, classes = detector_styles(table["detector"]), list(dict.fromkeys(table["segment_class"]))
    figure, (axis,) = figure_grid(1, heights=[0.5 + len(classes) * (0.14 + 0.15 * len(looks))], width=WIDTH_IN)
    for row in table.itertuples():
        beside = 0.7 * ((list(looks).index(row.detector) + 0.5) / len(looks) - 0.5)
        y, look = classes.index(row.segment_class) + beside, looks[row.detector]
        ends = np.clip([row.low, row.high], SMALLEST, LARGEST)
        axis.plot(ends, [y, y], color=look["color"], lw=2, zorder=2)
        beyond = row.low < row.high and (row.low > 1 or row.high < 1)
        face, edge = (look["color"], BLACK) if beyond else ("white", look["color"])
        value = np.clip(row.value, SMALLEST, LARGEST)
        axis.plot(value, y, look["marker"], ls="", ms=6, mew=1.2, mfc=face, mec=edge, zorder=3)
    axis.axvline(1, color=GREY, lw=1)
    low, high = _limits(table)
    axis.set(xscale="log", xlim=(low / 1.1, high * 1.1), ylim=(len(classes) - 0.5, -0.5))
    axis.set_xlabel("evidence over share of time; 1 is what any frames would have")
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xticks(2.0 ** np.arange(np.log2(low), np.log2(high) + 1))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: _ratio(ratio)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
    handles = [Line2D([], [], ls="", marker=look["marker"], color=look["color"], mec=BLACK, label=name)
               for name, look in looks.items()]  # fmt: skip
    unsure = Line2D([], [], ls="", marker="o", mfc="white", mec=GREY, label="not beyond doubt")
    figure.legend(handles=[*handles, unsure], loc="outside upper center", ncols=4)
    return figure


def _ratio(ratio: float) -> str:
    """As the axis writes it; at the ends stands whatever lies beyond them too."""
    end = "≤ " if np.isclose(ratio, SMALLEST) else "≥ " if np.isclose(ratio, LARGEST) else ""
    return end + (f"{ratio:g}" if ratio >= 1 else f"1/{1 / ratio:g}")


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Powers of two that hold every point, within the ends."""
    values = table["value"].clip(SMALLEST, LARGEST)
    low, high = min(0.5, values.min()), max(2.0, values.max())
    return float(2.0 ** np.floor(np.log2(low))), float(2.0 ** np.ceil(np.log2(high)))
