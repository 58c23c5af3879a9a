"""Filters of audiomentations with draws from an explicit generator: its own come from global ones.

Frequencies are drawn evenly on the mel scale and ranges have the library's defaults.
"""

from collections.abc import Mapping

import numpy as np

from sslig.frames import SAMPLE_RATE_HZ

Range = tuple[float, float]


def band_pass(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    centre_hz: Range = (200.0, 4000.0),
    bandwidth_fraction: Range = (0.5, 1.99),
    rolloff_db: Range = (12, 24),
) -> np.ndarray:
    """(samples,) The samples within a band; its width is a fraction of its centre, its slope in dB per octave."""
    return _filter("BandPassFilter", samples, _band(generator, centre_hz, bandwidth_fraction, rolloff_db))


def band_stop(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    centre_hz: Range = (200.0, 4000.0),
    bandwidth_fraction: Range = (0.5, 1.99),
    rolloff_db: Range = (12, 24),
) -> np.ndarray:
    """(samples,) The samples without a band; its width is a fraction of its centre, its slope in dB per octave."""
    return _filter("BandStopFilter", samples, _band(generator, centre_hz, bandwidth_fraction, rolloff_db))


def high_pass(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    cutoff_hz: Range = (20.0, 2400.0),
    rolloff_db: Range = (12, 24),
) -> np.ndarray:
    """(samples,) The samples above a frequency, with a slope in dB per octave."""
    return _filter("HighPassFilter", samples, _side(generator, cutoff_hz, rolloff_db))


def low_pass(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    cutoff_hz: Range = (150.0, 7500.0),
    rolloff_db: Range = (12, 24),
) -> np.ndarray:
    """(samples,) The samples below a frequency, with a slope in dB per octave."""
    return _filter("LowPassFilter", samples, _side(generator, cutoff_hz, rolloff_db))


def high_shelf(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    centre_hz: Range = (300.0, 7500.0),
    gain_db: Range = (-18.0, 18.0),
    q: Range = (0.1, 0.999),
) -> np.ndarray:
    """(samples,) The samples with everything above a frequency raised or lowered."""
    return _filter("HighShelfFilter", samples, _bell(generator, centre_hz, gain_db, q))


def low_shelf(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    centre_hz: Range = (50.0, 4000.0),
    gain_db: Range = (-18.0, 18.0),
    q: Range = (0.1, 0.999),
) -> np.ndarray:
    """(samples,) The samples with everything below a frequency raised or lowered."""
    return _filter("LowShelfFilter", samples, _bell(generator, centre_hz, gain_db, q))


def peaking(
    samples: np.ndarray,
    generator: np.random.Generator,
    *,
    centre_hz: Range = (50.0, 7500.0),
    gain_db: Range = (-24.0, 24.0),
    q: Range = (0.5, 5.0),
) -> np.ndarray:
    """(samples,) The samples with the surroundings of a frequency raised or lowered."""
    return _filter("PeakingFilter", samples, _bell(generator, centre_hz, gain_db, q))


def _mel_uniform_hz(generator: np.random.Generator, range_hz: Range) -> float:
    """A frequency drawn evenly on the mel scale, as audiomentations does."""
    from audiomentations.core.utils import convert_frequency_to_mel, convert_mel_to_frequency

    return convert_mel_to_frequency(generator.uniform(*map(convert_frequency_to_mel, range_hz)))


def _rolloff_db(generator: np.random.Generator, range_db: Range) -> int:
    """A slope of a Butterworth filter: 6 dB per octave and order."""
    return 6 * int(generator.integers(int(range_db[0]) // 6, int(range_db[1]) // 6, endpoint=True))


def _side(generator: np.random.Generator, cutoff_hz: Range, rolloff_db: Range) -> dict[str, float]:
    return {"cutoff_freq": _mel_uniform_hz(generator, cutoff_hz), "rolloff": _rolloff_db(generator, rolloff_db)}


def _band(generator: np.random.Generator, centre_hz: Range, fraction: Range, rolloff_db: Range) -> dict[str, float]:
    centre = _mel_uniform_hz(generator, centre_hz)
    slope = _rolloff_db(generator, rolloff_db)
    return {"center_freq": centre, "bandwidth": centre * generator.uniform(*fraction), "rolloff": slope}


def _bell(generator: np.random.Generator, centre_hz: Range, gain_db: Range, q: Range) -> dict[str, float]:
    drawn = {"gain_db": generator.uniform(*gain_db), "q_factor": generator.uniform(*q)}
    return {"center_freq": _mel_uniform_hz(generator, centre_hz), **drawn}


def _filter(name: str, samples: np.ndarray, drawn: Mapping[str, float]) -> np.ndarray:
    """(samples,) The filter that the library calls `name`, with parameters drawn already."""
    import audiomentations

    transform = getattr(audiomentations, name)(p=1.0)
    transform.parameters = {"should_apply": True, **drawn}
    transform.freeze_parameters()
    return transform(samples, SAMPLE_RATE_HZ)
