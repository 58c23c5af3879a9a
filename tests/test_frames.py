"""The frame clock: every conversion against the numbers of WavLM's convolutions."""

import numpy as np
import pytest

from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock, energy


def test_the_clock_of_ssl_models_is_derived_from_their_convolutions():
    assert FrameClock(hop_samples=320, receptive_field_samples=400) == SSL_CLOCK
    assert SSL_CLOCK.hop_s == 0.02


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (64_600, 201)]
)
def test_frames_that_samples_give(samples, frames):
    assert SSL_CLOCK.n_frames(samples) == frames


def test_frames_as_a_stack_of_convolutions_counts_them():
    samples = 12_345
    length = samples
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        length = (length - kernel) // stride + 1
    assert SSL_CLOCK.n_frames(samples) == length


@pytest.mark.parametrize("frames", [1, 2, 49, 201])
def test_samples_are_the_fewest_that_give_the_frames(frames):
    samples = SSL_CLOCK.n_samples(frames)
    assert SSL_CLOCK.n_frames(samples) == frames
    assert SSL_CLOCK.n_frames(samples - 1) == frames - 1


def test_no_frames_need_no_samples():
    assert SSL_CLOCK.n_samples(0) == 0


def test_centre_of_frame_t_is_320_t_plus_200_samples():
    np.testing.assert_allclose(SSL_CLOCK.centre_s(3), [200 / 16_000, 520 / 16_000, 840 / 16_000])
    assert SAMPLE_RATE_HZ == 16_000


def test_a_single_convolution_is_a_clock():
    assert FrameClock.from_convolutions([5], [2]) == FrameClock(hop_samples=2, receptive_field_samples=5)


@pytest.mark.parametrize(("kernels", "strides"), [((3, 3), (2,)), ((), ())])
def test_kernels_without_strides_are_refused(kernels, strides):
    with pytest.raises(ValueError, match="one of each per layer"):
        FrameClock.from_convolutions(kernels, strides)


def test_energy_is_the_mean_square_of_each_window():
    samples = np.stack([np.arange(10.0), np.ones(10)])
    expected = [[(0 + 1 + 4 + 9) / 4, (9 + 16 + 25 + 36) / 4, (36 + 49 + 64 + 81) / 4], [1, 1, 1]]
    np.testing.assert_allclose(energy(samples, hop_samples=3, window_samples=4), expected)
    assert energy(np.concatenate([np.full(400, 0.9), np.zeros(400)]), 400, 400)[1] == 0  # exact after loud sound
    assert energy(np.ones(3), 3, 4).shape == (0,)
