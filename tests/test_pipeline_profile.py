"""The rule `profile` on a tiny detector, in shards."""

import numpy as np
import pandas as pd
import pytest

from sslig.attribution import baselines
from sslig.corpora import protocol
from sslig.cues.segments import COLUMNS
from sslig.pipeline.profile import profile


@pytest.fixture
def run(tmp_path, write_experiment, tiny_detector, corpus):
    """Profiles a shard; in each utterance the first 0.1 s are silence before speech."""

    def make(shard="0of1", **validation):
        study = write_experiment(tmp_path, validation=validation)
        table = protocol.load_set(corpus, "eval")
        rows = [(name, "speech", *times) for name in table["utterance"] for times in [(0.0, 0.1, "leading", 0.6)]]
        pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(tmp_path / "segments.parquet")
        tiny_detector().save_pretrained(tmp_path / "detector")
        baselines.save(tmp_path / "baseline.safetensors", baselines.zero(3, 16))
        inputs = {"detector": tmp_path / "detector", "corpus": corpus, "baseline": tmp_path / "baseline.safetensors"}
        paths = {name: tmp_path / f"{name}.parquet" for name in ("regions", "utterances", "left_out")}
        profile(study, name="camhfa", seed=1, **inputs, segments=tmp_path / "segments.parquet", shard=shard, **paths)
        return [pd.read_parquet(path) for path in paths.values()]

    return make


def test_every_utterance_is_profiled_with_its_segments(run, corpus):
    regions, utterances, left_out = run()
    assert utterances["utterance"].tolist() == protocol.load_set(corpus, "eval")["utterance"].tolist()
    assert set(regions["utterance"]) <= set(utterances["utterance"])
    for table in (regions, utterances):
        assert (set(table["detector"]), set(table["seed"])) == ({"camhfa"}, {1})
    frames = np.round(utterances["time_leading"] * utterances["n_read"])
    assert set(frames) == {5}  # those whose centres, 12.5 ms + 20 ms t, lie before 0.1 s
    assert utterances["recording"].notna().all()
    assert left_out.empty


def test_shards_make_the_whole(run):
    whole = run()[1]
    parts = pd.concat([run(shard)[1] for shard in ("0of2", "1of2")]).sort_values("utterance", ignore_index=True)
    pd.testing.assert_frame_equal(parts, whole)


def test_fewer_utterances_are_drawn_evenly(run):
    assert run(profile_utterances=4)[1]["key"].value_counts().to_dict() == {"bonafide": 2, "spoof": 2}
