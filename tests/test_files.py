"""Atomic writes: a reader sees the old file or the new one, never half of one."""

import json

import pandas as pd
import pytest

from sslig import files


def test_text_json_and_tables_come_back(tmp_path):
    table = pd.DataFrame({"utterance": ["a", "b"], "score": [1.5, -2.0]})
    files.write_text(tmp_path / "a.txt", "größer\n")
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    files.write_parquet(tmp_path / "a.parquet", table)
    files.write_tsv(tmp_path / "a.tsv", table)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer\n"
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [2], "b": 1}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table)
    assert (tmp_path / "a.tsv").read_text() == "utterance\tscore\na\t1.5\nb\t-2.0\n"


def test_missing_folders_are_made(tmp_path):
    files.write_text(tmp_path / "runs" / "aasist" / "log.txt", "done")
    assert (tmp_path / "runs" / "aasist" / "log.txt").read_text() == "done"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text("old")

    def write_half():
        with files.atomic(path) as part:
            part.write_text("half of the ne")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "scores.tsv"
    with files.atomic(path) as part:
        part.write_text("new")
        assert not path.exists()
        assert part.parent == path.parent
        assert part.suffix == path.suffix
    assert path.read_text() == "new"
