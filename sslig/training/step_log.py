"""The log of steps: loss, learning rates and speed, as a table and for TensorBoard."""

import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor

from sslig.study import Training
from sslig.training.errors import TrainingError
from sslig.training.recipe import Recipe

STEPS = "steps.tsv"
TENSORBOARD = "tensorboard"
COLUMNS = ("step", "epoch", "loss", "lr_backbone", "lr_head", "utterances_per_s")
FOLDER = "log"
FILE = "metrics.csv"


class StepLog(Callback):
    """Hands a row to the loggers every `log_steps` optimiser steps.

    The loss is the mean over the batches of these steps in this epoch; the backbone's rate is that of its last layer.
    """

    def __init__(self, options: Training) -> None:
        self.options = options
        self.since_s, self.batches = time.monotonic(), 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Leave the time that dev took out of the speed."""
        self.since_s, self.batches = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Recipe, outputs: Any, batch: list[Tensor], batch_idx: int
    ) -> None:
        """Log a row where it is time."""
        self.batches += 1
        together, every = self.options.accumulate, self.options.log_steps
        stepped = (batch_idx + 1) % together == 0 or batch_idx + 1 == trainer.num_training_batches
        if not stepped or trainer.global_step % every:
            return
        losses = pl_module.losses[-every * together :]
        *_, backbone, head = trainer.optimizers[0].param_groups
        took_s = time.monotonic() - self.since_s
        row = {"epoch": trainer.current_epoch, "loss": sum(losses) / len(losses), "lr_backbone": backbone["lr"],
               "lr_head": head["lr"], "utterances_per_s": self.batches * self.options.batch_size / took_s}  # fmt: skip
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)
        self.since_s, self.batches = time.monotonic(), 0


def loggers(run: Path, work: Path, options: Training) -> list[Logger]:
    """Loggers of a run that starts or goes on; each start has a table of its own, because the library's holds one.

    Raises
    ------
    TrainingError
        TensorBoard is asked for and not installed.
    """
    made: list[Logger] = [CSVLogger(work, FOLDER, version=len(list((work / FOLDER).glob("version_*"))))]
    if options.tensorboard:
        if importlib.util.find_spec("tensorboard") is None:
            raise TrainingError("training.tensorboard needs the package tensorboard: pip install 'sslig[tensorboard]'")
        made.append(TensorBoardLogger(run, TENSORBOARD, version="", default_hp_metric=False))
    return made


def table(work: Path, identity: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of all starts, of a step that was done twice the later one; with the columns of `identity` before them."""
    starts = sorted((work / FOLDER).glob(f"version_*/{FILE}"), key=lambda path: int(path.parent.name.split("_")[1]))
    parts = [pd.read_csv(path).reindex(columns=COLUMNS).dropna(subset="loss") for path in starts]
    rows = pd.concat(parts) if parts else pd.DataFrame(columns=COLUMNS)
    rows = rows.drop_duplicates("step", keep="last").sort_values("step").astype({"step": int, "epoch": int})
    return pd.DataFrame({**identity, **rows.to_dict("list")}, columns=[*identity, *COLUMNS])
