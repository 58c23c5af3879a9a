"""The first weights, the learning rates, the step of training and the judgement on dev."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import scoring
from sslig.errors import DetectorError
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector
from sslig.study import Scoring, Training
from sslig.training import module
from sslig.training.module import Fitting, backbone_groups, judge, make_detector, optimiser, schedule, seeded

HEAD = "camhfa"

RESTLESS = {"hidden_dropout": 0.5, "layerdrop": 0.5, "apply_spec_augment": True, "mask_time_length": 2}


def test_dev_is_judged_by_its_scores(monkeypatch, tiny_detector):
    """Of two bona fide and two spoofs one spoof lies below one bona fide utterance: half of each class is wrong."""
    scored = pd.DataFrame({"label": [0, 1, 0, 1], "spoof_score": [0.1, 0.3, 0.5, 0.8]})
    monkeypatch.setattr(scoring, "score", lambda detector, dev, options, device: (scored, [0, 0]))
    judged = judge(tiny_detector(), scored, Scoring(), torch.device("cpu"))
    assert judged["dev_eer"] == pytest.approx(0.5)
    assert judged["dev_left_out"] == 2
    assert module.MONITOR in judged


@pytest.mark.parametrize(("epoch", "still"), [(0, True), (1, False)])
def test_a_frozen_backbone_is_still_while_the_head_keeps_its_dropout(tiny_backbone, monkeypatch, epoch, still):
    """AASIST drops features in training; the backbone would drop, skip layers and mask, were it not frozen."""
    detector = Detector(tiny_backbone | RESTLESS, "aasist", {"n_bins": 24}).train()
    fitting = Fitting(detector, Training(warmup_epochs=1), Scoring(), {})
    monkeypatch.setattr(Fitting, "current_epoch", epoch)
    fitting.on_train_epoch_start()
    waveforms = torch.randn(2, 6_400, generator=torch.Generator().manual_seed(1))
    features = [detector.backbone(waveforms) for _ in range(2)]
    assert torch.equal(*features) is still
    assert not torch.equal(detector.head(features[0]), detector.head(features[0]))


def test_the_loss_is_the_binary_cross_entropy_of_the_spoof_logit(tiny_detector, monkeypatch):
    detector = tiny_detector()
    fitting = Fitting(detector, Training(), Scoring(), {})
    monkeypatch.setattr(Fitting, "_agree", lambda self, loss: loss.item())
    monkeypatch.setattr(Fitting, "log", lambda self, *_, **__: None)
    waveforms, labels = torch.randn(2, 6_400, generator=torch.Generator().manual_seed(1)), torch.tensor([0.0, 1.0])
    loss = fitting.training_step((waveforms, labels, torch.tensor([0, 1])), 0)
    spoof = 1 / (1 + np.exp(-detector(waveforms).detach().double().numpy()))
    assert loss.item() == pytest.approx(-np.mean(np.log([1 - spoof[0], spoof[1]])), rel=1e-5)
    assert fitting.losses == [loss.item()]


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_seed_decides_the_first_weights(tiny_backbone):
    first, again, other = (make_detector(tiny_backbone, {"head": HEAD}, seed).state_dict() for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def test_a_pretrained_backbone_keeps_its_weights(tiny_backbone, tmp_path):
    pretrained = make_detector(tiny_backbone, {"head": HEAD}, seed=5).backbone
    pretrained.model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    detector = make_detector(str(tmp_path), {"head": HEAD}, seed=0)
    assert same(pretrained.state_dict(), detector.backbone.state_dict())
    assert detector.backbone.normalise is True


def test_a_trained_detector_is_continued_by_its_own_head_and_gives_its_encoder_to_another(tiny_backbone, tmp_path):
    trained = make_detector(tiny_backbone, {"head": HEAD}, seed=5)
    trained.save_pretrained(tmp_path)
    continued = make_detector(tiny_backbone, {"head": HEAD}, seed=0, start=tmp_path)
    assert same(trained.state_dict(), continued.state_dict())
    other = make_detector(tiny_backbone, {"head": "sls", "n_frames": 9}, seed=0, start=tmp_path)
    assert same(trained.backbone.state_dict(), other.backbone.state_dict())
    assert (other.head_name, other.head.n_frames, other.training) == ("sls", 9, True)


def test_a_detector_without_a_head_is_refused(tiny_backbone):
    with pytest.raises(DetectorError, match="unknown head None; known: aasist"):
        make_detector(tiny_backbone, {"context": 5}, seed=0)


def test_a_seed_and_a_rank_decide_the_draws_inside_the_block_only():
    def draws(seed, rank=0):
        with seeded(seed, rank):
            return torch.rand(3).tolist(), np.random.random(3).tolist()  # noqa: NPY002

    before = torch.get_rng_state()
    assert draws(3) == draws(3)
    assert draws(3)[0] == torch.rand(3, generator=torch.Generator().manual_seed(3)).tolist()
    different = [draws(3), draws(4), draws(3, rank=1), draws(4, rank=1), draws(3, rank=2)]
    assert len({str(draw) for draw in different}) == 5
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1e-4] * 5),
        ({"schedule": "exponential", "lr_end": 1e-2}, [1e-4, 1e-4 * 10**-0.5, 1e-5, 1e-5 * 10**-0.5, 1e-6]),
    ],
)
def test_rates_are_constant_or_fall_by_a_factor(options, expected):
    assert rates(4, **options) == pytest.approx(expected)


def test_one_cycle_rises_to_the_rate_and_falls():
    cycle = rates(10, schedule="one_cycle")[:10]
    assert cycle[0] == pytest.approx(1e-4 / 25)
    assert max(cycle) == pytest.approx(1e-4) == cycle[2]
    assert cycle[-1] == pytest.approx(1e-4 / 250_000)


def rates(steps, **options):
    """The rate before each of so many steps, and after the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    moving, seen = schedule(optimizer, Training(**options), steps), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if moving:
            moving.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_without_decay_there_are_two_groups(tiny_detector):
    detector = tiny_detector()
    backbone, head = optimiser(detector, Training(lr_backbone=1e-5, lr_head=1e-3)).param_groups
    assert (backbone["lr"], head["lr"], backbone["weight_decay"]) == (1e-5, 1e-3, 1e-2)
    assert (backbone["name"], head["name"]) == ("backbone", "head")
    assert len(backbone["params"]) == len(list(detector.backbone.parameters()))
    assert len(head["params"]) == len(list(detector.head.parameters()))


@pytest.mark.parametrize("stable", [False, True, None])
def test_rates_decay_from_the_last_layer_down(tiny_backbone, stable):
    """The normalisation of an encoder belongs below layer 1 or, in stable encoders, above the last layer."""
    backbone = Backbone.from_config(tiny_backbone | {"do_stable_layer_norm": bool(stable)})
    if stable is None:  # data2vec does not have this value
        del backbone.model.config.do_stable_layer_norm
    groups = backbone_groups(backbone, 1e-4, layer_decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.25e-4, 0.5e-4, 1e-4])
    assert [group["name"] for group in groups] == ["layer0", "layer1", "backbone"]
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(backbone.parameters()))
    encoder = backbone.model.encoder
    for number, layer in enumerate(encoder.layers):
        assert {rate[id(parameter)] for parameter in layer.parameters()} == {groups[number + 1]["lr"]}
    assert rate[id(encoder.layer_norm.weight)] == pytest.approx(1e-4 if stable else 0.25e-4)
    assert rate[id(backbone.model.feature_projection.projection.weight)] == pytest.approx(0.25e-4)
