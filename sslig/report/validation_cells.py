"""How measures of explanations stand in tables: a value beside what chance gives, and below them its interval."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from sslig.report.artefact_text import DOT
from sslig.report.display import shown

WORSE = " ○"
"""Marks what is worse than its control beyond doubt, as `DOT` marks what is better."""


class Look(NamedTuple):
    """Heading of a statistic, and the factor and decimals that it is written with."""

    heading: str
    factor: float = 1
    decimals: int = 2


LOOKS: Mapping[str, Look] = MappingProxyType({
    "roc_auc": Look("ROC-AUC"),
    "relevance_mass": Look("mass (%)", 100, 0),
    "relevance_rank": Look("rank (%)", 100, 0),
    "pointing_20ms": Look("± 20 ms (%)", 100, 0),
    "pointing_100ms": Look("± 100 ms (%)", 100, 0),
    "evidence_ratio": Look("times its share"),
    "deletion_area": Look("deletion"),
    "insertion_area": Look("insertion"),
    "comprehensiveness": Look("comprehen\u00adsive"),
    "sufficiency": Look("sufficient"),
    "infidelity": Look("infidelity"),
    "sensitivity_n": Look("sensi\u00adtivity-n"),
    "complexity_rise": Look("complexity rise (%)", 100, 0),
    "shift_features": Look("shifted features"),
    "shift_waveform": Look("shifted recording"),
    "max_sensitivity": Look("max-sensitivity"),
    "loudness_share": Look("loudness (%)", 100, 0),
    "steps": Look("steps"),
    "seeds": Look("seeds"),
})  # fmt: skip
"""Every statistic that tables show."""

RATIOS = ("evidence_ratio",)
"""Statistics that are 1 by chance, always."""

LOCALISATION = ("roc_auc", "relevance_mass", "relevance_rank", "pointing_20ms", "pointing_100ms", "evidence_ratio")
FAITHFULNESS = ("deletion_area", "insertion_area", "comprehensiveness", "sufficiency", "infidelity", "sensitivity_n")


def wide(summary: pd.DataFrame, rows: Sequence[str], statistics: Sequence[str]) -> pd.DataFrame:
    """A table of `sslig.validation.summary.summarise` as people read it.

    Parameters
    ----------
    summary
        With at most one row for each combination of `rows` and statistic.
    rows
        Columns that tell the rows apart, which keep the order they have in `summary`.
    statistics
        Columns, in this order; those that no row has are left out.
    """
    part = summary[summary["statistic"].isin(statistics)]
    text = part.assign(text=[cell(row) for row in part.to_dict("records")])
    found = text.pivot(index=list(rows), columns="statistic", values="text")
    order = pd.MultiIndex.from_frame(part[list(rows)].drop_duplicates())
    found = found.loc[list(order) if len(rows) > 1 else order.get_level_values(0)]
    shown_columns = [name for name in statistics if name in found]
    found = found[shown_columns].fillna("").rename(columns={name: LOOKS[name].heading for name in shown_columns})
    return found.rename_axis(columns=None).reset_index()


def cell(row: Mapping[str, object]) -> str:
    """``value (control)`` and a mark, and in a second line the interval of the value; empty where it is not defined."""
    look = LOOKS[str(row["statistic"])]
    if not np.isfinite(row["value"]):
        return ""
    value, control, low, high = (
        _number(look.factor * row[name], look.decimals) for name in ("value", "control", "value_low", "value_high")
    )
    beside = "" if row["statistic"] in RATIOS else f" ({control})"
    return f"{value}{beside}{mark(row)}" + (f"\n[{low}, {high}]" if np.isfinite(row["value_low"]) else "")


def _number(value: float, decimals: int) -> str:
    """Without the sign of a number that rounds to 0."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def mark(row: Mapping[str, object]) -> str:
    """Whether the interval of the advantage over the control lies on one side of 0, and on which."""
    return DOT if row["advantage_low"] > 0 else WORSE if row["advantage_high"] < 0 else ""


def tall(table: pd.DataFrame, decimals: int = 1) -> Styler:
    """A table as `sslig.report.display.shown` gives it, denser, where cells keep their lines as they are.

    A row with nothing behind its first column is a heading (`headed`).
    """
    looks = [
        {"selector": "td, th", "props": "font-size: 0.76rem; padding: 0.15rem 0.35rem"},
        {"selector": "td", "props": "white-space: pre; vertical-align: top"},
    ]
    styler = shown(table, decimals).set_table_styles(looks)
    return styler.apply(lambda row: ["font-weight: bold" if (row.iloc[1:] == "").all() else ""] * len(row), axis=1)


def headed(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table without a column, whose values become rows of their own above those that they are of."""
    rest = [name for name in table if name != column]
    rows = []
    for value, part in table.groupby(column, sort=False):
        rows += [{rest[0]: value}, *part[rest].to_dict("records")]
    return pd.DataFrame(rows, columns=rest).fillna("")


def once(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table with each value of a column in the first of the rows that follow one another with it only."""
    return table.assign(**{column: table[column].where(table[column] != table[column].shift(), "")})
