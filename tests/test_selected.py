"""The selection of a study: stored with reasons, the same again from the same scores."""

import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.stages import selected as stage


@pytest.fixture
def scored(monkeypatch):
    """Scores in place of those of trained detectors: bona fide below 0, spoofs above."""

    def scores(study, detector, seed, set_name):
        table = protocol.load_set(study.corpus_root, set_name).drop(columns="gender")
        place = table["utterance"].str[2:].astype(float)
        return table.assign(spoof_score=place.where(table["key"] == "spoof", -1 - place), seed=seed)

    monkeypatch.setattr(stage, "set_scores", scores)


def test_groups_carry_gender_and_verdicts(experiment, scored):
    groups = stage.consensus_groups(experiment, ["aasist", "sls"], 0)
    assert len(groups) == 8
    assert set(groups["gender"]) == {"F"}
    assert (groups["n_right"] == 2).all()
    assert {"verdict_aasist", "verdict_sls"} <= set(groups)


def test_the_strata_of_the_experiment_are_taken_and_stored(tmp_path, write_experiment, scored):
    rows = [
        {"name": "far", "key": "spoof", "per_attack": 1, "order": "best"},
        {"name": "many", "key": "bonafide", "n": 9},
    ]
    study = write_experiment(tmp_path, selection=rows)
    chosen, shortages = stage.selected(study, ["aasist", "sls"], 0)
    assert chosen["reason"].tolist() == ["far", "far", *["many"] * 4]
    assert chosen["utterance"].tolist()[:2] == ["E_0003", "E_0007"]
    assert shortages.to_dict("records") == [{"stratum": "many", "attack": "all", "asked": 9, "found": 4}]
    folder = study.runs / "selection" / "aasist+sls" / "seed0"
    stored = pd.read_csv(folder / "chosen.tsv", sep="\t")
    assert stored[["utterance", "reason"]].equals(chosen[["utterance", "reason"]])
    assert len(pd.read_csv(folder / "shortages.tsv", sep="\t")) == 1


def test_what_is_the_same_is_not_written_again(experiment, scored):
    stage.selected(experiment, ["sls"], 0)
    path = experiment.runs / "selection" / "sls" / "seed0" / "chosen.tsv"
    before = path.stat().st_mtime_ns
    stage.selected(experiment, ["sls"], 0)
    assert path.stat().st_mtime_ns == before
    path.write_text("other", encoding="utf-8")
    stage.selected(experiment, ["sls"], 0)
    assert path.read_text(encoding="utf-8") != "other"
