"""Segments of many recordings: tiers of named sources, decoded in parallel and stored as one table."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig import audio
from sslig.audio import AudioError
from sslig.cues import phones, voice
from sslig.cues.tiers import Tier
from sslig.errors import InputError

COLUMNS = ("utterance", "tier", "start_s", "end_s", "label", "duration_s")
"""Columns of the table of `decode`; a tier without stretches has one row with NaN times and no label."""

Source = Callable[[np.ndarray], Tier]

SOURCES: Mapping[str, Source] = {
    "vad": voice.speech,
    "pocketsphinx:phones": partial(phones.pocketsphinx, "phones"),
    "pocketsphinx:words": partial(phones.pocketsphinx, "words"),
    "voicing": voice.voicing,
}
"""Sources by name. ``ctc:<tier>:<model>`` is one too, for any CTC model and the tiers of `CTC_TIERS`."""

CTC_TIERS = ("phones", "words", "tokens", "emissions")


class Decoded(NamedTuple):
    """A table with `COLUMNS`, a row a stretch; the files that could not be read; and `Tier.source` by tier."""

    table: pd.DataFrame
    left_out: pd.DataFrame
    sources: dict[str, dict[str, str | float]]


def source_of(name: str) -> Source:
    """The source `name`: one of `SOURCES`, or ``ctc:<tier>:<model>`` with one of `CTC_TIERS`; else an InputError.

    A model goes by its name on the Hugging Face Hub or by its folder, and is loaded once a process.
    """
    kind, _, rest = name.partition(":")
    tier, _, model = rest.partition(":")
    if kind == "ctc" and tier in CTC_TIERS and model:
        return lambda samples: getattr(_ctc(model), tier)(samples)
    if name not in SOURCES:
        raise InputError(
            f"unknown source {name!r}; accepted: {', '.join(SOURCES)}, ctc:<tier>:<model> with {', '.join(CTC_TIERS)}"
        )
    return SOURCES[name]


def decode(utterances: pd.DataFrame, sources: Sequence[str], workers: int = 1) -> Decoded:
    """Decode the tiers of `utterances` (with ``path``) in processes, whose number does not change the result.

    Raises
    ------
    InputError
        A name in `sources` is none for `source_of`, or two of them give the same tier.
    """
    from joblib import Parallel, delayed, parallel_config

    for name in sources:
        source_of(name)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=workers)(delayed(_tiers)(str(path), tuple(sources)) for path in utterances["path"])
    named = list(zip(utterances["utterance"], results, strict=True))
    faults = [(name, tiers) for name, tiers in named if isinstance(tiers, str)]
    decoded = {name: tiers for name, tiers in named if not isinstance(tiers, str)}
    return Decoded(
        pd.DataFrame([row for name, tiers in decoded.items() for row in _rows(name, tiers)], columns=list(COLUMNS)),
        pd.DataFrame(faults, columns=["utterance", "reason"], dtype=str),
        {tier.name: dict(tier.source) for tier in next(iter(decoded.values()), [])},
    )


def by_utterance(table: pd.DataFrame) -> dict[str, dict[str, Tier]]:
    """Utterance -> its tiers by name, from the table of `decode`."""
    tiers: dict[str, dict[str, Tier]] = {}
    for (utterance, name), rows in table.groupby(["utterance", "tier"], sort=False):
        stretches = rows[rows["start_s"].notna()]
        times = stretches["start_s"].to_numpy(), stretches["end_s"].to_numpy()
        tier = Tier(name, *times, tuple(stretches["label"]), float(rows["duration_s"].iloc[0]), {})
        tiers.setdefault(utterance, {})[name] = tier
    return tiers


@cache
def _ctc(model: str) -> phones.CTC:
    return phones.CTC.from_pretrained(model)


def _tiers(path: str, sources: Sequence[str]) -> list[Tier] | str:
    """The tiers of one file, or what is wrong with it."""
    try:
        samples = audio.read(path)
    except AudioError as error:
        return str(error)
    decoded = [source_of(name)(samples) for name in sources]
    names = [tier.name for tier in decoded]
    if len(set(names)) < len(names):
        raise InputError(f"sources {', '.join(sources)} give tiers {', '.join(names)}; no two may have one name")
    return decoded


def _rows(utterance: str, tiers: Sequence[Tier]) -> list[tuple[str, str, float, float, str, float]]:
    stretches = {
        tier: list(zip(tier.start_s.tolist(), tier.end_s.tolist(), tier.labels, strict=True)) for tier in tiers
    }
    return [
        (utterance, tier.name, *stretch, tier.duration_s)
        for tier, rows in stretches.items()
        for stretch in rows or [(np.nan, np.nan, "")]
    ]
