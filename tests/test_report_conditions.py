"""Metrics under attack, codec and gender, on scores whose error rates can be counted."""

import numpy as np
import pandas as pd
import pytest

from sslig.report import conditions
from sslig.study import Evaluation

OPTIONS = Evaluation(rounds=20)


@pytest.fixture
def scores():
    """One detector that is right on women and wrong on men: four speakers, two codecs, one attack."""
    rows = [
        (f"E_{key}{codec}{speaker}", key, "A01" if key == "spoof" else "-", codec, f"S{speaker}", "FM"[speaker // 2])
        for key in ("bonafide", "spoof") for codec in ("-", "C01") for speaker in range(4)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["utterance", "key", "attack", "codec", "speaker", "gender"])
    right = np.where(table["key"] == "spoof", 1.0, -1.0) * np.where(table["gender"] == "F", 1, -1)
    return table.assign(recording=table["utterance"], detector="sls", seed=0, spoof_score=right, spoof_llr=50 * right)


def test_genders_are_told_apart(scores):
    found = conditions.table(scores, OPTIONS, seed=0)
    assert conditions.columns(scores) == ["attack", "codec", "gender"]
    eers = conditions.of_metric(found, "eer").set_index(["attack", "codec", "gender"])["eer"]
    assert eers.to_dict() == {("A01", codec, gender): float(gender == "M") for codec in ("-", "C01") for gender in "FM"}
    assert set(found["n_bonafide"]) == set(found["n_spoof"]) == {2}
    wide = conditions.wide(found)
    assert list(wide)[:6] == ["attack", "codec", "gender", "detector", "bona fide", "spoofs"]
    assert wide["EER"].tolist() == ["0.0 % [0.0, 0.0]", "100.0 % [100.0, 100.0]"] * 2
    assert "A01 under C01 (M) is hardest with an EER of 100 %" in conditions.extremes_note(found)


def test_a_corpus_that_does_not_tell_genders_has_cells_of_attack_and_codec(scores):
    found = conditions.table(scores.assign(gender="-"), OPTIONS, seed=0)
    assert "gender" not in found
    assert (conditions.of_metric(found, "eer")["eer"] == 0.5).all()
    note = conditions.note(found)
    assert note.startswith("2 cells of attack and codec (the protocol does not tell genders apart)")
    assert "2 cells have fewer than 30" in note


def test_a_gender_of_one_speaker_is_said(scores):
    alone = scores[scores["speaker"].isin(["S0", "S2"])]
    found = conditions.table(alone, OPTIONS, seed=0)
    assert found["low"].isna().all()
    assert "Each gender is one speaker here" in conditions.note(found)
    assert "one speaker" not in conditions.note(conditions.table(scores, OPTIONS, seed=0))


def test_an_empty_cell_is_counted(scores):
    found = conditions.table(scores[(scores["codec"] == "-") | (scores["key"] == "spoof")], OPTIONS, seed=0)
    assert "2 lack a class and have no metric." in conditions.note(found)
    assert conditions.wide(found)["EER"].tolist() == ["0.0 % [0.0, 0.0]", "100.0 % [100.0, 100.0]", "", ""]


def test_without_any_full_cell_there_is_no_extreme(scores):
    found = conditions.table(scores[scores["key"] == "spoof"], OPTIONS, seed=0)
    assert conditions.extremes_note(found) == "No cell has both classes."
