"""p-values of bootstrap rounds, Holm's correction and correlations, against closed forms and known tests."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr, t

from sslig.stats import tests as stats_tests
from sslig.stats.tests import ALPHA, expanded, holm, needed_multiple, two_sided_p, units_needed


def test_p_is_twice_the_smaller_tail_read_on_t():
    rounds = np.arange(-1.0, 98)  # 99 rounds: two at or below 0, one of them at 0
    p = 2 * (1 + 2) / 100
    assert two_sided_p(rounds, 48, 10, 9) == pytest.approx(2 * t.sf(np.sqrt(0.9) * norm.isf(p / 2), 9))
    assert two_sided_p(-rounds, -48, 10, 9) == pytest.approx(two_sided_p(rounds, 48, 10, 9))
    assert two_sided_p(rounds, 48, 40, 20) == pytest.approx(2 * t.sf(np.sqrt(0.5) * norm.isf(p / 2), 20))
    assert two_sided_p(np.zeros(99), 0, 10, 9) == pytest.approx(1)
    assert two_sided_p(rounds, 48, 10**9, 10**9 - 1) == pytest.approx(p, rel=1e-6)
    assert np.isnan(two_sided_p(rounds, 48, 5, 4))


def test_a_normal_continues_the_tail_beyond_the_last_round():
    rounds = norm.ppf((np.arange(1000) + 0.5) / 1000) + 6
    assert two_sided_p(rounds, 6, 10**6, 10**6 - 1) == pytest.approx(2 * norm.sf(6 / rounds.std()), rel=1e-3)
    assert two_sided_p(np.ones(99), 1, 10**6, 10**6 - 1) == pytest.approx(2 / 100, rel=1e-3)  # no spread to go by


@pytest.mark.parametrize("alpha", [ALPHA, 0.005])
def test_a_true_null_is_rejected_at_its_level_with_few_units(rng, alpha):
    p = []
    for _ in range(2000):
        speakers = rng.normal(size=8)
        drawn = speakers[rng.integers(8, size=(400, 8))].mean(axis=1)
        p.append(two_sided_p(drawn, speakers.mean(), 8, 7))
    assert np.mean(np.array(p) < alpha) == pytest.approx(alpha, abs=3 * np.sqrt(alpha / 2000))


def test_quantiles_of_the_bootstrap_stand_for_those_of_t():
    levels = np.array([0.025, 0.5, 0.975])
    assert expanded(levels, 10, 9) == pytest.approx(norm.cdf(np.sqrt(10 / 9) * t.ppf(levels, 9)))
    assert np.isnan(expanded(levels, 5, 4)).all()


def test_the_units_needed_are_the_fewest():
    assert units_needed(1.0, 0.0) == 6
    assert units_needed(0.0, 1.0) == np.inf
    assert np.isnan(units_needed(np.nan, 1.0))
    n = units_needed(-0.5, 1.0, 0.01)
    assert needed_multiple(n - 1, 0.01) <= 0.5 * np.sqrt(n)
    assert needed_multiple(n - 2, 0.01) > 0.5 * np.sqrt(n - 1)
    assert needed_multiple(9, 0.05, 0.8) == pytest.approx(t.isf(0.025, 9) + t.isf(0.2, 9))


def test_holm_multiplies_by_the_tests_that_remain():
    assert holm([0.01, np.nan, 0.04, 0.02]) == pytest.approx([0.03, np.nan, 0.04, 0.04], nan_ok=True)
    assert np.isnan(holm([np.nan])).all()
    table = pd.DataFrame({"p": [0.01, 0.02, 0.03], "family": ["a", "a", "b"]})
    whole, parts = stats_tests.corrected(table), stats_tests.corrected(table.rename(columns={"family": "of"}), "of")
    assert whole["p_holm"].tolist() == pytest.approx([0.03, 0.04, 0.04])
    assert whole["family"].tolist() == [3, 3, 3]
    assert parts["p_holm"].tolist() == pytest.approx([0.02, 0.02, 0.03])
    assert parts["family"].tolist() == [2, 2, 1]
    assert parts["significant"].all()


def test_a_correlation_is_that_of_ranks_and_none_of_a_constant(rng):
    first, second = rng.integers(0, 6, size=(2, 20))
    assert stats_tests.correlation(first, second) == pytest.approx(spearmanr(first, second)[0])
    assert stats_tests.correlation(first, second, ranks=False) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert np.isnan(stats_tests.correlation(np.full(20, 0.1), first))
    rows = stats_tests.standardised(rng.normal(3, 2, size=(4, 20)))
    assert rows.mean(axis=1) == pytest.approx(np.zeros(4), abs=1e-12)
    assert rows.var(axis=1) == pytest.approx(np.ones(4))
