"""Audio classification models of Hugging Face as detectors: SSL encoders with their head, others as black boxes."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sslig.errors import DetectorError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.backbone import REFUSED, Backbone
from sslig.models.foreign import BlackBox, Composite, Origin, keys_of, spoof_logit

KIND = "Hugging Face audio classification"
PIPELINE_KIND = "Hugging Face pipeline with its own code"

ENCODERS = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
"""Model types whose convolutions and layers are those that `Backbone` takes apart."""


class ClassificationHead(nn.Module):
    """The head of a `...ForSequenceClassification` model: a layer or their weighted sum, a projection, a mean, a class.

    Parameters
    ----------
    model
        The model that the head is taken from.
    keys
        The class of each output.
    """

    MIN_FRAMES = 1

    def __init__(self, model: nn.Module, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.projector, self.classifier, self.keys = model.projector, model.classifier, keys
        self.layer_weights = getattr(model, "layer_weights", None)

    def forward(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features."""
        mixed = features[:, -1]  # (batch, frame, feature)
        if self.layer_weights is not None:
            mixed = torch.einsum("bltd,l->btd", features, self.layer_weights.softmax(dim=-1))
        return spoof_logit(self.classifier(self.projector(mixed).mean(dim=1)), self.keys)


def is_encoder(name: str | os.PathLike) -> bool:
    """Whether the model is an SSL encoder with a head, by its configuration."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name).model_type in ENCODERS
    except (OSError, *REFUSED):
        return False  # it brings code


def load(
    name: str | os.PathLike, labels: Mapping[str, str] | None = None, trust_remote_code: bool = False
) -> Composite | BlackBox:
    """Load a model by its name on the Hub or from a folder, in float32 and evaluation mode.

    Parameters
    ----------
    labels
        Label -> ``bonafide`` or ``spoof``, where ``id2label`` does not say it in known words.
    trust_remote_code
        Run Python code that the repository brings.

    Raises
    ------
    DetectorError
        There is no such model, its weights do not fill it, a label is unclear, or it wants code that is not trusted.
    """
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForAudioClassification

    trust = {"trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(name, **trust)
        if "antispoofing" in (getattr(config, "custom_pipelines", None) or {}):
            return _pipeline(name, labels, trust_remote_code)
        extractor = AutoFeatureExtractor.from_pretrained(name, **trust)
        model, report = AutoModelForAudioClassification.from_pretrained(name, output_loading_info=True, **trust)
    except (OSError, RuntimeError, ImportError, *REFUSED) as error:
        raise DetectorError(f"{name}: cannot be loaded for audio classification: {_hint(error)}") from error
    if missing := sorted(key for key in report["missing_keys"] if "masked_spec_embed" not in key):
        raise DetectorError(
            f"{name}: lacks {len(missing)} weights, such as {', '.join(missing[:3])}: was it fine-tuned?"
        )
    names = [config.id2label[number] for number in range(config.num_labels)]
    keys, rate_hz = keys_of(names, labels, str(name)), extractor.sampling_rate
    model, notes = model.float().eval(), {"outputs": names, "extractor": type(extractor).__name__}
    origin = Origin(KIND, str(name), keys, rate_hz=rate_hz, notes=notes)
    if config.model_type in ENCODERS and rate_hz == SAMPLE_RATE_HZ:
        backbone = Backbone(model.base_model.config, bool(extractor.do_normalize))
        backbone.hold(model.base_model)
        return Composite(backbone, ClassificationHead(model, keys), origin).eval()
    return _black_box(model, extractor, origin)


def _black_box(model: nn.Module, extractor: Any, origin: Origin) -> BlackBox:
    """A model behind a feature extractor that works in NumPy, so that no gradient reaches the recording."""

    def logits(waveforms: Tensor) -> Tensor:
        rows = list(waveforms.detach().cpu().numpy())
        inputs = extractor(rows, sampling_rate=origin.rate_hz, return_tensors="pt")
        return spoof_logit(model(**inputs.to(next(model.parameters()).device)).logits, origin.labels)

    origin = Origin(**vars(origin) | {"differentiable": False})
    return BlackBox(logits, origin, model).eval()


def _pipeline(name: str | os.PathLike, labels: Mapping[str, str] | None, trust_remote_code: bool) -> BlackBox:
    """A repository that brings its pipeline, as the models of the Speech DF Arena have: waveform to class scores."""
    from transformers import pipeline

    if not trust_remote_code:
        raise DetectorError(f"{name}: brings its own code; read it, and add --trust-remote-code to run it")
    runner = pipeline("antispoofing", model=str(name), trust_remote_code=True, device="cpu")
    runner.model.float().eval()
    keys: dict[str, str] = {}

    def logits(waveforms: Tensor) -> Tensor:
        values = []
        for row in waveforms.detach().cpu().numpy():
            scores = runner(row)["all_scores"]
            keys.update(zip(scores, keys_of(list(scores), labels, str(name)), strict=True))
            probabilities = torch.tensor([list(scores.values())], dtype=torch.float64)
            tiny = torch.finfo(torch.float32).tiny
            values.append(spoof_logit(probabilities.clamp_min(tiny).log(), [keys[label] for label in scores])[0])
        return torch.stack(values)

    return BlackBox(logits, Origin(PIPELINE_KIND, str(name), differentiable=False), runner.model).eval()


def _hint(error: Exception) -> str:
    text = " ".join(str(error).split())
    wants_code = "trust_remote_code" in text
    return "it brings its own code; read it, and add --trust-remote-code to run it" if wants_code else text[:400]
