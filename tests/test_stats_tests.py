"""p-values of bootstrap rounds, Holm's correction and correlations, against closed forms and known tests."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr, t

from sslig.stats import tests as stats_tests
from sslig.stats.tests import ALPHA, enough_rounds, holm, rounds_needed, two_sided_p


def test_p_is_twice_the_smaller_tail_read_on_t():
    rounds = np.arange(-1, 98)[:, None]  # 99 rounds: two at or below 0, one of them at 0
    p = 2 * (1 + 2) / 100
    assert two_sided_p(rounds, 10) == pytest.approx(2 * t.sf(np.sqrt(0.9) * norm.isf(p / 2), 9))
    assert two_sided_p(-rounds, 10) == pytest.approx(two_sided_p(rounds, 10))
    assert two_sided_p(np.zeros(99), 10) == pytest.approx(1)
    assert two_sided_p(rounds, 10**9) == pytest.approx(p, rel=1e-6)


def test_a_true_null_is_rejected_at_its_level_with_few_units(rng):
    p = []
    for _ in range(2000):
        speakers = rng.normal(size=8)
        drawn = speakers[rng.integers(8, size=(400, 8))].mean(axis=1)
        p.append(float(two_sided_p(drawn, 8)))
    assert np.mean(np.array(p) < ALPHA) == pytest.approx(ALPHA, abs=0.015)


@pytest.mark.parametrize(("p", "n_units"), [(0.01, 8), (0.001, 40)])
def test_the_rounds_needed_are_the_fewest_with_which_p_can_be_reached(p, n_units):
    fewest = rounds_needed(p, n_units)
    assert two_sided_p(np.ones(fewest + 1), n_units) < p
    assert two_sided_p(np.ones(fewest - 2), n_units) > p


def test_enough_rounds_are_drawn_where_they_can_help():
    assert enough_rounds(1, 40, least=1000) == 1000
    assert enough_rounds(50, 40, least=100) == rounds_needed(ALPHA / 50, 40)
    assert enough_rounds(50, 3, least=100) == 100
    assert enough_rounds(1, 1, least=100) == 100


def test_holm_multiplies_by_the_tests_that_remain():
    assert holm([0.01, np.nan, 0.04, 0.02]) == pytest.approx([0.03, np.nan, 0.04, 0.04], nan_ok=True)
    assert np.isnan(holm([np.nan])).all()
    table = pd.DataFrame({"p": [0.01, 0.02, 0.03], "family": ["a", "a", "b"]})
    assert stats_tests.corrected(table)["p_holm"].tolist() == pytest.approx([0.03, 0.04, 0.04])
    assert stats_tests.corrected(table, "family")["p_holm"].tolist() == pytest.approx([0.02, 0.02, 0.03])


def test_a_correlation_is_that_of_ranks_and_none_of_a_constant(rng):
    first, second = rng.integers(0, 6, size=(2, 20))
    assert stats_tests.correlation(first, second) == pytest.approx(spearmanr(first, second)[0])
    assert stats_tests.correlation(first, second, ranks=False) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert np.isnan(stats_tests.correlation(np.full(20, 0.1), first))
    rows = stats_tests.standardised(rng.normal(3, 2, size=(4, 20)))
    assert rows.mean(axis=1) == pytest.approx(np.zeros(4), abs=1e-12)
    assert rows.var(axis=1) == pytest.approx(np.ones(4))
