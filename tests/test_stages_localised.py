"""Explanations against planted cues: which utterances, one row a measure, made once, beside plain maps."""

import dataclasses
import importlib
import sys

import numpy as np
import pandas as pd
import pytest

from sslig import audio, stages
from sslig.corpora import protocol
from sslig.study import load
from sslig.validation import planted_maps
from sslig.validation.localisation import MEASURES, LocalisationError

NAME, SEED, KIND = "camhfa", 0, "band"
METHODS = ["ig", "gradient_x_input", "random"]


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """A corpus of bona fide noise, four utterances of 1.6 s a set, which leaves room for a cue and a rest."""
    root, generator = tmp_path_factory.mktemp("noises"), np.random.default_rng(3)
    for name, (file, folder) in protocol.SETS.items():
        initial, rows = name[0].upper(), []
        for number in range(4):
            utterance = f"{initial}_{number}"
            audio.write_flac(root / folder / f"{utterance}.flac", 0.1 * generator.standard_normal(25_600))
            rows.append([f"{initial}_S{number // 2}", utterance, "F", *"-----", "bonafide", "-"])
        protocol.write(root / file, pd.DataFrame(rows, columns=protocol.COLUMNS))
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment, noises):
    """The folder of a study whose planted cues were looked for by `METHODS`, and the table of that."""
    values = {"methods": METHODS, "planted_utterances": 3, "training": {"steps_per_epoch": 1}, "rounds": 20}
    folder = tmp_path_factory.mktemp("localised")
    study = write_experiment(folder, validation=values, corpus={"root": str(noises)})
    return study.root, stages.localised(study, NAME, SEED, KIND)


@pytest.fixture
def study(finished):
    return load(finished[0] / "experiment.yaml")


@pytest.fixture
def table(finished):
    return finished[1]


def test_detected_spoofs_reach_the_threshold_of_dev(study):
    derived = stages.planted(study, KIND)
    found = stages.detected(derived, NAME, SEED)
    scores = stages.set_scores(derived, NAME, SEED, "eval").set_index("utterance")
    assert 1 <= len(found) <= 3
    assert (found["score"] >= found["threshold"]).all()
    assert set(scores.loc[found["utterance"], "key"]) == {"spoof"}
    assert found["recording"].notna().all()


def test_a_row_is_an_utterance_a_map_and_a_measure(study, table):
    n = len(stages.detected(stages.planted(study, KIND), NAME, SEED))
    maps = {method: {"signed", "absolute", "l2"} for method in METHODS}
    plain = ("energy", "voice_activity", "non_speech", "attention", "feature_change", "score_change")
    maps |= {name: {"plain"} for name in plain}
    assert {name: set(part) for name, part in table.groupby("method")["aggregation"]} == maps
    assert len(table) == n * (3 * 3 + 6) * len(MEASURES)
    assert set(table["statistic"]) == set(MEASURES)
    assert set(table["kind"] + table["detector"]) == {KIND + NAME}
    held = table[table["statistic"] == "relevance_rank"]
    np.testing.assert_allclose(held["control"], held["place_share"])  # chance is the share of time
    explained = table[table["aggregation"] == "signed"]
    np.testing.assert_allclose(explained["spoof_score"], explained["score"], atol=1e-4)
    assert table.loc[table["method"] == "energy", "seconds"].isna().all()


def test_changed_features_know_the_place(table):
    """The features of a twin differ nowhere more than where its cue is, so the map is above chance."""
    found = table[(table["method"] == "feature_change") & (table["statistic"] == "roc_auc")]
    assert (found["value"] > 0.5).all()


def test_tables_are_made_once_and_a_new_method_alone(study, table, monkeypatch):
    asked = []
    module = importlib.import_module("sslig.stages.localised")
    monkeypatch.setattr(module, "_measured", lambda *arguments: asked.append(arguments[7]) or {"occlusion": []})
    pd.testing.assert_frame_equal(stages.localised(study, NAME, SEED, KIND), table)
    assert asked == []
    stages.localised(study, NAME, SEED, KIND, ["ig", "occlusion"])
    assert asked == [["occlusion"]]


def test_each_method_has_a_table_of_its_own(study):
    run = study.runs / "planted" / KIND / NAME / "seed0" / "localised"
    stored = {path.stem for path in run.glob("*.parquet")}
    assert {*METHODS, "rivals"} <= stored
    assert pd.read_csv(run / "left_out.tsv", sep="\t").columns.tolist() == ["utterance", "reason"]


def test_the_summary_stands_beside_chance(study, table):
    found = stages.localised_summary(study, table)
    assert {"kind", "detector", "method", "aggregation", "statistic", "value", "control", "advantage_low"} <= set(found)
    row = found.set_index(["method", "aggregation", "statistic"]).loc[("ig", "signed", "roc_auc")]
    held = table[(table["method"] == "ig") & (table["aggregation"] == "signed") & (table["statistic"] == "roc_auc")]
    assert row["value"] == pytest.approx(held["value"].mean())
    assert row["control"] == pytest.approx(0.5)


def test_costs_and_certificates_are_told_by_method(table):
    found = stages.localised_costs(table).set_index("method")
    assert found.index.tolist() == METHODS
    assert (found.loc["ig", "complete"], found.loc["random", "not promised"]) == (found["n"].iloc[0],) * 2
    assert found.loc["ig", "residual_worst"] <= 0.01
    assert np.isnan(found.loc["gradient_x_input", "residual_median"])


def test_maps_can_be_looked_at(study, table):
    utterance = table["utterance"].iloc[0]
    found = stages.localised_maps(study, NAME, SEED, KIND, utterance)
    frames = {(one.method, one.aggregation): one.frames for one in found.maps}
    assert {one.shape for one in frames.values()} == {found.truth.shape}
    assert found.n_read == len(found.truth) == found.clock.n_frames(len(found.waveform))
    assert 0 < found.truth.sum() < len(found.truth)
    assert ("random", "signed") in frames
    with pytest.raises(LocalisationError, match=r"'E_x' is none of the \d detected spoofs"):
        stages.localised_maps(study, NAME, SEED, KIND, "E_x")


def test_a_place_that_the_head_does_not_read_is_listed(study, monkeypatch):
    """The truth of one utterance is moved behind its end."""
    truth_mask, first = planted_maps.truth_mask, []

    def moved(rows, clock, n_frames):
        first.append(rows["utterance"].iloc[0])
        return truth_mask(rows, clock, n_frames) & (rows["utterance"].iloc[0] != first[0])

    monkeypatch.setattr(planted_maps, "truth_mask", moved)
    derived = stages.planted(study, KIND)
    n = len(stages.detected(derived, NAME, SEED))
    if n > 1:
        table = stages.localised(study, NAME, SEED, KIND, ["random(  )", "gradient_shap(samples=16, draws=2)"])
        assert set(table.loc[table["method"] == "gradient_shap(samples=16, draws=2)", "utterance"]) == set(first[1:])
        left_out = pd.read_csv(derived.run(NAME, SEED) / "localised" / "left_out.tsv", sep="\t")
        assert left_out["utterance"].tolist() == first[:1]
        assert "0 of the" in left_out["reason"].iloc[0]


def test_a_detector_that_detects_nothing_says_so(study, monkeypatch):
    module = importlib.import_module("sslig.stages.localised")
    monkeypatch.setattr(module.metrics, "eer_threshold", lambda *_: np.inf)
    with pytest.raises(LocalisationError, match="camhfa, seed 0: none of 4 spoofs scores inf or more"):
        stages.detected(stages.planted(study, KIND), NAME, SEED)


def test_twins_are_the_same_recording(study):
    module = importlib.import_module("sslig.stages.localised")
    derived = stages.planted(study, KIND)
    twins = module._twins(derived)
    table = protocol.with_recordings(derived.corpus_root, protocol.load_set(derived.corpus_root, "eval"))
    recording = table.set_index("path")["recording"]
    spoofs = table[table["key"] == "spoof"]
    assert set(twins) == set(spoofs["utterance"])
    assert [recording[twins[name]] for name in spoofs["utterance"]] == spoofs["recording"].tolist()


@pytest.mark.parametrize(("job", "kinds"), [([], ["noise_floor", KIND]), (["--job", KIND], [KIND])])
def test_the_command_line_takes_one_kind_or_all(study, monkeypatch, job, kinds):
    module, asked = importlib.import_module("sslig.stages.__main__"), []
    planted = dataclasses.replace(study.validation, planted=["noise_floor", KIND])
    monkeypatch.setattr(module, "load", lambda path: dataclasses.replace(study, validation=planted))
    monkeypatch.setattr(module, "localised", lambda experiment, *asked_for: asked.append(asked_for))
    monkeypatch.setattr(sys, "argv", ["stages", "localise", str(study.path), "--detector", NAME, *job])
    module.main()
    assert asked == [(NAME, SEED, kind) for kind in kinds]


def test_a_detector_that_detects_nothing_ends_no_job(study, monkeypatch, capsys):
    module = importlib.import_module("sslig.stages.__main__")

    def refuse(*asked_for):
        raise LocalisationError("none of 4 spoofs")

    monkeypatch.setattr(module, "localised", refuse)
    monkeypatch.setattr(sys, "argv", ["stages", "localise", str(study.path), "--detector", NAME, "--job", KIND])
    module.main()
    assert "localise camhfa seed 0, nothing to explain of band (none of 4 spoofs): done in" in capsys.readouterr().err
