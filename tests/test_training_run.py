"""A run leaves the best weights and its tables, whatever stops it on the way and however many processes train."""

import json
import multiprocessing
import os
import signal
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from sslig import scoring
from sslig.corpora import protocol
from sslig.errors import DataError, StudyError
from sslig.models.detector import Detector
from sslig.stats import metrics
from sslig.study import load
from sslig.training import run
from sslig.training.module import Fitting
from sslig.training.run import CHECKPOINTS, launcher, mean, train

HEAD = "camhfa"
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "activation_dropout": 0.0}
RESTLESS = {"hidden_dropout": 0.2, "layerdrop": 0.3, "apply_spec_augment": True, "mask_time_length": 2}
"""A backbone that draws from both global generators in every step."""

RECIPE = {"epochs": 3, "steps_per_epoch": 5, "lr_head": 1e-2, "schedule": "exponential", "warmup_epochs": 1}
RECIPE |= {"checkpoint_steps": 2, "log_steps": 1, "average": 2}


@pytest.fixture
def study(tmp_path, write_experiment):
    """Writes a study with a recipe into a new folder."""

    def write(name="study", backbone=None, **recipe):
        (tmp_path / name).mkdir(exist_ok=True)
        return write_experiment(tmp_path / name, backbone=backbone or {}, training=recipe)

    return write


@pytest.fixture
def fit(study, corpus):
    """Trains CA-MHFA on the tiny corpus and gives the folder of the run."""

    def fitted(name="study", seed=0, head=HEAD, **changed):
        written = study(name, **changed)
        output = written.run(head, seed)
        train(written, head, seed, corpus, output)
        return output

    return fitted


@pytest.fixture
def judged(monkeypatch):
    """Sets what each judgement on dev gives for the minDCF."""

    def give(*figures):
        series = iter(figures)
        monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(series))

    return give


def weights(output):
    return load_file(output / "detector" / "model.safetensors")


def epochs(output):
    return pd.read_csv(output / "epochs.tsv", sep="\t")


def record(output):
    return json.loads((output / "training.json").read_text())


def same(first, second, part=""):
    names = [name for name in first if name.startswith(part)]
    assert names
    return all(torch.equal(first[name], second[name]) for name in names)


# --- what a run leaves ------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_detector_its_tables_and_the_values_it_was_made_with(fit, corpus):
    output = fit(epochs=2, log_steps=1)
    assert sorted(path.name for path in output.iterdir()) == ["detector", "epochs.tsv", "log.csv", "training.json"]
    table = epochs(output)
    assert list(table) == ["epoch", "train_loss", "dev_eer", "dev_min_dcf", "dev_left_out", "backbone_frozen"]
    log = pd.read_csv(output / "log.csv")
    assert list(log) == ["step", "epoch", "loss", "lr_backbone", "lr_head"]
    assert (log["step"].tolist(), log["epoch"].tolist()) == ([1, 2, 3, 4], [0, 0, 1, 1])
    assert log.groupby("epoch")["loss"].mean().tolist() == pytest.approx(table["train_loss"].tolist())
    assert record(output)["values"]["training"]["epochs"] == 2
    best = table.loc[record(output)["best_epoch"]]
    scored, _ = scoring.score(
        Detector.from_pretrained(output / "detector"), protocol.load_set(corpus, "dev"), scoring.Scoring()
    )
    bonafide, spoof = (scored.loc[scored["key"] == key, "spoof_score"].to_numpy() for key in ("bonafide", "spoof"))
    assert best["dev_eer"] == pytest.approx(metrics.eer(bonafide, spoof))
    assert best["dev_min_dcf"] == pytest.approx(metrics.min_dcf(bonafide, spoof))


def test_a_seed_decides_the_weights_and_leaves_the_generators_of_the_caller_alone(fit):
    before = torch.get_rng_state()
    first, again, other = weights(fit("first")), weights(fit("again")), weights(fit("other", seed=1))
    assert same(first, again)
    assert not same(first, other, "head.pooling_fc")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_best_epoch_has_the_lowest_min_dcf(fit, judged):
    """Three epochs judged .5, .2 and .4: what is kept is what two epochs end with; of equal epochs it is the first."""
    judged(0.9, 0.2)
    two = fit("two", epochs=2)
    judged(0.5, 0.2, 0.4)
    three = fit("three", epochs=3)
    assert record(three)["best_epoch"] == 1
    assert same(weights(three), weights(two))
    judged(0.3, 0.3)
    assert record(fit("equal", epochs=2))["best_epoch"] == 0


@pytest.mark.parametrize(
    ("average_of", "averaged", "figure"), [("last", [2, 3], 0.1), ("best", [1, 3], 0.1), ("best", [1, 3], 0.3)]
)
def test_an_average_of_epochs_is_kept_where_it_is_better(fit, judged, monkeypatch, average_of, averaged, figure):
    kept = "average" if figure < 0.2 else "best epoch"
    ends, save = {}, ModelCheckpoint.on_train_epoch_end

    def saving(self, trainer, module):
        ends[trainer.current_epoch] = {name: value.clone() for name, value in module.detector.state_dict().items()}
        save(self, trainer, module)

    monkeypatch.setattr(ModelCheckpoint, "on_train_epoch_end", saving)
    judged(0.5, 0.2, 0.4, 0.3, figure)
    output = fit(epochs=4, average=2, average_of=average_of)
    made = record(output)
    assert (made["averaged_epochs"], made["kept"], made["best_epoch"]) == (averaged, kept, 1)
    assert made["averaged_dev_min_dcf"] == figure
    first, second = (ends[epoch] for epoch in averaged)
    for name, value in weights(output).items():
        expected = (first[name] + second[name]) / 2 if kept == "average" else ends[1][name]
        torch.testing.assert_close(value, expected)


def test_a_warm_up_trains_the_head_alone(fit, judged):
    judged(0.2, 0.5)
    frozen = fit("frozen", freeze_backbone=True)
    judged(0.2, 0.5)
    warmed = fit("warmed", warmup_epochs=1, epochs=2)
    assert same(weights(warmed), weights(frozen))
    assert epochs(warmed)["backbone_frozen"].tolist() == [True, False]
    judged(0.5, 0.2)
    thawed = weights(fit("thawed", warmup_epochs=1, epochs=2))
    assert not same(thawed, weights(frozen), "backbone.model.encoder")


def test_accumulated_batches_are_one_batch(fit):
    parts = fit("parts", batch_size=2, accumulate=2, steps_per_epoch=4, backbone=STILL)
    whole = fit("whole", batch_size=4, steps_per_epoch=2, backbone=STILL)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-4, atol=1e-5)


def test_mixed_precision_trains(fit):
    single, mixed = (epochs(fit(name, precision=name))["train_loss"][0] for name in ("32-true", "bf16-mixed"))
    assert 0 < abs(single - mixed) < 0.01


def test_a_loss_that_is_not_finite_names_the_utterances_of_its_batch(fit):
    with pytest.raises(
        DataError, match=r"the loss is nan in epoch 0, batch 1: look at its utterances T_000\d, T_000\d;"
    ):
        fit(lr_head=1e30, steps_per_epoch=4)


# --- runs that are stopped --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes():
    """Starts of processes that share one import of the package."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sslig.training.run", "pytest"])
    return context


def train_and_fall(path, corpus, number, epoch, batch):
    """Train, and send a signal to the processes of the run: before a batch, or before the n-th judgement on dev."""
    os.setpgrp()
    multiprocessing.set_start_method("fork", force=True)
    owner, name = (scoring, "score") if batch is None else (Fitting, "training_step")
    real, judgements = getattr(owner, name), iter(range(99))

    def falling(*arguments):
        place = (next(judgements), None) if batch is None else (arguments[0].current_epoch, arguments[2])
        if place == (epoch, batch):
            subprocess.run(["kill", f"-{number}", "--", f"-{os.getpgrp()}"], start_new_session=True, check=True)
        return real(*arguments)

    setattr(owner, name, falling)
    study = load(path)
    train(study, HEAD, 0, corpus, study.run(HEAD, 0))


KILL, TERM, USR1 = signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1


@pytest.mark.parametrize(
    ("recipe", "falls"),
    [
        # while dev is scored for the first time, within the last epoch, during the average
        ({}, [(KILL, 0, None), (USR1, 2, 1), (KILL, 1, None)]),
        (
            {"workers": 1, "accumulate": 2, "schedule": "constant", "average_of": "last", "warmup_epochs": 0},
            [(TERM, 0, 1), (KILL, 1, 3)],  # the latter one batch after a checkpoint
        ),
    ],
    ids=["alone", "readers and accumulation"],
)
def test_a_stopped_run_resumes_to_the_weights_of_an_undisturbed_one(study, fit, corpus, processes, recipe, falls):
    whole = fit("whole", backbone=RESTLESS, **RECIPE | recipe)
    broken = study("broken", backbone=RESTLESS, **RECIPE | recipe)
    output = broken.run(HEAD, 0)
    for number, *place in falls:
        process = processes.Process(target=train_and_fall, args=(broken.path, corpus, number, *place))
        process.start()
        process.join(timeout=60)
        assert process.exitcode == (-KILL if number == KILL else os.EX_TEMPFAIL), (number, place)
        assert not (output / "training.json").exists()
    train(broken, HEAD, 0, corpus, output)
    assert same(weights(output), weights(whole))
    for name in ("epochs.tsv", "log.csv", "training.json"):
        assert (output / name).read_text() == (whole / name).read_text()
    assert not (output / CHECKPOINTS).exists()


@pytest.fixture
def stopped(study, corpus, monkeypatch):
    """A study whose run failed in epoch 1, after a checkpoint."""
    step = Fitting.training_step

    def poisoned(self, batch, number):
        batch[0][0] = np.nan if (self.current_epoch, number) == (1, 3) else batch[0][0]
        return step(self, batch, number)

    written = study(**RECIPE)
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "training_step", poisoned)
        with pytest.raises(DataError, match="the loss is nan in epoch 1, batch 3"):
            train(written, HEAD, 0, corpus, written.run(HEAD, 0))
    return written


@pytest.mark.parametrize(
    ("changed", "log", "first_epoch"),
    [
        ({"workers": 1}, "resumes", 1),
        ({"epochs": 4}, "starts anew, because the stopped run had other values: training.epochs 3 -> 4", 0),
    ],
)
def test_only_a_run_with_the_same_values_resumes(stopped, study, fit, monkeypatch, capsys, changed, log, first_epoch):
    begun, start = [], Fitting.on_train_start
    monkeypatch.setattr(Fitting, "on_train_start", lambda self: begun.append(self.current_epoch) or start(self))
    output = fit(**RECIPE | changed)
    assert log in capsys.readouterr().err
    assert begun == [first_epoch]
    assert epochs(output)["epoch"].tolist() == list(range(changed.get("epochs", 3)))


def test_a_kill_between_removal_and_checkpoint_loses_nothing(fit, judged, monkeypatch):
    """The third epoch displaces one that is kept and is killed; repeated, it is worse: the others are still there."""
    end = run.Resume.on_train_epoch_end

    def killed(self, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        end(self, trainer, module)

    judged(0.5, 0.3, 0.2, 0.6, 0.9)
    with monkeypatch.context() as patch:
        patch.setattr(run.Resume, "on_train_epoch_end", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(**RECIPE)
    made = record(fit(**RECIPE))
    assert (made["best_epoch"], made["averaged_epochs"]) == (1, [0, 1])


def test_patience_ends_training_and_stays_exhausted(fit, judged, monkeypatch):
    judged(0.5, 0.3, 0.3, 0.4, 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(run, "_chosen", lambda *_: (_ for _ in ()).throw(DataError("killed")))
        with pytest.raises(DataError, match="killed"):
            fit(patience=2, epochs=5)
    assert epochs(fit(patience=2, epochs=5))["dev_min_dcf"].tolist() == [0.5, 0.3, 0.3, 0.4]


# --- several processes ------------------------------------------------------------------------------------------------


LOCAL = {"MASTER_ADDR": "127.0.0.1", "SLURM_NODELIST": "127.0.0.1"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
SRUN = {"SLURM_STEP_NUM_TASKS": 2, "SLURM_STEP_NUM_NODES": 1, "SLURM_NODEID": 0, "SLURM_JOB_ID": 7}
SRUN |= {"SLURM_NTASKS": 2, "SLURM_NTASKS_PER_NODE": 2, "SLURM_NNODES": 1}
RANKS = {"torchrun": ("RANK", "LOCAL_RANK"), "srun": ("SLURM_PROCID", "SLURM_LOCALID")}


def as_one_of_two(started_by, rank, port, path, corpus, fall):
    """What a launcher starts; `fall`: a signal to one of the processes in epoch 1."""
    values = LOCAL | (SRUN if started_by == "srun" else TORCHRUN) | dict.fromkeys(RANKS[started_by], rank)
    os.environ |= {name: str(value) for name, value in (values | {"MASTER_PORT": port}).items()}
    step = Fitting.training_step

    def stepping(self, batch, number):
        if fall and rank == 1 and (self.current_epoch, number) == (1, 0):
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, batch, number)

    Fitting.training_step = stepping
    study = load(path)
    train(study, HEAD, 0, corpus, study.run(HEAD, 0))


@pytest.fixture
def launch(processes, free_port, corpus):
    """Starts two processes on a study and gives their exit statuses."""

    def started(started_by, study, fall=False):
        port, pair = free_port(), []
        for rank in (0, 1):
            pair.append(
                processes.Process(target=as_one_of_two, args=(started_by, rank, port, study.path, corpus, fall))
            )
        for process in pair:
            process.start()
        for process in pair:
            process.join(timeout=60)
        return [process.exitcode for process in pair]

    return started


def test_two_processes_give_what_one_gives(study, fit, launch):
    recipe = RECIPE | {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "backbone": STILL}
    single, pair = fit("single", **recipe), study("pair", **recipe)
    assert launch("srun", pair) == [0, 0]
    output = pair.run(HEAD, 0)
    pd.testing.assert_frame_equal(epochs(output), epochs(single), rtol=1e-4)
    for name, value in weights(single).items():
        torch.testing.assert_close(weights(output)[name], value, rtol=1e-3, atol=1e-4)


def test_two_processes_stop_and_resume_together(study, launch):
    recipe = RECIPE | {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "backbone": RESTLESS}
    whole, broken = study("whole", **recipe), study("broken", **recipe)
    assert launch("torchrun", whole) == [0, 0]
    assert launch("torchrun", broken, fall=True) == [os.EX_TEMPFAIL] * 2
    assert launch("torchrun", broken) == [0, 0]
    assert same(weights(broken.run(HEAD, 0)), weights(whole.run(HEAD, 0)))


@pytest.mark.parametrize(
    ("environment", "kind", "per_node", "nodes"),
    [
        ({}, "LightningEnvironment", 1, 1),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, "LightningEnvironment", 1, 1),  # the script of a job, in no step
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"},
            "TorchElasticEnvironment",
            4,
            2,
        ),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, "SLURMEnvironment", 4, 2),
    ],
)
def test_launchers_are_recognised(environment, kind, per_node, nodes):
    cluster, *counts = launcher(environment)
    assert (type(cluster).__name__, counts) == (kind, [per_node, nodes])


def test_an_uneven_spread_is_refused():
    with pytest.raises(StudyError, match="3 tasks on 2 nodes; accepted: as many on each"):
        launcher({"SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NUM_NODES": "2"})


def test_the_mean_of_weights_keeps_the_last_counter(tmp_path):
    paths = [tmp_path / f"{number}.ckpt" for number in range(3)]
    for path, value, count in zip(paths, [1.0, 2.0, 6.0], range(3), strict=True):
        torch.save({"state_dict": {"weight": torch.tensor([value]), "num_batches": torch.tensor(count)}}, path)
    averaged = mean(paths)
    assert (averaged["weight"].tolist(), averaged["num_batches"].item()) == ([3.0], 2)
