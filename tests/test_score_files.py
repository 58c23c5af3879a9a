"""Score files of every form, sound and broken, against one protocol."""

import numpy as np
import pandas as pd
import pytest

from sslig import score_files, scores
from sslig.score_files import ScoreFileWarning
from sslig.scores import ScoresError
from sslig.stats import metrics

NAMES = [f"E_{number:04d}" for number in range(1, 7)]
SPOOF_SCORES = [-2.0, 3.0, -1.0, 2.0, -3.0, 1.0]
LABELS = ["0", "1"] * 3


@pytest.fixture
def protocol():
    """Six utterances, every second one a spoof."""
    return pd.DataFrame({
        "speaker": ["S1", "S1", "S2", "S2", "S3", "S3"], "utterance": NAMES, "gender": ["F", "F", "M", "M", "F", "F"],
        "codec": ["-", "-", "-", "-", "C01", "C01"], "attack": ["-", "A01", "-", "A02", "-", "A01"],
        "key": ["bonafide", "spoof"] * 3,
    })  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(*lines, name="scores.txt"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def release(separator=" ", values=SPOOF_SCORES, labels=LABELS):
    return [separator.join(map(str, row)) for row in zip(NAMES, values, labels, strict=True)]


def project_table(protocol, **changed):
    own = {"spoof_score": SPOOF_SCORES, "duration_s": 1.0, "crop_s": np.nan, "seed": 0, "checkpoint": "abc"}
    return protocol[["utterance", "key", "attack", "codec", "speaker"]].assign(**own | changed)


class TestForms:
    def test_this_projects_table(self, protocol, tmp_path):
        scores.write(tmp_path / "s.parquet", project_table(protocol))
        found = score_files.read(tmp_path / "s.parquet", protocol)
        assert found.form == "parquet"
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES
        assert list(found.table) == ["utterance", "spoof_score", "speaker", "gender", "codec", "attack", "key"]

    def test_the_official_file_is_turned_around(self, protocol, tmp_path):
        scores.write_official(tmp_path / "s.tsv", project_table(protocol))
        found = score_files.read(tmp_path / "s.tsv", protocol)
        assert found.form == "official"
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES
        assert "a higher score in the file means bonafide" in found.notes

    @pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
    @pytest.mark.parametrize("header", [[], ["utterance", "score", "label"]])
    def test_the_release_with_and_without_header(self, protocol, write, separator, header):
        path = write(*[separator.join(header)] if header else [], *release(separator))
        found = score_files.read(path, protocol, higher="spoof")
        assert found.form == "release"
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES
        assert "labels agree with the protocol in all 6 rows: 0 = bonafide, 1 = spoof" in found.notes

    def test_named_columns(self, protocol, write):
        rows = [f'x,"{-score}",{name}' for name, score in zip(NAMES, SPOOF_SCORES, strict=True)]
        path = write("fold,LLR,File", *rows)
        found = score_files.read(path, protocol, higher="bonafide", columns={"utterance": "File", "score": "LLR"})
        assert found.form == "csv"
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES

    def test_rows_may_stand_in_any_order_with_blank_lines_a_byte_order_mark_and_windows_ends(self, protocol, tmp_path):
        path = tmp_path / "s.txt"
        path.write_bytes(("\ufeff\r\n" + "\r\n\r\n".join(release(",")[::-1]) + "\r\n").encode())
        found = score_files.read(path, protocol, higher="spoof")
        assert found.table["utterance"].tolist() == NAMES
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES

    def test_the_joined_table_groups_by_attack_codec_and_gender(self, protocol, write):
        found = score_files.read(write(*release()), protocol, higher="spoof")
        groups = metrics.by_group(found.table, ["attack", "codec", "gender"])
        assert groups[["attack", "codec", "gender"]].to_numpy().tolist() == [
            ["A01", "-", "F"], ["A01", "C01", "F"], ["A02", "-", "M"]]  # fmt: skip
        assert groups["n_bonafide"].tolist() == groups["n_spoof"].tolist() == [1, 1, 1]
        assert (groups["eer"] == 0).all()

    def test_a_score_column_of_the_protocol_is_not_taken_for_the_score(self, protocol, write):
        found = score_files.read(write(*release()), protocol.assign(spoof_score=9.0), higher="spoof")
        assert found.table["spoof_score"].tolist() == SPOOF_SCORES


class TestDirection:
    @pytest.mark.parametrize("lines", [release(), ["utterance,score,label", *release(",")]])
    def test_it_must_be_told_where_the_form_leaves_it_open(self, protocol, write, lines):
        with pytest.raises(ScoresError, match="form release does not say what a higher score means"):
            score_files.read(write(*lines), protocol)

    def test_what_contradicts_the_form_is_refused(self, protocol, write):
        with pytest.raises(ScoresError, match="in form official a higher score means bonafide"):
            score_files.read(write("filename\tcm-score", "E_0001\t1"), protocol, higher="spoof")

    def test_a_reversed_direction_warns_and_is_noted_and_kept(self, protocol, write):
        path = write(*release())
        with pytest.warns(ScoreFileWarning, match=r"scores\.txt: the EER is 100\.0 %.*may be reversed"):
            found = score_files.read(path, protocol, higher="bonafide")
        assert found.table["spoof_score"].tolist() == [-score for score in SPOOF_SCORES]
        assert found.notes[-1].endswith("the direction may be reversed")

    def test_one_class_cannot_be_checked_and_says_so(self, protocol, write):
        part = protocol[protocol["key"] == "spoof"]
        found = score_files.read(write(*release()), part, higher="spoof", unknown="allow")
        assert "one class only: no EER can check the direction" in found.notes


class TestUtterances:
    def test_missing_ones_are_counted_and_named(self, protocol, write):
        path = write(*release()[:4])
        with pytest.raises(ScoresError, match="2 of 6 utterances of the protocol have no score: E_0005, E_0006"):
            score_files.read(path, protocol, higher="spoof")
        found = score_files.read(path, protocol, higher="spoof", missing="allow")
        assert found.table["utterance"].tolist() == NAMES[:4]
        assert any(note.startswith("missing: 2 of 6") for note in found.notes)

    def test_unknown_ones_are_counted_and_named(self, protocol, write):
        path = write(*release())
        with pytest.raises(ScoresError, match="line 5: 2 of 6 utterances are not in the protocol: E_0005, E_0006"):
            score_files.read(path, protocol[:4], higher="spoof")
        found = score_files.read(path, protocol[:4], higher="spoof", unknown="allow")
        assert found.table["utterance"].tolist() == NAMES[:4]
        assert any(note.startswith("left out: 2 of 6") for note in found.notes)

    def test_names_of_files_are_not_known_but_seen_through(self, protocol, write):
        path = write(*(f"flac_E/{name}.flac {score} -" for name, score in zip(NAMES, SPOOF_SCORES, strict=True)))
        with pytest.raises(ScoresError, match=r"6 of 6 .* without folder and ending they would be"):
            score_files.read(path, protocol, higher="spoof", unknown="allow")

    def test_a_second_score_names_both_lines(self, protocol, write):
        with pytest.raises(ScoresError, match=r"line 7: utterance E_0002 stood in line 2 before, with score 3, now 9"):
            score_files.read(write(*release(), "E_0002 9 1"), protocol, higher="spoof")

    def test_a_table_of_two_runs_is_refused(self, protocol, tmp_path):
        both = pd.concat([project_table(protocol), project_table(protocol, seed=1)])
        scores.write(tmp_path / "s.parquet", both)
        with pytest.raises(ScoresError, match="scores of 2 runs"):
            score_files.read(tmp_path / "s.parquet", protocol)


class TestLabels:
    def test_a_number_stands_for_what_the_protocol_says(self, protocol, write):
        path = write(*release(labels=["1", "0"] * 3))
        found = score_files.read(path, protocol, higher="spoof")
        assert found.notes[-1].endswith("0 = spoof, 1 = bonafide")

    def test_words_stand_for_themselves(self, protocol, write):
        words = ["bonafide", "spoof"] * 3
        assert score_files.read(write(*release(labels=words)), protocol, higher="spoof").form == "release"
        with pytest.raises(ScoresError, match=r"line 1: label 'spoof' of E_0001.*protocol says 'bonafide' \(6 of 6"):
            score_files.read(write(*release(labels=["spoof", "bonafide"] * 3)), protocol, higher="spoof")

    def test_one_row_that_contradicts_the_others_is_named(self, protocol, write):
        path = write(*release(labels=["0", "1", "0", "0", "0", "1"]))
        with pytest.raises(ScoresError, match=r"line 4: label '0' of E_0004.*says 'spoof' \(1 of 6 rows"):
            score_files.read(path, protocol, higher="spoof")

    def test_a_told_label_is_taken_at_its_word(self, protocol, write):
        labels = ["1", "0", "2", "0", "1", "0"]
        found = score_files.read(write(*release(labels=labels)), protocol, higher="spoof", spoof_label="0")
        assert found.notes[-1].endswith("0 = spoof, 1 = bonafide, 2 = bonafide")
        with pytest.raises(ScoresError, match="line 1: label '1'"):
            score_files.read(write(*release(labels=labels)), protocol, higher="spoof", spoof_label="1")
        with pytest.raises(ScoresError, match="no label is '7'; the file has 0, 1, 2"):
            score_files.read(write(*release(labels=labels)), protocol, higher="spoof", spoof_label="7")

    def test_a_told_label_needs_labels(self, protocol, write):
        rows = [f"{name}\t1" for name in NAMES]
        with pytest.raises(ScoresError, match="has no labels"):
            score_files.read(write("filename\tcm-score", *rows), protocol, spoof_label="1")

    @pytest.mark.parametrize("column", ["key", "attack", "codec", "speaker"])
    def test_what_this_projects_table_says_must_agree(self, protocol, tmp_path, column):
        wrong = {"key": "spoof"}.get(column, "X")
        table = project_table(protocol)
        table.loc[2, column] = wrong
        scores.write(tmp_path / "s.parquet", table)
        with pytest.raises(ScoresError, match=rf"row 2: {column} '{wrong}' of E_0003"):
            score_files.read(tmp_path / "s.parquet", protocol)


@pytest.mark.parametrize("value", ["nan", "-inf", "", "high", "1,5"])
def test_a_score_that_is_no_finite_number_is_named(protocol, write, value):
    rows = [f"{name}\t{score}" for name, score in zip(NAMES, [1, value, 2, 3, 4, 5], strict=True)]
    with pytest.raises(ScoresError, match=rf"line 3: score '{value}' of E_0002; a finite number is needed"):
        score_files.read(write("filename\tcm-score", *rows), protocol)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "excel"}, "form='excel'; accepted: None, parquet"),
        ({"missing": "drop"}, "missing='drop'; accepted: refuse, allow"),
        ({"unknown": "drop"}, "unknown='drop'; accepted: refuse, allow"),
        ({"higher": "fake"}, "higher='fake'"),
    ],
)
def test_unknown_options_are_refused(protocol, write, options, message):
    with pytest.raises(ScoresError, match=message):
        score_files.read(write(*release()), protocol, **options)


def test_a_protocol_without_keys_is_refused(protocol, write):
    with pytest.raises(ScoresError, match="the protocol to check against lacks key"):
        score_files.read(write(*release()), protocol.drop(columns="key"), higher="spoof")


def test_the_scores_of_the_organisers_tool_are_read_with_their_labels(reference, tmp_path):
    table = pd.read_csv(reference / "asvspoof5_dev_cm_scores.csv", dtype={"cm_score": str}).sample(3000, random_state=0)
    table = table.assign(utterance=[f"D_{number:05d}" for number in range(len(table))])
    table.to_csv(tmp_path / "s.csv", index=False)
    protocol = table[["utterance"]].assign(key=np.where(table["sasv_label"] == 0, "spoof", "bonafide"))
    columns = {"utterance": "utterance", "score": "cm_score", "label": "sasv_label"}
    found = score_files.read(tmp_path / "s.csv", protocol, higher="bonafide", columns=columns)
    np.testing.assert_array_equal(found.table["spoof_score"], -table["cm_score"].astype(float))
    assert found.notes[-1].endswith("in all 3000 rows: 0.0 = spoof, 1.0 = bonafide, 2.0 = bonafide")
