"""Segments of many recordings: tiers of named sources, decoded in parallel and stored as one table."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sslig import audio, processes
from sslig.cues import alignment, phones, voice
from sslig.cues.alignment import ENGLISH
from sslig.cues.tiers import Tier
from sslig.errors import AudioError, InputError
from sslig.frames import SAMPLE_RATE_HZ

COLUMNS = ("utterance", "tier", "start_s", "end_s", "label", "duration_s", "model")
"""Columns of the table of `decode`; a tier without stretches has one row with NaN times and no label."""


@dataclass(frozen=True)
class Spoken:
    """What is known of the words in a recording: transcript and language (ISO 639-1); empty where nothing is."""

    transcript: str = ""
    language: str = ""

    @classmethod
    def of(cls, row: pd.Series) -> "Spoken":
        """From the columns of `cls` in a row of utterances, where it has them."""
        known = {name: row.get(name) for name in ("transcript", "language")}
        return cls(**{name: text for name, text in known.items() if isinstance(text, str)})


Source = Callable[[np.ndarray, Spoken], Tier]


def recognised(tier: str, samples: np.ndarray, spoken: Spoken) -> Tier:
    """A tier of pocketsphinx's recogniser, which an InputError refuses for a language other than English."""
    if spoken.language not in ("", ENGLISH):
        raise InputError(
            f"pocketsphinx:{tier} recognises US English, and the recording speaks {spoken.language!r}; accepted for "
            f"other languages: aligned:{tier}, ctc:{tier}:<model>"
        )
    return phones.pocketsphinx(tier, samples)


def aligned(tier: str, samples: np.ndarray, spoken: Spoken) -> Tier:
    """Words or phones aligned to the transcript; without one, stretches of speech for words, and recognised phones.

    Phones of a language other than English are not recognised: without a transcript that can be aligned there are none.
    """
    try:
        words, by_letter = alignment.align(samples, spoken.transcript, spoken.language or ENGLISH)
        return words if tier == "words" else by_letter
    except InputError:
        if tier == "words":
            return alignment.stretches(samples)
        if spoken.language in ("", ENGLISH):
            return phones.pocketsphinx("phones", samples)
        return Tier("phones", [], [], (), len(samples) / SAMPLE_RATE_HZ, {"model": "none"})


SOURCES: Mapping[str, Source] = {
    "vad": lambda samples, spoken: voice.speech(samples),
    "voicing": lambda samples, spoken: voice.voicing(samples),
    **{f"aligned:{tier}": partial(aligned, tier) for tier in ("phones", "words")},
    **{f"pocketsphinx:{tier}": partial(recognised, tier) for tier in ("phones", "words")},
}
"""Sources by name. ``ctc:<tier>:<model>`` is one too, for any CTC model and the tiers of `CTC_TIERS`."""

CTC_TIERS = ("phones", "words", "tokens", "emissions")


class Decoded(NamedTuple):
    """A table with `COLUMNS`, a row a stretch; the files that could not be read; and the sources.

    Each of the sources is a `Tier.source` with its ``tier`` and the number of ``utterances`` that it gave it for.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    sources: list[dict[str, Any]]


def source_of(name: str) -> Source:
    """The source `name`: one of `SOURCES`, or ``ctc:<tier>:<model>`` with one of `CTC_TIERS`; else an InputError.

    A model goes by its name on the Hugging Face Hub or by its folder, and is loaded once a process.
    """
    kind, _, rest = name.partition(":")
    tier, _, model = rest.partition(":")
    if kind == "ctc" and tier in CTC_TIERS and model:
        return lambda samples, spoken: getattr(_ctc(model), tier)(samples)
    if name not in SOURCES:
        raise InputError(
            f"unknown source {name!r}; accepted: {', '.join(SOURCES)}, ctc:<tier>:<model> with {', '.join(CTC_TIERS)}"
        )
    return SOURCES[name]


def decode(utterances: pd.DataFrame, sources: Sequence[str], workers: int = 1) -> Decoded:
    """Decode the tiers of `utterances` (with ``path``) in processes, whose number does not change the result.

    ``transcript`` and ``language`` of utterances are used where the table has them.

    Raises
    ------
    InputError
        A name in `sources` is none for `source_of`, two of them give the same tier, or a recogniser does not know the
        language of an utterance.
    """
    for name in sources:
        source_of(name)
    jobs = ((str(row["path"]), Spoken.of(row), tuple(sources)) for _, row in utterances.iterrows())
    results = list(processes.each(_tiers, jobs, workers))
    named = list(zip(utterances["utterance"], results, strict=True))
    faults = [(name, tiers) for name, tiers in named if isinstance(tiers, str)]
    decoded = {name: tiers for name, tiers in named if not isinstance(tiers, str)}
    return Decoded(
        pd.DataFrame([row for name, tiers in decoded.items() for row in _rows(name, tiers)], columns=list(COLUMNS)),
        pd.DataFrame(faults, columns=["utterance", "reason"], dtype=str),
        _sources([tier for tiers in decoded.values() for tier in tiers]),
    )


def by_utterance(table: pd.DataFrame) -> dict[str, dict[str, Tier]]:
    """Utterance -> its tiers by name, from the table of `decode`."""
    tiers: dict[str, dict[str, Tier]] = {}
    for (utterance, name), rows in table.groupby(["utterance", "tier"], sort=False):
        stretches = rows[rows["start_s"].notna()]
        times = stretches["start_s"].to_numpy(), stretches["end_s"].to_numpy()
        first = rows.iloc[0]
        tier = Tier(
            name, *times, tuple(stretches["label"]), float(first["duration_s"]), {"model": first.get("model", "")}
        )
        tiers.setdefault(utterance, {})[name] = tier
    return tiers


@cache
def _ctc(model: str) -> phones.CTC:
    return phones.CTC.from_pretrained(model)


def _sources(tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    """Each source of a tier once, in the order in which they come, with the number of utterances."""
    counts = Counter(json.dumps({"tier": tier.name, **tier.source}) for tier in tiers)
    return [{**json.loads(source), "utterances": n} for source, n in counts.items()]


def _tiers(path: str, spoken: Spoken, sources: Sequence[str]) -> list[Tier] | str:
    """The tiers of one file, or what is wrong with it."""
    try:
        samples = audio.read(path)
    except AudioError as error:
        return str(error)
    try:
        decoded = [source_of(name)(samples, spoken) for name in sources]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    names = [tier.name for tier in decoded]
    if len(set(names)) < len(names):
        raise InputError(f"sources {', '.join(sources)} give tiers {', '.join(names)}; no two may have one name")
    return decoded


def _rows(utterance: str, tiers: Sequence[Tier]) -> list[tuple[str, str, float, float, str, float, str]]:
    stretches = {
        tier: list(zip(tier.start_s.tolist(), tier.end_s.tolist(), tier.labels, strict=True)) for tier in tiers
    }
    return [
        (utterance, tier.name, *stretch, tier.duration_s, str(tier.source["model"]))
        for tier, rows in stretches.items()
        for stretch in rows or [(np.nan, np.nan, "")]
    ]
