"""How tables and numbers look on a page."""

import pandas as pd
from pandas.io.formats.style import Styler


def shown(table: pd.DataFrame, decimals: int = 1) -> Styler:
    """A table as pages show it: no index, thousands set apart, floats with `decimals`, nothing for what is missing.

    Text is text and never markup: names of files, and what people typed, stand in tables too.
    """
    styler = table.style.hide(axis="index").format_index(escape="html", axis="columns")
    return styler.format(precision=decimals, thousands=",", na_rep="", escape="html")


def listed(words: list[str]) -> str:
    """The words as English lists them: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def span(low: float, high: float) -> str:
    """Two percentages as a range, or one where they round to the same."""
    return f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"
