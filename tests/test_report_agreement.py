"""Agreement of detectors, on scores whose ranks and errors are known."""

import numpy as np
import pandas as pd
import pytest

from sslig.report import agreement
from sslig.study import Evaluation

OPTIONS = Evaluation(rounds=20)


@pytest.fixture
def scores():
    """Two detectors on ten bona fide and ten spoofs of five speakers: the same order on another scale, two errors."""
    names = [f"E_{number:02d}" for number in range(20)]
    table = pd.DataFrame({
        "utterance": names, "key": ["bonafide"] * 10 + ["spoof"] * 10, "attack": ["-"] * 10 + ["A01"] * 10,
        "speaker": [f"S{number % 5}" for number in range(20)], "recording": names, "seed": 0,
        "spoof_score": [*range(8), 18.0, 19.0, 0.5, 1.5, *range(9, 17)],
    })  # fmt: skip
    return pd.concat(
        [table.assign(detector="aasist"), table.assign(detector="sls", spoof_score=np.exp(table.spoof_score))]
    )


def test_the_same_order_correlates_fully(scores):
    found = agreement.correlation(scores, OPTIONS, seed=0)
    assert found.to_numpy().tolist() == [["aasist and sls", *["1.00 [1.00, 1.00]"] * 3]]
    assert list(found) == ["detectors", "all", "bona fide", "spoof"]


def test_scores_without_order_are_said(scores):
    flat = scores.assign(spoof_score=scores["spoof_score"].where(scores["detector"] == "sls", 0.0))
    assert agreement.correlation(flat, OPTIONS, seed=0)["all"][0] == "all scores equal"


def test_shared_errors_are_held_against_independent_ones(scores):
    """Each errs on two of ten of each class, the same two: independent they would meet on 10 * 0.2 * 0.2."""
    regions = agreement.overlap(scores, OPTIONS, seed=0)
    note = agreement.overlap_note(regions)
    assert "of 2 bona fide utterances that any of them gets wrong, all err on 2" in note
    assert "independent errors would meet on 0.4: 5.0 times [" in note


def test_detectors_are_compared_by_their_first_seed(scores):
    turned = scores.assign(seed=1, spoof_score=-scores["spoof_score"])
    assert agreement.of_one_seed(pd.concat([scores, turned])).equals(scores)


def test_one_detector_shares_nothing(scores):
    regions = agreement.overlap(scores[scores["detector"] == "sls"], OPTIONS, seed=0)
    assert agreement.overlap_note(regions).startswith("One detector")
