"""Metrics of resampled units on sorted counts: the values of weights of all trials, in fewer steps."""

import numpy as np
import pandas as pd
import pytest

from sslig.stats import intervals, resampling
from sslig.stats.bootstrap import Units
from sslig.stats.metrics import METRICS, weighted


def trials(n, n_units, decimals, seed=0):
    """Scores of both classes that overlap, and a unit of each; few decimals tie many of them."""
    rng = np.random.default_rng(seed)
    is_bonafide = rng.random(n) < 0.2
    scores = np.round(rng.normal(np.where(is_bonafide, -1.0, 1.0)), decimals)
    return scores, is_bonafide, rng.integers(n_units, size=n)


@pytest.mark.parametrize("decimals", [1, 3, 12])
@pytest.mark.parametrize(("n", "n_units"), [(30_000, 40), (300, 12), (5_000, 3)])
def test_counts_of_units_give_what_weights_of_trials_give(n, n_units, decimals):
    scores, is_bonafide, of_row = trials(n, n_units, decimals)
    counts = np.random.default_rng(1).multinomial(n_units, np.full(n_units, 1 / n_units), size=25)
    counts[0] = 0  # a round without trials
    values = resampling.metrics(scores, is_bonafide, of_row, n_units)(counts)
    expected = weighted(scores, is_bonafide)(counts[:, of_row].astype(float))
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)
    assert np.isnan(values[0]).all()
    assert len(METRICS) == values.shape[1]


def test_the_metrics_asked_for_come_in_their_order():
    scores, is_bonafide, of_row = trials(2_000, 5, 3)
    counts, names = np.ones((1, 5)), ["min_dcf", "cllr", "eer"]
    values = resampling.metrics(scores, is_bonafide, of_row, 5, names)(counts)
    np.testing.assert_allclose(values, weighted(scores, is_bonafide, names)(np.ones((1, 2_000))), rtol=1e-12)


def test_intervals_of_a_large_set_are_those_of_the_plain_way(monkeypatch):
    scores, is_bonafide, of_row = trials(3_000, 30, 2)
    names = [f"E_{k}" for k in range(3_000)]
    table = pd.DataFrame({"detector": "a", "seed": 0, "utterance": names, "spoof_score": scores, "speaker": of_row})
    table = table.assign(key=np.where(is_bonafide, "bonafide", "spoof"))
    plain = intervals.estimates(table, recordings=False, seed=3, rounds=50)["a"]
    monkeypatch.setattr(resampling, "LEAST_TRIALS", 1)
    monkeypatch.setattr(Units, "weights", lambda *_: pytest.fail("weights of trials were drawn"))
    fast = intervals.estimates(table, recordings=False, seed=3, rounds=50)["a"]
    np.testing.assert_allclose(fast.rounds, plain.rounds, rtol=1e-12)
    assert fast.dof == plain.dof
