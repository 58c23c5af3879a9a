"""The steps that augmentation is made of: (samples,) float32 at 16 kHz and a generator in, (samples,) float32 out.

Each keeps the length but `trim_leading_silence` and `speed`, leaves its input as it is, and draws from the generator
it is given only. A pair of numbers is the range that a value is drawn from.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import fft
from scipy.signal import oaconvolve

from sslig.corpora.codecs import AMR_NB, G722, Codec, transcode
from sslig.corpora.codecs import CODECS as OFFICIAL
from sslig.audio import SILENCE_DB, speech_bounds
from sslig.data import filters, rawboost
from sslig.data.filters import Range
from sslig.frames import SAMPLE_RATE_HZ


class ParameterError(ValueError):
    """A step or a parameter that there is not, or a value it does not take; the message says what is accepted."""


COLOUR_FFT_SAMPLES = 128
"""Length of the filter that colours noise, as in audiomentations: steps of 125 Hz."""


def trim_leading_silence(
    samples: np.ndarray, generator: np.random.Generator, *, silence_db: float = SILENCE_DB
) -> np.ndarray:
    """(shorter,) The samples from the first frame on that is less than `silence_db` below the loud frames.

    Voice activity is read off frame energies: cheap, without a model in each worker, and before the first word rather
    than within it. All-zero samples stay as they are.
    """
    return samples[speech_bounds(samples, silence_db)[0] :] if samples.any() else samples


def zero_span(samples: np.ndarray, generator: np.random.Generator, *, share: Range = (0.2, 0.5)) -> np.ndarray:
    """(samples,) The samples with one span, `share` of their length, set to zero at a random place."""
    length = round(generator.uniform(*share) * len(samples))
    start = generator.integers(len(samples) - length + 1)
    zeroed = samples.copy()
    zeroed[start : start + length] = 0.0
    return zeroed


def mu_law(samples: np.ndarray, generator: np.random.Generator, *, mu: int = 255) -> np.ndarray:
    """(samples,) The samples, clipped to [-1, 1], after companding to `mu` + 1 levels and back.

    References
    ----------
    ITU-T G.711, as the continuous curve log(1 + mu |x|) / log(1 + mu).
    """
    import librosa

    companded = librosa.mu_compress(np.clip(samples, -1.0, 1.0), mu=mu, quantize=False)
    # The levels that `quantize=True` gives, without its search among all levels for each sample.
    levels = np.ceil((companded + 1) * (mu / 2)).astype(np.int32) - (mu + 1) // 2
    return librosa.mu_expand(levels, mu=mu, quantize=True).astype(np.float32)


def raw_boost(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    algorithm: int = 5,
    parameters: Mapping[str, float] | None = None,
) -> np.ndarray:
    """(samples,) The samples after a numbered algorithm of `sslig.data.rawboost`, `parameters` by name."""
    return rawboost.apply(samples, algorithm, generator, rawboost.Parameters(**(parameters or {})))


def gaussian_noise(
    samples: np.ndarray, generator: np.random.Generator, *, amplitude: Range = (0.001, 0.015)
) -> np.ndarray:
    """(samples,) White Gaussian noise of a drawn standard deviation added."""
    level = np.float32(generator.uniform(*amplitude))
    return samples + level * generator.standard_normal(len(samples), dtype=np.float32)


def gaussian_snr(samples: np.ndarray, generator: np.random.Generator, *, snr_db: Range = (5.0, 40.0)) -> np.ndarray:
    """(samples,) White Gaussian noise added at a drawn signal-to-noise ratio."""
    level = np.float32(_noise_rms(samples, generator.uniform(*snr_db)))
    return samples + level * generator.standard_normal(len(samples), dtype=np.float32)


def coloured_noise(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    snr_db: Range = (5.0, 40.0),
    decay_db: Range = (-6.0, 6.0),
) -> np.ndarray:
    """(samples,) Noise whose density changes by `decay_db` per octave, added at a drawn signal-to-noise ratio.

    The distribution is that of AddColorNoise in audiomentations, which draws from a global generator and so cannot be
    called here: white noise through the inverse transform of f^(-beta / 2) with random phases, 0 Hz counted as 1 Hz.
    """
    snr, beta = generator.uniform(*snr_db), -generator.uniform(*decay_db) / (10 * np.log10(2))
    f_hz = np.maximum(fft.rfftfreq(COLOUR_FFT_SAMPLES, 1 / SAMPLE_RATE_HZ), 1.0)
    phases = np.exp(2j * np.pi * generator.uniform(size=len(f_hz)))
    response = fft.irfft(f_hz ** (-beta / 2) * phases)
    noise = oaconvolve(generator.standard_normal(len(samples)), response, mode="same")
    return (samples + _noise_rms(samples, snr) / _rms(noise) * noise).astype(np.float32)


def gain(samples: np.ndarray, generator: np.random.Generator, *, gain_db: Range = (-12.0, 12.0)) -> np.ndarray:
    """(samples,) The samples louder or softer; they may leave [-1, 1]."""
    return samples * np.float32(10 ** (generator.uniform(*gain_db) / 20))


def speed(samples: np.ndarray, generator: np.random.Generator, *, factor: Range = (0.9, 1.1)) -> np.ndarray:
    """(round(samples / factor),) The samples played faster or slower, so that pitch and tempo change together."""
    import soxr

    faster = generator.uniform(*factor)
    return soxr.resample(samples, faster * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ).astype(np.float32, copy=False)


def codec(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    codecs: tuple[str, ...] = ("opus", "mp3", "aac", "amr_nb", "g722"),
    bit_rate: Range = (4_750, 64_000),
) -> np.ndarray:
    """(samples,) The samples after one of `codecs` at one of its bit rates within `bit_rate`, in bits per second.

    A codec without a rate in that range works at the one nearest to it. Samples are clipped to [-1, 1].
    """
    coding, rates = CODECS[codecs[generator.integers(len(codecs))]]
    low, high = bit_rate
    within = [rate for rate in rates if low <= rate <= high]
    nearest = min(rates, key=lambda one: min(abs(one - low), abs(one - high)))
    rate = within[generator.integers(len(within))] if within else nearest
    return transcode(samples, coding, rate)


CODECS: dict[str, tuple[Codec, Sequence[int]]] = {
    "opus": (OFFICIAL["C01"], range(6_000, 64_001, 1_000)),
    "mp3": (OFFICIAL["C02"], (*range(8_000, 64_001, 8_000),)),
    "aac": (OFFICIAL["C03"], range(12_000, 64_001, 1_000)),
    "amr_nb": (AMR_NB, AMR_NB.bit_rates),
    "g722": (G722, (64_000,)),
}
"""The codecs of `codec` and the bit rates each may draw."""

STEPS: dict[str, Callable[..., np.ndarray]] = {
    "trim_leading_silence": trim_leading_silence,
    "zero_span": zero_span,
    "mu_law": mu_law,
    "rawboost": raw_boost,
    "coloured_noise": coloured_noise,
    "gaussian_noise": gaussian_noise,
    "gaussian_snr": gaussian_snr,
    "band_pass": filters.band_pass,
    "band_stop": filters.band_stop,
    "high_pass": filters.high_pass,
    "high_shelf": filters.high_shelf,
    "low_pass": filters.low_pass,
    "low_shelf": filters.low_shelf,
    "peaking": filters.peaking,
    "gain": gain,
    "speed": speed,
    "codec": codec,
}
"""Every step by the name that a configuration calls it."""

CHANGE_LENGTH = frozenset({"trim_leading_silence", "speed"})
"""Steps after which the samples are more or fewer."""


HIGHEST_HZ = 0.99 * SAMPLE_RATE_HZ / 2
LIMITS: dict[str, tuple[float, float]] = {
    "silence_db": (-120, -0.1),
    "share": (0, 1),
    "mu": (1, 65_535),
    "amplitude": (0, 1),
    "snr_db": (-60, 120),
    "decay_db": (-24, 24),
    "centre_hz": (1, HIGHEST_HZ),
    "cutoff_hz": (1, HIGHEST_HZ),
    "bandwidth_fraction": (0.01, 1.99),
    "rolloff_db": (6, 96),
    "gain_db": (-60, 60),
    "q": (0.01, 100),
    "factor": (0.25, 4),
    "bit_rate": (1, 512_000),
}
"""What a parameter, or both ends of its range, must lie between. At 0 dB a steady sound would be all silence."""

SINGLE = frozenset({"silence_db", "mu"})
"""Parameters that are one number and no range."""

WHOLE = frozenset({"mu"})
"""Parameters that are whole numbers."""


def check(name: str, parameters: Mapping[str, Any]) -> None:
    """Check the name of a step and its parameters before anything is drawn.

    Raises
    ------
    ParameterError
        The step or one of its parameters is unknown, or a value is none that it takes.
    """
    if not isinstance(name, str) or name not in STEPS:
        raise ParameterError(f"unknown step {name!r}; known: {', '.join(STEPS)}")
    known = [key for key, one in inspect.signature(STEPS[name]).parameters.items() if one.kind is one.KEYWORD_ONLY]
    for key, value in parameters.items():
        if key not in known:
            raise ParameterError(f"{name} has no parameter {key!r}; known: {', '.join(known)}")
        if key in LIMITS:
            _check_number(f"{name}.{key}", value, LIMITS[key], key not in SINGLE, int if key in WHOLE else int | float)
        elif key == "codecs":
            _check_codecs(value)
        elif key == "algorithm":
            rawboost.stages(value)
        elif key == "parameters":
            _check_rawboost(value)


def _check_number(place: str, value: Any, limits: Range, is_range: bool, kinds: Any) -> None:
    numbers = value if is_range and isinstance(value, list | tuple) else [value]
    sound = all(_is_number(one, kinds) and limits[0] <= one <= limits[1] for one in numbers)
    if len(numbers) != 1 + is_range or not sound or numbers[0] > numbers[-1]:
        single = "a whole number" if kinds is int else "a number"
        kind = "a pair of numbers, the smaller first," if is_range else single
        raise ParameterError(f"{place} is {value!r}; accepted: {kind} from {limits[0]:g} to {limits[1]:g}")


def _is_number(value: Any, kinds: Any = int | float) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _check_codecs(names: Any) -> None:
    if not isinstance(names, list | tuple) or not names or any(name not in list(CODECS) for name in names):
        raise ParameterError(f"codec.codecs is {names!r}; accepted: a list of {', '.join(CODECS)}")


def _check_rawboost(values: Any) -> None:
    known = rawboost.Parameters.__dataclass_fields__
    sound = isinstance(values, Mapping) and set(values) <= set(known)
    if not sound or not all(map(_is_number, values.values())):
        raise ParameterError(f"rawboost.parameters is {values!r}; accepted: a mapping of {', '.join(known)} to numbers")
    rawboost.Parameters(**values)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _noise_rms(samples: np.ndarray, snr_db: float) -> float:
    return _rms(samples) * 10 ** (-snr_db / 20)
