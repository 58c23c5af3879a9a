"""RawBoost: convolutive, impulsive and stationary noise made from the waveform itself, without recordings of noise.

Filters are applied block by block in the frequency domain, all of them at once. The release of the paper applies one
filter and one tap at a time; the distribution is the same.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import fft

from sslig.frames import SAMPLE_RATE_HZ

EDGE_HZ = 1e-3
"""How near to 0 Hz and to half the sampling rate a stop band may reach, as in the release of the paper."""

Count = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Frequency = Annotated[float, Field(ge=0, le=SAMPLE_RATE_HZ / 2)]
Width = Annotated[float, Field(gt=0, le=SAMPLE_RATE_HZ / 2)]
Taps = Annotated[float, Field(ge=2, allow_inf_nan=False)]


class Parameters(BaseModel):
    """The ranges that each utterance draws from; the defaults are those of the paper's release.

    Attributes
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n_f: Count = 5
    n_bands: Count = 5
    min_f_hz: Frequency = 20.0
    max_f_hz: Frequency = 8000.0
    min_bw_hz: Width = 100.0
    max_bw_hz: Width = 1000.0
    min_coeff: Taps = 10
    max_coeff: Taps = 100
    min_g_db: Number = 0.0
    max_g_db: Number = 0.0
    min_bias_lin_nonlin_db: Number = 5.0
    max_bias_lin_nonlin_db: Number = 20.0
    p_percent: Annotated[float, Field(ge=0, le=100)] = 10.0
    g_sd: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    snr_min_db: Number = 10.0
    snr_max_db: Number = 40.0

    @model_validator(mode="after")
    def _ordered(self) -> "Parameters":
        for low in (name for name in type(self).model_fields if "min_" in name):
            high = low.replace("min_", "max_")
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low):g} is above {high} {getattr(self, high):g}")
        return self


DEFAULTS = Parameters()


def lnl_convolutive(
    samples: np.ndarray, generator: np.random.Generator, parameters: Parameters = DEFAULTS
) -> np.ndarray:
    """(samples,) float32 Linear and non-linear convolutive noise: powers of the signal, each through its stop bands.

    y[n] = sum over orders j of sum over taps i of g_j b_ij x[n - i]^j, less its mean, at most 1 in size. The delay of
    the filters is removed exactly; the release shifts by one more sample.

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
    """(samples,) float32 Impulsive signal-dependent noise: a few samples at random places are scaled at random.

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
    """(samples,) float32 The sum of convolutive and impulsive noise, both of the clean signal; at most 1 in size."""
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
"""The functions that each numbered algorithm applies in series."""


def apply(
    samples: np.ndarray, algorithm: int, generator: np.random.Generator, parameters: Parameters = DEFAULTS
) -> np.ndarray:
    """(samples,) float32 The samples after a numbered algorithm; the length stays.

    Parameters
    ----------
    samples
        (samples,) float32 at 16 kHz.
    algorithm
        One of `ALGORITHMS`: 1 linear and non-linear convolutive noise, 2 impulsive signal-dependent noise,
        3 stationary signal-independent noise, 4 = 1 + 2 + 3, 5 = 1 + 2, 6 = 1 + 3, 7 = 2 + 3 in series,
        8 = 1 and 2 in parallel.
    generator, parameters
        The generator of all draws, and the ranges to draw from.

    References
    ----------
    Tak et al., ICASSP 2022.
    """
    for step in ALGORITHMS[algorithm]:
        samples = step(samples, generator, parameters)
    return samples


def stop_band_response(centre_hz: np.ndarray, width_hz: np.ndarray, n_taps: np.ndarray, n_fft: int) -> np.ndarray:
    """(..., bin) Responses of band-stop filters designed by a Hamming window, unit at 0 Hz and without delay.

    Parameters
    ----------
    centre_hz, width_hz, n_taps
        (...) Stop band and length of each filter; lengths are odd.
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
    lag = np.arange(reach.max() + 1)  # (lag,) one half; the filters are symmetric
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
    for order_response in response:
        power = power * padded
        blocks = np.lib.stride_tricks.sliding_window_view(power, n_fft)[::hop]  # (block, n_fft)
        spectrum = spectrum + fft.rfft(blocks) * order_response
    return fft.irfft(spectrum, n_fft)[:, reach_samples : reach_samples + hop].reshape(-1)[: len(samples)]


def _within_one(samples: np.ndarray) -> np.ndarray:
    return samples / max(1.0, np.abs(samples).max())
