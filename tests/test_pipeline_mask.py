import numpy as np
import pandas as pd
import pytest
import torch

from sslig.attribution.baselines import Baseline, save
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.cues import masking as masking_module
from sslig.cues import segments
from sslig.files import write_parquet
from sslig.frames import SSL_CLOCK
from sslig.pipeline.mask import mask
from sslig.study import load

MASKS = ["noise", "volume(gain=1)", "time:energy(fill=silence)", "top_attribution(percent=20)"]


@pytest.fixture
def study(tmp_path, write_experiment):
    values = {"utterances": 8, "masks": MASKS, "sweeps": ["noise(alpha=0.5)"], "draws": 3, "workers": 1}
    return write_experiment(tmp_path, masking=values)


@pytest.fixture
def run(study, tmp_path, corpus, tiny_detector):
    """Masks a shard with a tiny detector, four explained utterances and voice activity."""
    utterances = stratified(protocol.load_set(corpus, "eval"), 8, 0)
    decoded = segments.decode(utterances, ["vad"])
    write_parquet(tmp_path / "segments.parquet", decoded.table)
    n_frames = [
        SSL_CLOCK.n_frames(int(16_000 * rows.iloc[0])) for _, rows in decoded.table.groupby("utterance")["duration_s"]
    ]
    ranked = [np.arange(n, dtype=np.float32) for n in n_frames[:4]]
    explained = pd.DataFrame({"utterance": sorted(utterances["utterance"])[:4], "by_frame": ranked})
    write_parquet(tmp_path / "attributions.parquet", explained)
    save(tmp_path / "nonspeech.safetensors", Baseline("nonspeech_mean", torch.zeros(3, 16), {}))
    tiny_detector().save_pretrained(tmp_path / "detector")

    def make(shard: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        inputs = {name: tmp_path / f"{name}.parquet" for name in ("segments", "attributions")}
        outputs = {name: tmp_path / f"{name}.parquet" for name in ("masks", "left_out")}
        mask(
            study,
            name="camhfa",
            seed=0,
            detector=tmp_path / "detector",
            corpus=corpus,
            nonspeech=tmp_path / "nonspeech.safetensors",
            shard=shard,
            **inputs,
            **outputs,
        )
        return tuple(map(pd.read_parquet, outputs.values()))

    return make


def test_every_mask_has_a_row_for_each_utterance_and_says_what_it_is(run):
    table, left_out = run("0of1")
    counts = table.groupby("mask").size().to_dict()
    expected = dict.fromkeys(["noise", "noise(alpha=0.5)", "time:energy(fill=silence)", "volume(gain=1)"], 8)
    assert counts == expected | {"top_attribution(percent=20)": 4}  # as many as are explained
    assert list(left_out.columns) == ["utterance", "reason"]
    about = table.drop_duplicates("mask").set_index("mask")
    assert about.loc["noise(alpha=0.5)", ["name", "space", "control", "family", "parameter", "value"]].tolist() == [
        "noise", "feature", "shift", "noise", "alpha", 0.5
    ]  # fmt: skip
    assert about["chosen"].to_dict() == {name: name != "noise(alpha=0.5)" for name in counts}


def test_results_do_not_depend_on_the_shard(run):
    whole, _ = run("0of1")
    parts = pd.concat([run(f"{shard}of3")[0] for shard in range(3)])
    order = ["mask", "utterance"]
    pd.testing.assert_frame_equal(
        parts.sort_values(order, ignore_index=True), whole.sort_values(order, ignore_index=True)
    )


@pytest.mark.parametrize("name", ["camhfa", "sls"])
def test_masked_scores_are_the_golden_ones(golden, tmp_path, name, monkeypatch):
    """Four kinds of masks on every eighth utterance: of features, placed by an explanation, in the recording, cut.

    Control scores are golden where controls are not scaled to the displacement of the mask.
    """
    monkeypatch.setattr(masking_module, "scales", torch.ones_like)
    specs = ["noise", "top_attribution(percent=10)", "time:non_speech(fill=noise)", "trim_silence"]
    study = load("experiments/demo.yaml")
    masking = study.masking.model_copy(update={"masks": specs, "sweeps": []})
    paths = {column: tmp_path / f"{column}.parquet" for column in ("masks", "left_out")}
    tables = golden / "tables"
    mask(
        study.model_copy(update={"masking": masking}),
        name=name,
        seed=0,
        detector=golden / "detectors" / name,
        corpus=golden / "corpus",
        segments=tables / "segments.parquet",
        attributions=tables / name / "attributions.parquet",
        nonspeech=golden / "detectors" / name / "nonspeech.safetensors",
        shard="3of8",
        **paths,
    )
    table = pd.read_parquet(paths["masks"]).set_index(["mask", "utterance"])
    expected = pd.concat(map(pd.read_parquet, sorted((tables / name).glob("mask_*.parquet"))))
    expected = expected.set_index(["mask", "utterance"]).loc[table.index]
    assert len(table) == 4 * 4
    for column in ("spoof_score", "masked_score", "share", "mean_run_s"):
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.stack(table["control_scores"]), np.stack(expected["control_scores"]), rtol=1e-5, atol=1e-5
    )
    assert (table[["status", "space"]] == expected[["status", "space"]]).all(axis=None)
    cut = table.index.get_level_values("mask") == "trim_silence"
    assert (table["displacement"].isna() == cut).all()
