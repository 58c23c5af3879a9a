"""The bootstrap against closed forms: what is drawn, intervals, paired differences and weighted statistics."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, t

from sslig.errors import DataError
from sslig.stats import bootstrap
from sslig.stats.bootstrap import Units, estimate, mean

SPEAKERS = np.repeat(list("abcdefgh"), 5)
MEANS = np.repeat(np.arange(8.0), 5)


def drawn(units: Units, seed: int = 0, rounds: int = 400) -> np.ndarray:
    return np.concatenate(list(units.weights(seed, rounds)))


def test_a_round_draws_speakers_with_all_of_their_rows():
    weights = drawn(Units.of(SPEAKERS))
    assert (weights.reshape(-1, 8, 5) == weights.reshape(-1, 8, 5)[:, :, :1]).all()
    assert (weights.sum(axis=1) == 40).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(40), abs=0.2)


def test_recordings_are_drawn_within_speakers_who_stay():
    recordings = np.tile(["r", "r", "s", "t", "u"], 8)  # names repeat between speakers
    units = Units.of(SPEAKERS, recordings)
    weights = drawn(units)
    assert (units.n, units.dof, units.about) == (32, 24, "these speakers")
    assert (weights[:, 0] == weights[:, 1]).all()  # two rows of one recording
    assert (weights[:, 0] != weights[:, 2]).any()
    assert (weights.reshape(-1, 8, 5)[:, :, [0, 2, 3, 4]].sum(axis=2) == 4).all()


def test_the_draws_are_one_call_of_the_generator():
    rng = np.random.default_rng(3)
    expected = [np.bincount(rng.integers(8, size=8), minlength=8) for _ in range(50)]
    assert (drawn(Units.of(SPEAKERS), 3, 50)[:, ::5] == expected).all()


def test_rows_in_another_order_give_the_same_draws(rng):
    order = rng.permutation(40)
    assert (drawn(Units.of(SPEAKERS))[:, order] == drawn(Units.of(SPEAKERS[order]))).all()


@pytest.mark.parametrize("recordings", [None, np.arange(40)])
def test_blocks_of_rounds_give_the_same_draws(monkeypatch, recordings):
    attacks = np.where(np.arange(40) % 2, "A01", None)
    whole = drawn(Units.of(SPEAKERS, recordings, attacks), rounds=30)
    monkeypatch.setattr(bootstrap, "CHUNK", 90)
    assert (drawn(Units.of(SPEAKERS, recordings, attacks), rounds=30) == whole).all()


def test_crossed_attacks_count_a_spoof_as_often_as_its_speaker_times_its_attack():
    attacks = np.tile([None, "A01", "A02", "A03", "A01"], 8)
    units = Units.of(SPEAKERS, attacks=attacks)
    weights = drawn(units).reshape(-1, 8, 5)
    of_speaker = drawn(Units.of(SPEAKERS)).reshape(-1, 8, 5)[:, :, 0]
    assert (weights[:, :, 0] == of_speaker).all()  # bona fide has no attack
    assert (weights[:, :, 1] == weights[:, :, 4]).all()
    assert (weights[:, :, 1:4].sum(axis=2) == 3 * of_speaker).all()
    assert (units.n, units.dof) == (3, 2)
    assert Units.of(SPEAKERS, np.arange(40), np.arange(40).astype(str)).dof == 32


def test_units_of_a_table():
    table = pd.DataFrame({"speaker": SPEAKERS, "recording": np.arange(40), "key": "spoof", "attack": "A01"})
    of_speakers, of_recordings = (Units.of_table(table, recordings=recordings) for recordings in (False, True))
    assert (of_speakers.n, of_speakers.dof, of_speakers.about) == (8, 7, "speakers at large")
    assert (of_recordings.n, of_recordings.dof) == (40, 32)
    assert Units.of_table(table, recordings=False, attacks=True).dof == 0


def test_an_interval_has_the_width_of_the_standard_error_read_on_t():
    units = Units.of(np.repeat(np.arange(30), 2))
    values = np.repeat(np.arange(30.0), 2)
    statistic = lambda weights: np.stack([weights.sum(axis=1), weights @ values / 60], axis=1)  # noqa: E731
    result, error = estimate(statistic, units, seed=0, rounds=4000), np.std(np.arange(30), ddof=1) / np.sqrt(30)
    assert result.value.tolist() == [60, 14.5]
    assert result.low[0] == result.high[0] == 60
    assert result.high[1] - result.low[1] == pytest.approx(2 * t.isf(0.025, 29) * error, rel=0.05)
    assert result.error == pytest.approx([0, error], rel=0.04)
    assert result.detectable(0.01)[1] == pytest.approx((t.isf(0.005, 29) + t.isf(0.2, 29)) * error, rel=0.04)


@pytest.mark.parametrize(("n_speakers", "recordings"), [(6, False), (10, False), (30, False), (2, True)])
def test_an_interval_has_its_nominal_coverage(rng, n_speakers, recordings):
    """Of the mean of speakers at large; with recordings, of the mean of these speakers."""
    trials, speaker = 400, np.repeat(np.arange(n_speakers), 8)
    truth = rng.normal(size=(n_speakers, trials))
    values = truth[speaker] + rng.normal(size=(len(speaker), trials))
    units = Units.of(speaker, np.arange(len(speaker)) if recordings else None)
    result = estimate(mean(values), units, seed=0, rounds=2000)
    covered = truth.mean(axis=0) if recordings else 0.0
    assert np.mean((result.low <= covered) & (covered <= result.high)) == pytest.approx(0.95, abs=0.03)
    assert np.mean((result.p < 0.05) == ((result.low > 0) | (result.high < 0))) > 0.97


@pytest.mark.parametrize(
    "units", [Units.of(np.arange(5)), Units.of(list("aaabbb"), range(6)), Units.of(range(9), attacks=list("abcdeabcd"))]
)
def test_too_few_units_decide_nothing(units):
    result = estimate(mean(np.arange(len(units.of_row), dtype=float)), units, seed=0)
    assert result.value == (len(units.of_row) - 1) / 2
    assert np.isnan([result.low, result.high, result.p, result.error, result.detectable()]).all()


def test_the_speakers_needed_are_those_that_find_the_effect_if_they_vary_as_these():
    values = np.stack([np.repeat([1.0, 3.0], 5), np.repeat([-5.0, -5.0], 5), np.repeat([-1.0, 1.0], 5)], axis=1)
    needed = bootstrap.speakers_needed(mean(values), Units.of(np.repeat(["a", "b"], 5)))
    n = int(needed[0])  # a mean of 2 with a standard deviation of sqrt(2)
    for fewer, enough in ((0, True), (1, False)):
        multiple = t.isf(0.025, n - 1 - fewer) + t.isf(0.2, n - 1 - fewer)
        assert (multiple * np.sqrt(2 / (n - fewer)) <= 2) == enough
    assert needed[1:].tolist() == [6, np.inf]
    assert np.isnan(bootstrap.speakers_needed(mean(np.ones(5)), Units.of(list("aaaaa")))).all()


def test_one_number_loses_the_figure_axis():
    result = estimate(mean(MEANS), Units.of(SPEAKERS), seed=0, rounds=100)
    assert np.shape(result.value) == np.shape(result.low) == np.shape(result.p) == np.shape(result.error) == ()
    assert list(result.frame().columns) == ["value", "low", "high", "p"]
    assert len(result.frame()) == 1


def test_a_difference_is_paired():
    shifted = estimate(mean(np.stack([MEANS, MEANS + 0.25], axis=1)), Units.of(SPEAKERS), seed=0, rounds=200)
    change = shifted[1] - shifted[0]
    assert (change.value, change.low, change.high) == pytest.approx((0.25, 0.25, 0.25))
    assert shifted[0].low < 2.5 < 4.5 < shifted[0].high
    other = estimate(mean(MEANS), Units.of(SPEAKERS), seed=0, rounds=100)
    with pytest.raises(DataError, match="200 rounds of 8 units and 100 rounds of 8 units"):
        shifted[0] - other


def test_rounds_without_a_class_are_left_out():
    classes = np.array(["bonafide"] + 5 * ["spoof"])
    result = estimate(mean([0.0] + 5 * [1.0]), Units.of(list("abcdef")), seed=1, rounds=400, classes=classes)
    assert result.n_rounds == pytest.approx(400 * (1 - (5 / 6) ** 6), abs=40)  # the first speaker is drawn
    assert np.nanmax(result.rounds) == 5 / 6


def test_figures_that_no_round_defines_are_nan():
    values = np.stack([np.full(40, np.nan), np.where(MEANS == 3, 1.0, np.nan)], axis=1)
    result = estimate(mean(values), Units.of(SPEAKERS), seed=0, rounds=100)
    assert np.isnan([result.value[0], result.low[0], result.p[0]]).all()
    assert (result.value[1], result.low[1], result.high[1]) == (1, 1, 1)
    assert result.n_rounds[1] < 100  # rounds without speaker d


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
