from pathlib import Path

import pandas as pd
import pytest

from sslig import audio
from sslig.cli.inputs import table
from sslig.errors import InputError


@pytest.fixture
def folder(tmp_path, tone):
    """Three sound files, two of them of one name, and a text."""
    for name in ("a/one.flac", "b/one.flac", "b/two.flac"):
        audio.write_flac(tmp_path / name, tone[:8_000])
    (tmp_path / "b/notes.md").write_text("no sound")
    return tmp_path


def paths(*sources, **options):
    return [Path(path).name for path in table(list(sources), **options)["path"]]


def test_folders_give_their_sound_files_with_names_that_differ(folder):
    recordings = table([folder])
    assert recordings["utterance"].tolist() == ["a/one", "b/one", "two"]
    places = [Path(path).relative_to(folder).as_posix() for path in recordings["path"]]
    assert places == ["a/one.flac", "b/one.flac", "b/two.flac"]
    assert len(table([folder, folder / "a/one.flac"])) == 3  # none twice


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "one.flac\r\ntwo\n\n"),
        ("list.csv", "ID,path,label\n1,one.flac,spoof\n2,two.flac,bonafide\n"),
        ("list.tsv", "\ufefffile\tkey\none\tspoof\ntwo\tbonafide\n"),
    ],
)
def test_lists_name_recordings_below_a_root(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    assert paths(folder / name, audio_root=folder / "b") == ["one.flac", "two.flac"]


def test_tables_of_deepfense_are_lists(folder):
    rows = {"ID": ["x", "y"], "path": ["/b/one.flac", "/b/two.flac"], "label": ["bonafide", "spoof"]}
    pd.DataFrame(rows).to_parquet(folder / "test.parquet")
    assert paths(folder / "test.parquet", audio_root=folder) == ["one.flac", "two.flac"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.csv", "speaker,key\na,spoof\n", "columns speaker, key; one of path, file"),
        ("list.txt", "", "the list is empty"),
    ],
)
def test_a_list_without_names_is_refused(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        table([folder / name])


def test_no_sound_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no sound file in .*accepted endings: \.wav"):
        table([tmp_path])
