"""The bootstrap against closed forms: what is drawn, intervals, paired differences and weighted statistics."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sslig.errors import DataError
from sslig.stats import bootstrap
from sslig.stats.bootstrap import Units, estimate, mean

SPEAKERS = np.repeat(["a", "b", "c", "d"], 5)
MEANS = np.repeat([0.0, 1.0, 2.0, 3.0], 5)


def drawn(units: Units, seed: int = 0, rounds: int = 400) -> np.ndarray:
    return np.concatenate(list(units.weights(seed, rounds)))


def test_a_round_draws_speakers_with_all_of_their_rows():
    weights = drawn(Units.of(SPEAKERS))
    assert (weights.reshape(-1, 4, 5) == weights.reshape(-1, 4, 5)[:, :, :1]).all()
    assert (weights.sum(axis=1) == 20).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.15)


def test_a_second_stage_draws_recordings_within_each_drawn_speaker():
    recordings = np.tile(["r", "r", "s", "t", "u"], 4)  # names repeat between speakers
    units = Units.of(SPEAKERS, recordings)
    weights = drawn(units)
    assert units.n == 16
    assert (weights[:, 0] == weights[:, 1]).all()  # two rows of one recording
    assert (weights[:, 0] != weights[:, 2]).any()
    n_recordings = weights[:, [0, 2, 3, 4]].sum(axis=1)
    assert set(n_recordings) <= {0, 4, 8, 12, 16}  # a speaker drawn k times gives 4 k recordings


def test_the_draws_are_one_call_of_the_generator_a_round_and_a_stage():
    rng = np.random.default_rng(3)
    expected = [np.bincount(rng.integers(4, size=4), minlength=4) for _ in range(50)]
    assert (drawn(Units.of(SPEAKERS), 3, 50)[:, ::5] == expected).all()


def test_rows_in_another_order_give_the_same_draws(rng):
    order = rng.permutation(20)
    assert (drawn(Units.of(SPEAKERS))[:, order] == drawn(Units.of(SPEAKERS[order]))).all()


def test_blocks_of_rounds_give_the_same_draws(monkeypatch):
    whole = drawn(Units.of(SPEAKERS), rounds=30)
    monkeypatch.setattr(bootstrap, "CHUNK", 45)
    assert (drawn(Units.of(SPEAKERS), rounds=30) == whole).all()


def test_units_of_a_table():
    table = pd.DataFrame({"speaker": SPEAKERS, "recording": np.arange(20)})
    assert Units.of_table(table, recordings=False).n == 4
    assert Units.of_table(table, recordings=True).n == 20


def test_an_interval_has_the_width_of_the_standard_error():
    result = estimate(
        lambda weights: np.stack([weights.sum(axis=1), weights @ MEANS / 20], axis=1),
        Units.of(SPEAKERS),
        seed=0,
        rounds=4000,
    )
    assert result.value.tolist() == [20, 1.5]
    assert result.low[0] == result.high[0] == 20
    # The mean of four draws of 0, 1, 2, 3 has a standard deviation of sqrt(1.25 / 4).
    assert result.high[1] - result.low[1] == pytest.approx(2 * 1.96 * np.sqrt(1.25 / 4), abs=0.26)  # in steps of 0.25
    assert result.rounds[:, 1].std() == pytest.approx(np.sqrt(1.25 / 4), rel=0.05)


def test_an_interval_has_its_nominal_coverage_of_speakers(rng):
    covered = 0
    for trial in range(200):
        means = np.repeat(rng.normal(size=30), 3)
        result = estimate(mean(means), Units.of(np.repeat(np.arange(30), 3)), seed=trial, rounds=300)
        covered += result.low <= 0 <= result.high
    assert covered / 200 == pytest.approx(0.95, abs=0.045)


def test_one_number_loses_the_figure_axis():
    result = estimate(mean(MEANS), Units.of(SPEAKERS), seed=0, rounds=100)
    assert np.shape(result.value) == np.shape(result.low) == np.shape(result.p) == ()
    assert list(result.frame().columns) == ["value", "low", "high", "p"]
    assert len(result.frame()) == 1


def test_a_difference_is_paired():
    shifted = estimate(mean(np.stack([MEANS, MEANS + 0.25], axis=1)), Units.of(SPEAKERS), seed=0, rounds=200)
    change = shifted[1] - shifted[0]
    assert (change.value, change.low, change.high) == pytest.approx((0.25, 0.25, 0.25))
    assert shifted[0].low < 0.6 < 2.4 < shifted[0].high
    other = estimate(mean(MEANS), Units.of(SPEAKERS), seed=0, rounds=100)
    with pytest.raises(DataError, match="200 rounds of 4 units and 100 rounds of 4 units"):
        shifted[0] - other


def test_rounds_without_a_class_are_left_out():
    classes = np.array(["bonafide", "spoof"])
    result = estimate(mean([0.0, 1.0]), Units.of(["a", "b"]), seed=1, rounds=400, classes=classes)
    assert result.n_rounds == pytest.approx(200, abs=40)  # half of the draws take one speaker twice
    assert (result.low, result.high) == (0.5, 0.5)


def test_figures_that_no_round_defines_are_nan():
    values = np.stack([np.full(20, np.nan), np.where(MEANS == 3, 1.0, np.nan)], axis=1)
    result = estimate(mean(values), Units.of(SPEAKERS), seed=0, rounds=100)
    assert np.isnan([result.value[0], result.low[0], result.p[0]]).all()
    assert (result.value[1], result.low[1], result.high[1]) == (1, 1, 1)
    assert result.n_rounds[1] < 100  # rounds without speaker d


def test_one_unit_has_a_value_and_no_interval():
    result = estimate(mean(MEANS), Units.of(["a"] * 20), seed=0)
    assert result.value == 1.5
    assert np.isnan([result.low, result.high, result.p]).all()
    assert estimate(mean(MEANS), Units.of(["a"] * 20, np.arange(20)), seed=0).low < 1.5


def test_where_an_end_lies_follows_from_the_binomial(rng):
    units = Units.of(np.arange(50))
    few, many = (estimate(mean(np.arange(50.0)), units, seed=0, rounds=rounds) for rounds in (500, 50_000))
    widths = [np.diff(result.ends_between(), axis=1).ravel() for result in (few, many)]
    assert widths[0] / widths[1] == pytest.approx([10, 10], rel=0.5)
    assert (few.ends_between()[:, 0] < [few.low, few.high]).all()
    assert (few.ends_between()[:, 1] > [few.low, few.high]).all()


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        ([], "no rows"),
        (["a", None], "speakers: 1 rows have none"),
    ],
)
def test_what_cannot_be_resampled_is_refused(speakers, message):
    with pytest.raises(DataError, match=message):
        estimate(mean(np.zeros(2)), Units.of(speakers), seed=0)


def repeated(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(values, weights.astype(int), axis=0)


@pytest.fixture
def weights(rng) -> np.ndarray:
    """(round, row)"""
    return rng.integers(0, 4, size=(30, 12)).astype(float)


def test_a_weighted_correlation_is_that_of_repeated_rows(rng, weights):
    first, second = rng.integers(0, 6, size=(2, 12)).astype(float)
    expected = [spearmanr(repeated(first, round_), repeated(second, round_))[0] for round_ in weights]
    assert bootstrap.spearman(first, second)(weights) == pytest.approx(expected)


def test_a_constant_has_no_correlation():
    assert np.isnan(bootstrap.spearman(np.full(4, 0.1), np.arange(4.0))(np.ones((1, 4)))).all()


def test_cliffs_delta_counts_pairs(rng, weights):
    values, second = rng.integers(0, 6, size=12), np.arange(12) % 3 == 0
    expected = []
    for round_ in weights:
        first, other = (repeated(values[rows], round_[rows]) for rows in (~second, second))
        expected.append(np.sign(other[:, None] - first).mean())
    assert bootstrap.cliffs_delta(values, second)(weights) == pytest.approx(expected)


def test_a_mean_leaves_out_rows_without_a_value(weights):
    values = np.array([np.nan, *range(11)])
    expected = [repeated(values[1:], round_[1:]).mean() for round_ in weights]
    assert mean(values)(weights) == pytest.approx(expected)


def test_cells_count_alike_whatever_their_size():
    values, cells = np.array([1.0, 1.0, 1.0, 5.0, np.nan]), np.array(["a", "a", "a", "b", "c"])
    assert bootstrap.mean_of_cells(values, cells)(np.ones((1, 5))) == pytest.approx([3.0])
    assert bootstrap.mean_of_cells(values, cells)(np.array([[1, 0, 0, 0, 1.0]])) == pytest.approx([1.0])
    columns = bootstrap.mean_of_cells(np.stack([values, 2 * values], axis=1), cells)(np.ones((2, 5)))
    assert columns == pytest.approx(np.array([[3, 6], [3, 6]]))


def test_pairs_are_of_different_groups(rng):
    values, groups = rng.normal(size=(4, 4)), np.array(["u", "u", "v", "w"])
    pairs = [(i, j) for i in range(4) for j in range(4) if groups[i] != groups[j]]
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 3.0], [1, 1, 0, 0]])
    expected = [
        np.sum([w[i] * w[j] * values[i, j] for i, j in pairs]) / np.sum([w[i] * w[j] for i, j in pairs])
        for w in weights[:2]
    ]
    assert bootstrap.mean_of_pairs(values, groups)(weights) == pytest.approx([*expected, np.nan], nan_ok=True)
