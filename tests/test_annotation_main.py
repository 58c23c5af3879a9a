"""The commands that export and import annotations."""

import json

import pytest

from sslig.annotation import __main__ as command
from sslig.annotation import interchange
from sslig.annotation.plan import annotations, conformed, keep, row_of, store_path
from sslig.annotation.store import Store


def rows(*given):
    common = {"annotator": "Ann", "utterance": "E_0000", "start_s": 0.1, "end_s": 0.2, "cue": "noise"}
    return conformed([row_of(common | row) for row in given])


def test_the_commands_export_and_import(tmp_path, experiment, capsys):
    with Store(store_path(experiment)) as store:
        keep(store, rows({"detector": "sls"}, {"annotator": "Bob", "detector": "sls", "end_s": 0.3}))
    for form, path in (("tidy", "all.csv"), ("label_studio", "all.json")):
        command.main(["export", str(experiment.path), str(tmp_path / path), "--form", form])
        assert "2 regions of 2 annotators" in capsys.readouterr().err
    command.main(["export", str(experiment.path), str(tmp_path / "grids"), "--form", "textgrid", "--annotator", "Bob"])
    text = (tmp_path / "grids" / "E_0000.TextGrid").read_text()
    assert "xmax = 0.375" in text  # 6,000 samples: the grid is as long as the recording
    (tmp_path / "new.csv").write_text("annotator,utterance,detector,cue\nEve,E_0001,sls,noise\nEve,E_0002,sls,hum\n")
    command.main(["import", str(experiment.path), str(tmp_path / "new.csv")])
    summary = capsys.readouterr().err
    assert "1 changes of 1 regions appended; 1 rows left out" in summary
    assert "row 3 (E_0002): cue is 'hum'" in summary
    with Store(store_path(experiment), read_only=True) as store:
        assert store.annotators() == ["Ann", "Bob", "Eve"]
    assert len(interchange.read(tmp_path / "all.json").table) == 2


def test_the_commands_say_what_is_wrong(tmp_path, experiment):
    with pytest.raises(SystemExit, match=r"annotations\.sqlite: no such file"):
        command.main(["export", str(experiment.path), str(tmp_path / "a.csv")])
    Store(store_path(experiment)).close()
    with pytest.raises(SystemExit, match="no annotator 'Eve'; the store has none"):
        command.main(["export", str(experiment.path), str(tmp_path / "a.csv"), "--annotator", "Eve"])
    with pytest.raises(SystemExit, match="no known form"):
        command.main(["import", str(experiment.path), str(tmp_path / "none.csv")])


def test_uploads_are_matched_to_the_study_and_unknown_utterances_refused(tmp_path, experiment, capsys):
    region = [("detector", "labels", ["sls"]), ("cue", "choices", ["glitch"]), ("locality", "rating", 4)]
    results = [
        {"id": "a", "from_name": name, "value": {"start": 0.1, "end": 0.3, key: value}} for name, key, value in region
    ]
    names = ["/data/upload/1/ab12cd34-E_0001.flac", "https://host/E_0003.flac?Signature=1%2F2&key=/a/c.d", "X_9.flac"]
    tasks = [{"data": {"audio": name}, "annotations": [{"result": results, "completed_by": 1}]} for name in names]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    command.main(["import", str(experiment.path), str(tmp_path / "export.json")])
    assert "row 3 (X_9): no utterance 'X_9' in the study, which has 8" in capsys.readouterr().err
    with Store(store_path(experiment), read_only=True) as store:
        assert annotations(store)["utterance"].tolist() == ["E_0001", "E_0003"]
    (tmp_path / "export.json").write_text(json.dumps(tasks[2:]))
    with pytest.raises(SystemExit, match="none of 1 rows can be imported"):
        command.main(["import", str(experiment.path), str(tmp_path / "export.json")])
