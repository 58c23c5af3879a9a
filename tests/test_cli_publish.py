import json

import numpy as np
import pandas as pd
import pytest

from sslig.cli.loaded import load
from sslig.cli.main import DONE, REFUSED, main


@pytest.fixture
def run_folder(tmp_path, tiny_detector, rng):
    folder = tmp_path / "runs/demo/mine/seed0"
    tiny_detector("sls").save_pretrained(folder / "detector")
    scores = pd.DataFrame({"spoof_score": rng.normal(size=40), "key": ["bonafide", "spoof"] * 20})
    scores["spoof_score"] += np.where(scores["key"] == "spoof", 1.5, 0)
    scores.to_parquet(folder / "scores_dev.parquet")
    (folder / "training.json").write_text(json.dumps({"values": {"corpus": {"source": "prompts"}}}))
    return folder


def test_a_published_detector_has_a_card_and_scores_alike(tmp_path, run_folder, capsys):
    out = tmp_path / "published"
    assert main(["publish", str(run_folder), "--out", str(out), "--json"]) == DONE
    values = json.loads(capsys.readouterr().out)
    assert values["corpus"] == "prompts"
    assert values["metrics"]["dev"]["bonafide"] == 20
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sslig")
    assert "A higher score means more likely spoof" in card
    assert f"| dev | 20 | 20 | {100 * values['metrics']['dev']['eer']:.1f} |" in card
    before, after = load("", str(run_folder)), load("", str(out))
    assert after.calibration == before.calibration
    assert all((a == b).all() for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))


def test_only_a_scored_run_is_published(tmp_path, tiny_detector, capsys):
    tiny_detector("sls").save_pretrained(tmp_path / "bare")
    assert main(["publish", str(tmp_path / "bare"), "--out", str(tmp_path / "out")]) == REFUSED
    assert "a run with detector/ and scores_dev.parquet is needed" in capsys.readouterr().err
