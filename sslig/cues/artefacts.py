"""What a recording gives away without being understood: length, silences, level, noise, spectrum, damage, voice.

Voice activity comes from a tier of `sslig.cues.vad` where one is given. Without one a frame 35 dB below the loud frames
is silence (`sslig.audio`), which costs next to nothing.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.signal import welch

from sslig.audio import LEVEL_FRAME_SAMPLES as FRAME_SAMPLES, LEVEL_HOP_SAMPLES as HOP_SAMPLES, SILENCE_DB, frame_levels_db
from sslig.cues import voice
from sslig.cues.tiers import Tier
from sslig.cues.vad import SPEECH
from sslig.frames import SAMPLE_RATE_HZ

FLOOR_DB = -100.0
"""Level of digital silence, which has no logarithm, and of whatever is below it."""
RMS_FRAME_SAMPLES = 480
VOICED_RMS = 0.05
"""A frame of 30 ms with a larger RMS than this counts as voiced, in the published definition."""
FIRST_SAMPLES = 1600
SHORTEST_PAUSE_S = 0.1
"""Shorter gaps between frames of speech are closures of plosives and no pauses; Silero's default too."""
SPECTRUM_SAMPLES = 512
ROLLOFF_SHARE = 0.99
TILT_HZ = (100.0, 7500.0)
HIGH_BAND_HZ = 4000.0
CLIPPED_NEAR_PEAK, CLIPPED_RUN_SAMPLES = 0.99, 3
SILENT_RUN_SAMPLES = 80


class Measure(NamedTuple):
    """What one measure is: its unit, and its meaning in one line, with what it is where there is nothing to measure."""

    unit: str
    meaning: str


_MEANINGS = {
    "duration_s": ("s", "length of the recording"),
    "speech_length_s": ("s", "from the first to the last speech; 0 without speech"),
    "leading_silence_s": ("s", "before the first speech; all of the recording without speech"),
    "trailing_silence_s": ("s", "after the last speech; all of the recording without speech"),
    "voiced_frames": ("frames of 30 ms", "from first to last speech with an RMS above 0.05; 0 without speech"),
    "unvoiced_frames": ("frames of 30 ms", "from first to last speech with an RMS of at most 0.05; 0 without speech"),
    "voiced_unvoiced_ratio": ("ratio", "voiced frames per unvoiced frame; none counts as one"),
    "rms_first_100ms": ("full scale", "RMS of the first 100 ms, or of a shorter recording"),
    "rmse_mean": ("full scale", "mean RMS of the frames of 30 ms"),
    "rmse_amplitude": ("full scale", "largest less smallest RMS of the frames of 30 ms"),
    "level_dbfs": ("dB", "RMS level of the recording relative to full scale, at least -100"),
    "pauses": ("count", "silences between speech; found by level, those of 100 ms or more"),
    "pause_share": ("share", "pauses of the time from first to last speech; 0 without speech"),
    "longest_pause_s": ("s", "the longest pause; 0 without pauses"),
    "noise_floor_dbfs": ("dB", "RMS level of what is not speech, at least -100; missing where all is speech"),
    "snr_db": ("dB", "level of speech less the noise floor; missing where all or nothing is speech"),
    "dc_offset": ("full scale", "size of the mean sample"),
    "clipping_share": ("share", "samples in runs of three or more equal ones within 1 % of the peak; 0 in silence"),
    "digital_silence_share": ("share", "samples in runs of 5 ms or more of exact zeros"),
    "rolloff_hz": ("Hz", "99 % of the power lies below; missing in digital silence"),
    "flatness_db": ("dB", "geometric over arithmetic mean of the power spectrum; missing in digital silence"),
    "tilt_db_per_octave": ("dB per octave", "slope of the spectrum, 0.1 to 7.5 kHz; missing in digital silence"),
    "high_band_db": ("dB", "power above 4 kHz over all power, at least -100; missing in digital silence"),
}

MEASURES = {name: Measure(*told) for name, told in (_MEANINGS | voice.MEASURES).items()}
"""Every measure by name. Those of `sslig.cues.voice` are the slow ones and taken on demand."""

PUBLISHED = tuple(_MEANINGS)[:10]
"""The measures of the release of arXiv 2606.10912, by its names."""


class ArtefactError(ValueError):
    """A recording that cannot be measured; the message says what was found and what is needed."""


def measure(samples: np.ndarray, speech: Tier | None = None, f0: bool = False) -> dict[str, float]:
    """All of `MEASURES` of a recording.

    Parameters
    ----------
    samples
        (samples,) at 16 kHz.
    speech
        Stretches labelled ``speech`` (`sslig.cues.vad.speech`); found by level by default.
    f0
        Whether to take the measures of `sslig.cues.voice` too.

    Returns
    -------
    dict
        Name -> value; NaN only where `MEASURES` says *missing*.

    Raises
    ------
    ArtefactError
        The samples are not one finite channel, there are none, or `speech` is of a recording of another length.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ArtefactError(f"samples of shape {samples.shape}; one channel of finite samples is needed")
    samples = samples.astype(np.float64, copy=False)
    bounds = _audible(samples) if speech is None else _labelled(speech, len(samples))
    first, last = (bounds[0, 0], bounds[-1, 1]) if len(bounds) else (len(samples), 0)
    found = _extent(len(samples), first, last) | _loudness(samples, first, last) | _pauses(bounds)
    found |= _noise(samples, bounds) | _damage(samples) | _spectrum(samples)
    return found | voice.measure(samples) if f0 else found


def names(f0: bool) -> list[str]:
    """The measures that `measure` takes with or without those of the voice, in order."""
    return [name for name in MEASURES if f0 or name not in voice.MEASURES]


def _audible(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample and the one past the last of what is loud enough to be speech."""
    if not np.any(samples):
        return np.empty((0, 2), dtype=int)
    active = np.flatnonzero(frame_levels_db(samples) > SILENCE_DB)
    # The last frame before a gap and the first one after it still overlap it.
    silent_samples = (np.diff(active) - 1) * HOP_SAMPLES - (FRAME_SAMPLES - HOP_SAMPLES)
    gap = np.flatnonzero(silent_samples >= SHORTEST_PAUSE_S * SAMPLE_RATE_HZ)
    starts, ends = active[np.r_[0, gap + 1]], active[np.r_[gap, len(active) - 1]]
    return np.stack([starts * HOP_SAMPLES, np.minimum(ends * HOP_SAMPLES + FRAME_SAMPLES, len(samples))], axis=1)


def _labelled(speech: Tier, n_samples: int) -> np.ndarray:
    """(stretch, 2) The same of the stretches that a tier calls speech."""
    if abs(speech.duration_s * SAMPLE_RATE_HZ - n_samples) > 1:
        raise ArtefactError(f"tier {speech.name!r} is of a recording of {speech.duration_s:g} s; this one has "
                            f"{n_samples / SAMPLE_RATE_HZ:g} s")  # fmt: skip
    said = speech.has([SPEECH])
    bounds_s = np.stack([speech.start_s[said], speech.end_s[said]], axis=1)
    return np.rint(bounds_s * SAMPLE_RATE_HZ).astype(int)


def _extent(n_samples: int, first: int, last: int) -> dict[str, float]:
    return {
        "duration_s": n_samples / SAMPLE_RATE_HZ,
        "speech_length_s": max(0, last - first) / SAMPLE_RATE_HZ,
        "leading_silence_s": first / SAMPLE_RATE_HZ,
        "trailing_silence_s": (n_samples - last) / SAMPLE_RATE_HZ,
    }


def _loudness(samples: np.ndarray, first: int, last: int) -> dict[str, float]:
    rms = _frame_rms(samples)
    in_speech = _frame_rms(samples[first:last])
    voiced = int(np.count_nonzero(in_speech > VOICED_RMS))
    unvoiced = len(in_speech) - voiced
    return {
        "voiced_frames": voiced,
        "unvoiced_frames": unvoiced,
        "voiced_unvoiced_ratio": voiced / max(1, unvoiced),
        "rms_first_100ms": math.sqrt(_power(samples[:FIRST_SAMPLES])),
        "rmse_mean": float(rms.mean()),
        "rmse_amplitude": float(np.ptp(rms)),
        "level_dbfs": _level_db(_power(samples)),
    }


def _frame_rms(samples: np.ndarray) -> np.ndarray:
    """(frame,) RMS of neighbouring frames of 30 ms; of what there is where it fills none, and none of nothing."""
    n_frames = len(samples) // RMS_FRAME_SAMPLES or min(1, len(samples))
    framed = samples[: n_frames * RMS_FRAME_SAMPLES].reshape(n_frames, -1) if n_frames else np.empty((0, 1))
    return np.sqrt(np.mean(framed**2, axis=1))


def _pauses(bounds: np.ndarray) -> dict[str, float]:
    pauses_s = (bounds[1:, 0] - bounds[:-1, 1]) / SAMPLE_RATE_HZ
    span_s = (bounds[-1, 1] - bounds[0, 0]) / SAMPLE_RATE_HZ if len(bounds) else math.inf
    return {
        "pauses": len(pauses_s),
        "pause_share": float(pauses_s.sum() / span_s),
        "longest_pause_s": float(pauses_s.max(initial=0.0)),
    }


def _noise(samples: np.ndarray, bounds: np.ndarray) -> dict[str, float]:
    spoken = np.zeros(len(samples), dtype=bool)
    for start, stop in bounds:
        spoken[start:stop] = True
    level_db = {part: _level_db(_power(samples[part_is])) if part_is.any() else math.nan
                for part, part_is in (("speech", spoken), ("rest", ~spoken))}  # fmt: skip
    return {"noise_floor_dbfs": level_db["rest"], "snr_db": level_db["speech"] - level_db["rest"]}


def _damage(samples: np.ndarray) -> dict[str, float]:
    size = np.abs(samples)
    flat = np.flatnonzero(np.diff(samples, prepend=np.nan) != 0)  # (run,) where each run of equal samples starts
    length = np.diff(np.append(flat, len(samples)))
    level = size[flat]  # (run,)
    clipped = (level >= CLIPPED_NEAR_PEAK * size.max()) & (level > 0) & (length >= CLIPPED_RUN_SAMPLES)
    silent = (level == 0) & (length >= SILENT_RUN_SAMPLES)
    return {
        "dc_offset": abs(float(samples.mean())),
        "clipping_share": float(length[clipped].sum() / len(samples)),
        "digital_silence_share": float(length[silent].sum() / len(samples)),
    }


def _spectrum(samples: np.ndarray) -> dict[str, float]:
    if not np.any(samples):
        return dict.fromkeys(["rolloff_hz", "flatness_db", "tilt_db_per_octave", "high_band_db"], math.nan)
    window_samples = min(SPECTRUM_SAMPLES, len(samples))
    frequency_hz, power = welch(samples, SAMPLE_RATE_HZ, nperseg=window_samples, nfft=SPECTRUM_SAMPLES, detrend=False)
    frequency_hz, power = frequency_hz[1:], power[1:]  # an offset is no sound
    power = np.maximum(power, 10 ** (FLOOR_DB / 10) * power.max())
    level_db = 10 * np.log10(power)
    band = (frequency_hz >= TILT_HZ[0]) & (frequency_hz <= TILT_HZ[1])
    below = np.cumsum(power) / power.sum()
    return {
        "rolloff_hz": float(frequency_hz[np.searchsorted(below, ROLLOFF_SHARE)]),
        "flatness_db": float(level_db.mean() - 10 * np.log10(power.mean())),
        "tilt_db_per_octave": float(np.polyfit(np.log2(frequency_hz[band]), level_db[band], 1)[0]),
        "high_band_db": _level_db(float(power[frequency_hz > HIGH_BAND_HZ].sum() / power.sum())),
    }


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples)))


def _level_db(power: float) -> float:
    return max(FLOOR_DB, 10 * math.log10(power)) if power > 0 else FLOOR_DB
