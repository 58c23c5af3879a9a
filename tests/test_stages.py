import json
import os
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import scoring, stages, training
from sslig.attribution import baselines, table
from sslig.attribution.baselines import BaselineError
from sslig.corpora import corpora, protocol
from sslig.labels import KEYS
from sslig.models.detector import Detector, fingerprint
from sslig.stages.__main__ import main
from sslig.stats import fusion
from sslig.study import StudyError, load

NAME, SEED = "camhfa", 0

MAKERS = {
    "train": (training, "train"),
    "score": (scoring, "score"),
    "average": (baselines, "bonafide_mean"),
    "attribute": (table, "attribute"),
}


class Made(Exception):
    """Raised in place of making something."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment):
    """The folder of a study with every stage done for CA-MHFA."""
    study = write_experiment(tmp_path_factory.mktemp("finished"))
    stages.set_scores(study, NAME, SEED, "eval")
    stages.attributions(study, NAME, SEED)
    return study.root


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study."""
    shutil.copytree(finished, tmp_path / "study")
    return load(tmp_path / "study" / "experiment.yaml")


@pytest.fixture
def forbid(monkeypatch):
    """Lets the named makers raise `Made`."""

    def stop(*names):
        for name in names:

            def raising(*arguments, what=name, **options):
                raise Made(what)

            monkeypatch.setattr(*MAKERS[name], raising)

    return stop


@pytest.fixture
def changed(study, write_experiment):
    """The finished study with other values in its file."""
    return lambda **values: write_experiment(study.root, **values)


def do_all(study):
    return (
        stages.epochs(study, NAME, SEED),
        stages.set_scores(study, NAME, SEED, "eval"),
        stages.baseline(study, NAME, SEED),
        stages.attributions(study, NAME, SEED),
    )


def test_what_is_done_is_read_and_not_made_again(study, forbid):
    forbid(*MAKERS)
    epochs, scores, baseline, attributions = do_all(study)
    assert epochs["epoch"].tolist() == [0]
    assert (len(scores), len(attributions)) == (8, 4)
    assert baseline.source["frames"] == 18 + 24 + 24 + 29


def test_a_run_holds_the_files_of_its_stages(study):
    assert {path.name for path in study.run(NAME, SEED).iterdir()} == {
        "attributions.json", "attributions.parquet", "baseline.safetensors", "checkpoint", "epochs.tsv", "last",
        "left_out_attributions.tsv", "left_out_eval.tsv", "scores_eval.json", "scores_eval.parquet",
        "scores_eval.tsv", "steps.tsv", "training.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({"training": {"lr_head": 0.5}}, "train"),
        ({"detectors": {"camhfa": {"head": "camhfa", "context": 1}}}, "train"),
        ({"backbone": {"num_hidden_layers": 1}}, "train"),
        ({"scoring": {"crop_s": 0.3}}, "train"),
        ({"attribution": {"max_steps": 64}}, "attribute"),
        ({"attribution": {"utterances": 6}}, "attribute"),
        ({"attribution": {"baseline_utterances": 2}}, "average"),
    ],
)
def test_another_value_is_made_again_from_where_it_matters(changed, forbid, values, made):
    forbid(*MAKERS)
    with pytest.raises(Made) as what:
        do_all(changed(**values))
    # Of the baseline the stage itself is asked before attributions are.
    assert str(what.value) == made


@pytest.mark.parametrize(
    "values",
    [
        {"evaluation": {"rounds": 5}},
        {"seeds": [0, 1, 2]},
        {"detectors": {"other": {"head": "sls"}}},
        {"scoring": {"batch_size": 3}},
    ],
)
def test_a_value_that_decides_nothing_made_makes_nothing_again(study, changed, forbid, values):
    do_all(study)
    files = [path for path in study.run(NAME, SEED).rglob("*") if path.is_file()]
    before = [path.stat().st_mtime_ns for path in files]
    forbid(*MAKERS)
    do_all(changed(**values))
    assert [path.stat().st_mtime_ns for path in files] == before


def test_the_name_of_a_study_gives_it_a_folder_of_its_own(changed, forbid):
    forbid("train")
    with pytest.raises(Made):
        stages.epochs(changed(name="another"), NAME, SEED)


@pytest.mark.parametrize(("set_name", "made"), [("train", "train"), ("dev", "train"), ("eval", "score")])
def test_a_changed_protocol_is_noticed(study, corpus, changed, forbid, set_name, made, tmp_path):
    for name, (file, folder) in protocol.SETS.items():
        (tmp_path / "corpus" / folder).mkdir(parents=True)
        (tmp_path / "corpus" / folder).rmdir()
        (tmp_path / "corpus" / folder).symlink_to(corpus / folder)
        table = protocol.read(corpus / file)
        protocol.write(tmp_path / "corpus" / file, table.iloc[:-1] if name == set_name else table)
    moved = changed(corpus={"root": str(tmp_path / "corpus")})
    forbid(*MAKERS)
    with pytest.raises(Made, match=made):
        do_all(moved)


@pytest.mark.parametrize(
    ("record", "made"),
    [("training.json", "train"), ("scores_eval.json", "score"), ("attributions.json", "attribute")],
)
def test_what_was_cut_off_is_made_again(study, forbid, record, made):
    """The record is written last, so a killed job leaves none."""
    (study.run(NAME, SEED) / record).unlink()
    forbid(*MAKERS)
    with pytest.raises(Made, match=made):
        do_all(study)


def test_a_stage_makes_what_it_needs(experiment):
    """Attributions of a study with nothing done yet, here of SLS from its second seed."""
    result = stages.attributions(experiment, "sls", 1)
    run = experiment.run("sls", 1)
    assert set(result["detector"]) == {"sls"}
    assert set(result["seed"]) == {1}
    assert set(result["checkpoint"]) == {fingerprint(run / "checkpoint")}
    assert {path.name for path in run.iterdir()} >= {"checkpoint", "baseline.safetensors", "attributions.parquet"}
    assert not (run / "scores_eval.parquet").exists()


def test_scores_say_where_they_come_from(study):
    scores = stages.set_scores(study, NAME, SEED, "eval")
    assert set(scores["seed"]) == {SEED}
    assert set(scores["checkpoint"]) == {fingerprint(study.run(NAME, SEED) / "checkpoint")}
    official = pd.read_csv(study.run(NAME, SEED) / "scores_eval.tsv", sep="\t")
    np.testing.assert_allclose(official["cm-score"], -scores["spoof_score"])
    assert json.loads((study.run(NAME, SEED) / "scores_eval.json").read_text())["scored"] == 8


def test_each_set_has_scores_of_its_own(study, forbid):
    assert set(stages.set_scores(study, NAME, SEED, "dev")["utterance"].str[0]) == {"D"}
    forbid(*MAKERS)
    assert set(stages.set_scores(study, NAME, SEED, "eval")["utterance"].str[0]) == {"E"}
    assert set(stages.set_scores(study, NAME, SEED, "dev")["utterance"].str[0]) == {"D"}


def test_a_file_that_cannot_be_read_is_left_out_and_listed(study, corpus, changed, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    (tmp_path / "corpus" / "flac_E_eval" / "E_0003.flac").write_bytes(b"")
    (study.run(NAME, SEED) / "scores_eval.json").unlink()
    scores = stages.set_scores(changed(corpus={"root": str(tmp_path / "corpus")}), NAME, SEED, "eval")
    assert len(scores) == 7
    left_out = pd.read_csv(study.run(NAME, SEED) / "left_out_eval.tsv", sep="\t")
    assert left_out["utterance"].tolist() == ["E_0003"]
    assert "the file is empty" in left_out["reason"][0]


def test_the_utterances_to_explain_are_even_over_classes_and_attacks(study):
    assert stages.explained(study)["attack"].value_counts().to_dict() == {"-": 2, "A03": 1, "A04": 1}


def test_a_score_explained_is_the_score_of_the_table(study):
    scores = stages.set_scores(study, NAME, SEED, "eval").set_index("utterance")["spoof_score"]
    for row in stages.attributions(study, NAME, SEED).itertuples():
        assert row.spoof_score == pytest.approx(scores[row.utterance], abs=1e-4)


def test_the_free_selection_has_a_table_of_its_own(study, forbid, monkeypatch):
    monkeypatch.setattr("sslig.stages.attributed.COMPARED", 2)
    frozen = stages.attributions(study, NAME, SEED)
    free = stages.free_attributions(study, NAME, SEED)
    assert free["utterance"].tolist() == frozen["utterance"].tolist()[:2]
    forbid(*MAKERS)
    assert len(stages.attributions(study, NAME, SEED)) == 4
    assert len(stages.free_attributions(study, NAME, SEED)) == 2


def test_the_baseline_of_an_experiment_is_made_of_its_training_set(study):
    made = stages.baseline(study, NAME, SEED)
    assert made.name == "bonafide_mean"
    assert {key: made.source[key] for key in ("set", "key", "seed", "utterances")} == {
        "set": "train", "key": "bonafide", "seed": SEED, "utterances": 4,
    }  # fmt: skip
    model = Detector.from_pretrained(study.run(NAME, SEED) / "checkpoint")
    assert made.values.shape == (model.backbone.n_layers, model.backbone.feature_size)


def test_zero_is_a_baseline_too_and_one_takes_the_place_of_the_other(changed):
    zeros = stages.baseline(changed(attribution={"baseline": "zero"}), NAME, SEED)
    assert (zeros.name, torch.count_nonzero(zeros.values).item()) == ("zero", 0)
    mean = stages.baseline(changed(attribution={"baseline": "bonafide_mean"}), NAME, SEED)
    assert (mean.name, torch.count_nonzero(mean.values).item() > 0) == ("bonafide_mean", True)


def test_an_unknown_baseline_is_refused(changed):
    with pytest.raises(BaselineError, match=r"experiment\.yaml: attribution\.baseline is 'noise'; accepted: bonafide_"):
        stages.baseline(changed(attribution={"baseline": "noise"}), NAME, SEED)


def test_a_ready_made_corpus_without_protocols_names_folder_and_experiment(tmp_path, write_experiment):
    study = write_experiment(tmp_path, corpus={"root": str(tmp_path / "nowhere")})
    for stage in (stages.corpus, stages.explained, lambda study: stages.epochs(study, NAME, SEED)):
        with pytest.raises(protocol.ProtocolError, match=r"no ASVspoof5\.train\.tsv; set corpus\.root") as error:
            stage(study)
        assert str(tmp_path / "nowhere") in str(error.value)
        assert str(study.path) in str(error.value)


def test_another_corpus_is_built_from_its_source(tmp_path, write_experiment, monkeypatch):
    asked = []
    monkeypatch.setattr(corpora, "ensure", lambda *arguments, **options: asked.append((arguments, options)))
    study = write_experiment(tmp_path, corpus={"source": "synthetic", "root": "built", "seed": 3})
    assert stages.corpus(study) == tmp_path / "built"
    assert asked[0][0][:2] == ("synthetic", tmp_path / "built")


def test_the_command_line_does_one_stage(study, forbid, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stages", "train", str(study.path), "--detector", NAME, "--seed", "0"])
    forbid(*MAKERS)
    main()
    monkeypatch.setattr(sys, "argv", ["stages", "train", str(study.path), "--detector", NAME, "--seed", "1"])
    with pytest.raises(Made, match="train"):
        main()


def test_the_command_line_fails_in_one_line(study, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stages", "train", str(study.path), "--detector", "lcnn"])
    with pytest.raises(SystemExit, match=r"error: .*unknown detector 'lcnn'; it has aasist, camhfa, sls"):
        main()
    with pytest.raises(StudyError):
        stages.epochs(study, NAME, 9)


def test_scores_are_calibrated_on_dev_and_judged_on_eval(study):
    table, found = stages.calibrated(study, NAME, SEED)
    dev = stages.set_scores(study, NAME, SEED, "dev")
    assert found == fusion.calibrate(dev["spoof_score"], dev["key"].map(KEYS), NAME)
    assert set(table["utterance"].str[0]) == {"E"}
    expected = found.weights[0] * table["spoof_score"] + found.offset
    np.testing.assert_allclose(table[stages.RATIO], expected)
    run = study.run(NAME, SEED)
    pd.testing.assert_frame_equal(pd.read_parquet(run / "llr_eval.parquet"), table)
    assert json.loads((run / "calibration.json").read_text())["fitted_on"] == "dev"


def test_fusion_weighs_the_scores_of_all_detectors(study):
    table, found = stages.fused(study, [NAME, "sls"], SEED)
    assert found.disjoint_in == "speakers"
    expected = table[[NAME, "sls"]].to_numpy() @ np.array(found.weights) + found.offset
    np.testing.assert_allclose(table[stages.RATIO], expected)
    assert (study.runs / "fusion" / f"{NAME}+sls" / "seed0" / "fusion.json").is_file()


def test_what_could_not_be_scored_is_tried_again_once_it_was_repaired(study, forbid):
    run = study.run(NAME, SEED)
    left_out = run / "left_out_eval.tsv"
    pd.DataFrame({"utterance": ["E_0001"], "reason": ["truncated"]}).to_csv(left_out, sep="\t", index=False)
    forbid("score")
    stages.set_scores(study, NAME, SEED, "eval")
    os.utime(left_out, (0, 0))
    with pytest.raises(Made):
        stages.set_scores(study, NAME, SEED, "eval")
