import numpy as np
import pytest
import torch

from sslig.validation import faithfulness
from sslig.validation.faithfulness import direction_of, infidelity, max_sensitivity, removals, sensitivity_n


@pytest.fixture
def evidence(rng):
    return rng.standard_normal(60)


@pytest.fixture
def removed(evidence):
    return removals(lambda masks: 3 + (~masks) @ evidence, 60, generator=np.random.default_rng(0))


def test_the_decision_is_the_side_of_the_threshold_on_which_the_score_is():
    assert [direction_of(score) for score in (2.0, -0.1)] == [1, -1]
    assert direction_of(2.0, threshold=3.0) == -1


def test_removals_are_stretches_of_one_length_among_the_frames_read(evidence):
    found = removals(lambda masks: (~masks) @ evidence, 60, 40, count=50, share=0.1, generator=np.random.default_rng(1))
    assert set(found.masks.sum(axis=1)) == {4}
    assert not found.masks[:, 40:].any()
    assert (np.abs(np.diff(found.masks.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert len({mask.tobytes() for mask in found.masks}) == 37  # every place once, then some again
    assert found.changes == pytest.approx(found.masks @ evidence)


def test_the_map_that_is_the_evidence_leaves_nothing_open(removed, evidence, rng):
    maps = np.stack([evidence, -7 * evidence, np.zeros(60), rng.standard_normal(60)])
    found = infidelity(removed, maps)
    assert found[:3] == pytest.approx([0, 0, 1], abs=1e-9)
    assert 0.5 < found[3] <= 1


def test_infidelity_is_one_less_the_squared_cosine(removed, rng):
    maps = rng.standard_normal((5, 60))
    told = maps @ removed.masks.T
    cosine = told @ removed.changes / np.sqrt((told**2).sum(axis=1) * (removed.changes**2).sum())
    assert infidelity(removed, maps) == pytest.approx(1 - cosine**2)


def test_sensitivity_n_knows_the_sign(removed, evidence):
    assert sensitivity_n(removed, np.stack([evidence, -2 * evidence])) == pytest.approx([1, -1])


def test_what_does_not_vary_has_neither(evidence):
    still = removals(lambda masks: np.full(len(masks), 2.0), 60, generator=np.random.default_rng(0))
    assert np.isnan(infidelity(still, evidence[None])).all()
    assert np.isnan(sensitivity_n(still, evidence[None])).all()
    falling = removals(lambda masks: (~masks) @ evidence, 60, generator=np.random.default_rng(0))
    assert np.isnan(sensitivity_n(falling, np.ones((1, 60)))).all()


def test_a_map_that_is_the_features_changes_as_much_as_they_do():
    features = torch.ones(1, 1, 50, 1) + torch.tensor([1.0, -1.0]).repeat(25)[None, None, :, None] * 0.5
    found = max_sensitivity(lambda x: x[0, 0, :, 0].numpy(), features, radius=0.1, seed=0)
    # A change is uniform up to 0.1 standard deviations: its root mean square is that over sqrt(3).
    expected = 0.1 * features.std().item() / np.sqrt(3) / features.square().mean().sqrt().item()
    assert found == pytest.approx(expected, rel=0.3)


def test_a_map_that_ignores_the_features_does_not_change():
    assert max_sensitivity(lambda x: np.arange(5.0), torch.randn(1, 2, 5, 3), seed=0) == 0


def test_sensitivity_stands_beside_the_change_by_a_shift():
    features = torch.arange(30.0)[None, None, :, None]
    row = faithfulness.sensitivity_row(lambda x: x[0, 0, :, 0].numpy(), features, n_read=30, draws=29, seed=0)
    frames = np.arange(30.0)
    expected = [np.linalg.norm(np.roll(frames, by) - frames) / np.linalg.norm(frames) for by in range(1, 30)]
    assert row["control"] == pytest.approx(np.mean(expected))
    assert row["beaten"] == 1
    nothing = faithfulness.sensitivity_row(lambda x: np.zeros(30), features, n_read=30, draws=5, seed=0)
    assert np.isnan(nothing["control"])


def test_sensitivity_explains_with_gradients(tiny_detector):
    head, features = tiny_detector().head, torch.randn(1, 3, 20, 16)

    def explain(x):
        x = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(head(x).sum(), x)
        return (gradient * x).detach().sum(dim=(1, 3))[0].numpy()

    assert 0 < max_sensitivity(explain, features, samples=2, seed=0) < 1


def test_a_table_holds_each_map_in_each_space(evidence, rng):
    spaces = {
        ("features", "bonafide_mean"): lambda masks: (~masks) @ evidence,
        ("features", "interpolation"): lambda masks: (~masks) @ evidence,
    }
    maps = {"true": evidence, "random": rng.standard_normal(60)}
    options = {"n_read": 60, "draws": 20, "seed": 1}
    rows = faithfulness.rows(spaces, maps, 1, **options)
    found = {(row["method"], row["replacement"], row["statistic"], row["at"]): row for row in rows}
    assert len(found) == len(rows) == 2 * 2 * (7 + 1 + 2) + 2 * (7 + 1)  # deletion, and insertion in one space
    for statistic in ("deletion_area", "infidelity", "sensitivity_n"):
        assert found["true", "interpolation", statistic, ""]["beaten"] == 1
    assert found["true", "bonafide_mean", "insertion_area", ""]["beaten"] == 1
    assert ("true", "interpolation", "insertion_area", "") not in found
    assert rows == faithfulness.rows(spaces, maps, 1, **options)


def test_a_slow_space_has_few_points(evidence):
    spaces = {("waveform", "silence"): lambda masks: (~masks) @ evidence}
    rows = faithfulness.rows(spaces, {"true": evidence}, 1, n_read=60, draws=20, seed=1, fast=True)
    found = {(row["statistic"], row["at"]) for row in rows}
    assert found == {("deletion", "5"), ("deletion", "20"), ("deletion_area", ""), ("comprehensiveness", "")}
