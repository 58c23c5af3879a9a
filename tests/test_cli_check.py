import json

from sslig.cli.main import DONE, main


def test_a_detector_says_what_it_is(tmp_path, tiny_detector, capsys):
    tiny_detector("aasist").save_pretrained(tmp_path / "mine")
    assert main(["check", str(tmp_path / "mine"), "--json"]) == DONE
    facts = json.loads(capsys.readouterr().out)
    expected = {"kind": "sslig", "direction": "higher_is_spoof", "rate_hz": 16_000, "head": "AASIST", "layers": 3}
    expected |= {"noise_frames": 49, "min_frames": 3, "thresholds": {"zero": 0.0}, "calibration": None, "finite": True}
    assert facts | expected == facts
    assert {"ig", "occlusion", "ig(selection=free)"} <= set(facts["methods"])
    assert main(["check", str(tmp_path / "mine")]) == DONE
    assert "noise_frames   49" in capsys.readouterr().out


def test_detectors_below_a_folder_are_listed(tmp_path, tiny_detector, capsys):
    tiny_detector("sls").save_pretrained(tmp_path / "runs/demo/sls/seed0/detector")
    (tmp_path / "config.json").write_text("[]")
    assert main(["detectors", str(tmp_path), "--json"]) == DONE
    printed = json.loads(capsys.readouterr().out)
    row = {"detector": "sls", "head": "sls", "encoder": "wavlm", "calibrated": False}
    assert printed["detectors"] == [row | {"folder": str(tmp_path / "runs/demo/sls/seed0")}]
    assert any(kind["kind"] == "DeepFense" for kind in printed["kinds"])
    assert main(["detectors", str(tmp_path / "config.json")]) == DONE
    assert "What --detector accepts:" in capsys.readouterr().out
