"""The look of all figures: colours, line styles, font sizes and the axes that figures start from.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish. In every figure evidence for spoof
is vermillion and evidence for bona fide is blue; detectors have other colours, and differ in line style too.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sslig.labels import BONAFIDE, SPOOF

WIDTH_IN = 7.0
"""Width of a figure; 700 px at the resolution of the book."""

BLACK, GREY = "#000000", "#6E6E6E"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

EVIDENCE = {BONAFIDE: BLUE, SPOOF: VERMILLION}
"""Colour of each label, and of the evidence for it."""

DETECTORS = {"aasist": (GREEN, "-", "o"), "camhfa": (PURPLE, "--", "s"), "sls": (SKY, "-.", "^")}
"""Colour, line style and marker of the project's heads."""

FREE = [(ORANGE, ":", "D"), (BLACK, "-", "v"), (BLUE, "--", "P"), (VERMILLION, "-.", "X"), (YELLOW, "-", "*")]
"""The same for detectors of other names, in turn."""

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


def detector_styles(names: Iterable[str]) -> dict[str, dict]:
    """Keywords of a line for each detector: ``color``, ``linestyle`` and ``marker``.

    A detector called ``aasist``, ``camhfa`` or ``sls``, in any spelling such as ``CA-MHFA``, looks the same in every
    figure; others take the remaining styles in sorted order.
    """
    styles, others = {}, 0
    for name in sorted(set(names)):
        known = [head for head in DETECTORS if head == "".join(filter(str.isalnum, name.lower()))]
        look = DETECTORS[known[0]] if known else FREE[others % len(FREE)]
        others += not known
        styles[name] = dict(zip(("color", "linestyle", "marker"), look, strict=True))
    return styles


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
