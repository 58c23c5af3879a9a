import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sslig.errors import DetectorError
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.models.backbone import Backbone

FAMILIES = ["wavlm", "hubert", "wav2vec2", "unispeech-sat", "data2vec-audio"]
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
"""As WavLM Large, HuBERT Large and XLS-R have it; Base encoders do not."""

ENCODERS = [(family, stable) for family in ("wavlm", "hubert", "wav2vec2") for stable in ({}, STABLE)]
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "activation_dropout": 0.0}
RESTLESS = {"hidden_dropout": 0.5, "attention_dropout": 0.5, "layerdrop": 0.5, "apply_spec_augment": True}


@pytest.fixture
def waveforms():
    """(batch, samples) 0.25 s, twice."""
    return 0.1 * torch.randn(2, 4_000, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def folder(tmp_path, tiny_backbone):
    """Saves a tiny encoder as Hugging Face does; `preprocessor` is what its preprocessor file says."""

    def save(preprocessor=None, model_type="wavlm"):
        Backbone.from_config(tiny_backbone | {"model_type": model_type}).model.save_pretrained(tmp_path)
        if preprocessor is not None:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        return tmp_path

    return save


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_batch_layer_frame_feature(tiny_backbone, waveforms, family):
    backbone = Backbone.from_config(tiny_backbone | {"model_type": family}).eval()
    assert (backbone.n_layers, backbone.feature_size) == (3, 16)
    assert backbone.clock == SSL_CLOCK
    assert backbone(waveforms).shape == (2, 3, SSL_CLOCK.n_frames(4_000), 16)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("family", "stable"), ENCODERS)
def test_the_convolutions_and_the_encoder_are_the_backbone(tiny_backbone, waveforms, family, stable, normalise):
    """Bit by bit, and the same as the encoder's own forward pass."""
    backbone = Backbone.from_config(tiny_backbone | stable | {"model_type": family}, normalise).eval()
    convolutions = backbone.convolutions(waveforms)
    assert convolutions.shape == (2, 12, 8)
    assert torch.equal(backbone.encode(convolutions), backbone(waveforms))
    if not normalise:
        torch.testing.assert_close(backbone(waveforms)[:, -1], backbone.model(waveforms).last_hidden_state)
    changed = convolutions.clone()
    changed[:, 3, 0] += 1
    assert (backbone.encode(changed) != backbone(waveforms)).any(dim=3).any(dim=1).all()  # the encoder mixes frames


def test_layer_0_is_what_enters_the_first_transformer_layer(tiny_backbone, waveforms):
    backbone = Backbone.from_config(tiny_backbone).eval()
    entered = []
    backbone.model.encoder.layers[0].register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    features = backbone(waveforms)
    torch.testing.assert_close(features[:, 0], entered[0])
    assert (features[:, 0] - features[:, -1]).abs().max() > 1e-3


def test_the_clock_follows_the_convolutions(tiny_backbone, waveforms):
    layers = {"conv_kernel": [10, 4], "conv_stride": [5, 2], "conv_dim": [8, 8]}
    backbone = Backbone.from_config(tiny_backbone | layers).eval()
    assert (backbone.clock.hop_samples, backbone.clock.receptive_field_samples) == (5 * 2, 10 + 3 * 5)
    assert backbone(waveforms[:, :1_000]).shape[2] == backbone.clock.n_frames(1_000)


def test_a_waveform_is_normalised_where_asked(tiny_backbone):
    """What enters the encoder: (x - mean) / standard deviation, each row for itself."""

    def entering(normalise):
        backbone, seen = Backbone.from_config(tiny_backbone, normalise), []
        backbone.model.feature_extractor.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        backbone(torch.tensor([[1.0, 3.0], [-10.0, 10.0]]).repeat(1, 200))
        return seen[0][:, :2]

    assert entering(normalise=False).tolist() == [[1, 3], [-10, 10]]
    torch.testing.assert_close(entering(normalise=True), torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]))


@pytest.mark.parametrize(("family", "stable"), ENCODERS)
def test_dropped_layers_pass_on_what_enters_them(tiny_backbone, waveforms, family, stable):
    """All but the first are dropped: their hidden states are there all the same, each that of layer 1."""
    values = tiny_backbone | STILL | stable | {"model_type": family, "layerdrop": 1.0, "num_hidden_layers": 3}
    backbone = Backbone.from_config(values).train()
    features = backbone(waveforms)
    assert features.shape == (2, 4, SSL_CLOCK.n_frames(4_000), 16)
    assert torch.equal(features[:, 2], features[:, 1])
    assert (features[:, 1] - features[:, 0]).abs().max() > 1e-3
    kept = backbone.eval()(waveforms)
    torch.testing.assert_close(kept[:, :2], features[:, :2])
    assert (kept[:, 2] - kept[:, 1]).abs().max() > 1e-3
    assert backbone.config["layerdrop"] == 1.0


@pytest.mark.parametrize(("family", "stable"), ENCODERS)
def test_the_last_state_is_what_the_encoder_gives(tiny_backbone, waveforms, family, stable):
    """In encoders as WavLM Large and XLS-R it is normalised, behind all layers."""
    backbone = Backbone.from_config(tiny_backbone | stable | {"model_type": family}).eval()
    left = []
    backbone.model.encoder.layers[-1].register_forward_hook(lambda *arguments: left.append(arguments[-1]))
    last = backbone(waveforms)[:, -1]
    torch.testing.assert_close(last, backbone.model(waveforms).last_hidden_state)
    behind_layers = left[0][0] if isinstance(left[0], tuple) else left[0]
    assert torch.equal(last, behind_layers) is not bool(stable)


def test_an_encoder_off_its_clock_is_refused(tiny_backbone, waveforms, monkeypatch):
    backbone = Backbone.from_config(tiny_backbone).eval()
    backbone.clock = FrameClock(640, 400)
    with pytest.raises(DetectorError, match="'wavlm' gives 12 frames for 4000 samples; its convolutions give 6"):
        backbone(waveforms)


def test_a_frozen_backbone_stays_in_evaluation_mode(tiny_backbone, waveforms):
    backbone = Backbone.from_config(tiny_backbone | RESTLESS).train()
    assert not torch.equal(backbone(waveforms), backbone(waveforms))
    backbone.freeze()
    around = nn.Sequential(backbone).train()  # as a trainer does to everything it trains
    assert around.training
    assert not any(module.training for module in backbone.model.modules())
    features = backbone(waveforms)
    assert torch.equal(features, backbone(waveforms))
    assert not features.requires_grad
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    backbone.freeze(False)
    assert backbone.model.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalise", [True, False])
def test_a_saved_encoder_is_read_with_its_preprocessor(folder, waveforms, family, normalise):
    place = folder({"do_normalize": normalise}, family)
    backbone = Backbone.from_pretrained(place)
    assert backbone.normalise is normalise
    saved = load_file(place / "model.safetensors")
    loaded = backbone.model.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], value) for name, value in saved.items())


def test_layerdrop_survives_saving(tiny_backbone, tmp_path):
    Backbone.from_config(tiny_backbone).model.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text()) | {"layerdrop": 0.25}
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    backbone = Backbone.from_pretrained(tmp_path)
    assert backbone.layerdrop == backbone.config["layerdrop"] == 0.25
    assert Backbone.from_config(backbone.config).layerdrop == 0.25


def test_without_weights_only_the_shape_is_taken(folder):
    place = folder({"do_normalize": True})
    (place / "model.safetensors").unlink()
    backbone = Backbone.from_pretrained(place, weights=False)
    assert (backbone.n_layers, backbone.feature_size, backbone.normalise) == (3, 16, True)
    with pytest.raises(DetectorError, match="cannot be loaded"):
        Backbone.from_pretrained(place)


def test_missing_weights_are_refused_but_for_the_mask(folder):
    place = folder({"do_normalize": False})
    weights = load_file(place / "model.safetensors")
    assert "masked_spec_embed" in weights
    del weights["masked_spec_embed"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    Backbone.from_pretrained(place)
    del weights["encoder.layer_norm.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DetectorError, match=r"lacks 1 weights: encoder\.layer_norm\.weight"):
        Backbone.from_pretrained(place)
    (place / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes()[:999])
    with pytest.raises(DetectorError, match="cannot be loaded"):
        Backbone.from_pretrained(place)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 16}, r"need a model_type \(wavlm \.\.\.\); got \['hidden_size'\]"),
        ({"model_type": "wavlmm"}, "rejected: .*wavlmm"),
        ({"model_type": "bert"}, "'bert' is not an SSL speech encoder"),
        ({"model_type": "wavlm", "hidden_size": "wide"}, "rejected: .*hidden_size"),
        ({"model_type": "wavlm", "conv_dim": [8]}, "rejected: .*convolutional layers"),
        ({"model_type": "wavlm", "hidden_size": 17}, "rejected: .*divisible"),
    ],
)
def test_values_that_give_no_speech_encoder_are_refused(values, message):
    with pytest.raises(DetectorError, match=f"(?s){message}"):
        Backbone.from_config(values)


@pytest.mark.parametrize(
    ("preprocessor", "message"),
    [
        (None, r"has no preprocessor_config\.json"),
        ({"sampling_rate": 8_000}, "wants waveforms at 8000 Hz; accepted: 16000"),
    ],
)
def test_a_checkpoint_with_another_preprocessor_is_refused(folder, preprocessor, message):
    assert Backbone.from_pretrained(folder({"sampling_rate": 16_000})).normalise is True  # Hugging Face's default
    (folder() / "preprocessor_config.json").unlink()
    place = folder(preprocessor)
    with pytest.raises(DetectorError, match=message) as error:
        Backbone.from_pretrained(place)
    assert str(place) in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_encoder_in_half_precision_computes_in_float32(folder, waveforms, dtype):
    place = folder({"do_normalize": False})
    source = Backbone.from_pretrained(place)
    source.model.to(dtype).save_pretrained(place)
    backbone = Backbone.from_pretrained(place)
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}
    torch.testing.assert_close(backbone(waveforms), source.float()(waveforms))


def test_weights_of_another_size_are_refused(folder):
    place = folder({"do_normalize": False})
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(DetectorError, match=r"cannot be loaded: .*size"):
        Backbone.from_pretrained(place)
