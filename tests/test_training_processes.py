"""Two processes that train together over Gloo give what one process gives on the same batches."""

import multiprocessing
import os
import signal
import socket
import sys
import traceback

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sslig import audio, scoring, training
from sslig.training import TrainingError
from sslig.training.__main__ import main
from sslig.training.development import judge
from sslig.training.processes import Processes, connected, found
from sslig.training.recipe import Recipe

HEAD = "camhfa"
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "activation_dropout": 0.0}
"""A backbone without dropout: what is dropped depends on the process, and nothing else may."""

RESTLESS = {"hidden_dropout": 0.2, "layerdrop": 0.3}
_SCORED = pd.DataFrame({"label": [0, 1, 0, 1], "spoof_score": [0.1, 0.9, 0.2, 0.8]})
RECIPE = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "warmup_epochs": 1, "log_steps": 1, "average": 2}


def torchrun(rank, port):
    """The environment that ``torchrun --nproc-per-node 2`` gives a process."""
    return {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0,
            "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip


def srun(rank, port):
    """The environment that ``srun --ntasks-per-node 2`` gives a task."""
    return {"SLURM_STEP_NUM_TASKS": 2, "SLURM_STEP_NUM_NODES": 1, "SLURM_PROCID": rank, "SLURM_LOCALID": rank,
            "SLURM_NODEID": 0, "SLURM_NTASKS": 2, "SLURM_NTASKS_PER_NODE": 2, "SLURM_NNODES": 1, "SLURM_JOB_ID": 7,
            "SLURM_NODELIST": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip


def as_one_of_two(launcher, rank, port, path, fall):
    """What a launcher starts, with what it says kept in a file; `fall`: a signal at the second batch."""
    os.environ |= {name: str(value) for name, value in launcher(rank, port).items()}
    sys.argv = ["training", "--experiment", str(path), "--detector", HEAD, "--seed", "0"]
    step, read = Recipe.training_step, []

    def stepping(self, batch, number):
        read.append(batch[2].tolist())
        if fall and rank == 1 and (self.current_epoch, number) == (1, 0):
            os.kill(os.getpid(), fall)
        return step(self, batch, number)

    Recipe.training_step = stepping
    try:
        main()
    except BaseException:
        path.with_name(f"fault{rank}").write_text(traceback.format_exc())
        raise
    finally:
        path.with_name(f"read{rank}").write_text(repr(read))


@pytest.fixture(scope="module")
def launch():
    """Starts two processes on a study and gives their exit statuses."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sslig.training.__main__", "test_training_processes"])

    def run(launcher, experiment, fall=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pair = [
            context.Process(target=as_one_of_two, args=(launcher, rank, port, experiment.path, fall)) for rank in (0, 1)
        ]
        for process in pair:
            process.start()
        for process in pair:
            process.join(timeout=40)
        return [process.exitcode for process in pair]

    return run


@pytest.fixture
def study(tmp_path, write_experiment):
    """Writes a study into a folder of its own."""

    def write(name, backbone=STILL, **recipe):
        (tmp_path / name).mkdir(exist_ok=True)
        return write_experiment(tmp_path / name, backbone=backbone, training=RECIPE | recipe)

    return write


def tables(experiment):
    run = experiment.run(HEAD, 0)
    steps = pd.read_csv(run / training.STEPS, sep="\t").drop(columns="utterances_per_s")
    return pd.read_csv(run / training.EPOCHS, sep="\t"), steps


def weights(experiment, name=training.LAST):
    return load_file(experiment.run(HEAD, 0) / name / "model.safetensors")


@pytest.mark.parametrize("launcher", [torchrun, srun])
def test_two_processes_give_what_one_gives(study, launch, launcher):
    one, two = study("one"), study("two")
    training.train(one, HEAD, 0, training.key(one, HEAD, 0))
    assert launch(launcher, two) == [0, 0]
    for found_table, expected in zip(tables(two), tables(one), strict=True):
        pd.testing.assert_frame_equal(found_table, expected, rtol=1e-4)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=1e-3, atol=1e-4)
    files = [sorted(path.name for path in study_.run(HEAD, 0).rglob("*")) for study_ in (one, two)]
    assert files[0] == files[1]


def test_processes_share_each_batch_and_go_on_together(study, launch):
    """Stopped by a signal to one of them, both write one checkpoint and go on from it, each with its generators."""
    whole, broken = study("whole", RESTLESS), study("broken", RESTLESS)
    assert launch(torchrun, whole) == [0, 0]
    assert launch(torchrun, broken, signal.SIGUSR1) == [os.EX_TEMPFAIL] * 2
    assert launch(torchrun, broken) == [0, 0]
    assert all(torch.equal(weights(broken)[name], value) for name, value in weights(whole).items())
    read = [np.array(eval(whole.path.with_name(f"read{rank}").read_text())) for rank in (0, 1)]
    together = np.stack(read, axis=2).reshape(6, 4)  # (batch, utterance of the batch)
    alone = [draw.row for epoch in (0, 1) for draw in drawn(whole, epoch)]
    assert together.ravel().tolist() == alone


def drawn(experiment, epoch):
    """What one process draws in an epoch."""
    table = training.fitting.protocol.load_set(experiment.corpus_root, "train")
    sampler = training.fitting.BalancedSampler(table["label"].to_numpy(), 12, seed=0)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_each_process_names_the_utterances_of_all(study, launch, monkeypatch):
    """The learning rate makes weights infinite in the first step, and the second batch says so."""
    experiment = study("broken", lr_head=1e30, warmup_epochs=0)
    assert launch(srun, experiment) == [1, 1]
    for rank in (0, 1):
        told = experiment.path.with_name(f"fault{rank}").read_text()
        assert "in epoch 0, batch 1: look at its utterances T_" in told
        assert told.rsplit("utterances", 1)[1].count("T_") == 4


def test_a_batch_that_cannot_be_shared_is_refused(study, launch):
    experiment = study("odd", batch_size=3)
    assert launch(torchrun, experiment) == [1, 1]
    told = experiment.path.with_name("fault0").read_text()
    assert "training.batch_size: batches of 3 cannot be shared evenly by 2 processes" in told


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Processes()),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, Processes()),  # a job's script, in no step
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"},
            Processes(5, 8, 1, 4, "torchrun"),
        ),
        (
            {"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"},
            Processes(5, 8, 1, 4, "srun"),
        ),
    ],
)
def test_launchers_are_understood(environment, expected):
    processes = found(environment)
    assert processes == expected
    assert processes.nodes == (2 if processes.world > 1 else 1)
    assert processes.first is (processes.rank == 0)


def test_an_uneven_spread_is_refused():
    with pytest.raises(TrainingError, match=r"3 tasks on 2 nodes; accepted: as many on each"):
        found({"SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NUM_NODES": "2"})


def judged_apart(rank, port, folder):
    """One of two processes whose running statistics differ, and what it has once both judge."""
    os.environ |= {name: str(value) for name, value in torchrun(rank, port).items()}
    with connected(torch.device("cpu")) as processes:
        module = torch.nn.BatchNorm1d(3)
        module.running_mean.fill_(1.0 + rank)
        module.weight.data.fill_(5.0 + rank)
        processes.share_buffers(module)
    (folder / f"held{rank}").write_text(repr([module.running_mean.tolist(), module.weight.tolist()]))


def test_all_judge_with_the_running_statistics_of_the_first(tmp_path):
    context, pair = multiprocessing.get_context("forkserver"), []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for rank in (0, 1):
        pair.append(context.Process(target=judged_apart, args=(rank, port, tmp_path)))
        pair[-1].start()
    for process in pair:
        process.join(timeout=40)
    held = [eval((tmp_path / f"held{rank}").read_text()) for rank in (0, 1)]
    assert held == [[[1.0] * 3, [5.0] * 3], [[1.0] * 3, [6.0] * 3]]


def test_judging_shares_them_first(monkeypatch, tiny_detector):
    """What is judged is what is saved: nothing is scored before all have the same."""
    calls = []
    monkeypatch.setattr(Processes, "share_buffers", lambda self, module: calls.append(module))
    monkeypatch.setattr(scoring, "score", lambda detector, *_: calls.append("scored") or (_SCORED, []))
    detector = tiny_detector()
    judge(detector, _SCORED, scoring.Scoring(), torch.device("cpu"), Processes())
    assert calls == [detector, "scored"]


def test_one_process_gathers_what_it_has():
    assert Processes().gather("a") == ["a"]
    Processes().wait()


def test_the_command_line_does_what_is_not_done(study, monkeypatch, capsys):
    experiment, made = study("study", epochs=1, average=None, warmup_epochs=0), []
    real = training.fitting.train
    monkeypatch.setattr(training.__main__, "train", lambda *given: made.append(given[2]) or real(*given))
    monkeypatch.setattr(sys, "argv", ["training", "--experiment", str(experiment.path), "--detector", HEAD])
    for _ in range(2):
        main()
    assert made == [0, 1]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--seed", "3"])
    with pytest.raises(SystemExit, match=r"error: .*experiment\.yaml: seed 3 is not among its seeds"):
        main()


def test_the_command_line_ends_with_a_status_of_its_own_when_stopped(study, monkeypatch, capsys):
    experiment = study("study")
    step = Recipe.training_step
    monkeypatch.setattr(Recipe, "training_step", lambda *given: os.kill(os.getpid(), signal.SIGTERM) or step(*given))
    monkeypatch.setattr(sys, "argv", ["training", "--experiment", str(experiment.path), "--detector", HEAD])
    with pytest.raises(SystemExit) as status:
        main()
    assert status.value.code == os.EX_TEMPFAIL
    assert capsys.readouterr().err.startswith("SIGTERM stopped training in epoch 0 behind batch 1 of 3;")


def test_training_reads_a_faulty_file_no_further(study, tmp_path, monkeypatch):
    """The message of a reading process names the file."""

    def broken(path, *_):
        raise audio.AudioError(f"{path}: truncated")

    monkeypatch.setattr(audio, "read", broken)
    with pytest.raises(audio.AudioError, match=r"T_000\d\.flac: truncated"):
        training.train(study("study", workers=1), HEAD, 0, "key")
