"""Annotations as CSV: the ``|``-separated form of the published release, and the tidy table.

Comments are written as they are. A spreadsheet may take one that begins with ``=`` for a formula: open such files as
text.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig.annotation.imported import Imported, InterchangeError, existing, gathered, one_annotator
from sslig.annotation.table import TYPES, plain
from sslig.annotation.vocabulary import DETECTORS
from sslig.files import atomic

PARTS = ("", "_cue", "_loc", "_audible")
"""Columns of a detector after its name: comment, cue, locality, audible."""

FLAGS = {"true": True, "false": False}

Rows = Iterator[tuple[int, dict[str, str] | str]]


def read_release(path: Path, annotator: str) -> Imported:
    """The annotations of a file in the form of the release, all of one `annotator`, a row a region.

    A row of an utterance that nobody touched is kept with what it holds: no region, no cue, a locality of 3.

    Raises
    ------
    InterchangeError
        There is no such file, it is no text, or a column is missing.
    """
    header, rows = _lines(path, "|", "a table in the form of the release")
    names = [match[1] for column in header if (match := re.fullmatch(r"(.+)_cue", column))]
    _check_columns(path, header, ["file", "general", "similarity", *_columns(names)] if names else ["<detector>_cue"])
    return gathered(path, ((number, *_released(row, names, annotator)) for number, row in rows))


def write_release(path: Path, table: pd.DataFrame) -> None:
    """Write the annotations of one annotator in the form of the release: a row an utterance, in the table's order.

    Decoys and repeats have no place in it, nor has what the plan proposed.

    Raises
    ------
    InterchangeError
        There are several annotators.
    """
    one_annotator(path, table)
    table = plain(table)
    names = _ordered(table["detector"].unique())
    rows = [["file", "general", *_columns(names)[: len(PARTS) * len(names)], *_ranges(names), "similarity",
             *(f"{name}_range" for name in names)]]  # fmt: skip
    for utterance, part in table.groupby("utterance", sort=False):
        own = part.set_index("detector")
        said = [_told(own.loc[name]) if name in own.index else [""] * 6 for name in names]
        whole = part.iloc[0]
        rows.append([utterance, whole["general"], *(text for one in said for text in one[:4]),
                     *(text for one in said for text in one[4:]), whole["similarity"], *[""] * len(names)])  # fmt: skip
    _write(path, rows, "|", "\r\n")


def read_tidy(path: Path) -> Imported:
    """The annotations of a CSV file with the columns of `sslig.annotation.table.TYPES`.

    ``utterance``, ``detector`` and ``annotator`` are needed; what else is missing has its default.

    Raises
    ------
    InterchangeError
        There is no such file, it is no text, or a column is missing or unknown.
    """
    header, rows = _lines(path, ",", "a tidy table")
    _check_columns(path, header, ["annotator", "utterance", "detector"])
    if unknown := [column for column in header if column not in TYPES]:
        raise InterchangeError(f"{path}: unknown column {unknown[0]!r}; accepted: {', '.join(TYPES)}")
    return gathered(path, ((number, *_tidied(row)) for number, row in rows))


def write_tidy(path: Path, table: pd.DataFrame) -> None:
    """Write all rows and columns."""
    values = [[_text(row[column]) for column in TYPES] for row in table.to_dict("records")]
    _write(path, [list(TYPES), *values], ",", "\n")


def _lines(path: Path, separator: str, what: str) -> tuple[list[str], Rows]:
    """The header, and each row by the line that it begins in; or what is wrong with it."""
    text = existing(path, what)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = next(reader, None)
    if not header:
        raise InterchangeError(f"{path}: empty; {what} is needed")
    return header, _records(reader, header)


def _records(reader: Any, header: list[str]) -> Rows:
    line = reader.line_num + 1
    for cells in reader:
        if cells:
            fits = len(cells) == len(header)
            fault = f"{len(cells)} fields; the header has {len(header)}"
            yield line, dict(zip(header, cells, strict=True)) if fits else fault
        line = reader.line_num + 1


def _check_columns(path: Path, header: list[str], needed: list[str]) -> None:
    if missing := [column for column in needed if column not in header]:
        raise InterchangeError(f"{path}: no column {', '.join(missing)}; it has {', '.join(header)}")


def _columns(names: list[str]) -> list[str]:
    return [f"{name}{part}" for name in names for part in PARTS] + _ranges(names)


def _ranges(names: list[str]) -> list[str]:
    return [f"{name}_range/{end}" for name in names for end in ("start", "end")]


def _ordered(names: np.ndarray) -> list[str]:
    return sorted(names, key=lambda name: (list(DETECTORS).index(name) if name in DETECTORS else len(DETECTORS), name))


def _released(row: dict[str, str] | str, names: list[str], annotator: str) -> tuple[str, list[dict[str, Any]] | str]:
    if isinstance(row, str):
        return "", row
    about = {"annotator": annotator, "utterance": row["file"], "general": row["general"],
             "similarity": row["similarity"]}  # fmt: skip
    regions = [
        about | {
            "detector": name, "comment": row[name], "cue": row[f"{name}_cue"] or None,
            "locality": _number(row[f"{name}_loc"]), "audible": _flag(row[f"{name}_audible"]),
            "start_s": _number(row[f"{name}_range/start"]), "end_s": _number(row[f"{name}_range/end"]),
        }
        for name in names
    ]  # fmt: skip
    return row["file"], regions


def _tidied(row: dict[str, str] | str) -> tuple[str, list[dict[str, Any]] | str]:
    if isinstance(row, str):
        return "", row
    read = {"float64": _number, "Int64": _number, "bool": _flag, "boolean": _flag}
    return row["utterance"], [{column: read.get(TYPES[column], str)(text) for column, text in row.items() if text}]


def _number(text: str) -> float | str | None:
    """A number, nothing where nothing stands, or the text, which the field then refuses."""
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _flag(text: str) -> bool | str | None:
    return FLAGS.get(text.lower(), text) if text else None


def _told(row: pd.Series) -> list[str]:
    return [_text(row[column]) for column in ("comment", "cue", "locality", "audible", "start_s", "end_s")]


def _text(value: Any) -> str:
    """A value as both forms write it: whole seconds without a point, as in the release, nothing for what is missing."""
    if pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float):
        return np.format_float_positional(value, trim="-")
    return str(value)


def _write(path: Path, rows: list[list[str]], separator: str, line_end: str) -> None:
    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator=line_end).writerows(rows)
