"""Figures of the audit of the published release: cue shares, how late marks end, and one call in two orders."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from sslig.frames import FrameClock
from sslig.plots.evidence import TIME, trend
from sslig.plots.style import BLACK, GREY, ORANGE, PERCENT, detector_styles, figure_grid, legend_above, style


@style()
def cue_shares(table: pd.DataFrame) -> Figure:
    """The share of each cue with its interval, a group of points a cue, the most frequent cue on top.

    Parameters
    ----------
    table
        ``detector``, ``group`` (the cue), ``share``, ``low`` and ``high`` (rates; NaN draws no interval).
    """
    looks = detector_styles(table["detector"])
    cues = list(table.groupby("group")["share"].mean().sort_values(ascending=False).index)
    figure, (axis,) = figure_grid(1, heights=[0.6 + 0.5 * len(cues)])
    for place, (name, look) in enumerate(looks.items()):
        rows = table[table["detector"] == name]
        y = np.array([cues.index(cue) for cue in rows["group"]]) + 0.22 * (place - (len(looks) - 1) / 2)
        axis.hlines(y, rows["low"], rows["high"], color=look["color"], lw=2)
        axis.plot(rows["share"], y, look["marker"], color=look["color"], mec=BLACK, mew=0.6, ms=7, label=name)
    axis.set_yticks(range(len(cues)), cues, fontsize=11)
    axis.set(xlabel="share of the labels (%)", ylim=(len(cues) - 0.5, -0.5))
    axis.set_xlim(left=-0.01)
    axis.xaxis.set_major_formatter(PERCENT)
    axis.grid(axis="x", color="0.9")
    axis.tick_params(axis="y", length=0)
    legend_above(figure, axis)
    return figure


@style()
def mark_ends(time_s: ArrayLike, shares: Mapping[str, ArrayLike], limit_s: float) -> Figure:
    """The share of marks that have ended by each time, a line a detector, and where one head stops reading.

    Parameters
    ----------
    time_s
        (point,) Times in seconds.
    shares
        (point,) Shares by detector.
    limit_s
        The time after which that head sees nothing; a vertical line.
    """
    figure, (axis,) = figure_grid(1, heights=[2.8])
    for name, look in detector_styles(shares).items():
        line = {"color": look["color"], "ls": look["linestyle"], "lw": 2, "label": name}
        axis.plot(time_s, shares[name], drawstyle="steps-post", **line)
    axis.axvline(limit_s, color=BLACK, lw=1.2, ls=(0, (1, 2)), label=f"SLS stops at {limit_s:.2f} s")
    axis.set(xlabel=TIME, ylabel="marks that have ended (%)", ylim=(0, 1.03))
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter(PERCENT)
    legend_above(figure, axis)
    return figure


@style()
def orders(profiles: Mapping[str, Sequence[ArrayLike]], clock: FrameClock, *, trend_frames: int = 5) -> Figure:
    """One utterance explained in two orders of the axes, a panel a detector, each line divided by its maximum.

    Parameters
    ----------
    profiles
        By detector (frame,) twice: the attribution with the batch first, and with layers first.
    clock
        The frame grid of the attributions.
    trend_frames
        Length of the running median that is drawn; 1 draws the attributions as they are.
    """
    figure, axes = figure_grid(len(profiles), heights=[1.7] * len(profiles), sharex=True)
    looks = ({"color": BLACK, "lw": 1.3, "ls": "-"}, {"color": ORANGE, "lw": 1.8, "ls": (0, (3, 1))})
    for axis, (name, both) in zip(axes, profiles.items(), strict=True):
        for frames, look in zip(both, looks, strict=True):
            running = trend(np.asarray(frames, dtype=float), trend_frames)
            axis.plot(clock.centre_s(len(running)), running / (np.abs(running).max() or 1.0), **look)
        axis.axhline(0, color=GREY, lw=0.8)
        axis.set(ylim=(-1.08, 1.08), ylabel=name)
    axes[-1].set_xlabel(TIME)
    named = zip(looks, ("batch first", "layers first, as released"), strict=True)
    handles = [Line2D([], [], label=label, **look) for look, label in named]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    figure.supylabel("attribution / its maximum", fontsize=10)
    return figure
