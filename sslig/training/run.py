"""A run of training: started or resumed, stopped by signals, and finished with the best weights and the tables."""

import json
import logging
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader

from sslig import files
from sslig.corpora import protocol
from sslig.data import augment
from sslig.data.dataset import BalancedSampler, Crops, Shares
from sslig.errors import StudyError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import select_device
from sslig.study import Study, Training
from sslig.training import recipe
from sslig.training.module import MONITOR, Fitting, gathered, judge, make_detector, seeded

CHECKPOINTS, RESUME, STARTED, LOG = "checkpoints", "resume.ckpt", "started.json", "log"
"""Folder below a run of what is needed until it is finished, and what is in it."""

STOPPING = (signal.SIGTERM, signal.SIGUSR1)
"""Slurm sends the first before it kills a job, and the other where ``--signal=USR1@<seconds>`` asks for it."""

Cluster = LightningEnvironment | SLURMEnvironment | TorchElasticEnvironment


def train(study: Study, name: str, seed: int, corpus: Path, output: Path, start: Path | None = None) -> None:
    """Train a detector, or resume a run with the same values (`sslig.pipeline.train`).

    Under ``torchrun`` or ``srun``, every process calls this with the same arguments. They train together, and the
    first one writes.
    """
    cluster, per_node, nodes = launcher()
    sets = {set_name: protocol.load_set(corpus, set_name) for set_name in ("train", "dev")}
    detector = make_detector(study.backbone_source(), study.detector(name), seed, start)
    recipe.check(study, detector.clock, detector.min_frames, sets)
    made_with = {"values": recipe.values(study, name, seed), "files": recipe.contents(study, corpus, start)}
    work, rank = output / CHECKPOINTS, cluster.global_rank()
    resumed, begun = _begin(work, study, name, seed, made_with, rank == 0)
    if rank == 0:
        print(f"{name} seed {seed}: {begun}", file=sys.stderr)
    module = Fitting(detector, study.training, study.scoring, sets)
    with seeded(seed, rank), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        loader = _loader(sets["train"], study.training, seed, cluster)
        best, *others = _keepers(work, study.training)
        resume = Resume(work / RESUME, loader.batch_sampler.sampler, study.training)
        trainer = _trainer(study, name, [best, *others, resume], work, cluster, per_node, nodes)
        trainer.fit(module, loader, ckpt_path=resumed, weights_only=True)
        weights, chosen = _chosen(module, best, others, trainer.strategy.root_device)
    trainer.strategy.barrier()  # until all processes have read the checkpoints that are removed
    if rank == 0:
        module.load_state_dict(weights, strict=True)
        detector.cpu().save_pretrained(output / "detector")
        files.write_tsv(output / "epochs.tsv", pd.DataFrame(module.rows))
        with files.atomic(output / "log.csv") as part:
            log_table(work / LOG).to_csv(part, index=False)
        files.write_json(output / "training.json", made_with | chosen)
        shutil.rmtree(work)


class Resume(Checkpoint):
    """Writes the checkpoint that a stopped run resumes from.

    Lightning stores weights, optimiser, schedule and counters; this adds the position in the epoch, from which draws
    and crops follow, and the global generators of each process. A checkpoint is written every `checkpoint_steps`
    optimiser steps, after each epoch and when a signal asks to stop, but not between batches that are accumulated.
    """

    def __init__(self, path: Path, sampler: BalancedSampler, options: Training) -> None:
        self.path, self.sampler, self.options = path, sampler, options
        self.epoch = self.batches = 0
        self.pending: dict[str, Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: Fitting) -> None:
        """Take the signals over until Lightning restores their handlers; stop at once where patience ran out before."""
        for number in STOPPING:
            signal.signal(number, lambda *_: setattr(module, "signalled", True))
        if (early := trainer.early_stopping_callback) is not None:
            trainer.should_stop = early.wait_count >= early.patience

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Fitting, batch: Any, batch_idx: int) -> None:
        """Restore the generators after the loader has drawn from them, and stop where a checkpoint is written."""
        self._restore()
        if module.stopping and (self.epoch, self.batches) == (trainer.current_epoch, batch_idx):
            place = f"epoch {self.epoch}, batch {batch_idx} of {int(trainer.num_training_batches)}"
            print(f"a signal stopped training before {place}; the next start resumes there", file=sys.stderr)
            raise SystemExit(os.EX_TEMPFAIL)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Fitting, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint where one is due."""
        done, every = batch_idx + 1, self.options.checkpoint_steps
        due = module.stopping or (every and trainer.global_step % every == 0)
        if due and done < trainer.num_training_batches and done % self.options.accumulate == 0:
            self._write(trainer, trainer.current_epoch, done)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Fitting) -> None:
        """Write a checkpoint of the epoch that has been judged."""
        self._write(trainer, trainer.current_epoch + 1, 0)

    def state_dict(self) -> dict[str, Any]:
        """The position in training, and the generators of each process, in types that torch loads without pickle."""
        name, keys, *rest = np.random.get_state()  # noqa: NPY002
        states = {"torch": torch.get_rng_state(), "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest]}
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state()
        return {"epoch": self.epoch, "batches": self.batches, "generators": gathered(states)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the sampler to the position, before batches are asked for.

        The loader draws from the generators when it starts to read. At the start of an epoch they are restored before
        that, as in an undisturbed run; within an epoch, after it.
        """
        self.epoch, self.batches = state_dict["epoch"], state_dict["batches"]
        self.sampler.resume(self.epoch, self.batches * self.options.batch_size)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.pending = dict(enumerate(state_dict["generators"])).get(rank)
        if self.batches == 0:
            self._restore()

    def _write(self, trainer: lightning.Trainer, epoch: int, batches: int) -> None:
        self.epoch, self.batches = epoch, batches
        part = self.path.with_name(f".{self.path.name}.part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.path)

    def _restore(self) -> None:
        if self.pending is not None:
            name, keys, *rest = self.pending["numpy"]
            np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
            torch.set_rng_state(self.pending["torch"])
            if "cuda" in self.pending and torch.cuda.is_initialized():
                torch.cuda.set_rng_state(self.pending["cuda"])
        self.pending = None


def launcher(environment: Mapping[str, str] = os.environ) -> tuple[Cluster, int, int]:
    """What started this process, the number of processes on each node, and the number of nodes.

    A process that the script of a Slurm job starts without ``srun`` is alone, for any number of tasks of the job.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        world, per_node = int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
        return TorchElasticEnvironment(), per_node, world // per_node
    world, nodes = (int(environment.get(f"SLURM_STEP_NUM_{name}", 1)) for name in ("TASKS", "NODES"))
    if world == 1:
        return LightningEnvironment(), 1, 1
    if world % nodes:
        raise StudyError(f"{world} tasks on {nodes} nodes; accepted: as many on each (srun --ntasks-per-node)")
    return SLURMEnvironment(auto_requeue=False), world // nodes, nodes  # `Resume` handles the signals


def log_table(folder: Path) -> pd.DataFrame:
    """The log of steps from those of all starts; of a step that was repeated, the later row counts."""
    starts = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    rows = [row for path in starts for row in pd.read_csv(path).to_dict("records")]
    rates = {"lr-AdamW/backbone": "lr_backbone", "lr-AdamW/head": "lr_head"}
    table = pd.DataFrame(rows, columns=["step", "epoch", "loss", *rates]).rename(columns=rates)
    table = table.groupby("step").last().dropna(subset=["loss"]).reset_index()
    return table.assign(step=table["step"].astype(int) + 1, epoch=table["epoch"].astype(int))


def _begin(
    work: Path, study: Study, name: str, seed: int, made_with: Mapping[str, Any], first: bool
) -> tuple[Path | None, str]:
    """The checkpoint to resume from, and what to log. Without one, the first process removes what others left.

    The record is written last: other processes, which may read it meanwhile, then come to the same decision.
    """
    record, checkpoint, begun = work / STARTED, work / RESUME, "starts"
    if record.is_file():
        recorded = json.loads(record.read_text(encoding="utf-8"))
        changed = recipe.changes(recorded, study, name, seed, made_with["files"])
        if not changed and checkpoint.is_file():
            return checkpoint, "resumes"
        begun += f" anew, because the stopped run had other values: {'; '.join(changed)}" if changed else ""
    if first:
        shutil.rmtree(work, ignore_errors=True)
        files.write_json(record, dict(made_with))
    return None, begun


def _keepers(work: Path, options: Training) -> list[ModelCheckpoint]:
    """What keeps the weights of the best epochs and, where these are averaged, of the last ones."""
    of_last = options.average is not None and options.average_of == "last"
    kept = {"best": (MONITOR, "min", 1 if of_last else options.average or 1)}
    kept |= {"last": ("epoch", "max", options.average)} if of_last else {}
    # One more: Lightning removes a checkpoint before the checkpoint to resume from, which still lists it, is replaced.
    # A run that is killed in between resumes with the last of its list missing, which is never among the foremost.
    return [
        ModelCheckpoint(work / name, monitor=monitor, mode=mode, save_top_k=count + 1, save_weights_only=True)
        for name, (monitor, mode, count) in kept.items()
    ]


def foremost(checkpoints: ModelCheckpoint, count: int) -> list[tuple[int, Path]]:
    """Epoch and file of the `count` foremost checkpoints, or of all where there are fewer; earliest epoch first."""
    models = {Path(path): float(value) for path, value in checkpoints.best_k_models.items() if Path(path).is_file()}
    ranked = sorted(models, key=models.get, reverse=checkpoints.mode == "max")[:count]
    return sorted((int(path.stem.split("-")[0].removeprefix("epoch=")), path) for path in ranked)


def _stored(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def mean(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights in checkpoints (Izmailov et al. 2018, arXiv 1803.05407, equation 2).

    Running statistics of batch normalisation are averaged like weights; counters are those of the last checkpoint.
    """
    first, *others = paths
    total = _stored(first)
    for path in others:
        for name, value in _stored(path).items():
            total[name] = total[name] + value if value.is_floating_point() else value
    return {name: value / len(paths) if value.is_floating_point() else value for name, value in total.items()}


def _loader(table: pd.DataFrame, options: Training, seed: int, cluster: Cluster) -> DataLoader:
    """The share of this process of balanced batches of crops."""
    steps = options.steps_per_epoch or -(-len(table) // options.batch_size)
    sampler = BalancedSampler(table["label"].to_numpy(), steps * options.batch_size, seed)
    augmentation = None if options.augmentation is None else augment.build(options.augmentation)
    crops = Crops(table, round(options.crop_s * SAMPLE_RATE_HZ), seed, augmentation)
    shares = Shares(sampler, options.batch_size, cluster.global_rank(), cluster.world_size())
    return DataLoader(crops, batch_sampler=shares, num_workers=options.workers, worker_init_fn=_leave_to_parent)


def _leave_to_parent(worker: int) -> None:
    """Ignore stopping signals in a reading process: its parent needs it until the next checkpoint."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _trainer(
    study: Study, name: str, keepers: list[Checkpoint], work: Path, cluster: Cluster, per_node: int, nodes: int
) -> lightning.Trainer:
    options, device, together = study.training, select_device(study.device), per_node * nodes > 1
    stop = EarlyStopping(MONITOR, patience=options.patience or 1, check_on_train_epoch_end=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # no list of the hardware, no advice
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=per_node,
        num_nodes=nodes,
        # Frozen parts, dropped layers and heads that read one layer leave parameters without a gradient.
        strategy=DDPStrategy(find_unused_parameters=True) if together else "auto",
        sync_batchnorm=together and device.type == "cuda",
        plugins=[cluster],
        precision=options.precision,
        max_epochs=options.epochs_of(name),
        gradient_clip_val=options.gradient_clip,
        accumulate_grad_batches=options.accumulate,
        callbacks=[LearningRateMonitor("step"), *([stop] if options.patience else []), *keepers],
        logger=CSVLogger(work, LOG, flush_logs_every_n_steps=1),
        log_every_n_steps=options.log_steps,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _chosen(
    module: Fitting, best: ModelCheckpoint, others: list[ModelCheckpoint], device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of the best epoch, or an average of epochs that is better; and what decided between them."""
    ((epoch, path),) = foremost(best, 1)
    if not module.options.average:
        return _stored(path), {"best_epoch": epoch}
    epochs, paths = zip(*foremost([best, *others][-1], module.options.average), strict=True)
    averaged = mean(paths)
    module.load_state_dict(averaged, strict=True)
    judged = judge(module.detector, module.sets["dev"], module.scoring, device)
    better = judged[MONITOR] < min(row[MONITOR] for row in module.rows)
    figures = {f"averaged_{name}": judged[name] for name in ("dev_eer", MONITOR)}
    choice = {"best_epoch": epoch, "averaged_epochs": list(epochs), "kept": "average" if better else "best epoch"}
    return averaged if better else _stored(path), choice | figures
