"""The rule that trains, from the command line and from a trained detector."""

import json

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from sslig.models.detector import Detector, fingerprint
from sslig.pipeline.__main__ import main
from sslig.pipeline.train import train


def test_training_continues_from_a_detector(experiment, corpus, tiny_detector, tmp_path):
    """With learning rates of zero, the weights are those of the start."""
    tiny_detector().save_pretrained(tmp_path / "start")
    still = experiment.training.model_copy(update={"lr_backbone": 0.0, "lr_head": 0.0})
    study = experiment.model_copy(update={"training": still})
    train(study, name="camhfa", seed=0, corpus=corpus, output=tmp_path / "run", start=tmp_path / "start")
    weights, first = (load_file(tmp_path / part / "model.safetensors") for part in ("run/detector", "start"))
    assert all(torch.equal(weights[name], value) for name, value in first.items())
    recorded = json.loads((tmp_path / "run" / "training.json").read_text())
    assert recorded["files"]["start"] == fingerprint(tmp_path / "start")


def test_two_trainings_of_one_run_do_not_meet(experiment, corpus, tmp_path, capsys):
    with FileLock(tmp_path / ".seed0.lock"), pytest.raises(SystemExit, match="seed0: another process trains here"):
        main(["train", str(experiment.path), "name=sls", "seed=0", f"corpus={corpus}", f"output={tmp_path / 'seed0'}"])
    assert not (tmp_path / "seed0").exists()


def test_the_command_line_trains(experiment, corpus, tmp_path, capsys):
    main(["train", str(experiment.path), "name=camhfa", "seed=1", f"corpus={corpus}", f"output={tmp_path}"])
    assert "camhfa seed 1: starts" in capsys.readouterr().err
    assert Detector.from_pretrained(tmp_path / "detector").head_name == "camhfa"


def test_a_missing_set_is_an_error_of_the_rule(experiment, tmp_path):
    with pytest.raises(SystemExit, match=r"error: train: .*no such protocol file"):
        main(["train", str(experiment.path), "name=camhfa", "seed=1", f"corpus={tmp_path}", f"output={tmp_path}"])
