"""The sheet that annotators' kernels read: what is on it, and what it never holds."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.annotation.plan import Track
from sslig.corpora import protocol
from sslig.errors import InputError, PipelineError
from sslig.files import write_parquet
from sslig.frames import SSL_CLOCK
from sslig.pipeline import outputs
from sslig.widgets import annotator_sheet

NAMES = ["E_0000", "E_0003"]


@pytest.fixture
def study(tmp_path, corpus, write_experiment, tiny_detector, monkeypatch):
    """Makes a study of a copy of the corpus with given attributions: those of AASIST fall, the others rise."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    monkeypatch.setenv(outputs.IN_RULE, "1")

    def make(**annotation):
        experiment = write_experiment(tmp_path, corpus={"root": str(root)}, annotation=annotation)
        table = protocol.load_set(root, "eval")
        explained = table[table["utterance"].isin(NAMES)]
        lengths = [SSL_CLOCK.n_frames(audio.n_samples(path)) for path in explained["path"]]
        for name in experiment.detectors:
            run = experiment.run(name, 0)
            tiny_detector(name).save_pretrained(run / "detector")
            curves = [(-2 if name == "aasist" else 1) * np.arange(1.0, n + 1) for n in lengths]
            attributions = pd.DataFrame({"utterance": explained["utterance"], "by_frame": curves, "detector": name})
            write_parquet(run / "attributions.parquet", attributions.assign(seed=0))
            write_parquet(run / "scores_eval.parquet", table.assign(spoof_score=np.arange(float(len(table)))))
        return experiment

    return make


def frames(lane):
    return np.frombuffer(lane["frames"], "<f4")


def test_a_sheet_holds_sound_and_evidence_of_each_utterance(study):
    experiment = study()
    annotator_sheet.make(experiment)
    sheet = annotator_sheet.read(annotator_sheet.path(experiment))
    assert sorted(sheet.utterances["utterance"]) == NAMES
    assert sheet.regions.groupby("utterance")["detector"].apply(list).tolist() == [["aasist", "camhfa", "sls"]] * 2
    for name in NAMES:
        view = sheet.view(name)
        n_frames = len(frames(view["lanes"][0]))
        assert view["name"] == name
        assert view["audio"].startswith(b"fLaC")
        assert view["duration_s"] == SSL_CLOCK.n_samples(n_frames) / 16_000
        assert view["spectrogram"]["columns"] == n_frames
        assert [lane["key"] for lane in view["lanes"]] == ["aasist", "camhfa", "sls"]
        np.testing.assert_array_equal(frames(view["lanes"][0]), -2 * np.arange(1, n_frames + 1))


def test_the_evidence_of_a_blind_study_has_no_sign_and_no_size(study):
    experiment = study(blind=True)
    annotator_sheet.make(experiment)
    for lane in annotator_sheet.read(annotator_sheet.path(experiment)).view(NAMES[0])["lanes"]:
        n_frames = len(frames(lane))
        np.testing.assert_allclose(frames(lane), np.arange(1, n_frames + 1) / n_frames, rtol=1e-6)


def test_regions_without_evidence_come_back(tmp_path):
    utterances = pd.DataFrame({"utterance": ["E_0000"], "group": ["spoof"]})
    regions = pd.DataFrame({"utterance": ["E_0000"], "detector": ["sls"], "start_s": [np.nan], "read_s": [0.1 + 0.2]})
    annotator_sheet.write(annotator_sheet.Sheet(tmp_path / "sheet.parquet", utterances, regions), [])
    pd.testing.assert_frame_equal(annotator_sheet.read(tmp_path / "sheet.parquet").regions, regions)


def test_a_missing_sheet_and_missing_attributions_are_named(study):
    experiment = study()
    with pytest.raises(InputError, match=r"no such file; python -m sslig\.widgets\.serve writes it"):
        annotator_sheet.read(annotator_sheet.path(experiment))
    (experiment.run("sls", 0) / "attributions.parquet").unlink()
    with pytest.raises(PipelineError, match=r"sls/seed0/attributions\.parquet is missing"):
        annotator_sheet.make(experiment)


def test_a_recording_outside_the_corpus_is_not_put_on_it(study, tmp_path):
    experiment = study()
    outside = tmp_path / "private.flac"
    recording = experiment.corpus_root / "flac_E_eval" / f"{NAMES[1]}.flac"
    shutil.move(recording, outside)
    recording.symlink_to(outside)
    with pytest.raises(InputError, match=rf"{NAMES[1]}\.flac: a link to .*private\.flac, outside the corpus"):
        annotator_sheet.make(experiment)
    assert not annotator_sheet.path(experiment).exists()


def test_the_folder_of_a_set_may_lie_elsewhere(study, tmp_path):
    experiment = study()
    folder = experiment.corpus_root / "flac_E_eval"
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    annotator_sheet.make(experiment)
    assert annotator_sheet.path(experiment).is_file()


def test_the_lane_of_a_decoy_is_rotated_within_what_is_read():
    lane = {"key": "sls", "color": "#fff", "frames": np.arange(6, dtype="<f4").tobytes(), "trend": b"\0" * 24}
    view = {"lanes": [lane], "clock": {"start_s": 0.0, "hop_s": 0.02}}
    decoy = Track("B", "sls", True, (0.04, 0.06), shift_s=0.04)
    shifted = annotator_sheet.lane(view, decoy, 0.08, blind=True)
    np.testing.assert_array_equal(frames(shifted), [2, 3, 0, 1, 4, 5])
    assert (shifted["key"], shifted["color"], shifted["plain"]) == ("B", "", True)


def test_an_annotator_needs_no_detectors_in_memory():
    """Twenty kernels run at once: what trains, explains or draws figures stays out of them."""
    heavy = "{'torch', 'librosa', 'matplotlib', 'scipy', 'captum'} & set(sys.modules)"
    code = f"import sys, sslig.widgets.annotator; print(*({heavy}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
