import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslig.cues import association
from sslig.cues.association import cliffs_delta, clusters_of, estimate, on_all, pearson, spearman
from sslig.cues.masked_trials import two_sided_p
from sslig.stats.intervals import Clusters
from sslig.stats.metrics import MetricError


@pytest.fixture
def tied(rng):
    """Two (trial,) arrays with many equal values, and which trials are of the second group."""
    first = rng.integers(6, size=80).astype(float)
    return first, first + rng.integers(6, size=80), rng.random(80) < 0.4


def repeated(values, weights):
    return np.repeat(values, weights.astype(int))


def test_a_weight_counts_as_a_repetition(tied, rng):
    """Every statistic with weights is scipy's on the trials repeated as often."""
    first, second, group = tied
    weights = rng.integers(3, size=(5, 80)).astype(float)
    found = [
        statistic(weights)
        for statistic in (pearson(first, second), spearman(first, second), cliffs_delta(first, group))
    ]
    for row, drawn in enumerate(weights):
        a, b, g = (repeated(values, drawn) for values in (first, second, group))
        assert found[0][row] == pytest.approx(stats.pearsonr(a, b)[0])
        assert found[1][row] == pytest.approx(stats.spearmanr(a, b)[0])
        u = stats.mannwhitneyu(a[g], a[~g]).statistic
        assert found[2][row] == pytest.approx(2 * u / (g.sum() * (~g).sum()) - 1)


def test_cliffs_delta_counts_pairs():
    """Of the four pairs the second group is larger in two, smaller in one, equal in one."""
    values, second = np.array([1.0, 3.0, 2.0, 3.0]), np.array([False, False, True, True])
    assert on_all(cliffs_delta(values, second), 4) == pytest.approx((2 - 1) / 4)
    assert on_all(cliffs_delta(values, ~second), 4) == pytest.approx(-1 / 4)


def test_what_does_not_vary_has_no_correlation():
    constant, varied = np.full(10, 0.1), np.arange(10.0)
    for statistic in (pearson(constant, varied), spearman(varied, constant)):
        assert np.isnan(on_all(statistic, 10))


def test_a_draw_without_a_group_has_no_delta():
    delta = cliffs_delta(np.arange(4.0), np.array([True, True, False, False]))
    assert np.isnan(delta(np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]]))).all()


def test_an_estimate_covers_its_value_and_is_repeatable(rng):
    first = rng.standard_normal(200)
    second = first + rng.standard_normal(200)
    clusters = Clusters.of(np.arange(200), None)
    found = estimate(pearson(first, second), clusters, seed=3, rounds=500)
    assert found == estimate(pearson(first, second), clusters, seed=3, rounds=500)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * (1 - found.value**2) / np.sqrt(200), rel=0.2)
    assert found.p == pytest.approx(two_sided_p(np.ones(500), 200))  # no draw is below 0
    assert found.rounds == 500


def test_p_values_of_no_association_are_even(rng):
    clusters = Clusters.of(np.arange(60), None)
    p = [estimate(pearson(*rng.standard_normal((2, 60))), clusters, seed=1, rounds=99).p for _ in range(200)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_p_values_of_no_association_are_even_with_ten_speakers(rng):
    """The mean of ten speakers, whose eight recordings differ from it together, has no better than the t test."""
    speakers = np.repeat(np.arange(10), 8)
    clusters, p = Clusters.of(speakers, None), []
    for _ in range(300):
        values = rng.standard_normal(10)[speakers] + rng.standard_normal(80)
        mean = estimate(lambda weights, values=values: weights @ values / 80, clusters, seed=1, rounds=400)
        p.append(mean.p)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(np.array(p) < 0.01) < 0.025


def test_few_units_cannot_give_a_small_p():
    """Three speakers have the tails of t with two degrees of freedom; a value that is 0 in each draw has p = 1."""
    values, clusters = np.array([1.0, 2.0, 3.0]), Clusters.of(["a", "b", "c"], None)
    deviate = np.sqrt(2 / 3) * stats.norm.isf(1 / 1000)
    found = estimate(lambda weights: weights @ values, clusters, seed=0, rounds=999)
    assert found.p == pytest.approx(2 * stats.t.sf(deviate, 2))
    assert found.p > 0.1
    assert estimate(lambda weights: 0 * (weights @ values), clusters, seed=0, rounds=99).p == 1


@pytest.mark.parametrize("recordings", [None, ["r"] * 3])
def test_one_unit_is_no_cluster_and_gives_no_estimate(recordings):
    assert clusters_of(["a"] * 3, recordings) is None
    assert clusters_of(["a", "b", "c"], None, np.array([True, False, False])) is None
    found = estimate(pearson(np.arange(3.0), np.arange(3.0)), None, seed=0, rounds=9)
    assert np.isnan([found.value, found.low, found.high, found.p]).all()
    assert found.rounds == 0
    assert clusters_of(["a"] * 3, ["r", "r", "s"]).size.tolist() == [2]


def test_what_is_not_defined_has_no_interval():
    found = estimate(pearson(np.ones(5), np.arange(5.0)), Clusters.of(np.arange(5), None), seed=0, rounds=20)
    assert np.isnan([found.value, found.low, found.high, found.p]).all()
    assert found.rounds == 0


@pytest.mark.parametrize("options", [{"rounds": 0}, {"rounds": 5, "level": 1.0}])
def test_rounds_and_level_are_checked(options):
    with pytest.raises(MetricError, match="at least one and a level"):
        estimate(pearson(np.ones(5), np.arange(5.0)), Clusters.of(np.arange(5), None), seed=0, **options)


def test_blocks_of_rounds_draw_the_same(monkeypatch):
    clusters = Clusters.of(list("aabbc"), list("vwxyz"))
    whole = np.concatenate(list(association.draws(clusters, 4, 7)))
    monkeypatch.setattr(association, "CHUNK_TRIALS", 10)
    parts = list(association.draws(clusters, 4, 7))
    assert [len(part) for part in parts] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_holms_correction_leaves_out_what_was_not_tested():
    """0.01 x 3, 0.02 x 2, 0.5 x 1."""
    np.testing.assert_allclose(association.holm([0.02, np.nan, 0.01, 0.5]), [0.04, np.nan, 0.03, 0.5])
    assert np.isnan(association.holm([np.nan])).all()
    assert association.corrected(pd.DataFrame({"p": [0.5, 0.5]}))["p_holm"].tolist() == [1, 1]


def test_infinite_values_are_refused_and_missing_ones_found():
    assert association.usable(np.array([1.0, np.nan])).tolist() == [True, False]
    with pytest.raises(MetricError, match="row 1 is infinite"):
        association.usable(np.array([1.0, -np.inf, np.inf]))
