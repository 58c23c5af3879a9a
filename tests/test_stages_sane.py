from importlib import import_module

import pytest

from sslig import stages
from sslig.validation.statistics import STATISTICS

stage = import_module("sslig.stages.sane")  # the function of that name hides it in the folder

NAME, SEED = "camhfa", 0
VALUES = {
    "masking": {"segments": ["vad"], "workers": 1},
    "attribution": {"max_steps": 16},
    "validation": {"utterances": 2, "draws": 5},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_experiment):
    return write_experiment(tmp_path_factory.mktemp("sane"), **VALUES)


@pytest.fixture(scope="module")
def table(study):
    return stage.sane(study, NAME, SEED, ["ig", "random"])


def values(table, method, statistic):
    return table.loc[(table["method"] == method) & (table["statistic"] == statistic), "value"].tolist()


def test_every_check_is_told(table):
    told = set(STATISTICS) & {name for name in STATISTICS if name.startswith("randomised")}
    told |= {"complexity_rise", "shift_features", "shift_waveform", "max_sensitivity"}
    assert set(table.loc[table["method"] == "random", "statistic"]) == told
    assert set(table.loc[table["method"] == "ig", "statistic"]) == told | {"steps"}
    assert table["utterance"].nunique() == 2


def test_noise_does_not_know_the_head(table):
    assert values(table, "random", "randomised_cascading") == pytest.approx([1] * 10)
    assert values(table, "random", "complexity_rise") == [0, 0]
    assert min(values(table, "ig", "randomised_cascading")) < 0.99


def test_tables_are_kept(study, table, monkeypatch):
    monkeypatch.setattr(stage, "_measures", None)
    assert len(stage.sane(study, NAME, SEED, ["ig", "random"])) == len(table)


def test_every_pair_of_seeds_is_compared(study):
    found = stage.stable(study, NAME)
    assert set(found["at"]) == {"0 and 1"}
    assert len(found) == len(stages.explained(study))
    assert set(found["statistic"]) == {"seeds"}


def test_one_seed_has_no_pair(tmp_path, write_experiment):
    study = write_experiment(tmp_path, **VALUES | {"seeds": [0]})
    assert stage.stable(study, NAME).empty
