"""Tables as pages show them."""

import pandas as pd
from pandas.io.formats.style import Styler


def shown(table: pd.DataFrame, decimals: int = 1) -> Styler:
    """Format a table for a page: no index, thousands separated, floats with `decimals`, missing values blank.

    Text is escaped, so names of files and what people typed never act as markup.
    """
    styler = table.style.hide(axis="index").format_index(escape="html", axis="columns")
    return styler.format(precision=decimals, thousands=",", na_rep="", escape="html")
