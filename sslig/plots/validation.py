"""Figures of explanations that are held against a known truth: one recording, and methods by kind of cue."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.plots.evidence import TIME, draw_evidence, draw_spectrogram, symmetric
from sslig.plots.style import BLACK, GREY, YELLOW, evidence_patches, figure_grid, style

PLACE = {"facecolor": YELLOW, "alpha": 0.35, "edgecolor": BLACK, "linewidth": 0.8, "linestyle": "--"}
"""A known place; its edge shows it without colour."""

UNREAD = {"facecolor": "0.96", "edgecolor": "0.8", "hatch": "///", "linewidth": 0}

TREND_FRAMES = 5

WIDTH_IN = 5.6
"""Narrow, so that numbers can be read on a phone."""


DARK = 0.75
"""Share of the colour scale from which on numbers are white."""


@style()
def planted_cue(
    waveform: np.ndarray,
    maps: Mapping[str, np.ndarray],
    places_s: Sequence[tuple[float, float]],
    clock: FrameClock,
    *,
    read_s: Mapping[str, float] = MappingProxyType({}),
    title: str | None = None,
) -> Figure:
    """A recording with the places of a planted cue, and below it, on the same clock, what maps say.

    Parameters
    ----------
    waveform
        (samples,) Mono at 16 kHz.
    maps
        (frame,) Evidence by name, such as a detector; positive = evidence for spoof. Each has a scale of its own.
    places_s
        Start and end of each place.
    clock
        The frame grid of the maps.
    read_s
        By name, up to when a head reads; what follows is hatched.
    title
        Title of the figure.
    """
    figure, axes = figure_grid(1 + len(maps), heights=[1.7] + [1.0] * len(maps), width=WIDTH_IN, sharex=True)
    whole_s = len(waveform) / SAMPLE_RATE_HZ
    draw_spectrogram(axes[0], waveform, clock)
    for axis, (name, frames) in zip(axes[1:], maps.items(), strict=True):
        draw_evidence(axis, frames, clock, TREND_FRAMES)
        symmetric(axis, np.abs(frames).max())
        axis.set_ylabel(f"{name}\n(logit)")
        if read_s.get(name, whole_s) < whole_s - clock.hop_s:
            axis.axvspan(read_s[name], whole_s, zorder=0.4, **UNREAD)
    for axis in axes:
        for start_s, end_s in places_s:
            axis.axvspan(start_s, end_s, zorder=0.5 if axis is not axes[0] else 2, **PLACE)
    axes[0].set_xlim(0, whole_s)
    axes[-1].set_xlabel(TIME)
    handles = [Patch(**PLACE, label="planted"), *evidence_patches("evidence for {}")]
    if any(stop_s < whole_s - clock.hop_s for stop_s in read_s.values()):
        handles.append(Patch(**UNREAD, label="not read"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize=11)
    figure.align_ylabels(axes)
    return figure


@style()
def localisation_heatmap(table: pd.DataFrame, statistic: str, *, label: str, factor: float = 1) -> Figure:
    """How well each map finds the places of each kind: the value in the cell, the colour by what it is over chance.

    A panel a detector. Numbers are bold where the interval of what they are over chance lies above 0, and kinds that a
    detector does not decide at their place stand in parentheses.

    Parameters
    ----------
    table
        ``detector``, ``kind``, ``method``, ``statistic``, ``group`` (maps of one group stand together, lines part
        them), ``decided``, ``n``, ``value``, ``control``, ``better`` and ``supported``.
    statistic
        One that the table has.
    label
        Of the statistic.
    factor
        Values are multiplied by it.

    Raises
    ------
    ValueError
        The table has no rows of the statistic.
    """
    rows = table[table["statistic"] == statistic]
    if rows.empty:
        found = ", ".join(map(str, table["statistic"].unique())) or "no rows"
        raise ValueError(f"the table has no rows of {statistic!r}; it has {found}")
    over = factor * rows["better"] * (rows["value"] - rows["control"])
    rows, limit = rows.assign(over=over, shown=factor * rows["value"]), max(over.abs().max(), 1e-3 * factor)
    detectors = list(rows["detector"].unique())
    heights = [0.75 + 0.235 * rows.loc[rows["detector"] == name, "method"].nunique() for name in detectors]
    n_kinds = rows["kind"].nunique()
    width = min(WIDTH_IN, 2.9 + 0.66 * n_kinds)
    figure, axes = figure_grid(len(detectors), heights=heights, width=width)
    for axis, name in zip(axes, detectors, strict=True):
        _draw_cells(axis, rows[rows["detector"] == name], limit, 2 if factor == 1 else 0)
        axis.set_title(name)
    bar = figure.colorbar(axes[0].collections[0], ax=list(axes), location="bottom", pad=0.02, aspect=30, shrink=0.9)
    bar.set_label(f"{label}: colour is the distance from chance;\nbold: beyond it; (kind): not decided at the place")
    return figure


def _draw_cells(axis: Axes, rows: pd.DataFrame, limit: float, decimals: int) -> None:
    methods = rows.drop_duplicates("method")
    names, kinds = list(methods["method"]), list(rows["kind"].unique())
    value, over, bold = (
        rows.pivot(index="method", columns="kind", values=column).reindex(index=names, columns=kinds)
        for column in ("shown", "over", "supported")
    )
    seaborn.heatmap(
        over, ax=axis, cmap="PuOr_r", vmin=-limit, vmax=limit, cbar=False, linewidths=0.5, linecolor="white",
        annot=value, fmt=f".{decimals}f", annot_kws={"size": 9},
    )  # fmt: skip
    marked = bold.to_numpy()[over.notna().to_numpy()]  # (number that is written,)
    darkness = np.abs(over.to_numpy()[over.notna().to_numpy()]) / limit
    for text, is_bold, dark in zip(axis.texts, marked, darkness, strict=True):
        text.set(fontweight="bold" if is_bold else "normal", color="white" if dark > DARK else BLACK)
    groups = list(methods["group"])
    starts = [place for place in range(1, len(groups)) if groups[place] != groups[place - 1]]
    axis.hlines(starts, 0, len(kinds), color=BLACK, lw=1.2)
    told = rows.drop_duplicates("kind").set_index("kind")
    axis.set_xticks(np.arange(len(kinds)) + 0.5, [_kind(name, told.loc[name]) for name in kinds])
    axis.set(xlabel="", ylabel="")
    axis.tick_params(length=0, rotation=0)
    for label, name in zip(axis.get_yticklabels(), groups, strict=True):
        label.set_color(BLACK if name == groups[0] else GREY)


def _kind(name: str, row: pd.Series) -> str:
    told = name.replace("_", "\n")
    return f"{told if row['decided'] else f'({told})'}\nn = {row['n']}"
