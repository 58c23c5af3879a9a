"""Voice measures by Praat: fundamental frequency (F0), its range, jitter, shimmer, and voiced stretches."""

import math
from importlib.metadata import version
from typing import Any

import numpy as np

from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ

FLOOR_HZ, CEILING_HZ = 60.0, 500.0
"""Search range of F0: low male to high female and child voices."""
STEP_S = 0.01
SHORTEST_S = 3 / FLOOR_HZ + STEP_S
"""Praat analyses three of the longest periods at a time; a shorter recording has no pitch."""
LONGEST_PERIOD_S = 1 / FLOOR_HZ
SHORTEST_PERIOD_S, PERIOD_FACTOR, AMPLITUDE_FACTOR = 0.0001, 1.3, 1.6
"""Praat's standard limits on the neighbouring periods that jitter and shimmer compare."""

MEASURES = {
    "f0_mean_hz": ("Hz", "mean F0 of the voiced frames; missing if none is voiced"),
    "f0_range_semitones": ("semitones", "5th to 95th percentile of F0; missing if no frame is voiced"),
    "voiced_share": ("share", "voiced frames among all frames of 10 ms; 0 if the recording is too short for a pitch"),
    "jitter_percent": ("%", "local jitter: mean difference of neighbouring periods; missing if Praat finds too few"),
    "shimmer_percent": ("%", "local shimmer: the same for their amplitudes; missing if Praat finds too few"),
}
"""Name -> unit and meaning."""


def measure(samples: np.ndarray) -> dict[str, float]:
    """All of `MEASURES` for (samples,) at 16 kHz.

    References
    ----------
    P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
    sound", 1993.
    """
    missing = dict.fromkeys(MEASURES, math.nan) | {"voiced_share": 0.0}
    sound, pitch = _pitch(samples)
    f0_hz = np.empty(0) if pitch is None else _f0_hz(pitch)  # (frame,)
    voiced_hz = f0_hz[f0_hz > 0]
    if not len(voiced_hz):
        return missing
    low_hz, high_hz = np.percentile(voiced_hz, [5, 95])
    return {
        "f0_mean_hz": float(voiced_hz.mean()),
        "f0_range_semitones": float(12 * np.log2(high_hz / low_hz)),
        "voiced_share": len(voiced_hz) / len(f0_hz),
    } | _perturbation(sound, pitch)


def voicing(samples: np.ndarray) -> Tier:
    """The tier ``voicing`` of (samples,) at 16 kHz: ``voiced`` where Praat finds an F0, ``unvoiced`` elsewhere.

    Silence, and a recording too short for a pitch, are unvoiced.

    References
    ----------
    P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
    sound", 1993.
    """
    duration_s = len(samples) / SAMPLE_RATE_HZ
    _, pitch = _pitch(samples)
    time_s, voiced = (np.zeros(1), np.zeros(1, bool)) if pitch is None else (pitch.xs(), _f0_hz(pitch) > 0)
    change = np.flatnonzero(voiced[1:] != voiced[:-1]) + 1
    cuts_s = np.concatenate([[0.0], (time_s[change - 1] + time_s[change]) / 2, [duration_s]])
    labels = np.where(voiced[np.concatenate([[0], change])], "voiced", "unvoiced").tolist()
    values = {"step_s": STEP_S, "floor_hz": FLOOR_HZ, "ceiling_hz": CEILING_HZ}
    source = {"tool": "praat-parselmouth", "version": version("praat-parselmouth"), "model": "to_pitch_ac", **values}
    rows = slice(None) if len(samples) else slice(0)
    return Tier("voicing", cuts_s[:-1][rows], cuts_s[1:][rows], tuple(labels[rows]), duration_s, source)


def _f0_hz(pitch: Any) -> np.ndarray:
    """(frame,) F0 of Praat's frames, 0 in unvoiced ones."""
    return pitch.selected_array["frequency"]


def _pitch(samples: np.ndarray) -> tuple[Any, Any]:
    """Praat's sound and pitch; no pitch for digital silence or a recording that is too short."""
    import parselmouth

    sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE_HZ)
    if len(samples) < SHORTEST_S * SAMPLE_RATE_HZ or not np.any(samples):
        return sound, None
    return sound, sound.to_pitch_ac(time_step=STEP_S, pitch_floor=FLOOR_HZ, pitch_ceiling=CEILING_HZ)


def _perturbation(sound: Any, pitch: Any) -> dict[str, float]:
    from parselmouth.praat import call

    pulses = call([sound, pitch], "To PointProcess (cc)")
    whole, limits = (0, 0), (SHORTEST_PERIOD_S, LONGEST_PERIOD_S, PERIOD_FACTOR)
    return {
        "jitter_percent": 100 * call(pulses, "Get jitter (local)", *whole, *limits),
        "shimmer_percent": 100 * call([sound, pulses], "Get shimmer (local)", *whole, *limits, AMPLITUDE_FACTOR),
    }
