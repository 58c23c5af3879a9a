"""What an explanation says of itself, how many explanations are summarised, and what a block of work costs."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from sslig.attribution import explanation
from sslig.attribution.explanation import (
    NO_RECORD,
    STATUSES,
    Explanation,
    allowance,
    measured,
    of_features,
    smoothed,
    summary,
)
from sslig.attribution.target import of_head

CPU = torch.device("cpu")


@pytest.fixture
def target():
    """The sum over two layers, one frame and two features, from 0."""
    features = torch.tensor([[[[3.0, -4.0]], [[0.0, 12.0]]]])
    return of_head(lambda x: x.sum(dim=(1, 2, 3)), features, torch.zeros_like(features), freeze=True)


def test_aggregations_over_layers_and_features(target):
    result = of_features(target, target.x[0], steps=1)
    assert result.by_layer.tolist() == [[-1], [12]]
    assert result.by_frame.tolist() == result.frames("signed").tolist() == [11]
    assert result.frames("absolute").tolist() == [19]
    assert result.frames("l2").tolist() == [13]


def test_a_record_holds_the_certificate_and_nan_for_what_is_not_known(target):
    record = of_features(target, target.x[0], steps=1, residual=0.0, status="complete").record()
    assert tuple(record) == tuple(NO_RECORD)
    assert (record["spoof_score"], record["baseline_score"], record["free_baseline_score"]) == (11, 0, 0)
    assert (record["residual"], record["relative_residual"], record["status"]) == (0, 0, "complete")
    assert record["selection"] == "free"
    assert np.isnan(record["uncertainty"])
    assert np.isnan(Explanation(np.zeros((1, 1)), 2.0).record()["relative_residual"])


@pytest.mark.parametrize(
    ("residual", "baseline_score", "relative"), [(-0.5, 1.0, 0.25), (0.5, 3.0, np.inf), (0.0, 3.0, 0.0)]
)
def test_the_relative_residual_is_a_share_of_the_difference(residual, baseline_score, relative):
    assert Explanation(np.zeros((1, 1)), 3.0, baseline_score, residual).relative_residual == relative


def test_a_small_difference_allows_what_float32_cannot_resolve():
    assert allowance(-20.0, 0.01) == pytest.approx(0.2)
    assert allowance(1e-6, 0.01) == explanation.FLOOR_LOGIT


def record(method, status, relative_residual=np.nan, uncertainty=np.nan, **changed):
    certificate = {"spoof_score": 3.0, "baseline_score": 1.0, "steps": 16, "seconds": 0.5, "peak_mib": 10.0}
    certificate |= {"relative_residual": relative_residual, "residual": -2 * relative_residual}
    return certificate | {"method": method, "status": status, "uncertainty": uncertainty} | changed


def test_promises_and_costs_are_counted_by_method():
    records = [
        record("ig", "complete", 0.001),
        record("ig", "jump", 0.2, 0.01, seconds=2.0, steps=64),
        record("ig", "not converged", 0.05, 0.03, peak_mib=30.0),
        record("random", "not promised", baseline_score=None),
    ]
    table = summary(pd.DataFrame(records)).set_index("method")
    assert table.index.tolist() == ["ig", "random"]
    assert table.loc["ig", ["n", *STATUSES]].tolist() == [3, 1, 1, 1, 0]
    assert table.loc["ig", ["residual_median", "residual_worst"]].tolist() == [0.05, 0.2]
    assert table.loc["ig", "residual_worst_logits"] == 0.4
    assert table.loc["ig", "uncertainty_median"] == 0.01  # of the two that have one, 0.01 / 2 and 0.03 / 2
    assert table.loc["ig", ["steps_median", "seconds_median", "peak_mib_worst"]].tolist() == [16, 0.5, 30]
    assert table.loc["random", "not promised"] == 1
    assert np.isnan(table.loc["random", ["residual_median", "uncertainty_median"]].astype(float)).all()


@pytest.mark.skipif(not explanation.CLEAR.exists(), reason="only Linux reports the resident memory of a block of work")
def test_memory_counts_though_it_is_freed_within():
    with measured(CPU) as cost:
        torch.ones(16 * 2**20).sum()  # 64 MiB in float32
    assert 60 < cost.peak_mib < 90
    with measured(CPU) as cost:
        torch.ones(2**10).sum()
    assert cost.peak_mib < 10


def test_seconds_are_those_of_the_clock_and_unknown_memory_is_nan(monkeypatch, tmp_path):
    monkeypatch.setattr(explanation, "CLEAR", tmp_path / "none")
    with measured(CPU) as cost:
        time.sleep(0.02)
    assert 0.02 <= cost.seconds < 2
    assert np.isnan(cost.peak_mib)


def test_smoothing_spreads_evidence_and_keeps_its_sum():
    assert smoothed(np.array([0.0, 0, 3, 0, 0, 0]), 3).tolist() == pytest.approx([0, 1, 1, 1, 0, 0])
    assert smoothed(np.array([3.0, 0, 0, 0]), 3).tolist() == pytest.approx([2, 1, 0, 0])  # reflected at the end
    explained = Explanation(np.array([[0.0, 0, 3, 0, 0], [3, 0, 0, 0, 0]]), 1.0, sizes={"l2": np.ones(5)}).smoothed(3)
    np.testing.assert_allclose(explained.by_layer, [[0, 1, 1, 1, 0], [2, 1, 0, 0, 0]])
    assert explained.sizes["l2"].tolist() == pytest.approx([1] * 5)
