"""Augmentation of training recordings: which steps, how likely and in which ranges, drawn anew for each utterance.

A configuration is a list; each entry is one of::

    {name: zero_span, p: 0.3, share: [0.2, 0.5]}    # a step of `STEPS` with its parameters; its name alone is enough
    {chain: [...], p: 0.3}                          # entries in series
    {one_of: [...], p: 0.9}                         # one entry, all equally likely

`p` is a probability, 1 by default. Ranges are pairs of numbers that a value is drawn between.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from sslig.data.distortions import CHANGE_LENGTH, STEPS, check, defaults
from sslig.errors import StudyError

_NOISES = ("coloured_noise", "gaussian_noise", "gaussian_snr")
_FILTERS = ("band_pass", "band_stop", "high_pass", "high_shelf", "low_pass", "low_shelf", "peaking")

NAMED: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "published": (
        {"name": "trim_leading_silence", "p": 0.5},
        {"name": "zero_span", "p": 0.3, "share": (0.2, 0.5)},
        {"name": "mu_law", "p": 0.3},
        {"name": "rawboost", "p": 0.3, "algorithm": 5},
        {"chain": ({"one_of": _NOISES, "p": 0.9}, {"one_of": _FILTERS, "p": 0.9}), "p": 0.3},
    )
}
"""Configurations with a name: ``published`` is the pipeline that the paper's detectors were trained with."""


class Part(BaseModel):
    """A part of a pipeline, applied with probability `p`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    p: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0

    def __call__(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after the part, or unchanged."""
        return self.apply(samples, generator) if generator.random() < self.p else samples


class Step(Part):
    """One of `STEPS`, with parameters as further keywords; those that are left out have their defaults."""

    model_config = ConfigDict(extra="allow")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, entry: Any) -> Any:
        values = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(values, Mapping):
            return values
        parameters = {key: value for key, value in values.items() if key not in ("name", "p")}
        return dict(values) | check(values["name"], parameters)

    def apply(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after the step."""
        return STEPS[self.name](samples, generator, **self.model_extra)


class Chain(Part):
    """Parts in series; each part has a probability besides that of the chain."""

    chain: Annotated[tuple["Entry", ...], Field(min_length=1)]

    def apply(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after all parts."""
        for part in self.chain:
            samples = part(samples, generator)
        return samples


class OneOf(Part):
    """One of several parts, all equally likely."""

    one_of: Annotated[tuple["Entry", ...], Field(min_length=1)]

    def apply(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after the drawn part."""
        return self.one_of[generator.integers(len(self.one_of))](samples, generator)


def _kind(entry: Any) -> str | None:
    """``name``, ``chain`` or ``one_of``, whichever the entry has; none where it has not exactly one."""
    if isinstance(entry, str):
        return "name"
    names = entry if isinstance(entry, Mapping) else type(entry).model_fields if isinstance(entry, Part) else ()
    kinds = [kind for kind in ("name", "chain", "one_of") if kind in names]
    return kinds[0] if len(kinds) == 1 else None


Entry = Annotated[
    Annotated[Step, Tag("name")] | Annotated[Chain, Tag("chain")] | Annotated[OneOf, Tag("one_of")],
    Discriminator(
        _kind,
        custom_error_type="entry",
        custom_error_message="accepted: the name of a step, or a mapping with one of name, chain and one_of",
    ),
]
Chain.model_rebuild()
OneOf.model_rebuild()


@dataclass(frozen=True)
class Augmentation:
    """Parts in series; each has a generator, so that the draws of one part do not depend on another's.

    `first` is the number of the first part in the pipeline that it was split from.
    """

    parts: tuple[Part, ...]
    first: int = 0

    def __call__(self, samples: np.ndarray, epoch: int, utterance: str, seed: int) -> np.ndarray:
        """(samples,) float32 The augmented samples, the same for a seed, an epoch and an utterance in any process.

        `samples` are (samples,) float32 at 16 kHz and stay unchanged; `utterance` is a name that tells the draws of an
        epoch apart.
        """
        for number, part in enumerate(self.parts, self.first):
            samples = part(samples, generator_of(seed, epoch, utterance, number))
        return samples

    def split(self) -> tuple["Augmentation", "Augmentation"]:
        """The parts that need the whole recording, up to the last change of length, and those that may see a crop.

        Both in turn do what this does; the caller cuts the crop between them, so that the rest costs less.
        """
        steps = [(number, step.name) for number, part in enumerate(self.parts, 1) for step, *_ in _steps(part)]
        cut = max((number for number, name in steps if name in CHANGE_LENGTH), default=0)
        return Augmentation(self.parts[:cut], self.first), Augmentation(self.parts[cut:], self.first + cut)


def generator_of(seed: int, epoch: int, utterance: str, part: int) -> np.random.Generator:
    """The generator of one part for one utterance; unlike ``hash``, the digest is the same in every process."""
    name = int.from_bytes(hashlib.blake2b(utterance.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng((seed, epoch, part, name))


def table(config: Sequence[Mapping[str, Any] | str] | str) -> pd.DataFrame:
    """The steps of a configuration: ``part``, ``group``, ``step``, ``probability (%)`` and ``drawn from``.

    The probability of a step has those of the groups that it belongs to multiplied in.
    """
    rows = [
        (number, ", ".join(groups), step.name, 100 * p, _shown(defaults(step.name) | step.model_extra))
        for number, part in enumerate(build(config).parts, 1)
        for step, groups, p in _steps(part)
    ]
    return pd.DataFrame(rows, columns=["part", "group", "step", "probability (%)", "drawn from"])


def _steps(part: Part) -> Iterator[tuple[Step, tuple[str, ...], float]]:
    """The steps of a part, each with its groups, the outermost first, and its probability."""
    if isinstance(part, Step):
        yield part, (), part.p
        return
    parts = part.chain if isinstance(part, Chain) else part.one_of
    group, n = ("chain", 1) if isinstance(part, Chain) else (f"one of {len(parts)}", len(parts))
    for inner in parts:
        for step, groups, p in _steps(inner):
            yield step, (group, *groups), part.p * p / n


def _shown(values: Mapping[str, Any]) -> str:
    texts = {}
    for name, value in values.items():
        if not isinstance(value, tuple):
            texts[name] = f"{value:g}"
        else:
            texts[name] = ", ".join(value) if isinstance(value[0], str) else f"{value[0]:g} to {value[1]:g}"
    return "; ".join(f"{name} {text}" for name, text in texts.items())


def build(config: Sequence[Mapping[str, Any] | str] | str) -> Augmentation:
    """Check a configuration, entries as the module describes or a key of `NAMED`, and build its augmentation.

    Raises
    ------
    StudyError
        A name, key, probability or parameter is unknown or out of range; the message gives the place.
    """
    if isinstance(config, str):
        if config not in NAMED:
            raise StudyError(f"augmentation {config!r}; accepted: {', '.join(NAMED)} or a list of steps")
        config = NAMED[config]
    try:
        return Augmentation(TypeAdapter(tuple[Entry, ...]).validate_python(config))
    except ValidationError as error:
        fault = error.errors()[0]
        keys = ["augmentation", *fault["loc"]]
        named = [key for key, before in pairwise(reversed(keys)) if isinstance(key, int) or isinstance(before, str)]
        place = "augmentation" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in reversed(named))
        if fault["type"] == "value_error":
            raise StudyError(f"{place}: {fault['ctx']['error']}") from error
        raise StudyError(f"{place} is {fault['input']!r}; {fault['msg']}") from error
