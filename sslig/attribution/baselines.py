"""Features that an attribution starts from: a mean over real frames, zero, or a given tensor."""

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
from sslig.errors import InputError
from sslig.files import atomic
from sslig.models.detector import Detector
from sslig.study import Scoring


@dataclass(frozen=True)
class Baseline:
    """Features to start from, with what they were made of.

    Attributes
    ----------
    values
        (layer, feature), the same in all frames, or (layer, frame, feature).
    source
        What was averaged: the set, the number of utterances and frames, the checkpoint.
    """

    name: str
    values: Tensor
    source: Mapping[str, str | int]

    def like(self, features: Tensor) -> Tensor:
        """(batch, layer, frame, feature) The baseline in the shape of `features`, which must fit."""
        values = self.values if self.values.ndim == 3 else self.values.unsqueeze(1)  # (layer, frame or 1, feature)
        try:
            return values.to(features).expand_as(features)
        except RuntimeError as error:
            shapes = f"of shape {tuple(self.values.shape)} does not fit features of shape {tuple(features.shape)}"
            raise InputError(f"baseline {self.name!r} {shapes}") from error


def zero(n_layers: int, feature_size: int) -> Baseline:
    """The origin of the feature space."""
    return Baseline("zero", torch.zeros(n_layers, feature_size), {})


def mean(
    name: str,
    detector: Detector,
    utterances: pd.DataFrame,
    options: Scoring,
    device: str | torch.device,
    source: Mapping[str, str | int],
    weight: Callable[[str, int], np.ndarray] | None = None,
) -> Baseline:
    """The mean features of a detector over frames of `utterances`; unreadable ones are left out.

    Each frame counts once, or by its weight: `weight` is from the name of an utterance and its number of frames to
    (frame,). Sums are kept in float64. To `source` are added the numbers of utterances and frames that count.

    Raises
    ------
    InputError
        No frame counts.
    """
    total = torch.zeros(detector.backbone.n_layers, detector.backbone.feature_size, dtype=torch.float64)
    batches, left_out = scoring.batches(utterances, detector, options)
    n_utterances = n_frames = 0
    with torch.inference_mode(), scoring.evaluating(detector, device):
        for batch in batches:
            features = detector.features(batch.waveforms.to(device))  # (batch, layer, frame, feature)
            weights = torch.ones(len(features), features.shape[2], dtype=torch.float64)  # (batch, frame)
            if weight is not None:
                names = utterances["utterance"].iloc[batch.rows]
                weights = torch.from_numpy(np.stack([weight(name, features.shape[2]) for name in names])).double()
            total += torch.einsum("bltd,bt->ld", features.double(), weights.to(device)).cpu()
            n_utterances += int((weights > 0).any(dim=1).sum())
            n_frames += int((weights > 0).sum())
    if n_frames == 0:
        raise InputError(f"{name}: no frame of {len(utterances)} utterances counts; unreadable: {left_out.faults}")
    return Baseline(name, (total / n_frames).float(), {**source, "utterances": n_utterances, "frames": n_frames})


def save(path: Path, baseline: Baseline) -> None:
    """Write values, name and source to one safetensors file."""
    with atomic(path) as part:
        metadata = {"name": baseline.name, "source": json.dumps(baseline.source)}
        save_file({"values": baseline.values.contiguous()}, part, metadata=metadata)


def load(path: Path) -> Baseline:
    """The baseline stored at `path`."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        return Baseline(metadata["name"], file.get_tensor("values"), json.loads(metadata["source"]))
