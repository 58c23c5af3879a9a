"""Sound: reading any format as mono float32 at 16 kHz, writing as 16-bit FLAC, levels of frames, bounds of speech."""

import io
import os
import struct
import warnings
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

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

COUNTED = ("AIFF", "AU", "CAF", "FLAC", "NIST", "RF64", "W64", "WAV", "WAVEX")
"""Formats whose header counts the samples; the others have estimates, or lengths of their first part."""
UNKNOWN_FRAMES = 2**48
"""From here on, a number of frames stands for an unknown one: a FLAC stream that was never closed."""
STREAMED_BYTES = 0x7FFF0000
"""From here on, the size of a chunk stands for an unknown one: WAV that was written to a pipe."""

ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".aif", ".aiff", ".webm", ".wma")
"""Endings of names that mean sound."""
MARKS = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\x1aE\xdf\xa3")
"""First bytes of sound files and of containers that may hold sound."""

LOUD_PEAK = 2.0
"""Samples above it are not scaled to [-1, 1]; decoders of lossy formats may exceed 1 a little."""
CANCELLED = 0.05
"""RMS of the mean of the channels over that of the channels, below which they count as cancelling each other."""

MARGIN_S = 0.12
"""Silence that `trim` leaves at either end."""


class AudioWarning(UserWarning):
    """A sound file that can be read and is likely not what was meant."""


class Header(NamedTuple):
    """What the header of a sound file says: format, samples of a channel, and sampling rate."""

    format: str
    n_frames: int
    rate_hz: int


def n_samples(path: str | os.PathLike) -> int:
    """Number of samples at 16 kHz of `path`: by its header where this counts exactly, else by decoding it once.

    Raises
    ------
    AudioError
        The file is missing, empty, cut off or not a sound file.
    """
    path = Path(path)
    header = _header(path)
    if header is None:
        state = path.stat()
        n_frames, rate = _counted(path, state.st_size, state.st_mtime_ns)
    else:
        n_frames, rate = header.n_frames, header.rate_hz
    # soxr rounds the length, halves up.
    return (2 * n_frames * SAMPLE_RATE_HZ + rate) // (2 * rate)


def read(path: str | os.PathLike, start: int = 0, length: int | None = None) -> np.ndarray:
    """(samples,) The recording, or `length` samples of it from `start` on, as mono float32 at 16 kHz.

    The content decides the format, not the name. libsndfile reads what counts its samples (FLAC, WAV, AIFF and more),
    FFmpeg everything else (MP3, Ogg, MP4, FLAC without a length), whole and in all its parts. Channels are averaged;
    another sampling rate is converted with soxr.

    Raises
    ------
    AudioError
        The file is missing, empty, cut off, not a sound file, or holds NaN or infinite samples.

    Warns
    -----
    AudioWarning
        Channels cancel each other, or samples lie far outside [-1, 1].
    """
    path = Path(path)
    header = _header(path)
    native = header is not None and header.rate_hz == SAMPLE_RATE_HZ
    if header is None:
        samples, rate = _decoded(path)  # (frame, channel)
    else:
        # At 16 kHz only the wanted part is decoded. A resampler needs its surroundings, so other rates are read whole.
        window = {"start": start, "frames": -1 if length is None else length} if native else {}
        samples, rate = _by_libsndfile(path, header, window)
    mono = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds {np.count_nonzero(~np.isfinite(mono))} samples that are NaN or infinite")
    _warn_of_levels(path, samples, mono)
    if native:
        return mono
    return resampled(mono, rate)[start:][:length].astype(np.float32, copy=False)


def resampled(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    """(samples,) at 16 kHz of (samples,) at `rate_hz`."""
    return mono if rate_hz == SAMPLE_RATE_HZ else soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)


def is_sound(path: Path) -> bool:
    """Whether a file is meant as sound: by its first bytes, or by one of `ENDINGS`."""
    if path.suffix.lower() in ENDINGS:
        return True
    with path.open("rb") as file:
        first = file.read(12)
    return first.startswith(MARKS) or first[4:8] == b"ftyp"


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


def _header(path: Path) -> Header | None:
    """What libsndfile reads in the header of `path`; none where that does not count the samples."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    try:
        # By descriptor, because libsndfile takes a name like x.raw for a format.
        with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            header = Header(sound.format, sound.frames, sound.samplerate)
    except soundfile.LibsndfileError:
        return None
    if header.format == "OGG":
        return header if len(_ogg_parts(path)) == 1 else None
    if header.format not in COUNTED or header.n_frames >= UNKNOWN_FRAMES:
        return None
    if header.format != "FLAC" and (missing := _missing_bytes(path)):
        raise AudioError(f"{path}: truncated, {missing:,} bytes of its samples are missing")
    if header.n_frames == 0:
        raise AudioError(f"{path}: holds no samples")
    return header


def _by_libsndfile(path: Path, header: Header, window: dict[str, int]) -> tuple[np.ndarray, int]:
    """(frame, channel) float32 of a `window`, and the sampling rate."""
    try:
        with path.open("rb") as file:
            samples, rate = soundfile.read(file.fileno(), dtype="float32", always_2d=True, **window, closefd=False)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be decoded ({error.error_string}); it may be truncated") from error
    expected = len(range(header.n_frames)[window.get("start", 0) :])
    if window.get("frames", -1) >= 0:
        expected = min(expected, window["frames"])
    if len(samples) < expected:
        raise AudioError(f"{path}: truncated, {len(samples)} of {expected} samples could be read")
    return samples, rate


@lru_cache(maxsize=100_000)
def _counted(path: Path, size: int, mtime_ns: int) -> tuple[int, int]:
    """Number of samples of a channel, by decoding, and the sampling rate; size and time stand for the content."""
    samples, rate = _decoded(path)
    return len(samples), rate


def _decoded(path: Path) -> tuple[np.ndarray, int]:
    """(frame, channel) float32 of all parts of a file, and the sampling rate."""
    parts = _ogg_parts(path)
    if not parts:
        return _by_ffmpeg(path)
    try:
        decoded = [soundfile.read(io.BytesIO(part), dtype="float32", always_2d=True) for part in parts]
    except soundfile.LibsndfileError:
        return _by_ffmpeg(path)
    rates = {(rate, samples.shape[1]) for samples, rate in decoded}
    if len(rates) > 1:
        raise AudioError(f"{path}: its {len(parts)} parts differ in sampling rate or channels")
    return np.concatenate([samples for samples, _ in decoded]), decoded[0][1]


def _by_ffmpeg(path: Path) -> tuple[np.ndarray, int]:
    """(frame, channel) float32 of a file, and the sampling rate."""
    import av

    parts, n_packets, n_faulty = [], 0, 0
    try:
        # As bytes, because FFmpeg takes a name like x.flac for a format.
        with av.open(io.BytesIO(path.read_bytes()), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: no sound in it, only {', '.join(s.type for s in container.streams)}")
            stream, kind = container.streams.audio[0], container.format.name
            resampler = av.AudioResampler(format="flt")
            for packet in container.demux(stream):
                n_packets += packet.size > 0
                try:
                    parts += [part for frame in packet.decode() for part in resampler.resample(frame)]
                except av.error.InvalidDataError:
                    n_faulty += 1
            rate, expected_s = stream.rate, _expected_s(container, stream)
            parts += resampler.resample(None) if parts else []
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        reason = getattr(error, "strerror", error)
        raise AudioError(f"{path}: not a sound file that libsndfile or FFmpeg reads ({reason})") from error
    samples = [part.to_ndarray().reshape(-1, part.layout.nb_channels) for part in parts]
    if not sum(map(len, samples)):
        raise AudioError(f"{path}: holds no samples")
    whole = np.concatenate(samples)  # (frame, channel)
    rate = parts[0].sample_rate or rate
    fault = _mp3_fault(path, n_packets) if kind == "mp3" else None
    if len(whole) / rate < expected_s - 0.1:
        fault = f"{len(whole) / rate:.1f} of {expected_s:.1f} s could be read"
    if fault or n_faulty:
        raise AudioError(f"{path}: truncated or damaged, {fault or f'{n_faulty} of {n_packets} packets are faulty'}")
    return whole, rate


def _expected_s(container, stream) -> float:
    """Duration that a container states exactly; 0 where it does not."""
    if container.format.name.startswith("mov") and stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.format.name.startswith("matroska") and container.duration else 0.0


def _missing_bytes(path: Path) -> int:
    """Bytes by which a WAV or AIFF file is shorter than its chunk of samples says; 0 where it does not say."""
    with path.open("rb") as file:
        order = {b"RIFF": "<", b"FORM": ">"}.get(file.read(12)[:4])
        while order and len(head := file.read(8)) == 8:
            size = struct.unpack(f"{order}I", head[4:])[0]
            if head[:4] in (b"data", b"SSND"):
                return 0 if size >= STREAMED_BYTES else max(0, file.tell() + size - path.stat().st_size)
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _ogg_parts(path: Path) -> list[bytes]:
    """The recordings that follow each other in an Ogg file; none where it is no Ogg file.

    Raises
    ------
    AudioError
        The last page is cut off, or not marked as the last.
    """
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return []
    content, at, starts, first, last = path.read_bytes(), 0, [], False, False
    while content[at : at + 4] == b"OggS" and at + 27 + content[at + 26] <= len(content):
        lacing = content[at + 27 : at + 27 + content[at + 26]]
        starts += [at] if content[at + 5] & 2 and not first else []
        first, last = bool(content[at + 5] & 2), bool(content[at + 5] & 4)
        at += 27 + len(lacing) + sum(lacing)
    if at > len(content) or not last or content[at : at + 4] == b"OggS":
        raise AudioError(f"{path}: truncated, its last page is cut off or missing")
    return [content[start:stop] for start, stop in pairwise([*starts, at])]


def _mp3_fault(path: Path, n_packets: int) -> str | None:
    """What the Xing or Info header of an MP3 file announces and the file lacks."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = 10 + sum(part << shift for part, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        file.seek(tag if head[:3] == b"ID3" else 0)
        first = file.read(200)
    at = max(first.find(b"Xing"), first.find(b"Info"))
    if at < 0 or not first[at + 7] & 1:
        return None
    announced = int.from_bytes(first[at + 8 : at + 12], "big")
    return f"{n_packets} of {announced} frames are there" if n_packets < announced else None


def _warn_of_levels(path: Path, samples: np.ndarray, mono: np.ndarray) -> None:
    """Warn where (frame, channel) samples cancel in (frame,) `mono`, or are not scaled to [-1, 1]."""
    if samples.shape[1] > 1 and rms(mono) < CANCELLED * rms(samples):
        text = f"{path}: the channels cancel each other; their mean is nearly silent"
        warnings.warn(text, AudioWarning, stacklevel=3)
    if (peak := float(np.abs(samples).max(initial=0.0))) > LOUD_PEAK:
        text = f"{path}: samples of up to {peak:,.0f}; full scale is 1, and detectors expect samples below it"
        warnings.warn(text, AudioWarning, stacklevel=3)
