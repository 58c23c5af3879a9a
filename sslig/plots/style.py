"""The look of all figures: colours (`sslig.plots.colours`), font sizes and the axes that figures start from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sslig.labels import BONAFIDE, SPOOF
from sslig.plots.colours import (
    BLACK,
    BLUE,
    EVIDENCE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    detector_styles,
)

__all__ = [  # with the colours, which notebooks take from here
    "BLACK",
    "BLUE",
    "EVIDENCE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PERCENT",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "WIDTH_IN",
    "YELLOW",
    "detector_styles",
    "evidence_map",
    "figure_grid",
    "panels",
    "style",
]

WIDTH_IN = 7.0
"""Width of a figure; 700 px at the resolution of the book."""

RC = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 11,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
}

PERCENT = FuncFormatter(lambda rate, _: f"{100 * rate:g}")
"""Rates on an axis, in percent."""


@contextmanager
def style() -> Iterator[None]:
    """Apply the look of the project inside the block or, as ``@style()``, inside a function."""
    look = {**seaborn.axes_style("ticks"), **RC}
    # Not `rc_context`, which also stops a kernel showing figures.
    previous = {name: plt.rcParams[name] for name in look}
    plt.rcParams.update(look)
    try:
        yield
    finally:
        plt.rcParams.update(previous)


def evidence_map() -> Colormap:
    """Diverging colours: blue (bona fide) through white (nothing) to vermillion (spoof)."""
    return LinearSegmentedColormap.from_list("evidence", [EVIDENCE[BONAFIDE], "white", EVIDENCE[SPOOF]])


def figure_grid(
    rows: int, heights: Sequence[float], *, columns: int = 1, width: float = WIDTH_IN, **kwargs
) -> tuple[Figure, Sequence[Axes]]:
    """A figure of `rows` times `columns` axes, `heights` and `width` in inches, with room for labels."""
    size = (width, sum(heights) + 0.7)
    figure, axes = plt.subplots(rows, columns, figsize=size, height_ratios=heights, squeeze=False, **kwargs)
    # Closed for pyplot, a figure is shown once: where it is returned.
    plt.close(figure)
    return figure, axes.ravel()


def panels(number: int, height: float, *, columns: int = 3, **kwargs) -> tuple[Figure, Sequence[Axes]]:
    """A `figure_grid` of `number` axes of one height, `columns` side by side."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure, axes = figure_grid(rows, [height] * rows, columns=columns, **kwargs)
    for axis in axes[number:]:
        axis.remove()
    for axis in axes[number - columns : number]:
        axis.tick_params(labelbottom=True)
    return figure, axes[:number]
