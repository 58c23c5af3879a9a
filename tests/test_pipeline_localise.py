"""The rule `localise` on a planted corpus of noise, with an untrained detector and scores made by hand."""

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.attribution import baselines
from sslig.corpora import planted, protocol
from sslig.pipeline.localise import LABELLED, detected, localise, twins
from sslig.pipeline.plant import plant
from sslig.validation.statistics import LOCALISATION

METHODS = ["ig", "random"]


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """A corpus of bona fide noise, four utterances of 1.6 s a set, which leaves room for a cue and a rest."""
    root, generator = tmp_path_factory.mktemp("noises"), np.random.default_rng(3)
    for name, (file, folder) in protocol.SETS.items():
        initial, rows = name[0].upper(), []
        for number in range(4):
            utterance = f"{initial}_{number}"
            audio.write_flac(root / folder / f"{utterance}.flac", 0.1 * generator.standard_normal(25_600))
            rows.append([f"{initial}_S{number // 2}", utterance, "F", *"-----", "bonafide", "-"])
        protocol.write(root / file, pd.DataFrame(rows, columns=protocol.COLUMNS))
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_experiment, noises):
    """The study of the cue `band`, with its corpus."""
    values = {"methods": METHODS, "planted_utterances": 3, "tuning_utterances": 2, "grid_passes": 48}
    parent = write_experiment(tmp_path_factory.mktemp("study"), validation=values, corpus={"root": str(noises)})
    derived = parent.planted("band")
    plant(parent, kind="band", corpus=noises, output=derived.corpus_root, workers=1)
    return derived


def scored(study, set_name, spoof_scores):
    """Scores of a set: 0 for bona fide, the given ones for spoofs."""
    table = protocol.load_set(study.corpus_root, set_name)
    scores = np.zeros(len(table))
    scores[table["key"] == "spoof"] = spoof_scores
    return table.assign(spoof_score=scores)


@pytest.fixture
def run(study, tiny_detector, tmp_path):
    """Runs the rule with SLS, which reads `n_frames` frames; `spoof_scores` are those of the spoofs of *eval*."""

    def make(spoof_scores=(2.0, 2.0, -1.0, 2.0), n_frames=70, dev=1.0):
        paths = {
            name: tmp_path / f"{name}.parquet"
            for name in ("scores_dev", "scores_eval", "localisation", "transplants", "left_out")
        }
        scored(study, "dev", dev).to_parquet(paths["scores_dev"])
        scored(study, "eval", list(spoof_scores)).to_parquet(paths["scores_eval"])
        tiny_detector("sls", n_frames=n_frames).save_pretrained(tmp_path / "detector")
        baselines.save(tmp_path / "mean.safetensors", baselines.zero(3, 16))
        means = dict.fromkeys(("baseline", "nonspeech"), tmp_path / "mean.safetensors")
        folders = {"detector": tmp_path / "detector", "corpus": study.corpus_root}
        localise(study, kind="band", name="sls", seed=0, **folders, **means, **paths)
        return [pd.read_parquet(paths[name]) for name in ("localisation", "transplants", "left_out")]

    return make


def test_a_row_is_a_detected_utterance_a_map_and_a_measure(run, study):
    table, moved, left_out = run()
    assert left_out.empty
    dev, table = table[table["set"] == "dev"], table[table["set"] == "eval"]
    cells, table = table[table["aggregation"] == "cells"], table[table["aggregation"] != "cells"]
    assert cells.groupby("method")["utterance"].nunique().to_dict() == {
        "energy": 3,
        "grid": 3,
        "spectrogram_gradients": 3,
    }
    assert dev["utterance"].nunique() == 2
    assert (
        moved.groupby("utterance")["space"].apply(list).tolist() == [["waveform", "recording", "features", "band"]] * 3
    )
    assert set(moved["utterance"]) == set(table["utterance"])
    spoofs = protocol.load_set(study.corpus_root, "eval").query("key == 'spoof'")["utterance"].to_numpy()
    assert set(table["utterance"]) == set(spoofs[[0, 1, 3]])
    plain = ("energy", "voice_activity", "non_speech", "feature_change", "score_change")
    assert set(table["method"]) == {*METHODS, *plain}
    assert set(table["statistic"]) == set(LOCALISATION)
    # 5 widths of each signed or plain map, of which the limits are in both spaces; 2 unsigned ones of each method
    assert len(table) == 3 * (2 * (5 + 2) + 5 * (3 + 2 * 2)) * len(LOCALISATION)
    assert set(table["kind"] + table["detector"]) == {"bandsls"}
    rank = table[table["statistic"] == "relevance_rank"]
    np.testing.assert_allclose(rank["chance"], rank["place_share"])  # chance is the share of time
    change = table[
        (table["method"] == "feature_change") & (table["space"] == "recording") & (table["statistic"] == "roc_auc")
    ]
    assert (change["value"] > 0.9).all()  # what the recording gives changes where the cue is


def test_a_place_that_the_head_does_not_read_is_listed(run, study):
    first_s = planted.truth(study.corpus_root, "eval").groupby("utterance")["start_s"].min()
    table, _, left_out = run([2.0] * 4, n_frames=max(3, int(50 * first_s.median())))
    assert set(table["utterance"]).isdisjoint(left_out["utterance"])
    assert len(left_out)
    assert left_out["reason"].str.contains("frames that the head reads belong to the place").all()


def test_without_a_detected_spoof_the_table_is_empty(run):
    table, moved, left_out = run([-1.0] * 4, dev=[-1.0] * 4)
    assert table.empty
    assert moved.empty
    assert left_out.empty
    assert {"kind", "detector", "utterance", "method", "statistic", "value"} <= set(table)


def test_spoofs_that_reach_the_threshold_of_dev_are_detected(study):
    dev, scores = scored(study, "dev", [1.0, 2.0, 3.0, 4.0]), scored(study, "eval", [1.0, 0.99, 5.0, 5.0])
    sets = {"dev": dev, "eval": scores}
    both = detected(study, study.corpus_root, sets, 1.0)
    assert both.query("set == 'dev'")["score"].between(1, 4).sum() == 2
    table = both.query("set == 'eval'")
    assert table["score"].tolist() == [1.0, 5.0, 5.0]
    assert set(table["threshold"]) == {1.0}
    assert table["recording"].notna().all()
    single = study.model_copy(update={"validation": study.validation.model_copy(update={"planted_utterances": 1})})
    assert len(detected(single, study.corpus_root, {"eval": scores}, 1.0)) == 1


def test_twins_are_the_same_recording(study):
    root = study.corpus_root
    table = protocol.with_recordings(root, protocol.load_set(root, "eval"))
    recording, spoofs = table.set_index("path")["recording"], table[table["key"] == "spoof"]
    paths = twins(root, "eval")
    assert set(paths) == set(spoofs["utterance"])
    assert [recording[paths[name]] for name in spoofs["utterance"]] == spoofs["recording"].tolist()
    assert not set(paths.values()) & set(spoofs["path"])


def test_labelled_segments_of_a_released_corpus_are_a_truth_too(study, tiny_detector, tmp_path):
    corpus = tmp_path / "corpus"
    for name in ("dev", "eval"):
        protocol.write_manifest(corpus / f"{name}.tsv", protocol.load_set(study.corpus_root, name))
    places = pd.concat([planted.truth(study.corpus_root, name) for name in ("dev", "eval")])
    places[["utterance", "start_s", "end_s"]].to_csv(corpus / planted.PLACES, sep="\t", index=False)
    assert twins(corpus, "eval") == {}
    scores = {name: scored(study, name, 2.0) for name in ("dev", "eval")}
    chosen = detected(study, corpus, scores, 1.0)
    assert chosen["twin"].isna().all()
    unlabelled = places["utterance"].iloc[-1]
    places[places["utterance"] != unlabelled].to_csv(corpus / planted.PLACES, sep="\t", index=False)
    assert unlabelled not in set(detected(study, corpus, scores, 1.0)["utterance"])
    for name, table in scores.items():
        table.to_parquet(tmp_path / f"scores_{name}.parquet")
    tiny_detector("sls", n_frames=70).save_pretrained(tmp_path / "detector")
    baselines.save(tmp_path / "mean.safetensors", baselines.zero(3, 16))
    paths = {name: tmp_path / f"{name}.parquet" for name in ("localisation", "transplants", "left_out")}
    paths |= {name: tmp_path / f"{name}.parquet" for name in ("scores_dev", "scores_eval")}
    means = dict.fromkeys(("baseline", "nonspeech"), tmp_path / "mean.safetensors")
    reference = study.model_copy(update={"corpus": study.corpus.model_copy(update={"sets": ["dev", "eval"]})})
    folders = {"detector": tmp_path / "detector", "corpus": corpus}
    localise(reference, kind=LABELLED, name="sls", seed=0, **folders, **means, **paths)
    table = pd.read_parquet(paths["localisation"])
    assert set(table["kind"]) == {LABELLED}
    assert set(table["set"]) == {"dev", "eval"}
    assert pd.read_parquet(paths["transplants"]).empty
