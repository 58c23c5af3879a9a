"""Shares, judgements, overlaps and decoys: closed forms on few rows."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from sslig.annotation import summary
from sslig.annotation.summary import Resampling
from sslig.annotation.table import conformed, row_of
from sslig.annotation.vocabulary import CUES

HOW = Resampling(rounds=200)


def rows(cues, detector="sls", **changed):
    """An utterance for each cue: marks from 1 to 2 s, locality 4, audible."""
    common = {"annotator": "Ann", "detector": detector, "start_s": 1.0, "end_s": 2.0, "locality": 4, "audible": True}
    return conformed([
        row_of(common | {"utterance": f"E_{at}", "cue": cue} | changed) for at, cue in enumerate(cues)
    ])  # fmt: skip


def test_shares_count_labels_and_leave_out_decoys_repeats_and_the_unlabelled():
    table = pd.concat([
        rows(["noise", "noise", "noise", "glitch", None]), rows(["breath"], decoy=True), rows(["breath"], repeat=True),
        rows(["silence", "silence"], detector="aasist"),
    ], ignore_index=True)  # fmt: skip
    found = summary.cue_shares(table, HOW).set_index(["detector", "cue"])
    assert len(found) == 2 * len(CUES)
    assert found.loc[("sls", "noise"), ["n", "labels", "share"]].tolist() == [3, 4, 0.75]
    assert found.loc[("sls", "breath"), "n"] == 0
    noise = found.loc[("sls", "noise")]
    assert noise["low"] < 0.75 < noise["high"]


def test_a_share_that_no_round_changes_has_the_interval_of_as_many_draws_as_utterances():
    found = summary.cue_shares(rows(["silence"] * 5), HOW).set_index("cue")
    for cue, n in (("silence", 5), ("noise", 0)):
        assert found.loc[cue, ["low", "high"]].tolist() == pytest.approx(proportion_confint(n, 5, method="wilson"))
    speakers = rows(["silence"] * 5).assign(speaker=["a", "a", "a", "b", "b"])
    found = summary.cue_shares(speakers, HOW).set_index("cue")
    assert found.loc["silence", "low"] == pytest.approx(proportion_confint(2, 2, method="wilson")[0])


def test_utterances_of_a_speaker_are_drawn_together():
    table = rows(["noise"] * 4 + ["glitch"] * 4)
    alone = summary.cue_shares(table, HOW).set_index("cue").loc["noise"]
    together = summary.cue_shares(table.assign(speaker=["a"] * 4 + ["b"] * 4), HOW).set_index("cue").loc["noise"]
    assert (together["low"], together["high"]) == (0, 1)
    assert 0 < alone["low"] < alone["high"] < 1
    two_stage = summary.cue_shares(
        table.assign(speaker=["a"] * 4 + ["b"] * 4, recording=[*"abcdefgh"]), Resampling(rounds=200, recordings=True)
    )
    assert len(two_stage) == len(CUES)


def test_one_utterance_has_no_interval():
    found = summary.cue_shares(rows(["noise"]), HOW).set_index("cue")
    assert found.loc["noise", "share"] == 1
    assert found[["low", "high"]].isna().all(axis=None)


def test_shares_by_label_and_of_nothing():
    table = summary.with_protocol(
        rows(["noise", "glitch"]), pd.DataFrame({"utterance": ["E_0", "E_1"], "key": ["spoof", "bonafide"]})
    )
    found = summary.cue_shares(table, HOW, by=("detector", "key"))
    assert found.query("n == 1")[["key", "cue", "share"]].to_numpy().tolist() == [
        ["spoof", "noise", 1.0], ["bonafide", "glitch", 1.0],
    ]  # fmt: skip
    assert summary.cue_shares(rows([]), HOW).empty
    assert summary.judgements(rows([]), HOW).empty
    assert summary.overlaps(rows([]), HOW).empty
    assert summary.decoys(rows([]), HOW).empty


def test_judgements_are_means_over_marks_with_a_cue():
    table = rows(["noise", "noise", None])
    table.loc[1, ["locality", "audible"]] = [2, False]
    found = summary.judgements(table, HOW).set_index("what")
    assert found["value"].to_dict() == {"locality": 3.0, "audible": 0.5}
    assert found["n"].to_dict() == {"locality": 2, "audible": 2}


def test_overlap_stands_beside_that_of_different_utterances():
    one, other = rows(["noise"] * 3), rows(["noise"] * 3, detector="aasist")
    one[["start_s", "end_s"]] = other[["start_s", "end_s"]] = [[-0.5, 1], [1, 2], [2, 3]]
    other.loc[2, ["start_s", "end_s"]] = [2.5, 3.5]
    (found,) = summary.overlaps(pd.concat([one, other], ignore_index=True), HOW).to_dict("records")
    assert (found["first"], found["second"], found["n"], found["apart"]) == ("sls", "aasist", 3, 0)
    assert found["overlap"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert found["chance"] == 0
    assert found["above"] == pytest.approx(found["overlap"])


def test_chance_is_over_pairs_of_different_utterances_only():
    table = pd.concat([rows(["noise"] * 3, detector=name) for name in ("sls", "aasist")], ignore_index=True)
    (found,) = summary.overlaps(table, HOW).to_dict("records")
    assert (found["overlap"], found["chance"], found["above"]) == (1, 1, 0)


def test_decoys_are_compared_with_real_regions_of_the_same_items():
    real = rows(["noise", "noise", "glitch", "unclear", "noise"])
    decoy = rows(["unclear", "unclear", "noise", "unclear"], decoy=True, audible=False, locality=1)
    found = summary.decoys(pd.concat([real, decoy], ignore_index=True), HOW).set_index("what")
    cue = found.loc["cue"]
    assert cue[["n_real", "n_decoy", "real", "decoy", "difference"]].tolist() == [4, 4, 0.75, 0.25, 0.5]
    assert cue["low"] <= 0.5 <= cue["high"]
    assert found.loc["audible", ["real", "decoy"]].tolist() == [1, 0]
    assert found.loc["locality", "difference"] == 3
    assert np.isnan(found.loc["locality", "low"])
