"""Folders of runs: whose they are, where they move, and which come back."""

import json

import pytest

from sslig.training import archive


@pytest.fixture
def run(tmp_path):
    return tmp_path / "seed0"


def fill(folder, key, done=True):
    """A run that says with which key it was finished or started, and what it was called first."""
    file = folder / archive.RECORD if done else folder / archive.WORK / archive.STARTED
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"key": key}))
    (folder / "first").write_text(folder.name)
    return folder


def names(run):
    return sorted(path.name for path in run.parent.iterdir())


@pytest.mark.parametrize("done", [True, False])
def test_a_run_of_another_key_moves_to_a_free_name(run, done):
    for _ in range(3):
        fill(run, "a", done)
        archive.take_up(run, "b")
    assert names(run) == ["seed0.a", "seed0.a.2", "seed0.a.3"]


@pytest.mark.parametrize("done", [True, False])
def test_a_run_of_the_key_stays(run, done):
    fill(run, "a", done)
    fill(run.with_name("seed0.a"), "a")
    archive.take_up(run, "a")
    assert names(run) == ["seed0", "seed0.a"]
    assert (run / "first").read_text() == "seed0"
    assert archive.finished(run, "a") is done
    assert not archive.finished(run, "b")


def test_a_finished_run_comes_back_before_an_unfinished_one(run):
    fill(run.with_name("seed0.a"), "a", done=False)
    fill(run.with_name("seed0.a.2"), "a")
    fill(run.with_name("seed0.abc"), "abc")
    fill(run.with_name("seed01"), "a")
    fill(run, "b")
    archive.take_up(run, "a")
    assert names(run) == ["seed0", "seed0.a", "seed0.abc", "seed0.b", "seed01"]
    assert (run / "first").read_text() == "seed0.a.2"


def test_a_folder_that_does_not_say_whose_it_is_is_kept_too(run):
    run.mkdir()
    (run / "notes").write_text("mine")
    archive.take_up(run, "a")
    assert (run.with_name("seed0.unknown") / "notes").read_text() == "mine"


def test_an_empty_or_missing_folder_is_no_run(run):
    archive.take_up(run, "a")
    run.mkdir()
    fill(run.with_name("seed0.a"), "a")
    archive.take_up(run, "a")
    assert archive.finished(run, "a")
    assert names(run) == ["seed0"]
