"""Where somebody speaks: speech and pauses by Silero VAD."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from threading import Lock

import numpy as np

from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ

SPEECH = "speech"
NON_SPEECH = ("leading", "pause", "trailing")
"""The labels of what is no speech: before the first speech, between, and after the last."""

LATE_MS = 100
"""Digital silence added behind a recording, on top of the shortest pause; without it a silence at the end that is
shorter than a pause would be speech, while one at the start is not."""


def speech(
    samples: np.ndarray,
    *,
    threshold: float = 0.5,
    min_speech_ms: float = 250,
    min_silence_ms: float = 100,
    pad_ms: float = 30,
) -> Tier:
    """The tier ``speech``, which covers the whole recording with `SPEECH` and `NON_SPEECH`.

    Silero decides every 32 ms and lets speech end late, so short pauses and short silence at the end count as speech;
    a recording without speech is ``leading`` from its start to its end. The model ships in the wheel, is loaded once a
    process, and is used by one thread at a time because it holds a state.

    Parameters
    ----------
    samples
        (samples,) float32 at 16 kHz.
    threshold
        Speech begins where its probability reaches this, and ends where it falls 0.15 below.
    min_speech_ms, min_silence_ms
        Shorter speech is no speech; a shorter silence within speech is no pause.
    pad_ms
        By how much speech is widened at both ends. The defaults are Silero's own.

    References
    ----------
    Silero Team, "Silero VAD: pre-trained enterprise-grade voice activity detector", 2024.
    """
    values = {
        "threshold": threshold,
        "min_speech_duration_ms": min_speech_ms,
        "min_silence_duration_ms": min_silence_ms,
        "speech_pad_ms": pad_ms,
    }
    tail = round((min_silence_ms + LATE_MS) / 1000 * SAMPLE_RATE_HZ)
    bounds = _silero().bounds(np.pad(samples, (0, tail)), values)  # (stretch, 2)
    bounds = np.minimum(bounds[bounds[:, 0] < len(samples)], len(samples))
    cuts = np.concatenate([[0], bounds.ravel(), [len(samples)]])  # silence lies before each even place
    labels = np.full(len(cuts) - 1, SPEECH, dtype=object)
    labels[::2] = "pause"
    labels[-1], labels[0] = "trailing", "leading"
    kept = np.diff(cuts) > 0
    start_s, end_s = cuts[:-1][kept] / SAMPLE_RATE_HZ, cuts[1:][kept] / SAMPLE_RATE_HZ
    about = {"tool": "silero-vad", "version": version("silero-vad"), "model": "silero_vad.jit"}
    source = {**about, **values, "late_ms": LATE_MS}
    return Tier("speech", start_s, end_s, tuple(labels[kept]), len(samples) / SAMPLE_RATE_HZ, source)


class _Silero:
    """The bundled model, held by one thread at a time: two at once would share its state, and crash."""

    def __init__(self) -> None:
        self.lock = Lock()
        with _one_torch_thread():
            from silero_vad import load_silero_vad

            self.model = load_silero_vad()

    def bounds(self, samples: np.ndarray, values: dict[str, float]) -> np.ndarray:
        """(stretch, 2) First sample, and one past the last, of each stretch of speech."""
        import torch
        from silero_vad import get_speech_timestamps

        waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
        with self.lock, _one_torch_thread():
            found = get_speech_timestamps(waveform, self.model, sampling_rate=SAMPLE_RATE_HZ, **values)
        return np.array([(one["start"], one["end"]) for one in found], dtype=np.int64).reshape(-1, 2)


@cache
def _silero() -> _Silero:
    return _Silero()


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """One thread within, the caller's number after: chunks are tiny, and silero-vad sets one for good when imported."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
