import dataclasses

import pytest

from sslig import records, training
from sslig.study import Training

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


@pytest.fixture
def in_folder(tmp_path, write_experiment):
    """A study whose backbone is a folder with a Hugging Face encoder's files."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (folder / name).write_text("1")
    experiment = write_experiment(tmp_path)
    return dataclasses.replace(experiment, backbone=str(folder)), folder


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_the_files_of_a_backbone_in_a_folder_are_in_its_key(in_folder, name):
    experiment, folder = in_folder
    key = training.key(experiment, HEAD, 0)
    (folder / "README.md").write_text("says nothing")
    assert training.key(experiment, HEAD, 0) == key
    (folder / name).write_text("2")
    assert training.key(experiment, HEAD, 0) != key


def test_a_backbone_by_name_or_values_has_the_key_it_had(experiment):
    for backbone in (experiment.backbone, "microsoft/wavlm-base-plus"):
        named = dataclasses.replace(experiment, backbone=backbone)
        sets = [records.contents(named, name) for name in ("train", "dev")]
        values = backbone, named.detector(HEAD), training.deciding(named.training), records.how(named)
        assert training.key(named, HEAD, 0) == records.hash_of(sets, *values, 0)
