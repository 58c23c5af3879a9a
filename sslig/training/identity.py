"""What a trained detector was made with, as a hash: while the hash holds, training is not done again."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from sslig import records
from sslig.models.detector import fingerprint
from sslig.study import Study, Training

SPEED = ("workers", "checkpoint_steps", "log_steps", "tensorboard", "progress")
"""Options of training that change how fast a result comes or what is seen of it, and not the result."""

LATER = ("accumulate", "layer_decay", "backbone_gradient", "schedule", "lr_end", "augmentation", "patience", "average",
         "average_of")  # fmt: skip
"""Options that came when there were results already: where they have their default, results are what they were."""

CHECKPOINT = "checkpoint"
"""Below a run: the trained detector."""

BACKBONE_FILES = ("config.json", "preprocessor_config.json", "model*.safetensors*", "pytorch_model*.bin*")
"""What Hugging Face reads of an encoder in a folder: its values, what it does to a waveform, and its weights."""


def deciding(options: Training) -> dict[str, Any]:
    """The options of training that decide its result."""
    values, usual = dataclasses.asdict(options), dataclasses.asdict(Training())
    unused = {name for name in LATER if values[name] == usual[name]}
    return {name: value for name, value in values.items() if name not in SPEED and name not in unused}


def key(experiment: Study, detector: str, seed: int) -> str:
    """A short hash of all that decides what training gives: corpus, backbone, detector, recipe, dev scoring, seed.

    A backbone in a folder counts with what its files hold; one on the Hub counts with its name. Of a study that
    another one is the start of, the detector that training goes on from counts too, which has to be there.
    """
    sets = [records.contents(experiment, name) for name in ("train", "dev")]
    values = experiment.backbone, experiment.detector(detector), deciding(experiment.training), records.how(experiment)
    start = [] if experiment.start is None else [fingerprint(checkpoint(experiment.start, detector, seed))]
    return records.hash_of(sets, *values, seed, *_pretrained(experiment.backbone_source()), *start)


def checkpoint(experiment: Study, detector: str, seed: int) -> Path:
    """The folder that the training of a detector leaves the best of its epochs in."""
    return experiment.run(detector, seed) / CHECKPOINT


def _pretrained(source: str | dict[str, Any]) -> list[list[str]]:
    """Name and hash of each file that a backbone is read from; nothing where it is in no folder."""
    if not (isinstance(source, str) and Path(source).is_dir()):
        return []
    files = sorted({path for pattern in BACKBONE_FILES for path in Path(source).glob(pattern) if path.is_file()})
    return [[path.name, _hash_of_large(path)] for path in files]


def _hash_of_large(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
