"""A detector: backbone and head as one function from waveforms to spoof logits, saved as a folder or on the Hub."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import Tensor, nn

from sslig.frames import FrameClock
from sslig.models.aasist import AASIST
from sslig.models.backbone import Backbone
from sslig.models.camhfa import CAMHFA
from sslig.models.sls import SLS

HEADS = {"aasist": AASIST, "camhfa": CAMHFA, "sls": SLS}


class DetectorError(ValueError):
    """A detector that cannot be built or loaded; the message names the file or the head and what does not fit."""


class Detector(nn.Module, PyTorchModelHubMixin, library_name="sslig", tags=["audio", "deepfake-detection"]):
    """One spoof logit for each waveform.

    Parameters
    ----------
    backbone_config
        Hugging Face values of the encoder, with `model_type`.
    head
        ``aasist``, ``camhfa`` or ``sls``.
    head_config
        The head's own arguments, for instance ``{"context": 5}``.
    normalise
        Whether the backbone wants waveforms of zero mean and unit variance.
    """

    def __init__(
        self, backbone_config: dict[str, Any], head: str, head_config: dict[str, Any] | None = None,
        normalise: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = Backbone.from_config(backbone_config, normalise)
        self.head_name = head
        self.head = build_head(head, self.backbone.n_layers, self.backbone.feature_size, head_config)

    @classmethod
    def assemble(cls, backbone: Backbone, head: str, head_config: dict[str, Any] | None = None) -> "Detector":
        """A detector around a backbone that is there already, pretrained for instance; the head is random."""
        detector = cls(backbone.config, head, head_config or {}, backbone.normalise)
        detector.backbone = backbone
        return detector

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, **options: Any) -> "Detector":
        """The detector saved in a folder or on the Hub, in evaluation mode.

        Raises
        ------
        DetectorError
            The folder lacks a file, its values fit no detector, or its weights do not fill it exactly.
        """
        try:
            if not Path(name).exists():
                return super().from_pretrained(name, **{"strict": True, **options}).eval()
            for file in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE):
                if not (Path(name) / file).is_file():
                    raise OSError(f"no {file}; a detector is a folder with {CONFIG_NAME} and {SAFETENSORS_SINGLE_FILE}")
            detector = cls(**json.loads((Path(name) / CONFIG_NAME).read_text(encoding="utf-8")))
            load_model(detector, Path(name) / SAFETENSORS_SINGLE_FILE, strict=True)
            return detector.eval()
        except (RuntimeError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise DetectorError(f"{name}: no detector of this kind can be loaded: {error}") from error

    @property
    def clock(self) -> FrameClock:
        """The frame grid of the features."""
        return self.backbone.clock

    @property
    def min_frames(self) -> int:
        """The fewest frames that the head can read."""
        return self.head.MIN_FRAMES

    def features(self, waveforms: Tensor) -> Tensor:
        """(batch, layer, frame, feature) SSL features of (batch, samples) waveforms at 16 kHz.

        Raises
        ------
        DetectorError
            The waveforms have another number of axes or are shorter than one frame.
        """
        if waveforms.ndim != 2:
            raise DetectorError(f"waveforms of shape {tuple(waveforms.shape)}; (batch, samples) is needed")
        if self.clock.n_frames(waveforms.shape[1]) < 1:
            raise DetectorError(f"{waveforms.shape[1]} samples are shorter than one frame of "
                                f"{self.clock.receptive_field_samples} samples")  # fmt: skip
        return self.backbone(waveforms)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, samples) waveforms at 16 kHz."""
        return self.head(self.features(waveforms))


def build_head(head: str, n_layers: int, feature_size: int, config: dict[str, Any] | None = None) -> nn.Module:
    """The head called `head` with random weights.

    Raises
    ------
    DetectorError
        The head is unknown, or an argument of it is.
    """
    if head not in HEADS:
        raise DetectorError(f"unknown head {head!r}; known: {', '.join(HEADS)}")
    try:
        return HEADS[head](n_layers, feature_size, **(config or {}))
    except TypeError as error:
        raise DetectorError(f"head {head!r} refuses its values {config}: {error}") from error


def fingerprint(folder: str | os.PathLike) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a saved detector's values and weights."""
    digest = hashlib.sha256(json.dumps(json.loads((Path(folder) / CONFIG_NAME).read_text()), sort_keys=True).encode())
    digest.update((Path(folder) / SAFETENSORS_SINGLE_FILE).read_bytes())
    return digest.hexdigest()[:12]


def select_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``auto`` takes a GPU where there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
