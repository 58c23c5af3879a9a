"""Voice: where Silero VAD hears speech, where Praat hears voicing, and F0, jitter and shimmer by Praat."""

import math
from functools import cache, partial
from importlib.metadata import version
from threading import Lock
from typing import Any

import numpy as np

from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ

SPEECH = "speech"
NON_SPEECH = ("leading", "pause", "trailing")
"""Labels of frames without speech: before the first speech, between, and after the last."""

SILERO = {"threshold": 0.5, "min_speech_duration_ms": 250, "min_silence_duration_ms": 100, "speech_pad_ms": 30}
"""Silero's own defaults."""

LATE_MS = 100
"""Digital silence added behind a recording, on top of the shortest pause; without it a silence at the end that is
shorter than a pause would be speech, while one at the start is not."""

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

_lock = Lock()


def speech(samples: np.ndarray) -> Tier:
    """The tier ``speech`` of (samples,) float32 at 16 kHz, labelled `SPEECH` and `NON_SPEECH` from start to end.

    Silero decides every 32 ms and lets speech end late, so short pauses and short silence at the end count as speech.
    A recording without speech is ``leading``. One thread at a time uses the model, which holds a state.

    References
    ----------
    Silero Team, "Silero VAD: pre-trained enterprise-grade voice activity detector", 2024.
    """
    tail = round((SILERO["min_silence_duration_ms"] + LATE_MS) / 1000 * SAMPLE_RATE_HZ)
    bounds = _speech_bounds(np.pad(samples, (0, tail)))  # (stretch, 2)
    bounds = np.minimum(bounds[bounds[:, 0] < len(samples)], len(samples))
    cuts = np.concatenate([[0], bounds.ravel(), [len(samples)]])  # silence lies before each even place
    labels = np.full(len(cuts) - 1, SPEECH, dtype=object)
    labels[::2] = "pause"
    labels[-1], labels[0] = "trailing", "leading"
    present = np.diff(cuts) > 0
    cuts_s = cuts / SAMPLE_RATE_HZ
    source = {"tool": "silero-vad", "version": version("silero-vad"), "model": "silero_vad.jit", **SILERO}
    source["late_ms"] = LATE_MS
    return Tier(SPEECH, cuts_s[:-1][present], cuts_s[1:][present], tuple(labels[present]), float(cuts_s[-1]), source)


def voicing(samples: np.ndarray) -> Tier:
    """The tier ``voicing`` of (samples,) at 16 kHz: ``voiced`` where Praat finds an F0, ``unvoiced`` elsewhere.

    Silence, and a recording too short for a pitch, are unvoiced.

    References
    ----------
    As for `measure`.
    """
    duration_s = len(samples) / SAMPLE_RATE_HZ
    _, pitch = _pitch(samples)
    time_s = np.zeros(1) if pitch is None else pitch.xs()
    voiced = np.zeros(1, bool) if pitch is None else pitch.selected_array["frequency"] > 0
    change = np.flatnonzero(voiced[1:] != voiced[:-1]) + 1
    cuts_s = np.concatenate([[0.0], (time_s[change - 1] + time_s[change]) / 2, [duration_s]])
    labels = np.where(voiced[np.concatenate([[0], change])], "voiced", "unvoiced").tolist()
    values = {"step_s": STEP_S, "floor_hz": FLOOR_HZ, "ceiling_hz": CEILING_HZ}
    source = {"tool": "praat-parselmouth", "version": version("praat-parselmouth"), "model": "to_pitch_ac", **values}
    rows = slice(None) if len(samples) else slice(0)
    return Tier("voicing", cuts_s[:-1][rows], cuts_s[1:][rows], tuple(labels[rows]), duration_s, source)


def measure(samples: np.ndarray) -> dict[str, float]:
    """All of `MEASURES` for (samples,) at 16 kHz.

    References
    ----------
    P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
    sound", 1993.
    """
    sound, pitch = _pitch(samples)
    f0_hz = np.empty(0) if pitch is None else pitch.selected_array["frequency"]  # (frame,), 0 in unvoiced ones
    voiced_hz = f0_hz[f0_hz > 0]
    if not len(voiced_hz):
        return dict.fromkeys(MEASURES, math.nan) | {"voiced_share": 0.0}
    low_hz, high_hz = np.percentile(voiced_hz, [5, 95])
    return {
        "f0_mean_hz": float(voiced_hz.mean()),
        "f0_range_semitones": float(12 * np.log2(high_hz / low_hz)),
        "voiced_share": len(voiced_hz) / len(f0_hz),
    } | _perturbation(sound, pitch)


def _speech_bounds(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each stretch of speech."""
    import torch

    n_threads = torch.get_num_threads()
    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    with _lock:
        try:
            torch.set_num_threads(1)  # chunks are tiny
            stretches = _silero()(waveform, sampling_rate=SAMPLE_RATE_HZ, **SILERO)
        finally:
            torch.set_num_threads(n_threads)  # importing silero-vad sets it to 1 for good
    return np.array([(part["start"], part["end"]) for part in stretches], dtype=np.int64).reshape(-1, 2)


@cache
def _silero() -> Any:
    from silero_vad import get_speech_timestamps, load_silero_vad

    return partial(get_speech_timestamps, model=load_silero_vad())


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
