import numpy as np
import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.cues.segments import COLUMNS
from sslig.pipeline.profile import profile


@pytest.fixture
def run(explained_study, tmp_path):
    """Profiles a shard; in each utterance the first 0.1 s are silence before speech."""

    def make(shard="0of1", freeze=True, **values):
        sections = {"validation": explained_study.validation.model_copy(update=values)}
        sections["attribution"] = explained_study.attribution.model_copy(update={"freeze_selection": freeze})
        study, folder = explained_study.model_copy(update=sections), explained_study.run("camhfa", 0)
        names = protocol.load_set(study.corpus_root, "eval")["utterance"]
        rows = [(name, "speech", 0.0, 0.1, "leading", 0.6, "test") for name in names]
        pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(tmp_path / "segments.parquet")
        inputs = {
            "detector": folder / "detector",
            "corpus": study.corpus_root,
            "segments": tmp_path / "segments.parquet",
        }
        paths = {name: tmp_path / f"{name}.parquet" for name in ("regions", "utterances", "left_out")}
        inputs |= {name: folder / f"{name}.safetensors" for name in ("baseline", "nonspeech")}
        inputs["scores_dev"] = folder / "scores_dev.parquet"
        profile(study, name="camhfa", seed=0, **inputs, shard=shard, **paths)
        return [pd.read_parquet(path) for path in paths.values()]

    return make


def test_every_utterance_is_profiled_with_its_segments(run, explained_study):
    regions, utterances, left_out = run()
    assert (
        utterances["utterance"].tolist() == protocol.load_set(explained_study.corpus_root, "eval")["utterance"].tolist()
    )
    assert set(regions["utterance"]) <= set(utterances["utterance"])
    for table in (regions, utterances):
        assert (set(table["detector"]), set(table["seed"])) == ({"camhfa"}, {0})
    frames = np.round(utterances["time_leading"] * utterances["n_read"])
    assert set(frames) == {5}  # those whose centres, 12.5 ms + 20 ms t, lie before 0.1 s
    assert left_out.empty


def test_shards_make_the_whole(run):
    whole = run()[1]
    parts = pd.concat([run(shard)[1] for shard in ("0of2", "1of2")]).sort_values("utterance", ignore_index=True)
    pd.testing.assert_frame_equal(parts, whole)


def test_a_study_with_the_free_selection_profiles_heads_that_select_nothing(run):
    pd.testing.assert_frame_equal(run(freeze=False)[1], run()[1])


def test_fewer_utterances_are_drawn_evenly(run):
    assert run(profile_utterances=4)[1]["key"].value_counts().to_dict() == {"bonafide": 2, "spoof": 2}
