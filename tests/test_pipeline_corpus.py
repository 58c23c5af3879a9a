import json

import numpy as np
import pytest

from sslig import audio
from sslig.corpora import protocol
from sslig.errors import CorpusError
from sslig.pipeline.corpus import corpus as rule


def test_a_corpus_is_built_from_its_source(tmp_path, write_experiment):
    recordings = {"train": 1, "dev": 1, "eval": 2}
    study = write_experiment(tmp_path, corpus={"source": "synthetic", "root": "made", "recordings": recordings})
    rule(study, workers=1)
    for name, count in recordings.items():
        table = protocol.load_set(study.corpus_root, name)
        assert ((table["key"] == "bonafide") & (table["codec"] == "-")).sum() == count
    assert json.loads((tmp_path / "made" / "corpus.json").read_text())["options"]["seed"] == 0


def test_a_ready_made_corpus_is_left_as_it_is(experiment):
    before = sorted(experiment.corpus_root.rglob("*"))
    rule(experiment)
    assert sorted(experiment.corpus_root.rglob("*")) == before


def test_a_protocol_that_a_ready_made_corpus_lacks_is_named(tmp_path, write_experiment):
    study = write_experiment(tmp_path, corpus={"root": str(tmp_path)})
    with pytest.raises(
        CorpusError,
        match=r"no ASVspoof5\.train\.tsv there or in ASVspoof5_protocols; set corpus\.root in .*experiment\.yaml",
    ):
        rule(study)


def test_a_corpus_that_is_read_has_its_tables_below_the_runs_of_the_study(tmp_path, write_experiment):
    for name in ("a.flac", "b.flac", "c.flac"):
        audio.write_flac(tmp_path / "wild" / name, np.full(160, 0.1))
    (tmp_path / "wild" / "meta.csv").write_text(
        "file,speaker,label\na.flac,Ann,spoof\nb.flac,Ann,bona-fide\nc.flac,Bob,spoof\n"
    )
    corpus = {"source": "in_the_wild", "root": "wild"}
    study = write_experiment(tmp_path, corpus=corpus | {"tests": {"again": corpus | {"recordings": {"eval": 2}}}})
    assert study.corpus.available == ["eval"]
    rule(study)
    assert protocol.load_set(study.corpus_root, "eval")["utterance"].tolist() == ["a", "b", "c"]
    assert protocol.tables(study) == {"eval": study.runs / "corpus" / "eval.tsv"}
    rule(study, test="again")
    assert protocol.load_set(study.tests_root, "again")["key"].tolist() in (
        ["spoof", "bonafide"],
        ["bonafide", "spoof"],
    )
    with pytest.raises(CorpusError, match="unknown set 'other'"):
        protocol.load_set(study.tests_root, "other")
