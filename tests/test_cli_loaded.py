import argparse
import json

import numpy as np
import pandas as pd
import pytest

from sslig.cli.loaded import Calibration, Loaded, calibration_beside, default_name, load, load_all, refuse_existing
from sslig.errors import DetectorError, InputError

NO_VALUES = {"labels": None, "direction": None, "rate": None, "backbone": None, "trust_remote_code": False}


@pytest.fixture
def scores():
    """Normal scores: bona fide around -1 and spoof around 3, with one variance, so that LLR = 4 (score - 1)."""
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(-1, 1, 4_000), rng.normal(3, 1, 4_000)
    keys = ["bonafide"] * 4_000 + ["spoof"] * 4_000
    return pd.DataFrame({"spoof_score": np.concatenate([bonafide, spoof]), "key": keys})


@pytest.fixture
def run_folder(tmp_path, tiny_detector, scores):
    """A run as the pipeline leaves it."""
    folder = tmp_path / "runs/demo/mine/seed0"
    tiny_detector("sls").save_pretrained(folder / "detector")
    scores.to_parquet(folder / "scores_dev.parquet")
    return folder


def test_a_calibration_is_the_affine_map_of_the_scores_of_dev(scores):
    calibration = Calibration.fitted(scores)
    assert calibration.llr(1.0) == pytest.approx(0.0, abs=0.2)
    assert calibration.llr(2.0) - calibration.llr(1.0) == pytest.approx(4.0, abs=0.3)
    assert calibration.eer_threshold == pytest.approx(1.0, abs=0.1)
    assert calibration.eer == pytest.approx(0.0228, abs=0.01)  # the normal distribution beyond two deviations


def test_operating_points_are_thresholds_of_the_score(scores):
    calibration = Calibration(weight=4.0, offset=-4.0, eer_threshold=0.9, n_bonafide=1, n_spoof=1, eer=0.1)
    detector = Loaded("mine", None, calibration, None)
    assert detector.threshold("equal") == 1.0
    assert detector.threshold("asvspoof5") == pytest.approx(1 + np.log(1.9) / 4)
    assert detector.threshold("eer") == 0.9
    assert detector.threshold("zero") == 0.0
    assert detector.point(None) == "equal"
    without = Loaded("mine", None, None, None)
    assert without.point(None) == "zero"
    with pytest.raises(InputError, match="mine: has no calibration, so only --at zero"):
        without.threshold("eer")


def test_a_run_stands_for_its_detector_and_brings_its_calibration(run_folder, scores):
    for target in (run_folder, run_folder / "detector"):
        detector = load("", str(target))
        assert detector.name == "mine"
        assert detector.calibration == Calibration.fitted(scores)
        assert detector.place == run_folder / "detector"


def test_a_calibration_in_the_folder_wins(run_folder):
    place = run_folder / "detector"
    values = {"weight": 1.0, "offset": 2.0, "eer_threshold": 0, "n_bonafide": 3, "n_spoof": 4, "eer": 0.5}
    (place / "calibration.json").write_text(json.dumps(values))
    assert calibration_beside(place).record() == values
    (place / "calibration.json").write_text("{}")
    with pytest.raises(InputError, match=r"calibration\.json: no calibration: .*weight"):
        calibration_beside(place)


def test_detectors_have_names_that_differ(run_folder):
    twice = argparse.Namespace(detector=[str(run_folder), str(run_folder / "detector")], **NO_VALUES)
    with pytest.raises(DetectorError, match="two detectors are called 'mine'; name them: --detector NAME=DETECTOR"):
        load_all(twice)
    twice.detector[1] = f"other={run_folder}"
    assert [detector.name for detector in load_all(twice)] == ["mine", "other"]


def test_names_come_from_folders_and_files(tmp_path):
    assert default_name(tmp_path / "runs/demo/camhfa/seed3/detector") == "camhfa"
    assert default_name(tmp_path / "best.pth") == "best"
    assert default_name(tmp_path / "someone/model") == "model"


def test_nothing_is_overwritten_unasked(tmp_path):
    refuse_existing(tmp_path / "none", False)
    refuse_existing(tmp_path, False)  # an empty folder
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="is there already; add --overwrite"):
            refuse_existing(path, False)
        refuse_existing(path, True)
