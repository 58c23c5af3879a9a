"""The steps that every utterance of a built corpus goes through, bona fide or spoof, so that they tell nothing."""

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sslig.corpora import codecs
from sslig.frames import SAMPLE_RATE_HZ

FRAME_SAMPLES, HOP_SAMPLES = 320, 160
SILENCE_DB = -35.0
"""A frame this far below the loud frames (95th percentile) counts as silence."""

LEAD_S = (0.03, 0.12)
"""Range of the silence left before and after the speech; each end of each utterance draws its own."""
LEVEL_DBFS = (-32.0, -22.0)
"""Range of the RMS level of an utterance."""
FLOOR_DB = (-48.0, -38.0)
"""Range of the level of the noise floor below the RMS level."""
PEAK = 0.98
BAND_HZ = (80.0, 7000.0)
"""What is kept of every utterance: below it vocoders leave an offset, above it resampling leaves a gap."""


def frame_levels_db(samples: np.ndarray) -> np.ndarray:
    """(frame,) RMS level of each 20 ms frame (hop 10 ms) in dB relative to the loud frames of (samples,)."""
    padded = np.pad(samples, (0, max(0, FRAME_SAMPLES - len(samples)))).astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    starts = np.arange(0, len(padded) - FRAME_SAMPLES + 1, HOP_SAMPLES)
    power = np.maximum(energy[starts + FRAME_SAMPLES] - energy[starts], 1e-12) / FRAME_SAMPLES
    level_db = 10 * np.log10(power)  # (frame,)
    return level_db - np.percentile(level_db, 95)


def speech_bounds(samples: np.ndarray, silence_db: float = SILENCE_DB) -> tuple[int, int]:
    """First sample of the speech in (samples,) and the sample after its last one.

    Raises
    ------
    ValueError
        The samples are all zero, so that nothing stands out as speech.
    """
    if not np.any(samples):
        raise ValueError(f"no speech in {len(samples) / SAMPLE_RATE_HZ:.2f} s: every sample is zero")
    active = np.flatnonzero(frame_levels_db(samples) > silence_db)
    return int(active[0]) * HOP_SAMPLES, min(len(samples), int(active[-1]) * HOP_SAMPLES + FRAME_SAMPLES)


def trim(samples: np.ndarray, lead_s: float = LEAD_S[1], trail_s: float = LEAD_S[1]) -> np.ndarray:
    """(samples,) The speech with exactly `lead_s` before and `trail_s` after it, zeros where the recording has less."""
    start, stop = speech_bounds(samples)
    lead, trail = round(lead_s * SAMPLE_RATE_HZ), round(trail_s * SAMPLE_RATE_HZ)
    kept = samples[max(0, start - lead) : stop + trail]
    return np.pad(kept, (max(0, lead - start), max(0, stop + trail - len(samples))))


def match_length(samples: np.ndarray, length: int) -> np.ndarray:
    """(length,) The samples cut or zero-padded at the end."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def set_level(samples: np.ndarray, level_dbfs: float) -> np.ndarray:
    """(samples,) The samples at this RMS level, less where their peak would clip."""
    rms = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    gain = 10 ** (level_dbfs / 20) / rms
    return (samples * min(gain, PEAK / np.abs(samples).max())).astype(np.float32)


def band_pass(samples: np.ndarray) -> np.ndarray:
    """(samples,) The samples within `BAND_HZ`, without delay."""
    filters = butter(6, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return sosfiltfilt(filters, samples)


def finish(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) The utterance within one band, with drawn margins, level and noise floor, after G.722.

    The draws do not know the class. The noise floor covers digital silence, what an attack leaves in pauses and
    what lies outside the band; G.722 gives both classes the same last channel.
    """
    lead_s, trail_s = generator.uniform(*LEAD_S, size=2)
    level_dbfs, floor_db = generator.uniform(*LEVEL_DBFS), generator.uniform(*FLOOR_DB)
    speech = trim(band_pass(samples), lead_s, trail_s)
    rms = np.sqrt(np.mean(speech.astype(np.float64) ** 2))
    noise = rms * 10 ** (floor_db / 20) * generator.standard_normal(len(speech))
    coded = codecs.apply(set_level(speech + noise, level_dbfs), codecs.G722)
    # Once more, because G.722 answers the peaks of pulse-like signals with an offset.
    high_pass = butter(6, BAND_HZ[0], "highpass", fs=SAMPLE_RATE_HZ, output="sos")
    return sosfiltfilt(high_pass, coded).astype(np.float32)
