import dataclasses

import numpy as np
import pytest
import torch

from sslig import audio
from sslig.attribution import baselines
from sslig.attribution.baselines import Baseline, mean, zero
from sslig.corpora import protocol
from sslig.errors import InputError
from sslig.study import Scoring

SOURCE = {"set": "train", "checkpoint": "0123456789ab"}


@pytest.fixture
def bonafide(corpus):
    table = protocol.load_set(corpus, "train")
    return table[table["key"] == "bonafide"].reset_index(drop=True)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_frame_counts_once(tiny_detector, bonafide, batch_size):
    """The numpy mean over the frames of all utterances under each other, long ones with more of them."""
    detector = tiny_detector()
    with torch.no_grad():
        frames = [
            detector.features(torch.from_numpy(audio.read(path)[:used]).unsqueeze(0))[0].numpy()
            for path, used in zip(bonafide["path"], (5_840, 7_760, 7_760, 9_360), strict=True)
        ]  # (layer, frame, feature) each
    expected = np.concatenate(frames, axis=1).mean(axis=1)
    made = mean("bonafide_mean", detector, bonafide, Scoring(batch_size=batch_size), "cpu", SOURCE)
    np.testing.assert_allclose(made.values, expected, atol=1e-5)
    unweighted = np.mean([part.mean(axis=1) for part in frames], axis=0)
    assert np.abs(expected - unweighted).max() > 1e-4  # the two means are not the same
    assert made.name == "bonafide_mean"
    assert made.source == SOURCE | {"utterances": 4, "frames": 18 + 24 + 24 + 29}


def test_a_broken_file_is_left_out_of_the_mean(tiny_detector, bonafide, tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"")
    broken = bonafide.copy()
    broken.loc[0, "path"] = str(tmp_path / "broken.flac")
    made = mean("bonafide_mean", tiny_detector(), broken, Scoring(), "cpu", SOURCE)
    without = mean("bonafide_mean", tiny_detector(), bonafide.iloc[1:].reset_index(drop=True), Scoring(), "cpu", SOURCE)
    assert made.source == without.source
    torch.testing.assert_close(made.values, without.values)
    with pytest.raises(InputError, match=r"no frame of 1 utterances counts.*broken\.flac"):
        mean("bonafide_mean", tiny_detector(), broken.head(1), Scoring(), "cpu", SOURCE)


def test_a_detector_in_training_mode_gives_the_same_mean(tiny_detector, bonafide):
    """Dropout would change it."""
    detector = tiny_detector()
    evaluated = mean("bonafide_mean", detector, bonafide, Scoring(), "cpu", SOURCE)
    trained = mean("bonafide_mean", detector.train(), bonafide, Scoring(), "cpu", SOURCE)
    torch.testing.assert_close(trained.values, evaluated.values)
    assert detector.training


def test_zero_is_the_origin():
    origin = zero(2, 3)
    assert origin.name == "zero"
    assert origin.values.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_baseline_is_held_over_all_frames():
    baseline = Baseline("given", torch.arange(6.0).reshape(2, 3), {})
    like = baseline.like(torch.zeros(1, 2, 4, 3))
    assert like.shape == (1, 2, 4, 3)
    assert all(torch.equal(like[0, :, frame], baseline.values) for frame in range(4))


def test_a_baseline_may_have_frames_of_its_own():
    baseline = Baseline("given", torch.arange(24.0).reshape(2, 4, 3), {})
    assert torch.equal(baseline.like(torch.zeros(1, 2, 4, 3))[0], baseline.values)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (2, 5, 3), (2, 3, 3, 3)])
def test_another_shape_is_refused(shape):
    baseline = Baseline("given", torch.zeros(shape), {})
    features = r"\(1, 2, 4, 3\)"
    with pytest.raises(InputError, match=rf"'given' of shape .* does not fit features of shape {features}"):
        baseline.like(torch.zeros(1, 2, 4, 3))


def test_a_saved_baseline_comes_back_with_its_source(tmp_path):
    baseline = Baseline("bonafide_mean", torch.randn(3, 4).T, SOURCE | {"frames": 95})
    baselines.save(tmp_path / "run" / "baseline.safetensors", baseline)
    again = baselines.load(tmp_path / "run" / "baseline.safetensors")
    assert torch.equal(again.values, baseline.values)
    assert dataclasses.replace(again, values=None) == dataclasses.replace(baseline, values=None)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["baseline.safetensors"]


def test_frames_count_by_their_weight(tiny_detector, bonafide):
    """The first two frames of each utterance, but for one without any weight."""
    detector, silent = tiny_detector(), bonafide["utterance"].iloc[0]
    with torch.no_grad():
        frames = [
            detector.features(torch.from_numpy(audio.read(path)[:used])[None])[0, :, :2]
            for path, used in zip(bonafide["path"][1:], (7_760, 7_760, 9_360), strict=True)
        ]
    made = mean(
        "start",
        detector,
        bonafide,
        Scoring(batch_size=3),
        "cpu",
        SOURCE,
        lambda name, n_frames: (np.arange(n_frames) < 2) * (name != silent),
    )
    torch.testing.assert_close(made.values, torch.cat(frames, dim=1).mean(dim=1))
    assert made.source == SOURCE | {"utterances": 3, "frames": 6}
    with pytest.raises(InputError, match="start: no frame of 4 utterances counts"):
        mean("start", detector, bonafide, Scoring(), "cpu", SOURCE, lambda name, n_frames: np.zeros(n_frames))
