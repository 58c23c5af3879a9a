import json
import shutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.cues import cue_profile
from sslig.cues.cue_profile import CLASSES
from sslig.study import load

stage = import_module("sslig.stages.profiled")  # the function of that name hides it in the folder

NAME, SEED = "camhfa", 0
VALUES = {
    "masking": {"segments": ["vad", "voicing"], "workers": 1},
    "attribution": {"max_steps": 16},
    "validation": {"rounds": 20},
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of three utterances; the corpus has eight."""
    monkeypatch.setattr(stage, "SHARD_UTTERANCES", 3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment):
    """The folder of a study with CA-MHFA profiled."""
    study = write_experiment(tmp_path_factory.mktemp("profiled"), **VALUES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "SHARD_UTTERANCES", 3)
        stage.profile(study, NAME, SEED)
    return study.root


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study."""
    shutil.copytree(finished, tmp_path / "study")
    return load(tmp_path / "study" / "experiment.yaml")


@pytest.fixture
def made(monkeypatch):
    """The utterances of each shard that is made from now on."""
    found, profiles = [], cue_profile.profiles

    def noted(detector, utterances, *arguments, **options):
        found.append(utterances["utterance"].tolist())
        return profiles(detector, utterances, *arguments, **options)

    monkeypatch.setattr(cue_profile, "profiles", noted)
    return found


def test_every_utterance_is_profiled_in_shards(study, made):
    regions = stage.profiled(study, NAME, SEED)
    parts = list(stage.profiled_parts(study, NAME, SEED))
    assert [len(utterances) for _, utterances in parts] == [3, 3, 2]
    names = [name for _, utterances in parts for name in utterances["utterance"]]
    assert names == stage.profiled_utterances(study)["utterance"].tolist()
    assert set(regions["utterance"]) == set(names)
    assert set(regions["detector"]) == {NAME}
    assert set(regions["segment_class"]) <= set(CLASSES)
    assert "recording" in parts[0][1]
    assert made == []


def test_a_killed_job_goes_on_where_it_was(study, made, monkeypatch):
    run = study.run(NAME, SEED) / "profile"
    before = stage.profiled(study, NAME, SEED)
    (run / "00001.json").unlink()
    (run / "00002.json").unlink()
    (run / "regions-00002.parquet").unlink()

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_tsv", killed)
    with pytest.raises(KeyboardInterrupt):
        stage.profile(study, NAME, SEED)
    assert not (run / "00001.json").exists()
    monkeypatch.undo()
    monkeypatch.setattr(stage, "SHARD_UTTERANCES", 3)
    pd.testing.assert_frame_equal(stage.profiled(study, NAME, SEED), before)


def test_a_job_makes_its_own_shards_only(study, made):
    shutil.rmtree(study.run(NAME, SEED) / "profile")
    assert stage.profile(study, NAME, SEED, shards=[2]) == 3
    assert [len(names) for names in made] == [2]
    stage.profile(study, NAME, SEED)
    assert [len(names) for names in made] == [2, 3, 3]


def test_what_decides_a_profile_is_known(study, made, write_experiment):
    changed = write_experiment(study.root, **VALUES | {"attribution": {"max_steps": 16, "utterances": 6}})
    stage.profile(changed, NAME, SEED)
    assert made == []  # how many are explained elsewhere does not decide it
    stage.profile(write_experiment(study.root, **VALUES | {"attribution": {"max_steps": 32}}), NAME, SEED)
    assert len(made) == 3


def test_fewer_utterances_are_those_of_the_draw(study, write_experiment):
    few = write_experiment(study.root, **VALUES | {"validation": {"profile_utterances": 4}})
    chosen = stage.profiled_utterances(few)
    assert chosen["key"].value_counts().to_dict() == {"bonafide": 2, "spoof": 2}
    assert set(stage.profiled(few, NAME, SEED)["utterance"]) == set(chosen["utterance"])


def test_faulty_files_are_listed_and_the_others_profiled(study, write_experiment, corpus):
    shutil.copytree(corpus, study.root / "corpus")
    own = write_experiment(study.root, **VALUES | {"corpus": {"root": str(study.root / "corpus")}})
    shutil.rmtree(own.run(NAME, SEED) / "profile")
    for path in protocol.load_set(own.corpus_root, "eval")["path"][:3]:  # all of the first shard
        Path(path).write_bytes(b"")
    left_out = stage.profile_left_out(own, NAME, SEED)
    assert left_out["utterance"].tolist() == stage.profiled_utterances(own)["utterance"].tolist()[:3]
    assert left_out["reason"].str.contains("empty").all()
    assert stage.profiled(own, NAME, SEED)["utterance"].nunique() == 5
    told = json.loads((own.run(NAME, SEED) / "profile" / "00000.json").read_text())
    assert (told["utterances"], told["left_out"]) == (3, 3)


def test_the_summary_is_of_groups_with_intervals(study):
    found = stage.profile_summary(study, SEED, by=("detector", "key"), detectors=[NAME])
    assert set(found["key"]) == {"bonafide", "spoof"}
    gini = found[found["measure"] == "gini"]
    assert gini["n"].tolist() == [4, 4]
    assert (gini["low"] <= gini["value"]).all()
    assert (gini["value"] <= gini["high"]).all()
