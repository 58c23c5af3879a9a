"""Judgement on dev: scored after each epoch with the one scoring loop, the utterances shared by all processes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from sslig import files, scoring
from sslig.labels import KEYS
from sslig.models.detector import Detector
from sslig.stats import metrics
from sslig.study import Scoring
from sslig.training.processes import Processes
from sslig.training.recipe import Recipe
from sslig.training.signals import Signals

MONITOR = "dev_min_dcf"


def judge(
    detector: Detector, dev: pd.DataFrame, options: Scoring, device: torch.device, processes: Processes
) -> dict[str, float]:
    """EER and minDCF on the utterances of `dev`, and how many of them could not be scored.

    All processes judge the detector that the first one has, which is the one that is saved.
    """
    processes.share_buffers(detector)
    share = dev.iloc[processes.rank :: processes.world].reset_index(drop=True)
    scored, left_out = scoring.score(detector, share, options, device)
    shares = processes.gather((scored["label"].to_numpy(), scored["spoof_score"].to_numpy(), len(left_out)))
    labels, scores = (np.concatenate(parts) for parts in list(zip(*shares, strict=True))[:2])
    bonafide, spoof = (scores[labels == label] for label in KEYS.values())
    return {
        "dev_eer": float(metrics.eer(bonafide, spoof)),
        MONITOR: float(metrics.min_dcf(bonafide, spoof)),
        "dev_left_out": sum(share[-1] for share in shares),
    }


class DevEvaluation(Callback):
    """Judges each epoch on dev, keeps a table of the epochs, and stops training that does not get better.

    Parameters
    ----------
    dev, options
        What is scored, and how.
    path
        Of the table of epochs.
    identity
        Columns that say whose epochs these are.
    patience
        Epochs without a lower minDCF after which training stops; none: never.
    processes, signals
        Who scores together, and what ends scoring.
    """

    def __init__(
        self, dev: pd.DataFrame, options: Scoring, path: Path, identity: Mapping[str, Any], patience: int | None,
        processes: Processes, signals: Signals,
    ) -> None:  # fmt: skip
        self.dev, self.options, self.path, self.identity, self.patience = dev, options, path, identity, patience
        self.processes, self.signals = processes, signals
        self.rows: list[dict[str, Any]] = []

    @property
    def best(self) -> dict[str, Any]:
        """The first epoch with the lowest minDCF."""
        return min(self.rows, key=lambda row: row[MONITOR])

    @property
    def exhausted(self) -> bool:
        """Whether no epoch was better for as long as patience lasts."""
        return self.patience is not None and bool(self.rows) and self._epochs_since_best() >= self.patience

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Stop again where a run is resumed that had stopped."""
        trainer.should_stop = self.exhausted

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Add a row and hand the figure that picks the best epoch to Lightning."""
        with self.signals.raising():
            judged = judge(pl_module.detector, self.dev, self.options, pl_module.device, self.processes)
        row = {"epoch": trainer.current_epoch, "train_loss": sum(pl_module.losses) / len(pl_module.losses)}
        row |= judged | {"backbone_frozen": pl_module.detector.backbone.frozen}
        self.rows.append({**self.identity, **row})
        if self.processes.first:
            files.write_tsv(self.path, pd.DataFrame(self.rows))
        pl_module.log_dict({name: row[name] for name in ("train_loss", "dev_eer", MONITOR)})
        trainer.should_stop = self.exhausted

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind the rows so far."""
        self.rows = state_dict["rows"]

    def _epochs_since_best(self) -> int:
        return self.rows[-1]["epoch"] - self.best["epoch"]
