import numpy as np
import pytest
import torch

from sslig.errors import InputError
from sslig.validation import replacement

HEADS = ("aasist", "camhfa", "sls")


@pytest.fixture
def features():
    return torch.randn(1, 3, 24, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def masks():
    masks = np.zeros((3, 24), dtype=bool)
    masks[1, 4:9], masks[2] = True, True
    return masks


@pytest.mark.parametrize("name", HEADS)
def test_a_profile_takes_the_place_of_masked_frames(tiny_detector, features, masks, name):
    head, profile = tiny_detector(name).head, torch.randn(3, 16)
    scores = replacement.in_features(head, features, "bonafide_mean", {"bonafide_mean": profile})
    replaced = torch.where(torch.from_numpy(masks)[:, None, :, None], profile[None, :, None], features)
    assert scores(masks) == pytest.approx(head(replaced).detach().double().numpy(), abs=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_masked_frames_are_taken_from_their_neighbours_and_all_of_them_from_the_mean(
    tiny_detector, features, masks, name
):
    head = tiny_detector(name).head
    scores = replacement.in_features(head, features, "interpolation", {})
    expected = features.repeat(3, 1, 1, 1)
    expected[1, :, 4:9] = ((features[0, :, 3] + features[0, :, 9]) / 2)[:, None]
    expected[2] = features[0].mean(dim=1, keepdim=True)
    assert scores(masks) == pytest.approx(head(expected).detach().double().numpy(), abs=1e-5)


def test_masks_go_through_the_head_in_chunks(tiny_detector, features, monkeypatch, rng):
    masks = rng.random((7, 24)) < 0.3
    scores = replacement.in_features(tiny_detector().head, features, "interpolation", {})
    whole = scores(masks)
    monkeypatch.setattr(replacement, "CHUNK_VALUES", 1)
    scores = replacement.in_features(tiny_detector().head, features, "interpolation", {})
    assert scores(masks) == pytest.approx(whole, abs=1e-6)


def test_a_waveform_with_nothing_replaced_has_the_score_of_the_detector(tiny_detector, rng):
    detector = tiny_detector()
    waveform = torch.from_numpy(rng.standard_normal((1, detector.clock.n_samples(20))).astype(np.float32))
    masks = np.zeros((10, 20), dtype=bool)
    masks[1:, 3:8] = True
    scores = replacement.in_waveform(detector, waveform, "silence", seed=0)
    values = scores(masks)
    assert values[0] == pytest.approx(detector(waveform).item(), abs=1e-5)
    assert values[1:] == pytest.approx(values[1])
    assert values[1] != pytest.approx(values[0], abs=1e-5)


def test_noise_is_the_same_each_time(tiny_detector, rng):
    detector = tiny_detector()
    waveform = torch.from_numpy(rng.standard_normal((1, detector.clock.n_samples(20))).astype(np.float32))
    masks = np.arange(20)[None] < 6
    scores = replacement.in_waveform(detector, waveform, "noise", seed=4)
    assert scores(masks) == pytest.approx(scores(masks), abs=1e-6)


def test_an_unknown_replacement_is_refused(tiny_detector, features):
    with pytest.raises(InputError, match=r"'zeros'.*bonafide_mean, interpolation"):
        replacement.in_features(tiny_detector().head, features, "zeros", {"bonafide_mean": torch.zeros(3, 16)})
    with pytest.raises(InputError, match=r"'nonspeech_mean'.*interpolation"):
        replacement.in_features(tiny_detector().head, features, "nonspeech_mean", {})
    with pytest.raises(InputError, match="silence, noise, interpolation"):
        replacement.in_waveform(tiny_detector(), torch.zeros(1, 6000), "mean", seed=0)
