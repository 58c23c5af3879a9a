"""Calibration and fusion as pages show them, on scores whose metrics are known."""

import numpy as np
import pandas as pd
import pytest

from sslig import stages
from sslig.corpora import protocol
from sslig.report import calibration
from sslig.report.calibration import FUSION
from sslig.stats.fusion import LogisticMap
from sslig.study import Evaluation

OPTIONS = Evaluation(rounds=20)
SURE = 50.0


def of_detector(name, ratios, scores=0.0, seed=0):
    """Eight bona fide, then eight spoofs, of four speakers."""
    names = [f"E_{number:02d}" for number in range(16)]
    return pd.DataFrame({
        "utterance": names, "key": ["bonafide"] * 8 + ["spoof"] * 8, "attack": ["-"] * 8 + ["A01"] * 8, "codec": "-",
        "speaker": ["S0", "S1", "S2", "S3"] * 4, "recording": names, "gender": "-", "detector": name, "seed": seed,
        "spoof_score": scores, "spoof_llr": ratios,
    })  # fmt: skip


RIGHT = np.repeat([-SURE, SURE], 8)
HALF = np.tile(np.repeat([-SURE, SURE], 4), 2)
"""Wrong on half of each class, and sure of it."""


@pytest.fixture
def ratios():
    return pd.concat([of_detector("aasist", HALF), of_detector("sls", RIGHT), of_detector(FUSION, RIGHT, RIGHT)])


def maps(**changed):
    values = {"strength": 1.0, "disjoint_in": "speakers"} | changed
    return {
        ("aasist", 0): LogisticMap(("aasist",), (2.0,), -1.0),
        ("sls", 0): LogisticMap(("sls",), (-0.5,), 0.25),
        (FUSION, 0): LogisticMap(("aasist", "sls"), (0.75, -0.25), 0.5, **values),
    }


def test_scores_of_zero_cost_one_bit_and_sure_and_right_ones_nothing(ratios):
    table = calibration.before_and_after(ratios, OPTIONS, seed=0)
    found = table.set_index(["detector", "metric", "state"])["value"].sort_index()
    assert FUSION not in found.index.get_level_values("detector")
    assert found["sls", "cllr"].to_dict() == pytest.approx({"before": 1, "after": 0, "change": -1})
    assert found["sls", "act_dcf"].to_dict() == pytest.approx({"before": 1, "after": 0, "change": -1})
    # half of both classes wrong: (1.9 + 1) / 2
    assert found["aasist", "act_dcf", "after"] == pytest.approx(1.45)


def test_before_and_after_stand_side_by_side(ratios):
    wide = calibration.before_and_after_wide(calibration.before_and_after(ratios, OPTIONS, seed=0))
    assert wide[["detector", "metric"]].to_numpy().tolist() == [
        ["aasist", "actDCF"], ["aasist", "Cllr (bits)"], ["sls", "actDCF"], ["sls", "Cllr (bits)"]
    ]  # fmt: skip
    assert wide.iloc[3, 2:].tolist() == ["1.00 [1.00, 1.00]", "0.00 [0.00, 0.00]", "-1.00 [-1.00, -1.00]"]


def test_the_note_tells_the_maps_what_is_certain_and_what_is_turned_around(ratios):
    note = calibration.calibration_note(calibration.before_and_after(ratios, OPTIONS, seed=0), maps())
    assert "aasist 2.00 s -1.00 and sls -0.50 s +0.25." in note
    assert "lowers the actDCF of sls and Cllr of sls." in note
    assert "raises the" in note
    assert "**The slope of sls is not positive**" in note


def test_ratios_that_hold_lie_on_the_diagonal():
    """At -log 3 are three times as many bona fide as spoofs, at log 3 as many the other way round: 25 and 75 %."""
    ratio = np.log(3) * np.array([-1, -1, -1, -1, -1, -1, 1, 1] + [1, 1, 1, 1, 1, 1, -1, -1])
    found = calibration.reliability(of_detector("sls", ratio), OPTIONS, seed=0)
    assert found["claimed"].tolist() == pytest.approx([0.25, 0.75])
    assert found["observed"].tolist() == pytest.approx([0.25, 0.75])
    assert found["n"].tolist() == [8, 8]
    assert calibration.reliability_note(found) == (
        "In 2 of 2 bins the claim lies in the 95 % interval of what was observed."
    )


def test_a_claim_outside_its_interval_is_told():
    row = {"detector": "sls", "claimed": 0.9, "observed": 0.5, "low": 0.4, "high": 0.6}
    note = calibration.reliability_note(pd.DataFrame([row, row | {"claimed": 0.5}]))
    assert note.startswith("In 1 of 2 bins")
    assert "sls claims 90 % spoof where 50 % [40, 60] are." in note


def test_one_value_for_all_is_one_bin():
    found = calibration.reliability(of_detector("sls", np.zeros(16)), OPTIONS, seed=0)
    assert found[["claimed", "observed"]].to_numpy().tolist() == [[0.5, 0.5]]


def test_fusion_is_compared_with_each_detector(ratios):
    found = calibration.fusion_table(ratios, OPTIONS, seed=0)
    value = found[found["metric"] == "eer"].set_index("detector")["value"]
    assert value.to_dict() == {"aasist": 0.5, "sls": 0, FUSION: 0, "fusion - aasist": -0.5, "fusion - sls": 0}
    wide = calibration.fusion_wide(found)
    assert wide["detector"].tolist() == ["aasist", "sls", FUSION, "fusion - aasist", "fusion - sls"]
    assert wide["EER"][4] == "+0.0 % [+0.0, +0.0]"
    assert calibration.verdict(found) == "Fused, they reach 0 %, as sls does alone."
    note = calibration.fusion_note(found, maps())
    assert note.startswith("The fusion is 0.75 aasist -0.25 sls +0.50; the strength of the penalty on its weights (1)")
    assert "share no speaker." in note
    assert "Its EER is lower than of aasist and not certainly different from sls." in note


def test_a_fusion_fitted_on_one_speaker_says_so(ratios):
    found = calibration.fusion_table(ratios, OPTIONS, seed=0)
    assert "share no recording, since *dev* has too few speakers" in calibration.fusion_note(
        found, maps(disjoint_in="recordings")
    )


def test_what_fusion_is_worth_is_told_with_its_doubt():
    worse = pd.concat([of_detector("aasist", RIGHT), of_detector("sls", RIGHT), of_detector(FUSION, HALF)])
    text = calibration.verdict(calibration.fusion_table(worse, OPTIONS, seed=0))
    assert text == "Fused, they reach 50 %, higher than aasist alone (0 %), beyond doubt."


def test_one_detector_is_not_fused():
    found = calibration.fusion_table(of_detector("sls", RIGHT), OPTIONS, seed=0)
    assert calibration.fusion_wide(found)["detector"].tolist() == ["sls"]
    assert calibration.verdict(found) == ""
    assert calibration.fusion_note(found, {("sls", 0): LogisticMap(("sls",), (1.0,), 0.0)}).startswith("One detector")


def test_several_seeds_are_averaged_and_named():
    both = pd.concat([of_detector("sls", RIGHT), of_detector("sls", HALF, seed=1)])
    found = calibration.fusion_table(both, OPTIONS, seed=0).set_index("metric")
    assert found.loc["eer", ["value", "sd"]].tolist() == pytest.approx([0.25, 0.5 / np.sqrt(2)])
    two = {("sls", seed): LogisticMap(("sls",), (1.0,), 0.0) for seed in (0, 1)}
    table = calibration.before_and_after(both, OPTIONS, seed=0)
    assert "sls (seed 0) 1.00 s +0.00 and sls (seed 1) 1.00 s +0.00" in calibration.calibration_note(table, two)


def test_ratios_of_a_study_carry_what_is_known_of_the_utterances(experiment, monkeypatch):
    table = protocol.load_set(experiment.corpus_root, "eval").assign(spoof_score=0.5, spoof_llr=1.0)
    monkeypatch.setattr(stages, "calibrated", lambda *which: (table, which))
    monkeypatch.setattr(
        stages, "fused", lambda *which: (table.drop(columns="spoof_score").assign(spoof_llr=2.0), which)
    )
    found, held = calibration.ratios_of(experiment, ["aasist", "sls"], [0, 1])
    assert list(held) == [("aasist", 0), ("aasist", 1), ("sls", 0), ("sls", 1), (FUSION, 0), (FUSION, 1)]
    assert len(found) == 6 * len(table)
    assert set(found["gender"]) == {"F"}
    assert (found.loc[found["detector"] == FUSION, "spoof_score"] == 2).all()
    assert set(calibration.single(found)["detector"]) == {"aasist", "sls"}
    alone, _ = calibration.ratios_of(experiment, ["sls"], [0])
    assert set(alone["detector"]) == {"sls"}
