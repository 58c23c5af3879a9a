"""Tables of scores come back as written, the official file has the official direction, and faults are named."""

import numpy as np
import pandas as pd
import pytest

from sslig import scores
from sslig.errors import InputError
from sslig.scores import ScoreFileWarning, read_foreign

NAMES = [f"E_{number:04d}" for number in range(1, 7)]
SPOOF_SCORES = [-2.0, 3.0, -1.0, 2.0, -3.0, 1.0]
LABELS = ["0", "1"] * 3
OFFICIAL_HEADER = "filename\tcm-score"


@pytest.fixture
def protocol():
    """Six utterances, every second one a spoof."""
    return pd.DataFrame(
        {
            "speaker": ["S1", "S1", "S2", "S2", "S3", "S3"],
            "utterance": NAMES,
            "gender": ["F", "F", "M", "M", "F", "F"],
            "codec": ["-", "-", "-", "-", "C01", "C01"],
            "attack": ["-", "A01", "-", "A02", "-", "A01"],
            "key": ["bonafide", "spoof"] * 3,
        }
    )


@pytest.fixture
def table(protocol):
    """The scores of one run on the six utterances."""
    run = {"duration_s": 1.0, "crop_s": np.nan, "seed": 0, "checkpoint": "3f2a"}
    table = protocol.assign(spoof_score=SPOOF_SCORES, **run)
    return table[list(scores.COLUMNS)]


@pytest.fixture
def write(tmp_path):
    """Writes a text file of lines."""

    def write(*lines):
        path = tmp_path / "scores.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def release(separator=" ", values=SPOOF_SCORES, labels=LABELS):
    return [separator.join(map(str, row)) for row in zip(NAMES, values, labels, strict=True)]


def official(values):
    return [OFFICIAL_HEADER, *(f"{name}\t{value}" for name, value in zip(NAMES, values, strict=True))]


class TestTable:
    @pytest.mark.parametrize("crop_s", [4.0, None])
    def test_a_written_table_comes_back(self, tmp_path, table, crop_s):
        table = table.assign(crop_s=crop_s)
        scores.write(tmp_path / "s.parquet", table[table.columns[::-1]])
        expected = table.astype({"crop_s": float})
        pd.testing.assert_frame_equal(scores.read(tmp_path / "s.parquet"), expected)

    def test_seeds_share_a_table_but_not_an_official_file(self, tmp_path, table):
        both = pd.concat([table, table.assign(seed=2)])
        scores.write(tmp_path / "s.parquet", both)
        assert len(scores.read(tmp_path / "s.parquet")) == 12
        with pytest.raises(InputError, match=r"s\.tsv, row 6: utterance E_0001 .*one score of each"):
            scores.write_official(tmp_path / "s.tsv", both)

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("spoof_score", np.nan, "row 1: spoof_score is nan in utterance E_0002; a finite number is needed"),
            ("spoof_score", -np.inf, "row 1: spoof_score is -inf"),
            ("key", "genuine", "row 1: key is 'genuine' in utterance E_0002; accepted: bonafide, spoof"),
            ("utterance", "E_0001", "row 1: utterance E_0001 stands before"),
            ("logit", 0.0, r"unknown columns \['logit'\]"),
        ],
    )
    def test_a_faulty_table_is_neither_written_nor_read(self, tmp_path, table, column, value, message):
        path = tmp_path / "s.parquet"
        values = table[column].tolist() if column in table else [0.0] * 6
        table[column] = [values[0], value, *values[2:]]
        with pytest.raises(InputError, match=rf"s\.parquet.*{message}"):
            scores.write(path, table)
        assert not path.exists()
        table.to_parquet(path)
        with pytest.raises(InputError, match=rf"s\.parquet.*{message}"):
            scores.read(path)

    def test_files_that_hold_no_table_of_scores(self, tmp_path, table):
        with pytest.raises(InputError, match=r"missing columns \['speaker'\]"):
            scores.write(tmp_path / "s.parquet", table.drop(columns="speaker"))
        with pytest.raises(InputError, match=r"gone\.parquet: no such file of scores"):
            scores.read(tmp_path / "gone.parquet")
        (tmp_path / "text.parquet").write_text("filename\tcm-score\n")
        with pytest.raises(InputError, match=r"text\.parquet: not a Parquet file"):
            scores.read(tmp_path / "text.parquet")
        with pytest.raises(InputError, match=r"none\.parquet: no scores"):
            scores.write(tmp_path / "none.parquet", table.head(0))


class TestForms:
    def test_the_projects_table(self, protocol, tmp_path, table):
        scores.write(tmp_path / "s.parquet", table)
        file = read_foreign(tmp_path / "s.parquet", protocol)
        assert file.form == "parquet"
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES
        assert list(file.table) == ["utterance", "spoof_score", "speaker", "gender", "codec", "attack", "key"]

    def test_the_official_file_has_the_official_direction_and_is_turned_on_reading(self, protocol, tmp_path, table):
        scores.write_official(tmp_path / "s.tsv", table)
        assert (tmp_path / "s.tsv").read_text().splitlines()[:3] == [OFFICIAL_HEADER, "E_0001\t2.0", "E_0002\t-3.0"]
        file = read_foreign(tmp_path / "s.tsv", protocol)
        assert file.form == "official"
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES
        assert "a higher score in the file means bonafide" in file.notes

    @pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
    @pytest.mark.parametrize("header", [[], ["Utterance", "score", "label"]])
    def test_the_release_with_and_without_header(self, protocol, write, separator, header):
        file = read_foreign(
            write(*[separator.join(header)] if header else [], *release(separator)), protocol, higher="spoof"
        )
        assert file.form == "release"
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES
        assert file.notes[0] == f"form release, {'with' if header else 'without'} header"
        assert "labels agree with the protocol in all 6 rows: 0 = bonafide, 1 = spoof" in file.notes

    @pytest.mark.parametrize(
        ("form", "row"),
        [
            ("plain", "{name} {score}"),
            ("plain", "{name},{score}"),
            ("aasist", "{name} A07 {key} {score}"),
            ("log", "Output, {name}, {label}, {score}"),
        ],
    )
    def test_forms_of_other_projects_without_a_header(self, protocol, write, form, row):
        keys = ["bonafide", "spoof"] * 3
        zipped = zip(NAMES, SPOOF_SCORES, LABELS, keys, strict=True)
        lines = [row.format(name=name, score=-score, label=label, key=key) for name, score, label, key in zipped]
        file = read_foreign(write(*lines), protocol, higher="bonafide")
        assert (file.form, file.table["spoof_score"].tolist()) == (form, SPOOF_SCORES)
        with pytest.raises(InputError, match=f"form {form} does not say what a higher score means"):
            read_foreign(write(*lines), protocol)

    def test_a_decimal_comma_and_a_separator_at_the_end_of_lines(self, protocol, write):
        texts = [str(-score).replace(".", ",") for score in SPOOF_SCORES]
        lines = [f"{name};{text};" for name, text in zip(["file", *NAMES], ["cm", *texts], strict=True)]
        file = read_foreign(write(*lines), protocol, higher="bonafide", columns={"utterance": "file", "score": "cm"})
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES
        assert "scores are written with a decimal comma" in file.notes

    def test_two_columns_of_scores_are_not_a_score_and_a_label(self, protocol, write):
        path = write(*(f"{name} {-score} {score}" for name, score in zip(NAMES, SPOOF_SCORES, strict=True)))
        with pytest.raises(InputError, match="two columns of numbers, the second with 6 values; choose by columns="):
            read_foreign(path, protocol, higher="spoof")
        chosen = read_foreign(path, protocol, higher="spoof", columns={"utterance": 0, "score": 2})
        assert chosen.table["spoof_score"].tolist() == SPOOF_SCORES

    def test_named_columns(self, protocol, write):
        rows = [f'x,"{-score}",{name}' for name, score in zip(NAMES, SPOOF_SCORES, strict=True)]
        columns = {"utterance": "File", "score": "LLR"}
        file = read_foreign(write("fold,LLR,File", *rows), protocol, higher="bonafide", columns=columns)
        assert file.form == "csv"
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES

    def test_any_order_blank_lines_a_byte_order_mark_and_windows_ends(self, protocol, tmp_path):
        path = tmp_path / "s.txt"
        path.write_bytes(("\ufeff\r\n" + "\r\n\r\n".join(release(",")[::-1]) + "\r\n").encode())
        file = read_foreign(path, protocol, higher="spoof")
        assert file.table["utterance"].tolist() == NAMES
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES

    @pytest.mark.parametrize(
        ("content", "columns", "message"),
        [
            ("\n \n", None, "no scores"),
            ("filename\tcm-score\n", None, "a header and no scores"),
            ("U1 a 0.5\nU2 b 0.7\n", None, "line 1: U1, a, 0.5 shows no known form; accepted: a Parquet"),
            ("U1 1 0\nU2 1\n", None, "line 2: 2 fields; the first line has 3"),
            ("U1,1,0\nU2\t1\t0\n", None, "line 2: 1 fields"),
            ("a,b\nU1,1\n", {"utterance": "a"}, "must name utterance and score.* The file has a, b"),
            ("a,b\nU1,1\n", {"utterance": "a", "score": "b", "attack": "c"}, "and may name label"),
            ("a,b\nU1,1\n", {"utterance": "a", "score": "c"}, "column 'c' stands 0 times in the header a, b"),
            ("a,b,b\nU1,1,2\n", {"utterance": "a", "score": "b"}, "column 'b' stands 2 times"),
            ('a,b\n"U1,1\nU2,2\n', {"utterance": "a", "score": "b"}, "line 4: unexpected end of data"),
            (b"U1 1 0\n\xff\xfe 1 0\n", None, "neither Parquet nor UTF-8"),
            (b"PAR1 and nothing", None, "not a Parquet file"),
        ],
    )
    def test_a_broken_file_is_named(self, protocol, tmp_path, content, columns, message):
        path = tmp_path / "s.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InputError, match=rf"s\.txt.*{message}"):
            read_foreign(path, protocol, higher="spoof", columns=columns)


class TestDirection:
    def test_it_must_be_stated_where_the_form_leaves_it_open(self, protocol, write):
        with pytest.raises(InputError, match="form release does not say what a higher score means"):
            read_foreign(write(*release()), protocol)

    def test_it_may_not_contradict_the_form(self, protocol, write):
        with pytest.raises(InputError, match="in form official a higher score means bonafide"):
            read_foreign(write(*official(SPOOF_SCORES)), protocol, higher="spoof")

    def test_a_reversed_direction_is_warned_of_noted_and_left(self, protocol, write):
        with pytest.warns(ScoreFileWarning, match=r"scores\.txt: the EER is 100\.0 %.*may be reversed"):
            file = read_foreign(write(*release()), protocol, higher="bonafide")
        assert file.table["spoof_score"].tolist() == [-score for score in SPOOF_SCORES]
        assert file.notes[-1].endswith("the direction may be reversed")

    def test_one_class_has_no_direction_to_check(self, protocol, write):
        spoofs = protocol[protocol["key"] == "spoof"]
        assert len(read_foreign(write(*release()), spoofs, higher="spoof", unknown="allow").table) == 3


class TestUtterances:
    def test_missing_ones_are_counted_and_named(self, protocol, write):
        path = write(*release()[:4])
        with pytest.raises(InputError, match="2 of 6 utterances of the protocol have no score: E_0005, E_0006"):
            read_foreign(path, protocol, higher="spoof")
        file = read_foreign(path, protocol, higher="spoof", missing="allow")
        assert file.table["utterance"].tolist() == NAMES[:4]
        assert any(note.startswith("missing: 2 of 6") for note in file.notes)

    def test_unknown_ones_are_counted_and_named(self, protocol, write):
        path = write(*release())
        with pytest.raises(InputError, match="line 5: 2 of 6 utterances are not in the protocol: E_0005, E_0006"):
            read_foreign(path, protocol[:4], higher="spoof")
        file = read_foreign(path, protocol[:4], higher="spoof", unknown="allow")
        assert file.table["utterance"].tolist() == NAMES[:4]
        assert any(note.startswith("left out: 2 of 6") for note in file.notes)

    def test_names_of_files_are_recognised_as_such(self, protocol, write):
        path = write(*(f"flac_E/{name}.flac {score}" for name, score in zip(NAMES, SPOOF_SCORES, strict=True)))
        file = read_foreign(path, protocol, higher="spoof")
        assert file.table["spoof_score"].tolist() == SPOOF_SCORES
        assert "names are those of files, such as flac_E/E_0001.flac: folder and ending left out" in file.notes

    def test_a_second_score_names_both_lines(self, protocol, write):
        with pytest.raises(InputError, match=r"line 7: utterance E_0002 stands twice: score 3.0 in line 2, 9 here"):
            read_foreign(write(*release(), "E_0002 9 1"), protocol, higher="spoof")

    def test_a_table_of_two_runs_is_refused(self, protocol, tmp_path, table):
        scores.write(tmp_path / "s.parquet", pd.concat([table, table.assign(seed=1)]))
        with pytest.raises(InputError, match="scores of 2 runs"):
            read_foreign(tmp_path / "s.parquet", protocol)


class TestLabels:
    def test_a_number_stands_for_what_the_protocol_says(self, protocol, write):
        file = read_foreign(write(*release(labels=["1", "0"] * 3)), protocol, higher="spoof")
        assert file.notes[-1].endswith("0 = spoof, 1 = bonafide")

    def test_words_stand_for_themselves(self, protocol, write):
        words = ["bonafide", "spoof"] * 3
        assert read_foreign(write(*release(labels=words)), protocol, higher="spoof").form == "release"
        with pytest.raises(InputError, match=r"line 1: label 'spoof' of E_0001.*protocol says 'bonafide' \(6 of 6"):
            read_foreign(write(*release(labels=words[::-1])), protocol, higher="spoof")

    def test_a_row_that_contradicts_the_others_is_named(self, protocol, write):
        path = write(*release(labels=["0", "1", "0", "0", "0", "1"]))
        with pytest.raises(InputError, match=r"line 4: label '0' of E_0004.*says 'spoof' \(1 of 6 rows"):
            read_foreign(path, protocol, higher="spoof")

    def test_a_stated_label_is_taken_at_its_word(self, protocol, write):
        path = write(*release(labels=["1", "0", "2", "0", "1", "0"]))
        file = read_foreign(path, protocol, higher="spoof", spoof_label="0")
        assert file.notes[-1].endswith("0 = spoof, 1 = bonafide, 2 = bonafide")
        with pytest.raises(InputError, match="line 1: label '1'"):
            read_foreign(path, protocol, higher="spoof", spoof_label="1")
        with pytest.raises(InputError, match="no label is '7'; the file has 0, 1, 2"):
            read_foreign(path, protocol, higher="spoof", spoof_label="7")
        with pytest.raises(InputError, match="has no labels"):
            read_foreign(write(*official(SPOOF_SCORES)), protocol, spoof_label="1")

    @pytest.mark.parametrize("column", ["key", "attack", "codec", "speaker"])
    def test_what_the_projects_table_states_must_agree(self, protocol, tmp_path, table, column):
        wrong = {"key": "spoof"}.get(column, "X")
        table.loc[2, column] = wrong
        scores.write(tmp_path / "s.parquet", table)
        with pytest.raises(InputError, match=rf"row 2: {column} '{wrong}' of E_0003"):
            read_foreign(tmp_path / "s.parquet", protocol)


@pytest.mark.parametrize("value", ["nan", "-inf", "", "high", "1,5"])
def test_a_score_that_is_no_finite_number_is_named(protocol, write, value):
    with pytest.raises(InputError, match=rf"line 3: score '{value}' of E_0002; a finite number is needed"):
        read_foreign(write(*official([1, value, 2, 3, 4, 5])), protocol)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "drop"}, "missing='drop', unknown='refuse'; accepted: refuse, allow"),
        ({"unknown": "drop"}, "unknown='drop'"),
        ({"higher": "fake"}, "higher='fake'"),
    ],
)
def test_unknown_options_are_refused(protocol, write, options, message):
    with pytest.raises(InputError, match=message):
        read_foreign(write(*release()), protocol, **options)
