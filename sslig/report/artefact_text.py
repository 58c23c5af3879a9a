"""How the artefact page writes numbers: estimates with intervals, what is beyond doubt, means, the order of rows."""

import numpy as np
import pandas as pd

from sslig.cues.effects import ALPHA

WORDS = {"bonafide": "bona fide", "spoof": "spoof"}
"""Key -> the word for it in prose."""
NOTHING = "not defined"
"""Stands for a number where there is nothing to compute it from."""
DOT = " ●"
"""Marks what is below `ALPHA` after Holm's correction."""


def interval(value: float, low: float, high: float, decimals: int, sign: str = "") -> str:
    """``value [low, high]``, each with `sign` (``+`` writes it always); `NOTHING` where there is no value."""
    if np.isnan(value):
        return NOTHING
    told, *ends = (f"{number:{sign}.{decimals}f}" for number in (value, low, high))
    return f"{told} [{', '.join(ends)}]"


def estimated(table: pd.DataFrame, value: str, low: str, high: str, sign: str = "+") -> list[str]:
    """Each row of three columns as `interval` with two decimals, and `DOT` where ``p_holm`` says so."""
    columns = zip(table[value], table[low], table[high], table["p_holm"], strict=True)
    return [interval(*row, 2, sign) + (DOT if p < ALPHA else "") for *row, p in columns]


def percent(table: pd.DataFrame) -> list[str]:
    """The columns ``eer``, ``low`` and ``high`` in percent, as `interval`."""
    return [interval(*row, 1) for row in (100 * table[["eer", "low", "high"]]).itertuples(index=False)]


def p_text(p: float) -> str:
    """A corrected p-value; below `ALPHA` only that it is, since its size then follows from the rounds drawn."""
    return f"< {ALPHA:g}" if p < ALPHA else "" if np.isnan(p) else f"{p:.2g}"


def mean_and_spread(table: pd.DataFrame) -> list[str]:
    """Columns ``mean`` and ``sd`` with three digits; `NOTHING` where a group has no value."""
    return [NOTHING if np.isnan(mean) else _digits(mean, 3) + ("" if np.isnan(spread) else f" ± {_digits(spread, 2)}")
            for mean, spread in zip(table["mean"], table["sd"], strict=True)]  # fmt: skip


def strongest_first(table: pd.DataFrame, value: str) -> list[str]:
    """The measures of a table by the largest size of `value` in any of their rows; those without one come last."""
    size = table[value].astype(float).abs().groupby(table["measure"], sort=False).max()
    return list(size.sort_values(ascending=False, kind="stable", na_position="last").index)


def span(values: pd.Series, sign: str = "", decimals: int = 2) -> str:
    """The smallest and the largest as ``a to b``, or one number where they are written the same."""
    low, high = (f"{value:{sign}.{decimals}f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _digits(number: float, digits: int) -> str:
    """Whole where it has more than two places before the point, else so many digits."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}"
