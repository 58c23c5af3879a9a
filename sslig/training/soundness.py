"""What a recipe, a training set and a crop must be before anything is trained."""

import math
from pathlib import Path

import pandas as pd

from sslig import scoring
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.models.detector import Detector
from sslig.study import Training
from sslig.training.errors import TrainingError
from sslig.training.optimisation import SCHEDULES

CHOICES = {"schedule": SCHEDULES, "average_of": ("best", "last"), "precision": tuple(scoring.PRECISIONS)}
AT_LEAST_ONE = ("epochs", "steps_per_epoch", "batch_size", "accumulate", "patience", "average", "checkpoint_steps",
                "log_steps")  # fmt: skip
NOT_NEGATIVE = ("lr_backbone", "lr_head", "weight_decay", "backbone_gradient", "warmup_epochs", "workers")
POSITIVE = ("crop_s", "gradient_clip")
FRACTIONS = ("layer_decay", "lr_end")


def require_classes(name: str, table: pd.DataFrame) -> None:
    """Refuse a set without one of the classes.

    Raises
    ------
    TrainingError
        The set `name` has no utterance of a class.
    """
    for key in KEYS:
        if key not in set(table["key"]):
            raise TrainingError(f"set {name}: {len(table)} utterances and none is {key}; training needs both classes")


def require_recipe(options: Training, path: Path) -> None:
    """Refuse a recipe that cannot be followed.

    Raises
    ------
    TrainingError
        A value of the section ``training`` of the experiment file at `path` is none of those accepted.
    """
    for name, accepted in CHOICES.items():
        _require(getattr(options, name) in accepted, options, path, name, ", ".join(accepted))
    for name in AT_LEAST_ONE:
        value = getattr(options, name)
        _require(value is None or value >= 1, options, path, name, "1 and above")
    for name in NOT_NEGATIVE:
        _require(0 <= getattr(options, name) < math.inf, options, path, name, "0 and above")
    for name in POSITIVE:
        value = getattr(options, name)
        _require(value is None or 0 < value < math.inf, options, path, name, "above 0")
    for name in FRACTIONS:
        _require(0 < getattr(options, name) <= 1, options, path, name, "above 0, at most 1")
    warmed = options.freeze_backbone or options.warmup_epochs < options.epochs
    fewer = f"fewer than the {options.epochs} of training.epochs; freeze_backbone trains the head alone for good"
    _require(warmed, options, path, "warmup_epochs", fewer)


def require_length(options: Training, detector: Detector, path: Path) -> None:
    """Refuse crops that the head cannot read.

    Raises
    ------
    TrainingError
        A crop gives fewer frames than the head of `detector` needs.
    """
    frames = detector.clock.n_frames(round(options.crop_s * SAMPLE_RATE_HZ))
    least_s = detector.clock.n_samples(detector.min_frames) / SAMPLE_RATE_HZ
    if frames < detector.min_frames:
        raise TrainingError(f"{path}: training.crop_s is {options.crop_s:g}, which gives {frames} frames; accepted: "
                            f"{least_s:g} and above, the {detector.min_frames} frames that {detector.head_name} "
                            "needs")  # fmt: skip


def _require(holds: bool, options: Training, path: Path, name: str, accepted: str) -> None:
    if not holds:
        value = getattr(options, name)
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        raise TrainingError(f"{path}: training.{name} is {shown}; accepted: {accepted}")
