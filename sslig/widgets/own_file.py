"""A recording of one's own: bytes that a browser sends, in parts, as samples that detectors can explain."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from sslig import audio
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
LARGEST_BYTES = 50 * 2**20
"""Of a file: more than a minute of what recorders write."""

PART_BYTES = 2**20
"""Of one message; a server of notebooks takes no message above 10 MiB."""


class OwnFileError(ValueError):
    """A file that cannot be explained; the message says what was found and is accepted."""


@dataclass
class Upload:
    """A file on its way, part after part.

    Parameters
    ----------
    name
        As the browser calls it; only its ending is believed.
    size
        Bytes that it promises.

    Raises
    ------
    OwnFileError
        The ending or the size is not accepted.
    """

    name: str
    size: int
    parts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        check(self.name, self.size)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return sum(map(len, self.parts))

    def add(self, part: bytes) -> bool:
        """Take the next part, and say whether the file is whole.

        Raises
        ------
        OwnFileError
            It grows beyond what it promised.
        """
        self.parts.append(bytes(part))
        if self.received > self.size:
            raise OwnFileError(f"{self.name}: {self.received} bytes came of {self.size} that were promised")
        return self.received == self.size

    def content(self) -> bytes:
        """The whole file."""
        return b"".join(self.parts)


def check(name: str, n_bytes: int) -> None:
    """Refuse a file by its name or size.

    Raises
    ------
    OwnFileError
        It has another ending, is empty or too large.
    """
    if _ending(name) not in ENDINGS:
        raise OwnFileError(f"{name!r}: accepted are {', '.join(one.removeprefix('.').upper() for one in ENDINGS)}")
    if not 0 < n_bytes <= LARGEST_BYTES:
        raise OwnFileError(f"{name!r}: {n_bytes / 2**20:.1f} MiB; accepted is more than nothing and at most "
                           f"{LARGEST_BYTES / 2**20:.0f} MiB")  # fmt: skip


def read(name: str, content: bytes, clock: FrameClock, *, max_s: float, min_frames: int = 1) -> np.ndarray:
    """(samples,) at 16 kHz of a sound file, trimmed to whole frames.

    Parameters
    ----------
    name
        Of the file, for its ending and for messages.
    content
        What is in it.
    clock
        The frame grid.
    max_s, min_frames
        The longest recording, and the fewest frames.

    Raises
    ------
    OwnFileError
        The name or the size is not accepted, or the recording is too long or too short.
    sslig.audio.AudioError
        It is no sound file.
    """
    check(name, len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"recording{_ending(name)}"
        path.write_bytes(content)
        try:
            n_samples = audio.n_samples(path)
            if n_samples > max_s * SAMPLE_RATE_HZ:
                raise OwnFileError(
                    f"{name!r}: {n_samples / SAMPLE_RATE_HZ:.1f} s long; accepted are at most {max_s:g} s"
                )
            samples = audio.read(path)
        except audio.AudioError as error:
            raise audio.AudioError(str(error).replace(str(path), repr(name))) from error
    n_frames = clock.n_frames(len(samples))
    if n_frames < min_frames:
        needed_s = clock.n_samples(min_frames) / SAMPLE_RATE_HZ
        raise OwnFileError(
            f"{name!r}: {len(samples) / SAMPLE_RATE_HZ:.2f} s long; at least {needed_s:.2f} s are needed"
        )
    return samples[: clock.n_samples(n_frames)]


def shown_name(name: str) -> str:
    """The last part of a name, which may come from any system, without what a screen does not show."""
    last = PurePosixPath(PureWindowsPath(name).as_posix()).name
    return "".join(letter for letter in last if letter.isprintable()) or "recording"


def _ending(name: str) -> str:
    return PurePosixPath(shown_name(name)).suffix.lower()
