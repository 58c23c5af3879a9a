"""Figures of how scores follow explanations: curves of methods over a grey band of what shifted maps give."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from sslig.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, figure_grid, style

LOOKS = [
    (BLACK, "-", "o"), (BLUE, "--", "s"), (VERMILLION, "-.", "^"), (GREEN, ":", "D"), (PURPLE, "-", "v"),
    (ORANGE, "--", "P"), (SKY, "-.", "X"),
]  # fmt: skip
"""Colour, line style and marker of methods, in this order, over and over."""

NOISE = "random"
"""The method that knows nothing, which is drawn in grey."""

BAND = "0.85"

WIDTH_IN = 5.6
"""Narrow, so that numbers can be read on a phone."""


def method_styles(names: Sequence[str]) -> dict[str, dict]:
    """Keywords of a line for each method: ``color``, ``linestyle`` and ``marker``."""
    known = [name for name in dict.fromkeys(names) if name != NOISE]
    looks = {name: LOOKS[place % len(LOOKS)] for place, name in enumerate(known)}
    looks |= {NOISE: (GREY, (0, (1, 1)), "*")} if NOISE in set(names) else {}
    return {name: dict(zip(("color", "linestyle", "marker"), look, strict=True)) for name, look in looks.items()}


@style()
def method_curves(
    table: pd.DataFrame, statistics: Mapping[str, str], *, x: str, y: str, log: bool = False, chance: str
) -> Figure:
    """Each method as a line, a row of panels a detector and a column a statistic, over a band of the controls.

    The band reaches from the lowest to the highest end of any method's controls. A marker is filled where the interval
    of the advantage over the method's own control, utterance by utterance, lies above 0.

    Parameters
    ----------
    table
        ``detector``, ``method``, ``statistic``, ``x``, ``value``, ``band_low`` and ``band_high`` (of the controls; or
        NaN, then ``control`` is taken) and ``supported``.
    statistics
        Those that are drawn, with the title of each.
    x, y
        Labels of the axes.
    log
        Whether the horizontal axis is logarithmic.
    chance
        Legend of the band.

    Raises
    ------
    ValueError
        The table has none of the statistics.
    """
    rows = table[table["statistic"].isin(statistics)]
    if rows.empty:
        raise ValueError(f"the table has no rows of {', '.join(statistics)}")
    detectors, shown = (
        list(dict.fromkeys(rows["detector"])),
        [one for one in statistics if one in set(rows["statistic"])],
    )
    looks = method_styles(rows["method"])
    figure, axes = figure_grid(
        len(detectors), heights=[2.3] * len(detectors), columns=len(shown), width=WIDTH_IN, sharex=True, sharey="row"
    )
    for place, axis in enumerate(axes):
        detector, statistic = detectors[place // len(shown)], shown[place % len(shown)]
        part = rows[(rows["detector"] == detector) & (rows["statistic"] == statistic)].sort_values("x", kind="stable")
        _draw(axis, part, looks)
        axis.set_title(f"{detector}: {statistics[statistic]}")
        if log:
            axis.set_xscale("log")
        ticks = sorted(rows["x"].unique())
        axis.set_xticks(ticks)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", which="minor", length=0)
    figure.supxlabel(x, fontsize=10)
    figure.supylabel(y, fontsize=10)
    lines = [Line2D([], [], ms=5, label=name, **look) for name, look in looks.items()]
    figure.legend(handles=[*lines, Patch(color=BAND, label=chance)], loc="outside upper center",
                  ncols=2)  # fmt: skip
    return figure


def _draw(axis: Axes, rows: pd.DataFrame, looks: Mapping[str, dict]) -> None:
    low, high = rows["band_low"].fillna(rows["control"]), rows["band_high"].fillna(rows["control"])
    band = rows.assign(low=low, high=high).groupby("x").agg(low=("low", "min"), high=("high", "max"))
    axis.fill_between(band.index, band["low"], band["high"], color=BAND, lw=0, zorder=0)
    axis.axhline(0, color=GREY, lw=0.8)
    for name, line in rows.groupby("method", sort=False):
        look = looks[name]
        axis.plot(line["x"], line["value"], color=look["color"], ls=look["linestyle"], lw=1.6)
        for supported, part in line.groupby("supported"):
            axis.plot(part["x"], part["value"], look["marker"], color=look["color"], ls="", ms=5,
                      mfc=look["color"] if supported else "white")  # fmt: skip
