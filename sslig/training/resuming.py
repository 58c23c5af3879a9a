"""Checkpoints of a whole run, from which it goes on to the result that it would have had."""

import os
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from sslig.data.dataset import BalancedSampler
from sslig.study import Training
from sslig.training import generators
from sslig.training.errors import Interrupted
from sslig.training.processes import Processes
from sslig.training.recipe import Recipe
from sslig.training.signals import Signals


class Resume(Checkpoint):
    """Writes the checkpoint that a killed run goes on from: every so many steps, and when a signal asks to stop.

    Besides what Lightning keeps, weights, optimiser, schedule and counters, it holds where in the epoch the run was
    and the generators of each process; draws and crops follow from seed, epoch and place. Two more are written in any
    case: before the last step of each epoch, so that a run killed while dev is scored repeats that step and not the
    epoch, and after dev is scored. None is written between batches whose gradients make one step.

    Parameters
    ----------
    path
        Of the checkpoint, which a newer one replaces.
    sampler
        Of the training set, to go on with.
    options
        The recipe.
    processes, signals
        Who trains together, and what a scheduler sent.
    """

    def __init__(
        self, path: Path, sampler: BalancedSampler, options: Training, processes: Processes, signals: Signals
    ) -> None:
        self.path, self.sampler, self.options = path, sampler, options
        self.processes, self.signals = processes, signals
        self.epoch = self.batches = 0
        self.pending: dict[str, Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Take the signals back, which Lightning takes when it starts to fit."""
        self.signals.install()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Recipe, batch: list[Tensor], batch_idx: int
    ) -> None:
        """Put the generators where they were, behind what starting to read drew from them."""
        self._restore()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Recipe, outputs: Any, batch: list[Tensor], batch_idx: int
    ) -> None:
        """Write a checkpoint where it is time, and stop where that was asked for."""
        done, total, together = batch_idx + 1, int(trainer.num_training_batches), self.options.accumulate
        if done == total:
            if pl_module.interrupted:
                self._stop(trainer, done, total)
            return
        if done % together:
            return
        every, last = self.options.checkpoint_steps, together * ((total - 1) // together)
        if pl_module.interrupted or done == last or (every and trainer.global_step % every == 0):
            self._write(trainer, trainer.current_epoch, done)
        if pl_module.interrupted:
            self._stop(trainer, done, total)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Write a checkpoint of the epoch that is done and judged."""
        self._write(trainer, trainer.current_epoch + 1, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the run is, and the generators of each process."""
        return {"epoch": self.epoch, "batches": self.batches, "generators": self.processes.gather(generators.state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put the sampler where the run was, before batches are asked for.

        A new epoch draws from the generators when it starts to read, as it would have: they are put back at once. In
        the middle of an epoch they are put back behind that. A process that was not there then keeps its own.
        """
        self.epoch, self.batches = state_dict["epoch"], state_dict["batches"]
        self.sampler.resume(self.epoch, self.batches * self.options.batch_size)
        self.pending = dict(enumerate(state_dict["generators"])).get(self.processes.rank)
        if self.batches == 0:
            self._restore()

    def _write(self, trainer: lightning.Trainer, epoch: int, batches: int) -> None:
        self.epoch, self.batches = epoch, batches
        part = self.path.with_name(f".{self.path.name}.part")
        trainer.save_checkpoint(part)
        if self.processes.first:
            os.replace(part, self.path)
        for logger in trainer.loggers:
            logger.save()

    def _restore(self) -> None:
        if self.pending is not None:
            generators.restore(self.pending)
            self.pending = None

    def _stop(self, trainer: lightning.Trainer, done: int, total: int) -> None:
        raise Interrupted(f"{self.signals.received or 'a signal to another process'} stopped training in epoch "
                          f"{trainer.current_epoch} behind batch {done} of {total}; started again, it goes on from "
                          "its last checkpoint")  # fmt: skip
