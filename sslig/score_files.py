"""One reader for score files of every known form: checked against the protocol, turned into spoof scores, joined.

The form is read from the content and said in a note. What a higher score means is fixed by two forms (``parquet``:
spoof, ``official``: bona fide) and must be told for the others; nothing is guessed from the scores themselves.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from sslig import score_forms
from sslig.labels import KEYS
from sslig.score_forms import FORMS, STATED, Rows
from sslig.scores import ScoresError
from sslig.stats import metrics

HIGHER = {"parquet": "spoof", "official": "bonafide"}
"""What a higher score means in the forms that fix it."""

SHOWN = 5

Policy = Literal["refuse", "allow"]
POLICIES = ("refuse", "allow")


class ScoreFileWarning(UserWarning):
    """A score file that can be used and is likely not what was meant."""


@dataclass(frozen=True)
class ScoreFile:
    """A score file as read.

    Attributes
    ----------
    table
        ``utterance``, ``spoof_score`` and all other columns of the protocol, in its order.
    form
        One of `sslig.score_forms.FORMS`.
    notes
        What was recognised and noticed, fit to be printed beside any figure made of the scores.
    """

    table: pd.DataFrame
    form: str
    notes: tuple[str, ...]


def read(
    path: str | os.PathLike,
    protocol_table: pd.DataFrame,
    *,
    form: str | None = None,
    higher: str | None = None,
    columns: Mapping[str, str] | None = None,
    spoof_label: str | None = None,
    missing: Policy = "refuse",
    unknown: Policy = "refuse",
) -> ScoreFile:
    """The scores at `path`, one of each utterance of the protocol, as spoof scores.

    Parameters
    ----------
    path
        The file.
    protocol_table
        What the scores are of (`sslig.corpora.protocol`): ``utterance``, ``key`` and whatever else is to be joined.
    form
        One of `sslig.score_forms.FORMS`; by default that which the content shows.
    higher
        What a higher score means, ``spoof`` or ``bonafide``; needed where the form does not fix it.
    columns
        Of a CSV file: ``{"utterance": its column, "score": its column}`` and, if it has one, ``"label"``.
    spoof_label
        The label that stands for spoof, all others being bona fide. By default the words ``bonafide`` and ``spoof``
        stand for themselves, and any other label for the one key that the protocol has in all rows of that label.
    missing, unknown
        Whether utterances of the protocol without a score, and scores of utterances that are not in it, are an error
        or are left out with a note.

    Warns
    -----
    ScoreFileWarning
        The EER is above 50 %: the direction may be reversed.

    Raises
    ------
    ScoresError
        The form cannot be recognised, the direction or the columns are not told, or a row has a wrong number of
        fields, a score that is no finite number, an utterance that stood before or is not in the protocol, or a label
        that the protocol contradicts. The message names file and row.
    """
    path = Path(path)
    _check_option(path, "form", form, (None, *FORMS))
    _check_option(path, "missing", missing, POLICIES)
    _check_option(path, "unknown", unknown, POLICIES)
    protocol_table = _checked_protocol(path, protocol_table)
    rows = score_forms.read(path, form, columns)
    higher = _direction(path, rows.form, higher)
    notes = [rows.note, f"a higher score in the file means {higher}"]
    rows = _finite(path, rows)
    _refuse_twice(path, rows)
    rows = _known(path, rows, protocol_table, unknown, notes)
    _check_keys(path, rows, protocol_table, spoof_label, notes)
    table = _joined(path, rows, protocol_table, higher, missing, notes)
    _note_reversal(path, table, notes)
    return ScoreFile(table, rows.form, tuple(notes))


def _check_option(path: Path, name: str, value: str | None, accepted: tuple[str | None, ...]) -> None:
    if value not in accepted:
        raise ScoresError(f"{path}: {name}={value!r}; accepted: {', '.join(map(str, accepted))}")


def _checked_protocol(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    lacking = [column for column in ("utterance", "key") if column not in table]
    if lacking:
        raise ScoresError(f"{path}: the protocol to check against lacks {', '.join(lacking)}")
    return table.drop(columns="spoof_score", errors="ignore")


def _direction(path: Path, form: str, higher: str | None) -> str:
    fixed = HIGHER.get(form)
    if fixed and higher not in (None, fixed):
        raise ScoresError(f"{path}: higher={higher!r}, but in form {form} a higher score means {fixed}")
    if not fixed and higher not in KEYS:
        raise ScoresError(
            f"{path}: higher={higher!r}; form {form} does not say what a higher score means: tell {' or '.join(KEYS)}"
        )
    return fixed or higher


def _finite(path: Path, rows: Rows) -> Rows:
    """Rows with scores as numbers."""
    numbers = pd.to_numeric(rows.table["score"], errors="coerce").astype(np.float64)
    faulty = np.flatnonzero(~np.isfinite(numbers))
    if len(faulty):
        first = rows.table.iloc[faulty[0]]
        more = f" ({len(faulty)} rows in all)" if len(faulty) > 1 else ""
        found = f"score {first['score']!r} of {first['utterance']}; a finite number is needed{more}"
        raise ScoresError(f"{path}, {rows.unit} {first['at']}: {found}")
    return rows._replace(table=rows.table.assign(score=numbers))


def _refuse_twice(path: Path, rows: Rows) -> None:
    twice = rows.table["utterance"].duplicated()
    if twice.any():
        second = rows.table[twice].iloc[0]
        first = rows.table[rows.table["utterance"] == second["utterance"]].iloc[0]
        raise ScoresError(
            f"{path}, {rows.unit} {second['at']}: utterance {second['utterance']} stood in {rows.unit} {first['at']} "
            f"before, with score {first['score']:g}, now {second['score']:g} ({twice.sum()} rows in all)"
        )


def _known(path: Path, rows: Rows, protocol_table: pd.DataFrame, policy: Policy, notes: list[str]) -> Rows:
    """The rows whose utterance is in the protocol."""
    known = rows.table["utterance"].isin(protocol_table["utterance"])
    if known.all():
        return rows
    strange = rows.table[~known]
    text = f"{len(strange)} of {len(rows.table)} utterances are not in the protocol: {_first(strange['utterance'])}"
    if policy == "refuse" or not known.any():
        bare = strange["utterance"].str.extract(r"([^/\\]+?)(?:\.\w+)?$")[0]
        hint = "; without folder and ending they would be" if bare.isin(protocol_table["utterance"]).all() else ""
        raise ScoresError(f"{path}, {rows.unit} {strange['at'].iloc[0]}: {text}{hint}")
    notes.append(f"left out: {text}")
    return rows._replace(table=rows.table[known])


def _check_keys(
    path: Path, rows: Rows, protocol_table: pd.DataFrame, spoof_label: str | None, notes: list[str]
) -> None:
    """Refuse what the file says of an utterance and the protocol contradicts."""
    truth = protocol_table.set_index("utterance").loc[rows.table["utterance"]]
    for column in [name for name in STATED if name in rows.table and name in truth]:
        _refuse_contradiction(path, rows, rows.table[column], truth[column], column)
    if "label" not in rows.table:
        if spoof_label is not None:
            raise ScoresError(f"{path}: spoof_label={spoof_label!r}, but the file has no labels")
        return
    stands_for = _meanings(path, rows.table["label"], truth["key"], spoof_label)
    _refuse_contradiction(path, rows, rows.table["label"], truth["key"], "label", stands_for)
    said = ", ".join(f"{label} = {key}" for label, key in stands_for.items())
    notes.append(f"labels agree with the protocol in all {len(truth)} rows: {said}")


def _meanings(path: Path, labels: pd.Series, keys: pd.Series, spoof_label: str | None) -> dict[str, str]:
    """The key that each label stands for: as told, by its word, or as most rows of the label have it."""
    found = sorted(labels.unique())
    if spoof_label is not None:
        if spoof_label not in found:
            raise ScoresError(f"{path}: no label is {spoof_label!r}; the file has {', '.join(found[:SHOWN])}")
        return {label: "spoof" if label == spoof_label else "bonafide" for label in found}
    words = {label: label for label in found if label in KEYS}
    usual = keys.groupby(labels.to_numpy()).agg(lambda part: part.mode().iloc[0])
    return usual.to_dict() | words


def _refuse_contradiction(
    path: Path, rows: Rows, said: pd.Series, truth: pd.Series, column: str, stands_for: dict[str, str] | None = None
) -> None:
    meant = said if stands_for is None else said.map(stands_for)
    faulty = np.flatnonzero(meant.to_numpy() != truth.to_numpy())
    if len(faulty):
        row = rows.table.iloc[faulty[0]]
        meaning = "" if stands_for is None else f", which stands for {meant.iloc[faulty[0]]} in other rows or as told,"
        raise ScoresError(
            f"{path}, {rows.unit} {row['at']}: {column} {said.iloc[faulty[0]]!r} of {row['utterance']}{meaning} but "
            f"the protocol says {truth.iloc[faulty[0]]!r} ({len(faulty)} of {len(truth)} rows contradict it)"
        )


def _joined(
    path: Path, rows: Rows, protocol_table: pd.DataFrame, higher: str, policy: Policy, notes: list[str]
) -> pd.DataFrame:
    """Spoof scores with the columns of the protocol, in its order."""
    sign = 1 if higher == "spoof" else -1
    score_of = pd.Series((sign * rows.table["score"]).to_numpy(), index=rows.table["utterance"])
    spoof_score = protocol_table["utterance"].map(score_of).astype(np.float64)
    absent = protocol_table.loc[spoof_score.isna(), "utterance"]
    if len(absent):
        text = f"{len(absent)} of {len(protocol_table)} utterances of the protocol have no score: {_first(absent)}"
        if policy == "refuse":
            raise ScoresError(f"{path}: {text}")
        notes.append(f"missing: {text}")
    table = protocol_table.assign(spoof_score=spoof_score)
    first = ["utterance", "spoof_score"]
    others = [column for column in protocol_table if column not in first]
    return table.loc[spoof_score.notna(), [*first, *others]].reset_index(drop=True)


def _note_reversal(path: Path, table: pd.DataFrame, notes: list[str]) -> None:
    by_key = [table.loc[table["key"] == key, "spoof_score"] for key in KEYS]
    if not all(map(len, by_key)):
        notes.append("one class only: no EER can check the direction")
        return
    eer = metrics.eer(*by_key)
    if eer > 0.5:
        notes.append(f"the EER is {100 * eer:.1f} %, above 50 %: the direction may be reversed")
        warnings.warn(f"{path}: {notes[-1]}", ScoreFileWarning, stacklevel=3)


def _first(names: pd.Series) -> str:
    return ", ".join(names.iloc[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
