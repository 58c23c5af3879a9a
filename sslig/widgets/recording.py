"""A recording that is open: its sound, the explanation of each detector, its segments; and files of a visitor."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from sslig import audio
from sslig.cues.cue_profile import described, top_regions
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.widgets import view

SHOWN_TIERS = ("speech", "phones", "words")
"""Segments that are drawn, from top to bottom; voicing serves masks only."""

ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
LARGEST_BYTES = 50 * 2**20
"""Largest file that is accepted: more than a minute of any common format."""

PART_BYTES = 2**20
"""Size of one message of an upload; notebook servers refuse messages above 10 MiB."""


@dataclass(frozen=True)
class ExplainedRecording:
    """A recording with the explanations of the detectors.

    Attributes
    ----------
    name, about
        The utterance or the file; ``key``, ``attack``, ``codec``, ``speaker`` and ``group``, none of them for a file.
    waveform, clock
        (samples,) at 16 kHz, as it was scored: whole frames of the clock.
    explanations, llrs
        Detector -> its explanation (`sslig.attribution.explanation`), and its calibrated log-likelihood ratio.
    tiers
        Segments by name; empty until they are decoded.
    """

    name: str
    about: Mapping[str, str]
    waveform: np.ndarray
    clock: FrameClock
    explanations: Mapping[str, Any]
    llrs: Mapping[str, float]
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length of what is shown and heard."""
        return len(self.waveform) / SAMPLE_RATE_HZ

    def shown_tiers(self) -> dict[str, Tier]:
        """The tiers that are drawn, in their order."""
        return {name: self.tiers[name] for name in SHOWN_TIERS if name in self.tiers}

    def view(self) -> dict[str, Any]:
        """What the browser draws (`sslig.widgets.view.message`)."""
        lanes = [
            view.Lane(name, explanation.by_frame, explanation.by_layer, f"score {explanation.spoof_score:+.2f}")
            for name, explanation in self.explanations.items()
        ]
        return view.message(view.Recording(self.name, self.waveform, self.clock, lanes, self.shown_tiers()))

    def title(self) -> str:
        """Name and label in one line."""
        if not self.about:
            return f"{self.name}: your own file"
        label = "bona fide" if self.about["key"] == "bonafide" else f"spoof by {self.about['attack']}"
        codec = "" if self.about["codec"] in ("-", "") else f", coded with {self.about['codec']}"
        group = f", {self.about['group']}" if self.about.get("group") else ""
        return f"{self.name}: {label}{codec}, speaker {self.about['speaker']}{group}"

    def scores(self) -> pd.DataFrame:
        """Score, calibrated LLR and completeness of the explanation: one row a detector."""
        columns = ("spoof_score", "baseline_score", "residual", "relative_residual", "status", "steps", "selection")
        return pd.DataFrame(
            {"detector": name, "spoof_llr": self.llrs[name]}
            | {column: getattr(explanation, column) for column in columns}
            for name, explanation in self.explanations.items()
        )

    def top_segments(self, n: int = 5) -> pd.DataFrame:
        """The `n` strongest regions of each detector: ``detector`` and the columns of `cue_profile.described`."""
        parts = [
            described(top_regions(explanation.by_frame, n=n), self.clock, self.tiers or None).assign(detector=name)
            for name, explanation in self.explanations.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        return table[["detector", *table.columns.drop("detector")]]

    def numbers(self) -> dict[str, Any]:
        """The tables beside the view as plain values; None replaces what is not a finite number."""
        tables = {"scores": _records(self.scores()), "segments": _records(self.top_segments())}
        return tables | {"title": self.title(), "duration_s": self.duration_s, "decoded": bool(self.tiers)}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records", double_precision=15))


# ---------------------------------------------------------------- uploaded files


@dataclass
class Upload:
    """A file that a browser sends part by part: its name, its announced size in bytes, and what has come of it."""

    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        check_file(self.name, self.size)

    def add(self, part: bytes) -> bool:
        """Append the next part and return whether the file is complete."""
        self.content += bytes(part)
        if len(self.content) > self.size:
            raise InputError(f"{self.name}: {len(self.content)} bytes received; {self.size} were announced")
        return len(self.content) == self.size


def check_file(name: str, n_bytes: int) -> None:
    """Refuse a file by its ending or size."""
    if _ending(name) not in ENDINGS:
        raise InputError(f"{name!r}: accepted are {', '.join(ending[1:].upper() for ending in ENDINGS)}")
    if not 0 < n_bytes <= LARGEST_BYTES:
        raise InputError(
            f"{name!r}: {n_bytes / 2**20:.1f} MiB; accepted are files that are not empty and have at most "
            f"{LARGEST_BYTES / 2**20:.0f} MiB"
        )


def read_file(name: str, content: bytes, clock: FrameClock, *, max_s: float, min_frames: int = 1) -> np.ndarray:
    """(samples,) at 16 kHz of an uploaded sound file, trimmed to whole frames.

    Raises
    ------
    InputError
        The name or the size is not accepted, or the recording is too long or too short.
    AudioError
        It is no sound file.
    """
    check_file(name, len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"recording{_ending(name)}"
        path.write_bytes(content)
        try:
            duration_s = audio.n_samples(path) / SAMPLE_RATE_HZ
            if duration_s > max_s:
                raise InputError(f"{name!r}: {duration_s:.1f} s long; at most {max_s:g} s are accepted")
            samples = audio.read(path)
        except audio.AudioError as error:
            raise audio.AudioError(str(error).replace(str(path), repr(name))) from error
    n_frames = clock.n_frames(len(samples))
    if n_frames < min_frames:
        needed_s = clock.n_samples(min_frames) / SAMPLE_RATE_HZ
        raise InputError(f"{name!r}: {len(samples) / SAMPLE_RATE_HZ:.2f} s long; at least {needed_s:.2f} s are needed")
    return samples[: clock.n_samples(n_frames)]


def shown_name(name: str) -> str:
    """The last part of a path of any system, without characters that a screen does not show."""
    last = PurePosixPath(PureWindowsPath(name).as_posix()).name
    return "".join(letter for letter in last if letter.isprintable()) or "recording"


def _ending(name: str) -> str:
    return PurePosixPath(shown_name(name)).suffix.lower()
