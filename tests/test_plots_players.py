import base64
import re

import pytest

from sslig import audio
from sslig.errors import InputError
from sslig.plots.players import players


@pytest.fixture
def files(tmp_path, tone):
    """Two FLAC files, one and half a second long."""
    paths = tmp_path / "long.flac", tmp_path / "short.flac"
    for path, length in zip(paths, (16_000, 8_000), strict=True):
        audio.write_flac(path, tone[:length])
    return paths


def test_each_label_has_a_row_of_players_with_the_sound_in_the_page(files):
    """What the page holds are the files or the sounds in memory, byte for byte."""
    long, short = files
    rows = {"first": [long, str(short)], "second": [short.read_bytes(), long]}
    page = players(rows, ["attack", "original", "spoof"]).data
    assert re.findall("<th>(.*?)</th>", page) == ["attack", "original", "spoof"]
    assert re.findall(r"<tr><td>(\w+)</td>", page) == ["first", "second"]
    sounds = [base64.b64decode(sound) for sound in re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)]
    assert sounds == [path.read_bytes() for path in (long, short, short, long)]
    assert str(long.parent) not in page


def test_labels_and_headings_are_escaped(files):
    page = players({"<script>alert(1)</script>": [files[0]]}, ["A & <b>", "listen"]).data
    assert "<script>" not in page
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in page
    assert "<th>A &amp; &lt;b&gt;</th>" in page


def test_another_number_of_files_than_of_headings_is_refused(files):
    with pytest.raises(InputError, match=r"'second' has 1 files; the headings are \['attack', 'real', 'spoof'\]"):
        players({"first": list(files), "second": [files[0]]}, ["attack", "real", "spoof"])
