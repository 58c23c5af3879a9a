"""The one training loop: a detector fitted with Lightning, judged on dev after each epoch, best and last kept."""

from sslig.training.archive import RECORD
from sslig.training.development import MONITOR
from sslig.training.errors import Interrupted, TrainingError
from sslig.training.fitting import EPOCHS, LAST, make_detector, train
from sslig.training.identity import CHECKPOINT, checkpoint, deciding, key
from sslig.training.recipe import Recipe
from sslig.training.step_log import STEPS

__all__ = [
    "CHECKPOINT",
    "EPOCHS",
    "LAST",
    "MONITOR",
    "RECORD",
    "STEPS",
    "Interrupted",
    "Recipe",
    "TrainingError",
    "checkpoint",
    "deciding",
    "key",
    "make_detector",
    "train",
]
