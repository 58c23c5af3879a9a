import base64
import re

import pytest
import soundfile

from sslig import audio
from sslig.errors import InputError
from sslig.plots.players import players


@pytest.fixture
def flac(tmp_path, tone):
    """Two FLAC files, one and half a second long."""
    for name, length in (("one", 16_000), ("two", 8_000)):
        audio.write_flac(tmp_path / f"{name}.flac", tone[:length])
    return tmp_path / "one.flac", tmp_path / "two.flac"


def embedded(page):
    return [base64.b64decode(sound) for sound in re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)]


def test_the_sound_is_in_the_page(flac, tmp_path):
    """What the page holds is the file, byte for byte, and it plays."""
    page = players({"as spoken": [flac[0]]}, ["version", "listen"]).data
    (sound,) = embedded(page)
    assert sound == flac[0].read_bytes()
    (tmp_path / "again.flac").write_bytes(sound)
    assert soundfile.info(tmp_path / "again.flac").frames == 16_000
    assert str(tmp_path) not in page


def test_each_label_has_a_row_and_each_file_a_column(flac):
    one, two = flac
    page = players({"first": [one, str(two)], "second": [two, one]}, ["attack", "as spoken", "as spoof"]).data
    assert page.count("<tr>") == 3
    assert re.findall("<th>(.*?)</th>", page) == ["attack", "as spoken", "as spoof"]
    assert re.findall(r"<tr><td>(\w+)</td>", page) == ["first", "second"]
    assert embedded(page) == [path.read_bytes() for path in (one, two, two, one)]


def test_labels_and_headings_are_escaped(flac):
    page = players({"<script>alert(1)</script>": [flac[0]]}, ["A & <b>", "listen"]).data
    assert "<script>" not in page
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in page
    assert "<th>A &amp; &lt;b&gt;</th>" in page


def test_another_number_of_files_than_of_headings_is_refused(flac):
    with pytest.raises(InputError, match=r"'second' has 1 files; the headings are \['attack', 'real', 'spoof'\]"):
        players({"first": list(flac), "second": [flac[0]]}, ["attack", "real", "spoof"])


def test_sound_in_memory_is_embedded(tone):
    coded = audio.flac_bytes(tone)
    assert base64.b64encode(coded).decode() in players({"a": [coded]}, ["what", "listen"]).data
