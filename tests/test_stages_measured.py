import shutil

import pandas as pd
import pytest

from sslig import stages
from sslig.corpora import protocol
from sslig.cues import artefact_table, artefacts, segments
from sslig.cues.artefacts import ArtefactError
from sslig.stages.measured import measured_utterances, measures
from sslig.study import load

OPTIONS = {"workers": 1, "f0": False}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment):
    """The folder of a study that is measured."""
    study = write_experiment(tmp_path_factory.mktemp("measured"), artefacts=OPTIONS)
    measures(study)
    return study.root


@pytest.fixture
def study(finished):
    return load(finished / "experiment.yaml")


@pytest.fixture
def broken(tmp_path, corpus, write_experiment):
    """A study of a corpus in which one file of eval is no sound."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    (root / "flac_E_eval" / "E_0003.flac").write_bytes(b"no sound")
    return write_experiment(tmp_path, artefacts=OPTIONS, corpus={"root": str(root)})


def test_every_utterance_of_eval_is_measured_on_its_voice_activity(study):
    found, left_out = measures(study)
    assert found["utterance"].tolist() == protocol.load_set(study.corpus_root, "eval")["utterance"].tolist()
    assert found.columns.tolist() == ["utterance", *artefacts.names(f0=False)]
    assert left_out.empty
    speech = pd.read_parquet(study.runs / "artefacts" / "eval.parquet")
    assert set(speech["tier"]) == {"speech"}
    first = speech[speech["utterance"] == "E_0000"]
    assert found["duration_s"][0] == pytest.approx(first["duration_s"].iloc[0])


def test_what_is_there_is_not_made_again(study, monkeypatch):
    before, _ = measures(study)
    monkeypatch.setattr(segments, "decode", None)
    monkeypatch.setattr(artefact_table, "measure", None)
    pd.testing.assert_frame_equal(measures(study)[0], before)


def test_more_measures_are_made_of_the_same_voice_activity(finished, tmp_path, write_experiment, monkeypatch):
    shutil.copytree(finished / "runs", tmp_path / "runs")
    wider = write_experiment(tmp_path, artefacts={"workers": 1, "f0": True})
    monkeypatch.setattr(segments, "decode", None)
    assert measures(wider)[0].columns.tolist() == ["utterance", *artefacts.names(f0=True)]


def test_fewer_utterances_begin_with_the_explained(tmp_path, write_experiment):
    fewer = write_experiment(tmp_path, artefacts=OPTIONS | {"utterances": 6}, attribution={"utterances": 4})
    chosen = measured_utterances(fewer)
    assert len(chosen) == 6
    assert set(stages.explained(fewer)["utterance"]) <= set(chosen["utterance"])


def test_a_file_that_is_no_sound_is_left_out_by_name_each_time(broken):
    for _ in range(2):
        found, left_out = measures(broken)
        assert len(found) == 7
        ((name, reason),) = left_out[["utterance", "reason"]].to_numpy().tolist()
        assert name == "E_0003"
        assert "E_0003.flac" in reason
        stored = pd.read_csv(broken.runs / "artefacts" / "left_out.tsv", sep="\t")
        assert stored["utterance"].tolist() == ["E_0003"]


def test_without_any_sound_there_is_no_table(broken):
    for path in (broken.corpus_root / "flac_E_eval").glob("*.flac"):
        path.write_bytes(b"no sound")
    with pytest.raises(ArtefactError, match=r"none of 8 .*E_0000"):
        measures(broken)
