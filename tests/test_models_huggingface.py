import json

import pytest
import torch
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    AutoConfig,
    AutoModelForAudioClassification,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from sslig.errors import DetectorError
from sslig.models import huggingface

LABELS = {0: "fake", 1: "real"}


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def save_encoder(tmp_path, tiny_backbone):
    """Saves a tiny random SSL classification model; keywords replace values of its configuration."""

    def save(model_type="wav2vec2", normalise=True, dtype=torch.float32, id2label=LABELS, **values):
        torch.manual_seed(2)
        config = {**tiny_backbone, "model_type": model_type, "classifier_proj_size": 8, **values}
        config = AutoConfig.for_model(**config, id2label=id2label, label2id={v: k for k, v in id2label.items()})
        model = AutoModelForAudioClassification.from_config(config).eval()
        model.to(dtype).save_pretrained(tmp_path / "model")
        Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(tmp_path / "model")
        return tmp_path / "model", model.float()

    return save


@pytest.mark.parametrize(
    ("model_type", "values"),
    [
        ("wav2vec2", {"use_weighted_layer_sum": True}),
        ("hubert", {}),
        ("wavlm", {}),
        ("wav2vec2", {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
    ],
)
def test_an_ssl_model_gives_the_difference_of_its_logits(save_encoder, waveforms, model_type, values):
    folder, model = save_encoder(model_type, **values)
    if model.config.use_weighted_layer_sum:
        model.layer_weights.data = torch.tensor([0.5, -0.3, 1.0])
        model.save_pretrained(folder)
    detector = huggingface.load(folder)
    inputs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt"
    )
    with torch.no_grad():
        fake, real = model(inputs.input_values).logits.unbind(dim=1)
        torch.testing.assert_close(detector(waveforms), fake - real, atol=1e-5, rtol=1e-5)
        from_convolutions = detector.head(detector.encode(detector.convolutions(waveforms)))
        torch.testing.assert_close(from_convolutions, fake - real, atol=1e-5, rtol=1e-5)
    assert detector.origin.labels == ("spoof", "bonafide")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_scores_in_float32(save_encoder, waveforms, dtype):
    detector = huggingface.load(save_encoder(dtype=dtype)[0])
    assert {parameter.dtype for parameter in detector.parameters()} == {torch.float32}
    assert detector(waveforms).dtype == torch.float32


def test_unclear_labels_are_asked_for_and_given(save_encoder, waveforms):
    folder, model = save_encoder(id2label={0: "LABEL_0", 1: "LABEL_1"}, normalise=False)
    with pytest.raises(DetectorError, match="does not say which is spoof"):
        huggingface.load(folder)
    detector = huggingface.load(folder, labels={"LABEL_0": "bonafide", "LABEL_1": "spoof"})
    with torch.no_grad():
        bonafide, spoof = model(waveforms).logits.unbind(dim=1)
        torch.testing.assert_close(detector(waveforms), spoof - bonafide, atol=1e-5, rtol=1e-5)


def test_weights_of_another_size_and_an_encoder_without_a_head_are_refused(save_encoder):
    folder, model = save_encoder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(DetectorError, match="model: cannot be loaded for audio classification"):
        huggingface.load(folder)
    (folder / "config.json").write_text(json.dumps(config))
    model.base_model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetectorError, match=r"lacks .* weights, such as classifier.bias.*fine-tuned"):
        huggingface.load(folder)


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def save_ast(folder):
    config = ASTConfig(**SMALL, num_mel_bins=16, max_length=64, id2label=LABELS)
    extractor = ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    return ASTForAudioClassification(config), extractor


def save_whisper(folder):
    layers = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_layers": 1}
    sizes = {"d_model": 16, "num_mel_bins": 16, "max_source_positions": 50, "classifier_proj_size": 8}
    config = WhisperConfig(**layers, **sizes, decoder_attention_heads=2, decoder_ffn_dim=16, id2label=LABELS)
    return WhisperForAudioClassification(config), WhisperFeatureExtractor(feature_size=16, chunk_length=1)


@pytest.mark.parametrize("make", [save_ast, save_whisper])
def test_spectrogram_models_are_black_boxes(tmp_path, waveforms, make):
    torch.manual_seed(0)
    model, extractor = make(tmp_path)
    model.eval().save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    detector = huggingface.load(tmp_path)
    inputs = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        fake, real = model(**inputs).logits.unbind(dim=1)
        torch.testing.assert_close(detector(waveforms), fake - real)
    assert not detector.origin.differentiable


REMOTE = """
import torch
from transformers import Pipeline, PretrainedConfig, PreTrainedModel

class TinyConfig(PretrainedConfig):
    model_type = "tiny-antispoofing"

class TinyModel(PreTrainedModel):
    config_class = TinyConfig
    def __init__(self, config):
        super().__init__(config)
        self.linear = torch.nn.Linear(1, 2)
        self.post_init()
    def forward(self, values):
        return self.linear(values.abs().mean(dim=1, keepdim=True))

class AntispoofingPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}
    def preprocess(self, audio):
        return {"values": torch.from_numpy(audio)[None]}
    def _forward(self, inputs):
        return {"logits": self.model(inputs["values"])}
    def postprocess(self, outputs):
        spoof, bonafide = outputs["logits"].softmax(-1)[0].tolist()
        return {"all_scores": {"spoof": spoof, "bonafide": bonafide}}
"""


@pytest.fixture
def remote(tmp_path):
    """A folder with a model and a pipeline in code that it brings, and the weight and bias of its only layer."""
    from safetensors.torch import save_file

    config = {
        "model_type": "tiny-antispoofing",
        "architectures": ["TinyModel"],
        "auto_map": {"AutoConfig": "tiny.TinyConfig", "AutoModel": "tiny.TinyModel"},
        "custom_pipelines": {
            "antispoofing": {"impl": "tiny.AntispoofingPipeline", "pt": ["AutoModel"], "type": "audio"}
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tiny.py").write_text(REMOTE)
    weights = {"linear.weight": torch.tensor([[2.0], [-1.0]]), "linear.bias": torch.tensor([0.5, 0.25])}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def test_code_that_a_repository_brings_runs_only_where_it_is_trusted(remote, waveforms, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    with pytest.raises(DetectorError, match=r"brings its own code.*--trust-remote-code"):
        huggingface.load(remote)
    detector = huggingface.load(remote, trust_remote_code=True)
    expected = 3 * waveforms.abs().mean(dim=1) + 0.25
    torch.testing.assert_close(detector(waveforms), expected, atol=1e-4, rtol=1e-4)
