"""Keeps every change of every annotator in one SQLite file that only grows: nothing typed is lost, nor overwritten.

The file is in WAL mode with ``synchronous=FULL``: an append has been handed to the disk when it returns, so it outlives
the process (kill -9) and the power (as far as the disk keeps its word). ``NORMAL`` would be enough against kill -9,
because what the kernel holds does not die with a process, but a power cut could take the last changes. WAL needs shared
memory: the file has to lie on a disk of the machine that serves the annotators, not on a network drive.
"""

import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sslig.annotation import storage
from sslig.annotation.storage import StoreError
from sslig.annotation.vocabulary import (
    ITEM_CHARACTERS,
    VocabularyError,
    check_region,
    checked,
    identifier,
    name,
    parts_of,
)

__all__ = ["CHANGE", "REDO", "UNDO", "Change", "Store", "StoreError"]

CHANGE, UNDO, REDO = "change", "undo", "redo"


@dataclass(frozen=True)
class Change:
    """A line of the log.

    Attributes
    ----------
    id
        Counts all changes of the store.
    at
        UTC, ISO 8601 with milliseconds.
    annotator, item, field, value
        Who set what to what; a value of none clears the field.
    step
        What was changed together has one step: the id of its first change.
    kind
        ``change``, ``undo`` or ``redo``.
    of
        The step that an undo or a redo is about.
    """

    id: int
    at: str
    annotator: str
    item: str
    field: str
    value: Any
    step: int
    kind: str = CHANGE
    of: int | None = None


class Store:
    """The changes of a study in the file at `path`, which is made where it is missing.

    Any number of processes may hold a store of the same file, and any thread may use this one; a process that was
    forked needs its own. A writer waits for the others up to `patience_s`.

    Parameters
    ----------
    path
        The SQLite file.
    read_only
        Opens a file that is there, and refuses changes.
    patience_s
        After this a busy file is an error; nothing has been written then.

    Raises
    ------
    StoreError
        The file is no store, or of a newer version, or cannot be opened; from the methods also: a value that its
        field cannot hold, or a file that stays busy. The message names the file and what is accepted.
    """

    def __init__(self, path: str | os.PathLike, *, read_only: bool = False, patience_s: float = 60.0) -> None:
        self.path, self.read_only = Path(path), read_only
        self._patience_s, self._lock = patience_s, threading.RLock()
        self._base = storage.connect(self.path, read_only, patience_s)

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
        """Set several fields of one item in one step, all or none: both ends of a region, say. `undo` takes a step."""
        with self._writing():
            annotator, item = name(annotator), identifier(item, "item", ITEM_CHARACTERS)
            values = {field: checked(field, value) for field, value in values.items()}
            _check_regions(values)
            return self._add(annotator, [(item, field, value) for field, value in values.items()], CHANGE, None)

    def undo(self, annotator: str, item: str | None = None) -> tuple[Change, ...]:
        """Take back the annotator's last step that still stands, on `item` or anywhere, by changes to what was before.

        Returns
        -------
        tuple of Change
            The changes that were appended, none where nothing is left to undo. Nothing is deleted.
        """
        with self._writing():
            annotator = name(annotator)
            log = self._log(annotator, item)
            done, _ = _standing(log)
            if not done:
                return ()
            undone = [change for change in log if change.step == done[-1]]
            before = [_last_value(log, change, set(done[:-1])) for change in undone]
            return self._add(annotator, before, UNDO, done[-1])

    def redo(self, annotator: str, item: str | None = None) -> tuple[Change, ...]:
        """Bring back the step that was undone last, unless the annotator has changed something since."""
        with self._writing():
            annotator = name(annotator)
            log = self._log(annotator, item)
            _, undone = _standing(log)
            if not undone:
                return ()
            again = [(change.item, change.field, change.value) for change in log if change.step == undone[-1]]
            return self._add(annotator, again, REDO, undone[-1])

    def state(self, annotator: str, item: str) -> dict[str, Any]:
        """The last value of each field of an item; cleared fields are absent."""
        return self.states(annotator, item).get(item, {})

    def states(self, annotator: str, item: str | None = None) -> dict[str, dict[str, Any]]:
        """By item, the last value of each field: all that an annotator has said so far, of one item or of all."""
        query = ("SELECT item, field, value FROM changes WHERE id IN (SELECT max(id) FROM changes WHERE annotator = ? "
                 "AND (? IS NULL OR item = ?) GROUP BY item, field) ORDER BY id")  # fmt: skip
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for one, field, value in self._read(query, (annotator, item, item)):
            if value != "null":
                found[one][field] = json.loads(value)
        return dict(found)

    def history(self, annotator: str | None = None, item: str | None = None) -> list[Change]:
        """All changes, first to last, of one annotator or item or of all, undone ones and their undoing included."""
        with self._lock, self._naming():
            return self._log(annotator, item)

    def annotators(self) -> list[str]:
        """Who has changed anything or has a plan, sorted."""
        query = "SELECT annotator FROM changes UNION SELECT annotator FROM plans ORDER BY annotator"
        return [row[0] for row in self._read(query)]

    def last(self, annotator: str) -> Change | None:
        """The annotator's last change: where they stopped."""
        rows = self._read(f"{storage.SELECT} WHERE annotator = ? ORDER BY id DESC LIMIT 1", (annotator,))
        return _change(rows[0]) if rows else None

    def keep_plan(self, annotator: str, key: str, plan: Any) -> Any:
        """The plan kept for an annotator under `key`; where there is none, `plan` (of JSON values) is kept.

        What letters and regions stood for must not change under what was said of them, so the first plan stays.
        """
        with self._writing():
            values = (name(annotator), key, _now(), json.dumps(plan, ensure_ascii=False))
            self._base.execute("INSERT OR IGNORE INTO plans (annotator, key, at, plan) VALUES (?, ?, ?, ?)", values)
            row = self._base.execute("SELECT plan FROM plans WHERE annotator = ? AND key = ?", values[:2]).fetchone()
        return json.loads(row[0])

    def plans(self, annotator: str) -> dict[str, Any]:
        """The plans kept for an annotator by key, first to last."""
        rows = self._read("SELECT key, plan FROM plans WHERE annotator = ? ORDER BY rowid", (annotator,))
        return {key: json.loads(plan) for key, plan in rows}

    def _read(self, query: str, values: tuple = ()) -> list[tuple]:
        with self._lock, self._naming():
            return self._base.execute(query, values).fetchall()

    def _log(self, annotator: str | None, item: str | None) -> list[Change]:
        query = f"{storage.SELECT} WHERE (? IS NULL OR annotator = ?) AND (? IS NULL OR item = ?) ORDER BY id"
        return [_change(row) for row in self._base.execute(query, (annotator, annotator, item, item))]

    def _add(
        self, annotator: str, values: list[tuple[str, str, Any]], kind: str, of: int | None
    ) -> tuple[Change, ...]:  # fmt: skip
        at, step, found = _now(), None, []
        for item, field, value in values:
            row = (at, annotator, item, field, json.dumps(value, ensure_ascii=False), step, kind, of)
            number = self._base.execute(storage.INSERT, row).lastrowid
            step = number if step is None else step
            found.append(Change(number, at, annotator, item, field, value, step, kind, of))
        return tuple(found)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction of its own."""
        if self.read_only:
            raise StoreError(f"{self.path}: opened to read only")
        with self._lock, self._naming(), self._base:  # commits, or rolls back where something is raised
            storage.begin(self._base, self._patience_s)
            yield

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Errors of what is stored and of SQLite name the file."""
        try:
            yield
        except (VocabularyError, sqlite3.Error) as error:
            raise StoreError(storage.sentence(self.path, error)) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _change(row: tuple) -> Change:
    number, at, annotator, item, field, value, step, kind, of = row
    return Change(number, at, annotator, item, field, json.loads(value), number if step is None else step, kind, of)


def _check_regions(values: Mapping[str, Any]) -> None:
    if not values:
        raise VocabularyError("no field to set; at least one is needed")
    for field, start_s in values.items():
        track, own = parts_of(field)
        if track is not None and own == "start_s":
            check_region(start_s, values.get(f"{track}.end_s"))


def _standing(log: list[Change]) -> tuple[list[int], list[int]]:
    """Steps that stand and steps that a redo brings back, the last ones last."""
    done: list[int] = []
    undone: list[int] = []
    seen: set[int] = set()
    for change in log:
        if change.step in seen:
            continue
        seen.add(change.step)
        if change.kind == UNDO:
            done.remove(change.of)
            undone.append(change.of)
        elif change.kind == REDO:
            done.append(change.of)
            undone = [step for step in undone if step != change.of]
        else:
            done.append(change.step)
            undone = []
    return done, undone


def _last_value(log: list[Change], undone: Change, standing: set[int]) -> tuple[str, str, Any]:
    """Item, field and value that the field had before a change, by the steps that still stand."""
    place = (undone.item, undone.field)
    earlier = [one.value for one in log if one.step in standing and (one.item, one.field) == place]
    return *place, earlier[-1] if earlier else None
