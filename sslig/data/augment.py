"""Augmentation of training recordings: which steps, how likely and in which ranges, drawn anew for each utterance.

A configuration is a list; each entry is one of::

    {name: zero_span, p: 0.3, share: [0.2, 0.5]}    # a step of `STEPS` with its parameters; the name alone is enough
    {chain: [...], p: 0.3}                          # entries in series
    {one_of: [...], p: 0.9}                         # one entry, each as likely

`p` is 1 where it is left out. Ranges are pairs of numbers that a value is drawn between.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sslig.data.distortions import CHANGE_LENGTH, STEPS, ParameterError, check
from sslig.data.rawboost import RawBoostError

PUBLISHED: tuple[Mapping[str, Any], ...] = (
    {"name": "trim_leading_silence", "p": 0.5},
    {"name": "zero_span", "p": 0.3, "share": (0.2, 0.5)},
    {"name": "mu_law", "p": 0.3},
    {"name": "rawboost", "p": 0.3, "algorithm": 5},
    {
        "chain": (
            {"one_of": ("coloured_noise", "gaussian_noise", "gaussian_snr"), "p": 0.9},
            {
                "one_of": (
                    "band_pass",
                    "band_stop",
                    "high_pass",
                    "high_shelf",
                    "low_pass",
                    "low_shelf",
                    "peaking",
                ),
                "p": 0.9,
            },
        ),
        "p": 0.3,
    },
)
"""The pipeline that the paper's detectors were trained with, as a configuration; also called ``published``."""

NAMED: Mapping[str, Sequence[Mapping[str, Any]]] = {"published": PUBLISHED}
"""Configurations that have a name."""


class AugmentationError(ValueError):
    """A configuration or samples that cannot be used; the message says where, what was found and what is accepted."""


@dataclass(frozen=True)
class Step:
    """One of `STEPS`, done with probability `p`.

    Parameters
    ----------
    name
        Its name in `STEPS`.
    p
        How likely it is.
    parameters
        Its keyword arguments; what is left out has the step's default.
    """

    name: str
    p: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes_length(self) -> bool:
        """Whether the samples may be more or fewer after it."""
        return self.name in CHANGE_LENGTH

    def __call__(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after the step, or as they are."""
        if generator.random() >= self.p:
            return samples
        return STEPS[self.name](samples, generator, **self.parameters)


@dataclass(frozen=True)
class _Group:
    """Parts that are done, or not, together."""

    parts: tuple["Part", ...]
    p: float = 1.0

    @property
    def changes_length(self) -> bool:
        """Whether the samples may be more or fewer after it."""
        return any(part.changes_length for part in self.parts)


class Chain(_Group):
    """Parts in series, done with probability `p`; each part has its own probability besides."""

    def __call__(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after all parts, or as they are."""
        if generator.random() >= self.p:
            return samples
        for part in self.parts:
            samples = part(samples, generator)
        return samples


class OneOf(_Group):
    """One part, each as likely, done with probability `p`."""

    def __call__(self, samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(samples,) The samples after the drawn part, or as they are."""
        if generator.random() >= self.p:
            return samples
        return self.parts[generator.integers(len(self.parts))](samples, generator)


Part = Step | Chain | OneOf


@dataclass(frozen=True)
class Augmentation:
    """Parts in series, each with a generator of its own, so that no part's draws depend on another's.

    Parameters
    ----------
    parts
        What is done.
    first
        Number of the first part in the whole it was split from.
    """

    parts: tuple[Part, ...]
    first: int = 0

    def __call__(self, samples: np.ndarray, epoch: int, utterance: str, seed: int) -> np.ndarray:
        """(samples,) float32 The samples augmented; the same for a seed, an epoch and an utterance in any process.

        The length changes only if a part's `changes_length` is true. The input is left as it is.

        Parameters
        ----------
        samples
            (samples,) float32 at 16 kHz.
        epoch, seed
            From 0.
        utterance
            Its name, or whatever else tells draws of an epoch apart.

        Raises
        ------
        AugmentationError
            The samples are not one channel of float32, or there are none.
        """
        if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or samples.ndim != 1 or not samples.size:
            found = f"{getattr(samples, 'dtype', type(samples).__name__)} of shape {np.shape(samples)}"
            raise AugmentationError(f"{utterance}: {found}; accepted: a NumPy array of float32, (samples,), not empty")
        for number, part in enumerate(self.parts, self.first):
            samples = part(samples, generator_of(seed, epoch, utterance, number))
        return samples

    def split(self) -> tuple["Augmentation", "Augmentation"]:
        """What has to see the whole recording, and what may see a crop of it: first up to the last change of length.

        Both in turn do what this does; between them the caller cuts the crop, and pays for the rest per crop.
        """
        changing = [number for number, part in enumerate(self.parts, 1) if part.changes_length]
        cut = max(changing, default=0)
        return Augmentation(self.parts[:cut], self.first), Augmentation(self.parts[cut:], self.first + cut)


def generator_of(seed: int, epoch: int, utterance: str, part: int) -> np.random.Generator:
    """The generator of one part for one utterance; unlike ``hash``, the digest is the same in every process."""
    name = int.from_bytes(hashlib.blake2b(utterance.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng((seed, epoch, part, name))


def build(config: Sequence[Mapping[str, Any] | str] | str) -> Augmentation:
    """The augmentation of a configuration, checked.

    Parameters
    ----------
    config
        Entries as the module describes, or the name of one of `NAMED`. An empty list changes nothing.

    Raises
    ------
    AugmentationError
        A name, key, probability or parameter is unknown or out of range; the message says where and what is accepted.
    """
    if isinstance(config, str):
        if config not in NAMED:
            raise AugmentationError(f"augmentation {config!r}; accepted: {', '.join(NAMED)} or a list of steps")
        config = NAMED[config]
    return Augmentation(_parts(config, "augmentation"))


def _parts(config: Any, place: str) -> tuple[Part, ...]:
    if not isinstance(config, list | tuple):
        raise AugmentationError(f"{place} is {config!r}; accepted: a list of steps")
    return tuple(_part(entry, f"{place}[{number}]") for number, entry in enumerate(config))


def _part(entry: Any, place: str) -> Part:
    entry = {"name": entry} if isinstance(entry, str) else entry
    kinds = [kind for kind in ("name", "chain", "one_of") if isinstance(entry, Mapping) and kind in entry]
    if len(kinds) != 1:
        raise AugmentationError(f"{place} is {entry!r}; accepted: the name of a step, or a mapping with one of name, "
                                f"chain and one_of; known steps: {', '.join(STEPS)}")  # fmt: skip
    given = dict(entry)
    content, p = given.pop(kinds[0]), given.pop("p", 1.0)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        raise AugmentationError(f"{place}.p is {p!r}; accepted: a probability from 0 to 1")
    return _step(content, p, given, place) if kinds[0] == "name" else _group(kinds[0], content, p, given, place)


def _step(name: Any, p: float, parameters: Mapping[str, Any], place: str) -> Step:
    try:
        check(name, parameters)
    except (ParameterError, RawBoostError) as error:
        raise AugmentationError(f"{place}: {error}") from error
    return Step(name, p, parameters)


def _group(kind: str, content: Any, p: float, others: Mapping[str, Any], place: str) -> Chain | OneOf:
    parts = _parts(content, f"{place}.{kind}")
    if others or not parts:
        found = f"{len(parts)} steps and the keys {', '.join(map(str, others)) or 'of a group'}"
        raise AugmentationError(f"{place}: {kind} with {found}; accepted: at least one step, and no key but p")
    return Chain(parts, p) if kind == "chain" else OneOf(parts, p)
