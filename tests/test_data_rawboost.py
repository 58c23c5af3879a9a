"""RawBoost against plain loops with the same draws, its numbered algorithms, and what every result keeps."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import firwin, freqz, lfilter

from sslig.data import rawboost
from sslig.data.rawboost import DEFAULTS, Parameters

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


def stop_bands(generator, gain_db, parameters):
    """The impulse response of each cascade, designed one filter at a time with the draws of `rawboost`."""
    shape = (len(gain_db), parameters.n_bands)
    centres = generator.uniform(parameters.min_f_hz, parameters.max_f_hz, shape)
    widths = generator.uniform(parameters.min_bw_hz, parameters.max_bw_hz, shape)
    taps = generator.uniform(parameters.min_coeff, parameters.max_coeff, shape).astype(int)
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


def plain_lnl(samples, generator, parameters=DEFAULTS):
    linear = [parameters.min_g_db, parameters.max_g_db]
    bias = [parameters.min_bias_lin_nonlin_db, parameters.max_bias_lin_nonlin_db]
    ranges = [linear] + [sorted(np.subtract(linear, bias))] * (parameters.n_f - 1)
    total = np.zeros(len(samples))
    for order, taps in enumerate(stop_bands(generator, generator.uniform(*np.transpose(ranges)), parameters), 1):
        total += filtered(samples.astype(np.float64) ** order, taps)
    return within_one(total - total.mean())


def plain_isd(samples, generator, parameters=DEFAULTS):
    n_hit = int(len(samples) * generator.uniform(0, parameters.p_percent / 100))
    hit = generator.choice(len(samples), n_hit, replace=False, shuffle=False)
    first, second = generator.uniform(-1, 1, (2, n_hit))
    noisy = [float(sample) for sample in samples]
    for at, u, v in zip(hit, first, second, strict=True):
        noisy[at] = noisy[at] * (1 + parameters.g_sd * u * v)
    return within_one(np.array(noisy))


def plain_ssi(samples, generator, parameters=DEFAULTS):
    white = generator.standard_normal(len(samples))
    (taps,) = stop_bands(generator, generator.uniform(parameters.min_g_db, parameters.max_g_db, 1), parameters)
    noise = filtered(white, taps)
    snr_db = generator.uniform(parameters.snr_min_db, parameters.snr_max_db)
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


def test_other_parameters_reach_every_part():
    other = Parameters(n_f=2, n_bands=3, min_coeff=4, max_coeff=41, min_g_db=-6, max_g_db=-3, p_percent=50, g_sd=1)
    for quick, plain in ((rawboost.lnl_convolutive, plain_lnl), (rawboost.isd_additive, plain_isd)):
        noisy = quick(SPEECH, np.random.default_rng(5), other)
        assert noisy == pytest.approx(plain(SPEECH, np.random.default_rng(5), other), abs=2e-5)


def test_defaults_are_the_published_ones():
    assert (DEFAULTS.n_f, DEFAULTS.n_bands, DEFAULTS.min_f_hz, DEFAULTS.max_f_hz) == (5, 5, 20, 8000)
    assert (DEFAULTS.min_bw_hz, DEFAULTS.max_bw_hz, DEFAULTS.min_coeff, DEFAULTS.max_coeff) == (100, 1000, 10, 100)
    assert (DEFAULTS.min_g_db, DEFAULTS.max_g_db) == (0, 0)
    assert (DEFAULTS.min_bias_lin_nonlin_db, DEFAULTS.max_bias_lin_nonlin_db) == (5, 20)
    assert (DEFAULTS.p_percent, DEFAULTS.g_sd, DEFAULTS.snr_min_db, DEFAULTS.snr_max_db) == (10, 2, 10, 40)


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
    assert np.array_equal(rawboost.apply(SPEECH, algorithm, np.random.default_rng(3)), expected)


def test_the_eighth_algorithm_adds_both_of_the_clean_signal():
    generator = np.random.default_rng(3)
    both = rawboost.lnl_convolutive(SPEECH, generator) + rawboost.isd_additive(SPEECH, generator)
    assert rawboost.apply(SPEECH, 8, np.random.default_rng(3)) == pytest.approx(within_one(both), abs=1e-7)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("algorithm", rawboost.ALGORITHMS)
def test_every_algorithm_keeps_type_length_and_input(algorithm, name):
    samples = SIGNALS[name].copy()
    for seed in range(3):
        noisy = rawboost.apply(samples, algorithm, np.random.default_rng(seed))
        assert (noisy.dtype, noisy.shape) == (np.float32, samples.shape)
        assert np.isfinite(noisy).all()
    assert np.array_equal(samples, SIGNALS[name])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_f": 0}, "greater than or equal to 1"),
        ({"n_bands": 2.5}, "n_bands"),
        ({"g_sd": True}, "g_sd"),
        ({"max_f_hz": 9000}, "less than or equal to 8000"),
        ({"min_bw_hz": 0}, "greater than 0"),
        ({"min_coeff": 1}, "greater than or equal to 2"),
        ({"max_bias_lin_nonlin_db": float("nan")}, "finite"),
        ({"p_percent": 101}, "less than or equal to 100"),
        ({"min_g_db": 1}, "min_g_db 1 is above max_g_db 0"),
        ({"min_bias_lin_nonlin_db": 21}, "min_bias_lin_nonlin_db 21 is above max_bias_lin_nonlin_db 20"),
        ({"snr_min_db": 50}, "snr_min_db 50 is above snr_max_db 40"),
    ],
)
def test_ranges_that_cannot_be_are_named(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Parameters(**wrong)
