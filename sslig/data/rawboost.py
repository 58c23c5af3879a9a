"""RawBoost: convolutive, impulsive and stationary noise made from the waveform itself, without recordings of noise.

Filters are applied block by block in the frequency domain, all of them at once. The release of the paper applies one
filter and one tap at a time; the distribution is the same.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft

from sslig.frames import SAMPLE_RATE_HZ

EDGE_HZ = 1e-3
"""How near to 0 Hz and to half the sampling rate a stop band may reach, as in the release of the paper."""

RANGES = {
    "powers": 5,  # of the signal in the convolutive noise
    "bands": 5,  # stop bands of each filter
    "centre_hz": (20, 8000),
    "width_hz": (100, 1000),
    "taps": (10, 100),  # of the filter of one stop band; even numbers become the next odd one
    "gain_db": (0, 0),  # largest gain of the linear filter
    "bias_db": (5, 20),  # how far the largest gain of the other filters lies below it
    "hit_percent": (0, 10),  # share of the samples that impulses hit
    "impulse_gain": 2,
    "snr_db": (10, 40),  # of the stationary noise
}
"""The values and ranges that each utterance draws from, those of the paper's release."""

REACH_SAMPLES = RANGES["bands"] * (RANGES["taps"][1] // 2)
"""Samples that the longest cascade of filters looks to either side."""


def lnl_convolutive(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 Linear and non-linear convolutive noise: powers of the signal, each through its stop bands.

    y[n] = sum over orders j of sum over taps i of g_j b_ij x[n - i]^j, less its mean, at most 1 in size. The delay of
    the filters is removed exactly; the release shifts by one more sample.

    References
    ----------
    Tak et al., "RawBoost: a raw data boosting and augmentation method applied to automatic speaker verification
    anti-spoofing", ICASSP 2022: linear and non-linear convolutive noise.
    """
    low, high = (np.full(RANGES["powers"], RANGES["gain_db"][0] - bias) for bias in RANGES["bias_db"][::-1])
    low[0], high[0] = RANGES["gain_db"]
    response = _stop_bands(generator, generator.uniform(low, high))  # (order, bin)
    filtered = _filtered(samples.astype(np.float64), response)
    return _within_one(filtered - filtered.mean()).astype(np.float32)


def isd_additive(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 Impulsive signal-dependent noise: a few samples at random places are scaled at random.

    y[n] = x[n] + g_sd u v x[n] at the samples hit, u and v uniform in [-1, 1]; at most 1 in size.

    References
    ----------
    Tak et al., ICASSP 2022: impulsive signal-dependent additive noise.
    """
    n_hit = int(len(samples) * generator.uniform(*RANGES["hit_percent"]) / 100)
    hit = generator.choice(len(samples), n_hit, replace=False, shuffle=False)
    first, second = generator.uniform(-1, 1, (2, n_hit))
    noisy = samples.astype(np.float64)
    noisy[hit] += RANGES["impulse_gain"] * noisy[hit] * first * second
    return _within_one(noisy).astype(np.float32)


def ssi_additive(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 Stationary signal-independent noise: white noise through stop bands, at a drawn ratio.

    y = x + w |x| / |w| 10^(-SNR / 20) for the filtered noise w.

    References
    ----------
    Tak et al., ICASSP 2022: stationary signal-independent additive noise.
    """
    white = generator.standard_normal(len(samples))
    noise = _filtered(white, _stop_bands(generator, generator.uniform(*RANGES["gain_db"], 1)))
    snr_db = generator.uniform(*RANGES["snr_db"])
    level = np.linalg.norm(samples.astype(np.float64)) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
    return (samples + level * noise).astype(np.float32)


def parallel(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 The sum of convolutive and impulsive noise, both of the clean signal; at most 1 in size."""
    both = lnl_convolutive(samples, generator) + isd_additive(samples, generator)
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
"""The functions that each numbered algorithm applies in series."""


def apply(samples: np.ndarray, generator: np.random.Generator, *, algorithm: int = 5) -> np.ndarray:
    """(samples,) float32 The samples after one of the numbered `ALGORITHMS` (Tak et al., ICASSP 2022).

    1 is linear and non-linear convolutive noise, 2 impulsive signal-dependent noise, 3 stationary
    signal-independent noise, 4 = 1 + 2 + 3, 5 = 1 + 2, 6 = 1 + 3 and 7 = 2 + 3 in series, 8 = 1 and 2 in parallel.
    """
    for step in ALGORITHMS[algorithm]:
        samples = step(samples, generator)
    return samples


def stop_band_response(centre_hz: np.ndarray, width_hz: np.ndarray, n_taps: np.ndarray, n_fft: int) -> np.ndarray:
    """(..., bin) Responses of band-stop filters designed by a Hamming window, unit at 0 Hz and without delay.

    The stop bands and the odd lengths of the filters are (...); `n_fft` is at least the longest filter.

    References
    ----------
    Oppenheim and Schafer, "Discrete-time signal processing", 3rd ed., Section 7.5; `scipy.signal.firwin` does the
    same for one filter at a time.
    """
    nyquist_hz = SAMPLE_RATE_HZ / 2
    low = np.maximum(centre_hz - width_hz / 2, EDGE_HZ)[..., None] / nyquist_hz
    high = np.minimum(centre_hz + width_hz / 2, nyquist_hz - EDGE_HZ)[..., None] / nyquist_hz
    reach = (n_taps[..., None] - 1) // 2
    lag = np.arange(reach.max() + 1)  # (lag,) one half; the filters are symmetric
    ideal = (lag == 0) - high * np.sinc(high * lag) + low * np.sinc(low * lag)
    window = np.where(lag <= reach, 0.54 + 0.46 * np.cos(np.pi * lag / reach), 0.0)
    half = ideal * window  # (..., lag)
    response = 2 * fft.rfft(half, n_fft).real - half[..., :1]
    return response / response[..., :1]


def _stop_bands(generator: np.random.Generator, gain_db: np.ndarray) -> np.ndarray:
    """(order, bin) Cascades of random stop bands whose largest gains are `gain_db` (order,)."""
    shape = (len(gain_db), RANGES["bands"])
    centre_hz, width_hz, n_taps = (
        generator.uniform(*RANGES[name], shape) for name in ("centre_hz", "width_hz", "taps")
    )
    n_taps = n_taps.astype(int) | 1
    # Eight times the cascade: shorter transforms waste samples on overlap, longer ones leave the cache.
    n_fft = 2 ** int(np.ceil(np.log2(8 * (2 * REACH_SAMPLES + 1))))
    cascade = stop_band_response(centre_hz, width_hz, n_taps, n_fft).prod(axis=1)  # (order, bin)
    return 10 ** (gain_db[:, None] / 20) * cascade / np.abs(cascade).max(axis=1, keepdims=True)


def _filtered(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """(samples,) The sum over the powers of `samples`, each through its `response` (order, bin), by overlap-save."""
    n_fft = 2 * (response.shape[1] - 1)
    hop = n_fft - 2 * REACH_SAMPLES
    n_blocks = -(-len(samples) // hop)
    padded = np.pad(samples, (REACH_SAMPLES, REACH_SAMPLES + n_blocks * hop - len(samples)))
    power, spectrum = np.ones_like(padded), 0.0
    for order_response in response:
        power = power * padded
        blocks = np.lib.stride_tricks.sliding_window_view(power, n_fft)[::hop]  # (block, n_fft)
        spectrum = spectrum + fft.rfft(blocks) * order_response
    return fft.irfft(spectrum, n_fft)[:, REACH_SAMPLES : REACH_SAMPLES + hop].reshape(-1)[: len(samples)]


def _within_one(samples: np.ndarray) -> np.ndarray:
    return samples / max(1.0, np.abs(samples).max())
