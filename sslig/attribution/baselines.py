"""The features that an attribution starts from: mean bona fide, zero, or a given tensor."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sslig import protocol, scoring
from sslig.experiment import Experiment
from sslig.files import atomic
from sslig.labels import KEYS
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.selection import draw

MEAN_FILE = "baseline_bonafide_mean.safetensors"
KINDS = ("bonafide_mean", "zero")


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
    source: dict[str, str | int]

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


def bonafide_mean(experiment: Experiment, detector: str, seed: int) -> Baseline:
    """The mean features of a trained detector over the frames of training bona fide utterances.

    Each frame counts once, so a long utterance weighs more. Sums are kept in float64.
    """
    checkpoint = experiment.run(detector, seed) / scoring.CHECKPOINT
    table = protocol.load_set(experiment.corpus_root, "train")
    bonafide = draw(table[table["label"] == KEYS["bonafide"]], experiment.attribution.baseline_utterances, seed)
    model = Detector.from_pretrained(checkpoint)
    total = torch.zeros(model.backbone.n_layers, model.backbone.feature_size, dtype=torch.float64)
    device = select_device(experiment.device)
    batches, left_out = scoring.batches(bonafide, model, experiment.scoring)
    n_utterances = n_frames = 0
    with torch.inference_mode(), scoring.evaluating(model, device):
        for batch in batches:
            features = model.features(batch.waveforms.to(device))  # (batch, layer, frame, feature)
            total += features.sum(dim=(0, 2), dtype=torch.float64).cpu()
            n_utterances += features.shape[0]
            n_frames += features.shape[0] * features.shape[2]
    if n_frames == 0:
        raise BaselineError(f"no training bona fide utterance could be read; {len(left_out.faults)} were left out")
    source = {
        "set": "train", "key": "bonafide", "utterances": n_utterances, "frames": n_frames,
        "checkpoint": fingerprint(checkpoint), "seed": seed,
    }  # fmt: skip
    return Baseline("bonafide_mean", (total / n_frames).float(), source)


def ensure(experiment: Experiment, detector: str, seed: int) -> Baseline:
    """The baseline that the experiment names: the mean from disk if it is of this checkpoint, else made and stored."""
    name, run = experiment.attribution.baseline, experiment.run(detector, seed)
    if name not in KINDS:
        raise BaselineError(f"{experiment.path}: attribution.baseline is {name!r}; accepted: {', '.join(KINDS)}")
    if name == "zero":
        backbone = Detector.from_pretrained(run / scoring.CHECKPOINT).backbone
        return zero(backbone.n_layers, backbone.feature_size)
    path = run / MEAN_FILE
    if path.is_file():
        stored = load(path)
        if stored.source["checkpoint"] == fingerprint(run / scoring.CHECKPOINT):
            return stored
    made = bonafide_mean(experiment, detector, seed)
    save(path, made)
    return made


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
