import pandas as pd
import pytest

from sslig.attribution.context import dev_threshold
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.pipeline.faithfulness import faithfulness


@pytest.fixture
def table(explained_study, tmp_path):
    """The table of two utterances and one method."""
    values = {"utterances": 2, "draws": 3, "methods": ["random"]}
    validation = explained_study.validation.model_copy(update=values)
    study, folder = explained_study.model_copy(update={"validation": validation}), explained_study.run("camhfa", 0)
    inputs = {name: folder / f"{name}.safetensors" for name in ("baseline", "nonspeech")}
    inputs |= {"detector": folder / "detector", "corpus": study.corpus_root}
    paths = {name: tmp_path / f"{name}.parquet" for name in ("faithfulness", "left_out")}
    faithfulness(study, name="camhfa", seed=0, **inputs, scores_dev=folder / "scores_dev.parquet", **paths)
    assert pd.read_parquet(paths["left_out"]).columns.tolist() == ["utterance", "reason"]
    return pd.read_parquet(paths["faithfulness"])


def test_methods_of_the_study_are_tested_on_evenly_drawn_utterances(table, explained_study):
    drawn = stratified(protocol.load_set(explained_study.corpus_root, "eval"), 2, explained_study.corpus.seed)
    assert set(table["utterance"]) == set(drawn["utterance"])
    assert set(table["method"]) == {"random"}
    assert (set(table["detector"]), set(table["seed"])) == ({"camhfa"}, {0})
    assert not table.duplicated(["utterance", "method", "aggregation", "space", "replacement", "at", "statistic"]).any()


def test_the_decision_is_that_of_the_threshold_on_dev(table, explained_study):
    threshold = dev_threshold(pd.read_parquet(explained_study.run("camhfa", 0) / "scores_dev.parquet"))
    assert ((table["spoof_score"] > threshold) == (table["direction"] == 1)).all()
