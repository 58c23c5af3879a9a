"""Filters do at single frequencies what their names say, and are those of the library."""

import audiomentations
import numpy as np
import pytest
from scipy.stats import ks_2samp

from sslig.data import filters

ALL = ("band_pass", "band_stop", "high_pass", "low_pass", "high_shelf", "low_shelf", "peaking")
TIME_S = np.arange(16_000) / 16_000


def gain_db(name, frequency_hz, **parameters):
    """Change of the level of a tone by a filter, past its onset."""
    tone = np.sin(2 * np.pi * frequency_hz * TIME_S).astype(np.float32)
    found = getattr(filters, name)(tone, np.random.default_rng(0), **parameters)
    return 10 * np.log10(np.mean(found[8_000:].astype(float) ** 2) / np.mean(tone[8_000:].astype(float) ** 2))


@pytest.mark.parametrize(
    ("name", "parameters", "expected_db"),
    [
        ("low_pass", {"cutoff_hz": (1000, 1000), "rolloff_db": (12, 12)}, {100: 0, 1000: -3, 2000: -12.97}),
        ("high_pass", {"cutoff_hz": (1000, 1000), "rolloff_db": (12, 12)}, {100: -40.22, 1000: -3, 6000: 0}),
        ("band_pass", {"centre_hz": (2000, 2000), "bandwidth_fraction": (0.5, 0.5)}, {1500: -3, 2500: -3}),
        ("band_stop", {"centre_hz": (2000, 2000), "bandwidth_fraction": (0.5, 0.5)}, {200: 0, 1500: -3, 2500: -3}),
        ("peaking", {"centre_hz": (1000, 1000), "gain_db": (9, 9), "q": (5, 5)}, {50: 0, 1000: 9, 7000: 0}),
        ("high_shelf", {"centre_hz": (1000, 1000), "gain_db": (-6, -6), "q": (0.7, 0.7)}, {50: 0, 1000: -3, 7000: -6}),
        ("low_shelf", {"centre_hz": (1000, 1000), "gain_db": (6, 6), "q": (0.7, 0.7)}, {50: 6, 1000: 3, 7000: 0}),
    ],
)
def test_a_filter_changes_tones_as_designed(name, parameters, expected_db):
    found = {frequency_hz: gain_db(name, frequency_hz, **parameters) for frequency_hz in expected_db}
    assert found == pytest.approx(expected_db, abs=0.15)


@pytest.mark.parametrize("name", ALL)
def test_draws_come_from_the_generator_only(name, rng):
    samples = rng.standard_normal(4_000).astype(np.float32)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must stay as it is
    first, again, other = (getattr(filters, name)(samples, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ALL)
def test_drawn_parameters_spread_as_those_of_the_library(name, rng, monkeypatch):
    drawn = []
    monkeypatch.setattr(filters, "_filter", lambda name, samples, parameters: drawn.append(parameters))
    library = getattr(audiomentations, "".join(map(str.capitalize, name.split("_"))) + "Filter")(p=1.0)
    samples, theirs = np.zeros(10, np.float32), []
    for _ in range(2_000):
        getattr(filters, name)(samples, rng)
        library.randomize_parameters(samples, 16_000)
        theirs.append({key: value for key, value in library.parameters.items() if key != "should_apply"})
    assert set(drawn[0]) == set(theirs[0])
    for key in theirs[0]:
        # Two samples of 2,000 from one distribution are further apart once in some 200,000 times.
        assert ks_2samp([one[key] for one in drawn], [one[key] for one in theirs]).statistic < 0.08


def test_slopes_are_multiples_of_six_within_the_range(monkeypatch, rng):
    drawn = []
    monkeypatch.setattr(filters, "_filter", lambda name, samples, parameters: drawn.append(parameters["rolloff"]))
    for _ in range(100):
        filters.low_pass(np.zeros(10, np.float32), rng, rolloff_db=(6, 24))
    assert set(drawn) == {6, 12, 18, 24}
