"""The forms of score files: which one a file has, and its rows as they stand there.

============  =======================================================
form          what it is
============  =======================================================
``parquet``   this project's table (`sslig.scores`)
``official``  ``filename`` and ``cm-score``, tab-separated (ASVspoof)
``release``   utterance, score, label; with these names or no header
``csv``       named columns
============  =======================================================
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig import scores
from sslig.scores import ScoresError

FORMS = ("parquet", "official", "release", "csv")
OFFICIAL_HEADER = ["filename", "cm-score"]
RELEASE_HEADER = ["utterance", "score", "label"]
SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
"""What may stand between fields; white space where the first line has none of them."""

RUN = ["checkpoint", "seed", "crop_s"]
"""Columns of this project's table that tell runs apart."""

STATED = ["key", "attack", "codec", "speaker"]
"""Columns that this project's table takes from the protocol."""

_PARQUET_MAGIC = b"PAR1"


class Rows(NamedTuple):
    """The rows of a file, each with ``at``: its line, or its row from 0.

    Parameters
    ----------
    table
        ``at``, ``utterance``, ``score`` and, where the file has them, ``label`` or the columns `STATED`; text from a
        text file.
    form
        One of `FORMS`.
    unit
        What ``at`` counts: ``line`` or ``row``.
    note
        How the form was found.
    """

    table: pd.DataFrame
    form: str
    unit: str
    note: str


def read(path: Path, form: str | None, columns: Mapping[str, str] | None) -> Rows:
    """The rows of the file at `path`, of form `form` or, where it is none, of the form that its content shows.

    Raises
    ------
    ScoresError
        The file is missing or empty, its form cannot be recognised or is not `form`, or `columns` do not fit.
    """
    if not path.is_file():
        raise ScoresError(f"{path}: no such file of scores")
    with path.open("rb") as file:
        is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    if form == "parquet" or (form is None and is_parquet):
        return _read_parquet(path, columns)
    return _read_text(path, form, columns)


def _read_parquet(path: Path, columns: Mapping[str, str] | None) -> Rows:
    table = scores.read(path)
    if columns is not None:
        raise ScoresError(f"{path}: columns={dict(columns)} are for form csv; this is parquet")
    runs = table[RUN].drop_duplicates()
    if len(runs) > 1:
        first, second = runs.iloc[0].to_dict(), runs.iloc[1].to_dict()
        raise ScoresError(f"{path}: scores of {len(runs)} runs, such as {first} and {second}; one is needed")
    rows = table.rename(columns={"spoof_score": "score"}).assign(at=np.arange(len(table)))
    return Rows(rows[["at", "utterance", "score", *STATED]], "parquet", "row", "form parquet")


def _read_text(path: Path, form: str | None, columns: Mapping[str, str] | None) -> Rows:
    lines = _lines(path)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ScoresError(f"{path}: no scores")
    separator = next((mark for mark in SEPARATORS if mark in first), None)
    fields = _fields(path, lines, separator)
    header = fields[0][1]
    form = form or _recognised(path, header, columns)
    places, has_header = _places(path, header, form, columns)
    body = fields[1:] if has_header else fields
    if not body:
        raise ScoresError(f"{path}: a header and no scores")
    for number, row in body:
        if len(row) != len(header):
            raise ScoresError(f"{path}, line {number}: {len(row)} fields; the first line has {len(header)}")
    named = {name: [row[place] for _, row in body] for name, place in places.items()}
    note = (
        f"form {form}, fields separated by {SEPARATORS.get(separator, 'white space')}, "
        f"{'with' if has_header else 'without'} header"
    )
    return Rows(pd.DataFrame({"at": [number for number, _ in body]} | named), form, "line", note)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ScoresError(f"{path}, line {number}: neither Parquet nor UTF-8 text ({error.reason})") from error


def _fields(path: Path, lines: list[str], separator: str | None) -> list[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    if separator is None:
        return [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    rows = csv.reader(lines, delimiter=separator, strict=True)
    try:
        stripped = [(rows.line_num, [field.strip() for field in row]) for row in rows]
    except csv.Error as error:
        raise ScoresError(f"{path}, line {rows.line_num}: {error}") from error
    return [(number, row) for number, row in stripped if any(row)]


def _recognised(path: Path, header: list[str], columns: Mapping[str, str] | None) -> str:
    if columns is not None:
        return "csv"
    names = [name.lower() for name in header]
    if names == OFFICIAL_HEADER:
        return "official"
    if names == RELEASE_HEADER or _is_release_row(header):
        return "release"
    raise ScoresError(
        f"{path}, line 1: {', '.join(header)} shows no known form; accepted: a Parquet table of scores, the header "
        f"{' '.join(OFFICIAL_HEADER)}, three fields {' '.join(RELEASE_HEADER)}, or any CSV with its "
        'columns={"utterance": ..., "score": ...}'
    )


def _places(path: Path, header: list[str], form: str, columns: Mapping[str, str] | None) -> tuple[dict[str, int], bool]:
    """Position of utterance, score and label in a row, and whether the first row is a header."""
    if form == "csv":
        return _named_places(path, header, columns or {}), True
    if columns is not None:
        raise ScoresError(f"{path}: columns={dict(columns)} are for form csv; this is {form}")
    expected = OFFICIAL_HEADER if form == "official" else RELEASE_HEADER
    has_header = [name.lower() for name in header] == expected
    if not has_header and not (form == "release" and _is_release_row(header)):
        raise ScoresError(f"{path}, line 1: {', '.join(header)}; form {form} has {' '.join(expected)}")
    return {name: place for place, name in enumerate(RELEASE_HEADER[: len(expected)])}, has_header


def _named_places(path: Path, header: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    if not {"utterance", "score"} <= set(columns) <= set(RELEASE_HEADER):
        raise ScoresError(
            f"{path}: columns={dict(columns)}; of a CSV they must name utterance and score, and may name label. "
            f"The file has {', '.join(header)}"
        )
    for column in columns.values():
        if header.count(column) != 1:
            found = f"column {column!r} stands {header.count(column)} times in the header {', '.join(header)}"
            raise ScoresError(f"{path}, line 1: {found}; once is needed")
    return {name: header.index(column) for name, column in columns.items()}


def _is_release_row(row: list[str]) -> bool:
    try:
        float(row[1])
    except (IndexError, ValueError):
        return False
    return len(row) == len(RELEASE_HEADER)
