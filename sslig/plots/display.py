"""Tables as pages show them."""

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler


def shown(table: pd.DataFrame, decimals: int = 1) -> Styler:
    """Format a table for a page: no index, thousands separated, floats with `decimals`, missing values blank.

    Text is escaped, so names of files and what people typed never act as markup.
    """
    styler = table.style.hide(axis="index").format_index(escape="html", axis="columns")
    return styler.format(precision=decimals, thousands=",", na_rep="", escape="html")


def with_interval(
    table: pd.DataFrame,
    value: str = "value",
    low: str = "low",
    high: str = "high",
    *,
    factor: float | pd.Series = 1.0,
    decimals: int = 2,
    signed: bool = False,
) -> pd.Series:
    """Text such as ``12.3 [10.1, 14.5]`` for each row, to be pivoted into a table for a page.

    Parameters
    ----------
    table
        Rows with an estimate in the columns `value`, `low` and `high`.
    factor
        Multiplied with all three, such as 100 for percent; a series for one factor a row.
    decimals, signed
        Decimals of the numbers, and whether positive ones carry a plus sign.

    Returns
    -------
    Series
        Empty text where the value is NaN; no brackets where the interval is.
    """
    # Adding 0.0 turns what rounds to -0 into 0.
    numbers = table[[value, low, high]].mul(factor, axis=0).round(decimals) + 0.0
    form = f"{{:{'+' if signed else ''}.{decimals}f}}".format
    texts = [
        ""
        if np.isnan(middle)
        else form(middle)
        if np.isnan(lower)
        else f"{form(middle)} [{form(lower)}, {form(upper)}]"
        for middle, lower, upper in numbers.itertuples(index=False)
    ]
    return pd.Series(texts, index=table.index, dtype=object)
