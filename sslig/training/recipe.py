"""The step of training: binary cross-entropy on the spoof logit, agreed on by all processes."""

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sslig.models.detector import Detector
from sslig.study import Training
from sslig.training import optimisation
from sslig.training.errors import TrainingError
from sslig.training.processes import Processes
from sslig.training.signals import Signals


class Recipe(lightning.LightningModule):
    """Binary cross-entropy on the spoof logit, with one learning rate for the backbone and one for the head.

    Parameters
    ----------
    detector
        What is trained.
    options
        The recipe.
    utterances
        Names of the training set's rows, to name those of a batch whose loss is not finite.
    processes, signals
        Who trains together, and what a scheduler sent this process.

    Attributes
    ----------
    losses
        Of the batches of this epoch so far, each a mean over all processes.
    interrupted
        Whether any process was asked to stop, as all know since the last batch.
    """

    def __init__(
        self, detector: Detector, options: Training, utterances: np.ndarray, processes: Processes, signals: Signals
    ) -> None:
        super().__init__()
        self.detector, self.options, self.utterances = detector, options, utterances
        self.processes, self.signals = processes, signals
        self.losses: list[float] = []
        self.interrupted = False

    def on_train_start(self) -> None:
        """Freeze as the epoch asks for that a resumed run starts in the middle of."""
        self._freeze()

    def on_train_epoch_start(self) -> None:
        """Freeze the backbone for good, or while the head warms up."""
        self._freeze()
        self.losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> dict[str, Tensor]:
        """The mean loss () of (batch, samples) waveforms with (batch,) labels, and their (batch,) logits.

        Raises
        ------
        TrainingError
            The loss is NaN or infinite; the message names the utterances of the batch.
        """
        waveforms, labels, rows = batch
        logits = self.detector.head(self._features(waveforms))
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        self.losses.append(self._agree(loss))
        if not np.isfinite(self.losses[-1]):
            names = [name for share in self.processes.gather(self.utterances[rows.cpu()].tolist()) for name in share]
            raise TrainingError(
                f"the loss is {self.losses[-1]} in epoch {self.current_epoch}, batch {number}: look at its utterances "
                f"{', '.join(names)}; where they are sound, lower the learning rates or clip gradients"
            )
        return {"loss": loss, "logits": logits.detach(), "labels": labels}

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW and the schedule, which moves on after each optimiser step."""
        optimizer = optimisation.optimiser(self.detector, self.options)
        schedule = optimisation.schedule(optimizer, self.options, int(self.trainer.estimated_stepping_batches))
        stepping = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer} | ({} if schedule is None else {"lr_scheduler": stepping})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of the epoch so far."""
        checkpoint["losses"] = list(self.losses)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the losses of the epoch so far."""
        self.losses = checkpoint["losses"]

    def _freeze(self) -> None:
        self.detector.backbone.freeze(self.options.freeze_backbone or self.current_epoch < self.options.warmup_epochs)

    def _features(self, waveforms: Tensor) -> Tensor:
        """(batch, layer, frame, feature) SSL features, through which a scaled gradient goes back."""
        features, factor = self.detector.features(waveforms), self.options.backbone_gradient
        if features.requires_grad and factor != 1:
            features.register_hook(lambda gradient: factor * gradient)
        return features

    def _agree(self, loss: Tensor) -> float:
        """The loss as the mean over processes; along with it, whether any of them was asked to stop."""
        asked = loss.new_tensor(float(self.signals.received is not None))
        told = self.trainer.strategy.reduce(torch.stack([loss.detach(), asked]), reduce_op="mean").tolist()
        self.interrupted = told[1] > 0
        return told[0]
