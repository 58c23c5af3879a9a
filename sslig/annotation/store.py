"""The store of annotations: one SQLite file that keeps every change of every annotator and only grows.

The file is in WAL mode with ``synchronous=FULL``, so an append is on the disk when it returns: it outlives kill -9 and,
as far as the disk keeps its word, a power cut. WAL needs shared memory, so the file has to lie on a disk of the machine
that serves the annotators and not on a network drive.
"""

import json
import os
import random
import sqlite3
import threading
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sslig.errors import InputError

CUES: Mapping[str, str] = {
    "glitch": "Local glitch",
    "phoneme": "Phoneme content / articulation",
    "transition": "Voiced-unvoiced transition",
    "silence": "Silence / pause",
    "breath": "Breath / aspiration",
    "noise": "Channel / codec / noise floor",
    "spectral": "Spectral artefact",
    "unclear": "Unclear / diffuse",
}
"""The primary cues of a region, and the label of each on the page."""

LOCALITY = (1, 5)
"""From spread over time to a single spike."""

DETECTORS: Mapping[str, str] = {"aasist": "AASIST", "camhfa": "CA-MHFA", "sls": "SLS"}
"""Display names of the project's heads; any other detector goes by the name that its study gives it."""

SECONDS = (-1.0, 86_400.0)
"""Accepted times of marks; marks drawn by hand may begin a little before 0."""

NAME_CHARACTERS, ITEM_CHARACTERS, TEXT_CHARACTERS = 80, 200, 10_000
"""Largest lengths of the name of an annotator or a track, of the name of an item, and of a comment."""

CONTROL = ("Cc", "Cs")
"""Unicode classes that no text keeps: control characters and halves of surrogate pairs."""

Check = Callable[[Any], Any]
"""Returns a value as it is stored, or raises `InputError`."""


def name(value: Any, what: str = "annotator", most: int = NAME_CHARACTERS) -> str:
    """The name of a person as it is stored: single spaces, Unicode form NFC, markup as typed.

    Raises
    ------
    InputError
        The value is no text, empty, too long, or holds an invisible character, so that two names could look the same.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} {value!r}; a text is needed")
    text = " ".join(unicodedata.normalize("NFC", value).split())
    hidden = [character for character in text if unicodedata.category(character) in (*CONTROL, "Cf")]
    if hidden or not 0 < len(text) <= most:
        fault = f"holds {hidden[0]!r}" if hidden else f"has {len(text)} characters"
        raise InputError(f"{what} {text[:most]!r} {fault}; 1 to {most} visible characters are needed")
    return text


def identifier(value: Any, what: str, most: int = NAME_CHARACTERS) -> str:
    """Check the name of an utterance, an item, a detector or a track, as `name`, and return it unchanged."""
    name(value, what, most)
    if value != value.strip() or "\n" in value or len(value) > most:
        raise InputError(f"{what} {value!r}; 1 to {most} visible characters on one line are needed")
    return value


def text(value: Any) -> str:
    r"""A comment as it is stored: as typed, with ``\n`` for every line end and without control characters.

    Control characters come from pasting. They are removed rather than refused, so that no comment is lost.
    """
    if not isinstance(value, str):
        raise InputError(f"{value!r}; a text is needed")
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(letter for letter in lines if letter in "\n\t" or unicodedata.category(letter) not in CONTROL)
    if len(clean) > TEXT_CHARACTERS:
        raise InputError(f"a text of {len(clean):,} characters; at most {TEXT_CHARACTERS:,} are accepted")
    return clean


def _accepting(accepts: Callable[[Any], bool], accepted: str) -> Check:
    def check(value: Any) -> Any:
        if not accepts(value):
            raise InputError(f"{value!r}; accepted: {accepted}")
        return value

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


seconds = _accepting(
    lambda value: _is_number(value) and SECONDS[0] <= value <= SECONDS[1],
    f"a number of seconds from {SECONDS[0]:g} to {SECONDS[1]:g}",
)
flag = _accepting(lambda value: isinstance(value, bool), "true or false")
cue = _accepting(lambda value: isinstance(value, str) and value in CUES, ", ".join(CUES))
locality = _accepting(
    lambda value: _is_number(value) and value in range(LOCALITY[0], LOCALITY[1] + 1),
    f"a whole number from {LOCALITY[0]} (spread) to {LOCALITY[1]} (spiky)",
)

MOST_MARKS = 50


def marks(value: Any) -> list[dict[str, Any]]:
    """Regions that an annotator marks besides the proposed ones, each with a label in own words, in order of time."""
    if not isinstance(value, list) or len(value) > MOST_MARKS or not all(isinstance(mark, Mapping) for mark in value):
        raise InputError(f"{value!r}; a list of at most {MOST_MARKS} regions with start_s, end_s and label is needed")
    rows = [
        {"start_s": seconds(m.get("start_s")), "end_s": seconds(m.get("end_s")), "label": text(m.get("label"))}
        for m in value
    ]
    for row in rows:
        check_region(row["start_s"], row["end_s"])
    return sorted(rows, key=lambda row: (row["start_s"], row["end_s"]))


ITEM_FIELDS: Mapping[str, Check] = {"comment": text, "similarity": text, "marks": marks, "done": flag}
"""Fields of an utterance as a whole."""

TRACK_FIELDS: Mapping[str, Check] = {
    **dict.fromkeys(("start_s", "end_s"), seconds),
    "cue": cue,
    "locality": locality,
    "audible": flag,
    "comment": text,
}
"""Fields of the region of one detector; stored with the name of its track: ``A.cue``."""


def track_of(field: str) -> str | None:
    """The track of a stored field; none for a field of the whole utterance."""
    track, dot, _ = field.rpartition(".")
    return track if dot else None


def checked(field: str, value: Any) -> Any:
    """The value as `field` stores it; None, which clears a field, passes.

    Raises
    ------
    InputError
        The field is unknown or cannot hold the value.
    """
    track, bare = (track_of(field), field.rpartition(".")[2]) if isinstance(field, str) else (None, "")
    known = ITEM_FIELDS if track is None else TRACK_FIELDS
    if bare not in known:
        accepted = ", ".join([*ITEM_FIELDS, *(f"<track>.{name}" for name in TRACK_FIELDS)])
        raise InputError(f"unknown field {field!r}; accepted: {accepted}")
    if track is not None:
        identifier(track, "track")
    return None if value is None else named(field, known[bare], value)


def named(field: str, check: Check, value: Any) -> Any:
    """The checked value; a refusal names the field."""
    try:
        return check(value)
    except InputError as error:
        raise InputError(f"{field} is {error}") from error


def check_region(start_s: float | None, end_s: float | None) -> None:
    """Raise `InputError` where both ends are given and the region does not end after it begins."""
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise InputError(f"a region from {start_s} to {end_s} s; it must end after it begins")


CHANGE, UNDO, REDO = "change", "undo", "redo"

APPLICATION = 0x53534C47  # "SSLG", which marks the file as a store of this project
VERSION = 1

RETRY_S = (0.001, 0.005)
"""Random pause between two tries to write. SQLite lengthens its pauses, so the longest waiting tries least often."""

SCHEMA = (
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, annotator TEXT NOT NULL, item TEXT NOT NULL,
        field TEXT NOT NULL, value TEXT NOT NULL, step INTEGER, kind TEXT NOT NULL, of INTEGER)""",
    "CREATE INDEX changes_of ON changes (annotator, item, field)",
    """CREATE TABLE plans (annotator TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL, plan TEXT NOT NULL,
        PRIMARY KEY (annotator, key))""",
    *(
        f"CREATE TRIGGER no_{verb.lower()}_of_{table} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a store only grows'); END"
        for table in ("changes", "plans")
        for verb in ("UPDATE", "DELETE")
    ),
)
SELECT = "SELECT id, at, annotator, item, field, value, coalesce(step, id), kind, of FROM changes"
INSERT = "INSERT INTO changes (at, annotator, item, field, value, step, kind, of) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Change:
    """A line of the log; a value of None clears the field."""

    id: int
    at: str  # UTC, ISO 8601 with milliseconds
    annotator: str
    item: str
    field: str
    value: Any
    step: int  # id of the first of the changes that were made together
    kind: str
    of: int | None  # the step that an undo or a redo refers to


class Store:
    """The changes in the file at `path`, which is created where it is missing unless it is opened `read_only`.

    Any number of processes may open the same file, and any thread may use this store; a forked process needs another.
    A writer waits for the others up to `patience_s`.

    Raises
    ------
    InputError
        The file is not a store, is of a newer version or cannot be opened; from methods, a field cannot hold a value.
        Where the file stays busy or cannot be written, the cause is the error of SQLite.
    """

    def __init__(self, path: str | os.PathLike, *, read_only: bool = False, patience_s: float = 60.0) -> None:
        self.path, self.read_only = Path(path), read_only
        self._patience_s, self._lock = patience_s, threading.RLock()
        if self.path.is_dir() or (read_only and not self.path.is_file()):
            fault = "a folder" if self.path.is_dir() else "no such file"
            raise InputError(f"{self.path}: {fault}; an annotation store is one file")
        with self._naming():
            self._base = self._connect()

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._base.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, annotator: str, item: str, field: str, value: Any) -> Change:
        """Set one field; the change is on the disk when this returns."""
        return self.record(annotator, item, {field: value})[0]

    def record(self, annotator: str, item: str, values: Mapping[str, Any]) -> tuple[Change, ...]:
        """Set several fields of one item in one step, all or none; `undo` reverts a step."""
        annotator, item = name(annotator), identifier(item, "item", ITEM_CHARACTERS)
        values = {field: checked(field, value) for field, value in values.items()}
        if not values:
            raise InputError("no field to set; at least one is needed")
        for track in {track_of(field) for field in values} - {None}:
            check_region(values.get(f"{track}.start_s"), values.get(f"{track}.end_s"))
        with self._writing():
            return self._add(annotator, item, values, CHANGE, None)

    def undo(self, annotator: str, item: str) -> tuple[Change, ...]:
        """Revert the annotator's last step on an item that still stands, by appended changes."""
        with self._writing():
            log = self._log(name(annotator), item)
            done, _ = _standing(log)
            if not done:
                return ()
            values = {change.field: change.value for change in log if change.step in done[:-1]}
            before = {change.field: values.get(change.field) for change in log if change.step == done[-1]}
            return self._add(name(annotator), item, before, UNDO, done[-1])

    def redo(self, annotator: str, item: str) -> tuple[Change, ...]:
        """Repeat the step on an item that was undone last, unless the annotator has changed the item since."""
        with self._writing():
            log = self._log(name(annotator), item)
            _, undone = _standing(log)
            if not undone:
                return ()
            again = {change.field: change.value for change in log if change.step == undone[-1]}
            return self._add(name(annotator), item, again, REDO, undone[-1])

    def state(self, annotator: str, item: str) -> dict[str, Any]:
        """The last value of each field of an item; cleared fields are absent."""
        return self.states(annotator, item).get(item, {})

    def states(self, annotator: str, item: str | None = None) -> dict[str, dict[str, Any]]:
        """The last value of each field by item, for one item or all."""
        query = (
            "SELECT item, field, value FROM changes WHERE id IN (SELECT max(id) FROM changes WHERE annotator = ? "
            "AND (? IS NULL OR item = ?) GROUP BY item, field) ORDER BY id"
        )
        states: dict[str, dict[str, Any]] = defaultdict(dict)
        for number, field, value in self._read(query, (annotator, item, item)):
            if value != "null":
                states[number][field] = json.loads(value)
        return dict(states)

    def history(self, annotator: str | None = None, item: str | None = None) -> list[Change]:
        """All changes in order, undone ones included, for one annotator or item or all."""
        with self._lock, self._naming():
            return self._log(annotator, item)

    def annotators(self) -> list[str]:
        """Names of those who changed anything or have a plan, sorted."""
        query = "SELECT annotator FROM changes UNION SELECT annotator FROM plans ORDER BY annotator"
        return [row[0] for row in self._read(query)]

    def keep_plan(self, annotator: str, key: str, plan: Any) -> Any:
        """The plan stored under `key`, which is `plan` (JSON values) where none was stored before."""
        with self._writing():
            values = (name(annotator), key, _now(), json.dumps(plan, ensure_ascii=False))
            self._base.execute("INSERT OR IGNORE INTO plans (annotator, key, at, plan) VALUES (?, ?, ?, ?)", values)
            row = self._base.execute("SELECT plan FROM plans WHERE annotator = ? AND key = ?", values[:2]).fetchone()
        return json.loads(row[0])

    def plans(self, annotator: str) -> dict[str, Any]:
        """The plans of an annotator by key, oldest first."""
        rows = self._read("SELECT key, plan FROM plans WHERE annotator = ? ORDER BY rowid", (annotator,))
        return {key: json.loads(plan) for key, plan in rows}

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        # A file in a folder that nobody can write to is read as it is, without the files that WAL needs beside it.
        beside = self.path.with_name(f"{self.path.name}-wal")
        frozen = self.read_only and not os.access(self.path.parent, os.W_OK) and not beside.exists()
        address = f"{self.path.absolute().as_uri()}?mode={'ro' if self.read_only else 'rwc'}{'&immutable=1' * frozen}"
        base = sqlite3.connect(
            address, uri=True, timeout=self._patience_s, isolation_level=None, check_same_thread=False
        )
        try:
            if not self.read_only:
                _prepare(base, time.monotonic() + self._patience_s)
            self._check(base)
        except (sqlite3.Error, InputError):
            base.close()
            raise
        return base

    def _check(self, base: sqlite3.Connection) -> None:
        mark, version = (base.execute(f"PRAGMA {key}").fetchone()[0] for key in ("application_id", "user_version"))
        if mark != APPLICATION:
            tables = ", ".join(_tables(base)) or "none"
            raise InputError(f"{self.path}: not an annotation store but another SQLite file (tables: {tables})")
        if version > VERSION:
            raise InputError(f"{self.path}: store of version {version}; this program reads versions up to {VERSION}")

    def _read(self, query: str, values: tuple = ()) -> list[tuple]:
        with self._lock, self._naming():
            return self._base.execute(query, values).fetchall()

    def _log(self, annotator: str | None, item: str | None) -> list[Change]:
        query = f"{SELECT} WHERE (? IS NULL OR annotator = ?) AND (? IS NULL OR item = ?) ORDER BY id"
        rows = self._base.execute(query, (annotator, annotator, item, item))
        return [Change(*row[:5], json.loads(row[5]), *row[6:]) for row in rows]

    def _add(
        self, annotator: str, item: str, values: Mapping[str, Any], kind: str, of: int | None
    ) -> tuple[Change, ...]:
        at, step, changes = _now(), None, []
        for field, value in values.items():
            row = (at, annotator, item, field, json.dumps(value, ensure_ascii=False), step, kind, of)
            number = self._base.execute(INSERT, row).lastrowid
            step = step or number
            changes.append(Change(number, at, annotator, item, field, value, step, kind, of))
        return tuple(changes)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise InputError(f"{self.path}: opened to read only")
        with self._lock, self._naming(), self._base:  # commits, or rolls back on an error
            self._base.execute("PRAGMA busy_timeout=0")
            try:  # as a writer from the start: a transaction that begins as a reader may fail to become one
                _patiently(self._base, "BEGIN IMMEDIATE", time.monotonic() + self._patience_s)
            finally:
                self._base.execute(f"PRAGMA busy_timeout={int(1000 * self._patience_s)}")
            yield

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into ones that name the file and what is needed."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = str(error)
            if "locked" in reason or "busy" in reason:
                reason = f"other annotators kept it busy, and nothing was written ({reason}); try again"
            elif "not a database" in reason or "malformed" in reason:
                reason = f"not an annotation store ({reason})"
            elif "readonly" in reason or "unable to open" in reason or isinstance(error, OSError):
                reason = f"cannot be written ({reason}); a file in a folder that can be written to is needed"
            raise InputError(f"{self.path}: {reason}") from error


def _prepare(base: sqlite3.Connection, until_s: float) -> None:
    """Create the tables of a new file, and make every commit reach the disk."""
    base.execute("PRAGMA synchronous=FULL")
    base.execute("PRAGMA fullfsync=ON")  # macOS: to the disk and not only to its cache
    if base.execute("PRAGMA user_version").fetchone()[0] == 0 and not _tables(base):
        _patiently(base, "PRAGMA journal_mode=WAL", until_s)  # SQLite does not wait here by itself
        base.execute("BEGIN IMMEDIATE")
        if not _tables(base):  # another process may have been faster
            for statement in SCHEMA:
                base.execute(statement)
            base.execute(f"PRAGMA application_id={APPLICATION}")
            base.execute(f"PRAGMA user_version={VERSION}")
        base.execute("COMMIT")


def _patiently(base: sqlite3.Connection, statement: str, until_s: float) -> None:
    while True:
        try:
            base.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(random.uniform(*RETRY_S))


def _tables(base: sqlite3.Connection) -> list[str]:
    return [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _standing(log: list[Change]) -> tuple[list[int], list[int]]:
    """Steps of the log of one item that stand, and steps that a redo can repeat, in order."""
    done: list[int] = []
    undone: list[int] = []
    for change in log:
        if change.id == change.step:  # the first change of a step
            if change.kind == UNDO:
                done.remove(change.of)
                undone.append(change.of)
            elif change.kind == REDO:
                undone.remove(change.of)
                done.append(change.of)
            else:
                done.append(change.step)
                undone = []
    return done, undone
