import json

import numpy as np
import pandas as pd
import pytest

from sslig import stages
from sslig.cues import masking, segments
from sslig.cues.interventions import InterventionError
from sslig.study import load

NAME, SEED = "camhfa", 0
MASKS = ["noise", "volume(gain=1)", "time:energy(fill=silence)", "top_attribution(percent=20)"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_experiment):
    """The folder of a study with four masks of CA-MHFA made."""
    values = {"utterances": 8, "masks": MASKS, "sweeps": ["noise(alpha=0.5)"], "draws": 3, "workers": 1}
    study = write_experiment(tmp_path_factory.mktemp("masked"), masking=values)
    stages.masked(study, NAME, SEED)
    return study.root


@pytest.fixture
def study(finished):
    return load(finished / "experiment.yaml")


@pytest.fixture
def made(monkeypatch):
    """The masks that are made from now on, in place of making them."""
    asked = []

    def instead(detector, utterances, interventions, *arguments, **options):
        asked.extend(one.spec for one in interventions)
        columns = ["utterance", "mask", "spoof_score", "masked_score", "control_scores"]
        rows = [("E_0000", one.spec, 0.0, 0.0, np.zeros(3)) for one in interventions]
        return pd.DataFrame(rows, columns=columns), pd.DataFrame({"utterance": [], "reason": []})

    monkeypatch.setattr(masking, "mask_scores", instead)
    return asked


def test_every_mask_and_dose_has_a_row_for_each_utterance(study):
    table = stages.masked(study, NAME, SEED)
    counts = table.groupby("mask").size().to_dict()
    by_attribution = counts.pop("top_attribution(percent=20)")
    assert counts == dict.fromkeys(["noise", "noise(alpha=0.5)", "time:energy(fill=silence)", "volume(gain=1)"], 8)
    assert by_attribution == 4  # as many as are explained
    assert set(table["detector"]) == {NAME}


def test_masked_utterances_begin_with_the_explained(study):
    assert set(stages.explained(study)["utterance"]) <= set(stages.masked_utterances(study)["utterance"])


def test_each_mask_is_stored_by_itself_and_not_made_again(study, made):
    run = study.run(NAME, SEED) / "masks"
    assert {path.name.removesuffix(".parquet") for path in run.glob("*.parquet")} == {
        "noise", "noise-alpha-0.5", "volume-gain-1", "time-energy-fill-silence", "top_attribution-percent-20",
    }  # fmt: skip
    stages.masked(study, NAME, SEED)
    stages.masked(study, NAME, SEED, ["noise"])
    assert made == []
    assert json.loads((run / "noise.json").read_text())["description"].startswith("Frames without speech")


def test_a_new_mask_is_made_alone(study, made):
    stages.masked(study, NAME, SEED, ["noise", "spectral"])
    assert made == ["spectral"]


def test_jobs_share_what_features_share(study):
    assert stages.mask_jobs(study) == {
        "features": ["noise", "top_attribution(percent=20)", "noise(alpha=0.5)"],
        "waveforms0": ["volume(gain=1)"],
        "waveforms1": ["time:energy(fill=silence)"],
    }


def test_the_profile_counts_what_it_is_made_of(study):
    found = stages.nonspeech_profile(study, NAME, SEED)
    assert found.values.shape == (3, 16)
    assert found.source["set"] == "train"
    assert found.source["frames"] > 0


def test_segments_are_decoded_once_and_say_by_what(study, monkeypatch):
    monkeypatch.setattr(segments, "decode", lambda *arguments: pytest.fail("decoded again"))
    assert stages.segmented(study)["utterance"].nunique() == 8
    assert set(stages.segment_sources(study)) == {"speech", "voicing", "phones", "words"}
    stages.segment(study)


def test_an_unknown_mask_is_refused_with_what_is_known(study):
    with pytest.raises(InterventionError, match="intervention 'vowels'; accepted: noise, phonemes"):
        stages.masked(study, NAME, SEED, ["vowels"])
