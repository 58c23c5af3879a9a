"""Edits of frames that can be counted by hand, and of tones and levels that are known in closed form."""

import math

import framed
import pytest
import torch
from framed import N_FRAMES, N_SAMPLES, frames, generator, marked, rms, tone

from sslig.corpora import codecs
from sslig.cues import edits
from sslig.data import fills
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK


@pytest.fixture(name="noise")
def two_noises():
    return framed.noise()


def test_a_band_is_scaled_and_the_rest_is_kept():
    inside, outside = tone(900), tone(3000)
    middle = slice(2000, -2000)
    masked = edits.band_gain(inside + outside, 600, 1200, 0.1)
    torch.testing.assert_close(masked[:, middle], (0.1 * inside + outside)[:, middle], atol=1e-3, rtol=0)


def test_a_lowpass_takes_out_what_lies_above():
    middle = slice(2000, -2000)
    masked = edits.lowpass(tone(500) + tone(5000), 4000)
    torch.testing.assert_close(masked[:, middle], tone(500)[:, middle], atol=1e-3, rtol=0)


def test_gains_of_one_and_empty_masks_change_nothing(noise):
    assert torch.equal(edits.band_gain(noise, 600, 1200, 1.0), noise)
    assert torch.equal(edits.compressed(noise, ratio=1.0, makeup_db=0.0), noise)
    assert torch.equal(edits.compressed(noise, ratio=1.0, makeup_db=0.0, attack_ms=5, release_ms=50), noise)
    assert torch.equal(edits.cut(noise, frames(batch=2), SSL_CLOCK), noise)
    for fill in fills.FILLS:
        assert torch.equal(fills.replaced(noise, frames(batch=2), SSL_CLOCK, fill, generator()), noise)


def test_a_compressor_reduces_what_exceeds_the_threshold():
    # -6 dB exceed -20 dB by 14 dB, of which 10.5 dB are taken; 10 dB are given back.
    samples = torch.tensor([[10 ** (-6 / 20), -(10 ** (-6 / 20)), 10 ** (-30 / 20), 1.0]])
    masked = edits.compressed(samples)
    expected = torch.tensor([[10 ** (-6.5 / 20), -(10 ** (-6.5 / 20)), 10 ** (-20 / 20), 10 ** (-5 / 20)]])
    torch.testing.assert_close(masked, expected, atol=1e-6, rtol=0)
    assert edits.compressed(torch.ones(1, 4), ratio=1.0).tolist() == [[1.0] * 4]  # the limit


def test_attack_and_release_follow_their_recursion():
    samples = 0.5 * torch.randn(1, 400, generator=generator())
    release, attack = math.exp(-1 / 80), math.exp(-1 / 16)
    released = smooth = 0.0
    expected = []
    for value in samples[0].tolist():
        excess = max(0.0, 20 * math.log10(abs(value) + 1e-8) + 20) * 0.75
        released = max(excess, release * released)
        smooth = attack * smooth + (1 - attack) * released
        expected.append(max(-1.0, min(1.0, value * 10 ** ((10 - smooth) / 20))))
    masked = edits.compressed(samples, attack_ms=1, release_ms=5)
    torch.testing.assert_close(masked, torch.tensor([expected]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("masked", [(0, 1, 2), (46, 47, 48), (0, 48, 47), (10, 11, 12), (5, 20, 40), (0, 20, 48)])
def test_a_cut_removes_one_hop_a_frame_wherever_it_stands(masked):
    masked = edits.cut(tone(100), frames(*masked), SSL_CLOCK)
    assert masked.shape == (1, N_SAMPLES - 3 * 320)
    assert SSL_CLOCK.n_frames(masked.shape[1]) == N_FRAMES - 3


def test_cuts_at_the_ends_start_later_and_stop_earlier():
    position = torch.arange(N_SAMPLES, dtype=torch.float32)[None]
    masked = edits.cut(position, frames(0, 1, 48), SSL_CLOCK)
    assert torch.equal(masked, position[:, 640 : N_SAMPLES - 320])


def test_a_cut_inside_continues_under_what_follows():
    samples = tone(97)
    masked = edits.cut(samples, frames(20, 21), SSL_CLOCK)
    start = 20 * 320 + 40
    assert torch.equal(masked[:, :start], samples[:, :start])
    assert torch.equal(masked[:, start + 80 :], samples[:, start + 720 :])
    assert masked.diff().abs().max() < 0.06  # the tone itself moves by 0.02 a sample, the joint jumps by 0.6
    assert (samples[0, start + 640] - samples[0, start - 1]).abs() > 0.3


def test_rows_of_a_cut_do_not_mix(noise):
    mask = torch.cat([frames(0, 7, 8), frames(20, 40, 48)])
    together = edits.cut(noise, mask, SSL_CLOCK)
    alone = [edits.cut(noise[row : row + 1], mask[row : row + 1], SSL_CLOCK) for row in range(2)]
    assert torch.equal(together, torch.cat(alone))


def test_codecs_keep_shape_and_are_applied_row_by_row():
    samples = torch.cat([tone(300, n_samples=4000), tone(500, n_samples=4000)])
    masked = edits.coded(samples, codecs.G722)
    assert masked.shape == samples.shape
    assert masked.dtype == samples.dtype
    assert torch.equal(masked[1:], edits.coded(samples[1:], codecs.G722))
    assert rms(masked - samples) < 0.1 * rms(samples)


def test_the_shortest_recordings_have_a_band_taken_out():
    short = torch.randn(1, 400, generator=torch.Generator().manual_seed(0))
    assert torch.equal(edits.band_gain(short, 600, 1200, 1.0), short)
    changed = edits.band_gain(short, 0, 8000, 0.1)
    assert changed.shape == short.shape
    assert changed.isfinite().all()
    assert not torch.equal(changed, short)


def ramp(n_frames):
    """(1, 1, frame, 1) features that are the number of their frame."""
    return torch.arange(n_frames, dtype=torch.float32)[None, None, :, None]


def test_a_profile_pulls_by_alpha():
    features = torch.ones(1, 2, 3, 1)
    profile = torch.tensor([[3.0], [5.0]])
    pulled = edits.towards_profile(features, marked("-x-"), profile, 0.5)
    assert pulled[0, :, :, 0].tolist() == [[1, 2, 1], [1, 3, 1]]
    assert torch.equal(edits.towards_profile(features, marked("xxx"), profile, 0.0), features)
    assert torch.equal(edits.towards_profile(features, marked("---"), profile, 0.9), features)


@pytest.mark.parametrize(("quantile", "expected"), [(0.75, "----x"), (0.5, "---xx"), (1.0, "-----")])
def test_energy_is_the_mean_square_of_a_hop_and_high_above_a_quantile(quantile, expected):
    """The last 80 samples lie only in the receptive field of the last frame, and equal energies are never above."""
    waveforms = torch.arange(5.0).repeat_interleave(320)[None]
    waveforms = torch.cat([waveforms, torch.full((1, 80), 9.0)], dim=1)
    assert torch.equal(edits.high_energy(waveforms, SSL_CLOCK, quantile), marked(expected))
    assert not edits.high_energy(torch.ones_like(waveforms), SSL_CLOCK, 0.5).any()


def test_published_word_boundaries_stand_beside_blanks_and_wrap_around():
    blank, delimiter = marked("x-xx-x-x--x"), marked("------x----")
    assert torch.equal(edits.published_word_boundaries(blank, delimiter), marked("-x--x-x-xx-"))
    blank, delimiter = marked("----x"), marked("-----")
    assert torch.equal(edits.published_word_boundaries(blank, delimiter), marked("x--x-"))
    assert torch.equal(edits.published_word_boundaries(blank.flip(1), delimiter), marked("-x--x"))


def test_top_frames_are_the_highest_and_earlier_of_equals():
    attribution = torch.tensor([[0.0, 3, -1, 3, 2, 1, 0, 0, 0, 0], [0] * 10])
    assert torch.equal(edits.top_frames(attribution, 20, 10)[:1], marked("-x-x------"))
    assert torch.equal(edits.top_frames(attribution, 20, 10)[1:], marked("xx--------"))
    assert torch.equal(edits.top_frames(-attribution, 10, 10)[:1], marked("--x-------"))


@pytest.mark.parametrize(("percent", "count"), [(0, 0), (1, 1), (29, 2), (30, 3), (99, 9), (100, 10)])
def test_shares_are_rounded_down_to_one_frame_at_least(percent, count):
    assert edits.top_frames(torch.arange(10.0)[None], percent, 10).sum() == count


def test_frames_that_the_head_does_not_read_are_never_taken():
    assert torch.equal(edits.top_frames(torch.arange(6.0)[None], 50, n_read=4), marked("--xx--"))
    with pytest.raises(InputError, match="1 of 2 attributions"):
        edits.top_frames(torch.tensor([[0.0, float("nan")]]), 50, 2)


@pytest.mark.parametrize(("mask", "edges"), [("xx-x-x", "xx---x"), ("-xx-", "----"), ("xxx", "xxx"), ("---", "---")])
def test_edge_runs_reach_the_ends(mask, edges):
    assert torch.equal(edits.edge_runs(marked(mask)), marked(edges))
