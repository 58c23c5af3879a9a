import importlib

import pytest
import torch
import yaml
from torch import nn

from sslig.errors import DetectorError
from sslig.models import deepfense
from sslig.models.backbone import Backbone

BACKENDS = {
    "MLP": ({"input_dim": 16, "projection": [8], "pool": "mean"}, 8),
    "Nes2Net": ({"input_dim": 16, "pool": "mean", "nes_ratio": [4, 4], "se_ratio": 1}, 16),
    "AASIST": ({"input_dim": 16}, 160),
    "TCM": ({"input_dim": 16, "emb_size": 16, "heads": 2}, 16),
    "RawNet2": ({"input_dim": 16, "filts": [8, 8], "gru_node": 8, "emb_dim": 8}, 8),
}
"""Back-end -> its values, and the size of its embeddings."""


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def write(tmp_path, tiny_backbone):
    """Writes a detector with random weights as DeepFense saves it, and returns its folder and its parts."""
    pytest.importorskip("deepfense", reason="deepfense is not installed")
    pytest.importorskip("einops", reason="einops, which the TCM of DeepFense needs, is not installed")

    def make(backend="MLP", loss="CrossEntropy", **loss_values):
        values, size = BACKENDS[backend]
        losses = [{"type": loss, "embedding_dim": size, "n_classes": 2, "weight": 1.0, **loss_values}]
        frontend = {"type": "wavlm", "args": {"source": "huggingface", "ckpt_path": "somewhere/else"}}
        model = {
            "type": "StandardDetector",
            "frontend": frontend,
            "backend": {"type": backend, "args": values},
            "loss": losses,
        }
        pad = [{"type": "pad", "max_len": 64_600, "pad_type": "repeat"}]
        data = {"sampling_rate": 16_000, "label_map": {"bonafide": 1, "spoof": 0}, "test": {"base_transform": pad}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": model, "data": data}))
        torch.manual_seed(3)
        encoder = Backbone.from_config(tiny_backbone).eval()
        head = deepfense.Head(*deepfense._parts(tmp_path, model["backend"], losses), 1).eval()
        state = {f"frontend.model.{key}": value for key, value in encoder.model.state_dict().items()}
        torch.save({"model_state": state | head.state_dict(), "epoch": 2}, tmp_path / "best_model.pth")
        return tmp_path, encoder, head

    return make


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_gives_the_difference_of_its_logits(write, tiny_backbone, waveforms, backend):
    folder, encoder, head = write(backend)
    detector = deepfense.load(folder, tiny_backbone)
    with torch.no_grad():
        embeddings = head.backend(encoder(waveforms)[:, -1])
        spoof, bonafide = head.losses[0].fc(embeddings).unbind(dim=1)
        torch.testing.assert_close(detector(waveforms), spoof - bonafide)
    assert detector.origin.crop_s == pytest.approx(4.0375)
    assert detector.origin.notes["backend"] == backend


@pytest.mark.parametrize(
    ("loss", "values"),
    [
        ("AMSoftmax", {"s": 30.0, "m": 0.4}),
        ("ASoftmax", {"m": 4}),
        ("OCSoftmax", {"w_posi": 0.9, "w_nega": 0.2, "alpha": 20.0}),
    ],
)
def test_a_score_of_deepfense_is_higher_for_bona_fide(write, tiny_backbone, waveforms, loss, values):
    folder, encoder, head = write(loss=loss, **values)
    detector = deepfense.load(folder, tiny_backbone)
    with torch.no_grad():
        theirs = head.losses[0].get_score(head.backend(encoder(waveforms)[:, -1]))
        torch.testing.assert_close(detector(waveforms), -theirs)


def test_front_ends_of_deepfense_are_not_imported(write):
    write()
    importlib.import_module("deepfense.utils.registry")
    import sys

    assert "torchaudio" not in sys.modules
    assert "deepfense.models" not in sys.modules


def test_other_labels_and_front_ends_are_refused(write, tiny_backbone):
    folder, _, _ = write()
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["model"]["frontend"]["type"] = "eat"
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(DetectorError, match=r"front-end 'eat'; accepted: wav2vec2, wavlm, hubert"):
        deepfense.load(folder, tiny_backbone)
    values["model"]["frontend"]["type"], values["data"]["label_map"] = "wavlm", {"bonafide": 0, "spoof": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(DetectorError, match="bona fide is 1 in the loss and 0 in label_map"):
        deepfense.load(folder, tiny_backbone)


def test_without_deepfense_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(deepfense, "find_spec", lambda name: None)
    with pytest.raises(DetectorError, match="not installed; pip install --no-deps deepfense"):
        deepfense._parts(tmp_path, {"type": "MLP"}, [{"type": "CrossEntropy"}])


def test_a_head_reads_the_last_layer(waveforms):
    class Loss(nn.Module):
        def get_logits(self, embeddings):
            return embeddings

    head = deepfense.Head(nn.Flatten(), nn.ModuleList([Loss()]), bonafide=1)
    features = torch.stack([torch.zeros(2, 1, 2), torch.tensor([[[3.0, 1.0]], [[0.0, 4.0]]])], dim=1)
    assert head(features).tolist() == [2.0, -4.0]
