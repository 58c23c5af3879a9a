"""The features that an attribution starts from: mean bona fide, zero, or a given tensor."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sslig import scoring
from sslig.files import atomic
from sslig.models.detector import Detector
from sslig.study import Scoring

Source = dict[str, str | int]


class BaselineError(ValueError):
    """A baseline that cannot be made or does not fit; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Baseline:
    """Features to start from, with what they were made of.

    Attributes
    ----------
    name
        ``bonafide_mean``, ``zero`` or the caller's name for a given tensor.
    values
        (layer, feature), held over all frames, or (layer, frame, feature).
    source
        What was averaged: the set, the number of utterances and frames, the checkpoint.
    """

    name: str
    values: Tensor
    source: Source

    def like(self, features: Tensor) -> Tensor:
        """(batch, layer, frame, feature) The baseline in the shape of `features`.

        Raises
        ------
        BaselineError
            Layers, features or, where the baseline has its own, frames do not fit.
        """
        values = self.values if self.values.ndim == 3 else self.values.unsqueeze(1)  # (layer, frame or 1, feature)
        try:
            return values.to(features).expand_as(features)
        except RuntimeError as error:
            raise BaselineError(f"baseline {self.name!r} of shape {tuple(self.values.shape)} does not fit features of "
                                f"shape {tuple(features.shape)}") from error  # fmt: skip


def zero(n_layers: int, feature_size: int) -> Baseline:
    """The origin of the feature space."""
    return Baseline("zero", torch.zeros(n_layers, feature_size), {})


def bonafide_mean(
    detector: Detector,
    bonafide: pd.DataFrame,
    options: Scoring,
    device: str | torch.device,
    source: dict[str, str | int],
) -> Baseline:
    """The mean features of a detector over all frames of the utterances in `bonafide`.

    Each frame counts once, so a long utterance weighs more. Sums are kept in float64. How many utterances and frames
    they were is added to `source`.

    Raises
    ------
    BaselineError
        No utterance could be read.
    """
    total = torch.zeros(detector.backbone.n_layers, detector.backbone.feature_size, dtype=torch.float64)
    batches, left_out = scoring.batches(bonafide, detector, options)
    n_utterances = n_frames = 0
    with torch.inference_mode(), scoring.evaluating(detector, device):
        for batch in batches:
            features = detector.features(batch.waveforms.to(device))  # (batch, layer, frame, feature)
            total += features.sum(dim=(0, 2), dtype=torch.float64).cpu()
            n_utterances += features.shape[0]
            n_frames += features.shape[0] * features.shape[2]
    if n_frames == 0:
        raise BaselineError(f"none of {len(bonafide)} bona fide utterances could be read: {left_out.faults}")
    counted = source | {"utterances": n_utterances, "frames": n_frames}
    return Baseline("bonafide_mean", (total / n_frames).float(), counted)


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
