"""The store of annotations: appended, undone, kept through kill -9, shared by processes, and clear where refused."""

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sslig.annotation.store import APPLICATION, REDO, UNDO, Store
from sslig.errors import InputError

MARKUP = "<script>alert('1')</script> & \"quoted\" **bold** {{7*7}} | ; DROP TABLE changes --"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "annotations.sqlite"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


def test_an_append_is_read_back_by_another_store(store, path):
    change = store.append("Ann", "u1", "A.cue", "glitch")
    store.append("Ann", "u1", "A.locality", 4)
    store.append("Bob", "u1", "A.cue", "noise")
    assert (change.id, change.step, change.kind) == (1, 1, "change")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(change.at)).total_seconds()) < 60
    with Store(path, read_only=True) as other:
        assert other.state("Ann", "u1") == {"A.cue": "glitch", "A.locality": 4}
        assert other.annotators() == ["Ann", "Bob"]
        assert other.history("Ann")[0] == change
        assert [change.id for change in other.history(item="u1")] == [1, 2, 3]


def test_later_values_win_and_none_clears(store):
    for value in ("noise", "breath", None):
        store.append("Ann", "u1", "A.cue", value)
    store.append("Ann", "u1", "done", False)
    assert store.state("Ann", "u1") == {"done": False}
    assert [change.value for change in store.history()] == ["noise", "breath", None, False]
    assert store.states("Ann") == {"u1": {"done": False}}


def test_a_step_is_undone_and_redone_whole_and_nothing_is_deleted(store):
    store.record("Ann", "u1", {"A.start_s": 1.0, "A.end_s": 2.0})
    store.record("Ann", "u1", {"A.start_s": 1.5, "A.end_s": 2.5})
    undone = store.undo("Ann", "u1")
    assert {change.kind for change in undone} == {UNDO}
    assert {change.of for change in undone} == {3}
    assert store.state("Ann", "u1") == {"A.start_s": 1.0, "A.end_s": 2.0}
    assert store.undo("Ann", "u1")
    assert store.state("Ann", "u1") == {}
    assert store.undo("Ann", "u1") == ()
    assert {change.kind for change in store.redo("Ann", "u1")} == {REDO}
    store.redo("Ann", "u1")
    assert store.state("Ann", "u1") == {"A.start_s": 1.5, "A.end_s": 2.5}
    assert store.redo("Ann", "u1") == ()
    store.undo("Ann", "u1")
    assert store.state("Ann", "u1") == {"A.start_s": 1.0, "A.end_s": 2.0}
    assert len(store.history()) == 14


def test_a_change_after_an_undo_ends_the_redo(store):
    for text in ("one", "two"):
        store.append("Ann", "u1", "comment", text)
    store.undo("Ann", "u1")
    store.append("Ann", "u1", "comment", "three")
    assert store.redo("Ann", "u1") == ()
    store.undo("Ann", "u1")
    assert store.state("Ann", "u1") == {"comment": "one"}


def test_undo_and_redo_are_of_one_annotator_and_item(store):
    store.append("Ann", "u1", "comment", "Ann's")
    store.append("Ann", "u2", "comment", "later")
    store.append("Bob", "u1", "comment", "Bob's")
    store.undo("Ann", "u1")
    assert store.states("Ann") == {"u2": {"comment": "later"}}
    assert store.state("Bob", "u1") == {"comment": "Bob's"}
    store.append("Ann", "u2", "comment", "latest")
    store.redo("Ann", "u1")  # what was changed since was another item
    assert store.states("Ann") == {"u2": {"comment": "latest"}, "u1": {"comment": "Ann's"}}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [(MARKUP, MARKUP), ("a\r\nb\tc\rd", "a\nb\tc\nd"), ("x\x00\x07\ud800y", "xy"), ("😀 ñ 中", "😀 ñ 中")],
)
def test_text_comes_back_as_it_was_typed_but_for_control_characters(store, typed, expected):
    store.append("Ann", "u1", "comment", typed)
    assert store.state("Ann", "u1") == {"comment": expected}


def test_names_are_one_line_of_visible_characters(store):
    assert store.append("  Ann\t B. ", "u1", "done", True).annotator == "Ann B."
    assert store.append("Zo\u0065\u0308", "u1", "done", True).annotator == "Zo\u00eb"
    assert store.append(MARKUP[:50], "u1", "done", True).annotator == MARKUP[:50]
    assert store.undo("Ann  B.", "u1")
    for refused in ("", "  ", "a" * 81, "An\u200bn", "a\x07", None):
        with pytest.raises(InputError, match=r"annotator .* needed"):
            store.append(refused, "u1", "done", True)


def test_items_and_tracks_keep_their_names_as_they_are(store):
    decomposed = "cafe\u0301 1/2"  # as some file systems write an accent
    store.append("Ann", decomposed, "a.b.cue", "noise")
    assert store.state("Ann", decomposed) == {"a.b.cue": "noise"}
    for item, field in ((" u1", "done"), ("u\n1", "done"), ("u" * 201, "done"), ("u1", "A\x07.cue"), ("u1", ".cue")):
        with pytest.raises(InputError, match="visible characters"):
            store.append("Ann", item, field, None)


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("A.start_s", "soon", "a number of seconds"),
        ("A.start_s", float("nan"), "a number of seconds"),
        ("A.end_s", True, "a number of seconds"),
        ("A.end_s", 1e9, "to 86400"),
        ("A.cue", "Glitch", "accepted: glitch, phoneme"),
        ("A.locality", 6, "from 1 \\(spread\\) to 5"),
        ("A.locality", 2.5, "a whole number"),
        ("A.audible", 1, "true or false"),
        ("comment", "x" * 10_001, "at most 10,000"),
        ("comment", 7, "a text is needed"),
        ("A.score", 7, "accepted: comment, similarity, marks, done, <track>.start_s"),
        ("score", 7, "accepted: comment"),
        (None, 7, "accepted: comment"),
    ],
)
def test_a_value_that_its_field_cannot_hold_is_refused_and_named(store, field, value, accepted):
    with pytest.raises(InputError, match=accepted):
        store.append("Ann", "u1", field, value)
    assert store.history() == []


def test_a_step_with_one_bad_value_changes_nothing(store):
    for values in ({"A.start_s": 2.0, "A.end_s": 1.0}, {"comment": "kept?", "A.cue": "?"}, {}):
        with pytest.raises(InputError):
            store.record("Ann", "u1", values)
    assert store.history() == []


def test_the_first_plan_of_a_key_stays(store):
    assert store.keep_plan("Ann", "k", [1]) == [1]
    assert store.keep_plan("Ann", "k", [2]) == [1]
    assert store.keep_plan("Ann", "other", [3]) == [3]
    assert store.plans("Ann") == {"k": [1], "other": [3]}
    assert store.annotators() == ["Ann"]


@pytest.mark.parametrize("verb", ["DELETE FROM changes", "UPDATE changes SET value = '1'", "DELETE FROM plans"])
def test_the_file_itself_refuses_to_forget_and_every_commit_is_synchronous(store, path, verb):
    store.append("Ann", "u1", "done", True)
    store.keep_plan("Ann", "k", [1])
    with sqlite3.connect(path) as base, pytest.raises(sqlite3.IntegrityError, match="only grows"):
        base.execute(verb)
    assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._base.execute("PRAGMA synchronous").fetchone() == (2,)


def faulty(path, kind):
    """Make what is no store of this version at `path`."""
    if kind == "text":
        path.write_text("not a database, but long enough to look at" * 40)
    elif kind == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as base:
            base.execute("CREATE TABLE other (x)")
            if kind == "newer":
                base.execute(f"PRAGMA application_id={APPLICATION}")
                base.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("text", "not an annotation store"),
        ("folder", "is one file"),
        ("other", r"another SQLite file \(tables: other\)"),
        ("newer", "store of version 99; this program reads versions up to 1"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_store_is_refused_and_left_alone(path, kind, fault, read_only):
    faulty(path, kind)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=rf"annotations\.sqlite: .*{fault}"):
        Store(path, read_only=read_only)
    assert before is None or path.read_bytes() == before


def test_what_cannot_be_read_or_written_is_said(tmp_path, path):
    with pytest.raises(InputError, match="no such file"):
        Store(path, read_only=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that can be written to is needed"):
        Store(tmp_path / "file" / "s.sqlite")
    Store(path).close()
    with Store(path, read_only=True) as store, pytest.raises(InputError, match="opened to read only"):
        store.append("Ann", "u1", "done", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes anywhere")
def test_a_read_only_folder_is_said(path):
    with Store(path) as store:
        store.append("Ann", "u1", "done", True)
    path.parent.chmod(0o555)
    try:
        with Store(path, read_only=True) as store:
            assert store.state("Ann", "u1") == {"done": True}
        with pytest.raises(InputError, match="can be written to"):
            Store(path).append("Ann", "u1", "done", True)
    finally:
        path.parent.chmod(0o755)


def test_a_file_that_stays_busy_is_said(path, store):
    with sqlite3.connect(path, isolation_level=None) as other, Store(path, patience_s=0.05) as hasty:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match=r"nothing was written .* try again"):
            hasty.append("Ann", "u1", "done", True)
        other.execute("ROLLBACK")
    assert store.history() == []


WRITER = """
import sys
from sslig.annotation.store import Store
path, annotator, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path) as store:
    for number in range(n):
        store.append(annotator, f"u{number % 7}", "comment", f"{annotator} {number}")
        print(number, flush=True)
"""


def writer(path, annotator, n):
    """A process that appends `n` changes and prints the number of each once its append has returned."""
    command = [sys.executable, "-c", WRITER, str(path), annotator, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1])


def test_processes_that_write_at_once_lose_nothing(path):
    writers = [writer(path, f"annotator {number}", 60) for number in range(4)]
    assert [process.communicate(timeout=120) and process.returncode for process in writers] == [0] * 4
    with Store(path, read_only=True) as store:
        assert len(store.history()) == 240
        for annotator in store.annotators():
            texts = [f"{annotator} {number}" for number in range(60)]
            assert [change.value for change in store.history(annotator)] == texts


def test_kill_9_loses_nothing_whose_append_had_returned(path):
    process = writer(path, "Ann", 100_000)
    stored = [process.stdout.readline() for _ in range(25)]
    os.kill(process.pid, signal.SIGKILL)
    stored += process.communicate(timeout=60)[0].splitlines()
    last = max(int(line) for line in stored if line.strip())
    with Store(path) as store:
        values = [change.value for change in store.history("Ann")]
        assert values[: last + 1] == [f"Ann {number}" for number in range(last + 1)]
        assert len(values) <= last + 2  # at most the one that had not returned yet
        assert store.append("Ann", "u1", "comment", "goes on").id == len(values) + 1
