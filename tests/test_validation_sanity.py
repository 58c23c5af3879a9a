import numpy as np
import pytest
import torch

from sslig.frames import SSL_CLOCK
from sslig.validation import sanity

CONTROL = {"draws": 20, "seed": 0}


@pytest.fixture
def smooth(rng):
    """(frame,) Evidence whose neighbours are alike, as those of a real map are."""
    return np.convolve(rng.standard_normal(210), np.ones(11) / 11, mode="valid")


def test_a_map_agrees_with_itself_whatever_its_unit(smooth):
    for ranks in (True, False):
        value, controls = sanity.agreement(
            smooth, 3 * smooth + 1, ranks=ranks, draws=20, generator=np.random.default_rng(0)
        )
        assert value == pytest.approx(1)
        assert len(controls) == 20
        assert np.abs(controls).max() < 0.95
    assert sanity.agreement(smooth, -np.exp(smooth))[0] == pytest.approx(-1)


def test_a_map_that_does_not_vary_agrees_with_none(smooth):
    assert np.isnan(sanity.agreement(smooth, np.full(len(smooth), 0.1))[0])


def test_every_pair_of_seeds_has_a_row(smooth):
    rows = sanity.seeds({2: smooth, 0: smooth, 1: smooth[::-1]}, n_read=200, **CONTROL)
    assert [row["at"] for row in rows] == ["0 and 1", "0 and 2", "1 and 2"]
    assert rows[1]["value"] == pytest.approx(1)
    assert rows[1]["beaten"] == 1
    assert rows[0]["value"] < 0.9


def test_few_points_are_compared_with_many():
    def explain(features, count):
        return features[0, 0, :, 0].numpy() + 1.0 / count * np.cos(np.arange(50))

    rows = sanity.steps(explain, torch.randn(1, 1, 50, 1), n_read=50, counts=(1, 64), **CONTROL)
    assert [row["at"] for row in rows] == ["1 of 128", "64 of 128"]
    assert rows[0]["value"] < rows[1]["value"]
    assert rows[1]["value"] == pytest.approx(1, abs=0.01)


def test_evidence_that_moves_with_its_frames_is_equivariant(smooth):
    features = torch.from_numpy(smooth)[None, None, :, None]
    rows = sanity.shift_in_features(lambda x: x[0, 0, :, 0].numpy(), features, n_read=200, **CONTROL)
    assert [row["at"] for row in rows] == ["1 frames", "3 frames", "10 frames"]
    assert [row["value"] for row in rows] == pytest.approx([1, 1, 1])


def test_evidence_that_hangs_on_its_place_is_not():
    weights = np.where(np.arange(50) % 2, 1.0, -1.0)
    features = torch.ones(1, 1, 50, 1)
    rows = sanity.shift_in_features(lambda x: weights[: x.shape[2]], features, n_read=50, **CONTROL)
    assert [row["value"] for row in rows] == pytest.approx([-1, -1, 1])


def test_only_frames_that_are_read_both_times_are_compared(smooth):
    features = torch.from_numpy(smooth)[None, None, :, None]

    def explain(x):
        frames = x[0, 0, :, 0].numpy().copy()
        frames[30:] = 0
        return frames

    (row,) = sanity.shift_in_features(explain, features, n_read=30, by=(5,), **CONTROL)
    assert row["value"] == pytest.approx(1)
    assert sanity.shift_in_features(explain, features, n_read=14, by=(5,), **CONTROL) == []


def test_a_recording_is_shifted_by_whole_frames(rng):
    waveform = torch.from_numpy(rng.standard_normal((1, SSL_CLOCK.n_samples(60))))

    def explain(x):
        return x.unfold(1, 400, 320).square().mean(dim=-1)[0].numpy()

    rows = sanity.shift_in_waveform(explain, waveform, SSL_CLOCK, n_read=60, **CONTROL)
    assert [row["value"] for row in rows] == pytest.approx([1, 1, 1])
    assert {row["statistic"] for row in rows} == {"shift_waveform"}


def test_evidence_that_is_loudness_is_explained_by_it(rng):
    loudness = np.abs(rng.standard_normal(150)) * 0.1
    for frames in (5 * loudness - 1, 20 * np.log10(loudness)):
        row = sanity.loudness_share(frames, loudness, n_read=150, **CONTROL)
        assert row["value"] == pytest.approx(1)
        assert row["beaten"] == 0  # the less the better


def test_other_evidence_is_explained_as_well_as_by_chance(rng):
    rows = [
        sanity.loudness_share(
            rng.standard_normal(150), np.abs(rng.standard_normal(150)), n_read=150, draws=20, seed=one
        )
        for one in range(40)
    ]
    difference = np.array([row["value"] - row["control"] for row in rows])
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(rows))


def test_silence_and_a_constant_map_have_no_share_or_none():
    assert np.isnan(sanity.loudness_share(np.ones(20), np.arange(20.0), n_read=20, **CONTROL)["value"])
    assert sanity.loudness_share(np.arange(20.0), np.zeros(20), n_read=20, **CONTROL)["value"] == pytest.approx(0)
