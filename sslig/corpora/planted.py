"""Corpora of planted cues: spoofs that differ from their bona fide twins in known places only.

Each recording appears twice, as it is and with a cue in some places. Both classes therefore have the same words,
speakers, levels, lengths and silences, and the places are the only evidence. A cue replaces the recording in its places
and is cross-faded with it, so that no click marks them. Sets share no recording, because those of the originals do not.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import butter, sosfiltfilt

from sslig import audio, files
from sslig.corpora import build, protocol, spoofs
from sslig.corpora.protocol import NONE, sound_path
from sslig.errors import CorpusError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

VERSION = 4
"""Raised with every change of a method that changes samples, so that no corpus mixes two versions."""

PLACES = "places.tsv"
TAG = "planted"
"""Value of the protocol column ``attack_tag`` of the spoofs; their ``attack`` is the kind."""

FADE_S = 0.005
"""Length of each cross-fade inside a place, at most a quarter of the place."""
CONTEXT_S = 0.25
"""Recording before and after a place that a vocoder processes too, so that the place lies away from its edges."""
WHOLE_HZ = (0.0, SAMPLE_RATE_HZ / 2)
CUT_HZ = 1000.0
STRETCH_HZ = (2000.0, 4000.0)
FLOOR_HZ = 80.0
"""Lower limit of the added noise: the recordings of built corpora end here."""

PAUSES, EDGES, VOICED, SPEECH = "pauses", "edges", "voiced", "speech"
"""Location of places: whole pauses, the ends of pauses, within voiced runs, or anywhere in speech."""

APART_S = {PAUSES: 0.0, EDGES: 0.02, VOICED: 0.1, SPEECH: 0.1}
"""Least distance between two places, by their location."""
TRIES = 20
"""Draws per place before a recording counts as full."""

Places = Sequence[tuple[int, int]]
"""First sample of each place, and one past its last."""


@dataclass(frozen=True)
class Kind:
    """A kind of planted cue: places of `duration_s` (least, most), one per `every_s` or, with None, as many as fit.

    `severity` is the default strength in `unit`, within `limits`. `change` maps ``(samples, places, severity,
    generator)`` to (samples,) whose places hold the cue; the other samples are not used. `band_hz` is where
    in frequency the cue lies.
    """

    description: str
    where: str
    duration_s: tuple[float, float]
    change: Callable[[np.ndarray, Places, float, np.random.Generator], np.ndarray]
    every_s: float | None = None
    severity: float = 1.0
    unit: str = "share of vocoded speech"
    limits: tuple[float, float] = (0.0, 1.0)
    band_hz: tuple[float, float] = WHOLE_HZ


@dataclass(frozen=True)
class Original:
    """A bona fide recording, and start and end of the stretches in which, or at whose ends, places may lie."""

    set: str
    utterance: str
    speaker: str
    gender: str
    path: str
    recording: str
    n_samples: int
    stretches_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Twin:
    """An utterance to make: `original` with the cue in its `places` (spoof), or without (bona fide)."""

    utterance: str
    original: Original
    places: tuple[tuple[int, int], ...]
    spoof: bool

    @property
    def set(self) -> str:
        """The set of the original."""
        return self.original.set


def build_planted(
    kind: str, originals: Sequence[Original], root: Path, *, severity: float | None = None, seed: int, workers: int = 2
) -> None:
    """Write a corpus of one of `KINDS` in the ASVspoof 5 layout to `root`, with the true places in ``places.tsv``.

    Originals without room for a place are left out of both classes. The severity is in the unit of the kind, by default
    the kind's own. Samples depend neither on `workers` nor on where an earlier build was killed.

    Raises
    ------
    CorpusError
        The kind or its severity is not accepted, a set has no recording with room, two sets share a recording, or
        `root` contains sound files from elsewhere.
    """
    severity = kind_of(kind).severity if severity is None else severity
    twins = plan(kind, originals, severity, seed)
    sizes = [Path(twin.original.path).stat().st_size for twin in twins]  # they stand for the content
    about = [(t.utterance, t.set, t.original.utterance, size, t.places) for t, size in zip(twins, sizes, strict=True)]
    content = json.dumps([about, kind, severity, seed, VERSION])
    pairs = list(zip(twins[::2], twins[1::2], strict=True))
    build.write_sounds(root, content, pairs, partial(_write, root, kind, severity, seed), workers)
    files.write_tsv(root / PLACES, _places(kind, twins))
    table = _table(kind, twins)
    without_room = Counter(original.set for original in originals)
    without_room.subtract(twin.set for twin in twins if twin.spoof)
    summary = {"kind": kind, "severity": severity, "unit": KINDS[kind].unit, "without_room": dict(without_room)}
    names = {kind: f"planted: {KINDS[kind].description}"}
    summary |= {"counts": build.counts(table, "key"), "attack_names": names}
    build.write_tables(root, table, table[["utterance", "recording", "original"]], summary)


def truth(root: Path, set_name: str) -> pd.DataFrame:
    """The places in a set of the corpus at `root`; only spoofs have places.

    Columns are ``utterance``, ``start_s``, ``end_s``, ``low_hz`` and ``high_hz``.

    Raises
    ------
    CorpusError
        The corpus has no ``places.tsv``.
    """
    path = Path(root) / PLACES
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; only corpora of planted cues have one")
    table = pd.read_csv(path, sep="\t", dtype={"utterance": str})
    utterances = protocol.load_set(root, set_name)["utterance"]
    return table[table["utterance"].isin(utterances)].reset_index(drop=True)


def truth_mask(rows: pd.DataFrame, clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) bool: the receptive field of the frame contains a sample of a place, from the rows of `truth`."""
    first = np.arange(n_frames)[:, None] * clock.hop_samples  # (frame, 1)
    stop = first + clock.receptive_field_samples
    start, end = (np.rint(rows[name].to_numpy(float) * SAMPLE_RATE_HZ) for name in ("start_s", "end_s"))  # (place,)
    return ((first < end) & (start < stop)).any(axis=1)


def truth_cells(rows: pd.DataFrame, time_s: np.ndarray, frequency_hz: np.ndarray) -> np.ndarray:
    """(band, time) bool: at least half of the cell belongs to a place, from the rows of `truth`.

    `time_s` are the (time + 1,) and `frequency_hz` the (band + 1,) edges of the cells.
    """
    time = _overlap(rows["start_s"], rows["end_s"], time_s)  # (place, time)
    band = _overlap(rows["low_hz"], rows["high_hz"], frequency_hz)  # (place, band)
    return np.einsum("pb,pt->bt", band, time) >= 0.5


def _overlap(start: pd.Series, stop: pd.Series, edges: np.ndarray) -> np.ndarray:
    """(place, cell) Share of each cell that lies in a place."""
    start, stop = start.to_numpy(float)[:, None], stop.to_numpy(float)[:, None]
    return np.clip(np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1]), 0, None) / np.diff(edges)


def plan(kind: str, originals: Sequence[Original], severity: float, seed: int) -> list[Twin]:
    """Two twins of every original with room for a place, the bona fide first, in the order of the originals' names.

    Raises
    ------
    CorpusError
        The severity is out of range, a set has no recording with room, or two sets share a recording.
    """
    definition = kind_of(kind)
    low, high = definition.limits
    if not low <= severity <= high:
        raise CorpusError(f"{kind}: severity {severity}; accepted: {low} to {high} {definition.unit}")
    sets, twins = {}, []
    for original in originals:
        if (other := sets.setdefault(original.recording, original.set)) != original.set:
            in_both = f"recording {original.recording} is in {other} and in {original.set}"
            raise CorpusError(f"{in_both}; a recording belongs to one set")
    for name in protocol.SETS:
        ordered = sorted((orig for orig in originals if orig.set == name), key=lambda original: original.utterance)
        generators = [_generator(seed, kind, original.utterance, "places") for original in ordered]
        drawn = [draw_places(definition, *pair) for pair in zip(ordered, generators, strict=True)]
        roomy = [(original, places) for original, places in zip(ordered, drawn, strict=True) if places]
        if not roomy:
            needed = f"{definition.where} of {definition.duration_s[0]:g} s"
            none = f"none of {len(ordered)} bona fide recordings of {name} has room for it"
            raise CorpusError(f"{kind}: {none} ({needed})")
        # One shuffle over both classes, so that names reveal neither class nor twin.
        numbers = _generator(seed, kind, name, "names").permutation(2 * len(roomy)) + 1
        names = iter([f"{build.PREFIX[name]}_{number:010d}" for number in numbers])
        for original, places in roomy:
            twins += [Twin(next(names), original, places, spoof) for spoof in (False, True)]
    return twins


def draw_places(kind: Kind, original: Original, generator: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """First sample, and one past the last, of each place in a recording, in order; empty where there is no room."""
    duration_s = original.n_samples / SAMPLE_RATE_HZ
    at_most = math.inf if kind.every_s is None else max(1, int(duration_s // kind.every_s))
    stretches = [(round(start * SAMPLE_RATE_HZ), round(stop * SAMPLE_RATE_HZ)) for start, stop in original.stretches_s]
    apart = round(APART_S[kind.where] * SAMPLE_RATE_HZ)
    chosen: list[tuple[int, int]] = []
    for start, stop in _candidates(kind, stretches, at_most, generator):
        free = all(stop + apart <= begun or ended + apart <= start for begun, ended in chosen)
        if free and start >= 0 and stop <= original.n_samples and len(chosen) < at_most:
            chosen.append((start, stop))
    return tuple(sorted(chosen))


def plant(
    kind: Kind, samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator
) -> np.ndarray:
    """(samples,) float32 The recording with the cue in its `places`, which do not overlap.

    `samples` are (samples,) float32 at 16 kHz, `severity` is in the unit of the kind, and the generator gives the noise
    and phases of the cue.
    """
    share = fades(len(samples), places)
    difference = share * (kind.change(samples, places, severity, generator) - samples)
    for start, stop in places:
        # Recordings have almost no offset, so an offset in the places would reveal spoofs by their mean sample.
        difference[start:stop] -= share[start:stop] * (difference[start:stop].sum() / share[start:stop].sum())
    return (samples + difference).astype(np.float32)


def fades(n_samples: int, places: Places) -> np.ndarray:
    """(samples,) Share of the cue: 1 in the places, 0 elsewhere, raised cosines inside the ends of the places."""
    share = np.zeros(n_samples)
    for start, stop in places:
        length = min(round(FADE_S * SAMPLE_RATE_HZ), (stop - start) // 4)
        rise = (1 - np.cos(np.pi * (np.arange(length) + 0.5) / length)) / 2 if length else np.empty(0)
        share[start:stop] = np.concatenate([rise, np.ones(stop - start - 2 * length), rise[::-1]])
    return share


def noise_floor(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """Add pink noise with a level of `severity` dB relative to the whole recording."""
    size = len(samples)
    frequency_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(generator.standard_normal(size))
    shape = np.where(frequency_hz < FLOOR_HZ, 0.0, 1 / np.sqrt(np.maximum(frequency_hz, FLOOR_HZ)))
    noise = np.fft.irfft(spectrum * shape, size)
    return samples + noise * 10 ** (severity / 20) * audio.rms(samples) / audio.rms(noise)


def vocoded(
    samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator, n_bands: int
) -> np.ndarray:
    """Mix a share `severity` of the output of a noise vocoder of `n_bands` bands into each place, as loud as it was."""
    mixed, context = samples.astype(np.float64), round(CONTEXT_S * SAMPLE_RATE_HZ)
    for start, stop in places:
        begin = max(0, start - context)
        around = samples[begin : stop + context]
        voiceless = spoofs.channel_vocoder(around, generator, n_bands=n_bands, whispered=True)
        part = voiceless[start - begin :][: stop - start]
        mixed[start:stop] += severity * (part - mixed[start:stop])
    return _as_loud(mixed, samples, places)


def boundary(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """Flatten the spectrum of each place and randomise its phases, at equal power.

    The severity is the share of the way from the magnitudes to a flat spectrum, in dB, and from no rotation to a
    rotation of each phase by up to half a turn in either direction.
    """
    changed = samples.astype(np.float64)
    for start, stop in places:
        spectrum = np.fft.rfft(changed[start:stop])
        size = np.maximum(np.abs(spectrum), 1e-9)
        equal = np.sqrt(np.mean(size**2))
        turn = severity * generator.uniform(-np.pi, np.pi, len(spectrum))
        flattened = size ** (1 - severity) * equal**severity * np.exp(1j * (np.angle(spectrum) + turn))
        changed[start:stop] = np.fft.irfft(flattened, stop - start)
    return _as_loud(changed, samples, places)


def band(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """Attenuate everything below `CUT_HZ` by `severity` dB without delay, at equal loudness of each place."""
    filters = butter(4, CUT_HZ, "lowpass", fs=SAMPLE_RATE_HZ, output="sos")
    return _as_loud(samples - (1 - 10 ** (-severity / 20)) * sosfiltfilt(filters, samples), samples, places)


def band_stretch(samples: np.ndarray, places: Places, severity: float, generator: np.random.Generator) -> np.ndarray:
    """Replace a share `severity` of the band `STRETCH_HZ` by steady noise of the same power in each place.

    Nothing changes outside the band, so the cue has limits in time and in frequency.
    """
    filters = butter(4, STRETCH_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    within = sosfiltfilt(filters, samples)
    noise = _as_loud(sosfiltfilt(filters, generator.standard_normal(len(samples))), within, places)
    return samples + severity * (noise - within)


KINDS: Mapping[str, Kind] = {
    "noise_floor": Kind(
        description="another noise floor in pauses",
        where=PAUSES,
        duration_s=(0.06, 10.0),
        change=noise_floor,
        severity=-18.0,
        unit="dB of the added noise above the level of the recording",
        limits=(-60.0, 0.0),
    ),
    "phone_glitch": Kind(
        description="60 to 150 ms within voiced speech from a noise vocoder of two bands",
        where=VOICED,
        duration_s=(0.06, 0.15),
        change=partial(vocoded, n_bands=2),
        every_s=0.5,
        severity=0.5,
    ),
    "boundary": Kind(
        description="20 to 40 ms of broken spectrum and phase at the edges of pauses",
        where=EDGES,
        duration_s=(0.02, 0.04),
        change=boundary,
        unit="share of the way to a flat spectrum with random phases",
    ),
    "band": Kind(
        description="0.5 to 1 s limited to the band above 1 kHz",
        where=SPEECH,
        duration_s=(0.5, 1.0),
        change=band,
        every_s=2.5,
        severity=20.0,
        unit="dB of attenuation",
        limits=(0.0, 60.0),
        band_hz=(
            CUT_HZ,
            WHOLE_HZ[1],
        ),  # at equal loudness speech rises by 8 dB above the cut, and falls by 3 dB below it
    ),
    "band_stretch": Kind(
        description="0.5 to 1 s whose band from 2 to 4 kHz is steady noise",
        where=SPEECH,
        duration_s=(0.5, 1.0),
        change=band_stretch,
        every_s=2.5,
        unit="share of noise in the band",
        band_hz=STRETCH_HZ,
    ),
    "splice": Kind(
        description="0.3 to 1 s from a noise vocoder of three bands (a partial spoof)",
        where=SPEECH,
        duration_s=(0.3, 1.0),
        change=partial(vocoded, n_bands=3),
        every_s=2.5,
    ),
}
"""Every kind of planted cue by name."""


def kind_of(name: str) -> Kind:
    """The kind called `name`."""
    if name not in KINDS:
        raise CorpusError(f"no kind of planted cue {name!r}; accepted: {', '.join(KINDS)}")
    return KINDS[name]


def _write(root: Path, kind: str, severity: float, seed: int, pair: Sequence[Twin]) -> None:
    """Write both twins of a recording."""
    bonafide, spoof = pair
    samples = audio.read(bonafide.original.path)
    generator = _generator(seed, kind, spoof.original.utterance, "cue")
    planted = plant(KINDS[kind], samples, spoof.places, severity, generator)
    for twin, sound in ((bonafide, samples), (spoof, planted)):
        audio.write_flac(sound_path(root, twin.set, twin.utterance), sound)


def _generator(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on these names only, not on what else is made."""
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _candidates(
    kind: Kind, stretches: Places, at_most: float, generator: np.random.Generator
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
    lengths = np.array([stop - start for start, stop in roomy])  # (stretch,)
    for _ in range(TRIES * at_most if roomy else 0):
        start, stop = roomy[generator.choice(len(roomy), p=lengths / lengths.sum())]
        length = int(generator.integers(shortest, min(longest, stop - start) + 1))
        begin = int(generator.integers(start, stop - length + 1))
        yield begin, begin + length


def _as_loud(changed: np.ndarray, samples: np.ndarray, places: Places) -> np.ndarray:
    """`changed` with the RMS of `samples` in each place."""
    scaled = np.array(changed, dtype=np.float64)
    for start, stop in places:
        scaled[start:stop] *= audio.rms(samples[start:stop]) / max(audio.rms(changed[start:stop]), 1e-9)
    return scaled


def _table(kind: str, twins: Sequence[Twin]) -> pd.DataFrame:
    """The rows of `twins` in a protocol, with ``set``, ``recording`` and ``original``, by utterance."""
    rows = []
    for twin in twins:
        original = twin.original
        attack = (TAG, kind, "spoof") if twin.spoof else (NONE, NONE, "bonafide")
        trial = (original.speaker, twin.utterance, original.gender, NONE, NONE, NONE, *attack, NONE)
        rows.append((*trial, twin.set, original.recording, original.utterance))
    columns = [*protocol.COLUMNS, "set", "recording", "original"]
    return pd.DataFrame(rows, columns=columns).sort_values("utterance")


def _places(kind: str, twins: Sequence[Twin]) -> pd.DataFrame:
    rows = [
        (twin.utterance, start / SAMPLE_RATE_HZ, stop / SAMPLE_RATE_HZ, *KINDS[kind].band_hz)
        for twin in sorted(twins, key=lambda twin: twin.utterance)
        if twin.spoof
        for start, stop in twin.places
    ]
    return pd.DataFrame(rows, columns=["utterance", "start_s", "end_s", "low_hz", "high_hz"])
