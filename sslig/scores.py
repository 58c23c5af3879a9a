"""The table of scores: reads and writes it as Parquet, and exports the official text file of ASVspoof 5."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from sslig.files import write_parquet, write_tsv
from sslig.labels import KEYS

COLUMNS = {
    "utterance": "text",
    "spoof_score": "number",
    "key": "text",
    "attack": "text",
    "codec": "text",
    "speaker": "text",
    "duration_s": "number",
    "crop_s": "number or null",
    "seed": "integer",
    "checkpoint": "text",
}
"""What each row says: ``spoof_score`` is a logit (higher = spoof); ``crop_s`` is null where all of it was scored."""

IDENTITY = ["utterance", "checkpoint", "seed", "crop_s"]
"""What names one score; it may stand in a table once."""


class ScoresError(ValueError):
    """A table of scores that cannot be used; the message names the file, the row and what was found."""


def write(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write `table` (columns `COLUMNS`, in any order) as Parquet, whole or not at all.

    Raises
    ------
    ScoresError
        The table is not one of scores; nothing is written.
    """
    write_parquet(path, _checked(path, table))


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table of scores at `path`, with the columns `COLUMNS`.

    Raises
    ------
    ScoresError
        The file is missing or no Parquet, a column is missing, unknown or of another kind, the table is empty, a
        score is NaN or infinite, a key is unknown, or a score stands twice.
    """
    path = Path(path)
    if not path.is_file():
        raise ScoresError(f"{path}: no such file of scores")
    try:
        table = pd.read_parquet(path)
    except pyarrow.ArrowInvalid as error:
        raise ScoresError(f"{path}: not a Parquet file ({error})") from error
    return _checked(path, table)


def write_official(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write the file that the official evaluation reads: ``filename`` and ``cm-score``, tab-separated.

    This is the one place of the official direction, higher = bona fide: ``cm-score`` is the negated ``spoof_score``.

    Raises
    ------
    ScoresError
        The table is not one of scores, or has several scores of an utterance.
    """
    table = _checked(path, table)
    twice = np.flatnonzero(table["utterance"].duplicated())
    if len(twice):
        utterance = table["utterance"].iloc[twice[0]]
        raise ScoresError(f"{path}, row {twice[0]}: a second score of {utterance}; an official file holds one run")
    write_tsv(path, pd.DataFrame({"filename": table["utterance"], "cm-score": -table["spoof_score"]}))


def _checked(path: str | os.PathLike, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with its columns in order; rows are counted from 0 in what is raised."""
    missing = [column for column in COLUMNS if column not in table]
    unknown = [str(column) for column in table.columns if column not in COLUMNS]
    if missing or unknown:
        raise ScoresError(f"{path}: missing columns {missing}, unknown columns {unknown}; accepted: {list(COLUMNS)}")
    if table.empty:
        raise ScoresError(f"{path}: no scores")
    table = table[list(COLUMNS)].reset_index(drop=True)
    # A column of nulls only has no kind of its own; what scores the full length writes it so.
    table["crop_s"] = table["crop_s"].astype("float64") if table["crop_s"].isna().all() else table["crop_s"]
    for column, kind in COLUMNS.items():
        _check_column(path, table, column, kind)
    _refuse(path, table, ~table["key"].isin(KEYS), "key", f"accepted: {', '.join(KEYS)}")
    twice = table.duplicated(IDENTITY)
    _refuse(path, table, twice, "utterance", "stood before with the same checkpoint, seed and crop")
    return table


def _check_column(path: str | os.PathLike, table: pd.DataFrame, column: str, kind: str) -> None:
    values = table[column]
    if kind == "text":
        _refuse(path, table, ~values.map(lambda value: isinstance(value, str)).astype(bool), column, "text is needed")
        return
    types = pd.api.types
    fits = types.is_integer_dtype if kind == "integer" else types.is_numeric_dtype
    if not fits(values.dtype) or types.is_bool_dtype(values.dtype):
        raise ScoresError(f"{path}: column {column} holds {values.dtype}; {kind} is needed")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    allowed = np.isfinite(numbers) | (np.isnan(numbers) & ("null" in kind))
    _refuse(path, table, ~allowed, column, "a finite number is needed")


def _refuse(path: str | os.PathLike, table: pd.DataFrame, faulty: pd.Series | np.ndarray, column: str, why: str):
    rows = np.flatnonzero(faulty)
    if len(rows):
        utterance, value = table["utterance"].iloc[rows[0]], table[column].iloc[rows[0]]
        more = f" (and {len(rows) - 1} rows more)" if len(rows) > 1 else ""
        raise ScoresError(f"{path}, row {rows[0]}, utterance {utterance}: {column} is {value!r}; {why}{more}")
