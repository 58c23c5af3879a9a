import dataclasses

import numpy as np
import pytest
import torch

from sslig import audio
from sslig.attribution.baselines import Baseline, load, mean, save
from sslig.corpora import protocol
from sslig.errors import DetectorError, InputError
from sslig.models.foreign import BlackBox, Origin
from sslig.study import Scoring

SOURCE = {"set": "train", "checkpoint": "0123456789ab"}
N_SAMPLES, N_FRAMES = (5_840, 7_760, 7_760, 9_360), (18, 24, 24, 29)
"""Whole frames of the four bona fide training utterances."""


@pytest.fixture
def bonafide(corpus):
    table = protocol.load_set(corpus, "train")
    return table[table["key"] == "bonafide"].reset_index(drop=True)


@pytest.fixture
def frames(tiny_detector, bonafide):
    """(layer, frame, feature) of each utterance."""
    with torch.no_grad():
        return [
            tiny_detector().features(torch.from_numpy(audio.read(path)[:used])[None])[0]
            for path, used in zip(bonafide["path"], N_SAMPLES, strict=True)
        ]


def mean_of(detector, table, weight=None, batch_size=16):
    return mean("start", detector, table, Scoring(batch_size=batch_size), "cpu", SOURCE, weight)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_frame_counts_once(tiny_detector, bonafide, frames, batch_size):
    """Dropout would change the mean of a detector in training mode, which it is left in."""
    detector = tiny_detector().train()
    made = mean_of(detector, bonafide, batch_size=batch_size)
    torch.testing.assert_close(made.values, torch.cat(frames, dim=1).mean(dim=1))
    assert (made.name, made.source) == ("start", SOURCE | {"utterances": 4, "frames": sum(N_FRAMES)})
    assert detector.training


def test_frames_count_by_their_weight(tiny_detector, bonafide, frames):
    """The first two frames of each utterance, but for one without any weight."""
    silent = bonafide["utterance"].iloc[0]
    made = mean_of(tiny_detector(), bonafide, lambda name, n_frames: (np.arange(n_frames) < 2) * (name != silent), 3)
    torch.testing.assert_close(made.values, torch.cat([part[:, :2] for part in frames[1:]], dim=1).mean(dim=1))
    assert made.source == SOURCE | {"utterances": 3, "frames": 6}
    with pytest.raises(InputError, match="start: no frame of 4 utterances counts"):
        mean_of(tiny_detector(), bonafide, lambda name, n_frames: np.zeros(n_frames))


def test_a_broken_file_is_left_out_of_the_mean(tiny_detector, bonafide, frames, tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"")
    bonafide.loc[0, "path"] = str(tmp_path / "broken.flac")
    made = mean_of(tiny_detector(), bonafide)
    torch.testing.assert_close(made.values, torch.cat(frames[1:], dim=1).mean(dim=1))
    with pytest.raises(InputError, match=r"no frame of 1 utterances counts.*broken\.flac"):
        mean_of(tiny_detector(), bonafide.head(1))


def test_a_baseline_takes_the_shape_of_features():
    features = torch.zeros(1, 2, 4, 3)
    constant = Baseline("given", torch.arange(6.0).reshape(2, 3), {})
    assert torch.equal(constant.like(features)[0], constant.values[:, None].expand(2, 4, 3))
    whole = Baseline("given", torch.arange(24.0).reshape(2, 4, 3), {})
    assert torch.equal(whole.like(features)[0], whole.values)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (2, 5, 3), (2, 3, 3, 3)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"'given' of shape .* does not fit features of shape \(1, 2, 4, 3\)"):
        Baseline("given", torch.zeros(shape), {}).like(torch.zeros(1, 2, 4, 3))


def test_a_saved_baseline_comes_back_with_its_source(tmp_path):
    baseline = Baseline("bonafide_mean", torch.randn(3, 4).T, SOURCE | {"frames": 95})
    save(tmp_path / "run" / "baseline.safetensors", baseline)
    again = load(tmp_path / "run" / "baseline.safetensors")
    assert torch.equal(again.values, baseline.values)
    assert dataclasses.replace(again, values=None) == dataclasses.replace(baseline, values=None)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["baseline.safetensors"]


def test_a_black_box_has_no_features_to_average(bonafide):
    detector = BlackBox(lambda waveforms: waveforms.mean(dim=1), Origin("test", "box"))
    with pytest.raises(DetectorError, match="start: BlackBox has no convolutions, encode, head"):
        mean_of(detector, bonafide)
