"""Any Hugging Face SSL speech encoder as a function from waveforms to the hidden states of all layers."""

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

from sslig.frames import SAMPLE_RATE_HZ, FrameClock

PREPROCESSOR_FILE = "preprocessor_config.json"
NORMALISE_EPS = 1e-7

# Newer releases check the values of a configuration and say so with an error that is no ValueError.
REFUSED = (ValueError, KeyError, TypeError, getattr(hub_errors, "StrictDataclassError", ValueError))


class BackboneError(ValueError):
    """An SSL encoder that cannot be built or loaded; the message says which and why."""


class Backbone(nn.Module):
    """An SSL encoder with one frame clock.

    Its hidden states are read from the layers themselves, and LayerDrop is done here: what a Hugging Face encoder
    returns as hidden states depends on the release, and in some a dropped layer is missing among them.

    Parameters
    ----------
    config
        The encoder's Hugging Face configuration.
    normalise
        Whether each waveform is scaled to zero mean and unit variance first, as the checkpoint's preprocessor says
        (WavLM Base and Base+ do not ask for it, WavLM Large and XLS-R do).

    Raises
    ------
    BackboneError
        The configuration is of no encoder with convolutions over the waveform and transformer layers behind them.
    """

    def __init__(self, config: PretrainedConfig, normalise: bool = False) -> None:
        super().__init__()
        try:
            self.clock = FrameClock.from_convolutions(config.conv_kernel, config.conv_stride)
            self.n_layers = config.num_hidden_layers + 1
            self.feature_size = config.hidden_size
        except AttributeError as error:
            raise BackboneError(f"{config.model_type!r} is no SSL speech encoder: {error}") from error
        self.normalise = normalise
        self.layerdrop = getattr(config, "layerdrop", 0.0)
        self.frozen = False
        self._hold(AutoModel.from_config(config))

    @classmethod
    def from_config(cls, values: dict[str, Any], normalise: bool = False) -> "Backbone":
        """An encoder with random weights; `values` hold `model_type` and what differs from that type's defaults."""
        values = dict(values)
        if "model_type" not in values:
            raise BackboneError(f"a backbone given by its values needs a model_type (wavlm ...); got {sorted(values)}")
        try:
            return cls(AutoConfig.for_model(values.pop("model_type"), **values), normalise)
        except REFUSED as error:
            raise BackboneError(f"the backbone's values are refused: {error}") from error

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, weights: bool = True) -> "Backbone":
        """An encoder with pretrained weights, by name on the Hugging Face Hub or from a folder.

        Without `weights` only its configuration is fetched and the weights are random, to be filled by others.

        Raises
        ------
        BackboneError
            There is no such model, or its weights do not fill the encoder completely.
        """
        try:
            backbone = cls(AutoConfig.from_pretrained(name), _asks_for_normalisation(name))
            if not weights:
                return backbone
            model, report = AutoModel.from_pretrained(name, output_loading_info=True)
        except (OSError, SafetensorError, *REFUSED) as error:
            raise BackboneError(f"backbone {str(name)!r} cannot be loaded: {error}") from error
        # Only SpecAugment in training reads the mask embedding, which starts at random where a checkpoint lacks it.
        missing = sorted(key for key in report["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise BackboneError(f"backbone {str(name)!r} lacks {len(missing)} weights: {', '.join(missing[:5])}")
        backbone._hold(model)
        return backbone

    def _hold(self, model: PreTrainedModel) -> None:
        try:
            _ = model.encoder.layers[0]
        except (AttributeError, IndexError) as error:
            raise BackboneError(f"{model.config.model_type!r} is no SSL speech encoder: {error}") from error
        model.config.layerdrop = 0.0
        self.model = model

    @property
    def config(self) -> dict[str, Any]:
        """What differs from the model type's defaults, with `model_type`: enough to rebuild the encoder."""
        values = self.model.config.to_diff_dict()
        ignored = {"transformers_version", "architectures", "_name_or_path", "torch_dtype", "dtype"}
        kept = {key: value for key, value in values.items() if key not in ignored}
        return {**kept, "layerdrop": self.layerdrop, "model_type": self.model.config.model_type}

    def freeze(self, frozen: bool = True) -> None:
        """Stop (or resume) training: no gradient, and dropout, LayerDrop and SpecAugment off."""
        self.frozen = frozen
        self.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode, which a frozen backbone never enters."""
        super().train(mode)
        self.model.train(mode and not self.frozen)
        return self

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch, layer, frame, feature) Hidden states of (batch, samples) waveforms, the input of layer 1 first.

        The last is what the encoder gives, behind the normalisation that some have after all layers.

        Raises
        ------
        BackboneError
            The encoder gives another number of frames than its convolutions say.
        """
        if self.normalise:
            centred = waveforms - waveforms.mean(dim=1, keepdim=True)
            waveforms = centred / torch.sqrt(centred.var(dim=1, keepdim=True, correction=0) + NORMALISE_EPS)
        with self._listening() as states:
            self.model(waveforms)
        features = torch.stack(states, dim=1)
        if features.shape[2] != self.clock.n_frames(waveforms.shape[1]):
            raise BackboneError(f"{self.model.config.model_type!r} gives {features.shape[2]} frames for "
                                f"{waveforms.shape[1]} samples; its convolutions give "
                                f"{self.clock.n_frames(waveforms.shape[1])}")  # fmt: skip
        return features

    @contextmanager
    def _listening(self) -> Iterator[list[Tensor]]:
        """The list that a forward pass fills with what enters the first layer, what leaves each, and the encoder."""
        states: list[Tensor] = []
        encoder = self.model.encoder
        first, *rest = encoder.layers
        hooks = [first.register_forward_pre_hook(lambda _, entering: states.append(entering[0]))]
        # The first layer is never dropped: that of WavLM makes the position bias of all.
        hooks += [layer.register_forward_hook(self._drop) for layer in rest]
        for layer in encoder.layers:
            hooks.append(layer.register_forward_hook(lambda *told: states.append(_state(told[-1]))))
        hooks.append(encoder.register_forward_hook(lambda *told: states.__setitem__(-1, told[-1].last_hidden_state)))
        try:
            yield states
        finally:
            for hook in hooks:
                hook.remove()

    def _drop(self, layer: nn.Module, entering: tuple[Tensor, ...], leaving: Any) -> Any:
        """LayerDrop (Fan et al. 2019, arXiv 1909.11556): in training, a layer's output is now and then its input."""
        if not (layer.training and self.layerdrop > 0 and torch.rand(()) < self.layerdrop):
            return leaving
        return (entering[0], *leaving[1:]) if isinstance(leaving, tuple) else entering[0]


def _state(leaving: Any) -> Tensor:
    return leaving[0] if isinstance(leaving, tuple) else leaving


def _asks_for_normalisation(name: str | os.PathLike) -> bool:
    """What the checkpoint's preprocessor file says; without such a key, Hugging Face's default is to normalise."""
    if Path(name).is_dir():
        file = Path(name) / PREPROCESSOR_FILE
        found = file if file.is_file() else None
    else:
        found = cached_file(name, PREPROCESSOR_FILE, _raise_exceptions_for_missing_entries=False)
    if found is None:
        raise BackboneError(f"backbone {str(name)!r} has no {PREPROCESSOR_FILE}, which says whether it wants "
                            "normalised waveforms")  # fmt: skip
    values = json.loads(Path(found).read_text(encoding="utf-8"))
    rate_hz = values.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate_hz != SAMPLE_RATE_HZ:
        raise BackboneError(f"backbone {str(name)!r} wants waveforms at {rate_hz} Hz; accepted: {SAMPLE_RATE_HZ}")
    return bool(values.get("do_normalize", True))
