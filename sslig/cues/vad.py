"""Speech and pauses, found by Silero VAD."""

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

LATE_MS = 100
"""Digital silence added behind a recording, on top of the shortest pause; without it a silence at the end that is
shorter than a pause would be speech, while one at the start is not."""

VALUES = {"threshold": 0.5, "min_speech_duration_ms": 250, "min_silence_duration_ms": 100, "speech_pad_ms": 30}
"""Silero's own defaults."""

_lock = Lock()


def speech(samples: np.ndarray) -> Tier:
    """The tier ``speech``, which covers the whole recording with `SPEECH` and `NON_SPEECH`.

    Silero decides every 32 ms and lets speech end late, so short pauses and short silence at the end count as speech.
    A recording without speech is ``leading`` from start to end. One thread at a time uses the model, which holds a
    state.

    Parameters
    ----------
    samples
        (samples,) float32 at 16 kHz.

    References
    ----------
    Silero Team, "Silero VAD: pre-trained enterprise-grade voice activity detector", 2024.
    """
    tail = round((VALUES["min_silence_duration_ms"] + LATE_MS) / 1000 * SAMPLE_RATE_HZ)
    bounds = _bounds(np.pad(samples, (0, tail)))  # (stretch, 2)
    bounds = np.minimum(bounds[bounds[:, 0] < len(samples)], len(samples))
    cuts = np.concatenate([[0], bounds.ravel(), [len(samples)]])  # silence lies before each even place
    labels = np.full(len(cuts) - 1, SPEECH, dtype=object)
    labels[::2] = "pause"
    labels[-1], labels[0] = "trailing", "leading"
    present = np.diff(cuts) > 0
    start_s, end_s = cuts[:-1][present] / SAMPLE_RATE_HZ, cuts[1:][present] / SAMPLE_RATE_HZ
    source = {"tool": "silero-vad", "version": version("silero-vad"), "model": "silero_vad.jit"}
    return Tier(
        SPEECH,
        start_s,
        end_s,
        tuple(labels[present]),
        len(samples) / SAMPLE_RATE_HZ,
        source | VALUES | {"late_ms": LATE_MS},
    )


def _bounds(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each stretch of speech."""
    import torch

    n_threads = torch.get_num_threads()
    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    with _lock:
        try:
            torch.set_num_threads(1)  # chunks are tiny
            stretches = _silero()(waveform, sampling_rate=SAMPLE_RATE_HZ, **VALUES)
        finally:
            torch.set_num_threads(n_threads)  # importing silero-vad sets it to 1 for good
    return np.array([(part["start"], part["end"]) for part in stretches], dtype=np.int64).reshape(-1, 2)


@cache
def _silero() -> Any:
    """The function that finds speech with the model of the wheel, loaded once a process."""
    from silero_vad import get_speech_timestamps, load_silero_vad

    return partial(get_speech_timestamps, model=load_silero_vad())
