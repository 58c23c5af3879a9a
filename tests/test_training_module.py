"""The step of training and the judgement on dev."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import scoring
from sslig.models.detector import Detector
from sslig.study import Scoring, Training
from sslig.training import module
from sslig.training.module import Fitting, gathered, judge

RESTLESS = {"hidden_dropout": 0.5, "layerdrop": 0.5, "apply_spec_augment": True, "mask_time_length": 2}


def test_dev_is_judged_by_its_scores(monkeypatch, tiny_detector):
    """Of two bona fide and two spoofs one spoof lies below one bona fide utterance: half of each class is wrong."""
    scored = pd.DataFrame({"label": [0, 1, 0, 1], "spoof_score": [0.1, 0.3, 0.5, 0.8]})
    monkeypatch.setattr(scoring, "score", lambda detector, dev, options, device: (scored, [0, 0]))
    judged = judge(tiny_detector(), scored, Scoring(), torch.device("cpu"))
    assert judged["dev_eer"] == pytest.approx(0.5)
    assert judged["dev_left_out"] == 2
    assert module.MONITOR in judged


def test_one_process_gathers_its_own_value():
    assert gathered("a") == ["a"]


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
