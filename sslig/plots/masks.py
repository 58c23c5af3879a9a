"""Figures of masks: what each does to each detector beyond its control, and how that grows with the mask."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sslig.plots.style import BLACK, GREY, PERCENT, detector_styles, figure_grid, style

WIDTH_IN = 6.0
"""Narrower than other figures, so that the many names stay readable on a telephone."""

LABEL_CHARACTERS = 24
"""A longer label has its parameters on a second line."""

SHORT = FuncFormatter(lambda value, _: f"{value:g}")
SPACES = {"feature": "in feature space", "waveform": "in the waveform"}
MARKERS = {"excess": "o", "change": "D"}
TESTED = {"excess": "beyond the control", "change": "against unmasked (no control)"}
SUPPORTED = {True: "supported after Holm", False: "not supported"}


class Scale(NamedTuple):
    """How a statistic is told: its name, its unit, what an effect to the right says, and whether it is a rate.

    Logits of different detectors do not compare, so their panels have axes of their own.
    """

    name: str
    unit: str
    right: str
    is_rate: bool = False
    is_common: bool = True


SCALES = {
    "bonafide_change": Scale("bona fide score", "logit", "more like spoof", is_common=False),
    "spoof_change": Scale("spoof score", "logit", "more like spoof", is_common=False),
    "separation": Scale("separation", "SD", "classes further apart"),
    "eer": Scale("EER", "percentage points", "more errors", is_rate=True),
    "min_dcf": Scale("minDCF", "cost", "more errors"),
    "far": Scale("FAR", "percentage points", "more spoofs accepted", is_rate=True),
    "frr": Scale("FRR", "percentage points", "more bona fide rejected", is_rate=True),
}
"""The statistics that can be drawn."""


@style()
def mask_effects(table: pd.DataFrame, statistic: str) -> Figure:
    """The effect of each mask on each detector with its interval, a panel a detector, three panels in a row.

    A circle is the excess over the control, a diamond the change against the unmasked scores where a mask has no
    control; it is filled where the effect is supported after Holm's correction. Seeds stand below one another.

    Parameters
    ----------
    table
        A table of `sslig.cues.effects.effects`; masks are drawn in its order. Where it has a column ``space``
        (``feature``, ``waveform`` or other words), masks are grouped by it.
    statistic
        One of `SCALES`.

    Raises
    ------
    ValueError
        The statistic is unknown, or the table has no rows of it.
    """
    rows, scale = _rows(table, statistic)
    labels, places = _lines(rows)
    looks = detector_styles(rows["detector"])
    n_columns = min(3, len(looks))
    n_grid = -(-len(looks) // n_columns)
    share_x = "all" if scale.is_common else "none"
    height = 0.8 + 0.23 * sum(_n_lines(label) for label, _ in labels)
    figure, axes = figure_grid(
        n_grid, heights=[height] * n_grid, columns=n_columns, width=WIDTH_IN, sharey=True, sharex=share_x
    )
    for axis, (name, look) in zip(axes, looks.items(), strict=False):
        _draw_effects(axis, rows[rows["detector"] == name], places, look["color"])
        axis.set_title(name)
        axis.tick_params(axis="x", labelbottom=True)
        axis.margins(x=0.1)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_major_formatter(PERCENT if scale.is_rate else SHORT)
    for axis in axes[len(looks) :]:
        axis.set_visible(False)
    _name_lines(axes[::n_columns], labels)
    figure.supxlabel(f"effect on {scale.name} ({scale.unit}), right: {scale.right}", fontsize=10)
    figure.legend(handles=_handles(rows), loc="outside upper center", ncols=2)
    return figure


@style()
def dose_response(table: pd.DataFrame, statistic: str = "separation") -> Figure:
    """How the effect of a mask grows with what is swept, a panel a family: a line a detector, and its control dotted.

    Both are changes against the unmasked scores; the band is the interval of the masked. A marker is filled where the
    mask is supported after Holm's correction.

    Parameters
    ----------
    table
        A table of `sslig.cues.effects.dose`.
    statistic
        One of `SCALES`; those in logits do not compare between detectors.

    Raises
    ------
    ValueError
        As of `mask_effects`.
    """
    rows, scale = _rows(table, statistic)
    families = list(dict.fromkeys(zip(rows["family"], rows["parameter"], strict=True)))
    figure, axes = figure_grid(len(families), heights=[2.6] * len(families), width=WIDTH_IN)
    looks = detector_styles(rows["detector"])
    for axis, (family, parameter) in zip(axes, families, strict=True):
        part = rows[(rows["family"] == family) & (rows["parameter"] == parameter)].sort_values("value")
        axis.axhline(0, color=GREY, lw=0.8)
        for (detector, _), line in part.groupby(["detector", "seed"]):
            _draw_dose(axis, line, looks[detector])
        axis.set(xlabel=parameter, ylabel=f"change of {scale.name}\n({scale.unit})", title=family)
        if scale.is_rate:
            axis.yaxis.set_major_formatter(PERCENT)
    lines = [Line2D([], [], label=name, ms=5, **look) for name, look in looks.items()]
    lines += [Line2D([], [], color=GREY, ls=":", label="control")] * bool(rows["control"].notna().any())
    figure.legend(handles=lines, loc="outside upper center", ncols=4)
    return figure


def _rows(table: pd.DataFrame, statistic: str) -> tuple[pd.DataFrame, Scale]:
    """The rows of the statistic, with ``effect``, ``low`` and ``high`` of what was tested, and its scale."""
    if statistic not in SCALES:
        raise ValueError(f"no statistic {statistic!r}; accepted: {', '.join(SCALES)}")
    rows = table[table["statistic"] == statistic]
    if not len(rows):
        found = ", ".join(map(str, table["statistic"].unique())) or "no rows"
        raise ValueError(f"the table has no rows of {statistic!r}; it has {found}")
    has_control = rows["tested"] == "excess"
    ends = {"effect": "", "low": "_low", "high": "_high"}
    return rows.assign(
        **{name: rows[f"excess{end}"].where(has_control, rows[f"change{end}"]) for name, end in ends.items()}
    ), SCALES[statistic]


def _lines(rows: pd.DataFrame) -> tuple[list[tuple[str, bool]], dict[str, float]]:
    """The labels down the axis, each with whether it is a heading, and where the middle of each mask stands."""
    spaces = rows["space"] if "space" in rows else pd.Series("", rows.index)
    labels = []
    for space in dict.fromkeys(spaces):
        heading = SPACES.get(space, space)
        labels += [(heading, True)] if heading else []
        labels += [(mask, False) for mask in dict.fromkeys(rows.loc[spaces == space, "mask"])]
    middles = _middles(labels)
    return labels, {label: y for y, (label, is_heading) in zip(middles, labels, strict=True) if not is_heading}


def _n_lines(label: str) -> int:
    return 2 if len(label) > LABEL_CHARACTERS and "(" in label else 1


def _middles(labels: list[tuple[str, bool]]) -> np.ndarray:
    """(label,) The middle of each; one line is 1 high, and the first begins at -0.5."""
    lines = np.array([_n_lines(label) for label, _ in labels])
    return lines.cumsum() - lines / 2 - 0.5


def _name_lines(axes: np.ndarray, labels: list[tuple[str, bool]]) -> None:
    texts = [label.replace("(", "\n(", 1) if _n_lines(label) > 1 else label for label, _ in labels]
    for axis in axes:
        axis.set_yticks(_middles(labels), texts)
        axis.set_ylim(sum(_n_lines(label) for label, _ in labels) - 0.5, -0.5)
        for tick, (_, is_heading) in zip(axis.get_yticklabels(), labels, strict=True):
            tick.set_fontweight("bold" if is_heading else "normal")


def _draw_effects(axis: Axes, rows: pd.DataFrame, places: dict[str, float], color: str) -> None:
    axis.axvline(0, color=GREY, lw=0.8)
    axis.hlines(
        [place + 0.5 * _n_lines(mask) for mask, place in places.items()],
        0,
        1,
        color="0.93",
        lw=0.6,
        transform=axis.get_yaxis_transform(),
    )
    seeds = sorted(rows["seed"].unique())
    below = dict(zip(seeds, 0.6 * (np.arange(len(seeds)) + 0.5) / len(seeds) - 0.3, strict=True))
    y = rows["mask"].map(places) + rows["seed"].map(below)
    axis.hlines(y, rows["low"], rows["high"], color=color, lw=1.3)
    for (tested, supported), part in rows.groupby(["tested", "supported"]):
        axis.plot(
            part["effect"],
            y[part.index],
            MARKERS[tested],
            color=color,
            ms=5,
            mfc=color if supported else "white",
            ls="",
        )
    axis.tick_params(axis="y", length=0)


def _draw_dose(axis: Axes, line: pd.DataFrame, look: dict) -> None:
    axis.fill_between(line["value"], line["change_low"], line["change_high"], color=look["color"], alpha=0.15, lw=0)
    axis.plot(line["value"], line["change"], color=look["color"], ls=look["linestyle"], lw=1.8)
    for supported, part in line.groupby("supported"):
        face = look["color"] if supported else "white"
        axis.plot(part["value"], part["change"], look["marker"], color=look["color"], mfc=face, ms=5)
    axis.plot(line["value"], line["control"] - line["unmasked"], color=look["color"], ls=":", lw=1.5)


def _handles(rows: pd.DataFrame) -> list[Line2D]:
    """Legend entries of the marks that are drawn, in black: colours tell detectors."""
    tested = [name for name in TESTED if (rows["tested"] == name).any()]
    shapes = [Line2D([], [], color=BLACK, marker=MARKERS[name], ms=5, label=TESTED[name]) for name in tested]
    fills = [
        Line2D([], [], color=BLACK, marker="s", ls="", ms=6, mfc=BLACK if value else "white", label=text)
        for value, text in SUPPORTED.items()
        if (rows["supported"] == value).any()
    ]
    return shapes + fills
