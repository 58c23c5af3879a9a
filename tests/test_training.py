import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sslig import metrics, protocol, scoring, training
from sslig.experiment import ExperimentError
from sslig.models.detector import Detector
from sslig.training import TrainingError, make_detector, train

HEAD = "camhfa"


@pytest.fixture
def fit(tmp_path, write_experiment):
    """Trains CA-MHFA on the tiny corpus in a folder of its own, and gives its run folder."""

    def run(name="study", seed=0, root=None, **recipe):
        folder = tmp_path / name
        folder.mkdir()
        changed = {"corpus": {"root": str(root)}} if root else {}
        return train(write_experiment(folder, training=recipe, **changed), HEAD, seed, key="a key")

    return run


@pytest.fixture
def small(tmp_path, corpus):
    """Writes a corpus with the protocols of the tiny one, one of them changed; no sound is copied."""

    def write(set_name, change):
        root = tmp_path / "changed"
        root.mkdir()
        for name, (file, folder) in protocol.SETS.items():
            (root / folder).symlink_to(corpus / folder)
            table = protocol.read(corpus / file)
            if (changed := change(table) if name == set_name else table) is not None:
                protocol.write(root / file, changed)
        return root

    return write


def weights(folder):
    return load_file(folder / "model.safetensors")


def initial(tiny_backbone, seed=0):
    """The weights that training starts from, with the values of the tiny study."""
    head = {"head": HEAD, "n_heads": 4, "compression": 8, "context": 5}
    return dict(make_detector(tiny_backbone, head, seed).state_dict())


def same(one, other, part=""):
    """Whether the weights whose name starts with `part` are equal bit for bit."""
    names = [name for name in one if name.startswith(part)]
    assert names
    return all(torch.equal(one[name], other[name]) for name in names)


def test_a_run_leaves_both_checkpoints_the_epochs_and_a_record(fit):
    run = fit(epochs=2)
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint", "epochs.tsv", "last", "training.json"]
    record = json.loads((run / "training.json").read_text())
    assert record == {"detector": HEAD, "seed": 0, "key": "a key", "best_epoch": record["best_epoch"]}
    epochs = pd.read_csv(run / "epochs.tsv", sep="\t")
    columns = ["detector", "seed", "epoch", "train_loss", "dev_eer", "dev_min_dcf", "dev_left_out", "backbone_frozen"]
    assert list(epochs.columns) == columns
    assert epochs["epoch"].tolist() == [0, 1]
    assert epochs["train_loss"].between(0.2, 2).all()  # about log 2 in the beginning
    assert not epochs["backbone_frozen"].any()


def test_the_table_of_epochs_says_what_the_checkpoint_scores_on_dev(fit, corpus):
    run = fit()
    scored, _ = scoring.score(
        Detector.from_pretrained(run / "checkpoint"), protocol.load_set(corpus, "dev"), scoring.Scoring()
    )
    bonafide, spoof = (scored.loc[scored["key"] == key, "spoof_score"].to_numpy() for key in ("bonafide", "spoof"))
    (row,) = pd.read_csv(run / "epochs.tsv", sep="\t").itertuples()
    assert row.dev_eer == pytest.approx(metrics.eer(bonafide, spoof))
    assert row.dev_min_dcf == pytest.approx(metrics.min_dcf(bonafide, spoof))


def test_one_seed_gives_the_same_weights_again_and_another_gives_others(fit):
    one, again, other = fit("one"), fit("again"), fit("other", seed=1)
    assert same(weights(one / "last"), weights(again / "last"))
    assert not same(weights(one / "last"), weights(other / "last"), "head.pooling_fc")


def test_training_changes_backbone_and_head(fit, tiny_backbone):
    trained = weights(fit() / "last")
    assert not same(trained, initial(tiny_backbone), "backbone.model.encoder")
    assert not same(trained, initial(tiny_backbone), "head.pooling_fc")


def test_the_callers_generator_is_left_alone(fit):
    before = torch.get_rng_state()
    fit()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_warm_up_trains_the_head_alone(fit, tiny_backbone):
    warm, then = fit("warm", warmup_epochs=1, epochs=1), fit("then", warmup_epochs=1, epochs=2)
    assert same(weights(warm / "last"), initial(tiny_backbone), "backbone.")
    assert not same(weights(warm / "last"), initial(tiny_backbone), "head.pooling_fc")
    assert not same(weights(then / "last"), initial(tiny_backbone), "backbone.model.encoder")
    assert pd.read_csv(then / "epochs.tsv", sep="\t")["backbone_frozen"].tolist() == [True, False]


def test_a_frozen_backbone_stays_bit_for_bit(fit, tiny_backbone):
    run = fit(freeze_backbone=True, epochs=2)
    for folder in ("checkpoint", "last"):
        assert same(weights(run / folder), initial(tiny_backbone), "backbone.")
        assert not same(weights(run / folder), initial(tiny_backbone), "head.pooling_fc")


def test_the_best_epoch_has_the_lowest_min_dcf(fit, monkeypatch):
    """Three epochs judged 0.5, 0.2 and 0.4: kept is what two epochs end with."""
    two = fit("two", epochs=2)
    figures = iter([0.5, 0.2, 0.4])
    monkeypatch.setattr(training.metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    three = fit("three", epochs=3)
    assert json.loads((three / "training.json").read_text())["best_epoch"] == 1
    assert same(weights(three / "checkpoint"), weights(two / "last"))
    assert not same(weights(three / "checkpoint"), weights(three / "last"), "head.pooling_fc")


def test_of_equal_epochs_the_first_is_kept(fit, monkeypatch):
    monkeypatch.setattr(training.metrics, "min_dcf", lambda bonafide, spoof: 0.3)
    run = fit(epochs=2)
    assert json.loads((run / "training.json").read_text())["best_epoch"] == 0
    monkeypatch.undo()
    assert same(weights(run / "checkpoint"), weights(fit("one", epochs=1) / "last"))


def test_steps_follow_from_the_training_set_where_none_are_given(fit, monkeypatch):
    """Eight utterances in batches of three are three steps."""
    drawn = []
    step = training.Recipe.training_step
    monkeypatch.setattr(
        training.Recipe, "training_step", lambda self, batch, i: drawn.append(batch[0].shape) or step(self, batch, i)
    )
    fit(steps_per_epoch=None, batch_size=3)
    assert drawn == [(3, 6_400)] * 3


@pytest.mark.parametrize("set_name", ["train", "dev"])
def test_a_set_with_a_single_class_is_refused_by_name(fit, small, set_name):
    root = small(set_name, lambda table: table[table["key"] == "spoof"].reset_index(drop=True))
    with pytest.raises(TrainingError, match=f"set {set_name}: 4 utterances and none is bonafide"):
        fit(root=root)


def test_a_missing_dev_set_is_refused(fit, small):
    with pytest.raises(protocol.ProtocolError, match=r"ASVspoof5\.dev\.track_1\.tsv: no such protocol file"):
        fit(root=small("dev", lambda table: None))


def test_a_loss_that_is_not_finite_stops_training(fit):
    with pytest.raises(TrainingError, match="the loss is nan in epoch 0: lower the learning rates"):
        fit(lr_head=1e30, steps_per_epoch=4)


def test_an_unknown_detector_or_seed_is_refused(experiment):
    with pytest.raises(ExperimentError, match="unknown detector 'lcnn'; it has aasist, camhfa, sls"):
        train(experiment, "lcnn", 0, "key")
    with pytest.raises(ExperimentError, match=r"seed 7 is not among its seeds \[0, 1\]"):
        train(experiment, HEAD, 7, "key")


def test_a_detector_without_a_head_is_refused(tiny_backbone):
    with pytest.raises(TrainingError, match=r"needs the key head; got \['context'\]"):
        make_detector(tiny_backbone, {"context": 5}, seed=0)


def test_a_seed_decides_the_first_weights(tiny_backbone):
    assert same(initial(tiny_backbone), initial(tiny_backbone))
    assert not same(initial(tiny_backbone), initial(tiny_backbone, seed=1), "head.pooling_fc")


def test_a_pretrained_backbone_keeps_its_weights(tiny_backbone, tmp_path):
    pretrained = make_detector(tiny_backbone, {"head": HEAD}, seed=5).backbone
    pretrained.model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    detector = make_detector(str(tmp_path), {"head": HEAD}, seed=0)
    assert same(dict(detector.backbone.state_dict()), dict(pretrained.state_dict()))
    assert detector.backbone.normalise is True
    assert np.isfinite(detector.eval()(torch.randn(1, 4_000)).item())
