import json

import pandas as pd
import pytest

from sslig import audio
from sslig.cli.main import DONE, PARTLY, REFUSED, main
from sslig.cli.score import COLUMNS


@pytest.fixture
def files(tmp_path, rng):
    """Two recordings and a file that is none."""
    for name in ("one", "two"):
        audio.write_flac(tmp_path / f"in/{name}.flac", 0.1 * rng.standard_normal(8_000))
    (tmp_path / "in/three.wav").write_bytes(b"no sound")
    return tmp_path / "in"


@pytest.fixture
def detector(tmp_path, tiny_detector):
    tiny_detector("camhfa").save_pretrained(tmp_path / "camhfa")
    return str(tmp_path / "camhfa")


def test_scores_are_written_and_faulty_files_are_listed(tmp_path, files, detector, tiny_detector, capsys):
    out = tmp_path / "scores.csv"
    assert main(["score", str(files), "-d", detector, "--out", str(out)]) == PARTLY
    scores = pd.read_csv(out)
    assert list(scores) == list(COLUMNS)
    import torch

    waveforms = torch.stack([torch.from_numpy(audio.read(path)) for path in scores["path"]])
    expected = tiny_detector("camhfa")(waveforms[:, :7_760]).tolist()  # whole frames
    assert scores["spoof_score"].tolist() == pytest.approx(expected, abs=1e-5)
    assert (scores["decision"] == "spoof").tolist() == [value > 0 for value in expected]
    assert scores["spoof_llr"].isna().all()
    assert "three.wav" in capsys.readouterr().err
    assert main(["score", str(files), "-d", detector, "--out", str(out)]) == REFUSED
    assert "add --overwrite" in capsys.readouterr().err


def test_json_is_all_that_is_printed(files, detector, capsys):
    words = ["score", str(files / "one.flac"), "-d", detector, "-d", f"again={detector}", "--json"]
    assert main(words) == DONE
    printed = json.loads(capsys.readouterr().out)
    assert [row["detector"] for row in printed["scores"]] == ["camhfa", "again"]
    assert printed["scores"][0]["spoof_llr"] is None
    assert printed["left_out"] == []


def test_without_a_recording_that_can_be_read_nothing_is_done(files, detector, capsys):
    assert main(["score", str(files / "three.wav"), "-d", detector]) == REFUSED
    assert "none of 1 utterances could be read" in capsys.readouterr().err
    assert main(["score", str(files / "one.flac"), "-d", detector, "--at", "eer"]) == REFUSED
    assert "has no calibration" in capsys.readouterr().err
