"""Figures of annotations: cues on bona fide and spoofed speech, who answered what, and how far pairs agree."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sslig.labels import KEYS
from sslig.plots.style import BLACK, EVIDENCE, GREY, PERCENT, evidence_patches, figure_grid, style

NARROW_IN = 6.0
"""Narrower than other figures, so that many labels stay readable on a telephone."""


@style()
def class_cues(table: pd.DataFrame) -> Figure:
    """The share of each cue on bona fide and on spoofed speech with its interval, a panel a detector.

    Parameters
    ----------
    table
        ``detector``, ``key``, ``cue``, ``share``, ``low`` and ``high`` (rates; NaN draws no interval).
    """
    detectors, cues = list(dict.fromkeys(table["detector"])), list(dict.fromkeys(table["cue"]))
    columns = min(3, len(detectors))
    rows = -(-len(detectors) // columns)
    figure, axes = figure_grid(rows, heights=[0.5 + 0.34 * len(cues)] * rows, columns=columns, width=NARROW_IN,
                               sharey=True, sharex=True)  # fmt: skip
    for axis, detector in zip(axes, detectors, strict=False):
        for place, (key, label) in enumerate(KEYS.items()):
            part = table[(table["detector"] == detector) & (table["key"] == key)]
            y = np.array([cues.index(cue) for cue in part["cue"]]) + 0.3 * place - 0.15
            axis.hlines(y, part["low"], part["high"], color=EVIDENCE[label], lw=1.8, alpha=0.75)
            axis.plot(part["share"], y, "os"[place], color=EVIDENCE[label], mec=BLACK, mew=0.5, ms=5)
        axis.set(title=detector, ylim=(len(cues) - 0.5, -0.5))
        axis.set_yticks(range(len(cues)), cues)
        axis.xaxis.set_major_formatter(PERCENT)
        axis.locator_params(axis="x", nbins=4)
        axis.grid(axis="x", color="0.9")
        axis.tick_params(axis="y", length=0)
    for axis in axes[len(detectors) :]:
        axis.set_axis_off()
    figure.supxlabel("share of the labels (%)", fontsize=10)
    figure.legend(handles=evidence_patches("{}"), loc="outside upper center", ncols=2)
    return figure


@style()
def count_matrix(counts: pd.DataFrame, rows: str, columns: str) -> Figure:
    """How often each row and column met, as numbers on a grid whose darkness grows with them; agreement is framed.

    Parameters
    ----------
    counts
        Whole numbers; names in the index and in the columns.
    rows, columns
        What the index and the columns are, the labels of the axes.
    """
    figure, (axis,) = figure_grid(1, heights=[0.9 + 0.34 * len(counts)], width=NARROW_IN)
    largest = max(1, counts.to_numpy().max())
    axis.imshow(counts, cmap="Greys", vmin=0, vmax=1.3 * largest, aspect="auto")
    for y, row in enumerate(counts.to_numpy()):
        for x, count in enumerate(row):
            same = counts.index[y] == counts.columns[x]
            if same:
                axis.add_patch(_frame(x, y))
            if count or same:
                color = "white" if count > 0.75 * largest else BLACK
                axis.text(x, y, f"{count:,}", ha="center", va="center", fontsize=9, color=color)
    axis.set_xticks(range(counts.shape[1]), counts.columns, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(counts)), counts.index)
    axis.set(xlabel=_short(columns), ylabel=_short(rows))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


@style()
def agreements(table: pd.DataFrame) -> Figure:
    """Each measure of agreement for each two annotators, a point with its interval; 0 is what chance gives a kappa.

    Parameters
    ----------
    table
        ``what``, ``statistic``, ``value``, ``low`` and ``high`` (`sslig.annotation.agreement.between`).
    """
    measures = list(dict.fromkeys(zip(table["what"], table["statistic"], strict=True)))
    figure, (axis,) = figure_grid(1, heights=[0.6 + 0.42 * len(measures)], width=NARROW_IN)
    for place, (what, statistic) in enumerate(measures):
        part = table[(table["what"] == what) & (table["statistic"] == statistic)].sort_values("value")
        spread = 0.5 * (np.arange(len(part)) - (len(part) - 1) / 2) / max(4, len(part))
        axis.hlines(place + spread, part["low"], part["high"], color=GREY, lw=1.2)
        axis.plot(part["value"], place + spread, "o", color=BLACK, ms=max(2.5, 6 - 0.2 * len(part)))
    axis.axvline(0, color=GREY, lw=0.8, ls=":")
    axis.set_yticks(range(len(measures)), [f"{what}: {statistic}" for what, statistic in measures])
    axis.set(xlabel="agreement (1 = full)", ylim=(len(measures) - 0.5, -0.5))
    axis.set_xlim(right=1.02)
    axis.grid(axis="x", color="0.9")
    axis.tick_params(axis="y", length=0)
    return figure


def _frame(x: int, y: int):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec=BLACK, lw=1.2)


def _short(label: str, most: int = 40) -> str:
    """A label that fits beside a figure, with dollar signs as they are: they begin no formula."""
    return (label if len(label) <= most else f"{label[: most - 1]}…").replace("$", r"\$")
