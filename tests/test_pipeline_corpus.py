import json

import pytest

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
    with pytest.raises(CorpusError, match=r"no ASVspoof5\.train\.tsv; set corpus\.root in .*experiment\.yaml"):
        rule(study)
