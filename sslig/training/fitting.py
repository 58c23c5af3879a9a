"""Fitting one detector from one seed: started or resumed, judged, and left as a folder of checkpoints and tables."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from sslig import files
from sslig.corpora import protocol
from sslig.data import augment
from sslig.data.dataset import BalancedSampler, Crops, Shares
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector, select_device
from sslig.study import Study, Training
from sslig.training import archive, averaging, generators, soundness, step_log
from sslig.training.archive import RECORD, STARTED, WORK
from sslig.training.development import MONITOR, DevEvaluation, judge
from sslig.training.errors import TrainingError
from sslig.training.identity import CHECKPOINT, checkpoint
from sslig.training.processes import Processes, connected
from sslig.training.progress import Progress, wanted
from sslig.training.recipe import Recipe
from sslig.training.resuming import Resume
from sslig.training.signals import Signals, leave_to_parent, listening

LAST = "last"
EPOCHS = "epochs.tsv"
RESUME = "resume.ckpt"


def make_detector(backbone: str | dict[str, Any], detector: dict[str, Any], seed: int) -> Detector:
    """A detector with a random head, and a pretrained or random backbone, from an explicit seed."""
    values = dict(detector)
    if "head" not in values:
        raise TrainingError(f"a detector needs the key head; got {sorted(values)}")
    head = values.pop("head")
    with generators.seeded(seed):
        encoder = Backbone.from_config(backbone) if isinstance(backbone, dict) else Backbone.from_pretrained(backbone)
        return Detector.assemble(encoder, head, values)


def train(experiment: Study, detector: str, seed: int, key: str) -> Path:
    """Train one detector from one seed, or go on where a run of the same `key` was stopped; return its run folder.

    A finished run of `key` is left as it is. A run of another key is set aside (`sslig.training.archive`), and one of
    `key` that was set aside comes back.

    The folder then holds ``checkpoint/`` (the epoch with the lowest dev minDCF, or the average of epochs where that
    is asked for and better), ``last/``, the tables of epochs and steps and a record with the seed, the best epoch and
    `key`, which names all values that decided the result. Under ``torchrun`` or ``srun`` every process calls this
    with the same arguments; they train together, and the first one writes.

    Raises
    ------
    TrainingError, CorpusError, AudioError, AugmentationError
        A set is missing or has one class only, a file or a value of the recipe is faulty, or the loss is not finite.
    Interrupted
        A scheduler asked to stop; a checkpoint to go on from is written.
    """
    run, options = experiment.run(detector, seed), experiment.training
    sets = {name: protocol.load_set(experiment.corpus_root, name) for name in ("train", "dev")}
    for name, table in sets.items():
        soundness.require_classes(name, table)
    soundness.require_recipe(options, experiment.path)
    model = _at_first(experiment, detector, seed)
    soundness.require_length(options, model, experiment.path)
    identity = {"detector": detector, "seed": seed}
    with (connected(select_device(experiment.device)) as processes, listening() as signals,
          generators.seeded(seed, processes.rank), quiet()):  # fmt: skip
        fit = Fit(experiment, run, identity, sets, Recipe(model, options, sets["train"]["utterance"].to_numpy(),
                                                          processes, signals))  # fmt: skip
        processes.wait()
        if fit.prepare(key):
            fit.run_epochs()
            fit.finish(key)
        processes.wait()
    return run


@dataclass
class Fit:
    """One run: what is trained on what, and the callbacks that know what came of it.

    Attributes
    ----------
    experiment, run, identity
        The study, the folder of the run, and what tells its rows from those of other runs.
    sets
        Utterances of *train* and *dev*.
    recipe
        The detector and its step.
    """

    experiment: Study
    run: Path
    identity: Mapping[str, Any]
    sets: Mapping[str, pd.DataFrame]
    recipe: Recipe
    development: DevEvaluation = field(init=False)
    best: ModelCheckpoint = field(init=False)
    last: ModelCheckpoint | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        options, work = self.options, self.work
        self.development = DevEvaluation(self.sets["dev"], self.experiment.scoring, self.run / EPOCHS, self.identity,
                                         options.patience, self.processes, self.signals)  # fmt: skip
        top = options.average if options.average and options.average_of == "best" else 1
        self.best = averaging.best_epochs(work / "best", MONITOR, top)
        if options.average and options.average_of == "last":
            self.last = averaging.last_epochs(work / "last", options.average)

    @property
    def options(self) -> Training:
        """The recipe."""
        return self.experiment.training

    @property
    def work(self) -> Path:
        """Folder of what is needed until the run is finished."""
        return self.run / WORK

    @property
    def processes(self) -> Processes:
        """Who trains together."""
        return self.recipe.processes

    @property
    def signals(self) -> Signals:
        """What a scheduler sent."""
        return self.recipe.signals

    def prepare(self, key: str) -> bool:
        """Set aside what was made with other values; whether there is anything to train."""
        if self.processes.first:
            archive.take_up(self.run, key)
            if not archive.finished(self.run, key):
                files.write_json(self.work / STARTED, {"key": key})
        self.processes.wait()
        return not archive.finished(self.run, key)

    def run_epochs(self) -> None:
        """All epochs, or those that are left behind the checkpoint to go on from."""
        loader = _loader(self.sets["train"], self.options, self.identity["seed"], self.processes)
        resume = Resume(self.work / RESUME, loader.batch_sampler.sampler, self.options, self.processes, self.signals)
        callbacks = [self.development, step_log.StepLog(self.options)]
        if self.processes.first and wanted(self.options.progress):
            label = f"{self.identity['detector']} seed {self.identity['seed']}"
            callbacks.append(Progress(label, self.options.batch_size, resume))
        callbacks += [self.best, *([self.last] if self.last else []), resume]
        trainer = self._trainer(callbacks)
        resumed = self.work / RESUME if (self.work / RESUME).is_file() else None
        trainer.fit(self.recipe, loader, ckpt_path=resumed, weights_only=True)

    def finish(self, key: str) -> None:
        """Leave the checkpoints and the record, and remove what is not needed any more."""
        detector, ((epoch, path),) = self.recipe.detector, averaging.kept(self.best, 1)
        record = {"key": key, "best_epoch": epoch}
        self._save(detector, LAST)
        candidate = averaging.weights(path)
        if self.options.average:
            averaged, judged = self._average()
            record |= judged
            candidate = averaged if judged["kept"] == "average" else candidate
        self.recipe.load_state_dict(candidate, strict=True)
        self._save(detector, CHECKPOINT)
        self.processes.wait()  # until all have read the checkpoints that are removed
        if self.processes.first:
            files.write_tsv(self.run / step_log.STEPS, step_log.table(self.work, self.identity))
            files.write_json(self.run / RECORD, {**self.identity, **record})
            shutil.rmtree(self.work)

    def _average(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The averaged weights, with their figures on dev and whether they are better than the best epoch."""
        epochs, paths = zip(*averaging.kept(self.last or self.best, self.options.average), strict=True)
        self.recipe.load_state_dict(weights := averaging.mean(paths), strict=True)
        device = select_device(self.experiment.device)
        if device.type == "cuda":
            device = torch.device("cuda", self.processes.local_rank)
        detector, options = self.recipe.detector, self.experiment.scoring
        with self.signals.raising():
            judged = judge(detector, self.sets["dev"], options, device, self.processes)
        detector.to("cpu")
        better = judged[MONITOR] < self.development.best[MONITOR]
        told = {f"averaged_{name}": judged[name] for name in ("dev_eer", MONITOR)}
        return weights, {"averaged_epochs": list(epochs), "kept": "average" if better else "best_epoch", **told}

    def _trainer(self, callbacks: list[Callback]) -> lightning.Trainer:
        processes, device = self.processes, select_device(self.experiment.device)
        together = processes.world > 1
        return lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=processes.local_world,
            num_nodes=processes.nodes,
            # Frozen parts, dropped layers and heads that read one layer leave parameters without a gradient.
            strategy=DDPStrategy(find_unused_parameters=True) if together else "auto",
            sync_batchnorm=together and device.type == "cuda",
            plugins=[processes.environment()],
            precision=self.options.precision,
            max_epochs=self.options.epochs,
            gradient_clip_val=self.options.gradient_clip,
            accumulate_grad_batches=self.options.accumulate,
            callbacks=callbacks,
            logger=step_log.loggers(self.run, self.work, self.options),
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )

    def _save(self, detector: Detector, name: str) -> None:
        if not self.processes.first:
            return
        folder = self.run / name
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        detector.save_pretrained(part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)


def _at_first(experiment: Study, detector: str, seed: int) -> Detector:
    """What training starts from."""
    if experiment.start is None:
        return make_detector(experiment.backbone_source(), experiment.detector(detector), seed)
    return Detector.from_pretrained(checkpoint(experiment.start, detector, seed)).train()


def _loader(table: pd.DataFrame, options: Training, seed: int, processes: Processes) -> DataLoader:
    """This process' shares of balanced batches of crops."""
    steps = options.steps_per_epoch or -(-len(table) // options.batch_size)
    sampler = BalancedSampler(table["label"].to_numpy(), steps * options.batch_size, seed)
    augmentation = None if options.augmentation is None else augment.build(options.augmentation)
    crops = Crops(table, round(options.crop_s * SAMPLE_RATE_HZ), seed, augmentation)
    try:
        shares = Shares(sampler, options.batch_size, processes.rank, processes.world)
    except ValueError as error:
        raise TrainingError(f"training.batch_size: {error}") from error
    return DataLoader(crops, batch_sampler=shares, num_workers=options.workers, worker_init_fn=leave_to_parent)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning without its greetings: hardware found, tips, and advice on the number of reading processes."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
