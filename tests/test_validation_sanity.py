import numpy as np
import pytest
import torch
from torch import nn

from sslig.validation import sanity
from sslig.validation.faithfulness import in_features
from sslig.validation.sanity import agreement, backward_order, entropy, groups, max_sensitivity, shuffled
from sslig.validation.statistics import Controls


def controls(n_read, draws=20):
    return Controls(n_read, draws, seed=0)


@pytest.fixture
def smooth(rng):
    """(frame,) Evidence whose neighbours are alike, as those of a real map are."""
    return np.convolve(rng.standard_normal(210), np.ones(11) / 11, mode="valid")


def by_gradient(head, features):
    """Gradient times input, summed over layers and features."""
    x = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head(x).sum(), x)
    return (gradient * x).detach().double().sum(dim=(1, 3))[0].numpy()


@pytest.fixture
def trained(tiny_detector):
    """A CA-MHFA head that learnt to detect a spike in the first features."""
    head, generator = tiny_detector().head, torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(60):
        features = torch.randn(16, 3, 40, 16, generator=generator)
        labels = torch.arange(16) % 2
        features[labels == 1, :, 10:14, :4] += 2
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(head(features), labels.float()).backward()
        optimiser.step()
    return head.eval()


@pytest.fixture
def features():
    features = torch.randn(1, 3, 40, 16, generator=torch.Generator().manual_seed(9))
    features[:, :, 20:24, :4] += 2
    return features


@pytest.fixture
def randomised(trained, features):
    """Runs the test of randomised parameters for a way to explain heads."""

    def rows(explain):
        def scores_of(head):
            return in_features(head, features, "interpolation", {})

        order = backward_order(trained, features)
        return sanity.randomisation(lambda head: explain(head, features), trained, order, 40, scores_of, controls(40))

    return rows


def values(rows, statistic):
    return [row["value"] for row in rows if row["statistic"] == statistic]


def test_a_map_agrees_with_itself_whatever_its_unit(smooth):
    for ranks in (True, False):
        value, chance = agreement(smooth, 3 * smooth + 1, controls(200), ranks=ranks)
        assert value == pytest.approx(1)
        assert len(chance) == 20
        assert np.abs(chance).max() < 0.95
    assert agreement(smooth, -np.exp(smooth), controls(200))[0] == pytest.approx(-1)
    assert np.isnan(agreement(smooth, np.full(len(smooth), 0.1), controls(200))[0])


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_each_parameter_is_in_one_group_from_output_to_input(tiny_detector, rng, name):
    detector = tiny_detector(name)
    waveform = torch.from_numpy(rng.standard_normal((1, detector.clock.n_samples(30))).astype(np.float32))
    order = backward_order(detector, waveform)
    parts = groups(order)
    assert len(parts) <= sanity.GROUPS
    unused = {"backbone.model.masked_spec_embed"}  # of pretraining
    assert sorted(name for _, names in parts for name in names) == sorted({*dict(detector.named_parameters())} - unused)
    of_head = [name.startswith("head.") for name in order]
    assert of_head == sorted(of_head, reverse=True)  # the head before the encoder
    layers = [int(name.split("layers.")[1].split(".")[0]) for name in order if ".layers." in name]
    assert layers == sorted(layers, reverse=True)
    assert any("feature_extractor" in name for name in parts[-1][1])
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_the_order_is_that_of_the_computation_and_not_of_the_names(tiny_detector):
    """SLS names the weights of its layers, ``fc0``, before the batch normalisation that reads their sum."""
    order = [name.split(".")[0] for name in backward_order(tiny_detector("sls").head, torch.randn(2, 3, 30, 16))]
    assert order.index("first_bn") < order.index("fc0")


def test_shuffled_parameters_hold_the_same_values_and_others_stay(tiny_detector):
    head = tiny_detector().head
    changed = shuffled(head, ["pooling_fc.weight"], seed=0)
    before, after = dict(head.named_parameters()), dict(changed.named_parameters())
    assert not torch.equal(before["pooling_fc.weight"], after["pooling_fc.weight"])
    assert torch.equal(
        before["pooling_fc.weight"].flatten().sort().values, after["pooling_fc.weight"].flatten().sort().values
    )
    assert all(torch.equal(before[name], after[name]) for name in before if name != "pooling_fc.weight")


def test_a_gradient_knows_the_parameters_of_a_trained_head(randomised):
    rows = randomised(by_gradient)
    cascading = values(rows, "randomised_cascading")
    assert len(cascading) >= 5
    assert max(cascading) < 0.9
    assert cascading[-1] < 0.6
    assert rows[-1]["statistic"] == "complexity_rise"


def test_a_map_that_ignores_the_head_stays_as_it_is(randomised, features):
    loud = features.square().sum(dim=(1, 3))[0].numpy()
    rows = randomised(lambda head, x: loud)
    for kind in ("cascading", "independent"):
        assert values(rows, f"randomised_{kind}") == pytest.approx([1] * 6)
        assert {row["beaten"] for row in rows if row["statistic"] == f"randomised_{kind}"} == {0}
        excess = 1 - np.array(values(rows, f"randomised_detector_{kind}"))
        assert values(rows, f"randomised_excess_{kind}") == pytest.approx(excess)
    assert values(rows, "complexity_rise") == [0]


def test_complexity_rises_by_the_entropy_over_that_of_the_original_map(randomised, trained):
    binary, even = np.tile([0.0, 1.0], 20), np.arange(40.0)
    rows = randomised(lambda head, x: binary if head is trained else even)
    assert values(rows, "complexity_rise") == pytest.approx([np.log(20) / np.log(2) - 1])


def test_heads_are_compared_by_what_they_do(randomised, trained):
    with torch.no_grad():
        trained.weights_k.fill_(0.3)  # equal values in another order are the same
    rows = randomised(by_gradient)
    alone = {row["at"]: row["value"] for row in rows if row["statistic"] == "randomised_detector_independent"}
    (equal,) = [value for at, value in alone.items() if "weights_k" in at]
    assert equal == pytest.approx(1)
    assert min(alone.values()) < 0.95


def test_groups_are_counted_and_named(randomised):
    rows = [(row["statistic"], row["at"].split()[0]) for row in randomised(by_gradient)[:-1]]
    kinds = [
        f"randomised_{what}{kind}" for kind in ("cascading", "independent") for what in ("", "detector_", "excess_")
    ]
    assert rows == [(kind, number) for number in "123456" for kind in kinds]


def test_a_rise_of_complexity_stands_beside_that_of_random_maps(randomised, trained):
    """A map of two values has an entropy of log 2; white noise in 20 bins has more."""
    binary = np.tile([0.0, 1.0], 20)
    row = randomised(lambda head, x: binary)[-1]
    assert row["chance"] > 2
    assert row["beaten"] == 0


def test_a_smooth_map_that_ignores_the_parameters_stays_and_one_that_follows_them_goes(trained, features, smooth):
    order = backward_order(trained, features)
    still = sanity.smooth_randomisation(lambda model, generator: smooth, trained, order, controls(200))
    assert still["value"] == pytest.approx(1)
    assert still["chance"] < 0.3  # how alike random maps are
    assert still["beaten"] == 0
    noisy = sanity.smooth_randomisation(
        lambda model, generator: by_gradient(model, sanity.noisy(features, generator)), trained, order, controls(40)
    )
    assert noisy["value"] < 0.7


def test_the_entropy_is_that_of_the_histogram():
    assert entropy(np.ones(30)) == 0
    assert entropy(np.tile([0.0, 1.0], 10)) == pytest.approx(np.log(2))
    assert entropy(np.arange(200.0)) == pytest.approx(np.log(20))


def test_a_map_that_is_the_features_changes_as_much_as_they_do():
    features = torch.ones(1, 1, 50, 1) + torch.tensor([1.0, -1.0]).repeat(25)[None, None, :, None] * 0.5
    row = max_sensitivity(lambda x: x[0, 0, :, 0].numpy(), features, controls(50))
    # A change is uniform up to 0.02 standard deviations: its root mean square is that over sqrt(3).
    expected = 0.02 * features.std().item() / np.sqrt(3) / features.square().mean().sqrt().item()
    assert row["value"] == pytest.approx(expected, rel=0.3)


def test_max_sensitivity_stands_beside_the_change_by_a_shift():
    features = torch.arange(30.0)[None, None, :, None]
    row = max_sensitivity(lambda x: x[0, 0, :, 0].numpy(), features, controls(30, draws=29))
    frames = np.arange(30.0)
    expected = [np.linalg.norm(np.roll(frames, by) - frames) / np.linalg.norm(frames) for by in range(1, 30)]
    assert row["chance"] == pytest.approx(np.mean(expected))
    assert row["beaten"] == 1
    assert max_sensitivity(lambda x: np.arange(30.0), features, controls(30))["value"] == 0
    assert np.isnan(max_sensitivity(lambda x: np.zeros(30), features, controls(30))["chance"])


def shifted(explain, n_frames, n_read):
    """The rows of shifts for a map that `explain` makes of the numbers of the frames that are left."""
    return sanity.shifted("shift_features", lambda k: explain(np.arange(k, n_frames)), controls(n_read))


def test_evidence_that_moves_with_its_frames_is_equivariant(smooth):
    rows = shifted(lambda frames: smooth[frames], 200, 200)
    assert [row["at"] for row in rows] == ["1 frames", "3 frames", "10 frames"]
    assert [row["value"] for row in rows] == pytest.approx([1, 1, 1])


def test_evidence_that_depends_on_the_position_is_not():
    rows = shifted(lambda frames: np.where(np.arange(len(frames)) % 2, 1.0, -1.0), 50, 50)
    assert [row["value"] for row in rows] == pytest.approx([-1, -1, 1])


def test_only_frames_that_are_read_both_times_are_compared(smooth):
    rows = shifted(lambda frames: np.where(np.arange(len(frames)) < 30, smooth[frames], 0), 200, 30)
    assert [row["value"] for row in rows] == pytest.approx([1, 1, 1])
    assert [row["at"] for row in shifted(lambda frames: smooth[frames], 200, 14)] == ["1 frames", "3 frames"]


def test_few_points_are_compared_with_many(rng):
    frames = rng.standard_normal(50)
    rows = sanity.steps(lambda n: frames + np.cos(np.arange(50)) * 16 / n, controls(50))
    assert [row["at"] for row in rows] == ["16 of 128", "32 of 128", "64 of 128"]
    assert rows[0]["value"] < rows[1]["value"] < rows[2]["value"] < 1


def test_each_pair_of_seeds_has_a_row(smooth):
    rows = sanity.seeds({2: smooth, 0: smooth, 1: smooth[::-1]}, controls(200))
    assert [row["at"] for row in rows] == ["0 and 1", "0 and 2", "1 and 2"]
    assert rows[1]["value"] == pytest.approx(1)
    assert rows[1]["beaten"] == 1
    assert rows[0]["value"] < 0.9
