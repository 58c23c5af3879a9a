"""Recipes that cannot be followed, and what a changed value of the study says about a recorded training."""

import json
import subprocess
import sys

import pytest

from sslig.corpora import protocol
from sslig.errors import DataError, StudyError
from sslig.frames import SSL_CLOCK
from sslig.training.recipe import changes, check, contents, values

HEAD = "camhfa"


def test_it_is_light():
    """The Snakefile imports it whenever it starts."""
    heavy = "import sys, sslig.training.recipe; print({'torch', 'lightning', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_s": 0.06}, "training.crop_s is 0.06, which gives 2 frames; accepted: 0.065 and above, the 3"),
        ({"warmup_epochs": 1}, "training.warmup_epochs is 1; accepted: fewer than training.epochs, 1; freeze_"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(write_experiment, tmp_path, options, message):
    with pytest.raises(StudyError, match=rf"experiment\.yaml: {message}"):
        check(write_experiment(tmp_path, training=options), SSL_CLOCK, 3, {})


def test_a_set_with_a_single_class_is_refused_by_name(experiment, corpus):
    table = protocol.load_set(corpus, "dev")
    with pytest.raises(DataError, match="set dev: 4 utterances and none is bonafide"):
        check(experiment, SSL_CLOCK, 1, {"dev": table[table["key"] == "spoof"]})


@pytest.fixture
def recorded(experiment, corpus):
    """A record of the tiny study as a file holds it."""
    made_with = {"values": values(experiment, HEAD, 0), "files": contents(experiment, corpus)}
    return json.loads(json.dumps(made_with))


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, []),
        ({"training": {"workers": 3, "log_steps": 1, "checkpoint_steps": 5}}, []),
        ({"scoring": {"batch_size": 2, "workers": 1}, "attribution": {"utterances": 5}}, []),
        ({"training": {"epochs": 2}}, ["training.epochs 1 -> 2"]),
        ({"training": {"augmentation": "published", "lr_head": 0.5}}, None),
        ({"scoring": {"crop_s": 0.3}}, ["scoring.crop_s none -> 0.3"]),
        ({"backbone": {"num_hidden_layers": 1}}, ["backbone.num_hidden_layers 2 -> 1"]),
        (
            {"detectors": {HEAD: {"head": HEAD, "n_heads": 4, "compression": 8}}},
            ["detector.context 5 -> none"],
        ),
    ],
)
def test_changes_name_the_values_that_decide_a_result(write_experiment, tmp_path, recorded, changed, lines):
    expected = ["training.lr_head 0.001 -> 0.5", "training.augmentation none -> published"] if lines is None else lines
    assert changes(recorded, write_experiment(tmp_path, **changed), HEAD, 0) == expected


def test_changes_of_seed_and_files(experiment, recorded, tmp_path):
    assert changes(recorded, experiment, HEAD, 1) == ["seed 0 -> 1"]
    files = recorded["files"] | {"protocol of dev": "other", "start": "abc"}
    lines = changes(recorded, experiment, HEAD, 0, files)
    assert lines == [f"protocol of dev {recorded['files']['protocol of dev']} -> other", "start none -> abc"]


def test_the_files_of_a_backbone_in_a_folder_are_its_contents(experiment, corpus, tmp_path):
    for name in ("config.json", "preprocessor_config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    study = experiment.model_copy(update={"backbone": str(tmp_path)})
    before = contents(study, corpus)
    assert {"backbone config.json", "backbone preprocessor_config.json", "backbone model.safetensors"} < before.keys()
    assert "backbone README.md" not in before
    (tmp_path / "model.safetensors").write_text("other weights")
    after = contents(study, corpus)
    assert [name for name in before if before[name] != after[name]] == ["backbone model.safetensors"]
