"""Maps whose place is known: what each measure gives in closed form, and that a map that knows nothing is at chance."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sslig.attribution.baselines import zero
from sslig.attribution.context import Context
from sslig.attribution.methods import explain
from sslig.frames import SSL_CLOCK
from sslig.validation.localisation import (
    MEASURES,
    LocalisationError,
    evidence_ratio,
    over_shifts,
    pointing_game,
    relevance_mass,
    relevance_rank,
    roc_auc,
    rows,
)
from sslig.validation.statistics import STATISTICS

TRUTH = np.array([False, False, True, True, False, False, False, False, False, False])
FRAMES = np.array([1.0, 0.0, 3.0, 2.0, -5.0, 2.0, 0.0, 0.0, 0.0, 0.0])

ONE_BY_ONE = {
    "relevance_mass": relevance_mass,
    "relevance_rank": relevance_rank,
    "pointing_20ms": pointing_game,
    "pointing_100ms": lambda frames, truth: pointing_game(frames, truth, 0.1),
    "roc_auc": roc_auc,
    "evidence_ratio": evidence_ratio,
}


def test_measures_of_a_map_by_hand():
    """5 of 8 of the positive evidence in 2 of 10 frames; one of the top two for sure, the other ties with one outside;
    of 16 pairs the 3 wins all 8, the 2 wins 7 and ties one."""
    assert relevance_mass(FRAMES, TRUTH) == pytest.approx(5 / 8)
    assert evidence_ratio(FRAMES, TRUTH) == pytest.approx(5 / 8 / 0.2)
    assert relevance_rank(FRAMES, TRUTH) == pytest.approx((1 + 1 / 2) / 2)
    assert roc_auc(FRAMES, TRUTH) == pytest.approx(15.5 / 16)
    assert pointing_game(FRAMES, TRUTH) == 1


@pytest.mark.parametrize(
    ("peak", "ms_20", "ms_100"), [(2, 1, 1), (3, 1, 1), (4, 1, 1), (1, 1, 1), (5, 0, 1), (8, 0, 1), (9, 0, 0)]
)
def test_a_peak_near_the_place_hits_it(peak, ms_20, ms_100):
    """A frame is 20 ms: one frame away is within the first tolerance, five are within the second."""
    frames = np.zeros(10)
    frames[peak] = 1
    assert pointing_game(frames, TRUTH, 0.02) == ms_20
    assert pointing_game(frames, TRUTH, 0.1) == ms_100
    assert pointing_game(frames, TRUTH, 0) == float(TRUTH[peak])


@pytest.mark.parametrize("seed", range(5))
def test_measures_agree_with_others_and_with_shifting_by_hand(seed):
    """The area with scikit-learn's; each shift with the measure of the shifted map."""
    generator = np.random.default_rng(seed)
    frames, truth = generator.normal(size=37).round(1), np.zeros(37, dtype=bool)  # rounding makes ties
    truth[5:12], truth[20:22] = True, True
    assert roc_auc(frames, truth) == pytest.approx(roc_auc_score(truth, frames))
    found = over_shifts(frames, truth)
    assert set(found) == set(MEASURES) == set(ONE_BY_ONE) <= set(STATISTICS)
    for name, values in found.items():
        by_hand = [ONE_BY_ONE[name](np.roll(frames, shift), truth) for shift in range(37)]
        np.testing.assert_allclose(values, by_hand, atol=1e-12)


def test_chance_is_exact():
    """Over all shifts: the share of time, 1 for the ratio, 1/2 for the area, and the widened place for the peak."""
    frames = np.random.default_rng(0).normal(size=50)
    truth = np.arange(50) < 8
    chance = {row["statistic"]: row["control"] for row in rows(frames, truth)}
    assert chance == pytest.approx({
        "relevance_mass": 8 / 50, "relevance_rank": 8 / 50, "pointing_20ms": 9 / 50, "pointing_100ms": 13 / 50,
        "roc_auc": 0.5, "evidence_ratio": 1,
    })  # fmt: skip


def test_a_perfect_map_beats_all_shifts():
    found = {row["statistic"]: row for row in rows(TRUTH.astype(float), TRUTH)}
    assert {name: row["value"] for name, row in found.items()} == pytest.approx({
        "relevance_mass": 1, "relevance_rank": 1, "pointing_20ms": 1, "pointing_100ms": 1, "roc_auc": 1,
        "evidence_ratio": 5,
    })  # fmt: skip
    assert found["relevance_mass"]["beaten"] == (9 + 0.5) / 10  # all shifts but none
    assert found["relevance_mass"]["draws"] == 10


@pytest.mark.parametrize("name", MEASURES)
def test_random_maps_are_at_chance(name):
    """The mean of 400 smooth random maps lies within three standard errors of the mean of their chances."""
    generator, differences = np.random.default_rng(3), []
    truth = np.zeros(80, dtype=bool)
    truth[30:45] = True
    for _ in range(400):
        frames = np.convolve(generator.normal(size=90), np.ones(11), mode="valid")
        row = next(row for row in rows(frames, truth) if row["statistic"] == name)
        differences.append(row["value"] - row["control"])
    assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(400)


def test_a_map_without_evidence_for_spoof_has_no_mass_and_still_a_rank():
    found = {row["statistic"]: row for row in rows(-1.0 - TRUTH, TRUTH)}
    assert np.isnan(found["relevance_mass"]["value"])
    assert np.isnan(found["evidence_ratio"]["control"])
    assert found["roc_auc"]["value"] == 0
    assert found["relevance_rank"]["value"] == 0


def test_a_flat_map_is_at_chance():
    for row in rows(np.ones(10), TRUTH):
        assert row["value"] == pytest.approx(row["control"])
        assert row["beaten"] == 0.5


class Placed(torch.nn.Module):
    """A detector whose evidence lies in frames 6 to 9 by construction: 4 more of them, each through a tanh."""

    def forward(self, x):
        return torch.tanh(x[:, :, 6:10]).sum(dim=(1, 2, 3))


@pytest.mark.parametrize(
    "spec",
    ["ig", "ig(baseline=zero)", "expected_gradients(draws=2)", "gradient_x_input", "gradient_shap(samples=16, draws=2)",
)  # fmt: skip
@pytest.mark.parametrize("aggregation", ["signed", "absolute", "l2"])
def test_evidence_fixed_by_construction_is_found_whole(spec, aggregation):
    features = 0.5 + torch.rand(1, 2, 20, 3, generator=torch.Generator().manual_seed(0))
    draws = tuple(-torch.ones(2, 20, 3) * size for size in (0.1, 0.2))
    context = Context({"bonafide_mean": zero(2, 3), "zero": zero(2, 3)}, draws)
    frames = explain(spec, Placed(), features, context).frames(aggregation)
    truth = (np.arange(20) >= 6) & (np.arange(20) < 10)
    assert relevance_mass(frames, truth) == pytest.approx(1, abs=1e-12)
    assert relevance_rank(frames, truth) == 1
    assert roc_auc(frames, truth) == 1
    assert pointing_game(frames, truth, 0, SSL_CLOCK) == 1


def test_noise_finds_the_place_no_better_than_chance():
    """The `random` method over 200 utterances: the interval of the mean advantage holds 0."""
    truth, context = np.arange(40) < 10, Context({})
    features = torch.zeros(1, 2, 40, 3)
    advantage = {name: [] for name in MEASURES}
    for number in range(200):
        frames = explain("random", Placed(), features, context.of(str(number))).by_frame
        for row in rows(frames, truth):
            advantage[row["statistic"]].append(row["value"] - row["control"])
    for differences in advantage.values():
        assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(200)


@pytest.mark.parametrize(
    ("frames", "truth", "says"),
    [
        (FRAMES, TRUTH[:-1], r"a map of shape \(10,\) and a truth of shape \(9,\) and bool"),
        (FRAMES, TRUTH.astype(int), "a truth of shape .* and int64; one number and one bool a frame"),
        (FRAMES * np.nan, TRUTH, "NaN or infinite"),
        (FRAMES, np.zeros(10, dtype=bool), "0 of 10 frames are the place"),
        (FRAMES, np.ones(10, dtype=bool), "10 of 10 frames are the place"),
    ],
)
def test_what_nothing_can_be_measured_on_is_refused(frames, truth, says):
    with pytest.raises(LocalisationError, match=says):
        over_shifts(frames, truth)
