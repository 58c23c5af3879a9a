import pytest
import torch

from sslig.models.backbone import Backbone
from sslig.study import Training
from sslig.training.optimisation import backbone_groups, optimiser, schedule


@pytest.fixture
def weight():
    """Steps an optimiser with a schedule over so many steps, and gives the rate before each and after the last."""

    def rates(steps, **recipe):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
        moving, seen = schedule(optimizer, Training(**recipe), steps), []
        for _ in range(steps):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if moving:
                moving.step()
        return [*seen, optimizer.param_groups[0]["lr"]]

    return rates


def test_a_constant_rate_has_no_schedule(weight):
    assert weight(3) == [1e-4] * 4


def test_an_exponential_rate_falls_by_the_same_factor_to_its_end(weight):
    rates = weight(4, schedule="exponential", lr_end=1e-2)
    assert rates == pytest.approx([1e-4, 1e-4 * 10**-0.5, 1e-5, 1e-5 * 10**-0.5, 1e-6])


def test_one_cycle_rises_to_the_rate_and_falls(weight):
    rates = weight(10, schedule="one_cycle")[:10]
    assert rates[0] == pytest.approx(1e-4 / 25)
    assert max(rates) == pytest.approx(1e-4) == rates[2]
    assert rates[-1] == pytest.approx(1e-4 / 250_000)


def test_without_decay_there_are_two_groups(tiny_detector):
    backbone, head = optimiser(tiny_detector(), Training(lr_backbone=1e-5, lr_head=1e-3)).param_groups
    assert (backbone["lr"], head["lr"], backbone["weight_decay"]) == (1e-5, 1e-3, 1e-2)
    detector = tiny_detector()
    assert len(backbone["params"]) == len(list(detector.backbone.parameters()))
    assert len(head["params"]) == len(list(detector.head.parameters()))


@pytest.mark.parametrize("stable", [False, True])
def test_rates_decay_from_the_last_layer_down(tiny_backbone, stable):
    backbone = Backbone.from_config(tiny_backbone | {"do_stable_layer_norm": stable})
    groups = backbone_groups(backbone, 1e-4, layer_decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.25e-4, 0.5e-4, 1e-4])
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(backbone.parameters()))
    encoder = backbone.model.encoder
    for number, layer in enumerate(encoder.layers):
        assert {rate[id(parameter)] for parameter in layer.parameters()} == {groups[number + 1]["lr"]}
    # The normalisation of an encoder's entrance stands before layer 1 or, in stable ones, behind the last.
    assert rate[id(encoder.layer_norm.weight)] == pytest.approx(1e-4 if stable else 0.25e-4)
    assert rate[id(backbone.model.feature_projection.projection.weight)] == pytest.approx(0.25e-4)


def test_an_encoder_without_the_choice_has_its_normalisation_at_the_entrance(tiny_backbone):
    """As that of data2vec: its values do not say whether it is stable."""
    backbone = Backbone.from_config(tiny_backbone)
    del backbone.model.config.do_stable_layer_norm
    entrance, *_ = backbone_groups(backbone, 1e-4, layer_decay=0.5)
    assert any(parameter is backbone.model.encoder.layer_norm.weight for parameter in entrance["params"])
