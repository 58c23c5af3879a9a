"""Recordings of real or made speech, from which a corpus is built, and the source "a folder of your own"."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from sslig import audio
from sslig.corpora.conditioning import HOP_SAMPLES, SILENCE_DB, frame_levels_db, speech_bounds
from sslig.frames import SAMPLE_RATE_HZ

MIN_SPEAKERS = 3
SHORTEST_S, LONGEST_S = 1.5, 8.0
"""Range of the duration of a recording that goes into a corpus."""
SUFFIXES = frozenset(f".{name.lower()}" for name in soundfile.available_formats()) | {".opus", ".oga", ".aif"}


class RecordingError(ValueError):
    """Recordings that cannot be used; the message names the file or folder and says what was found."""


@dataclass(frozen=True)
class Recording:
    """One recording of one speaker.

    Parameters
    ----------
    id
        Its name, unique among the recordings of a corpus.
    speaker, gender
        Who speaks, and ``M``, ``F`` or ``-`` where that is not known.
    language
        ISO 639-1 code, or ``-``.
    sound
        Called without arguments it gives (samples,) float32 at 16 kHz. It is sent to worker processes, so it must
        be picklable; its `repr` stands for what it holds in the fingerprint of a corpus.
    licence, source
        Under what it may be used, and where it is from.
    transcript
        What is said, or None.
    english
        What text-to-speech says in its place: its own transcript or that of its English counterpart, or None.
    """

    id: str
    speaker: str
    gender: str
    language: str
    sound: Callable[[], np.ndarray]
    licence: str
    source: str
    transcript: str | None = None
    english: str | None = None


class SoundFile:
    """A part of a sound file, read when called.

    Parameters
    ----------
    path
        Any file `sslig.audio.read` reads.
    start, length
        The part, in samples at 16 kHz; the whole file by default.
    """

    def __init__(self, path: str | os.PathLike, start: int = 0, length: int | None = None):
        self.path, self.start, self.length = Path(path), start, length

    def __call__(self) -> np.ndarray:
        """(samples,) float32 at 16 kHz."""
        return audio.read(self.path, self.start, self.length)

    def __repr__(self) -> str:
        # The size stands for the content and the folder is left out, so that a moved corpus keeps its fingerprint.
        size = self.path.stat().st_size
        return f"SoundFile({self.path.name}, {size} bytes, {self.start}, {self.length})"


def folder(path: str | os.PathLike) -> list[Recording]:
    """The recordings in `path`: one sub-folder a speaker, files of any format and any depth in it.

    Recordings longer than 8 s are cut at pauses; what is shorter than 1.5 s is left out. Optional files:
    ``transcripts.tsv`` in `path` (file relative to `path`, tab, text), or a ``.txt`` beside each sound file;
    ``speakers.tsv`` (speaker, tab, gender ``M``/``F``/``-``, tab, language code). Text-to-speech is made from
    English transcripts only; a speaker without a line in ``speakers.tsv`` is taken to speak English.

    Raises
    ------
    RecordingError
        There is no such folder, it has fewer than three speakers with recordings, or a table has a faulty line.
    """
    root = Path(path)
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder; give one with a sub-folder of recordings for each speaker")
    about = _speakers(root / "speakers.tsv")
    texts = dict(_rows(root / "transcripts.tsv", 2))
    found = [one for speaker in _subfolders(root) for one in _of_speaker(root, speaker, texts, about)]
    speakers = sorted({one.speaker for one in found})
    if len(speakers) < MIN_SPEAKERS:
        raise RecordingError(
            f"{root}: {len(speakers)} sub-folder(s) with recordings of {SHORTEST_S} s or more "
            f"({', '.join(speakers) or 'none'}); at least {MIN_SPEAKERS} are needed, one for each speaker, "
            "because the speakers of training, development and evaluation must differ"
        )
    return found


def deal(recordings: list[Recording]) -> dict[str, str]:
    """The set of each speaker: train, dev and eval in turn, from the speaker with most recordings on."""
    counts: dict[str, int] = {}
    for one in recordings:
        counts[one.speaker] = counts.get(one.speaker, 0) + 1
    ranked = sorted(counts, key=lambda speaker: (-counts[speaker], speaker))
    return {speaker: ("train", "eval", "dev")[place % 3] for place, speaker in enumerate(ranked)}


def cut(samples: np.ndarray, longest_s: float = LONGEST_S, shortest_s: float = SHORTEST_S) -> list[tuple[int, int]]:
    """(start, length) in samples of clips of (samples,) no longer than `longest_s`, cut at the latest pause that fits.

    Where no frame is silent between the shortest and the longest clip, the cut is at the quietest frame. A rest
    shorter than `shortest_s` is dropped.
    """
    if not np.any(samples):
        return []
    start, end = speech_bounds(samples)
    level_db = frame_levels_db(samples)
    shortest, longest = round(shortest_s * SAMPLE_RATE_HZ), round(longest_s * SAMPLE_RATE_HZ)
    clips = []
    while end - start > longest:
        first, last = (start + shortest) // HOP_SAMPLES + 1, (start + longest) // HOP_SAMPLES
        window = level_db[first:last]
        silent = np.flatnonzero(window <= SILENCE_DB)
        at = (first + int(silent[-1] if len(silent) else window.argmin())) * HOP_SAMPLES
        clips.append((start, at - start))
        start = at
    return clips + ([(start, end - start)] if end - start >= shortest else [])


def _subfolders(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _of_speaker(
    root: Path, speaker: str, texts: Mapping[str, str], about: Mapping[str, tuple[str, str]]
) -> list[Recording]:
    gender, language = about.get(speaker, ("-", "en"))
    found = []
    for path in sorted((root / speaker).rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        name = path.relative_to(root).as_posix()
        transcript = _transcript(path, name, texts)
        english = transcript if language == "en" else None
        whole = Recording(name, speaker, gender, language, SoundFile(path), "own recordings", name, transcript, english)
        found += _clips(whole, path)
    return found


def _clips(whole: Recording, path: Path) -> list[Recording]:
    length_s = audio.n_samples(path) / SAMPLE_RATE_HZ
    if length_s < SHORTEST_S:
        return []
    if length_s <= LONGEST_S:
        return [whole]
    # Which words fell into which clip is not known, so the clips have no transcript.
    return [
        replace(whole, id=f"{whole.id}#{number}", sound=SoundFile(path, *part), transcript=None, english=None)
        for number, part in enumerate(cut(audio.read(path)), start=1)
    ]


def _transcript(path: Path, name: str, texts: Mapping[str, str]) -> str | None:
    beside = path.with_suffix(".txt")
    text = texts.get(name) or texts.get(str(Path(name).with_suffix("")))
    if text is None and beside.is_file():
        text = beside.read_text(encoding="utf-8")
    return " ".join(text.split()) or None if text else None


def _speakers(path: Path) -> dict[str, tuple[str, str]]:
    table = {}
    for number, (speaker, gender, language) in enumerate(_rows(path, 3), start=1):
        if gender not in {"M", "F", "-"}:
            raise RecordingError(f"{path}, row {number}: gender {gender!r} of {speaker}; accepted: M, F, -")
        table[speaker] = (gender, language)
    return table


def _rows(path: Path, columns: int) -> list[list[str]]:
    if not path.is_file():
        return []
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise RecordingError(f"{path}, row {number}: {len(row)} tab-separated columns; {columns} are needed")
    return rows
