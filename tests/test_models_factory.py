import sys

import pytest
import torch

from sslig.errors import DetectorError
from sslig.models import factory

CODE = '''
import numpy as np
import torch
from torch import nn


class Raw(nn.Module):
    """The shape of AASIST on waveforms: the hidden state and two outputs, bona fide second."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.filters = nn.Conv1d(1, 4, 129, stride=16)

    def forward(self, x):
        hidden = self.filters(x[:, None]).abs().mean(dim=2)
        return hidden, self.scale * torch.stack([x.mean(dim=1), x.abs().mean(dim=1)], dim=1)


class Recurrent(nn.Module):
    """The shape of RawNet2: a stack of filters, a GRU, two outputs."""

    def __init__(self):
        super().__init__()
        self.filters, self.gru = nn.Conv1d(1, 4, 251, stride=80), nn.GRU(4, 8, batch_first=True)
        self.classes = nn.Linear(8, 2)

    def forward(self, x):
        return self.classes(self.gru(self.filters(x[:, None]).transpose(1, 2))[1][-1])


def half():
    return Raw().half()


class Arena:
    """Higher is bona fide."""

    def load(self):
        self.loaded = True

    def score(self, audio, sr):
        assert self.loaded and isinstance(audio, np.ndarray) and audio.dtype == np.float32
        return float(np.abs(audio).mean()) * sr


class Batched(Arena):
    score = None

    def score_batch(self, audios, sr):
        return [float(np.abs(audio).mean()) for audio in audios]


def text():
    return "no model"
'''


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_models", raising=False)


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


def test_a_module_has_the_direction_that_is_given(waveforms):
    bonafide_less_spoof = waveforms.abs().mean(dim=1) - waveforms.mean(dim=1)
    detector = factory.load("their_models:Raw", "higher_is_bonafide", arguments={"scale": 2})
    torch.testing.assert_close(detector(waveforms), -2 * bonafide_less_spoof)
    detector = factory.load("their_models:Raw", "higher_is_spoof")
    torch.testing.assert_close(detector(waveforms), bonafide_less_spoof)
    with pytest.raises(DetectorError, match="direction is None; give higher_is_spoof or higher_is_bonafide"):
        factory.load("their_models:Raw")


def test_gradients_reach_the_recording_of_a_raw_waveform_model(waveforms):
    detector = factory.load("their_models:Recurrent", "higher_is_bonafide")
    waveforms.requires_grad_()
    detector(waveforms).sum().backward()
    assert waveforms.grad.abs().max() > 0
    assert detector.origin.differentiable
    assert not factory.load("their_models:Recurrent", "higher_is_bonafide", rate=8_000).origin.differentiable


def test_half_precision_becomes_float32(waveforms):
    detector = factory.load("their_models:half", "higher_is_spoof")
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert torch.isfinite(detector(waveforms)).all()


def test_arena_classes_are_loaded_and_negated(waveforms):
    expected = -waveforms.abs().mean(dim=1)
    torch.testing.assert_close(factory.load("their_models:Arena")(waveforms), 16_000 * expected)
    torch.testing.assert_close(factory.load("their_models:Batched")(waveforms), expected)
    at_8k = factory.load("their_models:Arena", rate=8_000)(waveforms) / 8_000
    assert torch.isfinite(at_8k).all()
    assert (at_8k - expected).abs().max() > 1e-4  # half of the band is gone


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("their_models:none", "cannot be made; package.module:name is needed"),
        ("no_such_module:none", "No module named 'no_such_module'"),
        ("their_models:text", "gives a str; an nn.Module, or an object with load"),
    ],
)
def test_what_cannot_be_made_is_refused(target, message):
    with pytest.raises(DetectorError, match=message):
        factory.load(target, "higher_is_spoof")
