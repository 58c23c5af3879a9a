"""The rule `paired` on a corpus whose spoofs are their originals with a tone in one stretch, moved and scaled."""

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.attribution import baselines
from sslig.corpora import protocol, recordings
from sslig.pipeline.paired import paired
from sslig.validation.statistics import LOCALISATION

METHODS = ["ig", "random"]
LAG = 480


@pytest.fixture(scope="module")
def vocoded(tmp_path_factory):
    """Two recordings a set, each as it is (number 0 and 2) and as a spoof (1 and 3) with a tone from .8 to 1.2 s.

    The second spoof of *eval* is noise, which nothing aligns with its original.
    """
    root, sounds, rows = tmp_path_factory.mktemp("vocoded"), recordings.synthetic(3, 2), []
    for (name, (file, folder)), speaker in zip(protocol.SETS.items(), range(3), strict=True):
        trials = []
        for number in range(4):
            speech, utterance = sounds[2 * speaker + number // 2].sound()[:32_000], f"{name[0].upper()}_{number}"
            spoof = number % 2 == 1
            if spoof:
                speech = np.concatenate([np.zeros(LAG), 0.5 * speech])
                speech[12_800:19_200] += 0.2 * np.sin(2 * np.pi * 3_000 * np.arange(6_400) / 16_000)
            if (name, number) == ("eval", 3):
                speech = 0.1 * np.random.default_rng(0).standard_normal(32_000)
            audio.write_flac(root / folder / f"{utterance}.flac", speech.astype(np.float32))
            trial = [
                f"{name}_S",
                utterance,
                "F",
                *"----",
                "A01" if spoof else "-",
                "spoof" if spoof else "bonafide",
                "-",
            ]
            trials.append(trial)
            rows.append((utterance, f"{name}{number // 2}"))
        protocol.write(root / file, pd.DataFrame(trials, columns=protocol.COLUMNS))
    pd.DataFrame(rows, columns=["utterance", "recording"]).to_csv(root / protocol.RECORDINGS, sep="\t", index=False)
    return root


@pytest.fixture
def tables(vocoded, tmp_path, write_experiment, tiny_detector):
    study = write_experiment(tmp_path, validation={"methods": METHODS}, corpus={"root": str(vocoded)})
    paths = {name: tmp_path / f"{name}.parquet" for name in ("scores_dev", "scores_eval", "paired", "left_out")}
    for name in ("dev", "eval"):
        table = protocol.load_set(vocoded, name)
        table.assign(spoof_score=table["label"].astype(float)).to_parquet(paths[f"scores_{name}"])
    tiny_detector("camhfa").save_pretrained(tmp_path / "detector")
    baselines.save(tmp_path / "mean.safetensors", baselines.zero(3, 16))
    means = dict.fromkeys(("baseline", "nonspeech"), tmp_path / "mean.safetensors")
    paired(study, name="camhfa", seed=0, detector=tmp_path / "detector", corpus=vocoded, **means, **paths)
    return pd.read_parquet(paths["paired"]), pd.read_parquet(paths["left_out"])


def test_the_place_is_what_the_attack_has_changed(tables):
    table, left_out = tables
    assert left_out["utterance"].tolist() == ["E_3"]
    assert left_out["reason"].str.contains("correlates with that of its original by 0").all()
    assert set(table["utterance"]) == {"E_1"}
    assert set(table["method"]) == {*METHODS, "energy", "voice_activity", "non_speech", "attention"}
    assert set(table["statistic"]) == set(LOCALISATION)
    assert table["place_share"].iloc[0] == pytest.approx(0.25, abs=0.01)
    assert table["correlation"].iloc[0] > 0.8
    energy = table.query("method == 'energy' and statistic == 'roc_auc' and smoothing_ms == 20")
    assert energy["value"].iloc[0] > 0.6  # the tone makes the place loud
