"""The step of training and the judgement after each epoch, as a Lightning module."""

from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from torch import Tensor, distributed
from torch.nn import functional

from sslig import scoring
from sslig.errors import DataError
from sslig.labels import KEYS
from sslig.models.detector import Detector
from sslig.stats import metrics
from sslig.study import Scoring, Training
from sslig.training import recipe

MONITOR = "dev_min_dcf"
"""The figure on dev that picks the best epoch."""


class Fitting(lightning.LightningModule):
    """Binary cross-entropy on the spoof logit, judged on dev after each epoch.

    `sets` holds the utterances of ``train`` and ``dev``.

    Attributes
    ----------
    losses
        Loss of each batch of this epoch so far, averaged over all processes.
    rows
        The table of epochs so far.
    stopping
        Whether any process was asked to stop; all processes learn it with the loss of a batch.
    """

    def __init__(
        self, detector: Detector, options: Training, scoring_options: Scoring, sets: dict[str, pd.DataFrame]
    ) -> None:
        super().__init__()
        self.detector, self.options, self.scoring, self.sets = detector, options, scoring_options, sets
        self.losses: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.signalled = self.stopping = False

    def on_train_start(self) -> None:
        """Freeze the backbone as the epoch requires that a resumed run starts in."""
        self._freeze()

    def on_train_epoch_start(self) -> None:
        """Freeze the backbone throughout, or during the warm-up of the head."""
        self._freeze()
        self.losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> Tensor:
        """() The mean loss of (batch, samples) waveforms with (batch,) labels.

        Raises
        ------
        DataError
            The loss is NaN or infinite; the message names the utterances of the batch.
        """
        waveforms, labels, rows = batch
        loss = functional.binary_cross_entropy_with_logits(self.detector(waveforms), labels)
        self.losses.append(self._agree(loss))
        if not np.isfinite(self.losses[-1]):
            shares = gathered(self.sets["train"]["utterance"].iloc[rows.tolist()].tolist())
            names = ", ".join(name for share in shares for name in share)
            raise DataError(
                f"the loss is {self.losses[-1]} in epoch {self.current_epoch}, batch {number}: look at its utterances "
                f"{names}; where they are sound, lower the learning rates or clip gradients"
            )
        self.log("loss", self.losses[-1], prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Judge the detector on dev, and report the figures that pick the best epoch and stop training."""
        judged = judge(self.detector, self.sets["dev"], self.scoring, self.device)
        row = {"epoch": self.current_epoch, "train_loss": sum(self.losses) / len(self.losses), **judged}
        self.rows.append(row | {"backbone_frozen": self.detector.backbone.frozen})
        self.log_dict({name: row[name] for name in ("dev_eer", MONITOR)}, prog_bar=True, logger=False)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, with a schedule that advances after each optimiser step."""
        optimizer = recipe.optimiser(self.detector, self.options)
        schedule = recipe.schedule(optimizer, self.options, int(self.trainer.estimated_stepping_batches))
        stepping = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer} | ({} if schedule is None else {"lr_scheduler": stepping})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the losses of this epoch and the table of epochs."""
        checkpoint["fitting"] = {"losses": list(self.losses), "rows": list(self.rows)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        self.losses, self.rows = checkpoint["fitting"]["losses"], checkpoint["fitting"]["rows"]

    def _freeze(self) -> None:
        self.detector.backbone.freeze(self.options.freeze_backbone or self.current_epoch < self.options.warmup_epochs)

    def _agree(self, loss: Tensor) -> float:
        """The mean of the loss over processes; the same message says whether any process was asked to stop."""
        asked = loss.new_tensor(float(self.signalled))
        mean, share = self.trainer.strategy.reduce(torch.stack([loss.detach(), asked]), reduce_op="mean").tolist()
        self.stopping = share > 0
        return mean


def judge(detector: Detector, dev: pd.DataFrame, options: Scoring, device: torch.device) -> dict[str, float]:
    """EER and minDCF on dev, and the number of utterances left out; the processes share the utterances.

    All judge with the buffers of the first process, which are saved: running statistics differ between processes.
    """
    detector.to(device)
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
    if world > 1:
        for buffer in detector.buffers():
            distributed.broadcast(buffer, src=0)
    scored, left_out = scoring.score(detector, dev.iloc[rank::world].reset_index(drop=True), options, device)
    shares = gathered((scored["label"].to_numpy(), scored["spoof_score"].to_numpy(), len(left_out)))
    labels, scores = (np.concatenate(parts) for parts in list(zip(*shares, strict=True))[:2])
    bonafide, spoof = (scores[labels == label] for label in KEYS.values())
    return {
        "dev_eer": float(metrics.eer(bonafide, spoof)),
        MONITOR: float(metrics.min_dcf(bonafide, spoof)),
        "dev_left_out": sum(share[-1] for share in shares),
    }


def gathered(value: Any) -> list[Any]:
    """The values of all processes in the order of their ranks; every process has to call this."""
    if not distributed.is_initialized():
        return [value]
    values = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values
