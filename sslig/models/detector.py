"""The detector: a backbone and a head that map waveforms to spoof logits, saved in a folder or on the Hub."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import Tensor, nn

from sslig.errors import DetectorError
from sslig.frames import FrameClock
from sslig.models.aasist import AASIST
from sslig.models.backbone import Backbone
from sslig.models.camhfa import CAMHFA
from sslig.models.sls import SLS

HEADS = {"aasist": AASIST, "camhfa": CAMHFA, "sls": SLS}


class Detector(nn.Module, PyTorchModelHubMixin, library_name="sslig", tags=["audio", "deepfake-detection"]):
    """One spoof logit for each waveform: a `Backbone` by its Hugging Face values, and a head with its arguments."""

    def __init__(
        self,
        backbone_config: dict[str, Any],
        head: str,
        head_config: dict[str, Any] | None = None,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = Backbone.from_config(backbone_config, normalise)
        self.head_name, self.head_config = head, dict(head_config or {})
        self.head = build_head(head, self.backbone.n_layers, self.backbone.feature_size, head_config)

    @classmethod
    def assemble(cls, backbone: Backbone, head: str, head_config: dict[str, Any] | None = None) -> "Detector":
        """Put a random head on an existing backbone, for instance a pretrained one."""
        detector = cls(backbone.config, head, head_config, backbone.normalise)
        detector.backbone = backbone
        return detector

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike) -> "Detector":
        """Load a detector from a folder or from the Hub, in evaluation mode.

        Raises
        ------
        DetectorError
            The folder lacks a file, its values fit no detector, or its weights do not fill the detector exactly.
        """
        try:
            if not Path(name).exists():
                return super().from_pretrained(name, strict=True).eval()
            for file in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE):
                if not (Path(name) / file).is_file():
                    raise OSError(f"no {file}; a detector is a folder with {CONFIG_NAME} and {SAFETENSORS_SINGLE_FILE}")
            detector = cls(**json.loads((Path(name) / CONFIG_NAME).read_text(encoding="utf-8")))
            load_model(detector, Path(name) / SAFETENSORS_SINGLE_FILE, strict=True)
            return detector.eval()
        except (RuntimeError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise DetectorError(f"{name}: cannot be loaded as a detector: {error}") from error

    @property
    def clock(self) -> FrameClock:
        """The frame grid of the features."""
        return self.backbone.clock

    @property
    def min_frames(self) -> int:
        """The fewest frames that the head can read."""
        return self.head.MIN_FRAMES

    def read_frames(self, n_frames: int) -> int:
        """How many of the first `n_frames` frames the head reads."""
        return read_frames(self.head, n_frames)

    def features(self, waveforms: Tensor) -> Tensor:
        """(batch, layer, frame, feature) SSL features of (batch, samples) waveforms at 16 kHz.

        Raises
        ------
        DetectorError
            The waveforms do not have two axes, or are shorter than one frame.
        """
        return self.encode(self.convolutions(waveforms))

    def convolutions(self, waveforms: Tensor) -> Tensor:
        """(batch, frame, channel) What the recording gives to the encoder, before anything mixes frames.

        That is the output of the convolutions of the backbone (`Backbone.convolutions`). Raises as `features` does.
        """
        if waveforms.ndim != 2:
            raise DetectorError(f"waveforms of shape {tuple(waveforms.shape)}; (batch, samples) is needed")
        if self.clock.n_frames(waveforms.shape[1]) < 1:
            frame = f"one frame of {self.clock.receptive_field_samples} samples"
            raise DetectorError(f"{waveforms.shape[1]} samples are shorter than {frame}")
        return self.backbone.convolutions(waveforms)

    def encode(self, convolutions: Tensor) -> Tensor:
        """(batch, layer, frame, feature) SSL features of (batch, frame, channel) conv features."""
        return self.backbone.encode(convolutions)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, samples) waveforms at 16 kHz."""
        return self.head(self.features(waveforms))


def read_frames(head: Callable[[Tensor], Tensor], n_frames: int) -> int:
    """How many of the first `n_frames` frames a head reads: SLS reads a fixed number, the others read all."""
    return min(n_frames, getattr(head, "n_frames", n_frames))


def build_head(head: str, n_layers: int, feature_size: int, config: dict[str, Any] | None = None) -> nn.Module:
    """Build the head called `head` with random weights.

    Raises
    ------
    DetectorError
        The head or one of its arguments is unknown.
    """
    if head not in HEADS:
        raise DetectorError(f"unknown head {head!r}; known: {', '.join(HEADS)}")
    try:
        return HEADS[head](n_layers, feature_size, **(config or {}))
    except TypeError as error:
        raise DetectorError(f"head {head!r} rejects its values {config}: {error}") from error


def fingerprint(folder: str | os.PathLike) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the values and weights in a detector's folder."""
    digest = hashlib.sha256(json.dumps(json.loads((Path(folder) / CONFIG_NAME).read_text()), sort_keys=True).encode())
    digest.update((Path(folder) / SAFETENSORS_SINGLE_FILE).read_bytes())
    return digest.hexdigest()[:12]


def select_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``auto`` is the GPU, or the CPU where there is none."""
    available = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(available if name == "auto" else name)
