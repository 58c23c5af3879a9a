"""Cues planted in one kind of place of a recording, all else of it left sample by sample as it was.

What is planted replaces the place and is cross-faded with the recording within it, so that no click tells where it is.
A bona fide twin goes through the same steps with the recording itself in place of the cue.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sslig.corpora import spoofs
from sslig.frames import SAMPLE_RATE_HZ

FADE_S = 0.005
"""Length of each cross-fade, within the place; a quarter of the place where that is shorter."""
CONTEXT_S = 0.25
"""What a vocoder hears before and after a place, so that the place is not at an end of what it hears."""
CUT_HZ = 1000.0
FLOOR_HZ = 80.0
"""Below this no noise is added: the recordings of the built corpora end here."""

Places = Sequence[tuple[int, int]]
"""First sample of each place, and one past its last."""

PAUSES, EDGES, VOICED, SPEECH = "pauses", "edges", "voiced", "speech"
"""Where places lie: pauses as they are, the ends of pauses, and stretches within voiced runs or anywhere in speech."""


class PlantedError(ValueError):
    """Cues that cannot be planted, or a truth that is asked for and not there; the message says what is accepted."""


@dataclass(frozen=True)
class Kind:
    """One kind of planted cue.

    Attributes
    ----------
    description
        What is planted and where, in a sentence.
    where
        `PAUSES`, `EDGES`, `VOICED` or `SPEECH`.
    duration_s
        Shortest and longest place.
    every_s
        One place for so much of the recording, and one at least; none: wherever there is room.
    severity, unit
        How strong the cue is by default, and in what.
    limits
        Least and greatest severity.
    change
        ``(samples, places, severity, generator)`` to what stands in the places, (samples,) as long as the recording;
        what it gives elsewhere does not count.
    """

    description: str
    where: str
    duration_s: tuple[float, float]
    every_s: float | None
    severity: float
    unit: str
    limits: tuple[float, float]
    change: Callable[[np.ndarray, Places, float, np.random.Generator], np.ndarray]


def plant(
    kind: Kind, samples: np.ndarray, places: Places, severity: float | None, generator: np.random.Generator
) -> np.ndarray:
    """(samples,) float32 The recording with the cue in its `places`; with the severity none, its null version.

    Parameters
    ----------
    kind
        What is planted.
    samples
        (samples,) float32 at 16 kHz.
    places
        Of the cue; they do not overlap.
    severity
        In the unit of the kind; none: the recording itself stands in for the cue, and comes out as it went in.
    generator
        Of the noise and the phases of the cue.
    """
    changed = samples if severity is None else kind.change(samples, places, severity, generator)
    share = fades(len(samples), places)
    difference = share * (changed - samples)
    for start, stop in places:
        # Recordings have next to no offset, so the offset of one place alone would tell spoofs by their mean sample.
        difference[start:stop] -= share[start:stop] * (difference[start:stop].sum() / share[start:stop].sum())
    return (samples + difference).astype(np.float32)


def fades(n_samples: int, places: Places) -> np.ndarray:
    """(samples,) The share of the cue: 1 in the places, 0 elsewhere, raised cosines within the ends of the places."""
    share = np.zeros(n_samples)
    for start, stop in places:
        length = min(round(FADE_S * SAMPLE_RATE_HZ), (stop - start) // 4)
        rise = (1 - np.cos(np.pi * (np.arange(length) + 0.5) / length)) / 2 if length else np.empty(0)
        share[start:stop] = np.concatenate([rise, np.ones(stop - start - 2 * length), rise[::-1]])
    return share


def noise_floor(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """Pink noise on top, `severity` dB above the level of the whole recording, hence the same step from its speech."""
    size = len(samples)
    frequency_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(generator.standard_normal(size))
    shape = np.where(frequency_hz < FLOOR_HZ, 0.0, 1 / np.sqrt(np.maximum(frequency_hz, FLOOR_HZ)))
    noise = np.fft.irfft(spectrum * shape, size)
    return samples + noise * 10 ** (severity / 20) * _rms(samples) / _rms(noise)


def vocoded(
    vocoder: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> Callable[[np.ndarray, Places, float, np.random.Generator], np.ndarray]:
    """The change that puts the recording as a vocoder gives it into the places, each as loud as it was.

    The severity is the share of it in the mixture with the recording.
    """

    def change(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
        made, context = samples.astype(np.float64), round(CONTEXT_S * SAMPLE_RATE_HZ)
        for start, stop in places:
            begin = max(0, start - context)
            around = samples[begin : stop + context]
            spoken = spoofs.match_length(vocoder(around, generator), len(around))[start - begin :][: stop - start]
            made[start:stop] += severity * (spoken - made[start:stop])
        return _as_loud(made, samples, places)

    return change


def boundary(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """The spectrum of each place flattened and its phases turned at random, at the same power.

    The severity is the share of the way, in dB from the magnitudes as they are to equal ones, and in the angle of each
    phase up to a half turn either way.
    """
    changed = samples.astype(np.float64)
    for start, stop in places:
        spectrum = np.fft.rfft(changed[start:stop])
        size = np.maximum(np.abs(spectrum), 1e-9)
        equal = np.sqrt(np.mean(size**2))
        turn = severity * generator.uniform(-np.pi, np.pi, len(spectrum))
        flattened = size ** (1 - severity) * equal**severity * np.exp(1j * (np.angle(spectrum) + turn))
        changed[start:stop] = np.fft.irfft(flattened, stop - start)
    return _as_loud(changed, samples, places)


def band(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """What is below `CUT_HZ` lowered by `severity` dB without delay, and each place as loud as it was."""
    filters = butter(4, CUT_HZ, "lowpass", fs=SAMPLE_RATE_HZ, output="sos")
    return _as_loud(samples - (1 - 10 ** (-severity / 20)) * sosfiltfilt(filters, samples), samples, places)


def _as_loud(changed: np.ndarray, samples: np.ndarray, places: Places) -> np.ndarray:
    """`changed` with the RMS of `samples` in each place."""
    scaled = np.array(changed, dtype=np.float64)
    for start, stop in places:
        scaled[start:stop] *= _rms(samples[start:stop]) / max(_rms(changed[start:stop]), 1e-9)
    return scaled


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


KINDS: Mapping[str, Kind] = {
    "noise_floor": Kind(
        "another noise floor in pauses", PAUSES, (0.06, 10.0), None, -18.0,
        "dB of the added noise above the level of the recording", (-60.0, 0.0), noise_floor,
    ),
    "phone_glitch": Kind(
        "60 to 150 ms within voiced speech from a noise vocoder of two bands", VOICED, (0.06, 0.15), 0.5, 0.5,
        "share of vocoded speech", (0.0, 1.0), vocoded(partial(spoofs.channel_vocoder, n_bands=2, whispered=True)),
    ),
    "boundary": Kind(
        "20 to 40 ms of broken spectrum and phase at the edges of pauses", EDGES, (0.02, 0.04), None, 1.0,
        "share of the way to a flat spectrum with random phases", (0.0, 1.0), boundary,
    ),
    "band": Kind(
        "0.5 to 1 s limited to the band above 1 kHz", SPEECH, (0.5, 1.0), 2.5, 20.0,
        "dB of attenuation", (0.0, 60.0), band,
    ),
    "splice": Kind(
        "0.3 to 1 s from a noise vocoder of three bands (a partial spoof)", SPEECH, (0.3, 1.0), 2.5, 1.0,
        "share of vocoded speech", (0.0, 1.0), vocoded(partial(spoofs.channel_vocoder, n_bands=3, whispered=True)),
    ),
}  # fmt: skip
"""Every kind of planted cue by name."""


def kind_of(name: str) -> Kind:
    """The kind called `name`.

    Raises
    ------
    PlantedError
        There is none.
    """
    if name not in KINDS:
        raise PlantedError(f"no kind of planted cue {name!r}; accepted: {', '.join(KINDS)}")
    return KINDS[name]
