"""What reading a file of annotations gives: the good rows as a table, and the bad ones with what is wrong."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sslig.annotation.table import KEY, conformed, row_of
from sslig.annotation.vocabulary import VocabularyError

FAULTS = ("file", "row", "utterance", "fault")


class InterchangeError(ValueError):
    """A file of annotations that cannot be read or written; the message names it and what is accepted."""


class Imported(NamedTuple):
    """What was read.

    Attributes
    ----------
    table
        The good rows (`sslig.annotation.table.TYPES`).
    faults
        ``file``, ``row`` (a line, a stretch or a task, counted from 1 as the form does), ``utterance`` and ``fault``:
        what was found and what is accepted. Rows of a form that holds several regions a row are left out whole.
    """

    table: pd.DataFrame
    faults: pd.DataFrame


def gathered(path: Path, rows: Iterable[tuple[int, str, list[Mapping[str, Any]] | str]]) -> Imported:
    """The checked rows of a file.

    Parameters
    ----------
    path
        The file.
    rows
        Number in the file, utterance, and either the regions as of `row_of` or what is wrong with the row.
    """
    good: list[dict[str, Any]] = []
    bad: list[tuple[str, int, str, str]] = []
    seen: dict[tuple, int] = {}
    for number, utterance, regions in rows:
        try:
            checked = _checked(regions)
            _check_new(checked, seen, number)
        except VocabularyError as error:
            bad.append((str(path), number, utterance, str(error)))
        else:
            good += checked
    return Imported(conformed(good), pd.DataFrame(bad, columns=list(FAULTS)))


def joined(parts: Iterable[Imported]) -> Imported:
    """What several files gave, as one."""
    parts = list(parts)
    if not parts:
        return Imported(conformed([]), pd.DataFrame(columns=list(FAULTS)))
    return Imported(*(pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)))


def existing(path: Path, what: str) -> str:
    """The text of a file.

    Raises
    ------
    InterchangeError
        There is none, or it is not UTF-8.
    """
    if not path.is_file():
        raise InterchangeError(f"{path}: no such file; {what} is needed")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InterchangeError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); {what} is needed") from error


def one_annotator(path: Path, table: pd.DataFrame) -> None:
    """Raises `InterchangeError` where a form that cannot tell annotators apart would have to hold several."""
    names = table["annotator"].unique().tolist()
    if len(names) > 1:
        raise InterchangeError(f"{path}: the form holds one annotator; there are {', '.join(names)}: choose one")


def _checked(regions: list[Mapping[str, Any]] | str) -> list[dict[str, Any]]:
    if isinstance(regions, str):
        raise VocabularyError(regions)
    return [row_of(region) for region in regions]


def _check_new(rows: list[dict[str, Any]], seen: dict[tuple, int], number: int) -> None:
    """Remember the regions of a row; refuse them where one stood in the file before."""
    keys = [tuple(row[column] for column in KEY) for row in rows]
    if again := [key for key in keys if key in seen]:
        raise VocabularyError(f"{', '.join(again[0])} stood in row {seen[again[0]]} before; one is accepted")
    seen.update(dict.fromkeys(keys, number))
