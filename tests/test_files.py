"""Atomic writes: a reader sees the old file or the new one, never half of one."""

import json
import os

import pandas as pd
import pytest
import soundfile

from sslig import audio, files
from sslig.errors import InputError


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


def test_a_sealed_file_is_checked_and_one_without_a_seal_is_not(tmp_path):
    path = tmp_path / "baseline.safetensors"
    path.write_bytes(bytes(range(256)) * 9)
    files.check_seal(path, "make")
    files.seal(path)
    files.check_seal(path, "make")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"baseline\.safetensors: is not what was written.*\n  make book"):
        files.check_seal(path, "make book")
    path.unlink()
    with pytest.raises(InputError, match="is not what was written"):
        files.check_seal(path, "make")


def test_the_state_of_sounds_sees_a_replaced_file_whatever_its_time(tmp_path, tone):
    flac, wav = tmp_path / "a" / "x.flac", tmp_path / "a" / "y.wav"
    audio.write_flac(flac, tone)
    soundfile.write(wav, tone, 16_000)
    times = {path: path.stat().st_mtime_ns for path in (flac, wav)}

    def state():
        return files.state(tmp_path, (".flac", ".wav"))

    before = state()
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    os.utime(flac)  # the sum in its header says that the content is the same
    assert state() == before
    audio.write_flac(flac, tone[::-1])
    os.utime(flac, ns=(0, times[flac]))
    assert state() != before
    audio.write_flac(flac, tone)
    soundfile.write(wav, tone[::-1], 16_000)
    assert state() != before
    many = files.state(tmp_path, (".flac",), at_most=0)
    audio.write_flac(tmp_path / "a" / "z.flac", tone)
    assert files.state(tmp_path, (".flac",), at_most=0) != many
