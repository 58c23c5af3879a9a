"""Tables taken into a store, and the commands that export and import."""

import pandas as pd
import pytest

from sslig.annotation import __main__ as command
from sslig.annotation import interchange, study
from sslig.annotation import plan as plans
from sslig.annotation.keeping import keep
from sslig.annotation.store import Store
from sslig.annotation.table import annotations, conformed, row_of
from sslig.study import Annotation


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "s.sqlite") as opened:
        yield opened


def rows(*given):
    common = {"annotator": "Ann", "utterance": "E_0000", "start_s": 0.1, "end_s": 0.2, "cue": "noise"}
    return conformed([row_of(common | row) for row in given])


SAID = ("annotator", "utterance", "repeat", "detector", "decoy", "start_s", "end_s", "cue", "locality", "audible",
        "comment", "general", "similarity")  # fmt: skip


def test_a_table_comes_back_from_the_store_and_is_kept_once(store):
    table = rows(
        {"detector": "sls", "locality": 2, "audible": False, "comment": "<i>a</i>\nb", "general": "flat"},
        {"detector": "aasist", "cue": None, "general": "flat"},
        {"detector": "sls", "decoy": True, "cue": "unclear", "general": "flat"},
        {"detector": "sls", "repeat": True},
        {"annotator": "Bob", "detector": "sls"},
    )
    assert keep(store, table) > 0
    by = ["annotator", "repeat", "detector", "decoy"]
    found = annotations(store).sort_values(by, ignore_index=True)[list(SAID)]
    pd.testing.assert_frame_equal(found, table.sort_values(by, ignore_index=True)[list(SAID)])
    assert keep(store, table) == 0
    assert keep(store, annotations(store)) == 0


def test_what_is_in_a_plan_goes_there(store):
    utterances = pd.DataFrame({"utterance": ["E_0000", "E_0001"], "group": "spoof"})
    regions = pd.DataFrame(
        {"utterance": ["E_0000", "E_0001"], "detector": "sls", "start_s": 0.1, "end_s": 0.2, "read_s": 1.0}
    )
    items = plans.kept(store, utterances, regions, "Ann", Annotation(blind=True, repeats=0), seed=0)
    keep(store, rows({"detector": "sls", "comment": "kept"}, {"detector": "sls", "utterance": "E_9999"}))
    (item,) = [item for item in items if item.utterance == "E_0000"]
    (track,) = [track for track in item.tracks if not track.decoy]
    assert store.state("Ann", item.id) == {f"{track.name}.cue": "noise", f"{track.name}.comment": "kept"}
    assert len(store.plans("Ann")) == 2
    assert annotations(store).query("cue == 'noise'")["utterance"].tolist() == ["E_0000", "E_9999"]


def test_another_value_is_a_change_and_the_log_keeps_both(store):
    keep(store, rows({"detector": "sls"}))
    assert keep(store, rows({"detector": "sls", "cue": "glitch"})) == 1
    assert [change.value for change in store.history() if change.field.endswith("cue")] == ["noise", "glitch"]


def test_more_regions_of_an_utterance_leave_the_others_alone(store):
    keep(store, rows({"detector": "sls"}))
    keep(store, rows({"detector": "aasist"}))
    assert sorted(annotations(store)["detector"]) == ["aasist", "sls"]


def test_the_commands_export_and_import(tmp_path, experiment, capsys):
    with Store(study.store_path(experiment)) as store:
        keep(store, rows({"detector": "sls"}, {"annotator": "Bob", "detector": "sls", "end_s": 0.3}))
    for form, path in (("tidy", "all.csv"), ("label_studio", "all.json")):
        command.main(["export", str(experiment.path), str(tmp_path / path), "--form", form])
        assert "2 regions of 2 annotators" in capsys.readouterr().err
    command.main(["export", str(experiment.path), str(tmp_path / "grids"), "--form", "textgrid", "--annotator", "Bob"])
    text = (tmp_path / "grids" / "E_0000.TextGrid").read_text()
    assert "xmax = 0.375" in text  # 6,000 samples: the grid is as long as the recording
    (tmp_path / "new.csv").write_text("annotator,utterance,detector,cue\nEve,E_1,sls,noise\nEve,E_2,sls,hum\n")
    command.main(["import", str(experiment.path), str(tmp_path / "new.csv")])
    told = capsys.readouterr().err
    assert "1 changes of 1 regions appended; 1 rows left out" in told
    assert "row 3 (E_2): cue is 'hum'" in told
    with Store(study.store_path(experiment), read_only=True) as store:
        assert store.annotators() == ["Ann", "Bob", "Eve"]
    assert len(interchange.read(tmp_path / "all.json").table) == 2


def test_the_commands_say_what_is_wrong(tmp_path, experiment):
    with pytest.raises(SystemExit, match=r"annotations\.sqlite: no such file"):
        command.main(["export", str(experiment.path), str(tmp_path / "a.csv")])
    Store(study.store_path(experiment)).close()
    with pytest.raises(SystemExit, match="no annotator 'Eve'; the store has none"):
        command.main(["export", str(experiment.path), str(tmp_path / "a.csv"), "--annotator", "Eve"])
    with pytest.raises(SystemExit, match="no known form"):
        command.main(["import", str(experiment.path), str(tmp_path / "none.csv")])
