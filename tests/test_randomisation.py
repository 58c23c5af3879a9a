import numpy as np
import pytest
import torch
from torch import nn

from sslig.validation import randomisation
from sslig.validation.randomisation import entropy, groups, shuffled
from sslig.validation.replacement import in_features


def explain(head, features):
    """Gradient times input, summed over layers and features."""
    x = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head(x).sum(), x)
    return (gradient * x).detach().double().sum(dim=(1, 3))[0].numpy()


@pytest.fixture
def trained(tiny_detector):
    """A CA-MHFA head that learnt to tell features with a spike in their first feature."""
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
def tested(trained, features):
    """The rows of the test for a way to explain heads."""

    def rows(method, **options):
        def scores_of(head):
            return in_features(head, features, "interpolation", {})

        return randomisation.rows(method, trained, features, scores_of, n_read=40, draws=20, seed=0, **options)

    return rows


@pytest.fixture
def features():
    found = torch.randn(1, 3, 40, 16, generator=torch.Generator().manual_seed(9))
    found[:, :, 20:24, :4] += 2
    return found


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_every_parameter_is_in_one_group_from_the_output_on(tiny_detector, name):
    head = tiny_detector(name).head
    found = groups(head, at_most=4)
    assert len(found) <= 4
    assert sorted(name for _, names in found for name in names) == sorted(dict(head.named_parameters()))


def test_groups_begin_at_the_output(tiny_detector):
    assert [name for name, _ in groups(tiny_detector().head, at_most=9)] == [
        "pooling_fc", "att_head", "cmp_linear_v", "cmp_linear_k", "weights_v", "weights_k",
    ]  # fmt: skip
    first, *_ = groups(tiny_detector("aasist").head)
    assert first[0].startswith("out_layer")


def test_shuffled_parameters_hold_the_same_values_and_others_stay(tiny_detector):
    head = tiny_detector().head
    changed = shuffled(head, ["pooling_fc.weight"], seed=0)
    before, after = dict(head.named_parameters()), dict(changed.named_parameters())
    assert not torch.equal(before["pooling_fc.weight"], after["pooling_fc.weight"])
    assert torch.equal(before["pooling_fc.weight"].sort().values, after["pooling_fc.weight"].sort().values)
    assert all(torch.equal(before[name], after[name]) for name in before if name != "pooling_fc.weight")


def values(rows, statistic):
    return [row["value"] for row in rows if row["statistic"] == statistic]


def test_a_gradient_knows_the_parameters_of_a_trained_head(tested):
    rows = tested(explain)
    cascading = values(rows, "randomised_cascading")
    assert len(cascading) == 5
    assert max(cascading) < 0.9
    assert cascading[-1] < 0.6
    assert rows[-1]["statistic"] == "complexity_rise"


def test_what_ignores_the_head_stays_as_it_is(tested, features):
    loud = features.square().sum(dim=(1, 3))[0].numpy()
    rows = tested(lambda head, x: loud)
    for kind in ("cascading", "independent"):
        assert values(rows, f"randomised_{kind}") == pytest.approx([1] * 5)
        assert {row["beaten"] for row in rows if row["statistic"] == f"randomised_{kind}"} == {0}
    assert values(rows, "complexity_rise") == [0]
    assert min(values(rows, "randomised_excess_cascading")) > 0


def test_heads_are_compared_by_what_they_do(tested, trained):
    with torch.no_grad():
        trained.weights_k.fill_(0.3)  # equal values in another order are the same
    rows = tested(explain)
    alone = {row["at"]: row["value"] for row in rows if row["statistic"] == "randomised_head_independent"}
    assert alone["5 weights_k"] == pytest.approx(1)
    assert alone["1 pooling_fc … att_head"] < 0.95


def test_groups_are_counted_and_named(tested):
    found = [(row["statistic"], row["at"].split()[0]) for row in tested(explain, at_most=2)[:-1]]
    kinds = [f"randomised_{what}{kind}" for kind in ("cascading", "independent") for what in ("", "head_", "excess_")]
    assert found == [(kind, number) for number in "12" for kind in kinds]


def test_the_entropy_is_that_of_the_histogram():
    assert entropy(np.ones(30)) == 0
    assert entropy(np.tile([0.0, 1.0], 10)) == pytest.approx(np.log(2))
    assert entropy(np.arange(200.0)) == pytest.approx(np.log(20))
