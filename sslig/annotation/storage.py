"""The SQLite file below a store: its tables, how it is opened and made, and its faults as sentences."""

import os
import random
import sqlite3
import time
from pathlib import Path

APPLICATION = 0x53534C47  # "SSLG": marks the file as a store of this project
VERSION = 1
"""Of the tables; a newer file is refused, because what it means is not known here."""

RETRY_S = (0.001, 0.005)
"""Between two tries to write, drawn anew each time, which decides nothing but who is next. SQLite itself waits ever
longer, up to 0.1 s, so that of many writers those that have waited longest try least often."""

SCHEMA = (
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, annotator TEXT NOT NULL, item TEXT NOT NULL,
        field TEXT NOT NULL, value TEXT NOT NULL, step INTEGER, kind TEXT NOT NULL, of INTEGER)""",
    "CREATE INDEX changes_of ON changes (annotator, item, field)",
    """CREATE TABLE plans (annotator TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL, plan TEXT NOT NULL,
        PRIMARY KEY (annotator, key))""",
    *(f"CREATE TRIGGER no_{verb.lower()}_of_{table} BEFORE {verb} ON {table} "
      f"BEGIN SELECT RAISE(ABORT, 'a store only grows'); END"
      for table in ("changes", "plans") for verb in ("UPDATE", "DELETE")),
)  # fmt: skip

COLUMNS = ("at", "annotator", "item", "field", "value", "step", "kind", "of")
SELECT = f"SELECT id, {', '.join(COLUMNS)} FROM changes"
INSERT = f"INSERT INTO changes ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class StoreError(ValueError):
    """A store that cannot be opened or a change that it refuses; the message names the file and what is accepted."""


def connect(path: Path, read_only: bool, patience_s: float) -> sqlite3.Connection:
    """An open store: made where it is missing, checked where it is there.

    Raises
    ------
    StoreError
        The file cannot be opened or made, is no store or is of a newer version.
    """
    if path.is_dir() or (read_only and not path.is_file()):
        raise StoreError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; an annotation store is one file")
    try:
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(_address(path, read_only), uri=True, timeout=patience_s, isolation_level=None,
                               check_same_thread=False)  # fmt: skip
    except (sqlite3.Error, OSError) as error:
        raise StoreError(sentence(path, error)) from error
    try:
        if not read_only:
            _prepare(base, path, time.monotonic() + patience_s)
        _check(base, path)
    except sqlite3.Error as error:
        base.close()
        raise StoreError(sentence(path, error)) from error
    except StoreError:
        base.close()
        raise
    return base


def sentence(path: Path, error: Exception) -> str:
    """What went wrong with a store, and what is needed."""
    said = str(error)
    if "locked" in said or "busy" in said:
        return f"{path}: other annotators kept it busy, and nothing was written ({said}); try again"
    if "not a database" in said or "malformed" in said:
        return f"{path}: no annotation store ({said}); an SQLite file that this project has made is needed"
    if "readonly" in said or "unable to open" in said or isinstance(error, OSError):
        return f"{path}: cannot be written ({said}); a file in a folder that can be written to is needed"
    return f"{path}: {said}"


def _address(path: Path, read_only: bool) -> str:
    """The file for SQLite; one that nobody can write to is read as it lies there, without the files beside it."""
    frozen = read_only and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}{'&immutable=1' if frozen else ''}"


def _prepare(base: sqlite3.Connection, path: Path, until_s: float) -> None:
    """Make the tables where the file is new, and have every commit reach the disk."""
    base.execute("PRAGMA synchronous=FULL")
    base.execute("PRAGMA fullfsync=ON")  # macOS: to the disk, and not only to its cache
    if base.execute("PRAGMA user_version").fetchone()[0] == 0 and not _tables(base):
        _patiently(base, "PRAGMA journal_mode=WAL", until_s)  # SQLite does not wait by itself here
        base.execute("BEGIN IMMEDIATE")
        if not _tables(base):  # another process may have been faster
            for statement in SCHEMA:
                base.execute(statement)
            base.execute(f"PRAGMA application_id={APPLICATION}")
            base.execute(f"PRAGMA user_version={VERSION}")
        base.execute("COMMIT")


def begin(base: sqlite3.Connection, patience_s: float) -> None:
    """Begin a transaction as a writer: one that begins as a reader may find later that it cannot write."""
    base.execute("PRAGMA busy_timeout=0")
    try:
        _patiently(base, "BEGIN IMMEDIATE", time.monotonic() + patience_s)
    finally:
        base.execute(f"PRAGMA busy_timeout={int(1000 * patience_s)}")


def _patiently(base: sqlite3.Connection, statement: str, until_s: float) -> None:
    """Try a statement until no other process is in its way."""
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


def _check(base: sqlite3.Connection, path: Path) -> None:
    mark, version = (base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if mark != APPLICATION:
        tables = ", ".join(_tables(base)) or "none"
        raise StoreError(f"{path}: an SQLite file of something else (tables: {tables}); an annotation store is needed")
    if version > VERSION:
        raise StoreError(f"{path}: version {version} of the store; this program knows versions up to {VERSION}")
