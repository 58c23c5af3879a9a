"""The steps of augmentation: (samples,) float32 at 16 kHz and a generator in, (samples,) float32 out.

Each step keeps the length except `trim_leading_silence` and `speed`, leaves its input unchanged, and draws only from
the generator that it is given. A pair of numbers is the range that a value is drawn from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from scipy import fft

from sslig.audio import SILENCE_DB, rms, speech_bounds
from sslig.corpora.codecs import AMR_NB, G722, Codec, transcode
from sslig.corpora.codecs import CODECS as OFFICIAL
from sslig.data import rawboost
from sslig.errors import StudyError
from sslig.frames import SAMPLE_RATE_HZ

Range = tuple[float, float]

COLOUR_FFT_SAMPLES = 128
"""Length of the filter that colours noise, as in audiomentations: steps of 125 Hz."""


def trim_leading_silence(
    samples: np.ndarray, generator: np.random.Generator, *, silence_db: float = SILENCE_DB
) -> np.ndarray:
    """(shorter,) The samples from the first frame on that is less than `silence_db` below the loud frames.

    Frame energies decide where speech starts: they are cheap and need no model in each worker. All-zero samples are
    returned unchanged.
    """
    return samples[speech_bounds(samples, silence_db)[0] :] if samples.any() else samples


def zero_span(samples: np.ndarray, generator: np.random.Generator, *, share: Range = (0.2, 0.5)) -> np.ndarray:
    """(samples,) The samples with one span at a random place, `share` of their length, set to zero."""
    length = round(generator.uniform(*share) * len(samples))
    start = generator.integers(len(samples) - length + 1)
    zeroed = samples.copy()
    zeroed[start : start + length] = 0.0
    return zeroed


def mu_law(samples: np.ndarray, generator: np.random.Generator, *, mu: int = 255) -> np.ndarray:
    """(samples,) The samples, clipped to [-1, 1], companded to `mu` + 1 levels and expanded again.

    References
    ----------
    ITU-T G.711, as the continuous curve log(1 + mu |x|) / log(1 + mu).
    """
    import librosa

    companded = librosa.mu_compress(np.clip(samples, -1.0, 1.0), mu=mu, quantize=False)
    # The levels of `quantize=True`, without its search among all levels for each sample.
    levels = np.ceil((companded + 1) * (mu / 2)).astype(np.int32) - (mu + 1) // 2
    return librosa.mu_expand(levels, mu=mu, quantize=True).astype(np.float32)


def gaussian_noise(
    samples: np.ndarray, generator: np.random.Generator, *, amplitude: Range = (0.001, 0.015)
) -> np.ndarray:
    """(samples,) The samples plus white Gaussian noise of a drawn standard deviation."""
    level = np.float32(generator.uniform(*amplitude))
    return samples + level * generator.standard_normal(len(samples), dtype=np.float32)


def gaussian_snr(samples: np.ndarray, generator: np.random.Generator, *, snr_db: Range = (5.0, 40.0)) -> np.ndarray:
    """(samples,) The samples plus white Gaussian noise at a drawn signal-to-noise ratio."""
    level = np.float32(rms(samples) * 10 ** (-generator.uniform(*snr_db) / 20))
    return samples + level * generator.standard_normal(len(samples), dtype=np.float32)


def coloured_noise(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    snr_db: Range = (5.0, 40.0),
    decay_db: Range = (-6.0, 6.0),
) -> np.ndarray:
    """(samples,) The samples plus noise whose density changes by `decay_db` per octave, at a drawn ratio.

    White noise through the inverse transform of f^(-beta / 2) with random phases, 0 Hz counted as 1 Hz, distributed as
    by AddColorNoise in audiomentations, which draws from a global generator.
    """
    from scipy.signal import oaconvolve

    snr, beta = generator.uniform(*snr_db), -generator.uniform(*decay_db) / (10 * np.log10(2))
    f_hz = np.maximum(fft.rfftfreq(COLOUR_FFT_SAMPLES, 1 / SAMPLE_RATE_HZ), 1.0)
    phases = np.exp(2j * np.pi * generator.uniform(size=len(f_hz)))
    response = fft.irfft(f_hz ** (-beta / 2) * phases)
    noise = oaconvolve(generator.standard_normal(len(samples)), response, mode="same")
    return (samples + rms(samples) * 10 ** (-snr / 20) / rms(noise) * noise).astype(np.float32)


def gain(samples: np.ndarray, generator: np.random.Generator, *, gain_db: Range = (-12.0, 12.0)) -> np.ndarray:
    """(samples,) The samples louder or softer; they may leave [-1, 1]."""
    return samples * np.float32(10 ** (generator.uniform(*gain_db) / 20))


def speed(samples: np.ndarray, generator: np.random.Generator, *, factor: Range = (0.9, 1.1)) -> np.ndarray:
    """(round(samples / factor),) The samples played faster or slower, which changes pitch and tempo together."""
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
    """(samples,) The samples, clipped to [-1, 1], after one of `codecs` at one of its bit rates within `bit_rate`.

    Bit rates are in bits per second. A codec without a rate in the range uses the nearest one.
    """
    coding, rates = CODECS[codecs[generator.integers(len(codecs))]]
    low, high = bit_rate
    within = [rate for rate in rates if low <= rate <= high]
    nearest = min(rates, key=lambda rate: min(abs(rate - low), abs(rate - high)))
    return transcode(samples, coding, within[generator.integers(len(within))] if within else nearest)


ARGUMENTS = {
    "centre_hz": "center_freq",
    "cutoff_hz": "cutoff_freq",
    "bandwidth_hz": "bandwidth",
    "rolloff_db": "rolloff",
    "gain_db": "gain_db",
    "q": "q_factor",
}
"""The names of values here and in the library."""


@dataclass(frozen=True)
class Filter:
    """A filter and the ranges that its values are drawn from, in the order of the draws; the library's by default.

    Frequencies are drawn evenly on the mel scale, and slopes (dB per octave) are multiples of 6 dB, one order of a
    Butterworth filter each. The bandwidth is a fraction of the centre.
    """

    library: str
    ranges: Mapping[str, Range]

    def __call__(self, samples: np.ndarray, generator: np.random.Generator, **ranges: Range) -> np.ndarray:
        """(samples,) The samples after the filter, with ranges in place of the default ones."""
        values = {name: _draw(name, generator, ranges.get(name, usual)) for name, usual in self.ranges.items()}
        if "bandwidth_fraction" in values:
            values["bandwidth_hz"] = values["centre_hz"] * values.pop("bandwidth_fraction")
        return apply_filter(self.library, samples, {ARGUMENTS[name]: value for name, value in values.items()})


def apply_filter(library: str, samples: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    """(samples,) The samples after a filter of the library with these values."""
    import audiomentations

    transform = getattr(audiomentations, library)(p=1.0)
    transform.parameters = {"should_apply": True, **values}
    transform.freeze_parameters()
    return transform(samples, SAMPLE_RATE_HZ)


def _draw(name: str, generator: np.random.Generator, limits: Range) -> float:
    if name == "rolloff_db":
        return 6 * int(generator.integers(int(limits[0]) // 6, int(limits[1]) // 6, endpoint=True))
    if not name.endswith("_hz"):
        return generator.uniform(*limits)
    from audiomentations.core.utils import convert_frequency_to_mel, convert_mel_to_frequency

    return convert_mel_to_frequency(generator.uniform(*map(convert_frequency_to_mel, limits)))


_BAND = {"centre_hz": (200.0, 4000.0), "rolloff_db": (12, 24), "bandwidth_fraction": (0.5, 1.99)}
_SHELF = {"gain_db": (-18.0, 18.0), "q": (0.1, 0.999)}

FILTERS = {
    "band_pass": Filter("BandPassFilter", _BAND),
    "band_stop": Filter("BandStopFilter", _BAND),
    "high_pass": Filter("HighPassFilter", {"cutoff_hz": (20.0, 2400.0), "rolloff_db": (12, 24)}),
    "high_shelf": Filter("HighShelfFilter", {**_SHELF, "centre_hz": (300.0, 7500.0)}),
    "low_pass": Filter("LowPassFilter", {"cutoff_hz": (150.0, 7500.0), "rolloff_db": (12, 24)}),
    "low_shelf": Filter("LowShelfFilter", {**_SHELF, "centre_hz": (50.0, 4000.0)}),
    "peaking": Filter("PeakingFilter", {"gain_db": (-24.0, 24.0), "q": (0.5, 5.0), "centre_hz": (50.0, 7500.0)}),
}


CODECS: dict[str, tuple[Codec, Sequence[int]]] = {
    "opus": (OFFICIAL["C01"], range(6_000, 64_001, 1_000)),
    "mp3": (OFFICIAL["C02"], (*range(8_000, 64_001, 8_000),)),
    "aac": (OFFICIAL["C03"], range(12_000, 64_001, 1_000)),
    "amr_nb": (AMR_NB, AMR_NB.bit_rates),
    "g722": (G722, (64_000,)),
}
"""The codecs of `codec` and the bit rates that each may draw."""

STEPS: dict[str, Callable[..., np.ndarray]] = {
    "trim_leading_silence": trim_leading_silence,
    "zero_span": zero_span,
    "mu_law": mu_law,
    "rawboost": rawboost.apply,
    "coloured_noise": coloured_noise,
    "gaussian_noise": gaussian_noise,
    "gaussian_snr": gaussian_snr,
    **FILTERS,
    "gain": gain,
    "speed": speed,
    "codec": codec,
}
"""Every step by its name in a configuration."""

CHANGE_LENGTH = frozenset({"trim_leading_silence", "speed"})
"""The steps that change the number of samples."""


def _ordered(pair: Range) -> Range:
    if pair[0] > pair[1]:
        raise ValueError("the smaller number comes first")
    return pair


def _number(low: float, high: float, kind: type = float) -> Any:
    return Annotated[kind, Field(strict=True, ge=low, le=high)]


def _range(low: float, high: float) -> Any:
    return Annotated[tuple[_number(low, high), _number(low, high)], AfterValidator(_ordered)]


HIGHEST_HZ = 0.99 * SAMPLE_RATE_HZ / 2

ACCEPTED: dict[str, Any] = {
    "silence_db": _number(-120, -0.1),  # at 0 dB a steady sound would be all silence
    "mu": _number(1, 65_535, int),
    "algorithm": _number(min(rawboost.ALGORITHMS), max(rawboost.ALGORITHMS), int),
    "codecs": Annotated[tuple[Literal[tuple(CODECS)], ...], Field(min_length=1)],
    "share": _range(0, 1),
    "amplitude": _range(0, 1),
    "snr_db": _range(-60, 120),
    "decay_db": _range(-24, 24),
    "centre_hz": _range(1, HIGHEST_HZ),
    "cutoff_hz": _range(1, HIGHEST_HZ),
    "bandwidth_fraction": _range(0.01, 1.99),
    "rolloff_db": _range(6, 96),
    "gain_db": _range(-60, 60),
    "q": _range(0.01, 100),
    "factor": _range(0.25, 4),
    "bit_rate": _range(1, 512_000),
}
"""The type and the limits of each parameter of a step."""


def defaults(name: str) -> dict[str, Any]:
    """The parameters of a step with their defaults."""
    if not isinstance(name, str) or name not in STEPS:
        raise StudyError(f"unknown step {name!r}; known: {', '.join(STEPS)}")
    return dict(FILTERS[name].ranges if name in FILTERS else STEPS[name].__kwdefaults__)


def check(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a step as the step takes them, checked before anything is drawn.

    Raises
    ------
    StudyError
        The step or a parameter is unknown, or a value is not accepted.
    """
    known, accepted = defaults(name), {}
    for key, value in parameters.items():
        if key not in known:
            raise StudyError(f"{name} has no parameter {key!r}; known: {', '.join(known)}")
        try:
            accepted[key] = TypeAdapter(ACCEPTED[key]).validate_python(value)
        except ValidationError as error:
            fault = error.errors()[0]
            place, message = (name, key, *map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
            raise StudyError(f"{'.'.join(place)} is {fault['input']!r}; {message}") from error
    return accepted
