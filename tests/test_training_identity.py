import dataclasses

import pytest

from sslig import training
from sslig.experiment import Training

HEAD = "camhfa"


def test_options_that_came_later_count_where_they_are_used():
    """So that results made before them stay what they are."""
    first = {"epochs", "steps_per_epoch", "batch_size", "crop_s", "lr_backbone", "lr_head", "weight_decay",
             "gradient_clip", "freeze_backbone", "warmup_epochs", "precision"}  # fmt: skip
    assert training.deciding(Training()).keys() == first
    assert training.deciding(Training(schedule="one_cycle", average=3)).keys() == first | {"schedule", "average"}


@pytest.mark.parametrize(
    "values", [{"workers": 3}, {"checkpoint_steps": 5}, {"log_steps": 1}, {"tensorboard": True}, {"progress": True}]
)
def test_how_a_run_is_watched_and_kept_decides_nothing(experiment, values):
    watched = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, **values))
    assert training.key(watched, HEAD, 0) == training.key(experiment, HEAD, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"training": {"lr_head": 0.5}},
        {"training": {"augmentation": "published"}},
        {"training": {"patience": 2}},
        {"scoring": {"crop_s": 0.3}},
        {"backbone": {"num_hidden_layers": 1}},
        {"detectors": {HEAD: {"head": HEAD, "context": 1}}},
    ],
)
def test_what_decides_a_result_is_in_its_key(write_experiment, tmp_path, experiment, changed):
    key = training.key(experiment, HEAD, 0)
    assert training.key(write_experiment(tmp_path, **changed), HEAD, 0) != key
    assert training.key(experiment, HEAD, 1) != key
    assert training.key(experiment, "sls", 0) != key
