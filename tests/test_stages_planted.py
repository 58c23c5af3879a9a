"""Derived studies of planted cues: built once, identified by their values, and open to every stage."""

import importlib

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from sslig import audio, stages, training
from sslig.corpora import protocol
from sslig.corpora.building import CorpusError
from sslig.corpora.planted import PlantedError
from sslig.stages.planted import stretches
from sslig.stages.scored import set_scores
from sslig.study import StudyError

SHORT = {"training": {"steps_per_epoch": 1, "epochs": 1}}


@pytest.fixture
def study(tmp_path, write_experiment):
    return lambda **validation: write_experiment(tmp_path, validation=validation)


def test_the_study_is_derived_beside_its_own_runs(study):
    experiment = study(**SHORT)
    derived = stages.planted(experiment, "band")
    assert derived.runs == experiment.runs / "planted" / "band"
    assert derived.corpus.source == "planted:band"
    assert derived.corpus_root == experiment.root / "corpora" / "tiny-planted" / "band"
    assert (derived.training.steps_per_epoch, derived.training.batch_size) == (1, 2)
    assert derived.detectors == experiment.detectors


def test_stages_work_on_it_as_on_any_other(study):
    derived = stages.planted(study(**SHORT), "band")
    scores = set_scores(derived, "camhfa", 0, "eval")
    assert sorted(scores["utterance"]) == protocol.load_set(derived.corpus_root, "eval")["utterance"].tolist()
    assert (derived.run("camhfa", 0) / "checkpoint").is_dir()


def test_detectors_of_planted_cues_start_from_those_of_the_study(study):
    still = {"epochs": 1, "steps_per_epoch": 1, "lr_backbone": 0.0, "lr_head": 0.0, "weight_decay": 0.0}
    experiment = study(start="study", training=still)
    derived = stages.planted(experiment, "band")
    stages.checkpoint(derived, "camhfa", 0)
    first = experiment.run("camhfa", 0) / "checkpoint"  # trained by the way
    weights, started = (load_file(folder / "model.safetensors")
                        for folder in (derived.run("camhfa", 0) / "last", first))  # fmt: skip
    assert weights.keys() == started.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], started[name], atol=0, rtol=0)


def test_another_start_is_another_training(study):
    derived, alone = (stages.planted(study(start=start, **SHORT), "band") for start in ("study", "backbone"))
    start = stages.checkpoint(derived.start, "camhfa", 0)
    keys = [training.key(derived, "camhfa", 0), training.key(alone, "camhfa", 0)]
    weights = load_file(start / "model.safetensors")
    save_file({name: values + 1 for name, values in weights.items()}, start / "model.safetensors")
    assert len({*keys, training.key(derived, "camhfa", 0)}) == 3


def test_the_truth_is_of_spoofs_of_the_set(study):
    experiment = study()
    truth = stages.planted_truth(experiment, "band")
    spoofs = protocol.load_set(stages.planted(experiment, "band").corpus_root, "eval").query("key == 'spoof'")
    assert set(truth["utterance"]) == set(spoofs["utterance"])
    assert truth.columns.tolist() == ["utterance", "start_s", "end_s"]


def test_a_corpus_is_built_once(study, monkeypatch):
    module = importlib.import_module("sslig.stages.planted")
    root = stages.plant(study(), "band")
    made = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(module, "originals", lambda *_: pytest.fail("the corpus is there"))
    assert stages.plant(study(), "band") == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == made


def test_other_values_make_another_corpus(study):
    def fingerprint(**validation):
        return (stages.plant(study(**validation), "band") / "corpus.json").read_text()

    usual = fingerprint()
    assert fingerprint(severity={"band": 6}) != usual
    assert fingerprint(planted_recordings={"train": 3}) != usual
    assert fingerprint(severity={"splice": 0.5}) == usual


def test_coded_variants_are_no_originals(study):
    module = importlib.import_module("sslig.stages.planted")
    experiment = study()
    found = module.originals(experiment, "band", 1)
    for name in protocol.SETS:
        table = protocol.load_set(experiment.corpus_root, name)
        spoken = table[(table["key"] == "bonafide") & (table["codec"] == "-")]
        assert [one.utterance for one in found if one.set == name] == spoken["utterance"].tolist()


def test_no_more_recordings_are_drawn_than_asked_for(study):
    module = importlib.import_module("sslig.stages.planted")
    found = module.originals(study(planted_recordings={"eval": 2}), "band", 1)
    assert [sum(one.set == name for one in found) for name in protocol.SETS] == [4, 4, 2]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"start": "head"}, r"experiment\.yaml: validation\.start names 'head'; accepted: backbone, study"),
        ({"severity": {"click": 1}}, r"experiment\.yaml: validation\.severity names 'click'; accepted: noise_floor, "),
        ({"planted": ["band", "clik"]}, r"experiment\.yaml: validation\.planted names 'clik'"),
        ({"planted_recordings": {"test": 1}}, r"validation\.planted_recordings names 'test'; accepted: train, dev, "),
        ({"severity": {"band": 100}}, "band: severity 100.0; accepted: 0.0 to 60.0 dB of attenuation"),
    ],
)
def test_values_that_name_nothing_are_refused(study, validation, message):
    with pytest.raises(PlantedError, match=message):
        stages.planted(study(**validation), "band")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epoch": 1}, r"experiment\.yaml: unknown key validation\.training\.epoch; known: epochs, "),
        ({"epochs": "many"}, r"experiment\.yaml: validation\.training\.epochs is 'many'; accepted: int"),
    ],
)
def test_the_recipe_is_read_as_strictly_as_the_file(study, training, message):
    with pytest.raises(StudyError, match=message):
        stages.planted(study(training=training), "band")


def test_a_kind_that_is_none_is_refused(study):
    with pytest.raises(PlantedError, match="no kind of planted cue 'click'"):
        stages.planted(study(), "click")


def test_nothing_is_planted_in_what_was_planted(study):
    with pytest.raises(PlantedError, match="tiny/planted/band is a study of planted cues"):
        stages.planted(stages.planted(study(), "band"), "band")


def test_a_derived_study_whose_corpus_is_gone_says_so(study):
    derived = stages.planted(study(), "band")
    (derived.corpus_root / "corpus.json").unlink()
    with pytest.raises(CorpusError, match=r"no corpus\.json; sslig\.stages\.planted builds this corpus"):
        stages.corpus(derived)


def test_pauses_are_quiet_frames_within_speech(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    samples = np.concatenate([np.zeros(4_000), tone, np.zeros(3_200), tone, np.zeros(480), tone, np.zeros(4_000)])
    audio.write_flac(tmp_path / "a.flac", samples)
    n_samples, found = stretches(str(tmp_path / "a.flac"), "pauses")
    assert n_samples == len(samples)
    ((start_s, end_s),) = found  # 30 ms are no pause, and silence before and after speech is none
    assert start_s == pytest.approx(20_000 / 16_000, abs=0.02)
    assert end_s == pytest.approx(23_200 / 16_000, abs=0.02)


def test_voiced_runs_are_those_of_a_pitch(tmp_path, tone):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(tmp_path / "a.flac", np.concatenate([noise, tone]), 16_000)
    _, found = stretches(str(tmp_path / "a.flac"), "voiced")
    longest = max(found, key=lambda stretch: stretch[1] - stretch[0])
    assert longest == pytest.approx((1.0, 2.0), abs=0.06)
