"""What form a score file has, and what is said of one that has none."""

import pytest

from sslig import score_forms
from sslig.scores import ScoresError


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "s.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "columns", "form", "note"),
    [
        ("filename\tcm-score\nU1\t1\n", None, "official", "fields separated by tabs, with header"),
        ("Filename cm-score\nU1 1\n", None, "official", "fields separated by white space, with header"),
        ("U1 1 0\n", None, "release", "fields separated by white space, without header"),
        ("U1;1e-3;bonafide\n", None, "release", "fields separated by semicolons, without header"),
        ("Utterance,Score,Label\nU1,1,0\n", None, "release", "fields separated by commas, with header"),
        ("Utterance,Score,Label\nU1,1,0\n", {"utterance": "Utterance", "score": "Score"}, "csv", "with header"),
    ],
)
def test_the_content_shows_the_form_and_a_note_says_it(write, text, columns, form, note):
    rows = score_forms.read(write(text), None, columns)
    assert rows.form == form
    assert rows.note.startswith(f"form {form}, ")
    assert rows.note.endswith(note)
    assert rows.table["utterance"].tolist() == ["U1"]


def test_rows_know_their_lines(write):
    rows = score_forms.read(write("\nfilename\tcm-score\n\nU1\t1\nU2\t2"), None, None)
    assert rows.table.to_dict("list") == {"at": [4, 5], "utterance": ["U1", "U2"], "score": ["1", "2"]}
    assert rows.unit == "line"


@pytest.mark.parametrize(
    ("content", "form", "columns", "message"),
    [
        ("", None, None, "no scores"),
        ("\n \n", None, None, "no scores"),
        ("filename\tcm-score\n", None, None, "a header and no scores"),
        ("U1 0.5\nU2 0.7\n", None, None, "line 1: U1, 0.5 shows no known form; accepted: a Parquet"),
        ("file,LLR,key\nU1,1,0\n", None, None, "line 1: file, LLR, key shows no known form"),
        ("U1 1 0\nU2 1\n", None, None, "line 2: 2 fields; the first line has 3"),
        ("U1,1,0\nU2\t1\t0\n", None, None, "line 2: 1 fields"),
        ("U1 1 0\n", "official", None, "line 1: U1, 1, 0; form official has filename cm-score"),
        ("filename\tcm-score\nU1\t1\n", "release", None, "form release has utterance score label"),
        ("filename\tcm-score\nU1\t1\n", "official", {"score": "x"}, "are for form csv; this is official"),
        ("a,b\nU1,1\n", "csv", None, r"columns=\{\}; of a CSV they must name utterance and score"),
        ("a,b\nU1,1\n", None, {"utterance": "a"}, "must name utterance and score.* The file has a, b"),
        ("a,b\nU1,1\n", None, {"utterance": "a", "score": "b", "attack": "c"}, "and may name label"),
        ("a,b\nU1,1\n", None, {"utterance": "a", "score": "c"}, "column 'c' stands 0 times in the header a, b"),
        ("a,b,b\nU1,1,2\n", None, {"utterance": "a", "score": "b"}, "column 'b' stands 2 times"),
        ('a,b\n"U1,1\nU2,2\n', None, {"utterance": "a", "score": "b"}, "line 4: unexpected end of data"),
        (b"U1 1 0\n\xff\xfe 1 0\n", None, None, "line 2: neither Parquet nor UTF-8"),
        (b"PAR1 and nothing", None, None, "not a Parquet file"),
        ("U1 1 0\n", "parquet", None, "not a Parquet file"),
    ],
)
def test_what_is_broken_is_named(write, content, form, columns, message):
    with pytest.raises(ScoresError, match=message):
        score_forms.read(write(content), form, columns)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScoresError, match=r"none\.txt: no such file"):
        score_forms.read(tmp_path / "none.txt", None, None)
