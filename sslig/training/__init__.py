"""The one training loop: Lightning fits a detector, dev judges it after each epoch, and the best weights are kept."""

from sslig.training.recipe import changes, make_detector
from sslig.training.run import train

__all__ = ["changes", "make_detector", "train"]
