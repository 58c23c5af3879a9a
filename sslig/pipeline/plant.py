"""The rule ``plant``: a corpus with one kind of planted cue, made from the bona fide recordings of a study."""

from pathlib import Path

import numpy as np
import pandas as pd

from sslig import audio, processes
from sslig.corpora import planted, protocol
from sslig.corpora.planted import Original
from sslig.corpora.protocol import draw
from sslig.cues import voice
from sslig.cues.tiers import runs
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.study import Study

PAUSE_DB = -30.0
"""A frame this far below the loud frames belongs to a pause; so do closures of plosives."""
SHORTEST_PAUSE_S = 0.06


def plant(study: Study, *, kind: str, corpus: Path, output: Path, workers: int = 2) -> None:
    """Write the corpus of `kind` to `output`, from the uncoded bona fide recordings in `corpus`.

    Raises
    ------
    CorpusError
        The kind or its severity is not accepted, or a set of `corpus` has no recording with room for a cue.
    AudioError
        A recording cannot be read.
    """
    originals, severity = bonafide(study, kind, corpus, workers), study.validation.severity.get(kind)
    planted.build_planted(kind, originals, output, severity=severity, seed=study.corpus.seed, workers=workers)


def bonafide(study: Study, kind: str, corpus: Path, workers: int = 1) -> list[Original]:
    """The uncoded bona fide recordings of `corpus`, and the stretches of each where cues of `kind` may lie.

    At most ``validation.planted_recordings`` recordings of each set are drawn.
    """
    where = planted.kind_of(kind).where
    table = pd.concat([_drawn(study, corpus, name).assign(set=name) for name in protocol.SETS])
    lengths = processes.each(stretches, ((path, where) for path in table["path"]), workers)
    return [
        Original(row.set, row.utterance, row.speaker, row.gender, row.path, row.recording, *length)
        for row, length in zip(table.itertuples(), lengths, strict=True)
    ]


def stretches(path: str, where: str) -> tuple[int, tuple[tuple[float, float], ...]]:
    """Length of a recording in samples, and start and end in seconds of each stretch where cues may lie.

    Praat finds voiced runs (`sslig.cues.voice`). Pauses are found by level: at least 60 ms of frames 30 dB below the
    loud ones, after the first and before the last speech.
    """
    samples = audio.read(path)
    if where == planted.VOICED:
        tier = voice.voicing(samples)
        voiced = tier.has(["voiced"])
        return len(samples), tuple(zip(tier.start_s[voiced].tolist(), tier.end_s[voiced].tolist(), strict=True))
    if not np.any(samples):
        return len(samples), ()
    bounds = np.array([audio.speech_bounds(samples)]) if where == planted.SPEECH else _pauses(samples)  # (stretch, 2)
    return len(samples), tuple((start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ) for start, stop in bounds.tolist())


def _pauses(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each pause within speech."""
    level_db = audio.frame_levels_db(samples)  # (frame,)
    quiet = runs(level_db < PAUSE_DB)
    inner = quiet[(quiet[:, 0] > 0) & (quiet[:, 1] < len(level_db))]
    hop, size = audio.LEVEL_HOP_SAMPLES, audio.LEVEL_FRAME_SAMPLES
    bounds = np.stack([inner[:, 0] * hop, (inner[:, 1] - 1) * hop + size], axis=1)
    return bounds[np.diff(bounds, axis=1)[:, 0] >= SHORTEST_PAUSE_S * SAMPLE_RATE_HZ]


def _drawn(study: Study, corpus: Path, set_name: str) -> pd.DataFrame:
    table = protocol.load_set(corpus, set_name)
    uncoded = table[(table["label"] == KEYS["bonafide"]) & (table["codec"] == protocol.NONE)]
    at_most = study.validation.planted_recordings.get(set_name)
    return protocol.with_recordings(corpus, draw(uncoded, at_most, study.corpus.seed))
