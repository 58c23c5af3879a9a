"""The table of scores: what is written comes back, the official file has the official direction, faults are named."""

import numpy as np
import pandas as pd
import pytest

from sslig import scores
from sslig.scores import ScoresError


@pytest.fixture
def table():
    """Two utterances scored in full by one checkpoint."""
    return pd.DataFrame(
        {
            "utterance": ["E_1", "E_2"],
            "spoof_score": [-3.25, 4.5],
            "key": ["bonafide", "spoof"],
            "attack": ["-", "A26"],
            "codec": ["-", "C05"],
            "speaker": ["E_1607", "E_1607"],
            "duration_s": [4.0, 5.5],
            "crop_s": [np.nan, np.nan],
            "seed": [1, 1],
            "checkpoint": ["3f2a", "3f2a"],
        }
    )


def test_what_is_written_comes_back(tmp_path, table):
    scores.write(tmp_path / "scores.parquet", table[table.columns[::-1]])
    pd.testing.assert_frame_equal(scores.read(tmp_path / "scores.parquet"), table)


def test_a_crop_that_is_none_means_the_full_utterance(tmp_path, table):
    scores.write(tmp_path / "scores.parquet", table.assign(crop_s=None))
    assert scores.read(tmp_path / "scores.parquet")["crop_s"].isna().all()


def test_the_official_file_has_the_official_direction(tmp_path, table):
    scores.write_official(tmp_path / "scores.tsv", table)
    assert (tmp_path / "scores.tsv").read_text() == "filename\tcm-score\nE_1\t3.25\nE_2\t-4.5\n"


def test_several_seeds_share_a_table_but_not_an_official_file(tmp_path, table):
    both = pd.concat([table, table.assign(seed=2)])
    scores.write(tmp_path / "scores.parquet", both)
    assert len(scores.read(tmp_path / "scores.parquet")) == 4
    with pytest.raises(ScoresError, match=r"scores\.tsv, row 2: a second score of E_1"):
        scores.write_official(tmp_path / "scores.tsv", both)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spoof_score": [1.0, np.nan]}, "row 1, utterance E_2: spoof_score is .*nan.*; a finite number is needed"),
        ({"spoof_score": [-np.inf, 0.0]}, "row 0, utterance E_1: spoof_score"),
        ({"spoof_score": ["1", "2"]}, "column spoof_score holds .*; number is needed"),
        ({"key": ["bonafide", "genuine"]}, "row 1, utterance E_2: key is 'genuine'; accepted: bonafide, spoof"),
        ({"utterance": ["E_1", "E_1"]}, "row 1, utterance E_1: utterance is 'E_1'; stood before"),
        ({"attack": ["-", None]}, "row 1, utterance E_2: attack is .*; text is needed"),
        ({"crop_s": [4.0, np.inf]}, "row 1, utterance E_2: crop_s"),
        ({"duration_s": [np.nan, np.nan]}, r"row 0, utterance E_1: duration_s .*\(and 1 rows more\)"),
        ({"seed": [1.5, 2.0]}, "column seed holds float64; integer is needed"),
        ({"logit": [0.0, 0.0]}, r"unknown columns \['logit'\]"),
    ],
)
def test_a_faulty_table_is_neither_written_nor_read(tmp_path, table, changed, message):
    faulty = table.assign(**changed)
    path = tmp_path / "scores.parquet"
    with pytest.raises(ScoresError, match=rf"scores\.parquet.*{message}"):
        scores.write(path, faulty)
    assert not path.exists()
    faulty.to_parquet(path)
    with pytest.raises(ScoresError, match=rf"scores\.parquet.*{message}"):
        scores.read(path)


def test_a_missing_column_is_named(tmp_path, table):
    with pytest.raises(ScoresError, match=r"missing columns \['speaker'\]"):
        scores.write(tmp_path / "scores.parquet", table.drop(columns="speaker"))


def test_files_that_are_no_table_of_scores(tmp_path, table):
    with pytest.raises(ScoresError, match=r"gone\.parquet: no such file of scores"):
        scores.read(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("filename\tcm-score\n")
    with pytest.raises(ScoresError, match=r"text\.parquet: not a Parquet file"):
        scores.read(tmp_path / "text.parquet")
    with pytest.raises(ScoresError, match=r"none\.parquet: no scores"):
        scores.write(tmp_path / "none.parquet", table.head(0))
