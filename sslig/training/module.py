"""A detector in training, as a Lightning module: first weights, learning rates, the step, the judgement on dev."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, distributed
from torch.nn import functional
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, OneCycleLR

from sslig import scoring
from sslig.errors import DataError
from sslig.labels import KEYS
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector
from sslig.stats import metrics
from sslig.study import Scoring, Training

MONITOR = "dev_min_dcf"
"""The figure on dev that picks the best epoch."""


def make_detector(
    backbone: str | dict[str, Any], detector: Mapping[str, Any], seed: int, start: Path | None = None
) -> Detector:
    """Build a detector with a random head; the encoder is pretrained, or random where it is given by its values.

    `start` is the folder of a trained detector: one with the same head and arguments is continued as a whole, of
    another one only the encoder.

    Raises
    ------
    DetectorError
        The encoder or the head cannot be built, or there is no detector in `start`.
    """
    arguments = {key: value for key, value in detector.items() if key != "head"}
    trained = None if start is None else Detector.from_pretrained(start).train()
    if trained is not None and (trained.head_name, trained.head_config) == (detector.get("head"), arguments):
        return trained
    with seeded(seed):
        if trained is not None:
            encoder = trained.backbone
        else:
            build = Backbone.from_config if isinstance(backbone, dict) else Backbone.from_pretrained
            encoder = build(backbone)
        return Detector.assemble(encoder, detector.get("head"), arguments)


@contextmanager
def seeded(seed: int, rank: int = 0) -> Iterator[None]:
    """Seed the global generators of torch (dropout) and NumPy (SpecAugment) in the block, and restore them afterwards.

    Every process but the first derives a seed from its rank, so that no two processes drop the same units.
    """
    derived = int(np.random.SeedSequence((seed, rank)).generate_state(1)[0]) if rank else seed
    with isolate_rng(include_cuda=False):
        torch.manual_seed(derived)
        np.random.seed(derived)  # noqa: NPY002
        yield


def backbone_groups(backbone: Backbone, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """Group the parameters of the backbone by learning rate; the last group, or the only one, is called ``backbone``.

    Layer l of L has the rate ``lr * layer_decay ** (L - l)`` (ELECTRA, Clark et al. 2020, arXiv 2003.10555, section
    3.1). Parameters below layer 1 belong to a layer 0, and those above the last layer to the last layer.
    """
    if layer_decay == 1:
        return [{"params": list(backbone.parameters()), "lr": lr, "name": "backbone"}]
    encoder, top = backbone.model.encoder, len(backbone.model.encoder.layers)
    depth = {id(p): number for number, layer in enumerate(encoder.layers, 1) for p in layer.parameters()}
    if getattr(backbone.model.config, "do_stable_layer_norm", False):  # not every encoder has this value
        depth |= {id(p): top for p in encoder.layer_norm.parameters()}
    names = [*(f"layer{number}" for number in range(top)), "backbone"]
    groups = [
        {"params": [], "lr": lr * layer_decay ** (top - number), "name": name} for number, name in enumerate(names)
    ]
    for parameter in backbone.parameters():
        groups[depth.get(id(parameter), 0)]["params"].append(parameter)
    return groups


def optimiser(detector: Detector, options: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over the groups of the backbone and the head."""
    groups = backbone_groups(detector.backbone, options.lr_backbone, options.layer_decay)
    groups.append({"params": list(detector.head.parameters()), "lr": options.lr_head, "name": "head"})
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay)


def schedule(optimizer: torch.optim.Optimizer, options: Training, steps: int) -> LRScheduler | None:
    """The schedule of all learning rates over `steps` optimiser steps; none where the rates are constant.

    ``exponential`` is ``lr(t) = lr * lr_end ** (t / steps)``. ``one_cycle`` (Smith & Topin 2018, arXiv 1708.07120)
    rises from lr / 25 to lr over the first 30 % of the steps and falls to lr / 250,000, both as half a cosine.
    """
    if options.schedule == "exponential":
        return ExponentialLR(optimizer, options.lr_end ** (1 / steps))
    if options.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=False)
    return None


class Fitting(lightning.LightningModule):
    """Binary cross-entropy on the spoof logit, judged on dev after each epoch.

    `sets` holds the utterances of ``train`` and ``dev``; `losses` those of this epoch's batches so far, averaged over
    all processes; `rows` the table of epochs so far; `stopping`, whether any process was asked to stop.
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
        """() The mean loss of (batch, samples) waveforms with (batch,) labels; NaN or infinity is a `DataError`."""
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
        optimizer = optimiser(self.detector, self.options)
        rates = schedule(optimizer, self.options, int(self.trainer.estimated_stepping_batches))
        stepping = {"scheduler": rates, "interval": "step"}
        return {"optimizer": optimizer} | ({} if rates is None else {"lr_scheduler": stepping})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the losses of this epoch and the table of epochs."""
        checkpoint["fitting"] = list(self.losses), list(self.rows)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        self.losses, self.rows = checkpoint["fitting"]

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
