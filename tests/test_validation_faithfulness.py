import numpy as np
import pytest
import torch

from sslig.errors import DataError
from sslig.validation import faithfulness
from sslig.validation.faithfulness import (
    area,
    curves,
    in_features,
    in_neutral,
    in_waveform,
    infidelity,
    loudness_share,
    removals,
    scaled_infidelity,
    sensitivity_n,
)
from sslig.validation.statistics import Controls


def linear(evidence, bias=0.0):
    """Scores where frame t is worth evidence[t], and nothing where it is replaced."""
    return lambda masks: bias + (~masks) @ evidence


def drawn(evidence, frames, direction=1, seed=0, n_read=200, draws=20, **options):
    """The rows of curves by statistic and point."""
    rows = curves(linear(evidence, bias=2.0), frames, direction, Controls(n_read, draws, seed), **options)
    return {(row["statistic"], row["at"]): row for row in rows if row["statistic"] != "margin"}


def points(rows, name):
    return [row["value"] for (statistic, _), row in rows.items() if statistic == name]


@pytest.fixture
def evidence(rng):
    """(frame,) that speaks for spoof as a whole."""
    values = rng.standard_normal(200)
    return values - values.mean() + 0.05


@pytest.fixture
def removed(evidence):
    return removals(linear(evidence, bias=3), 200, 200, np.random.default_rng(0))


@pytest.fixture
def features():
    return torch.randn(1, 3, 24, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def masks():
    masks = np.zeros((3, 24), dtype=bool)
    masks[1, 4:9], masks[2] = True, True
    return masks


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_a_profile_takes_the_place_of_masked_frames(tiny_detector, features, masks, name):
    head, profile = tiny_detector(name).head, torch.randn(3, 16)
    scores = in_features(head, features, "bonafide_mean", {"bonafide_mean": profile})
    replaced = torch.where(torch.from_numpy(masks)[:, None, :, None], profile[None, :, None], features)
    assert scores(masks) == pytest.approx(head(replaced).detach().double().numpy(), abs=1e-5)


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_masked_frames_are_taken_from_their_neighbours_and_all_of_them_from_the_mean(
    tiny_detector, features, masks, name
):
    head = tiny_detector(name).head
    scores = in_features(head, features, "interpolation", {})
    expected = features.repeat(3, 1, 1, 1)
    expected[1, :, 4:9] = ((features[0, :, 3] + features[0, :, 9]) / 2)[:, None]
    expected[2] = features[0].mean(dim=1, keepdim=True)
    assert scores(masks) == pytest.approx(head(expected).detach().double().numpy(), abs=1e-5)


def test_masks_go_through_the_head_in_chunks(tiny_detector, features, monkeypatch, rng):
    masks = rng.random((7, 24)) < 0.3
    scores = in_features(tiny_detector().head, features, "interpolation", {})
    whole = scores(masks)
    monkeypatch.setattr(faithfulness, "CHUNK_VALUES", 1)
    scores = in_features(tiny_detector().head, features, "interpolation", {})
    assert scores(masks) == pytest.approx(whole, abs=1e-6)


def test_a_waveform_with_nothing_replaced_has_the_score_of_the_detector(tiny_detector, rng):
    detector = tiny_detector()
    waveform = torch.from_numpy(rng.standard_normal((1, detector.clock.n_samples(20))).astype(np.float32))
    masks = np.zeros((2, 20), dtype=bool)
    masks[1, 3:8] = True
    scores = in_waveform(detector, waveform, seed=0)
    values = scores(masks)
    assert values[0] == pytest.approx(detector(waveform).item(), abs=1e-5)
    assert values[1] != pytest.approx(values[0], abs=1e-5)
    assert scores(masks) == pytest.approx(values, abs=1e-6)  # the noise is the same each time


def test_a_linear_head_loses_and_gains_the_evidence_of_the_top_frames(evidence):
    rows = drawn(evidence, evidence)
    expected = np.cumsum(np.sort(evidence)[::-1])[[1, 3, 9, 19, 39, 99]]
    assert points(rows, "deletion") == pytest.approx(expected)
    assert points(rows, "insertion") == pytest.approx(expected)
    assert rows["comprehensiveness", ""]["value"] == pytest.approx(expected.mean())
    assert rows["sufficiency", ""]["value"] == pytest.approx(expected.mean() - evidence.sum())
    assert rows["deletion_area_to_50", ""]["value"] == pytest.approx(area(faithfulness.PERCENTS, expected))
    assert rows["insertion_area_to_50", ""]["beaten"] == 1


def test_both_decisions_have_the_same_curves(evidence):
    spoof, bonafide = drawn(evidence, evidence), drawn(-evidence, -evidence, direction=-1)
    for name in ("value", "chance"):
        assert {key: row[name] for key, row in bonafide.items()} == pytest.approx(
            {key: row[name] for key, row in spoof.items()}
        )


def test_the_area_sums_trapezes_over_the_share_of_frames():
    assert area([10, 50], np.array([[2.0, 4.0]])) == pytest.approx([(10 * 1 + 40 * 3) / 50])


def test_controls_are_the_same_curves_of_the_shifted_map():
    evidence = np.arange(10.0)
    row = drawn(evidence, evidence, percents=[20], draws=9, n_read=10)["deletion", "20"]
    expected = [evidence[(8 + shift) % 10] + evidence[(9 + shift) % 10] for shift in range(1, 10)]
    assert row["chance"] == pytest.approx(np.mean(expected))
    assert (row["chance_low"], row["chance_high"]) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))


def test_frames_that_are_not_read_are_never_touched(evidence):
    read = np.arange(200) < 50

    def scores(masks):
        assert not masks[:, ~read].any()
        return (~masks[:, read]) @ evidence[read]

    frames = np.where(read, evidence, 100.0)
    _, first, last, *_ = curves(scores, frames, 1, Controls(50, 20, 0), percents=[2, 100], insertion=False)
    assert (first["value"], last["value"]) == pytest.approx((evidence[read].max(), evidence[read].sum()))


def test_the_true_map_beats_all_controls_the_opposite_map_none_and_noise_half(evidence, rng):
    for frames, beaten in ((evidence, 1), (-evidence, 0)):
        assert {row["beaten"] for row in drawn(evidence, frames).values()} == {beaten}
    maps = [(rng.standard_normal(80), rng.standard_normal(80)) for _ in range(60)]
    rows = [drawn(*pair, seed=seed, percents=[10, 20], n_read=80) for seed, pair in enumerate(maps)]
    shares = [row["deletion_area_to_20", ""]["beaten"] for row in rows]
    shares = [share for share in shares if np.isfinite(share)]
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.5) < 2.5 * error < 0.15


@pytest.mark.parametrize("frames", [np.ones((5, 2)), np.array([1, np.inf])])
def test_a_map_that_is_no_finite_axis_of_frames_is_refused(frames):
    with pytest.raises(DataError, match="finite numbers"):
        drawn(np.ones(len(frames)), frames, n_read=5)


def test_removals_are_stretches_of_one_length_among_the_frames_read(evidence):
    result = removals(linear(evidence[:60]), 60, 40, np.random.default_rng(1), count=50)
    assert set(result.masks.sum(axis=1)) == {4}
    assert not result.masks[:, 40:].any()
    assert (np.abs(np.diff(result.masks.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert len({mask.tobytes() for mask in result.masks}) == 37  # each place once, then some again
    assert result.changes == pytest.approx(result.masks @ evidence[:60])


def test_infidelity_sees_sign_and_scale(removed, evidence, rng):
    maps = np.stack([evidence, -evidence, 10 * evidence, np.zeros(200), rng.standard_normal(200)])
    values, scaled = infidelity(removed, maps), scaled_infidelity(removed, maps)
    assert values[:4] == pytest.approx([0, 4, 81, 1], abs=1e-9)
    assert scaled[:4] == pytest.approx([0, 1, 0, 1], abs=1e-9)
    assert 0.5 < scaled[4] <= 1 < values[4]


def test_infidelities_are_squared_errors_over_the_square_of_the_change(removed, rng):
    frames, change = rng.standard_normal(200) + 0.02, removed.changes
    evidence = removed.masks @ frames
    best = max(0.0, np.linalg.lstsq(evidence[:, None], change, rcond=None)[0][0])
    for factor, measure in ((1, infidelity), (best, scaled_infidelity)):
        expected = np.sum((change - factor * evidence) ** 2) / np.sum(change**2)
        assert measure(removed, frames[None]) == pytest.approx([expected])


def test_a_replacement_that_speaks_for_the_decision_leaves_no_curves(evidence):
    rows = curves(linear(evidence), evidence, -1, Controls(200, 20, 0))
    assert rows[0]["statistic"] == "margin"
    assert rows[0]["value"] == pytest.approx(-evidence.sum())
    assert np.isnan([row["value"] for row in rows[1:]]).all()


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_neutral_frames_are_those_of_each_start_and_their_scores_are_weighed(tiny_detector, features, masks, name):
    head, starts, weights = tiny_detector(name).head, torch.randn(2, 3, 24, 16), torch.tensor([0.3, 0.7])
    replaced = [
        head(torch.where(torch.from_numpy(masks)[:, None, :, None], start, features)).detach().double().numpy()
        for start in starts
    ]
    scores = in_neutral(head, features, starts, weights)
    assert scores(masks) == pytest.approx(0.3 * replaced[0] + 0.7 * replaced[1], abs=1e-5)


def test_sensitivity_n_is_a_correlation_with_a_sign(removed, evidence, rng):
    frames = rng.standard_normal(200)
    expected = np.corrcoef(removed.masks @ frames, removed.changes)[0, 1]
    values = sensitivity_n(removed, np.stack([evidence, -2 * evidence, frames]))
    assert values == pytest.approx([1, -1, expected])


def test_without_variation_neither_is_defined(removed, evidence):
    still = removals(lambda masks: np.full(len(masks), 2.0), 200, 200, np.random.default_rng(0))
    assert np.isnan(infidelity(still, evidence[None])).all()
    assert np.isnan(sensitivity_n(still, evidence[None])).all()
    assert np.isnan(sensitivity_n(removed, np.ones((1, 200)))).all()


def test_a_table_holds_each_map_in_each_space(evidence, rng):
    spaces = {("features", name): linear(evidence) for name in ("bonafide_mean", "interpolation")}
    maps, controls = {"true": evidence, "noise": rng.standard_normal(200)}, Controls(200, 20, 1)
    rows = faithfulness.rows(spaces, maps, 1, controls)
    table = {(row["aggregation"], row["replacement"], row["statistic"], row["at"]): row for row in rows}
    assert len(table) == len(rows) == 2 * (2 * (1 + 6 + 2 + 3) + 6 + 2)  # deletion twice, insertion in one space
    for statistic in ("deletion_area_to_50", "infidelity", "scaled_infidelity", "sensitivity_n"):
        assert table["true", "interpolation", statistic, ""]["beaten"] == 1
    assert table["true", "bonafide_mean", "insertion_area_to_50", ""]["beaten"] == 1
    assert ("true", "interpolation", "insertion_area_to_50", "") not in table
    assert rows == faithfulness.rows(spaces, maps, 1, controls)


def test_a_slow_space_has_few_points(evidence):
    rows = faithfulness.rows(
        {("waveform", "silence"): linear(evidence)}, {"true": evidence}, 1, Controls(200, 20, 1), fast=True
    )
    statistics = {(row["statistic"], row["at"]) for row in rows}
    assert statistics == {
        *(("margin", ""), ("deletion", "5"), ("deletion", "20")),
        *(("deletion_area_to_20", ""), ("comprehensiveness", "")),
    }


def test_evidence_that_is_loudness_is_explained_by_it(rng):
    loudness = np.abs(rng.standard_normal(150)) * 0.1
    for frames in (5 * loudness - 1, 20 * np.log10(loudness)):
        row = loudness_share(frames, loudness, Controls(150, 20, 0))
        assert row["value"] == pytest.approx(1)
        assert row["beaten"] == 0  # lower is better


def test_other_evidence_is_explained_as_well_as_by_chance(rng):
    noise = [(rng.standard_normal(150), np.abs(rng.standard_normal(150))) for _ in range(40)]
    rows = [loudness_share(*pair, Controls(150, 20, seed)) for seed, pair in enumerate(noise)]
    difference = np.array([row["value"] - row["chance"] for row in rows])
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(rows))


def test_silence_explains_nothing_and_a_constant_map_has_no_share():
    controls = Controls(20, 20, 0)
    assert np.isnan(loudness_share(np.ones(20), np.arange(20.0), controls)["value"])
    assert loudness_share(np.arange(20.0), np.zeros(20), controls)["value"] == pytest.approx(0)
