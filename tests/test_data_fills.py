"""What takes the place of frames, in features and in recordings."""

import framed
import pytest
import torch
from framed import N_FRAMES, N_SAMPLES, frames, generator, marked, rms, tone

from sslig.cues import edits
from sslig.data import fills
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK


@pytest.fixture(name="noise")
def two_noises():
    return framed.noise()


def ramp(n_frames):
    """(1, 1, frame, 1) features that are the number of their frame."""
    return torch.arange(n_frames, dtype=torch.float32)[None, None, :, None]


def test_the_frame_of_a_sample_has_the_nearest_centre():
    masked = fills.sample_mask(torch.eye(N_FRAMES, dtype=torch.bool), N_SAMPLES, SSL_CLOCK)
    centres = torch.from_numpy(SSL_CLOCK.centre_s(N_FRAMES)) * SAMPLE_RATE_HZ
    distance = (torch.arange(N_SAMPLES)[None] + 0.5 - centres[:, None]).abs()
    assert torch.equal(masked, distance == distance.min(dim=0).values)
    assert (masked.sum(dim=0) == 1).all()
    assert masked.sum(dim=1).tolist() == [360] + [320] * 47 + [560]


@pytest.mark.parametrize("fill", fills.FILLS)
def test_only_masked_samples_change_and_without_a_click(fill):
    samples = tone(100)
    mask = frames(0, 1, 10, 20, 21, 22, 48)
    filled = fills.replaced(samples, mask, SSL_CLOCK, fill, generator())
    masked = fills.sample_mask(mask, N_SAMPLES, SSL_CLOCK)
    assert torch.equal(filled[~masked], samples[~masked])
    assert not torch.equal(filled[masked], samples[masked])
    seam = masked.int().diff().abs().bool()  # between a kept and a masked sample
    assert (filled.diff()[seam] - samples.diff()[seam]).abs().max() < 1e-3


def test_silence_is_digital_between_the_fades():
    masked = fills.replaced(tone(100), frames(20, 21), SSL_CLOCK, "silence", generator())
    start, stop = 20 * 320 + 40, 22 * 320 + 40
    assert masked[0, start + 80 : stop - 80].abs().max() == 0
    halfway = masked[0, start + 39 : start + 41] / tone(100)[0, start + 39 : start + 41]
    assert halfway.mean() == pytest.approx(0.5, abs=0.02)


def test_full_masks():
    samples, everything = tone(100), torch.ones(1, N_FRAMES, dtype=torch.bool)
    assert fills.replaced(samples, everything, SSL_CLOCK, "silence", generator()).abs().max() == 0
    assert torch.equal(fills.replaced(samples, everything, SSL_CLOCK, "interpolation", generator()), samples)


def test_noise_has_the_level_and_spectrum_of_the_quietest_frames(noise):
    quiet = edits.lowpass(noise, 2000)
    loud = quiet.clone()
    loud[:, 6000:] += tone(440)[:, 6000:]
    mask = torch.zeros(2, N_FRAMES, dtype=torch.bool)
    mask[:, 20:48] = True
    masked = fills.replaced(loud, mask, SSL_CLOCK, "noise", generator())[:, 7000:15000]
    assert rms(masked) == pytest.approx(rms(quiet), rel=0.15)
    assert rms(masked - edits.lowpass(masked, 2500)) < 0.05 * rms(masked)


def test_interpolation_meets_the_spectrum_on_both_sides(noise):
    samples = noise.clone()
    samples[:, 8000:] *= 3
    mask = frames(*range(22, 26), batch=2)
    masked = fills.replaced(samples.repeat(50, 1), mask.repeat(50, 1), SSL_CLOCK, "interpolation", generator())
    power = masked[:, 22 * 320 + 200 : 26 * 320 - 120].square().mean().item()
    assert power == pytest.approx((0.1**2 + 0.3**2) / 2, rel=0.15)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("------", [0, 1, 2, 3, 4, 5]),
        ("-x----", [0, 1, 2, 3, 4, 5]),
        ("--xxx-", [0, 1, 3, 3, 3, 5]),
        ("xx---x", [2, 2, 2, 3, 4, 4]),
        ("xxxx-x", [4, 4, 4, 4, 4, 4]),
        ("xxxxxx", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_masked_frames_become_the_mean_of_the_nearest_kept(mask, expected):
    assert fills.from_nearest(ramp(6), marked(mask))[0, 0, :, 0].tolist() == expected


def test_rows_and_layers_do_not_mix():
    features = torch.randn(3, 2, 7, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.cat([marked("-xx--x-"), marked("x-x-x-x"), marked("xxxxxxx")])
    together = fills.from_nearest(features, mask)
    alone = [fills.from_nearest(features[row : row + 1], mask[row : row + 1]) for row in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(together[0, :, 1], (features[0, :, 0] + features[0, :, 3]) / 2)
    assert torch.equal(together[2], features[2])
