"""RawBoost against plain loops with the same draws, its numbered algorithms, and what every result keeps."""

import numpy as np
import pytest
from scipy.signal import firwin, freqz, lfilter

from sslig.data import rawboost

TIME_S = np.arange(9_000) / 16_000
SPEECH = (0.4 * np.sin(2 * np.pi * 180 * TIME_S) * np.sin(2 * np.pi * 3 * TIME_S) ** 2).astype(np.float32)
SPEECH += np.random.default_rng(0).normal(0, 0.02, len(SPEECH)).astype(np.float32)
SIGNALS = {
    "speech": SPEECH,
    "loud": 3 * SPEECH,
    "silence": np.zeros(5_000, np.float32),
    "short": SPEECH[:100],
    "one sample": SPEECH[:1],
}


def stop_bands(generator, gain_db):
    """The impulse response of each cascade, designed one filter at a time with the draws of `rawboost`."""
    shape = (len(gain_db), 5)
    centres, widths = generator.uniform(20, 8000, shape), generator.uniform(100, 1000, shape)
    taps = generator.uniform(10, 100, shape).astype(int)
    taps += taps % 2 == 0
    for gain, *bands in zip(gain_db, centres, widths, taps, strict=True):
        cascade = np.ones(1)
        for centre, width, n_taps in zip(*bands, strict=True):
            edges = [max(centre - width / 2, 1e-3), min(centre + width / 2, 8000 - 1e-3)]
            cascade = np.convolve(cascade, firwin(n_taps, edges, window="hamming", fs=16_000))
        peak = np.abs(freqz(cascade, worN=2049, include_nyquist=True)[1]).max()
        yield 10 ** (gain / 20) * cascade / peak


def filtered(signal, taps):
    """The signal through a filter whose delay of half its length is taken out."""
    delay = len(taps) // 2
    return lfilter(taps, 1, np.pad(signal, (0, delay)))[delay:]


def within_one(signal):
    return signal / np.abs(signal).max() if np.abs(signal).max() > 1 else signal


def plain_lnl(samples, generator):
    gains_db = generator.uniform([0, -20, -20, -20, -20], [0, -5, -5, -5, -5])
    total = np.zeros(len(samples))
    for order, taps in enumerate(stop_bands(generator, gains_db), 1):
        total += filtered(samples.astype(np.float64) ** order, taps)
    return within_one(total - total.mean())


def plain_isd(samples, generator):
    n_hit = int(len(samples) * generator.uniform(0, 0.1))
    hit = generator.choice(len(samples), n_hit, replace=False, shuffle=False)
    first, second = generator.uniform(-1, 1, (2, n_hit))
    noisy = [float(sample) for sample in samples]
    for at, u, v in zip(hit, first, second, strict=True):
        noisy[at] = noisy[at] * (1 + 2 * u * v)
    return within_one(np.array(noisy))


def plain_ssi(samples, generator):
    white = generator.standard_normal(len(samples))
    (taps,) = stop_bands(generator, generator.uniform(0, 0, 1))
    noise = filtered(white, taps)
    snr_db = generator.uniform(10, 40)
    return samples + noise * np.sqrt(np.sum(samples.astype(np.float64) ** 2) / np.sum(noise**2)) / 10 ** (snr_db / 20)


@pytest.mark.parametrize("signal", ["speech", "loud", "short"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("quick", "plain"),
    [
        (rawboost.lnl_convolutive, plain_lnl),
        (rawboost.isd_additive, plain_isd),
        (rawboost.ssi_additive, plain_ssi),
    ],
)
def test_a_part_is_what_a_plain_loop_makes_of_the_same_draws(quick, plain, seed, signal):
    noisy = quick(SIGNALS[signal], np.random.default_rng(seed))
    assert noisy == pytest.approx(plain(SIGNALS[signal], np.random.default_rng(seed)), abs=1e-6)


@pytest.mark.parametrize(("centre", "width", "n_taps"), [(1000, 300, 51), (30, 900, 11), (7900, 1000, 99)])
def test_responses_are_those_of_firwin(centre, width, n_taps):
    edges = [max(centre - width / 2, 1e-3), min(centre + width / 2, 8000 - 1e-3)]
    taps = firwin(n_taps, edges, window="hamming", fs=16_000)
    expected = np.abs(freqz(taps, worN=513, include_nyquist=True)[1])
    response = rawboost.stop_band_response(np.array([centre]), np.array([width]), np.array([n_taps]), 1024)
    assert np.abs(response[0]) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("algorithm", "parts"), [(4, "lis"), (5, "li"), (6, "ls"), (7, "is"), (1, "l"), (2, "i"), (3, "s")]
)
def test_numbered_algorithms_are_series(algorithm, parts):
    known = {"l": rawboost.lnl_convolutive, "i": rawboost.isd_additive, "s": rawboost.ssi_additive}
    generator, expected = np.random.default_rng(3), SPEECH
    for part in parts:
        expected = known[part](expected, generator)
    assert np.array_equal(rawboost.apply(SPEECH, np.random.default_rng(3), algorithm=algorithm), expected)


def test_the_eighth_algorithm_adds_both_of_the_clean_signal():
    generator = np.random.default_rng(3)
    both = rawboost.lnl_convolutive(SPEECH, generator) + rawboost.isd_additive(SPEECH, generator)
    assert rawboost.apply(SPEECH, np.random.default_rng(3), algorithm=8) == pytest.approx(within_one(both), abs=1e-7)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("algorithm", rawboost.ALGORITHMS)
def test_every_algorithm_keeps_type_length_and_input(algorithm, name):
    samples = SIGNALS[name].copy()
    for seed in range(3):
        noisy = rawboost.apply(samples, np.random.default_rng(seed), algorithm=algorithm)
        assert (noisy.dtype, noisy.shape) == (np.float32, samples.shape)
        assert np.isfinite(noisy).all()
    assert np.array_equal(samples, SIGNALS[name])
