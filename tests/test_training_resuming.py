"""Runs in processes of their own, which real signals end; a run that is started again ends as if nothing had been."""

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sslig import scoring, training
from sslig.stats import metrics
from sslig.study import load
from sslig.training import Interrupted, TrainingError, generators, signals
from sslig.training.fitting import RESUME, WORK
from sslig.training.recipe import Recipe
from sslig.training.resuming import Resume

HEAD = "camhfa"
RESTLESS = {"hidden_dropout": 0.2, "layerdrop": 0.3, "apply_spec_augment": True, "mask_time_length": 2}
"""A backbone that draws from both global generators in every step."""

RECIPE = {"epochs": 3, "steps_per_epoch": 5, "batch_size": 2, "lr_head": 1e-2, "schedule": "exponential",
          "checkpoint_steps": 2, "log_steps": 1, "warmup_epochs": 1, "average": 2}  # fmt: skip


@pytest.fixture(scope="module")
def processes():
    """Starts of processes, which cost one import of the package in all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sslig.training", "test_training_resuming"])
    return context


@pytest.fixture
def study(tmp_path, write_experiment):
    """Writes a study of the restless backbone into a folder of its own."""

    def write(name="study", **recipe):
        (tmp_path / name).mkdir(exist_ok=True)
        return write_experiment(tmp_path / name, backbone=RESTLESS, training=RECIPE | recipe)

    return write


def train_and_fall(path, key, fall=None):
    """Train, and send a signal to all processes of the run in an epoch and batch; in batch none, before dev is scored
    for the n-th time."""
    os.setpgrp()
    multiprocessing.set_start_method("fork", force=True)  # of reading processes, as where no server is preloaded
    if fall:
        number, epoch, batch = fall
        maker, name = (scoring, "score") if batch is None else (Recipe, "training_step")
        real, times = getattr(maker, name), itertools.count()

        def falling(*arguments):
            place = (next(times), None) if batch is None else (arguments[0].current_epoch, arguments[2])
            if place == (epoch, batch):
                # As a scheduler does: from elsewhere, to all processes of the job.
                subprocess.run(["kill", f"-{number}", "--", f"-{os.getpgrp()}"], start_new_session=True, check=True)
            return real(*arguments)

        setattr(maker, name, falling)
    try:
        training.train(load(path), HEAD, 0, key)
    except Interrupted as error:
        path.with_name("told").write_text(str(error))
        raise SystemExit(os.EX_TEMPFAIL) from error


def finish(context, *arguments):
    """Exit status of `train_and_fall` in a process of its own."""
    process = context.Process(target=train_and_fall, args=arguments)
    process.start()
    process.join(timeout=60)
    return process.exitcode


def result(experiment):
    """All that a run leaves and that its key decides."""
    run = experiment.run(HEAD, 0)
    steps = pd.read_csv(run / training.STEPS, sep="\t").drop(columns="utterances_per_s")
    weights = {name: load_file(run / name / "model.safetensors") for name in (training.CHECKPOINT, training.LAST)}
    return weights, pd.read_csv(run / training.EPOCHS, sep="\t"), steps, json.loads((run / training.RECORD).read_text())


def assert_same(found, expected):
    for name, weights in expected[0].items():
        assert all(torch.equal(found[0][name][part], value) for part, value in weights.items())
    pd.testing.assert_frame_equal(found[1], expected[1], check_exact=True)
    pd.testing.assert_frame_equal(found[2], expected[2], check_exact=True)
    assert found[3] == expected[3]


@pytest.mark.parametrize(
    ("recipe", "falls"),
    [
        (
            {},
            [
                (signal.SIGKILL, 0, 1),  # before any checkpoint
                (signal.SIGKILL, 1, 0),  # behind the checkpoint between epochs
                (signal.SIGKILL, 0, None),  # while dev is scored, for the first time in that process
                (signal.SIGUSR1, 2, 4),  # in the last step of an epoch
                (signal.SIGTERM, 1, None),  # while the average is scored
            ],
        ),
        (
            {"workers": 1, "accumulate": 2, "schedule": "constant", "average_of": "last", "warmup_epochs": 0},
            [(signal.SIGTERM, 0, 1), (signal.SIGKILL, 1, 3)],  # the latter one batch behind a checkpoint
        ),
    ],
    ids=["alone", "readers and accumulation"],
)
def test_a_run_that_signals_end_goes_on_to_the_same_result(study, processes, recipe, falls):
    whole, broken = study("whole", **recipe), study("broken", **recipe)
    training.train(whole, HEAD, 0, "key")
    for fall in falls:
        status = finish(processes, broken.path, "key", fall)
        assert status == (-signal.SIGKILL if fall[0] == signal.SIGKILL else os.EX_TEMPFAIL), fall
        assert not (broken.run(HEAD, 0) / training.RECORD).exists()
    training.train(broken, HEAD, 0, "key")
    assert_same(result(broken), result(whole))


def test_a_run_says_where_it_was_stopped(study, processes):
    experiment = study()
    assert finish(processes, experiment.path, "key", (signal.SIGUSR1, 1, 2)) == os.EX_TEMPFAIL
    told = experiment.path.with_name("told").read_text()
    assert told.startswith("SIGUSR1 stopped training in epoch 1 behind batch 3 of 5; started again, it goes on")


@pytest.fixture
def stopped(study, monkeypatch):
    """A study whose run was stopped in epoch 1 by a loss that is not finite, with a checkpoint before it."""
    step = Recipe.training_step

    def poisoned(self, batch, number):
        batch[0][0] = np.nan if (self.current_epoch, number) == (1, 3) else batch[0][0]
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "training_step", poisoned)
        with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1, batch 3: .* T_000\d, T_000\d; "):
            training.train(study(), HEAD, 0, "key")
    return study()


@pytest.fixture
def epochs_begun(monkeypatch):
    """The epochs that runs go through from now on."""
    begun, start = [], Recipe.on_train_start
    monkeypatch.setattr(Recipe, "on_train_start", lambda self: begun.append(self.current_epoch) or start(self))
    return begun


@pytest.mark.parametrize(("key", "epoch"), [("key", 1), ("another key", 0)])
def test_only_a_run_with_the_same_key_goes_on(stopped, epochs_begun, key, epoch):
    training.train(stopped, HEAD, 0, key)
    assert epochs_begun == [epoch]
    assert pd.read_csv(stopped.run(HEAD, 0) / training.EPOCHS, sep="\t")["epoch"].tolist() == [0, 1, 2]


def test_a_finished_run_is_left_as_it_is(study, epochs_begun):
    training.train(study(), HEAD, 0, "key")
    training.train(study(), HEAD, 0, "key")
    assert epochs_begun == [0]


def test_values_that_come_back_bring_their_finished_run_back(study, epochs_begun):
    """A, B, A, B: two trainings, and each time the folder with all that was made from it."""
    run = training.train(study(), HEAD, 0, "a")
    (run / "scores_eval.tsv").write_text("of a")
    before = (run / training.CHECKPOINT / "model.safetensors").read_bytes()
    for key in ("b", "a", "b"):
        training.train(study(), HEAD, 0, key)
        assert json.loads((run / training.RECORD).read_text())["key"] == key
    assert epochs_begun == [0, 0]
    aside = run.with_name("seed0.a")
    assert (aside / training.CHECKPOINT / "model.safetensors").read_bytes() == before
    assert (aside / "scores_eval.tsv").read_text() == "of a"
    assert sorted(path.name for path in run.parent.iterdir()) == ["seed0", "seed0.a"]


def test_an_unfinished_run_comes_back_and_goes_on(stopped, epochs_begun):
    training.train(stopped, HEAD, 0, "another key")
    run = stopped.run(HEAD, 0)
    assert (run.with_name("seed0.key") / WORK / RESUME).is_file()
    training.train(stopped, HEAD, 0, "key")
    assert epochs_begun == [0, 1]
    assert json.loads((run / training.RECORD).read_text())["key"] == "key"
    assert (run.with_name("seed0.another key") / training.RECORD).is_file()


@pytest.mark.parametrize(("average", "expected"), [(None, 1), (2, [0, 1])])
def test_a_kill_between_removal_and_checkpoint_loses_nothing(study, monkeypatch, average, expected):
    """The third epoch displaces one that is kept and is killed; repeated, it is worse: the others are still there."""
    figures, end = iter([0.5, 0.3, 0.2, 0.6, 0.9]), Resume.on_train_epoch_end

    def killed(self, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        end(self, trainer, module)

    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    experiment = study(average=average)
    with monkeypatch.context() as patch:
        patch.setattr(Resume, "on_train_epoch_end", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            training.train(experiment, HEAD, 0, "key")
    training.train(experiment, HEAD, 0, "key")
    record = json.loads((experiment.run(HEAD, 0) / training.RECORD).read_text())
    assert record["best_epoch"] == 1
    assert record.get("averaged_epochs", 1) == expected


def test_the_checkpoint_to_resume_from_holds_plain_values_only(stopped):
    held = torch.load(stopped.run(HEAD, 0) / WORK / RESUME, weights_only=True)
    assert {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "losses"} <= held.keys()
    assert len(held["losses"]) == 3  # behind step 8, which is the third of its epoch


def test_patience_that_was_exhausted_stays_so(study, processes, monkeypatch):
    """Three epochs judged alike with a patience of one: the run ends behind the second, also when resumed there."""
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: 0.5)
    monkeypatch.setattr(training.fitting.Fit, "finish", lambda self, key: None)
    experiment = study(patience=1, epochs=4)
    for _ in range(2):
        training.train(experiment, HEAD, 0, "key")
        epochs = pd.read_csv(experiment.run(HEAD, 0) / training.EPOCHS, sep="\t")["epoch"]
        assert epochs.tolist() == [0, 1]


# signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_is_noted_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with signals.listening() as heard:
        assert heard.received is None
        os.kill(os.getpid(), number)
        assert heard.received == number.name
    assert signal.getsignal(number) is before


def test_where_nothing_has_to_be_finished_a_signal_ends_the_block():
    def hit(heard):
        with heard.raising():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(1)

    with signals.listening() as heard:
        for _ in range(2):  # as it comes, and when it has come before
            with pytest.raises(Interrupted, match="SIGUSR1 came while dev was scored"):
                hit(heard)


def test_outside_the_main_thread_no_signal_is_taken(study):
    experiment = study(epochs=1, average=None, warmup_epochs=0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(training.train, experiment, HEAD, 0, "key").result().is_dir()


# generators ------------------------------------------------------------------------------------------------------


def drawn():
    return torch.rand(3).tolist(), np.random.random(3).tolist()  # noqa: NPY002


def test_restored_generators_draw_the_same_again():
    state, first = generators.state(), drawn()
    assert drawn() != first
    generators.restore(state)
    assert drawn() == first


def test_a_seed_and_a_rank_decide_what_is_drawn():
    def draws(seed, rank=0):
        with generators.seeded(seed, rank):
            return drawn()

    assert draws(3) == draws(3)
    assert draws(3)[0] == torch.rand(3, generator=torch.Generator().manual_seed(3)).tolist()
    different = [draws(3), draws(4), draws(3, rank=1), draws(4, rank=1), draws(3, rank=2)]
    assert len({str(one) for one in different}) == 5


def test_generators_are_left_alone_also_by_what_fails():
    def fail():
        with generators.seeded(1):
            raise KeyError(drawn())

    state, expected = generators.state(), drawn()
    generators.restore(state)
    with pytest.raises(KeyError):
        fail()
    assert drawn() == expected
