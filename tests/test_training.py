import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sslig import scoring
from sslig.corpora import protocol
from sslig.errors import CorpusError
from sslig.models.detector import Detector
from sslig.stats import metrics
from sslig.study import StudyError, Training
from sslig.training import Recipe, TrainingError, averaging, make_detector, train
from sslig.training.processes import Processes
from sslig.training.signals import Signals

HEAD = "camhfa"


@pytest.fixture
def fit(tmp_path, write_experiment):
    """Trains a head, CA-MHFA by default, on the tiny corpus in a folder of its own, and gives its run folder."""

    def run(name="study", seed=0, root=None, head=HEAD, backbone=None, **recipe):
        folder = tmp_path / name
        folder.mkdir()
        changed = {"corpus": {"root": str(root)}} if root else {}
        return train(write_experiment(folder, training=recipe, backbone=backbone or {}, **changed), head, seed, "a key")

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
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint",
        "epochs.tsv",
        "last",
        "steps.tsv",
        "training.json",
    ]
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


def test_a_warm_up_trains_the_head_alone(fit, tiny_backbone, monkeypatch):
    """The first of two epochs is the best, so that its weights are kept."""
    figures = iter([0.2, 0.5])
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    run = fit(warmup_epochs=1, epochs=2)
    assert same(weights(run / "checkpoint"), initial(tiny_backbone), "backbone.")
    assert not same(weights(run / "checkpoint"), initial(tiny_backbone), "head.pooling_fc")
    assert not same(weights(run / "last"), initial(tiny_backbone), "backbone.model.encoder")
    assert pd.read_csv(run / "epochs.tsv", sep="\t")["backbone_frozen"].tolist() == [True, False]


def test_a_frozen_backbone_stays_bit_for_bit(fit, tiny_backbone):
    run = fit(freeze_backbone=True, epochs=2)
    for folder in ("checkpoint", "last"):
        assert same(weights(run / folder), initial(tiny_backbone), "backbone.")
        assert not same(weights(run / folder), initial(tiny_backbone), "head.pooling_fc")


def test_the_best_epoch_has_the_lowest_min_dcf(fit, monkeypatch):
    """Three epochs judged 0.5, 0.2 and 0.4: kept is what two epochs end with."""
    two = fit("two", epochs=2)
    figures = iter([0.5, 0.2, 0.4])
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    three = fit("three", epochs=3)
    assert json.loads((three / "training.json").read_text())["best_epoch"] == 1
    assert same(weights(three / "checkpoint"), weights(two / "last"))
    assert not same(weights(three / "checkpoint"), weights(three / "last"), "head.pooling_fc")


def test_of_equal_epochs_the_first_is_kept(fit, monkeypatch):
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: 0.3)
    run = fit(epochs=2)
    assert json.loads((run / "training.json").read_text())["best_epoch"] == 0
    monkeypatch.undo()
    assert same(weights(run / "checkpoint"), weights(fit("one", epochs=1) / "last"))


def test_steps_follow_from_the_training_set_where_none_are_given(fit, monkeypatch):
    """Eight utterances in batches of three are three steps."""
    drawn = []
    step = Recipe.training_step
    monkeypatch.setattr(
        Recipe, "training_step", lambda self, batch, i: drawn.append(batch[0].shape) or step(self, batch, i)
    )
    fit(steps_per_epoch=None, batch_size=3)
    assert drawn == [(3, 6_400)] * 3


def test_patience_ends_training(fit, monkeypatch):
    """The third and the fourth epoch are no better than the second."""
    figures = iter([0.5, 0.3, 0.3, 0.4, 0.1])
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    run = fit(epochs=5, patience=2)
    assert pd.read_csv(run / "epochs.tsv", sep="\t")["dev_min_dcf"].tolist() == [0.5, 0.3, 0.3, 0.4]


@pytest.mark.parametrize(("average_of", "epochs"), [("last", [2, 3]), ("best", [1, 3])])
@pytest.mark.parametrize(("judged", "kept"), [(0.1, "average"), (0.3, "best_epoch")])
def test_an_average_of_epochs_is_kept_where_it_is_better(fit, monkeypatch, average_of, epochs, judged, kept):
    """Four epochs judged 0.5, 0.2, 0.4 and 0.3, and then their average."""
    ends, figures = [], iter([0.5, 0.2, 0.4, 0.3, judged])
    save = averaging.ModelCheckpoint.on_train_epoch_end

    def saving(self, trainer, module):
        ends.append({name: value.clone() for name, value in module.detector.state_dict().items()})
        save(self, trainer, module)

    monkeypatch.setattr(averaging.ModelCheckpoint, "on_train_epoch_end", saving)
    monkeypatch.setattr(metrics, "min_dcf", lambda bonafide, spoof: next(figures))
    run = fit(epochs=4, average=2, average_of=average_of)
    record = json.loads((run / "training.json").read_text())
    assert (record["averaged_epochs"], record["kept"], record["best_epoch"]) == (epochs, kept, 1)
    assert (record["averaged_dev_min_dcf"], record["averaged_dev_eer"] <= 1) == (judged, True)
    by_epoch = ends[:: len(ends) // 4]
    one, other = (by_epoch[epoch] for epoch in epochs)
    for name, value in weights(run / "checkpoint").items():
        expected = (one[name] + other[name]) / 2 if kept == "average" else by_epoch[1][name]
        torch.testing.assert_close(value, expected)


def test_accumulated_batches_are_one_batch(fit):
    """Two batches of two with summed and halved gradients, and the batch of four that they are."""
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "activation_dropout": 0.0}
    parts = fit("parts", batch_size=2, accumulate=2, steps_per_epoch=4, backbone=still)
    whole = fit("whole", batch_size=4, steps_per_epoch=2, backbone=still)
    for name, value in weights(whole / "last").items():
        torch.testing.assert_close(weights(parts / "last")[name], value, rtol=1e-4, atol=1e-5)


def test_a_scaled_gradient_reaches_the_backbone_alone(tiny_detector, waveforms):
    def gradients(factor):
        detector = tiny_detector("camhfa")
        recipe = Recipe(detector, Training(backbone_gradient=factor), np.array([]), Processes(), Signals())
        detector.head(recipe._features(waveforms)).sum().backward()
        parts = detector.backbone.model.encoder.layer_norm, detector.head
        return [torch.cat([p.grad.flatten() for p in part.parameters()]) for part in parts]

    (backbone, head), (scaled, same_head) = gradients(1.0), gradients(0.1)
    torch.testing.assert_close(scaled, 0.1 * backbone)
    assert torch.equal(head, same_head)


@pytest.fixture
def waveforms():
    """(batch, samples) 0.4 s, twice."""
    return torch.randn(2, 6_400, generator=torch.Generator().manual_seed(1))


def test_a_frozen_backbone_is_still_while_the_head_keeps_its_dropout(fit, monkeypatch):
    """AASIST drops features in training; the backbone would drop, skip layers and mask, were it not frozen."""
    seen, step = [], Recipe.training_step

    def stepping(self, batch, number):
        waveforms = batch[0]
        backbone, head = self.detector.backbone, self.detector.head
        features = [backbone(waveforms) for _ in range(2)]
        seen.append((torch.equal(*features), torch.equal(head(features[0]), head(features[0]))))
        return step(self, batch, number)

    monkeypatch.setattr(Recipe, "training_step", stepping)
    restless = {"hidden_dropout": 0.5, "layerdrop": 0.5, "apply_spec_augment": True, "mask_time_length": 2}
    fit(head="aasist", backbone=restless, epochs=2, warmup_epochs=1, steps_per_epoch=1)
    assert seen == [(True, False), (False, False)]


def test_augmentation_is_part_of_reading(fit, monkeypatch):
    """A step that silences everything: what training sees is silence."""
    heard, step = [], Recipe.training_step
    monkeypatch.setattr(Recipe, "training_step", lambda self, batch, i: heard.append(batch[0]) or step(self, batch, i))
    fit("plain")
    fit("silent", augmentation=[{"name": "zero_span", "share": [1.0, 1.0]}])
    plain, silent = heard[:2], heard[2:]
    assert all(part.abs().max() > 0 for part in plain)
    assert all(part.abs().max() == 0 for part in silent)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"schedule": "cosine"}, "training.schedule is 'cosine'; accepted: constant, exponential, one_cycle"),
        ({"average_of": "first"}, "training.average_of is 'first'; accepted: best, last"),
        ({"precision": "16-mixed"}, "training.precision is '16-mixed'; accepted: 32-true, bf16-mixed"),
        ({"accumulate": 0}, "training.accumulate is 0; accepted: 1 and above"),
        ({"lr_end": 0.0}, "training.lr_end is 0; accepted: above 0, at most 1"),
        ({"lr_head": -1e-3}, "training.lr_head is -0.001; accepted: 0 and above"),
        ({"lr_backbone": float("nan")}, "training.lr_backbone is nan; accepted: 0 and above"),
        ({"gradient_clip": 0.0}, "training.gradient_clip is 0; accepted: above 0"),
        ({"crop_s": float("inf")}, "training.crop_s is inf; accepted: above 0"),
        (
            {"crop_s": 0.06, "head": "aasist"},
            "training.crop_s is 0.06, which gives 2 frames; accepted: 0.065 and above, the 3 frames that aasist needs",
        ),
        ({"warmup_epochs": 1}, "training.warmup_epochs is 1; accepted: fewer than the 1 of training.epochs; freeze_"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(fit, recipe, message):
    with pytest.raises(TrainingError, match=rf"experiment\.yaml: {message}"):
        fit(**recipe)


def test_bfloat16_trains(fit):
    assert fit(precision="bf16-mixed").is_dir()


@pytest.mark.parametrize("set_name", ["train", "dev"])
def test_a_set_with_a_single_class_is_refused_by_name(fit, small, set_name):
    root = small(set_name, lambda table: table[table["key"] == "spoof"].reset_index(drop=True))
    with pytest.raises(TrainingError, match=f"set {set_name}: 4 utterances and none is bonafide"):
        fit(root=root)


def test_a_missing_dev_set_is_refused(fit, small):
    with pytest.raises(CorpusError, match=r"ASVspoof5\.dev\.track_1\.tsv: no such protocol file"):
        fit(root=small("dev", lambda table: None))


def test_a_loss_that_is_not_finite_stops_training(fit):
    """The weights are no numbers after the first step; the message names the two utterances of the second."""
    with pytest.raises(
        TrainingError, match=r"the loss is nan in epoch 0, batch 1: look at its utterances T_000\d, T_0"
    ):
        fit(lr_head=1e30, steps_per_epoch=4)


def test_an_unknown_detector_or_seed_is_refused(experiment):
    with pytest.raises(StudyError, match="unknown detector 'lcnn'; it has aasist, camhfa, sls"):
        train(experiment, "lcnn", 0, "key")
    with pytest.raises(StudyError, match=r"seed 7 is not among its seeds \[0, 1\]"):
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
