"""Where planted cues go: inside the stretches that a recording offers, apart from each other, the same every time."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sslig.corpora.planted_plan import Original, draw_places, plan
from sslig.corpora.planting import KINDS, PlantedError
from sslig.corpora.protocol import SETS

LONG = Original("train", "T_1", "S1", "F", "nowhere.flac", "r1", 8 * 16_000, ((0.5, 2.5), (3.0, 7.5)))


def places_s(kind, original, seed=0):
    found = draw_places(KINDS[kind], original, np.random.default_rng(seed))
    return [(start / 16_000, stop / 16_000) for start, stop in found]


def one_of_each_set(**changed):
    letters = {name: name[0].upper() for name in SETS}
    return [
        replace(LONG, set=name, utterance=f"{letters[name]}_{number}", recording=f"{name}{number}", **changed)
        for name in SETS
        for number in range(3)
    ]


@pytest.mark.parametrize(("kind", "n"), [("phone_glitch", 16), ("band", 3), ("splice", 3)])
def test_places_lie_within_the_stretches_one_for_so_many_seconds(kind, n):
    found = places_s(kind, LONG)
    assert len(found) == n
    for start, stop in found:
        assert any(first <= start and stop <= last for first, last in LONG.stretches_s)
        shortest, longest = KINDS[kind].duration_s
        assert shortest - 1e-4 <= stop - start <= longest + 1e-4
    assert all(after[0] - before[1] >= 0.1 for before, after in pairwise(found))


def test_pauses_are_taken_as_they_are():
    pauses = ((0.5, 0.6), (0.65, 0.7), (1.0, 1.04))
    assert places_s("noise_floor", replace(LONG, stretches_s=(*pauses, (2.0, 2.5)))) == [(0.5, 0.6), (2.0, 2.5)]


def test_boundaries_lie_around_the_ends_of_pauses():
    found = places_s("boundary", replace(LONG, stretches_s=((1.0, 2.0),)))
    assert np.mean(found, axis=1) == pytest.approx([1.0, 2.0], abs=1e-3)
    assert all(0.02 - 1e-4 <= stop - start <= 0.04 + 1e-4 for start, stop in found)


def test_ends_of_one_pause_that_are_near_have_one_place():
    assert len(places_s("boundary", replace(LONG, stretches_s=((1.0, 1.035),)))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_without_room_has_no_place(kind):
    assert places_s(kind, replace(LONG, stretches_s=())) == []
    short = replace(LONG, stretches_s=((1.0, 1.05),))
    assert (places_s(kind, short) == []) == (kind != "boundary")


def test_no_place_leaves_the_recording():
    at_the_ends = replace(LONG, n_samples=16_000, stretches_s=((0.0, 1.0),))
    assert places_s("boundary", at_the_ends) == []


def test_boundaries_are_planted_wherever_there_is_room():
    pauses = tuple((start / 2, start / 2 + 0.1) for start in range(1, 15))
    assert len(places_s("boundary", replace(LONG, stretches_s=pauses))) == 28


def test_each_recording_comes_as_bona_fide_and_as_spoof_with_one_plan():
    trials = plan("splice", one_of_each_set(), 1.0, seed=0)
    assert len(trials) == 18
    for bonafide, spoof in zip(trials[::2], trials[1::2], strict=True):
        assert (bonafide.spoof, spoof.spoof) == (False, True)
        assert bonafide.original == spoof.original
        assert bonafide.places == spoof.places
    assert len({trial.utterance for trial in trials}) == 18
    assert {trial.utterance[0] for trial in trials if trial.original.set == "dev"} == {"D"}


def test_a_plan_does_not_depend_on_the_order_but_on_the_seed():
    originals = one_of_each_set()
    assert plan("splice", originals, 1.0, 0) == plan("splice", originals[::-1], 1.0, 0)
    assert plan("splice", originals, 1.0, 0) != plan("splice", originals, 1.0, 1)


def test_other_recordings_do_not_move_the_places_of_one():
    fewer = [one for one in one_of_each_set() if not one.utterance.endswith("2")]
    places = {trial.original.utterance: trial.places for trial in plan("band", one_of_each_set(), 20.0, 0)}
    assert all(places[trial.original.utterance] == trial.places for trial in plan("band", fewer, 20.0, 0))


def test_a_recording_in_two_sets_is_refused():
    with pytest.raises(PlantedError, match="recording r1 is in train and in dev; a recording belongs to one set"):
        plan("band", [LONG, replace(LONG, set="dev", utterance="D_1")], 20.0, 0)


def test_a_set_without_room_is_refused():
    with pytest.raises(PlantedError, match=r"band: none of 3 bona fide recordings of train has room .*speech of 0.5 s"):
        plan("band", one_of_each_set(stretches_s=()), 20.0, 0)


@pytest.mark.parametrize("severity", [-0.1, 1.1])
def test_a_severity_out_of_range_is_refused(severity):
    with pytest.raises(
        PlantedError, match=f"splice: severity {severity}; accepted: 0.0 to 1.0 share of vocoded speech"
    ):
        plan("splice", one_of_each_set(), severity, 0)
