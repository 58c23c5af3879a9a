import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sslig.errors import DetectorError
from sslig.models.detector import HEADS, Detector, build_head, fingerprint

WEIGHTS, CONFIG = "model.safetensors", "config.json"
ONE = torch.zeros(1)


@pytest.fixture
def waveforms():
    """(batch, samples) Half a second, twice."""
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def saved(tmp_path, tiny_detector):
    """The folder of a saved CA-MHFA detector."""
    tiny_detector("camhfa").save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def change_weights(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def change_config(folder, **values):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | values))


@pytest.mark.parametrize("head", HEADS)
def test_one_logit_for_each_waveform(tiny_detector, waveforms, head):
    detector = tiny_detector(head)
    assert detector(waveforms).shape == (2,)
    torch.testing.assert_close(detector(waveforms), detector.head(detector.features(waveforms)))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("aasist", {"feature_size": 48, "n_bins": 128}),
        ("camhfa", {"n_layers": 4, "feature_size": 48, "compression": 16, "n_heads": 64, "context": 1}),
        ("camhfa_context", {"n_layers": 4, "feature_size": 48, "compression": 16, "n_heads": 8, "context": 5}),
        ("sls", {"feature_size": 48, "n_frames": 201}),
    ],
)
def test_heads_give_the_published_logits(reference, name, config):
    tensors = load_file(reference / f"head_{name}.safetensors")
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    head = HEADS[name.split("_")[0]]
    assert head.config_of(weights) == config
    published = head(**{"n_layers": 4} | config).eval()
    published.load_state_dict(weights, strict=True)
    with torch.no_grad():
        for n_frames in (60, 201, 230):
            logits = published(tensors[f"features_{n_frames}"])
            torch.testing.assert_close(logits, tensors[f"logit_{n_frames}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("head", HEADS)
def test_a_saved_detector_comes_back_the_same(tiny_detector, waveforms, tmp_path, head):
    detector = tiny_detector(head)
    detector.save_pretrained(tmp_path)
    again = Detector.from_pretrained(tmp_path)
    assert not again.training
    assert again.head_name == head
    assert torch.equal(again(waveforms), detector(waveforms))
    assert {file.name for file in tmp_path.iterdir()} >= {WEIGHTS, CONFIG}


def test_its_own_values_come_back(tiny_backbone, tmp_path):
    detector = Detector(tiny_backbone, "camhfa", {"context": 3, "n_heads": 2}, normalise=True)
    detector.save_pretrained(tmp_path)
    again = Detector.from_pretrained(tmp_path)
    assert again.backbone.normalise is True
    assert again.head.att_head.weight.shape[:3] == (2, 1, 3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda folder: change_weights(folder, lambda weights: weights.pop("head.weights_k")), "Missing.*weights_k"),
        (lambda folder: change_weights(folder, lambda weights: weights.update(spare=ONE)), "Unexpected.*spare"),
        (lambda folder: change_weights(folder, lambda weights: weights.update({"head.weights_k": ONE})), "mismatch"),
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:999]), "header"),
        (lambda folder: (folder / WEIGHTS).unlink(), f"no {WEIGHTS}"),
        (lambda folder: (folder / CONFIG).unlink(), f"no {CONFIG}"),
        (lambda folder: (folder / CONFIG).write_text("{"), "cannot be loaded as a detector"),
        (lambda folder: change_config(folder, head="sls", head_config={}), "fc0"),
        (lambda folder: change_config(folder, head="lcnn"), "unknown head 'lcnn'"),
        (lambda folder: change_config(folder, mood="good"), "mood"),
        (lambda folder: change_config(folder, backbone_config={}), "model_type"),
        (lambda folder: change_config(folder, backbone_config={"model_type": "wavlm", "hidden_size": "?"}), "hidden_"),
    ],
)
def test_a_folder_with_a_fault_is_refused(saved, fault, message):
    fault(saved)
    with pytest.raises(DetectorError, match=f"(?s){message}") as error:
        Detector.from_pretrained(saved)
    assert str(saved) in str(error.value)


def test_the_fingerprint_names_weights_and_values(saved, tmp_path):
    mark = fingerprint(saved)
    assert len(mark) == 12
    assert set(mark) <= set("0123456789abcdef")
    shutil.copytree(saved, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == mark
    change_weights(saved, lambda weights: weights["head.weights_k"].add_(1e-6))
    changed = fingerprint(saved)
    change_config(saved, normalise=True)
    assert len({mark, changed, fingerprint(saved)}) == 3


@pytest.mark.parametrize(
    ("waveforms", "message"),
    [
        (torch.zeros(1, 399), "399 samples are shorter than one frame of 400 samples"),
        (torch.zeros(8_000), r"shape \(8000,\); \(batch, samples\) is needed"),
    ],
)
def test_other_waveforms_are_refused(tiny_detector, waveforms, message):
    with pytest.raises(DetectorError, match=message):
        tiny_detector()(waveforms)


@pytest.mark.parametrize(
    ("head", "message"),
    [("lcnn", "unknown head 'lcnn'; known: aasist, camhfa, sls"), ("sls", r"head 'sls' rejects its values.*'context'")],
)
def test_an_unknown_head_or_argument_is_refused(head, message):
    with pytest.raises(DetectorError, match=message):
        build_head(head, 3, 16, {"context": 5})


def test_a_head_reads_all_frames_or_its_number(tiny_detector):
    assert [tiny_detector(head).read_frames(50) for head in HEADS] == [50, 50, 30]
    assert tiny_detector("sls").read_frames(20) == 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_detector_in_half_precision_computes_in_float32(saved, waveforms, dtype):
    change_weights(saved, lambda weights: weights.update({name: part.to(dtype) for name, part in weights.items()}))
    detector = Detector.from_pretrained(saved)
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert detector(waveforms).dtype == torch.float32
