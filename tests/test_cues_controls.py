"""Random controls: as many frames, as long runs, as wide bands, only elsewhere."""

import pytest
import torch

from sslig.cues import controls
from sslig.errors import InputError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def frames(text):
    return torch.tensor([letter == "x" for letter in text])


def runs(row):
    """Lengths of the runs of a mask, sorted."""
    text = "".join("x" if value else "-" for value in row.tolist())
    return sorted(len(run) for run in text.split("-") if run)


def test_every_draw_has_runs_of_the_same_lengths():
    mask = frames("xx---x---xxxx----------")
    drawn = controls.shifted(mask, 20, generator())
    assert drawn.shape == (20, 23)
    for draw in drawn:
        assert runs(draw) == runs(mask)
        assert not torch.equal(draw, mask)


def test_gaps_keep_their_lengths_where_the_mask_leaves_an_end_free():
    text = "xx-x---xxxx----------"
    for draw in controls.shifted(frames(text), 20, generator()):
        assert any(torch.equal(draw, frames(text).roll(shift)) for shift in range(1, len(text)))


def test_a_mask_at_both_ends_is_placed_anew():
    mask = frames("xxxx" + "-" * 10 + "xx" + "-" * 10 + "xxx")
    drawn = controls.shifted(mask, 300, generator())
    assert all(runs(row) == [2, 3, 4] for row in drawn)
    assert drawn.float().mean(dim=0).min() > 0.1  # every frame is masked in some draws
    assert len(torch.unique(drawn, dim=0)) > 250


def test_runs_without_room_stay_in_some_order():
    drawn = controls.shifted(frames("xx-x"), 20, generator())
    assert {tuple(row.tolist()) for row in drawn} == {(True, True, False, True), (True, False, True, True)}


def test_shifts_of_a_row_are_distinct_while_they_last():
    drawn = controls.shifted(frames("x" + "-" * 20), 20, generator())
    assert sorted(drawn.int().argmax(dim=1).tolist()) == list(range(1, 21))
    twice = controls.shifted(frames("x---"), 6, generator()).int().argmax(dim=1).tolist()
    assert sorted(twice) == [1, 1, 2, 2, 3, 3]


def test_shifts_are_uniform():
    draws = [controls.shifted(frames("x-----"), 1, generator(seed))[0] for seed in range(3000)]
    counts = torch.stack(draws).sum(dim=0)
    assert counts[0] == 0
    assert ((counts[1:] - 600).abs() < 110).all()  # five standard deviations


@pytest.mark.parametrize(("text", "n_places"), [("xx-------x", 5), ("xxx-------", 5)])
def test_a_cut_is_one_run_that_leaves_the_ends(text, n_places):
    drawn = controls.cuts(frames(text), 30, generator())
    assert not (drawn & frames(text)).any()
    assert all(runs(draw) == [3] for draw in drawn)
    assert len(torch.unique(drawn, dim=0)) == n_places


def test_draws_follow_the_generator():
    mask = frames("xx" + "-" * 30)
    assert torch.equal(controls.shifted(mask, 5, generator(3)), controls.shifted(mask, 5, generator(3)))
    assert not torch.equal(controls.shifted(mask, 5, generator(3)), controls.shifted(mask, 5, generator(4)))


@pytest.mark.parametrize("text", ["-----", "xxxxx", "x", "-"])
@pytest.mark.parametrize("draw", [controls.shifted, controls.cuts])
def test_empty_full_and_single_masks_stay(draw, text):
    assert torch.equal(draw(frames(text), 20, generator()), frames(text).expand(20, len(text)))


def test_a_cut_of_most_of_a_recording_overlaps_where_it_must():
    drawn = controls.cuts(frames("xxxx-x"), 5, generator())
    assert drawn.sum(dim=1).tolist() == [5] * 5


def test_bands_are_as_wide_and_elsewhere():
    drawn = controls.bands(600, 1200, 500, generator())
    assert all(high - low == pytest.approx(600) for low, high in drawn)
    assert all(high <= 600 or low >= 1200 for low, high in drawn)
    assert all(low >= 0 and high <= 8000 for low, high in drawn)
    below = sum(high <= 600 for low, high in drawn)
    assert below == 0  # exactly one band fits below, which has no weight among the places above
    assert max(low for low, _ in drawn) > 7200


def test_bands_on_both_sides_are_drawn_by_the_room_there():
    drawn = controls.bands(3000, 4000, 2000, generator())
    below = sum(high <= 3000 for _, high in drawn)
    assert below == pytest.approx(2000 * 2 / 5, abs=110)  # 2 kHz of places below, 3 kHz above; five deviations


def test_a_wide_band_overlaps_where_it_must():
    assert all(low >= 0 and high <= 8000 for low, high in controls.bands(2000, 7000, 50, generator()))
    assert controls.bands(0, 8000, 2, generator()) == [(0.0, 8000.0)] * 2


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="0 draws"):
        controls.shifted(frames("x-"), 0, generator())
    with pytest.raises(InputError, match=r"float32 mask of shape \(1, 2\)"):
        controls.cuts(torch.zeros(1, 2), 1, generator())
    for low, high in ((1200, 600), (-1, 600), (600, 9000)):
        with pytest.raises(InputError, match=r"accepted: .* <= 8000"):
            controls.bands(low, high, 1, generator())
