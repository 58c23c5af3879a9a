"""Tables of scores: the project's Parquet, the official text file of ASVspoof 5, and score files of other systems.

Files of other systems come in these forms, which `read_foreign` recognises by their content:

============  =======================================================  ================
form          what it is                                               a higher score
============  =======================================================  ================
``parquet``   this project's table                                     means spoof
``official``  ``filename`` and ``cm-score``, tab-separated (ASVspoof)  means bona fide
``release``   utterance, score, label; with these names or no header   must be stated
``plain``     utterance, score; without header                         must be stated
``aasist``    utterance, attack, key, score; without header            must be stated
``log``       ``Output``, utterance, label, score; without header      must be stated
``csv``       named columns                                            must be stated
============  =======================================================  ================
"""

import csv
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig.errors import InputError
from sslig.files import write_parquet, write_tsv
from sslig.labels import KEYS
from sslig.stats import metrics

FROM_PROTOCOL = ["key", "attack", "codec", "speaker"]
COLUMNS = ["utterance", "spoof_score", *FROM_PROTOCOL, "duration_s", "crop_s", "seed", "checkpoint"]
"""``spoof_score`` is a logit (higher = spoof); ``crop_s`` is null where the whole utterance was scored."""

RUN = ["checkpoint", "seed", "crop_s"]  # columns that tell runs apart; an utterance has one score a run
HIGHER = {"parquet": "spoof", "official": "bonafide"}
OFFICIAL_HEADER = ["filename", "cm-score"]
RELEASE_HEADER = ["utterance", "score", "label"]
SEPARATORS = "\t,;"  # white space where the first line has none of them
SHOWN = 5


class ScoreFileWarning(UserWarning):
    """A score file that can be used and is likely not what was meant."""


def write(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write `table` (columns `COLUMNS`, in any order) as Parquet; `InputError` where `read` would raise it."""
    write_parquet(path, _checked(path, table))


def read(path: str | os.PathLike) -> pd.DataFrame:
    """Read the table of scores at `path`, with the columns `COLUMNS`.

    Raises
    ------
    InputError
        The file is missing or no Parquet, a column is missing or unknown, the table is empty, a score is not finite,
        a key is unknown, or a run has two scores of an utterance.
    """
    import pyarrow

    try:
        table = pd.read_parquet(_existing(path))
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: not a Parquet file ({error})") from error
    return _checked(path, table)


def write_official(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write the file that the official evaluation reads: ``filename`` and ``cm-score``, tab-separated.

    This is the only place of the official direction, higher = bona fide: ``cm-score`` is the negated ``spoof_score``.
    `InputError` where `read` would raise it, or an utterance has several scores.
    """
    table = _checked(path, table)
    several = "utterance {utterance} has several scores; an official file holds one score of each"
    _refuse(path, table, table["utterance"].duplicated(), several)
    write_tsv(path, pd.DataFrame({"filename": table["utterance"], "cm-score": -table["spoof_score"]}))


class ScoreFile(NamedTuple):
    """A score file of some system."""

    path: Path
    table: pd.DataFrame  # in the order of the protocol: ``utterance``, ``spoof_score`` and the protocol's columns
    form: str  # one of the table above
    notes: list[str]  # what was recognised and left out, to be printed beside any figure made of the scores


def read_foreign(
    path: str | os.PathLike,
    protocol: pd.DataFrame,
    *,
    higher: str | None = None,
    columns: Mapping[str, str] | None = None,
    spoof_label: str | None = None,
    missing: str = "refuse",
    unknown: str = "refuse",
) -> ScoreFile:
    """Read the scores of any system as spoof scores, checked against the protocol and joined with it.

    An EER above 50 % gives a `ScoreFileWarning`; nothing is guessed from the scores.

    Parameters
    ----------
    protocol
        The trials (`sslig.corpora.protocol`): ``utterance``, ``key`` and whatever else is to be joined.
    higher
        What a higher score means, ``spoof`` or ``bonafide``; needed where the form does not fix it.
    columns
        For a CSV file: ``{"utterance": its column, "score": its column}`` and, if it has one, ``"label"``. Numbers
        from 0 count the columns of a file without header.
    spoof_label
        The label that stands for spoof, all others being bona fide. By default the words ``bonafide`` and ``spoof``
        stand for themselves, and any other label for the key that most of its rows have in the protocol.
    missing, unknown
        Whether utterances of the protocol without a score, and scores of utterances that are not in it, are an error
        (``refuse``) or left out with a note (``allow``).

    Raises
    ------
    InputError
        Form or direction are unclear, there are several columns of scores, or a row has a wrong number of fields, no
        finite score, an utterance that stands twice or is unknown, or a label that the protocol contradicts; the
        message names the row.
    """
    path = _existing(path)
    if not {missing, unknown} <= {"refuse", "allow"}:
        raise InputError(f"{path}: missing={missing!r}, unknown={unknown!r}; accepted: refuse, allow")
    rows = _read_rows(path, columns)
    higher = _direction(rows, higher)
    rows = _known(_finite_once(rows), protocol, unknown)
    _refuse_contradictions(rows, protocol, spoof_label)
    table = _joined(rows, protocol, higher, missing)
    by_key = [table.loc[table["key"] == key, "spoof_score"] for key in KEYS]
    if all(map(len, by_key)) and (eer := metrics.eer(*by_key)) > 0.5:
        rows.notes.append(f"the EER is {100 * eer:.1f} %, above 50 %: the direction may be reversed")
        warnings.warn(f"{path}: {rows.notes[-1]}", ScoreFileWarning, stacklevel=2)
    return rows._replace(table=table)


def _existing(path: str | os.PathLike) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file of scores")
    return Path(path)


def _checked(path: str | os.PathLike, table: pd.DataFrame) -> pd.DataFrame:
    missing, unknown = (sorted(names) for names in (set(COLUMNS) - set(table), set(table) - set(COLUMNS)))
    if missing or unknown:
        raise InputError(f"{path}: missing columns {missing}, unknown columns {unknown}; accepted: {COLUMNS}")
    if table.empty:
        raise InputError(f"{path}: no scores")
    table = table[COLUMNS].reset_index(drop=True).astype({"crop_s": np.float64})  # a column of nulls has no kind
    finite, known = np.isfinite(table["spoof_score"]), table["key"].isin(KEYS)
    _refuse(path, table, ~finite, "spoof_score is {spoof_score} in utterance {utterance}; a finite number is needed")
    _refuse(path, table, ~known, f"key is {{key!r}} in utterance {{utterance}}; accepted: {', '.join(KEYS)}")
    _refuse(path, table, table.duplicated(["utterance", *RUN]), "utterance {utterance} stands before with the same run")
    return table


def _refuse(path: str | os.PathLike, table: pd.DataFrame, faulty: pd.Series, what: str) -> None:
    """Raise `what`, with the values of the columns that it names in braces, of the first faulty row."""
    if faulty.any():
        row = table[faulty].iloc[0]
        at = row.get("at", f"row {row.name}")
        raise InputError(f"{path}, {at}: {what.format(**row)} ({faulty.sum()} of {len(table)} rows)")


def _read_rows(path: Path, columns: Mapping[str, str] | None) -> ScoreFile:
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            return _read_text(path, columns)
    table = read(path)
    if columns is not None:
        raise InputError(f"{path}: columns={dict(columns)} are for form csv; this is parquet")
    runs = table[RUN].drop_duplicates()
    if len(runs) > 1:
        first, second = runs.iloc[:2].to_dict("records")
        raise InputError(f"{path}: scores of {len(runs)} runs, such as {first} and {second}; one is needed")
    rows = table.rename(columns={"spoof_score": "score"}).assign(at=[f"row {number}" for number in range(len(table))])
    return ScoreFile(path, rows[["at", "utterance", "score", *FROM_PROTOCOL]], "parquet", ["form parquet"])


def _read_text(path: Path, columns: Mapping[str, str] | None) -> ScoreFile:
    fields = _fields(path)
    if not fields:
        raise InputError(f"{path}: no scores")
    header = fields[0][1]
    form, positions, has_header = _layout(path, header, columns)
    body = fields[has_header:]
    if not body:
        raise InputError(f"{path}: a header and no scores")
    for number, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} fields; the first line has {len(header)}")
    named = {name: [row[position] for _, row in body] for name, position in positions.items()}
    table = pd.DataFrame({"at": [f"line {number}" for number, _ in body]} | named)
    return ScoreFile(path, table, form, [f"form {form}, {'with' if has_header else 'without'} header"])


def _fields(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank; the first of them shows the separator."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: neither Parquet nor UTF-8 text ({error})") from error
    first = next(filter(str.strip, lines), "")
    separator = next((mark for mark in SEPARATORS if mark in first), None)
    if separator is None:
        return [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    rows = csv.reader(lines, delimiter=separator, strict=True)
    try:
        stripped = [(rows.line_num, [field.strip() for field in row]) for row in rows]
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}") from error
    filled = [(number, row) for number, row in stripped if any(row)]
    # Some tools end every line with a separator.
    ended = all(row[-1] == "" for _, row in filled)
    return [(number, row[: len(row) - ended]) for number, row in filled]


def _layout(path: Path, header: list[str], columns: Mapping[str, str] | None) -> tuple[str, dict[str, int], bool]:
    """Form of a text file, positions of utterance, score and label, and whether the first row is a header."""
    names = [name.lower() for name in header]
    if columns is not None:
        if not {"utterance", "score"} <= set(columns) <= set(RELEASE_HEADER):
            needed = "for a CSV they must name utterance and score, and may name label"
            raise InputError(f"{path}: columns={dict(columns)}; {needed}. The file has {', '.join(header)}")
        if all(str(column).isdigit() and int(column) < len(header) for column in columns.values()):
            return "csv", {name: int(column) for name, column in columns.items()}, False
        for column in columns.values():
            if header.count(column) != 1:
                problem = f"column {column!r} stands {header.count(column)} times in the header {', '.join(header)}"
                raise InputError(f"{path}, line 1: {problem}; once is needed")
        return "csv", {name: header.index(column) for name, column in columns.items()}, True
    if names == OFFICIAL_HEADER:
        return "official", {"utterance": 0, "score": 1}, True
    number = pd.to_numeric(pd.Series(header), errors="coerce").notna().tolist()
    if names == RELEASE_HEADER or number in ([False, True, False], [False, True, True]):
        return "release", {"utterance": 0, "score": 1, "label": 2}, names == RELEASE_HEADER
    if number == [False, True]:
        return "plain", {"utterance": 0, "score": 1}, False
    if number == [False, False, False, True] and names[2] in KEYS:
        return "aasist", {"utterance": 0, "label": 2, "score": 3}, False
    if number[1:] == [False, True, True] and names[0] == "output":
        return "log", {"utterance": 1, "label": 2, "score": 3}, False
    headers = f"the header {' '.join(OFFICIAL_HEADER)}, {' '.join(RELEASE_HEADER)}, any CSV with `columns`"
    problem = f"{', '.join(header)} shows no known form; accepted: a Parquet table of scores, {headers}"
    raise InputError(f"{path}, line 1: {problem}")


def _direction(rows: ScoreFile, higher: str | None) -> str:
    fixed = HIGHER.get(rows.form)
    if fixed and higher not in (None, fixed):
        raise InputError(f"{rows.path}: higher={higher!r}, but in form {rows.form} a higher score means {fixed}")
    if not fixed and higher not in KEYS:
        problem = f"form {rows.form} does not say what a higher score means: pass {' or '.join(KEYS)}"
        raise InputError(f"{rows.path}: higher={higher!r}; {problem}")
    rows.notes.append(f"a higher score in the file means {fixed or higher}")
    return fixed or higher


def _finite_once(rows: ScoreFile) -> ScoreFile:
    table, texts = rows.table, rows.table["score"]
    if texts.astype(str).str.fullmatch(r"[-+]?\d+,\d+").all():
        texts = texts.str.replace(",", ".")
        rows.notes.append("scores are written with a decimal comma")
    numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    _refuse(rows.path, table, ~np.isfinite(numbers), "score {score!r} of {utterance}; a finite number is needed")
    first = table.groupby("utterance")[["at", "score"]].transform("first").add_prefix("first_")
    twice = "utterance {utterance} stands twice: score {first_score} in {first_at}, {score} here"
    _refuse(rows.path, table.join(first), table["utterance"].duplicated(), twice)
    return rows._replace(table=table.assign(score=numbers))


def _known(rows: ScoreFile, protocol: pd.DataFrame, policy: str) -> ScoreFile:
    known = rows.table["utterance"].isin(protocol["utterance"])
    if known.all():
        return rows
    strange = rows.table[~known]
    text = f"{len(strange)} of {len(rows.table)} utterances are not in the protocol: {_first(strange['utterance'])}"
    bare = rows.table["utterance"].str.extract(r"([^/\\]+?)(?:\.\w+)?$")[0]
    if not known.any() and bare.is_unique and bare.isin(protocol["utterance"]).any():
        rows.notes.append(
            f"names are those of files, such as {rows.table['utterance'].iloc[0]}: folder and ending left out"
        )
        return _known(rows._replace(table=rows.table.assign(utterance=bare)), protocol, policy)
    if policy == "refuse" or not known.any():
        raise InputError(f"{rows.path}, {strange['at'].iloc[0]}: {text}")
    rows.notes.append(f"left out: {text}")
    return rows._replace(table=rows.table[known])


def _refuse_contradictions(rows: ScoreFile, protocol: pd.DataFrame, spoof_label: str | None) -> None:
    truth = protocol.set_index("utterance").loc[rows.table["utterance"]].set_index(rows.table.index)
    for column in [name for name in FROM_PROTOCOL if name in rows.table and name in truth]:
        what = f"{column} {{{column}!r}} of {{utterance}}, but the protocol says {{truth!r}}"
        table = rows.table.assign(truth=truth[column])
        _refuse(rows.path, table, table[column] != table["truth"], what)
    if "label" in rows.table:
        meanings = _meanings(rows, truth["key"], spoof_label)
        what = "label {label!r} of {utterance} stands for {meant}, but the protocol says {truth!r}"
        table = rows.table.assign(meant=rows.table["label"].map(meanings), truth=truth["key"])
        _refuse(rows.path, table, table["meant"] != table["truth"], what)
        pairs = ", ".join(f"{label} = {key}" for label, key in meanings.items())
        rows.notes.append(f"labels agree with the protocol in all {len(truth)} rows: {pairs}")
    elif spoof_label is not None:
        raise InputError(f"{rows.path}: spoof_label={spoof_label!r}, but the file has no labels")


def _meanings(rows: ScoreFile, keys: pd.Series, spoof_label: str | None) -> dict[str, str]:
    labels = sorted(rows.table["label"].unique())
    if spoof_label is not None:
        if spoof_label not in labels:
            raise InputError(f"{rows.path}: no label is {spoof_label!r}; the file has {', '.join(labels[:SHOWN])}")
        return {label: "spoof" if label == spoof_label else "bonafide" for label in labels}
    if len(labels) > len(KEYS) and pd.to_numeric(pd.Series(labels), errors="coerce").notna().all():
        named = "columns={'utterance': 0, 'score': 1} or {'utterance': 0, 'score': 2}"
        raise InputError(
            f"{rows.path}: two columns of numbers, the second with {len(labels)} values; choose by {named}"
        )
    usual = keys.groupby(rows.table["label"]).agg(lambda part: part.mode().iloc[0])
    return usual.to_dict() | {label: label for label in labels if label in KEYS}


def _joined(rows: ScoreFile, protocol: pd.DataFrame, higher: str, policy: str) -> pd.DataFrame:
    by_utterance = rows.table.set_index("utterance")["score"] * (1 if higher == "spoof" else -1)
    table = protocol.assign(spoof_score=protocol["utterance"].map(by_utterance).astype(np.float64))
    absent = table.loc[table["spoof_score"].isna(), "utterance"]
    if len(absent):
        text = f"{len(absent)} of {len(protocol)} utterances of the protocol have no score: {_first(absent)}"
        if policy == "refuse":
            raise InputError(f"{rows.path}: {text}")
        rows.notes.append(f"missing: {text}")
    ordered = table[["utterance", "spoof_score", *protocol.columns.drop("utterance")]]
    return ordered.dropna(subset="spoof_score").reset_index(drop=True)


def _first(names: pd.Series) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
