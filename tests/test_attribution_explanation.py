import numpy as np
import pandas as pd
import torch

from sslig.attribution import explanation
from sslig.attribution.context import Context
from sslig.attribution.methods import explain

ROW = {"spoof_score": 3.0, "baseline_score": 1.0, "steps": 16, "seconds": 0.5, "peak_mib": 10.0}


def explained(method, status, relative_residual=np.nan, uncertainty=np.nan, **changed):
    told = {"method": method, "status": status, "relative_residual": relative_residual, "uncertainty": uncertainty}
    told |= {"residual": -2 * relative_residual}
    return ROW | told | changed


def test_promises_and_costs_are_counted_by_method():
    table = pd.DataFrame([
        explained("ig", "complete", 0.001),
        explained("ig", "jump", 0.2, 0.01, seconds=2.0, steps=64),
        explained("ig", "not converged", 0.05, 0.03, peak_mib=30.0),
        explained("random", "not promised", baseline_score=None),
    ])  # fmt: skip
    found = explanation.summary(table).set_index("method")
    assert found.index.tolist() == ["ig", "random"]
    counts = list(explanation.STATUSES)
    assert found.loc["ig", ["n", *counts]].tolist() == [3, 1, 1, 1, 0]
    assert found.loc["ig", ["residual_median", "residual_worst"]].tolist() == [0.05, 0.2]
    assert found.loc["ig", "residual_worst_logits"] == 0.4
    assert found.loc["ig", "uncertainty_median"] == 0.01  # of the two that have one, 0.01 / 2 and 0.03 / 2
    assert found.loc["ig", ["steps_median", "seconds_median", "peak_mib_worst"]].tolist() == [16, 0.5, 30]
    assert found.loc["random", "not promised"] == 1
    assert np.isnan(found.loc["random", ["residual_median", "uncertainty_median"]].astype(float)).all()


def test_a_row_holds_what_an_explanation_tells():
    features = torch.ones(1, 1, 4, 2)
    row = explain("gradient_x_input", lambda x: x.sum(dim=(1, 2, 3)), features, Context({})).record()
    assert tuple(row) == tuple(explanation.NO_RECORD)
    assert (row["spoof_score"], row["status"]) == (8, "not promised")
    assert np.isnan(row["residual"])
    assert np.isnan(row["baseline_score"])
