"""Named frame masks of an utterance, made from tiers of named sources that can be swapped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from sslig import audio
from sslig.audio import AudioError
from sslig.cues import phones, vad, voice
from sslig.cues.ctc import CTC
from sslig.cues.tiers import Tier, near
from sslig.frames import FrameClock

COLUMNS = ("utterance", "tier", "start_s", "end_s", "label", "duration_s")
"""Columns of the table of `decode`; a tier without stretches has one row with NaN times and no label."""

Source = Callable[[np.ndarray], Tier]


@dataclass(frozen=True)
class Mask:
    """What a frame mask is made of.

    Attributes
    ----------
    tier
        Name of the tier, or None for a mask of the samples themselves.
    labels
        Its labels that count; all where None.
    phone_class
        One of `sslig.cues.phones.CLASSES`: the labels of that class count.
    at_changes
        Whether frames near the ends of those stretches are meant, not those within.
    """

    tier: str | None
    labels: tuple[str, ...] | None = None
    phone_class: str | None = None
    at_changes: bool = False

    def labels_in(self, tier: Tier) -> set[str] | tuple[str, ...] | None:
        """The labels of `tier` that count."""
        if self.phone_class is None:
            return self.labels
        return {label for label in set(tier.labels) if phones.class_of(label) == self.phone_class}


MASKS: Mapping[str, Mask] = {
    "non_speech": Mask("speech", vad.NON_SPEECH),
    "leading_silence": Mask("speech", ("leading",)),
    "pauses": Mask("speech", ("pause",)),
    "trailing_silence": Mask("speech", ("trailing",)),
    **{f"phone:{name}": Mask("phones", phone_class=name) for name in phones.CLASSES},
    "word_boundaries": Mask("words", at_changes=True),
    "onsets": Mask("voicing", ("voiced",), at_changes=True),
    "speech_edges": Mask("speech", (vad.SPEECH,), at_changes=True),
    "energy": Mask(None),
}
"""The frame masks by name; ``onsets`` are the onsets and offsets of voicing."""


class SegmentError(ValueError):
    """A mask, a source or a table that cannot be used; the message says what was asked for and what is accepted."""


SOURCES: Mapping[str, Source] = {
    "vad": vad.speech,
    "pocketsphinx:phones": phones.pocketsphinx_phones,
    "pocketsphinx:words": phones.pocketsphinx_words,
    "voicing": voice.voicing,
}
"""Sources by name. ``ctc:<tier>:<model>`` is one too, for any CTC model and the tiers of `CTC_TIERS`."""

CTC_TIERS = ("phones", "words", "tokens", "emissions")


def source_of(name: str) -> Source:
    """The source `name`: one of `SOURCES`, or ``ctc:<tier>:<model>`` with one of `CTC_TIERS`.

    A model is named as on the Hugging Face Hub or by its folder, and loaded once a process.

    Raises
    ------
    SegmentError
        There is no such source.
    """
    kind, _, rest = name.partition(":")
    tier, _, model = rest.partition(":")
    if kind == "ctc" and tier in CTC_TIERS and model:
        return partial(_by_ctc, tier, model)
    if name not in SOURCES:
        raise SegmentError(f"unknown source {name!r}; accepted: {', '.join(SOURCES)}, ctc:<tier>:<model> "
                           f"with {', '.join(CTC_TIERS)}")  # fmt: skip
    return SOURCES[name]


@dataclass(frozen=True)
class Decoded:
    """What `decode` found.

    Attributes
    ----------
    table
        `COLUMNS`, a row a stretch, utterances in the order they were given.
    left_out
        ``utterance`` and ``reason`` of each file that could not be read.
    sources
        `Tier.source` by name of the tier.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    sources: dict[str, dict[str, str | float]]


def decode(utterances: pd.DataFrame | Sequence[str | Path], sources: Sequence[str], workers: int = 1) -> Decoded:
    """The tiers of many recordings, decoded by `workers` processes; the result does not depend on their number.

    Parameters
    ----------
    utterances
        A table with ``utterance`` and ``path``, or paths whose stems name the utterances.
    sources
        Names for `source_of`; no two may give the same tier.
    workers
        Processes. Each loads its own models.

    Raises
    ------
    SegmentError
        A source is unknown, two give the same tier, or an utterance stands twice.
    """
    if not isinstance(utterances, pd.DataFrame):
        utterances = pd.DataFrame({"utterance": [Path(path).stem for path in utterances], "path": list(utterances)})
    twice = utterances.loc[utterances["utterance"].duplicated(), "utterance"]
    if len(twice):
        raise SegmentError(f"utterance {twice.iloc[0]!r} stands twice (again in row {twice.index[0]})")
    for name in sources:
        source_of(name)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=workers)(delayed(_tiers)(str(path), tuple(sources)) for path in utterances["path"])
    names = utterances["utterance"].tolist()
    rows = [row for name, one in zip(names, found, strict=True) if not isinstance(one, str) for row in _rows(name, one)]
    faults = [(name, one) for name, one in zip(names, found, strict=True) if isinstance(one, str)]
    told = next((one for one in found if not isinstance(one, str)), [])
    return Decoded(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        pd.DataFrame(faults, columns=["utterance", "reason"]),
        {tier.name: dict(tier.source) for tier in told},
    )


def tiers_of(
    table: pd.DataFrame, utterance: str, sources: Mapping[str, Mapping[str, str | float]] | None = None
) -> dict[str, Tier]:
    """The tiers of one utterance by name, from the table of `decode` and, where given, its `sources`.

    Raises
    ------
    SegmentError
        The table has no such utterance.
    """
    own = table[table["utterance"] == utterance]
    if not len(own):
        raise SegmentError(f"utterance {utterance!r} is not among {table['utterance'].nunique()} decoded ones")
    found = {}
    for name, rows in own.groupby("tier", sort=False):
        stretches = rows[rows["start_s"].notna()]
        times = (stretches["start_s"].to_numpy(), stretches["end_s"].to_numpy())
        source = (sources or {}).get(name, {})
        found[name] = Tier(name, *times, tuple(stretches["label"]), float(rows["duration_s"].iloc[0]), source)
    return found


def frame_mask(
    name: str,
    tiers: Mapping[str, Tier],
    clock: FrameClock,
    n_frames: int,
    *,
    samples: np.ndarray | None = None,
    width_ms: float = 40.0,
    quantile: float = 0.75,
) -> np.ndarray:
    """(frame,) bool: the mask `name` of an utterance; all False where nothing of the kind is in it.

    Parameters
    ----------
    name
        One of `MASKS`.
    tiers
        Tiers by name; the one of ``MASKS[name].tier`` is needed.
    clock, n_frames
        The frames of the mask.
    samples
        (samples,) at 16 kHz, for ``energy`` only.
    width_ms
        For masks at changes: frames whose centre is within half of this count.
    quantile
        For ``energy``: frames above this quantile of the utterance's frames count.

    Raises
    ------
    SegmentError
        The mask is unknown, or what it is made of is missing or does not fit.
    """
    if name not in MASKS:
        raise SegmentError(f"unknown mask {name!r}; accepted: {', '.join(MASKS)}")
    mask = MASKS[name]
    if mask.tier is None:
        if samples is None:
            raise SegmentError(f"mask {name!r} is made of samples; none were given")
        return energy(samples, clock, n_frames, quantile)
    if mask.tier not in tiers:
        raise SegmentError(f"mask {name!r} is made of the tier {mask.tier!r}; there are {', '.join(tiers) or 'none'}")
    tier = tiers[mask.tier]
    if mask.at_changes:
        return near(tier.changes_s(mask.labels), clock, n_frames, width_ms)
    return tier.mask(clock, n_frames, mask.labels_in(tier))


def energy(samples: np.ndarray, clock: FrameClock, n_frames: int, quantile: float) -> np.ndarray:
    """(frame,) bool: the mean square of the samples that the frame sees is above a quantile of all frames'.

    Of frames with equal energy none is above: digital silence, and a single frame, give False.

    Raises
    ------
    SegmentError
        The samples give fewer frames, or the quantile is not between 0 and 1.
    """
    if clock.n_frames(len(samples)) < n_frames or not 0 <= quantile <= 1:
        raise SegmentError(f"quantile {quantile} of {n_frames} frames of {len(samples)} samples; a quantile is between "
                           f"0 and 1, and {clock.n_samples(n_frames)} samples are needed")  # fmt: skip
    if n_frames == 0:
        return np.zeros(0, dtype=bool)
    power = np.square(samples[: clock.n_samples(n_frames)], dtype=np.float64)
    seen = np.lib.stride_tricks.sliding_window_view(power, clock.receptive_field_samples)[:: clock.hop_samples]
    frame_power = seen.mean(axis=1)  # (frame,)
    return frame_power > np.quantile(frame_power, quantile)


def _by_ctc(tier: str, model: str, samples: np.ndarray) -> Tier:
    return getattr(_ctc(model), tier)(samples)


@cache
def _ctc(model: str) -> CTC:
    return CTC.from_pretrained(model)


def _tiers(path: str, sources: Sequence[str]) -> list[Tier] | str:
    """The tiers of one file, or what is wrong with it."""
    try:
        samples = audio.read(path)
    except AudioError as error:
        return str(error)
    found = [source_of(name)(samples) for name in sources]
    names = [tier.name for tier in found]
    if len(set(names)) < len(names):
        raise SegmentError(f"sources {', '.join(sources)} give tiers {', '.join(names)}; no two may have one name")
    return found


def _rows(utterance: str, tiers: Sequence[Tier]) -> list[tuple[str, str, float, float, str, float]]:
    rows = []
    for tier in tiers:
        stretches = zip(tier.start_s.tolist(), tier.end_s.tolist(), tier.labels, strict=True) if len(tier) else ()
        for stretch in stretches or [(np.nan, np.nan, "")]:
            rows.append((utterance, tier.name, *stretch, tier.duration_s))
    return rows
