"""The sheet that annotators' kernels read: what is on it, when it is made again, and what it never holds."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sslig import audio, stages
from sslig.annotation.plan import Track
from sslig.corpora import protocol
from sslig.files import write_json
from sslig.frames import SSL_CLOCK
from sslig.models.detector import Detector
from sslig.stages import annotated
from sslig.widgets import annotator_sheet
from sslig.widgets.annotator_sheet import SheetError

NAMES = ["E_0000", "E_0003"]


@pytest.fixture
def study(tmp_path, corpus, write_experiment, monkeypatch):
    """Makes a study of a copy of the corpus, whose attributions are given: those of AASIST fall, the others rise."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)

    def make(**annotation):
        experiment = write_experiment(tmp_path, corpus={"root": str(root)}, annotation=annotation)
        table = protocol.load_set(root, "eval")
        lengths = {row.utterance: SSL_CLOCK.n_frames(audio.n_samples(row.path)) for row in table.itertuples()}
        for name in experiment.detectors:
            write_json(experiment.run(name, 0) / "attributions.json", {"key": "made"})

        def attributions(_, name, seed):
            sign = -2 if name == "aasist" else 1
            curves = [sign * np.arange(1, lengths[one] + 1) for one in NAMES]
            return pd.DataFrame({"utterance": NAMES, "by_frame": curves})

        chosen = table[table["utterance"].isin(NAMES)].assign(group="bona fide")
        regions = [(one, name, 0.1, 0.2, 0.3) for one in NAMES for name in experiment.detectors]
        columns = ["utterance", "detector", "start_s", "end_s", "read_s"]
        monkeypatch.setattr(stages, "attributions", attributions)
        monkeypatch.setattr(stages, "checkpoint", lambda *_: "folder")
        monkeypatch.setattr(annotated, "annotated_utterances", lambda *_: chosen)
        monkeypatch.setattr(annotated, "annotated_regions", lambda *_: pd.DataFrame(regions, columns=columns))
        monkeypatch.setattr(Detector, "from_pretrained", lambda _: SimpleNamespace(clock=SSL_CLOCK))
        return experiment

    return make


def frames(lane):
    return np.frombuffer(lane["frames"], "<f4")


def test_a_sheet_holds_sound_and_evidence_of_each_utterance(study):
    experiment = study()
    annotator_sheet.make(experiment)
    sheet = annotator_sheet.read(experiment)
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
    lanes = annotator_sheet.read(experiment).view(NAMES[0])["lanes"]
    for lane in lanes:
        assert frames(lane).max() == 1
        np.testing.assert_allclose(frames(lane), np.arange(1, len(frames(lane)) + 1) / len(frames(lane)), rtol=1e-6)


def test_a_sheet_is_made_once_and_again_when_the_study_changes(study, monkeypatch):
    experiment = study()
    with pytest.raises(SheetError, match=r"no sheet, or one of other values; python -m sslig\.widgets\.serve makes it"):
        annotator_sheet.read(experiment)
    annotator_sheet.make(experiment)
    assert annotator_sheet.ready(experiment)
    assert annotator_sheet.ready(study(store="elsewhere.sqlite"))
    assert not annotator_sheet.ready(study(blind=True))
    experiment = study()
    write_json(experiment.run("sls", 0) / "attributions.json", {"key": "made anew"})
    assert not annotator_sheet.ready(experiment)
    annotator_sheet.make(experiment)
    assert annotator_sheet.ready(experiment)
    monkeypatch.setattr(annotator_sheet, "write", None)
    annotator_sheet.make(experiment)


def test_a_recording_outside_the_corpus_is_not_put_on_it(study, tmp_path):
    experiment = study()
    outside = tmp_path / "private.flac"
    audio.write_flac(outside, np.full(16_000, 0.1, dtype=np.float32))
    recording = experiment.corpus_root / "flac_E_eval" / f"{NAMES[1]}.flac"
    recording.unlink()
    recording.symlink_to(outside)
    with pytest.raises(SheetError, match=rf"{NAMES[1]}\.flac: a link to .*private\.flac, outside the corpus"):
        annotator_sheet.make(experiment)
    assert not annotator_sheet.ready(experiment)


def test_the_folder_of_a_set_may_lie_elsewhere(study, tmp_path):
    experiment = study()
    folder = experiment.corpus_root / "flac_E_eval"
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    annotator_sheet.make(experiment)
    assert annotator_sheet.ready(experiment)


def test_the_lane_of_a_decoy_is_turned_within_what_is_read():
    lane = {"key": "sls", "color": "#fff", "frames": np.arange(6, dtype="<f4").tobytes(), "trend": b"\0" * 24}
    view = {"lanes": [lane], "clock": {"start_s": 0.0, "hop_s": 0.02}}
    decoy = Track("B", "sls", True, (0.04, 0.06), shift_s=0.04)
    moved = annotator_sheet.lane(view, decoy, 0.08, blind=True)
    np.testing.assert_array_equal(frames(moved), [2, 3, 0, 1, 4, 5])
    assert (moved["key"], moved["color"], moved["plain"]) == ("B", "", True)


def test_an_annotator_needs_no_detectors_in_memory():
    """Twenty kernels run at once: what trains, explains or draws figures stays out of them."""
    code = "import sys, sslig.widgets.annotator; print(*{'torch', 'librosa', 'matplotlib', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
