"""Cues in known places: the rest of the recording stays as it is, and nothing plain gives the cue away."""

import numpy as np
import pytest

from sslig.corpora.planting import KINDS, PlantedError, fades, kind_of, noise_floor, plant
from sslig.corpora.synthetic import recordings

PLACES = [(8_000, 9_600), (16_000, 16_400)]


@pytest.fixture(scope="module")
def spoken():
    """(samples,) Two seconds of the synthetic voice."""
    return recordings(1, 1)[0].sound()[:24_000]


def inside(n_samples, places=PLACES):
    mask = np.zeros(n_samples, dtype=bool)
    for start, stop in places:
        mask[start:stop] = True
    return mask


@pytest.mark.parametrize("name", KINDS)
def test_all_but_the_places_stays_sample_by_sample(name, spoken):
    kind = KINDS[name]
    planted = plant(kind, spoken, PLACES, kind.severity, np.random.default_rng(0))
    changed = planted != spoken
    assert not changed[~inside(len(spoken))].any()
    for start, stop in PLACES:
        assert changed[start:stop].mean() > 0.9


@pytest.mark.parametrize("name", KINDS)
def test_the_null_version_is_the_recording(name, spoken):
    assert np.array_equal(plant(KINDS[name], spoken, PLACES, None, np.random.default_rng(0)), spoken)


@pytest.mark.parametrize("name", KINDS)
def test_a_place_keeps_its_mean_sample(name, spoken):
    """A recording has next to no offset, so an offset would tell all spoofs from all bona fide by a mean alone."""
    planted = plant(KINDS[name], spoken, PLACES, KINDS[name].severity, np.random.default_rng(0))
    for start, stop in PLACES:
        assert planted[start:stop].mean() == pytest.approx(spoken[start:stop].mean(), abs=1e-7)


@pytest.mark.parametrize("name", ["phone_glitch", "boundary", "band", "splice"])
def test_what_replaces_a_place_is_as_loud_as_it(name, spoken):
    planted = plant(KINDS[name], spoken, PLACES, KINDS[name].severity, np.random.default_rng(0))
    for start, stop in PLACES:
        was, became = (np.sqrt(np.mean(part[start:stop] ** 2)) for part in (spoken, planted))
        assert abs(20 * np.log10(became / was)) < 2  # cross-fades of what does not add up in phase


@pytest.mark.parametrize("name", ["phone_glitch", "boundary", "splice"])
def test_severity_0_of_a_share_changes_nothing(name, spoken):
    planted = plant(KINDS[name], spoken, PLACES, 0.0, np.random.default_rng(0))
    assert planted == pytest.approx(spoken, abs=1e-6)


def test_the_share_rises_and_falls_within_the_place():
    share = fades(1000, [(100, 900)])
    assert share[:100].tolist() == [0] * 100
    assert share[900:].tolist() == [0] * 100
    assert (share[180:820] == 1).all()  # 5 ms are 80 samples
    assert np.all(np.diff(share[100:181]) > 0)
    assert share[100:900] == pytest.approx(share[100:900][::-1])
    assert share[100] == pytest.approx(0, abs=1e-3)


def test_a_short_place_is_faded_by_a_quarter_at_each_end():
    share = fades(100, [(20, 60)])
    assert share[20:60] == pytest.approx([*share[20:30], *[1] * 20, *share[50:60]])
    assert (share[20:30] < 1).all()


def test_the_noise_is_so_many_db_from_the_level_of_the_recording(spoken):
    for severity in (-18.0, -6.0):
        added = noise_floor(spoken, PLACES, severity, np.random.default_rng(0)) - spoken
        level_db = 20 * np.log10(np.sqrt(np.mean(added**2)) / np.sqrt(np.mean(spoken.astype(float) ** 2)))
        assert level_db == pytest.approx(severity, abs=1e-4)


def test_the_band_below_1_khz_is_lowered_as_far_as_asked_for():
    time_s = np.arange(16_000) / 16_000
    low, high = np.sin(2 * np.pi * 300 * time_s), np.sin(2 * np.pi * 4_000 * time_s)
    left = plant(KINDS["band"], low + high, [(0, 16_000)], 20.0, np.random.default_rng(0))[2_000:-2_000]
    amplitude = [2 * np.abs(np.mean(left * tone[2_000:-2_000])) for tone in (low, high)]
    assert 20 * np.log10(amplitude[0] / amplitude[1]) == pytest.approx(-20, abs=0.1)
    assert left.std() == pytest.approx(1, rel=0.01)


def test_a_flat_spectrum_has_equal_magnitudes(spoken):
    changed = KINDS["boundary"].change(spoken, [(8_000, 8_401)], 1.0, np.random.default_rng(0))
    size = np.abs(np.fft.rfft(changed[8_000:8_401]))[1:]  # an odd length: only the mean has no phase to turn
    assert size == pytest.approx(np.full(200, size.mean()), rel=1e-3)


def test_the_same_generator_plants_the_same(spoken):
    one, two = (plant(KINDS["splice"], spoken, PLACES, 1.0, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)


def test_an_unknown_kind_is_refused():
    with pytest.raises(PlantedError, match="no kind of planted cue 'click'; accepted: noise_floor, phone_glitch"):
        kind_of("click")
