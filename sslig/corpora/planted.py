"""Builds a corpus of planted cues: spoofs that differ from their bona fide twins in known places only.

Every recording comes twice, once as it is and once with the cue. So both classes hold the same words, speakers, levels,
lengths and silences, and the place is the only evidence there is. Sets share no recording, because those of the
originals do not.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig import audio, files
from sslig.corpora import protocol
from sslig.corpora import building
from sslig.corpora.planted_plan import Original, Trial, generator_of, plan
from sslig.corpora.planting import KINDS, PlantedError, kind_of, plant
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

__all__ = ["KINDS", "Original", "PlantedError", "Trial", "build", "kind_of", "plan", "truth", "truth_mask"]

VERSION = 4
"""Raised with every change of a method that changes samples, so that no corpus mixes two of them."""
SOURCE = "planted:"
"""Begins the source of a corpus of planted cues; the name of the kind follows."""
PLACES = "places.tsv"
TAG = "planted"
"""In the protocol column ``attack_tag`` of the spoofs; their ``attack`` is the kind."""
NONE = protocol.NONE


def build(
    kind: str,
    originals: Sequence[Original],
    root: Path,
    *,
    severity: float,
    seed: int,
    asked_for: Mapping[str, Any],
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict:
    """Write the corpus at `root`, or what of it is missing there; what is in ``corpus.json``.

    It has the ASVspoof 5 layout and, besides, ``places.tsv`` with the truth. As with other corpora the samples do not
    depend on `workers` or on where a build was killed.

    Parameters
    ----------
    kind
        One of `KINDS`.
    originals
        Of every set; those without room for a place are left out, as bona fide too.
    root
        The folder of the corpus.
    severity
        In the unit of the kind.
    seed
        Of the places, the cues and the names.
    asked_for
        All else that decides the samples, as JSON holds it; kept in ``corpus.json`` (`sslig.corpora.building.finished`).
    workers
        Processes; 1: none but this one.
    progress
        Called with the number of finished utterances and of all.

    Raises
    ------
    PlantedError
        The kind or its severity is not accepted, a set has no recording with room, or two sets share a recording.
    CorpusError
        `root` holds sound files that no builder of this package made.
    """
    trials = plan(kind, originals, severity, seed)
    mark = _fingerprint(trials, kind, severity, seed, asked_for)
    building.claim(root, mark)
    twins = [list(pair) for pair in zip(trials[::2], trials[1::2], strict=True)]
    todo = [pair for pair in twins if not all(_path(root, trial).is_file() for trial in pair)]
    done = len(trials) - 2 * len(todo)
    progress(done, len(trials))
    for made in building.each(_Maker(root, kind, severity, seed), todo, workers):
        done += made
        progress(done, len(trials))
    return _finish(root, kind, severity, trials, originals, {"fingerprint": mark, building.ASKED_FOR: dict(asked_for)})


def truth(root: Path, set_name: str) -> pd.DataFrame:
    """The places in a set of the corpus at `root`: ``utterance``, ``start_s``, ``end_s``; only spoofs have any.

    Raises
    ------
    PlantedError
        The corpus has no truth.
    """
    path = Path(root) / PLACES
    if not path.is_file():
        raise PlantedError(f"{path}: no such file; it lies in a corpus of planted cues")
    table = pd.read_csv(path, sep="\t", dtype={"utterance": str})
    utterances = protocol.load_set(root, set_name)["utterance"]
    return table[table["utterance"].isin(utterances)].reset_index(drop=True)


def truth_mask(rows: pd.DataFrame, clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) bool: the frame sees a sample of a place.

    Parameters
    ----------
    rows
        ``start_s`` and ``end_s`` of the places of one utterance, as of `truth`.
    clock, n_frames
        The frames of the mask; a frame sees its receptive field.
    """
    first = np.arange(n_frames)[:, None] * clock.hop_samples  # (frame, 1)
    stop = first + clock.receptive_field_samples
    start, end = (np.rint(rows[name].to_numpy(float) * SAMPLE_RATE_HZ) for name in ("start_s", "end_s"))  # (place,)
    return ((first < end) & (start < stop)).any(axis=1)


class _Maker:
    """Makes both twins of a recording; sent to the workers."""

    def __init__(self, root: Path, kind: str, severity: float, seed: int):
        self.root, self.kind, self.severity, self.seed = root, kind, severity, seed

    def __call__(self, pair: list[Trial]) -> int:
        samples = audio.read(pair[0].original.path)
        for trial in pair:
            generator = generator_of(self.seed, self.kind, trial.original.utterance, "cue")
            severity = self.severity if trial.spoof else None
            made = plant(KINDS[self.kind], samples, trial.places, severity, generator)
            audio.write_flac(_path(self.root, trial), made)
        return len(pair)


def _path(root: Path, trial: Trial) -> Path:
    return building.sound_path(root, trial.original.set, trial.utterance)


def _fingerprint(trials: Sequence[Trial], *values: Any) -> str:
    """Sixteen hex digits that change with anything that changes a sample, but not with the folder of the originals."""
    told = [(one.utterance, one.original.set, one.original.utterance, one.places, one.spoof) for one in trials]
    return hashlib.sha256(json.dumps([told, *values, VERSION], sort_keys=True).encode()).hexdigest()[:16]


def _finish(
    root: Path, kind: str, severity: float, trials: Sequence[Trial], originals: Sequence[Original], identity: dict
) -> dict:
    table = _protocol_table(kind, trials)
    for name, (file, _) in protocol.SETS.items():
        protocol.write(root / file, table[table["set"] == name].sort_values("utterance"))
    told = [(trial.utterance, trial.original.recording, trial.original.utterance) for trial in trials]
    named = pd.DataFrame(told, columns=["utterance", "recording", "original"])
    files.write_tsv(root / protocol.RECORDINGS, named.sort_values("utterance"))
    files.write_tsv(root / PLACES, _places_table(trials))
    left_out = Counter(one.set for one in originals)
    left_out.subtract(trial.original.set for trial in trials if trial.spoof)
    return building.finish(
        root,
        identity | {
            "kind": kind, "severity": severity, "unit": KINDS[kind].unit, "without_room": dict(left_out),
            "counts": {name: dict(sorted(Counter(part["key"]).items())) for name, part in table.groupby("set")},
            "attack_names": {kind: f"planted: {KINDS[kind].description}"},
        },
    )  # fmt: skip


def _protocol_table(kind: str, trials: Sequence[Trial]) -> pd.DataFrame:
    """The rows of `trials` with the columns of an ASVspoof 5 protocol, and ``set``."""
    nothing = dict.fromkeys(protocol.COLUMNS, NONE)
    rows = [
        nothing
        | {
            "speaker": trial.original.speaker,
            "utterance": trial.utterance,
            "gender": trial.original.gender,
            "attack_tag": TAG if trial.spoof else NONE,
            "attack": kind if trial.spoof else NONE,
            "key": "spoof" if trial.spoof else "bonafide",
            "set": trial.original.set,
        }
        for trial in trials
    ]
    return pd.DataFrame(rows)


def _places_table(trials: Sequence[Trial]) -> pd.DataFrame:
    rows = [
        (trial.utterance, start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ)
        for trial in sorted(trials, key=lambda trial: trial.utterance)
        if trial.spoof
        for start, stop in trial.places
    ]
    return pd.DataFrame(rows, columns=["utterance", "start_s", "end_s"])
