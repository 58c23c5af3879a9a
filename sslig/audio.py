"""Sound: reading as mono float32 at 16 kHz, writing as 16-bit FLAC, levels of frames, bounds of speech."""

import io
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sslig import frames
from sslig.errors import AudioError
from sslig.files import atomic
from sslig.frames import SAMPLE_RATE_HZ

LEVEL_FRAME_SAMPLES, LEVEL_HOP_SAMPLES = 320, 160
"""Frames of `frame_levels_db`: 20 ms every 10 ms."""

SILENCE_DB = -35.0
"""A frame this far below the loud frames (95th percentile) counts as silence."""

MARGIN_S = 0.12
"""Silence that `trim` leaves at either end."""


def n_samples(path: str | os.PathLike) -> int:
    """Number of samples at 16 kHz according to the header of `path`.

    Raises
    ------
    AudioError
        The file is missing, empty or not a sound file.
    """
    header = _header(path)
    # soxr rounds the length, halves up.
    return (2 * header.frames * SAMPLE_RATE_HZ + header.samplerate) // (2 * header.samplerate)


def read(path: str | os.PathLike, start: int = 0, length: int | None = None) -> np.ndarray:
    """(samples,) The recording, or `length` samples of it from `start` on, as mono float32 at 16 kHz.

    libsndfile reads FLAC, WAV, Ogg, MP3 and more. Channels are averaged; another sampling rate is converted with soxr.

    Raises
    ------
    AudioError
        The file is missing, empty, truncated, not a sound file, or holds NaN or infinite samples.
    """
    header = _header(path)
    native = header.samplerate == SAMPLE_RATE_HZ
    try:
        # At 16 kHz only the wanted part is decoded. A resampler needs its surroundings, so other rates are read whole.
        window = {"start": start, "frames": -1 if length is None else length} if native else {}
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True, **window)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be decoded ({error.error_string}); it may be truncated") from error
    expected = header.frames if not native else len(range(header.frames)[start:][:length])
    if len(samples) < expected:
        raise AudioError(f"{path}: truncated, {len(samples)} of {expected} samples could be read")
    mono = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds {np.count_nonzero(~np.isfinite(mono))} samples that are NaN or infinite")
    if native:
        return mono
    return soxr.resample(mono, rate, SAMPLE_RATE_HZ)[start:][:length].astype(np.float32, copy=False)


def write_flac(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write (samples,) float in [-1, 1] at 16 kHz as 16-bit FLAC, atomically; see `flac_bytes`."""
    coded = flac_bytes(samples, path)
    with atomic(path) as part:
        part.write_bytes(coded)


def flac_bytes(samples: np.ndarray, name: str | os.PathLike = "recording") -> bytes:
    """(samples,) float in [-1, 1] at 16 kHz as a 16-bit FLAC file; `name` goes into the message of an error.

    Raises
    ------
    AudioError
        The samples are not one finite channel, or there are none.
    """
    if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise AudioError(f"{name}: one channel of finite samples is needed, got shape {samples.shape}")
    coded = io.BytesIO()
    soundfile.write(coded, np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return coded.getvalue()


def rms(samples: np.ndarray) -> float:
    """Root mean square of (samples,), in double precision."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def frame_levels_db(samples: np.ndarray) -> np.ndarray:
    """(frame,) RMS level of each 20 ms frame (hop 10 ms) in dB relative to the loud frames of (samples,)."""
    padded = np.pad(samples, (0, max(0, LEVEL_FRAME_SAMPLES - len(samples))))
    power = frames.energy(padded, LEVEL_HOP_SAMPLES, LEVEL_FRAME_SAMPLES)
    level_db = 10 * np.log10(np.maximum(power, 1e-12 / LEVEL_FRAME_SAMPLES))  # (frame,)
    return level_db - np.percentile(level_db, 95)


def speech_bounds(samples: np.ndarray, silence_db: float = SILENCE_DB) -> tuple[int, int]:
    """First sample of the speech in (samples,) and one past its last, found by level.

    Raises
    ------
    AudioError
        All samples are zero.
    """
    if not np.any(samples):
        raise AudioError(f"no speech in {len(samples) / SAMPLE_RATE_HZ:.2f} s: all samples are zero")
    active = np.flatnonzero(frame_levels_db(samples) > silence_db)
    end = int(active[-1]) * LEVEL_HOP_SAMPLES + LEVEL_FRAME_SAMPLES
    return int(active[0]) * LEVEL_HOP_SAMPLES, min(len(samples), end)


def trim(samples: np.ndarray, lead_s: float = MARGIN_S, trail_s: float = MARGIN_S) -> np.ndarray:
    """(samples,) The speech with exactly `lead_s` before and `trail_s` after it, padded with zeros where needed."""
    start, stop = speech_bounds(samples)
    lead, trail = round(lead_s * SAMPLE_RATE_HZ), round(trail_s * SAMPLE_RATE_HZ)
    part = samples[max(0, start - lead) : stop + trail]
    return np.pad(part, (max(0, lead - start), max(0, stop + trail - len(samples))))


def _header(path: str | os.PathLike):
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    try:
        header = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: not a sound file that libsndfile reads ({error.error_string})") from error
    if header.frames == 0:
        raise AudioError(f"{path}: holds no samples")
    return header
