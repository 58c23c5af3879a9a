import json
import shutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from sslig import scoring, stages
from sslig.corpora import protocol
from sslig.stages import validating
from sslig.stats import metrics
from sslig.study import load
from sslig.validation.statistics import STATISTICS
from sslig.validation.summary import summarise

stage = import_module("sslig.stages.faithful")  # the function of that name hides it in the folder

NAME, SEED = "camhfa", 0
METHODS = ["ig", "random"]
VALUES = {
    "masking": {"segments": ["vad"], "workers": 1},
    "attribution": {"max_steps": 16},
    "validation": {"utterances": 4, "draws": 5, "rounds": 20, "methods": METHODS},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment):
    """The folder of a study with two methods measured on CA-MHFA."""
    study = write_experiment(tmp_path_factory.mktemp("faithful"), **VALUES)
    stage.faithful(study, NAME, SEED)
    return study.root


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study."""
    shutil.copytree(finished, tmp_path / "study")
    return load(tmp_path / "study" / "experiment.yaml")


@pytest.fixture
def made(monkeypatch):
    """The methods that are measured from now on."""
    found, explained = [], validating.Presented.explained

    def noted(one, method, *arguments, **options):
        found.append(method.spec)
        return explained(one, method, *arguments, **options)

    monkeypatch.setattr(validating.Presented, "explained", noted)
    return found


def test_every_utterance_has_every_statistic_of_every_method(study, made):
    table = stage.faithful(study, NAME, SEED)
    assert made == []
    assert set(table["method"]) == set(METHODS)
    assert set(table["utterance"]) == set(validating.validated_utterances(study)["utterance"])
    assert set(table["statistic"]) <= set(STATISTICS)
    assert not table.duplicated(["utterance", "method", "aggregation", *validating.WHERE, "statistic"]).any()
    counts = table.groupby(["method", "utterance"]).size()
    assert counts["ig"].nunique() == counts["random"].nunique() == 1
    assert set(table["detector"]) == {NAME}


def test_each_space_and_replacement_is_told(study):
    table = stage.faithful(study, NAME, SEED)
    found = set(
        table[table["statistic"] == "deletion_area"][["space", "replacement"]].itertuples(index=False, name=None)
    )
    assert found == {
        ("features", "bonafide_mean"), ("features", "nonspeech_mean"), ("features", "interpolation"),
        ("waveform", "interpolation"),
    }  # fmt: skip
    unsigned = table[table["aggregation"] != "signed"]
    assert set(unsigned["method"]) == {"ig"}
    assert set(unsigned["aggregation"]) == {"absolute", "l2"}
    (share,) = table.loc[table["statistic"] == "loudness_share", "space"].unique()
    assert share == ""


def test_the_decision_is_that_of_the_threshold_on_dev(study):
    dev = stages.set_scores(study, NAME, SEED, "dev")
    bonafide, spoof = (dev.loc[dev["key"] == key, "spoof_score"] for key in ("bonafide", "spoof"))
    threshold = metrics.eer_threshold(bonafide, spoof)
    table = stage.faithful(study, NAME, SEED)
    assert ((table["spoof_score"] > threshold) == (table["direction"] == 1)).all()


def test_a_new_method_is_measured_alone(study, made):
    table = stage.faithful(study, NAME, SEED, ["ig", "gradient_x_input"])
    assert set(made) == {"gradient_x_input"}
    assert set(table["method"]) == {"ig", "gradient_x_input"}
    run = study.run(NAME, SEED) / "faithful"
    assert {path.name for path in run.glob("*.json")} == {"ig.json", "random.json", "gradient_x_input.json"}
    assert json.loads((run / "ig.json").read_text())["method"] == "ig"


def test_what_decides_a_table_is_known(study, made, write_experiment):
    few = write_experiment(study.root, **VALUES | {"validation": VALUES["validation"] | {"draws": 6}})
    stage.faithful(few, NAME, SEED, ["random"])
    assert set(made) == {"random"}
    made.clear()
    stage.faithful(write_experiment(study.root, **VALUES | {"attribution": {"max_steps": 32}}), NAME, SEED, ["random"])
    assert set(made) == {"random"}


def test_methods_that_a_head_does_not_allow_are_left_out(study):
    assert set(stage.faithful(study, NAME, SEED, ["random", "ig(selection=free)"])["method"]) == {"random"}


def test_faulty_files_are_listed(study, write_experiment, corpus):
    shutil.copytree(corpus, study.root / "corpus")
    own = write_experiment(study.root, **VALUES | {"corpus": {"root": str(study.root / "corpus")}})
    shutil.rmtree(own.run(NAME, SEED) / "faithful")
    utterances = validating.validated_utterances(own)
    paths = protocol.load_set(own.corpus_root, "eval").set_index("utterance")["path"]
    broken = utterances["utterance"].iloc[0]
    shutil.copy(own.path, paths[broken])
    table = stage.faithful(own, NAME, SEED, ["random"])
    assert broken not in set(table["utterance"])
    left_out = pd.read_csv(own.run(NAME, SEED) / "faithful" / "left_out.tsv", sep="\t")
    assert left_out["utterance"].tolist() == [broken]
    for name in utterances["utterance"]:
        shutil.copy(own.path, paths[name])
    with pytest.raises(scoring.ScoringError, match="none of 4 utterances"):
        stage.faithful(own, NAME, SEED, ["gradient_x_input"])


def test_the_table_can_be_summed_up(study):
    table = stage.faithful(study, NAME, SEED)
    found = summarise(table, seed=0, rounds=20, resample_recordings=True)
    areas = found.loc[found["statistic"] == "deletion_area", ["value", "advantage_low", "advantage_high"]]
    assert np.isfinite(areas).all(axis=None)
