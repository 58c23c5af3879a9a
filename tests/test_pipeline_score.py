"""Scores of a set in shards, and those of the golden detectors."""

import numpy as np
import pandas as pd
import pytest

from sslig import scores as tables
from sslig.models.detector import fingerprint
from sslig.pipeline.score import score
from sslig.study import Scoring


def scored(study, detector, corpus, folder, shard="0of1"):
    outputs = {name: folder / f"{name}.{shard}.parquet" for name in ("scores", "left_out")}
    arguments = {"name": "camhfa", "seed": 3, "detector": detector, "corpus": corpus, "set_name": "eval"}
    score(study, **arguments, shard=shard, **outputs)
    return tables.read(outputs["scores"]), pd.read_parquet(outputs["left_out"])


@pytest.fixture
def saved(tiny_detector, tmp_path):
    tiny_detector().save_pretrained(tmp_path / "detector")
    return tmp_path / "detector"


def test_shards_are_the_whole_set(experiment, saved, corpus, tmp_path):
    whole, left_out = scored(experiment, saved, corpus, tmp_path)
    parts = [scored(experiment, saved, corpus, tmp_path, shard)[0] for shard in ("0of3", "1of3", "2of3")]
    together = pd.concat(parts).sort_values("utterance", ignore_index=True)
    pd.testing.assert_frame_equal(together, whole, rtol=1e-5)
    assert set(whole["checkpoint"]) == {fingerprint(saved)}
    assert set(whole["seed"]) == {3}
    assert (list(left_out), len(left_out)) == (["utterance", "reason"], 0)


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_golden_scores(experiment, golden, tmp_path, name):
    study = experiment.model_copy(update={"scoring": Scoring()})
    table, left_out = scored(study, golden / "detectors" / name, golden / "corpus", tmp_path)
    expected = pd.read_parquet(golden / "tables" / name / "scores.parquet").set_index("utterance")
    table = table.set_index("utterance").loc[expected.index]
    np.testing.assert_allclose(table["spoof_score"], expected["spoof_score"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(table["duration_s"], expected["duration_s"])
    assert left_out.empty
