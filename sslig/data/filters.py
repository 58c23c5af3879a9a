"""Filters of audiomentations with draws from an explicit generator; those of the library come from a global one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sslig.frames import SAMPLE_RATE_HZ

Range = tuple[float, float]

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
        return apply(self.library, samples, {ARGUMENTS[name]: value for name, value in values.items()})


def apply(library: str, samples: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
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
