"""Recordings from which a corpus is built, and two of their sources: a folder of your own and synthetic speech."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sslig import audio
from sslig.errors import CorpusError
from sslig.frames import SAMPLE_RATE_HZ

MIN_SPEAKERS = 3
SHORTEST_S, LONGEST_S = 1.5, 8.0
"""Range of durations of the recordings of a corpus."""

VOWELS_HZ = np.array([[700, 1200, 2600], [300, 2300, 3000], [320, 800, 2300], [530, 1850, 2500], [560, 850, 2400]])
"""(vowel, formant) Formants of five vowels of an average adult."""
BANDWIDTHS_HZ = np.array([80.0, 110.0, 160.0])


@dataclass(frozen=True)
class Recording:
    """One recording of one speaker.

    Attributes
    ----------
    id
        Name, unique among the recordings of a corpus.
    gender, language
        ``M`` or ``F``, and an ISO 639-1 code; ``-`` where unknown.
    sound
        Returns (samples,) float32 at 16 kHz when called. It must be picklable, because it is sent to worker processes;
        its `repr` stands for its content in the fingerprint of a corpus.
    source
        Its origin.
    transcript
        The words spoken, or None.
    english
        The words that text-to-speech speaks instead: the transcript or its English counterpart, or None.
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


@dataclass(frozen=True, repr=False)
class SoundFile:
    """A sound file, or `length` samples (at 16 kHz) of it from `start` on, read when called."""

    path: Path
    start: int = 0
    length: int | None = None

    def __call__(self) -> np.ndarray:
        """(samples,) float32 at 16 kHz."""
        return audio.read(self.path, self.start, self.length)

    def __repr__(self) -> str:
        # The size stands for the content. The folder is left out, so a moved corpus keeps its fingerprint.
        size = self.path.stat().st_size
        return f"SoundFile({self.path.name}, {size} bytes, {self.start}, {self.length})"


def folder(root: Path) -> list[Recording]:
    """The recordings in `root`: one sub-folder per speaker with files of any format at any depth, and other files.

    Recordings longer than 8 s are cut at pauses; those shorter than 1.5 s are left out. Optional files:
    ``transcripts.tsv`` in `root` (file relative to `root`, tab, text) or a ``.txt`` beside each sound file;
    ``speakers.tsv`` (speaker, tab, gender ``M``/``F``/``-``, tab, language code). Only English transcripts are turned
    into speech; a speaker without a line in ``speakers.tsv`` is taken to speak English.

    Raises
    ------
    CorpusError
        The folder is missing, has recordings of fewer than three speakers, or a table has a faulty line, a speaker
        without a sub-folder, or another encoding than UTF-8 or UTF-16.
    AudioError
        A sound file cannot be read.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder; a folder with one sub-folder of recordings per speaker is needed")
    about = _speakers(root / "speakers.tsv")
    texts = dict(_rows(root / "transcripts.tsv", 2))
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if unknown := sorted(set(about) - set(folders)):
        raise CorpusError(f"{root / 'speakers.tsv'}: no sub-folder {unknown[0]!r}; there are {', '.join(folders)}")
    recordings = [recording for name in folders for recording in _of_speaker(root, name, texts, about)]
    speakers = sorted({recording.speaker for recording in recordings})
    if len(speakers) < MIN_SPEAKERS:
        raise CorpusError(
            f"{root}: {len(speakers)} sub-folder(s) with recordings of {SHORTEST_S} s or more "
            f"({', '.join(speakers) or 'none'}); at least {MIN_SPEAKERS} are needed, one per speaker, "
            "because training, development and evaluation need different speakers"
        )
    return recordings


def deal(recordings: list[Recording]) -> dict[str, str]:
    """The set of each speaker: train, eval and dev in turn, starting with the speaker with the most recordings."""
    counts = Counter(recording.speaker for recording in recordings)
    ranked = sorted(counts, key=lambda speaker: (-counts[speaker], speaker))
    return {speaker: ("train", "eval", "dev")[rank % 3] for rank, speaker in enumerate(ranked)}


def cut(samples: np.ndarray) -> list[tuple[int, int]]:
    """(start, length) in samples of clips of (samples,) of 1.5 to 8 s, cut at the latest pause that fits.

    Without a silent frame in that range, the cut is at the quietest frame. A shorter remainder is dropped.
    """
    if not np.any(samples):
        return []
    start, end = audio.speech_bounds(samples)
    level_db = audio.frame_levels_db(samples)
    shortest, longest = round(SHORTEST_S * SAMPLE_RATE_HZ), round(LONGEST_S * SAMPLE_RATE_HZ)
    hop, clips = audio.LEVEL_HOP_SAMPLES, []
    while end - start > longest:
        first, last = (start + shortest) // hop + 1, (start + longest) // hop
        window = level_db[first:last]
        silent = np.flatnonzero(window <= audio.SILENCE_DB)
        at = (first + int(silent[-1] if len(silent) else window.argmin())) * hop
        clips.append((start, at - start))
        start = at
    return clips + ([(start, end - start)] if end - start >= shortest else [])


def _of_speaker(
    root: Path, speaker: str, texts: Mapping[str, str], about: Mapping[str, tuple[str, str]]
) -> list[Recording]:
    gender, language = about.get(speaker, ("-", "en"))
    recordings = []
    for path in sorted((root / speaker).rglob("*")):
        if path.name.startswith(".") or not path.is_file() or not audio.is_sound(path):
            continue
        name = path.relative_to(root).as_posix()
        transcript = _transcript(path, name, texts)
        english = transcript if language == "en" else None
        whole = Recording(name, speaker, gender, language, SoundFile(path), "own recordings", name, transcript, english)
        length_s = audio.n_samples(path) / SAMPLE_RATE_HZ
        if length_s > LONGEST_S:
            recordings += _clips(whole)
        elif length_s >= SHORTEST_S:
            recordings.append(whole)
    return recordings


def _clips(whole: Recording) -> list[Recording]:
    # Nothing says which words belong to which clip, so clips have no transcript.
    return [
        replace(
            whole, id=f"{whole.id}#{number}", sound=SoundFile(whole.sound.path, *part), transcript=None, english=None
        )
        for number, part in enumerate(cut(whole.sound()), start=1)
    ]


def _transcript(path: Path, name: str, texts: Mapping[str, str]) -> str | None:
    beside = path.with_suffix(".txt")
    text = texts.get(name) or texts.get(str(Path(name).with_suffix("")))
    if text is None and beside.is_file():
        text = _text(beside)
    return " ".join(text.split()) or None if text else None


def _speakers(path: Path) -> dict[str, tuple[str, str]]:
    """Gender and language of each speaker."""
    rows = _rows(path, 3)
    for number, (speaker, gender, _) in enumerate(rows, start=1):
        if gender not in {"M", "F", "-"}:
            raise CorpusError(f"{path}, row {number}: gender {gender!r} of {speaker}; accepted: M, F, -")
    return {speaker: (gender, language) for speaker, gender, language in rows}


def _text(path: Path) -> str:
    """A text in UTF-8, or in UTF-16 with a byte order mark."""
    content = path.read_bytes()
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def _rows(path: Path, columns: int) -> list[list[str]]:
    """The rows of a table without header, none where the file is missing."""
    if not path.is_file():
        return []
    rows = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise CorpusError(f"{path}, row {number}: {len(row)} tab-separated columns; {columns} are needed")
    return rows


@dataclass(frozen=True)
class Voice:
    """The voice of one speaker: mean pitch, and a factor on all formants."""

    pitch_hz: float
    formant_factor: float


@dataclass(frozen=True)
class Sentence:
    """One utterance of a `Voice`, made when called; `seed` determines every sample."""

    voice: Voice
    seed: tuple[int, ...]
    duration_s: float

    def __call__(self) -> np.ndarray:
        """(samples,) float32 at 16 kHz, with a random silence before and after."""
        generator = np.random.default_rng(self.seed)
        parts = [np.zeros(_n(generator.uniform(0.1, 0.3)))]
        while sum(map(len, parts)) < _n(self.duration_s):
            parts += [_burst(generator), _vowel(self.voice, generator)]
            if generator.random() < 0.15:
                parts.append(np.zeros(_n(generator.uniform(0.1, 0.3))))
        speech = np.concatenate([*parts, np.zeros(_n(generator.uniform(0.1, 0.3)))])
        noise = 1e-3 * generator.standard_normal(len(speech))
        return (0.5 * speech / np.abs(speech).max() + noise).astype(np.float32)


def synthetic(n_speakers: int = 6, per_speaker: int = 24, seed: int = 0) -> list[Recording]:
    """`per_speaker` recordings of 1.5 to 4 s of each of `n_speakers`, men and women in turn.

    Each is a sequence of syllables without words: a noise burst, then harmonics of a falling pitch shaped by three
    formants, with pauses between phrases and a noise floor below everything.
    """
    utterances = []
    for speaker in range(n_speakers):
        generator = np.random.default_rng((seed, speaker))
        woman = speaker % 2 == 1
        pitch_hz = generator.uniform(170, 240) if woman else generator.uniform(90, 140)
        voice = Voice(pitch_hz, generator.uniform(1.05, 1.2) if woman else generator.uniform(0.9, 1.05))
        for number in range(per_speaker):
            sentence = Sentence(voice, (seed, speaker, number), generator.uniform(1.5, 4.0))
            name = f"voice{speaker + 1}"
            gender = "F" if woman else "M"
            utterances.append(Recording(f"{name}/{number + 1}", name, gender, "-", sentence, "CC0", "synthetic"))
    return utterances


def _n(duration_s: float) -> int:
    return round(duration_s * SAMPLE_RATE_HZ)


def _vowel(voice: Voice, generator: np.random.Generator) -> np.ndarray:
    """(samples,) Harmonics of a falling, trembling pitch; their levels follow formants that glide between vowels."""
    length = _n(generator.uniform(0.09, 0.24))
    time = np.linspace(0.0, 1.0, length)
    tremble = np.cumsum(generator.standard_normal(length)) * 2e-4
    pitch_hz = voice.pitch_hz * generator.uniform(0.85, 1.2) * (1 - 0.12 * time + tremble)
    turn = np.exp(2j * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ)
    start, stop = VOWELS_HZ[generator.integers(len(VOWELS_HZ), size=2)] * voice.formant_factor  # (formant,)
    points = np.linspace(0.0, 1.0, 9)
    formants_hz = start + (stop - start) * points[:, None]  # (point, formant)
    signal, harmonic = np.zeros(length), np.ones(length)
    for number in range(1, int(7000 / pitch_hz.max())):
        # Multiplying by a rotation gives the next harmonic ten times faster than a call of sine.
        harmonic = harmonic * turn
        distance = (number * np.interp(points, time, pitch_hz)[:, None] - formants_hz) / BANDWIDTHS_HZ
        level = (np.array([1.0, 0.5, 0.25]) / (1 + distance**2)).sum(axis=1) + 0.003  # (point,)
        signal += np.interp(time, points, level) * harmonic.imag
    return signal * np.sin(np.pi * time) ** 0.5 * generator.uniform(0.5, 1.0)


def _burst(generator: np.random.Generator) -> np.ndarray:
    """(samples,) Noise in a frequency band of consonants, fading in and out."""
    length = _n(generator.uniform(0.03, 0.1))
    frequency_hz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    centre_hz = generator.uniform(2500, 6000)
    shape = np.exp(-(((frequency_hz - centre_hz) / 1200) ** 2))
    noise = np.fft.irfft(np.fft.rfft(generator.standard_normal(length)) * shape, length)
    return 0.6 * noise * np.hanning(length)
