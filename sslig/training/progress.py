"""A progress bar on standard error: loss, EER so far, utterances per second and time left."""

import sys
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

from sslig.labels import KEYS
from sslig.stats import metrics
from sslig.training.recipe import Recipe
from sslig.training.resuming import Resume

REFRESH_BATCHES = 20
"""Batches between two looks at loss and EER: short beside a step, but not for nothing."""


def wanted(asked: bool | None) -> bool:
    """Whether there shall be a bar: as asked, else where standard error is a terminal."""
    return sys.stderr.isatty() if asked is None else asked


class Progress(Callback):
    """One bar over all utterances of all epochs.

    The EER is over the training crops of this epoch that this process has seen; dev's, of the last epoch, stands
    beside it.

    Parameters
    ----------
    label
        Written before the bar.
    batch_size
        Utterances of a batch.
    resume
        Knows where the run starts.
    """

    def __init__(self, label: str, batch_size: int, resume: Resume) -> None:
        self.label, self.batch_size, self.resume = label, batch_size, resume
        self.bar: tqdm | None = None
        self.seen: list[tuple[Tensor, Tensor]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Open the bar, where a resumed run was."""
        an_epoch = int(trainer.num_training_batches) * self.batch_size
        done = self.resume.epoch * an_epoch + self.resume.batches * self.batch_size
        self.bar = tqdm(desc=self.label, total=trainer.max_epochs * an_epoch, initial=done, unit="utt",
                        file=sys.stderr, dynamic_ncols=True)  # fmt: skip

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Count anew."""
        self.seen.clear()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Recipe, outputs: dict[str, Tensor], batch: Any, batch_idx: int
    ) -> None:
        """Move on."""
        self.seen.append((outputs["logits"].float().cpu(), outputs["labels"].cpu()))
        if batch_idx % REFRESH_BATCHES == 0 or batch_idx + 1 == trainer.num_training_batches:
            told = {"epoch": trainer.current_epoch, "loss": f"{np.mean(pl_module.losses[-REFRESH_BATCHES:]):.3f}"}
            dev = trainer.callback_metrics.get("dev_eer")
            told |= {"EER": self._eer()} | ({} if dev is None else {"dev EER": f"{dev:.1%}"})
            self.bar.set_postfix(told, refresh=False)
        self.bar.update(self.batch_size)

    def teardown(self, trainer: lightning.Trainer, pl_module: Recipe, stage: str) -> None:
        """Close the bar, also of a run that fails."""
        if self.bar is not None:
            self.bar.close()

    def _eer(self) -> str:
        logits, labels = (np.concatenate([part.numpy() for part in parts]) for parts in zip(*self.seen, strict=True))
        by_key = [logits[labels == label] for label in KEYS.values()]
        return f"{metrics.eer(*by_key):.1%}" if all(map(len, by_key)) else "-"
