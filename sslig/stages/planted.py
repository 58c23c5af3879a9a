"""Derived studies of planted cues: for each kind a corpus whose evidence is known, and the experiment on it."""

import dataclasses
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from joblib import Parallel, delayed, parallel_config

from sslig import audio, records
from sslig.corpora import building, planting, protocol
from sslig.corpora import planted as planted_corpus
from sslig.corpora.conditioning import FRAME_SAMPLES, HOP_SAMPLES, frame_levels_db, speech_bounds
from sslig.corpora.planted import Original, PlantedError
from sslig.cues import voice
from sslig.cues.tiers import runs
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.corpora.sample import draw
from sslig.stages.trained import corpus
from sslig.study import Corpus, Study, changed

FOLDER = "planted"
"""Of the derived studies, below the runs of the study."""
BACKBONE, STUDY = STARTS = ("backbone", "study")
"""What the detectors of planted cues are trained from: the backbone and a random head, or those of the study."""
PAUSE_DB = -30.0
"""A frame this far below the loud frames belongs to a pause; closures of plosives do too."""
SHORTEST_PAUSE_S = 0.06
WORTH_A_PROCESS = 50
"""Recordings that take longer than the start of one more process."""


def planted(experiment: Study, kind: str) -> Study:
    """The derived study of one kind of planted cue, whose corpus is there: `plant` made it, or makes it now.

    It is the study with another corpus and with the recipe that ``validation.training`` says, from the start that
    ``validation.start`` says; all it makes lies in ``planted/<kind>/`` below the runs of the study, and every stage
    works on it as on any other.

    Raises
    ------
    PlantedError
        The kind, the start or a severity is not accepted, or the study is a derived one itself.
    StudyError
        ``validation.training`` has an unknown key or a value of a wrong type.
    CorpusError, ProtocolError
        The study's corpus cannot be had.
    """
    root = plant(experiment, kind)
    options = experiment.validation
    recipe = changed(experiment.training, options.training, experiment.path, "validation.training.")
    values = Corpus(f"{planted_corpus.SOURCE}{kind}", str(root), experiment.corpus.seed, options.planted_recordings)
    name = f"{experiment.name}/{FOLDER}/{kind}"
    start = experiment if options.start == STUDY else experiment.start
    return dataclasses.replace(experiment, name=name, corpus=values, training=recipe, start=start)


def plant(experiment: Study, kind: str, workers: int = 1) -> Path:
    """The corpus of one kind of planted cue, ``corpora/<study>-planted/<kind>``, built unless it is there; its folder.

    A second process that asks for it waits until it is whole. More than one of the `workers` are spawned, so a script
    that asks for them needs the usual ``if __name__ == "__main__"``.

    Raises
    ------
    PlantedError, CorpusError, ProtocolError
        As of `planted`.
    """
    severity = _severity(experiment, kind)
    root = experiment.root / "corpora" / f"{experiment.name}-{FOLDER}" / kind
    corpus(experiment, workers)
    asked_for = _asked_for(experiment, kind, severity)
    if building.finished(root, asked_for) is None:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{root}.lock"):
            if building.finished(root, asked_for) is None:  # another process may have built it meanwhile
                _build(experiment, kind, root, severity, asked_for, workers)
    return root


def planted_truth(experiment: Study, kind: str, set_name: str = "eval") -> pd.DataFrame:
    """Where the cues of one kind are: ``utterance``, ``start_s``, ``end_s``, a row a place; only spoofs have rows."""
    return planted_corpus.truth(plant(experiment, kind), set_name)


def originals(experiment: Study, kind: str, workers: int = 1) -> list[Original]:
    """The uncoded bona fide recordings of the study, and the stretches of each where cues of one kind may lie.

    Of each set at most ``validation.planted_recordings`` are drawn. A recording that cannot be read is an error: a
    study that cannot score it either should know.
    """
    where = planted_corpus.kind_of(kind).where
    table = pd.concat([_bonafide(experiment, name).assign(set=name) for name in protocol.SETS])
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(_worth(workers, len(table)))(delayed(stretches)(path, where) for path in table["path"])
    return [
        Original(row.set, row.utterance, row.speaker, row.gender, row.path, row.recording, *one)
        for row, one in zip(table.itertuples(), found, strict=True)
    ]


def stretches(path: str, where: str) -> tuple[int, tuple[tuple[float, float], ...]]:
    """Samples of a recording, and start and end in seconds of each stretch where cues may lie.

    Voiced runs are Praat's (`sslig.cues.voice`). Pauses are found by level: frames 30 dB below the loud ones, 60 ms or
    more together, after the first and before the last speech.
    """
    samples = audio.read(path)
    if where == planting.VOICED:
        tier = voice.voicing(samples)
        voiced = tier.has(["voiced"])
        return len(samples), tuple(zip(tier.start_s[voiced].tolist(), tier.end_s[voiced].tolist(), strict=True))
    if not np.any(samples):
        return len(samples), ()
    found = np.array([speech_bounds(samples)]) if where == planting.SPEECH else _pauses(samples)  # (stretch, 2)
    return len(samples), tuple((start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ) for start, stop in found.tolist())


def _pauses(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each pause within speech."""
    level_db = frame_levels_db(samples)  # (frame,)
    quiet = runs(level_db < PAUSE_DB)
    inner = quiet[(quiet[:, 0] > 0) & (quiet[:, 1] < len(level_db))]
    bounds = np.stack([inner[:, 0] * HOP_SAMPLES, (inner[:, 1] - 1) * HOP_SAMPLES + FRAME_SAMPLES], axis=1)
    return bounds[np.diff(bounds, axis=1)[:, 0] >= SHORTEST_PAUSE_S * SAMPLE_RATE_HZ]


def _build(experiment: Study, kind: str, root: Path, severity: float, asked_for: dict, workers: int) -> None:
    found = originals(experiment, kind, workers)
    planted_corpus.build(
        kind, found, root, severity=severity, seed=experiment.corpus.seed, asked_for=asked_for,
        workers=_worth(workers, len(found)), progress=building.progress(),
    )  # fmt: skip


def _worth(workers: int, n_recordings: int) -> int:
    return min(workers, 1 + n_recordings // WORTH_A_PROCESS)


def _bonafide(experiment: Study, set_name: str) -> pd.DataFrame:
    table = protocol.load_set(experiment.corpus_root, set_name)
    spoken = table[(table["label"] == KEYS["bonafide"]) & (table["codec"] == protocol.NONE)]
    at_most = experiment.validation.planted_recordings.get(set_name)
    return protocol.with_recordings(experiment.corpus_root, draw(spoken, at_most, experiment.corpus.seed))


def _severity(experiment: Study, kind: str) -> float:
    """Of the experiment, or the kind's own; every name of its ``validation`` is checked by the way."""
    options, usual = experiment.validation, planted_corpus.kind_of(kind).severity
    if experiment.corpus.source.startswith(planted_corpus.SOURCE):
        raise PlantedError(
            f"{experiment.name} is a study of planted cues; cues are planted in the study it is derived from"
        )
    for key, given, accepted in (
        ("start", [options.start], STARTS),
        ("planted", options.planted, planting.KINDS),
        ("severity", options.severity, planting.KINDS),
        ("planted_recordings", options.planted_recordings, protocol.SETS),
    ):
        if unknown := [name for name in given if name not in accepted]:
            raise PlantedError(f"{experiment.path}: validation.{key} names {unknown[0]!r}; "
                               f"accepted: {', '.join(accepted)}")  # fmt: skip
    return options.severity.get(kind, usual)


def _asked_for(experiment: Study, kind: str, severity: float) -> dict:
    """All that decides the corpus of a kind, as JSON holds it."""
    at_most = experiment.validation.planted_recordings
    return {
        "source": f"{planted_corpus.SOURCE}{kind}",
        "of": [records.contents(experiment, name) for name in protocol.SETS],
        "severity": severity,
        "seed": experiment.corpus.seed,
        "recordings": {name: at_most.get(name) for name in protocol.SETS},
        "voicing": version("praat-parselmouth"),
        "version": planted_corpus.VERSION,
    }
