import json

import pytest
import torch
from safetensors import safe_open

from sslig.errors import DetectorError
from sslig.models import named
from sslig.models.detector import Detector, fingerprint
from sslig.pipeline.adopt import adopt

MODULE = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
    def forward(self, x):
        return self.scale * x.mean(dim=1)
"""


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


def test_a_detector_of_ours_is_copied(tmp_path, tiny_detector, write_experiment, waveforms):
    tiny_detector("camhfa").save_pretrained(tmp_path / "given")
    study = write_experiment(tmp_path, detectors={"mine": {"checkpoint": "given"}})
    adopt(study, name="mine", output=tmp_path / "run")
    copied = Detector.from_pretrained(tmp_path / "run/detector")
    torch.testing.assert_close(copied(waveforms), tiny_detector("camhfa")(waveforms))
    assert fingerprint(tmp_path / "run/detector") == fingerprint(tmp_path / "given")


def test_another_detector_is_named_by_its_values(tmp_path, monkeypatch, waveforms, write_experiment):
    (tmp_path / "their_mean.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    values = {"module": "their_mean:Mean", "direction": "higher_is_bonafide"}
    study = write_experiment(tmp_path, detectors={"theirs": values})
    assert study.adopted == ["theirs"]
    adopt(study, name="theirs", output=tmp_path / "run")
    detector = named.load(tmp_path / "run/detector")
    torch.testing.assert_close(detector(waveforms), -2 * waveforms.mean(dim=1))
    assert json.loads((tmp_path / "run/detector/config.json").read_text())["adopted"] == values
    with safe_open(tmp_path / "run/detector/model.safetensors", framework="pt") as file:
        assert len(file.metadata()["sha256"]) == 64
    assert not named.opens(study.checkpoint("theirs"))


def test_the_fingerprint_follows_the_weights(tmp_path, monkeypatch):
    (tmp_path / "their_scale.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    values = {"module": "their_scale:Mean", "direction": "higher_is_spoof"}
    named.adopt(values, tmp_path / "one")
    monkeypatch.setattr("their_scale.torch.tensor", lambda value: torch.full((), value + 1))
    named.adopt(values, tmp_path / "two")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_what_does_not_load_is_refused(tmp_path, write_experiment):
    study = write_experiment(tmp_path, detectors={"mine": {"checkpoint": "nowhere"}})
    with pytest.raises(DetectorError, match="no detector 'nowhere'"):
        adopt(study, name="mine", output=tmp_path / "run")
