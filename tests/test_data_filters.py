"""Filters do at single frequencies what their names say, and are those of the library."""

import audiomentations
import numpy as np
import pytest
from scipy.stats import ks_2samp

from sslig.data import filters
from sslig.data.filters import ARGUMENTS, FILTERS

TIME_S = np.arange(16_000) / 16_000


def gain_db(name, frequency_hz, **ranges):
    """Change of the level of a tone by a filter, after its onset."""
    tone = np.sin(2 * np.pi * frequency_hz * TIME_S).astype(np.float32)
    filtered = FILTERS[name](tone, np.random.default_rng(0), **ranges)
    return 10 * np.log10(np.mean(filtered[8_000:].astype(float) ** 2) / np.mean(tone[8_000:].astype(float) ** 2))


@pytest.mark.parametrize(
    ("name", "ranges", "expected_db"),
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
def test_a_filter_changes_tones_as_designed(name, ranges, expected_db):
    levels = {frequency_hz: gain_db(name, frequency_hz, **ranges) for frequency_hz in expected_db}
    assert levels == pytest.approx(expected_db, abs=0.15)


@pytest.mark.parametrize("name", FILTERS)
def test_draws_spread_as_those_of_the_library_and_leave_the_global_generator(name, rng, monkeypatch):
    drawn, theirs = [], []
    monkeypatch.setattr(filters, "apply", lambda library, samples, values: drawn.append(values))
    library = getattr(audiomentations, FILTERS[name].library)(p=1.0)
    samples, state = np.zeros(10, np.float32), np.random.get_state()[1].copy()  # noqa: NPY002
    for _ in range(2_000):
        FILTERS[name](samples, rng)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    for _ in range(2_000):
        library.randomize_parameters(samples, 16_000)
        theirs.append({key: value for key, value in library.parameters.items() if key != "should_apply"})
    assert drawn[0].keys() == theirs[0].keys() <= set(ARGUMENTS.values())
    for key in theirs[0]:
        # Two samples of 2,000 from one distribution are further apart once in some 200,000 times.
        assert ks_2samp([values[key] for values in drawn], [values[key] for values in theirs]).statistic < 0.08


def test_slopes_are_multiples_of_six_within_the_range(monkeypatch, rng):
    drawn = set()
    monkeypatch.setattr(filters, "apply", lambda library, samples, values: drawn.add(values["rolloff"]))
    for _ in range(100):
        FILTERS["low_pass"](np.zeros(10, np.float32), rng, rolloff_db=(6, 24))
    assert drawn == {6, 12, 18, 24}
