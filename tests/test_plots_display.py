"""Tables and players on pages: numbers, intervals and sounds as given, and no markup from data."""

import base64
import re

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.errors import InputError
from sslig.plots.display import players, shown, with_interval


def test_text_in_a_table_is_never_markup():
    html = shown(pd.DataFrame({"<i>": ["<script>"]})).to_html()
    assert "&lt;script&gt;" in html
    assert "&lt;i&gt;" in html
    assert "<script>" not in html


def test_thousands_are_separated_and_missing_values_blank():
    html = shown(pd.DataFrame({"n": [12_345], "share": [0.25], "none": [np.nan]}), decimals=2).to_html()
    assert "12,345" in html
    assert "0.25" in html
    assert "nan" not in html


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        ((0.1234, 0.1, 0.145), {"factor": 100, "decimals": 1}, "12.3 [10.0, 14.5]"),
        ((0.5, np.nan, np.nan), {}, "0.50"),
        ((np.nan, np.nan, np.nan), {}, ""),
        ((-0.001, -1.0, 2.0), {"signed": True}, "+0.00 [-1.00, +2.00]"),
    ],
)
def test_a_figure_stands_with_its_interval(values, options, text):
    table = pd.DataFrame([values], columns=["value", "low", "high"], index=[7])
    assert with_interval(table, **options).to_dict() == {7: text}


def test_each_row_may_have_a_factor_of_its_own():
    table = pd.DataFrame({"value": [0.5, 0.5], "low": np.nan, "high": np.nan})
    assert with_interval(table, factor=pd.Series([100, 1]), decimals=1).tolist() == ["50.0", "0.5"]


@pytest.fixture
def files(tmp_path, tone):
    """Two FLAC files, one and half a second long."""
    paths = tmp_path / "long.flac", tmp_path / "short.flac"
    for path, length in zip(paths, (16_000, 8_000), strict=True):
        audio.write_flac(path, tone[:length])
    return paths


def test_each_label_has_a_row_of_players_with_the_sound_in_the_page(files):
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
