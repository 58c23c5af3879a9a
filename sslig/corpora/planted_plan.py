"""Plans a corpus of planted cues: which recordings have room for a cue, where in them it goes, under which names."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sslig.corpora import plan as planning
from sslig.corpora import protocol
from sslig.corpora.planting import EDGES, PAUSES, SPEECH, VOICED, Kind, PlantedError, kind_of
from sslig.frames import SAMPLE_RATE_HZ

APART_S = {PAUSES: 0.0, EDGES: 0.02, VOICED: 0.1, SPEECH: 0.1}
"""Least distance between two places, by where they lie."""
TRIES = 20
"""Draws of each place before a recording has no more room."""


@dataclass(frozen=True)
class Original:
    """One bona fide recording of a corpus, and the stretches in which, or at whose ends, places may lie.

    Attributes
    ----------
    set, utterance, speaker, gender, path
        As the corpus has them.
    recording
        What trials that are not independent have in common (`sslig.corpora.protocol.with_recordings`).
    n_samples
        Its length at 16 kHz.
    stretches_s
        Start and end of each stretch.
    """

    set: str
    utterance: str
    speaker: str
    gender: str
    path: str
    recording: str
    n_samples: int
    stretches_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Trial:
    """One utterance to make: `original` with the cue in its `places`, or with none."""

    utterance: str
    original: Original
    places: tuple[tuple[int, int], ...]
    spoof: bool


def plan(kind: str, originals: Sequence[Original], severity: float, seed: int) -> list[Trial]:
    """Two trials of every original with room for a place, the bona fide first, in the order of the originals' names."""
    definition = kind_of(kind)
    low, high = definition.limits
    if not low <= severity <= high:
        raise PlantedError(f"{kind}: severity {severity}; accepted: {low} to {high} {definition.unit}")
    _require_disjoint(originals)
    trials = []
    for name in protocol.SETS:
        own = sorted((one for one in originals if one.set == name), key=lambda one: one.utterance)
        placed = [(one, draw_places(definition, one, generator_of(seed, kind, one.utterance, "places"))) for one in own]
        placed = [(one, places) for one, places in placed if places]
        if not placed:
            raise PlantedError(f"{kind}: none of {len(own)} bona fide recordings of {name} has room for it "
                               f"({definition.where} of {definition.duration_s[0]:g} s)")  # fmt: skip
        # One shuffle over both classes, so that a name tells neither class nor twin.
        numbers = generator_of(seed, kind, name, "names").permutation(2 * len(placed)) + 1
        names = [f"{planning.PREFIX[name]}_{number:010d}" for number in numbers]
        for place, (one, places) in enumerate(placed):
            trials += [Trial(names[2 * place], one, places, False), Trial(names[2 * place + 1], one, places, True)]
    return trials


def draw_places(kind: Kind, original: Original, generator: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """First sample, and one past the last, of each place in a recording; in order, none where there is no room."""
    at_most = _at_most(kind, original.n_samples / SAMPLE_RATE_HZ)
    stretches = [(round(start * SAMPLE_RATE_HZ), round(stop * SAMPLE_RATE_HZ)) for start, stop in original.stretches_s]
    apart = round(APART_S[kind.where] * SAMPLE_RATE_HZ)
    chosen: list[tuple[int, int]] = []
    for start, stop in _candidates(kind, stretches, at_most, generator):
        free = all(stop + apart <= begun or ended + apart <= start for begun, ended in chosen)
        if free and start >= 0 and stop <= original.n_samples and len(chosen) < at_most:
            chosen.append((start, stop))
    return tuple(sorted(chosen))


def _candidates(
    kind: Kind, stretches: Sequence[tuple[int, int]], at_most: float, generator: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Places to try, in turn."""
    shortest, longest = (round(duration * SAMPLE_RATE_HZ) for duration in kind.duration_s)
    if kind.where == EDGES:
        for edge in generator.permutation([edge for stretch in stretches for edge in stretch]):
            length = int(generator.integers(shortest, longest + 1))
            yield int(edge) - length // 2, int(edge) - length // 2 + length
        return
    roomy = [(start, stop) for start, stop in stretches if stop - start >= shortest]
    if kind.where == PAUSES:
        yield from ((start, min(stop, start + longest)) for start, stop in roomy)
        return
    for _ in range(TRIES * at_most if roomy else 0):
        start, stop = roomy[generator.choice(len(roomy), p=_shares(roomy))]
        length = int(generator.integers(shortest, min(longest, stop - start) + 1))
        begin = int(generator.integers(start, stop - length + 1))
        yield begin, begin + length


def _shares(stretches: Sequence[tuple[int, int]]) -> np.ndarray:
    """(stretch,) The share of each in the length of all."""
    length = np.diff(np.array(stretches), axis=1).ravel()
    return length / length.sum()


def _at_most(kind: Kind, duration_s: float) -> float:
    """Places of a recording: one for every `every_s`, at least one; without it as many as there is room for."""
    return math.inf if kind.every_s is None else max(1, int(duration_s // kind.every_s))


def _require_disjoint(originals: Sequence[Original]) -> None:
    sets: dict[str, str] = {}
    for one in originals:
        if sets.setdefault(one.recording, one.set) != one.set:
            raise PlantedError(f"recording {one.recording} is in {sets[one.recording]} and in {one.set}; "
                               "a recording belongs to one set")  # fmt: skip


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """The randomness of one thing, whatever else is made."""
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
