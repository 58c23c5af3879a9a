"""Reads and writes sound files: mono float32 at 16 kHz in, 16-bit FLAC out."""

import io
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sslig.files import atomic
from sslig.frames import SAMPLE_RATE_HZ


class AudioError(ValueError):
    """A sound file that cannot be used; the message names the file and says what was found."""


def n_samples(path: str | os.PathLike) -> int:
    """Samples at 16 kHz that the header of `path` promises.

    Raises
    ------
    AudioError
        The file is missing, empty or no sound file.
    """
    header = _header(path)
    # soxr rounds the length, halves up.
    return (2 * header.frames * SAMPLE_RATE_HZ + header.samplerate) // (2 * header.samplerate)


def read(path: str | os.PathLike, start: int = 0, length: int | None = None) -> np.ndarray:
    """(samples,) The recording as mono float32 at 16 kHz.

    Channels are averaged; another sampling rate is converted with soxr.

    Parameters
    ----------
    path
        Any file libsndfile reads: FLAC, WAV, Ogg, MP3 ...
    start, length
        The part to read, in samples at 16 kHz; the whole recording by default.

    Raises
    ------
    AudioError
        The file is missing, empty, truncated, no sound file, or holds NaN or infinite samples; or the part starts
        before the recording or has a negative length.
    """
    if start < 0 or (length is not None and length < 0):
        raise AudioError(f"{path}: start {start} and length {length} were asked for; neither may be negative")
    header = _header(path)
    native = header.samplerate == SAMPLE_RATE_HZ
    try:
        # At 16 kHz only the wanted part is decoded; else the whole, because a resampler needs what is around it.
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
    """Write (samples,) float in [-1, 1] at 16 kHz as 16-bit FLAC, whole or not at all.

    Raises
    ------
    AudioError
        The samples are not one finite channel, or there are none.
    """
    coded = flac_bytes(samples, path)
    with atomic(path) as part:
        part.write_bytes(coded)


def flac_bytes(samples: np.ndarray, name: str | os.PathLike = "recording") -> bytes:
    """(samples,) float in [-1, 1] at 16 kHz as a 16-bit FLAC file; `name` is only for the message.

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
