"""Frame selections and feature masks on frames that can be counted by hand."""

import pytest
import torch

from sslig.cues import feature_masks as masks
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK


def frames(text):
    """(1, frame) True where the text has an x."""
    return torch.tensor([[letter == "x" for letter in text]])


def ramp(n_frames):
    """(1, 1, frame, 1) features that are the number of their frame."""
    return torch.arange(n_frames, dtype=torch.float32)[None, None, :, None]


def test_a_profile_pulls_by_alpha():
    features = torch.ones(1, 2, 3, 1)
    profile = torch.tensor([[3.0], [5.0]])
    pulled = masks.towards_profile(features, frames("-x-"), profile, 0.5)
    assert pulled[0, :, :, 0].tolist() == [[1, 2, 1], [1, 3, 1]]
    assert torch.equal(masks.towards_profile(features, frames("xxx"), profile, 0.0), features)
    assert torch.equal(masks.towards_profile(features, frames("---"), profile, 0.9), features)


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
    assert masks.from_nearest(ramp(6), frames(mask))[0, 0, :, 0].tolist() == expected


def test_rows_and_layers_do_not_mix():
    features = torch.randn(3, 2, 7, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.cat([frames("-xx--x-"), frames("x-x-x-x"), frames("xxxxxxx")])
    together = masks.from_nearest(features, mask)
    alone = [masks.from_nearest(features[row : row + 1], mask[row : row + 1]) for row in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(together[0, :, 1], (features[0, :, 0] + features[0, :, 3]) / 2)
    assert torch.equal(together[2], features[2])


def test_the_input_is_left_alone():
    features = ramp(5)
    masks.from_nearest(features, frames("-xx--"))
    assert torch.equal(features, ramp(5))


@pytest.mark.parametrize(("quantile", "expected"), [(0.75, "----x"), (0.5, "---xx"), (1.0, "-----")])
def test_energy_is_the_mean_square_of_a_hop_and_high_above_a_quantile(quantile, expected):
    """The last 80 samples lie only in the receptive field of the last frame, and equal energies are never above."""
    waveforms = torch.arange(5.0).repeat_interleave(320)[None]
    waveforms = torch.cat([waveforms, torch.full((1, 80), 9.0)], dim=1)
    assert torch.equal(masks.high_energy(waveforms, SSL_CLOCK, quantile), frames(expected))
    assert not masks.high_energy(torch.ones_like(waveforms), SSL_CLOCK, 0.5).any()


def test_published_word_boundaries_stand_beside_blanks_and_wrap_around():
    blank, delimiter = frames("x-xx-x-x--x"), frames("------x----")
    assert torch.equal(masks.published_word_boundaries(blank, delimiter), frames("-x--x-x-xx-"))
    blank, delimiter = frames("----x"), frames("-----")
    assert torch.equal(masks.published_word_boundaries(blank, delimiter), frames("x--x-"))
    assert torch.equal(masks.published_word_boundaries(blank.flip(1), delimiter), frames("-x--x"))


def test_top_frames_are_the_highest_and_earlier_of_equals():
    attribution = torch.tensor([[0.0, 3, -1, 3, 2, 1, 0, 0, 0, 0], [0] * 10])
    assert torch.equal(masks.top_frames(attribution, 20)[:1], frames("-x-x------"))
    assert torch.equal(masks.top_frames(attribution, 20)[1:], frames("xx--------"))
    assert torch.equal(masks.top_frames(-attribution, 10)[:1], frames("--x-------"))


@pytest.mark.parametrize(("percent", "count"), [(0, 0), (1, 1), (29, 2), (30, 3), (99, 9), (100, 10)])
def test_shares_are_rounded_down_to_one_frame_at_least(percent, count):
    assert masks.top_frames(torch.arange(10.0)[None], percent).sum() == count


def test_frames_that_the_head_does_not_read_are_never_taken():
    assert torch.equal(masks.top_frames(torch.arange(6.0)[None], 50, n_read=4), frames("--xx--"))
    for percent, n_read in ((101, 4), (-1, 4), (50, 0), (50, 7)):
        with pytest.raises(InputError, match="accepted: 0 to 100 % of 1 to 6"):
            masks.top_frames(torch.arange(6.0)[None], percent, n_read)
    with pytest.raises(InputError, match="1 of 2 attributions"):
        masks.top_frames(torch.tensor([[0.0, float("nan")]]), 50)


@pytest.mark.parametrize(("mask", "edges"), [("xx-x-x", "xx---x"), ("-xx-", "----"), ("xxx", "xxx"), ("---", "---")])
def test_edge_runs_reach_the_ends(mask, edges):
    assert torch.equal(masks.edge_runs(frames(mask)), frames(edges))


def test_neighbours_are_found_from_both_sides():
    mask = frames("-x--x-")
    assert masks.last_true(mask).tolist() == [[-1, 1, 1, 1, 4, 4]]
    assert masks.next_true(mask).tolist() == [[1, 1, 4, 4, 4, 6]]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"float32 mask"):
        masks.from_nearest(ramp(4), torch.ones(1, 4))
    with pytest.raises(InputError, match=r"shape \(1, 3\)"):
        masks.from_nearest(ramp(4), frames("x--"))
    with pytest.raises(InputError, match=r"profile of shape \(1, 2\)"):
        masks.towards_profile(ramp(4), frames("x---"), torch.zeros(1, 2), 0.9)
