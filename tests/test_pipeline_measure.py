import shutil

import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.cues import artefacts
from sslig.errors import CorpusError
from sslig.pipeline.measure import measure

OPTIONS = {"workers": 1, "f0": False}


@pytest.fixture
def run(tmp_path):
    """Runs the rule and returns its two tables."""

    def run(study, corpus, shard="0of1", measured="eval"):
        paths = {name: tmp_path / f"{name}.{shard}.parquet" for name in ("artefacts", "left_out")}
        measure(study, corpus=corpus, measured=measured, shard=shard, **paths)
        return tuple(pd.read_parquet(path) for path in paths.values())

    return run


@pytest.fixture
def broken(tmp_path, corpus):
    """A corpus in which one file of eval is not a sound file."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    (root / "flac_E_eval" / "E_0003.flac").write_bytes(b"no sound")
    return root


def test_every_utterance_of_eval_is_measured(tmp_path, write_experiment, corpus, run):
    table, left_out = run(write_experiment(tmp_path, artefacts=OPTIONS), corpus)
    assert table["utterance"].tolist() == protocol.load_set(corpus, "eval")["utterance"].tolist()
    assert table.columns.tolist() == ["utterance", *artefacts.PLAIN]
    assert left_out.empty
    assert left_out.columns.tolist() == ["utterance", "reason"]


def test_the_voice_is_measured_in_eval_only(tmp_path, write_experiment, corpus, run):
    study = write_experiment(tmp_path, artefacts=OPTIONS | {"f0": True, "utterances": 2})
    (train, _), (evaluated, _) = (run(study, corpus, measured=name) for name in ("train", "eval"))
    assert train["utterance"].str.startswith("T_").all()
    assert train.columns.tolist() == ["utterance", *artefacts.PLAIN]
    assert evaluated.columns.tolist() == ["utterance", *artefacts.MEASURES]


def test_shards_make_up_the_whole(tmp_path, write_experiment, corpus, run):
    study = write_experiment(tmp_path, artefacts=OPTIONS)
    whole, _ = run(study, corpus)
    shards = pd.concat([run(study, corpus, f"{number}of3")[0] for number in range(3)])
    pd.testing.assert_frame_equal(shards.sort_values("utterance").reset_index(drop=True), whole)


def test_fewer_utterances_begin_with_the_explained(tmp_path, write_experiment, corpus, run):
    study = write_experiment(tmp_path, artefacts=OPTIONS | {"utterances": 6})
    table, _ = run(study, corpus)
    explained = stratified(protocol.load_set(corpus, "eval"), 4, study.corpus.seed)
    assert len(table) == 6
    assert set(explained["utterance"]) <= set(table["utterance"])


def test_a_broken_file_is_left_out_by_name(tmp_path, write_experiment, broken, run):
    table, left_out = run(write_experiment(tmp_path, artefacts=OPTIONS), broken)
    assert len(table) == 7
    ((name, reason),) = left_out.to_numpy().tolist()
    assert name == "E_0003"
    assert "E_0003.flac" in reason


def test_a_corpus_without_any_sound_is_refused(tmp_path, write_experiment, broken, run):
    for path in (broken / "flac_E_eval").glob("*.flac"):
        path.write_bytes(b"no sound")
    with pytest.raises(CorpusError, match=r"none of 8 .*E_0000"):
        run(write_experiment(tmp_path, artefacts=OPTIONS), broken)
