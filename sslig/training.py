"""The one training loop: a detector fitted with Lightning, judged on dev after each epoch, best and last kept."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from sslig import files, metrics, protocol, scoring
from sslig.data.dataset import BalancedSampler, Crops
from sslig.experiment import Experiment, Scoring, Training
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector, select_device

CHECKPOINT, LAST = "checkpoint", "last"
RECORD = "training.json"
EPOCHS = "epochs.tsv"
MONITOR = "dev_min_dcf"


class TrainingError(ValueError):
    """A training run that cannot start or go on; the message says what was found and what is needed."""


class Recipe(lightning.LightningModule):
    """Binary cross-entropy on the spoof logit, with one learning rate for the backbone and one for the head."""

    def __init__(self, detector: Detector, options: Training) -> None:
        super().__init__()
        self.detector, self.options = detector, options
        self.losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        """Freeze the backbone for good, or while the head warms up."""
        self.detector.backbone.freeze(self.options.freeze_backbone or self.current_epoch < self.options.warmup_epochs)
        self.losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """() Mean loss of (batch, samples) waveforms with (batch,) labels."""
        waveforms, labels = batch
        loss = functional.binary_cross_entropy_with_logits(self.detector(waveforms), labels)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} in epoch {self.current_epoch}: lower the learning rates")
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the two groups."""
        groups = [
            {"params": list(self.detector.backbone.parameters()), "lr": self.options.lr_backbone},
            {"params": list(self.detector.head.parameters()), "lr": self.options.lr_head},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.options.weight_decay)


class DevEvaluation(Callback):
    """Scores dev after each epoch with the one scoring loop, and keeps a table of the epochs."""

    def __init__(self, dev: pd.DataFrame, options: Scoring, path: Path, identity: dict[str, Any]) -> None:
        self.dev, self.options, self.path, self.identity = dev, options, path, identity
        self.rows: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Recipe) -> None:
        """Add a row and hand the figure that picks the best epoch to Lightning."""
        scored, left_out = scoring.score(pl_module.detector, self.dev, self.options, pl_module.device)
        bonafide, spoof = (scored.loc[scored["label"] == label, "spoof_score"].to_numpy() for label in KEYS.values())
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": sum(pl_module.losses) / len(pl_module.losses),
            "dev_eer": metrics.eer(bonafide, spoof),
            MONITOR: metrics.min_dcf(bonafide, spoof),
            "dev_left_out": len(left_out),
            "backbone_frozen": pl_module.detector.backbone.frozen,
        }
        self.rows.append(self.identity | row)
        files.write_tsv(self.path, pd.DataFrame(self.rows))
        pl_module.log(MONITOR, row[MONITOR])


def make_detector(backbone: str | dict[str, Any], detector: dict[str, Any], seed: int) -> Detector:
    """A detector with a random head, and a pretrained or random backbone, from an explicit seed."""
    values = dict(detector)
    if "head" not in values:
        raise TrainingError(f"a detector needs the key head; got {sorted(values)}")
    head = values.pop("head")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Backbone.from_config(backbone) if isinstance(backbone, dict) else Backbone.from_pretrained(backbone)
        return Detector.assemble(encoder, head, values)


def train(experiment: Experiment, detector: str, seed: int, key: str) -> Path:
    """Train one detector from one seed; return its run folder.

    The folder then holds ``checkpoint/`` (the epoch with the lowest dev minDCF), ``last/``, the table of epochs and a
    record with the seed, the best epoch and `key`, which names all values that decided the result.

    Raises
    ------
    TrainingError, ProtocolError, AudioError
        A set is missing or has one class only, a file is faulty, or the loss is not finite.
    """
    run = experiment.run(detector, seed)
    sets = {name: protocol.load_set(experiment.corpus_root, name) for name in ("train", "dev")}
    for name, table in sets.items():
        _require_classes(name, table)
    model = make_detector(experiment.backbone_source(), experiment.detector(detector), seed)
    shutil.rmtree(run, ignore_errors=True)  # what lies there was made with other values
    identity = {"detector": detector, "seed": seed}
    dev = DevEvaluation(sets["dev"], experiment.scoring, run / EPOCHS, identity)
    best = ModelCheckpoint(run / "lightning", monitor=MONITOR, mode="min", save_weights_only=True)
    with seeded(seed), quiet():
        _trainer(experiment, [dev, best]).fit(recipe := Recipe(model, experiment.training),
                                              _loader(sets["train"], experiment.training, seed))  # fmt: skip
    _save(recipe.detector, run / LAST)
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    recipe.load_state_dict(state, strict=True)
    _save(recipe.detector, run / CHECKPOINT)
    shutil.rmtree(run / "lightning")
    best_epoch = min(dev.rows, key=lambda row: row[MONITOR])["epoch"]
    files.write_json(run / RECORD, identity | {"key": key, "best_epoch": best_epoch})
    return run


def _require_classes(name: str, table: pd.DataFrame) -> None:
    for key in KEYS:
        if key not in set(table["key"]):
            raise TrainingError(f"set {name}: {len(table)} utterances and none is {key}; training needs both classes")


def _loader(table: pd.DataFrame, options: Training, seed: int) -> DataLoader:
    steps = options.steps_per_epoch or -(-len(table) // options.batch_size)
    sampler = BalancedSampler(table["label"].to_numpy(), steps * options.batch_size, seed)
    crops = Crops(table, round(options.crop_s * SAMPLE_RATE_HZ), seed)
    return DataLoader(crops, options.batch_size, sampler=sampler, num_workers=options.workers, drop_last=True)


def _trainer(experiment: Experiment, callbacks: list[Callback]) -> lightning.Trainer:
    device = select_device(experiment.device)
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        precision=experiment.training.precision,
        max_epochs=experiment.training.epochs,
        gradient_clip_val=experiment.training.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _save(detector: Detector, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    detector.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Global generators from `seed`, and as they were afterwards: torch's for dropout and LayerDrop, numpy's because
    the SpecAugment of transformers draws its masks there."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        yield
    np.random.set_state(state)  # noqa: NPY002


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning without its greetings: hardware found, tips, and advice on the number of reading processes."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield
    logger.setLevel(level)
