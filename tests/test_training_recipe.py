"""The first weights, the learning rates, and what a changed value of the study says about a recorded training."""

import json

import numpy as np
import pytest
import torch

from sslig.corpora import protocol
from sslig.errors import DataError, DetectorError, StudyError
from sslig.models.backbone import Backbone
from sslig.study import Training
from sslig.training import recipe
from sslig.training.recipe import backbone_groups, changes, check, contents, make_detector, optimiser, schedule, values

HEAD = "camhfa"


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_seed_decides_the_first_weights(tiny_backbone):
    first, again, other = (make_detector(tiny_backbone, {"head": HEAD}, seed).state_dict() for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def test_a_pretrained_backbone_keeps_its_weights(tiny_backbone, tmp_path):
    pretrained = make_detector(tiny_backbone, {"head": HEAD}, seed=5).backbone
    pretrained.model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    detector = make_detector(str(tmp_path), {"head": HEAD}, seed=0)
    assert same(pretrained.state_dict(), detector.backbone.state_dict())
    assert detector.backbone.normalise is True


def test_a_detector_without_a_head_is_refused(tiny_backbone):
    with pytest.raises(DetectorError, match=r"needs the key head; got \['context'\]"):
        make_detector(tiny_backbone, {"context": 5}, seed=0)


def test_a_seed_and_a_rank_decide_the_draws_inside_the_block_only():
    def draws(seed, rank=0):
        with recipe.seeded(seed, rank):
            return torch.rand(3).tolist(), np.random.random(3).tolist()  # noqa: NPY002

    before = torch.get_rng_state()
    assert draws(3) == draws(3)
    assert draws(3)[0] == torch.rand(3, generator=torch.Generator().manual_seed(3)).tolist()
    different = [draws(3), draws(4), draws(3, rank=1), draws(4, rank=1), draws(3, rank=2)]
    assert len({str(draw) for draw in different}) == 5
    assert torch.equal(torch.get_rng_state(), before)


# --- learning rates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1e-4] * 5),
        ({"schedule": "exponential", "lr_end": 1e-2}, [1e-4, 1e-4 * 10**-0.5, 1e-5, 1e-5 * 10**-0.5, 1e-6]),
    ],
)
def test_rates_are_constant_or_fall_by_a_factor(options, expected):
    assert rates(4, **options) == pytest.approx(expected)


def test_one_cycle_rises_to_the_rate_and_falls():
    cycle = rates(10, schedule="one_cycle")[:10]
    assert cycle[0] == pytest.approx(1e-4 / 25)
    assert max(cycle) == pytest.approx(1e-4) == cycle[2]
    assert cycle[-1] == pytest.approx(1e-4 / 250_000)


def rates(steps, **options):
    """The rate before each of so many steps, and after the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    moving, seen = schedule(optimizer, Training(**options), steps), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if moving:
            moving.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_without_decay_there_are_two_groups(tiny_detector):
    detector = tiny_detector()
    backbone, head = optimiser(detector, Training(lr_backbone=1e-5, lr_head=1e-3)).param_groups
    assert (backbone["lr"], head["lr"], backbone["weight_decay"]) == (1e-5, 1e-3, 1e-2)
    assert (backbone["name"], head["name"]) == ("backbone", "head")
    assert len(backbone["params"]) == len(list(detector.backbone.parameters()))
    assert len(head["params"]) == len(list(detector.head.parameters()))


@pytest.mark.parametrize("stable", [False, True, None])
def test_rates_decay_from_the_last_layer_down(tiny_backbone, stable):
    """The normalisation of an encoder belongs below layer 1 or, in stable encoders, above the last layer."""
    backbone = Backbone.from_config(tiny_backbone | {"do_stable_layer_norm": bool(stable)})
    if stable is None:  # data2vec does not have this value
        del backbone.model.config.do_stable_layer_norm
    groups = backbone_groups(backbone, 1e-4, layer_decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.25e-4, 0.5e-4, 1e-4])
    assert [group["name"] for group in groups] == ["layer0", "layer1", "backbone"]
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(backbone.parameters()))
    encoder = backbone.model.encoder
    for number, layer in enumerate(encoder.layers):
        assert {rate[id(parameter)] for parameter in layer.parameters()} == {groups[number + 1]["lr"]}
    assert rate[id(encoder.layer_norm.weight)] == pytest.approx(1e-4 if stable else 0.25e-4)
    assert rate[id(backbone.model.feature_projection.projection.weight)] == pytest.approx(0.25e-4)


# --- checks and changes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        ("aasist", {"crop_s": 0.06}, "training.crop_s is 0.06, which gives 2 frames; accepted: 0.065 and above, the 3"),
        (HEAD, {"warmup_epochs": 1}, "training.warmup_epochs is 1; accepted: fewer than training.epochs, 1; freeze_"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(write_experiment, tmp_path, tiny_detector, head, options, message):
    with pytest.raises(StudyError, match=rf"experiment\.yaml: {message}"):
        check(write_experiment(tmp_path, training=options), tiny_detector(head), {})


def test_a_set_with_a_single_class_is_refused_by_name(experiment, corpus, tiny_detector):
    table = protocol.load_set(corpus, "dev")
    with pytest.raises(DataError, match="set dev: 4 utterances and none is bonafide"):
        check(experiment, tiny_detector(), {"dev": table[table["key"] == "spoof"]})


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
