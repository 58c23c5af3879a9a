"""What pages show beside figures: tables, and players of sound that need no server and no kernel."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from sslig.errors import InputError


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
    """Text such as ``12.3 [10.1, 14.5]`` for each row, from the columns `value`, `low` and `high`.

    `factor` multiplies all three, such as 100 for percent, or one factor a row; with `signed`, positive numbers carry
    a plus sign. The text is empty where the value is NaN, and has no brackets where the interval is.
    """
    # Adding 0.0 turns what rounds to -0 into 0.
    numbers = table[[value, low, high]].mul(factor, axis=0).round(decimals) + 0.0
    texts = numbers.map(f"{{:{'+' if signed else ''}.{decimals}f}}".format)
    brackets = (" [" + texts[low] + ", " + texts[high] + "]").where(numbers[low].notna(), "")
    return (texts[value] + brackets).where(numbers[value].notna(), "").astype(object)


def players(recordings: Mapping[str, Sequence[str | Path | bytes]], columns: Sequence[str]) -> HTML:
    """A table with a row of players for each label; the sound is embedded in the page.

    Parameters
    ----------
    recordings
        Label -> FLAC files, or their contents, embedded unchanged.
    columns
        Headings: of the labels, then of each file of a row.

    Raises
    ------
    InputError
        A row and the headings differ in number.
    """
    wrong = [label for label, files in recordings.items() if len(files) != len(columns) - 1]
    if wrong:
        raise InputError(f"{wrong[0]!r} has {len(recordings[wrong[0]])} files; the headings are {list(columns)}")
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = "".join(
        f"<tr><td>{escape(label)}</td>{_cells(label, columns[1:], files)}</tr>" for label, files in recordings.items()
    )
    return HTML(f'<table class="sslig-players"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')


def _cells(label: str, columns: Sequence[str], files: Sequence[str | Path | bytes]) -> str:
    """A cell for each file, whose player is called by its column and its row."""
    named = zip(columns, files, strict=True)
    return "".join(f"<td>{_player(file, f'{column}: {label}')}</td>" for column, file in named)


def _player(recording: str | Path | bytes, name: str) -> str:
    flac = recording if isinstance(recording, bytes) else Path(recording).read_bytes()
    sound = base64.b64encode(flac).decode("ascii")
    return f'<audio controls preload="none" aria-label="{escape(name)}" src="data:audio/flac;base64,{sound}"></audio>'
