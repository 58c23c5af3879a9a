"""The rules `faithfulness` and `sanity` on tiny detectors: which utterances and methods, and what they write."""

import pandas as pd
import pytest

from sslig.attribution import baselines
from sslig.corpora import protocol
from sslig.corpora.sample import stratified
from sslig.pipeline.faithfulness import faithfulness
from sslig.pipeline.sanity import METHODS, sanity


@pytest.fixture
def run(tmp_path, write_experiment, tiny_detector, corpus):
    """Runs a rule on two utterances."""

    def make(rule):
        study = write_experiment(tmp_path, validation={"utterances": 2, "draws": 3, "methods": ["random"]})
        paths = {name: tmp_path / f"{name}.parquet" for name in ("scores_dev", rule.__name__, "left_out")}
        dev = protocol.load_set(corpus, "dev")
        dev.assign(spoof_score=dev["label"].astype(float)).to_parquet(paths["scores_dev"])
        tiny_detector().save_pretrained(tmp_path / "detector")
        baselines.save(tmp_path / "mean.safetensors", baselines.zero(3, 16))
        means = dict.fromkeys(("baseline", "nonspeech"), tmp_path / "mean.safetensors")
        rule(study, name="camhfa", seed=1, detector=tmp_path / "detector", corpus=corpus, **means, **paths)
        table, left_out = (pd.read_parquet(paths[name]) for name in (rule.__name__, "left_out"))
        drawn = stratified(protocol.load_set(corpus, "eval"), 2, study.corpus.seed)
        assert set(table["utterance"]) == set(drawn["utterance"])
        assert left_out.empty
        return table

    return make


def test_methods_of_the_study_are_tested_on_evenly_drawn_utterances(run):
    table = run(faithfulness)
    assert set(table["method"]) == {"random"}
    assert (set(table["detector"]), set(table["seed"])) == ({"camhfa"}, {1})
    assert ((table["spoof_score"] > 1) == (table["direction"] == 1)).all()
    assert not table.duplicated(["utterance", "method", "aggregation", "space", "replacement", "at", "statistic"]).any()


def test_sanity_has_methods_of_its_own(run):
    table = run(sanity)
    assert set(table["method"]) == set(METHODS)
    assert {"randomised_cascading", "max_sensitivity", "steps"} <= set(table["statistic"])
