"""Inputs that an attribution starts from: a mean over real frames, zero, or a given tensor."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sslig import scoring
from sslig.attribution.target import FEATURES, RECORDING, lacking
from sslig.errors import DetectorError, InputError
from sslig.files import atomic
from sslig.models.detector import Detector
from sslig.study import Scoring


@dataclass(frozen=True)
class Baseline:
    """Features to start from, in both spaces, with what they were made of.

    Attributes
    ----------
    values
        SSL features: (layer, feature), the same in all frames, or (layer, frame, feature).
    source
        What was averaged: the set, the number of utterances and frames, the checkpoint.
    recording
        Conv features: (1, channel), or (1, frame, channel); none where they are not known.
    """

    name: str
    values: Tensor
    source: Mapping[str, str | int]
    recording: Tensor | None = None

    def like(self, x: Tensor, space: str = FEATURES) -> Tensor:
        """(batch, layer, frame, feature) The baseline in the shape of `x`, an input of that space, which must fit."""
        values = self.recording if space == RECORDING else self.values
        if values is None:
            raise InputError(f"baseline {self.name!r} has no conv features; make it again with the rule baseline")
        frames = values if values.ndim == 3 else values.unsqueeze(1)  # (layer, frame or 1, feature)
        try:
            return frames.to(x).expand_as(x)
        except RuntimeError as error:
            shapes = f"of shape {tuple(values.shape)} does not fit features of shape {tuple(x.shape)}"
            raise InputError(f"baseline {self.name!r} {shapes}") from error


def zero(n_layers: int, feature_size: int) -> Baseline:
    """The origin of both spaces."""
    return Baseline("zero", torch.zeros(n_layers, feature_size), {}, torch.zeros(1, 1))


def mean(
    name: str,
    detector: Detector,
    utterances: pd.DataFrame,
    options: Scoring,
    device: str | torch.device,
    source: Mapping[str, str | int],
    weight: Callable[[str, int], np.ndarray] | None = None,
) -> Baseline:
    """The mean features of a detector over frames of `utterances`, in both spaces; unreadable ones are left out.

    Each frame counts once, or by its weight: `weight` is from the name of an utterance and its number of frames to
    (frame,). Sums are kept in float64. To `source` are added the numbers of utterances and frames that count.

    Raises
    ------
    InputError
        No frame counts.
    DetectorError
        The detector does not show its convolutions and its encoder.
    """
    if missing := lacking(detector, RECORDING):
        raise DetectorError(f"{name}: {type(detector).__name__} has no {', '.join(missing)}, whose output is averaged")
    total = recorded = torch.zeros((), dtype=torch.float64)
    batches, left_out = scoring.batches(utterances, detector, options)
    n_utterances = n_frames = 0
    with torch.inference_mode(), scoring.evaluating(detector, device):
        for batch in batches:
            convolutions = detector.convolutions(batch.waveforms.to(device))  # (batch, frame, channel)
            features = detector.encode(convolutions)  # (batch, layer, frame, feature)
            weights = torch.ones(len(features), features.shape[2], dtype=torch.float64)  # (batch, frame)
            if weight is not None:
                names = utterances["utterance"].iloc[batch.rows]
                weights = torch.from_numpy(np.stack([weight(name, features.shape[2]) for name in names])).double()
            weights = weights.to(device)
            total = total + torch.einsum("bltd,bt->ld", features.double(), weights).cpu()
            recorded = recorded + torch.einsum("btc,bt->c", convolutions.double(), weights).cpu()
            n_utterances += int((weights > 0).any(dim=1).sum())
            n_frames += int((weights > 0).sum())
    if n_frames == 0:
        raise InputError(f"{name}: no frame of {len(utterances)} utterances counts; unreadable: {left_out.faults}")
    about = {**source, "utterances": n_utterances, "frames": n_frames}
    return Baseline(name, (total / n_frames).float(), about, (recorded / n_frames).float()[None])


def save(path: Path, baseline: Baseline) -> None:
    """Write values, name and source to one safetensors file."""
    with atomic(path) as part:
        metadata = {"name": baseline.name, "source": json.dumps(baseline.source)}
        tensors = {"values": baseline.values, "recording": baseline.recording}
        tensors = {key: values.contiguous() for key, values in tensors.items() if values is not None}
        save_file(tensors, part, metadata=metadata)


def load(path: Path) -> Baseline:
    """The baseline stored at `path`."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        recording = file.get_tensor("recording") if "recording" in file.keys() else None  # noqa: SIM118 no mapping
        return Baseline(metadata["name"], file.get_tensor("values"), json.loads(metadata["source"]), recording)
