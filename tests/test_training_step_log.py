"""What can be followed while a detector trains: the log of steps and the progress bar."""

import importlib.util
import sys

import pandas as pd
import pytest

from sslig import training
from sslig.training import TrainingError, step_log
from sslig.training.progress import wanted

HEAD = "camhfa"


@pytest.fixture
def fit(tmp_path, write_experiment):
    def run(key="key", **recipe):
        recipe = {"epochs": 2, "steps_per_epoch": 4, "lr_head": 1e-3} | recipe
        return training.train(write_experiment(tmp_path, training=recipe), HEAD, 0, key)

    return run


def test_the_log_has_a_row_every_few_steps(fit):
    """Eight steps of two batches each, logged at every second; the loss of an epoch is the mean over its rows."""
    run = fit(steps_per_epoch=8, accumulate=2, log_steps=2, schedule="exponential", lr_end=0.5)
    steps = pd.read_csv(run / training.STEPS, sep="\t")
    assert steps.columns.tolist() == ["detector", "seed", *step_log.COLUMNS]
    assert (steps["step"].tolist(), steps["epoch"].tolist()) == ([2, 4, 6, 8], [0, 0, 1, 1])
    assert steps["lr_head"].tolist() == pytest.approx([1e-3 * 0.5 ** (step / 8) for step in (2, 4, 6, 8)])
    assert steps["lr_backbone"].tolist() == pytest.approx(steps["lr_head"].tolist())
    epochs = pd.read_csv(run / training.EPOCHS, sep="\t")
    assert steps.groupby("epoch")["loss"].mean().tolist() == pytest.approx(epochs["train_loss"].tolist())
    assert (steps["utterances_per_s"] > 0).all()


def test_a_short_run_has_an_empty_log(fit):
    steps = pd.read_csv(fit(log_steps=100) / training.STEPS, sep="\t")
    assert (len(steps), steps.columns.tolist()) == (0, ["detector", "seed", *step_log.COLUMNS])


def test_of_a_step_done_twice_the_later_row_stays(tmp_path):
    for start, rows in enumerate([[(1, 0.5), (2, 0.4), (3, 0.1)], [(3, 0.3), (4, 0.2)]]):
        folder = tmp_path / step_log.FOLDER / f"version_{start}"
        folder.mkdir(parents=True)
        table = pd.DataFrame(rows, columns=["step", "loss"]).assign(epoch=0.0)
        table.to_csv(folder / step_log.FILE, index=False)
    steps = step_log.table(tmp_path, {"seed": 1})
    assert steps["loss"].tolist() == [0.5, 0.4, 0.3, 0.2]
    assert steps["seed"].tolist() == [1] * 4


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no tensorboard")
def test_tensorboard_has_a_log_where_asked(fit):
    assert list((fit(tensorboard=True) / step_log.TENSORBOARD).glob("events*"))


def test_tensorboard_is_named_where_it_is_missing(fit, monkeypatch):
    monkeypatch.setattr(step_log.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install 'sslig\[tensorboard\]'"):
        fit(tensorboard=True)


def test_without_a_terminal_training_is_quiet_unless_asked(fit, capsys):
    fit()
    assert capsys.readouterr() == ("", "")
    fit("another key", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.strip().splitlines()[-1].split("\r")[-1]
    assert last.startswith("camhfa seed 0: 100%")
    for part in ("16/16", "utt/s", "loss=", "EER=", "dev EER=", "epoch=1", "00:00<00:00"[-5:]):
        assert part in last


@pytest.mark.parametrize(("asked", "terminal", "shown"), [(None, True, True), (None, False, False), (True, False, True),
                                                          (False, True, False)])  # fmt: skip
def test_a_bar_is_wanted_on_a_terminal_or_as_asked(monkeypatch, asked, terminal, shown):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert wanted(asked) is shown
