"""RawBoost: convolutive, impulsive and stationary noise made from the waveform itself, without recordings of noise.

Filters are applied block by block in the frequency domain, all of them at once; what the release of the paper does one
filter and one tap at a time has the same distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from sslig.frames import SAMPLE_RATE_HZ

EDGE_HZ = 1e-3
"""How near to 0 Hz and to half the sampling rate a stop band may reach, as in the release of the paper."""


class RawBoostError(ValueError):
    """An algorithm or a parameter that RawBoost does not have; the message says what is accepted."""


@dataclass(frozen=True)
class Parameters:
    """Ranges that each utterance draws from; the defaults are those of the paper's release.

    Parameters
    ----------
    n_f
        Highest power of the signal in the convolutive noise; 1 is linear only.
    n_bands
        Stop bands of each filter.
    min_f_hz, max_f_hz
        Centre of a stop band.
    min_bw_hz, max_bw_hz
        Width of a stop band.
    min_coeff, max_coeff
        Coefficients of the filter of one stop band; even numbers become the next odd one.
    min_g_db, max_g_db
        Largest gain of the linear filter.
    min_bias_lin_nonlin_db, max_bias_lin_nonlin_db
        How far the largest gain of the other filters lies below it.
    p_percent
        Largest share of samples that impulsive noise hits.
    g_sd
        Gain of the impulsive noise.
    snr_min_db, snr_max_db
        Signal-to-noise ratio of the stationary noise.

    Raises
    ------
    RawBoostError
        A range is empty or leaves what can be computed at 16 kHz.
    """

    n_f: int = 5
    n_bands: int = 5
    min_f_hz: float = 20.0
    max_f_hz: float = 8000.0
    min_bw_hz: float = 100.0
    max_bw_hz: float = 1000.0
    min_coeff: int = 10
    max_coeff: int = 100
    min_g_db: float = 0.0
    max_g_db: float = 0.0
    min_bias_lin_nonlin_db: float = 5.0
    max_bias_lin_nonlin_db: float = 20.0
    p_percent: float = 10.0
    g_sd: float = 2.0
    snr_min_db: float = 10.0
    snr_max_db: float = 40.0

    def __post_init__(self) -> None:
        nyquist_hz = SAMPLE_RATE_HZ / 2
        rules = {
            "n_f and n_bands are whole, at least 1": all(
                isinstance(n, int) and n >= 1 for n in (self.n_f, self.n_bands)
            ),
            f"0 <= min_f_hz <= max_f_hz <= {nyquist_hz:g}": 0 <= self.min_f_hz <= self.max_f_hz <= nyquist_hz,
            f"0 < min_bw_hz <= max_bw_hz <= {nyquist_hz:g}": 0 < self.min_bw_hz <= self.max_bw_hz <= nyquist_hz,
            "2 <= min_coeff <= max_coeff < inf": 2 <= self.min_coeff <= self.max_coeff < np.inf,
            "-inf < min_g_db <= max_g_db < inf": -np.inf < self.min_g_db <= self.max_g_db < np.inf,
            "-inf < min_bias_lin_nonlin_db <= max_bias_lin_nonlin_db < inf": (
                -np.inf < self.min_bias_lin_nonlin_db <= self.max_bias_lin_nonlin_db < np.inf
            ),
            "0 <= p_percent <= 100": 0 <= self.p_percent <= 100,
            "0 < g_sd < inf": 0 < self.g_sd < np.inf,
            "-inf < snr_min_db <= snr_max_db < inf": -np.inf < self.snr_min_db <= self.snr_max_db < np.inf,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise RawBoostError(f"{self}: accepted: {'; '.join(broken)}")


DEFAULTS = Parameters()


def lnl_convolutive(
    samples: np.ndarray, generator: np.random.Generator, parameters: Parameters = DEFAULTS
) -> np.ndarray:
    """(samples,) float32 Linear and non-linear convolutive noise: powers of the signal, each through its stop bands.

    y[n] = sum over orders j of sum over taps i of g_j b_ij x[n - i]^j, less its mean, at most 1 in size. The delay of
    the filters is taken out exactly; the release shifts by one sample more.

    References
    ----------
    Tak et al., "RawBoost: a raw data boosting and augmentation method applied to automatic speaker verification
    anti-spoofing", ICASSP 2022: linear and non-linear convolutive noise.
    """
    gain_db = _gains_db(generator, parameters)
    response = _stop_bands(generator, gain_db, parameters)  # (order, bin)
    filtered = _filtered(samples.astype(np.float64), response, _reach_samples(parameters))
    return _within_one(filtered - filtered.mean()).astype(np.float32)


def isd_additive(samples: np.ndarray, generator: np.random.Generator, parameters: Parameters = DEFAULTS) -> np.ndarray:
    """(samples,) float32 Impulsive signal-dependent noise: a few samples, anywhere, are scaled at random.

    y[n] = x[n] + g_sd u v x[n] at the samples hit, u and v uniform in [-1, 1]; at most 1 in size.

    References
    ----------
    Tak et al., ICASSP 2022: impulsive signal-dependent additive noise.
    """
    n_hit = int(len(samples) * generator.uniform(0, parameters.p_percent / 100))
    hit = generator.choice(len(samples), n_hit, replace=False, shuffle=False)
    first, second = generator.uniform(-1, 1, (2, n_hit))
    noisy = samples.astype(np.float64)
    noisy[hit] += parameters.g_sd * noisy[hit] * first * second
    return _within_one(noisy).astype(np.float32)


def ssi_additive(samples: np.ndarray, generator: np.random.Generator, parameters: Parameters = DEFAULTS) -> np.ndarray:
    """(samples,) float32 Stationary signal-independent noise: white noise through stop bands, at a drawn ratio.

    y = x + w |x| / |w| 10^(-SNR / 20) for the filtered noise w.

    References
    ----------
    Tak et al., ICASSP 2022: stationary signal-independent additive noise.
    """
    white = generator.standard_normal(len(samples))
    gain_db = generator.uniform(parameters.min_g_db, parameters.max_g_db, 1)
    noise = _filtered(white, _stop_bands(generator, gain_db, parameters), _reach_samples(parameters))
    snr_db = generator.uniform(parameters.snr_min_db, parameters.snr_max_db)
    level = np.linalg.norm(samples.astype(np.float64)) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
    return (samples + level * noise).astype(np.float32)


def parallel(samples: np.ndarray, generator: np.random.Generator, parameters: Parameters = DEFAULTS) -> np.ndarray:
    """(samples,) float32 Convolutive and impulsive noise, each of the clean signal, added up; at most 1 in size."""
    both = lnl_convolutive(samples, generator, parameters) + isd_additive(samples, generator, parameters)
    return _within_one(both)


ALGORITHMS: dict[int, tuple[Callable[..., np.ndarray], ...]] = {
    1: (lnl_convolutive,),
    2: (isd_additive,),
    3: (ssi_additive,),
    4: (lnl_convolutive, isd_additive, ssi_additive),
    5: (lnl_convolutive, isd_additive),
    6: (lnl_convolutive, ssi_additive),
    7: (isd_additive, ssi_additive),
    8: (parallel,),
}
"""What each numbered algorithm does in series."""


def apply(
    samples: np.ndarray, algorithm: int, generator: np.random.Generator, parameters: Parameters = DEFAULTS
) -> np.ndarray:
    """(samples,) float32 The samples after a numbered algorithm, as long as they were.

    Parameters
    ----------
    samples
        (samples,) float32 at 16 kHz.
    algorithm
        One of `ALGORITHMS`: 1 linear and non-linear convolutive noise, 2 impulsive signal-dependent noise,
        3 stationary signal-independent noise, 4 = 1 + 2 + 3, 5 = 1 + 2, 6 = 1 + 3, 7 = 2 + 3 in series,
        8 = 1 and 2 in parallel.
    generator
        Of all draws.
    parameters
        Ranges to draw from.

    Raises
    ------
    RawBoostError
        There is no such algorithm.

    References
    ----------
    Tak et al., ICASSP 2022.
    """
    for step in stages(algorithm):
        samples = step(samples, generator, parameters)
    return samples


def stages(algorithm: int) -> tuple[Callable[..., np.ndarray], ...]:
    """The functions that a numbered algorithm calls in turn.

    Raises
    ------
    RawBoostError
        There is no such algorithm.
    """
    if not isinstance(algorithm, int) or isinstance(algorithm, bool) or algorithm not in ALGORITHMS:
        raise RawBoostError(f"RawBoost algorithm {algorithm!r}; accepted: {', '.join(map(str, ALGORITHMS))}")
    return ALGORITHMS[algorithm]


def stop_band_response(centre_hz: np.ndarray, width_hz: np.ndarray, n_taps: np.ndarray, n_fft: int) -> np.ndarray:
    """(..., bin) Responses of band-stop filters designed by a Hamming window, unit at 0 Hz and without delay.

    Parameters
    ----------
    centre_hz, width_hz, n_taps
        (...) Stop band and odd length of each filter.
    n_fft
        Length of the transform, at least the longest filter.

    References
    ----------
    Oppenheim and Schafer, "Discrete-time signal processing", 3rd ed., Section 7.5; `scipy.signal.firwin` does the
    same for one filter at a time.
    """
    nyquist_hz = SAMPLE_RATE_HZ / 2
    low = np.maximum(centre_hz - width_hz / 2, EDGE_HZ)[..., None] / nyquist_hz
    high = np.minimum(centre_hz + width_hz / 2, nyquist_hz - EDGE_HZ)[..., None] / nyquist_hz
    reach = (n_taps[..., None] - 1) // 2
    lag = np.arange(reach.max() + 1)  # (lag,) of one half; the filters are symmetric
    ideal = (lag == 0) - high * np.sinc(high * lag) + low * np.sinc(low * lag)
    window = np.where(lag <= reach, 0.54 + 0.46 * np.cos(np.pi * lag / reach), 0.0)
    half = ideal * window  # (..., lag)
    response = 2 * fft.rfft(half, n_fft).real - half[..., :1]
    return response / response[..., :1]


def _gains_db(generator: np.random.Generator, parameters: Parameters) -> np.ndarray:
    """(order,) Largest gain of the filter of each power."""
    least = np.full(parameters.n_f, parameters.min_g_db - parameters.min_bias_lin_nonlin_db)
    most = np.full(parameters.n_f, parameters.max_g_db - parameters.max_bias_lin_nonlin_db)
    least[0], most[0] = parameters.min_g_db, parameters.max_g_db
    return generator.uniform(np.minimum(least, most), np.maximum(least, most))


def _stop_bands(generator: np.random.Generator, gain_db: np.ndarray, parameters: Parameters) -> np.ndarray:
    """(order, bin) Cascades of random stop bands whose largest gains are `gain_db` (order,)."""
    shape = (len(gain_db), parameters.n_bands)
    centre_hz = generator.uniform(parameters.min_f_hz, parameters.max_f_hz, shape)
    width_hz = generator.uniform(parameters.min_bw_hz, parameters.max_bw_hz, shape)
    n_taps = generator.uniform(parameters.min_coeff, parameters.max_coeff, shape).astype(int) | 1
    # Eight times the cascade: shorter transforms waste samples on overlap, longer ones leave the cache.
    n_fft = 2 ** int(np.ceil(np.log2(8 * (2 * _reach_samples(parameters) + 1))))
    cascade = stop_band_response(centre_hz, width_hz, n_taps, n_fft).prod(axis=1)  # (order, bin)
    return 10 ** (gain_db[:, None] / 20) * cascade / np.abs(cascade).max(axis=1, keepdims=True)


def _reach_samples(parameters: Parameters) -> int:
    """Samples that the longest cascade of filters looks to either side."""
    return parameters.n_bands * (int(parameters.max_coeff) // 2)


def _filtered(samples: np.ndarray, response: np.ndarray, reach_samples: int) -> np.ndarray:
    """(samples,) The sum over the powers of `samples`, each through its `response` (order, bin), by overlap-save."""
    n_fft = 2 * (response.shape[1] - 1)
    hop = n_fft - 2 * reach_samples
    n_blocks = -(-len(samples) // hop)
    padded = np.pad(samples, (reach_samples, reach_samples + n_blocks * hop - len(samples)))
    power, spectrum = np.ones_like(padded), 0.0
    for of_order in response:
        power = power * padded
        blocks = np.lib.stride_tricks.sliding_window_view(power, n_fft)[::hop]  # (block, n_fft)
        spectrum = spectrum + fft.rfft(blocks) * of_order
    return fft.irfft(spectrum, n_fft)[:, reach_samples : reach_samples + hop].reshape(-1)[: len(samples)]


def _within_one(samples: np.ndarray) -> np.ndarray:
    return samples / max(1.0, np.abs(samples).max())
