"""The SSL backbone: a Hugging Face speech encoder that returns the hidden states of all its layers."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors as hub_errors
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from sslig.errors import DetectorError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

PREPROCESSOR_FILE = "preprocessor_config.json"
NORMALISE_EPS = 1e-7

CHECKPOINTS = (".pt", ".pth")
TAKE = "take the same encoder in the form of Hugging Face, such as facebook/wav2vec2-xls-r-300m for xlsr2_300m.pt"

# Newer releases of huggingface_hub reject the values of a configuration with an error that is not a ValueError.
REFUSED = (ValueError, KeyError, TypeError, getattr(hub_errors, "StrictDataclassError", ValueError))


class Backbone(nn.Module):
    """An SSL encoder with one frame clock.

    The hidden states are read from the layers, and LayerDrop is done here: what a Hugging Face encoder returns as
    hidden states depends on the release, and some releases leave dropped layers out. With `normalise`, each waveform
    is first scaled to zero mean and unit variance, as WavLM Large and XLS-R want it, and WavLM Base and Base+ do not.

    Raises
    ------
    DetectorError
        The model type has no convolutions over the waveform with transformer layers behind them.
    """

    def __init__(self, config: PretrainedConfig, normalise: bool = False) -> None:
        super().__init__()
        try:
            self.clock = FrameClock.from_convolutions(config.conv_kernel, config.conv_stride)
            self.n_layers = config.num_hidden_layers + 1
            self.feature_size = config.hidden_size
            model = AutoModel.from_config(config)
            _ = model.encoder.layers[0]
        except (AttributeError, IndexError) as error:
            raise DetectorError(f"{config.model_type!r} is not an SSL speech encoder: {error}") from error
        self.normalise, self.frozen, self.layerdrop = normalise, False, getattr(config, "layerdrop", 0.0)
        self.hold(model)

    @classmethod
    def from_config(cls, values: dict[str, Any], normalise: bool = False) -> "Backbone":
        """Build an encoder with random weights from `model_type` and the values that differ from its defaults."""
        if "model_type" not in values:
            raise DetectorError(f"the values of a backbone need a model_type (wavlm ...); got {sorted(values)}")
        try:
            return cls(AutoConfig.for_model(**values), normalise)
        except REFUSED as error:
            raise DetectorError(f"the values of the backbone are rejected: {error}") from error

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, weights: bool = True) -> "Backbone":
        """Load an encoder by its name on the Hugging Face Hub or from a folder, or only its shape with random weights.

        Raises
        ------
        DetectorError
            There is no such model, or its weights do not fill the encoder.
        """
        if Path(name).suffix in CHECKPOINTS:
            raise DetectorError(f"backbone {str(name)!r} is a checkpoint of fairseq; {TAKE}")
        try:
            backbone = cls(AutoConfig.from_pretrained(name), _asks_for_normalisation(name))
            if not weights:
                return backbone
            model, report = AutoModel.from_pretrained(name, output_loading_info=True)
        except (OSError, RuntimeError, SafetensorError, *REFUSED) as error:
            raise DetectorError(f"backbone {str(name)!r} cannot be loaded: {error}") from error
        # Only SpecAugment reads the mask embedding, in training; it starts at random where a checkpoint lacks it.
        missing = sorted(key for key in report["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise DetectorError(f"backbone {str(name)!r} lacks {len(missing)} weights: {', '.join(missing[:5])}")
        backbone.hold(model)
        return backbone

    @classmethod
    def shape_of(cls, source: str | os.PathLike | dict[str, Any]) -> "Backbone":
        """An encoder with random weights: of a name, of a folder, or of values with `model_type`."""
        return cls.from_config(source) if isinstance(source, dict) else cls.from_pretrained(source, weights=False)

    def hold(self, model: PreTrainedModel) -> None:
        """Take this encoder, in float32 whatever it was saved in; LayerDrop stays here."""
        model.config.layerdrop = 0.0
        self.model = model.float()

    @property
    def config(self) -> dict[str, Any]:
        """The values that rebuild the encoder: `model_type` and what differs from its defaults."""
        ignored = {"transformers_version", "architectures", "_name_or_path", "torch_dtype", "dtype"}
        named = {key: value for key, value in self.model.config.to_diff_dict().items() if key not in ignored}
        return {**named, "layerdrop": self.layerdrop, "model_type": self.model.config.model_type}

    def freeze(self, frozen: bool = True) -> None:
        """Switch gradients, dropout, LayerDrop and SpecAugment off, or on again."""
        self.frozen = frozen
        self.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """Enter training mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.model.train(mode and not self.frozen)
        return self

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch, layer, frame, feature) Hidden states of (batch, samples) waveforms.

        The first is the input of layer 1; the last is the output of the encoder, which some encoders normalise.
        """
        return self.encode(self.convolutions(waveforms))

    def convolutions(self, waveforms: Tensor) -> Tensor:
        """(batch, frame, channel) What the convolutions give to the feature projection: one vector a frame.

        A frame sees its receptive field and, in encoders with group normalisation, the level of the whole waveform.

        Raises
        ------
        DetectorError
            The convolutions return another number of frames than their kernels and strides imply.
        """
        if self.normalise:
            centred = waveforms - waveforms.mean(dim=1, keepdim=True)
            waveforms = centred / torch.sqrt(centred.var(dim=1, keepdim=True, correction=0) + NORMALISE_EPS)
        convolutions, n_samples = self.model.feature_extractor(waveforms).transpose(1, 2), waveforms.shape[1]
        if (n_frames := convolutions.shape[1]) != (implied := self.clock.n_frames(n_samples)):
            given = f"{self.model.config.model_type!r} gives {n_frames} frames for {n_samples} samples"
            raise DetectorError(f"{given}; its convolutions give {implied}")
        return convolutions

    def encode(self, convolutions: Tensor) -> Tensor:
        """(batch, layer, frame, feature) Hidden states of the (batch, frame, channel) output of the convolutions.

        The encoder runs on one frame of silence, with the output of its convolutions replaced: so it does all that it
        does between them and its layers, whatever its family.
        """
        silence = convolutions.new_zeros(len(convolutions), self.clock.receptive_field_samples)
        extractor = self.model.feature_extractor
        replaced = extractor.register_forward_hook(lambda *_: convolutions.transpose(1, 2))
        try:
            with self._listening() as states:
                self.model(silence)
        finally:
            replaced.remove()
        return torch.stack(states, dim=1)

    @contextmanager
    def _listening(self) -> Iterator[list[Tensor]]:
        """A list that the forward pass fills: the input of the first layer, the output of each, that of the encoder."""
        states: list[Tensor] = []
        encoder = self.model.encoder
        first, *rest = encoder.layers
        hooks = [first.register_forward_pre_hook(lambda _, entering: states.append(entering[0]))]
        # The first layer is never dropped: in WavLM it computes the position bias for all layers.
        hooks += [layer.register_forward_hook(self._drop) for layer in rest]
        hooks += [
            layer.register_forward_hook(lambda *call: states.append(_state(call[-1]))) for layer in encoder.layers
        ]
        hooks.append(encoder.register_forward_hook(lambda *call: states.__setitem__(-1, call[-1].last_hidden_state)))
        try:
            yield states
        finally:
            for hook in hooks:
                hook.remove()

    def _drop(self, layer: nn.Module, entering: tuple[Tensor, ...], leaving: Any) -> Any:
        """LayerDrop (Fan et al. 2019, arXiv 1909.11556): in training, a dropped layer returns its input."""
        if not (layer.training and self.layerdrop > 0 and torch.rand(()) < self.layerdrop):
            return leaving
        return (entering[0], *leaving[1:]) if isinstance(leaving, tuple) else entering[0]


def _state(leaving: Any) -> Tensor:
    return leaving[0] if isinstance(leaving, tuple) else leaving


def _asks_for_normalisation(name: str | os.PathLike) -> bool:
    """Whether the preprocessor file asks for normalised waveforms; without the key, Hugging Face's default is yes."""
    file = cached_file(name, PREPROCESSOR_FILE, _raise_exceptions_for_missing_entries=False)
    if file is None:
        missing = f"no {PREPROCESSOR_FILE}, which says whether it wants normalised waveforms"
        raise DetectorError(f"backbone {str(name)!r} has {missing}")
    values = json.loads(Path(file).read_text(encoding="utf-8"))
    if (rate_hz := values.get("sampling_rate", SAMPLE_RATE_HZ)) != SAMPLE_RATE_HZ:
        raise DetectorError(f"backbone {str(name)!r} wants waveforms at {rate_hz} Hz; accepted: {SAMPLE_RATE_HZ}")
    return bool(values.get("do_normalize", True))
