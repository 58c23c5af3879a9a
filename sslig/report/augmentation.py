"""What augmentation does to one utterance: versions to hear and to see, what each changed, and what training uses."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig import audio
from sslig.corpora import protocol
from sslig.data import filters, rawboost
from sslig.data.augment import PUBLISHED, Augmentation, Chain, Part, Step, build
from sslig.data.distortions import STEPS
from sslig.errors import CorpusError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.report.display import listed
from sslig.study import Study

ORIGINAL = "original"
LENGTH_S = (2.0, 2.5)
"""How long an example should be: enough to hear what happens, short enough to embed some thirty versions of it."""
LOOKED_AT = 50
"""Utterances whose length is read in search of an example: a large corpus has thousands."""
DRAWS = 200
"""Draws of a pipeline that are counted."""

LENGTH, LEVEL, SNR = "change of length (ms)", "change of level (dB)", "SNR (dB)"

Config = Sequence[Mapping[str, Any] | str] | str


@dataclass(frozen=True)
class Example:
    """The utterance that a page shows: its name and its (samples,)."""

    utterance: str
    samples: np.ndarray


@dataclass(frozen=True)
class Version:
    """One version of an utterance: its name, its (samples,), and what it was drawn from or what changed it."""

    name: str
    samples: np.ndarray
    about: str = ""


def example(root: Path, seed: int) -> Example:
    """A bona fide training utterance drawn at random; of the first `LOOKED_AT` drawn the one nearest to `LENGTH_S`.

    A longer utterance is cut to the longest length.

    Parameters
    ----------
    root
        Folder of the corpus.
    seed
        Of the draw.

    Raises
    ------
    CorpusError
        The training set has no bona fide utterance.
    """
    table = protocol.load_set(root, "train")
    spoken = table[table["key"] == "bonafide"].sort_values("utterance")
    if not len(spoken):
        raise CorpusError(f"{root}: none of {len(table)} utterances of train is bonafide; one is needed")
    drawn = spoken.sample(min(LOOKED_AT, len(spoken)), random_state=seed)
    length_s = np.array([audio.n_samples(path) for path in drawn["path"]]) / SAMPLE_RATE_HZ
    chosen = drawn.iloc[np.argmin(np.maximum(LENGTH_S[0] - length_s, 0) + np.maximum(length_s - LENGTH_S[1], 0))]
    return Example(chosen["utterance"], audio.read(chosen["path"], 0, round(LENGTH_S[1] * SAMPLE_RATE_HZ)))


def example_note(original: Example) -> str:
    """Which utterance it is and how much of it is used, in words."""
    return (
        f"The utterance is `{original.utterance}`; its first {len(original.samples) / SAMPLE_RATE_HZ:.2f} s are used."
    )


def groups() -> dict[str, dict[str, Step]]:
    """Every step, always done, by name: ``general``, ``filters``, and ``rawboost`` with one step an algorithm."""
    boosts = {
        f"rawboost {number}": Step("rawboost", parameters={"algorithm": number}) for number in rawboost.ALGORITHMS
    }
    others = {name: Step(name) for name in STEPS if name != "rawboost"}
    filtering = {name for name in others if STEPS[name].__module__ == filters.__name__}
    return {
        "general": {name: step for name, step in others.items() if name not in filtering},
        "filters": {name: step for name, step in others.items() if name in filtering},
        "rawboost": boosts,
    }


def versions(original: Example, steps: Mapping[str, Step], seed: int) -> list[Version]:
    """The original and its version after each of `steps`, drawn once; steps draw apart from one another."""
    made = [
        Version(name, Augmentation((step,))(original.samples, 0, f"{original.utterance} {name}", seed), values(step))
        for name, step in steps.items()
    ]
    return [Version(ORIGINAL, original.samples), *made]


def draws(original: Example, config: Config, seed: int, n: int = 3) -> list[Version]:
    """The original and `n` draws of a configuration, each told by the parts that changed it."""
    augmentation, made = build(config), []
    for epoch in range(n):
        samples, changing = original.samples, []
        for number, part in enumerate(augmentation.parts):
            before = samples
            samples = Augmentation((part,), number)(before, epoch, original.utterance, seed)
            if not np.array_equal(samples, before):
                changing.append(part.name if isinstance(part, Step) else f"part {number + 1}")
        made.append(Version(f"draw {epoch + 1}", samples, ", ".join(changing) or "as it was"))
    return [Version(ORIGINAL, original.samples), *made]


def n_changed(original: Example, config: Config, seed: int, n: int = DRAWS) -> int:
    """How many of `n` draws of a configuration gave other samples than the original's."""
    augmentation = build(config)
    drawn = (augmentation(original.samples, epoch, original.utterance, seed) for epoch in range(n))
    return sum(not np.array_equal(samples, original.samples) for samples in drawn)


def recordings(made: Sequence[Version]) -> dict[str, list[bytes]]:
    """Versions as `sslig.plots.players.players` needs them; samples outside [-1, 1] are clipped."""
    labels = [f"{version.name}: {version.about}" if version.about else version.name for version in made]
    return {label: [audio.flac_bytes(version.samples, label)] for label, version in zip(labels, made, strict=True)}


def waveforms(made: Sequence[Version]) -> dict[str, np.ndarray]:
    """Versions as `sslig.plots.augmentation` needs them: name -> (samples,), the original first."""
    return {version.name: version.samples for version in made}


def facts(made: Sequence[Version]) -> pd.DataFrame:
    """What each version is beside the original, which stands first: a row a version, the original left out.

    The SNR of a version y of the original x is 10 log10(sum of (a x)^2 / sum of (y - a x)^2) with a = sum of x y / sum
    of x^2, so that a mere change of level is no distance. It is infinite where y is a x, and missing where the lengths
    differ.

    Returns
    -------
    DataFrame
        ``step``, `LENGTH`, `LEVEL`, ``peak`` (1 is full scale) and `SNR`.

    Raises
    ------
    ValueError
        All samples of the original are zero: it has no level to compare with.

    References
    ----------
    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019: the scale-invariant ratio.
    """
    x = made[0].samples.astype(np.float64)
    if not x.any():
        raise ValueError(f"{made[0].name}: all {len(x)} samples are zero; levels are compared with those of a sound")
    return pd.DataFrame([{"step": one.name, **_fact(x, one.samples.astype(np.float64))} for one in made[1:]])


def _fact(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    with np.errstate(divide="ignore"):
        level_db = 10 * np.log10(np.mean(y**2) / np.mean(x**2))
    length_ms = 1000 * (len(y) - len(x)) / SAMPLE_RATE_HZ
    snr_db = _snr_db(x, y) if len(x) == len(y) else np.nan
    return {LENGTH: length_ms, LEVEL: level_db, "peak": np.abs(y).max(), SNR: snr_db}


def _snr_db(x: np.ndarray, y: np.ndarray) -> float:
    copy = np.sum(x * y) / np.sum(x**2) * x
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.sum(copy**2) / np.sum((y - copy) ** 2)) if y.any() else -np.inf


def facts_note(table: pd.DataFrame) -> str:
    """Which steps of `facts` changed nothing, which the length, and which one is furthest from the original."""
    nothing, other = table.loc[~_changed(table), "step"].tolist(), table[table[LENGTH] != 0]
    said = [f"Nothing was changed by {_code(nothing)}."] if nothing else []
    if len(other):
        changes = [f"`{step}` ({change:+.0f} ms)" for step, change in zip(other["step"], other[LENGTH], strict=True)]
        said.append(f"The length was changed by {listed(changes)}.")
    if table[SNR].notna().any():
        said.append(f"Of the steps that keep the length, {_furthest(table)} goes furthest.")
    return " ".join(said)


def configuration(config: Config) -> pd.DataFrame:
    """A configuration as a table: a row a step, with the part of the pipeline and the groups that it stands in.

    The probability is that of the step over all draws: those of its groups are multiplied in.

    Returns
    -------
    DataFrame
        ``part``, ``group``, ``step``, ``probability (%)`` and ``drawn from``.
    """
    rows = [
        (number, ", ".join(groups), step.name, 100 * p, values(step))
        for number, part in enumerate(build(config).parts, 1)
        for step, groups, p in _leaves(part)
    ]
    return pd.DataFrame(rows, columns=["part", "group", "step", "probability (%)", "drawn from"])


def values(step: Step) -> str:
    """What a step draws from, defaults included, as ``share 0.2 to 0.5``; of RawBoost the algorithm and what it does.

    Ranges of RawBoost are named where the step has others than those of `rawboost_ranges`.
    """
    known = inspect.signature(STEPS[step.name]).parameters.values()
    given = {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY} | dict(step.parameters)
    if step.name == "rawboost":
        algorithm, changed = given.pop("algorithm"), given.pop("parameters") or {}
        doing = ", ".join(one.__name__ for one in rawboost.stages(algorithm))
        given = {"algorithm": f"{algorithm} ({doing})", **changed}
    return "; ".join(f"{name} {_text(value)}" for name, value in given.items())


def rawboost_ranges() -> pd.DataFrame:
    """What RawBoost draws from unless a configuration says otherwise: ``parameter``, ``from`` and ``to``."""
    found: dict[str, list[float]] = {}
    for one in fields(rawboost.Parameters):
        name = one.name.replace("min_", "").replace("max_", "")
        found.setdefault(name, []).append(getattr(rawboost.DEFAULTS, one.name))
    rows = [(name, f"{both[0]:g}", f"{both[-1]:g}") for name, both in found.items()]
    return pd.DataFrame(rows, columns=["parameter", "from", "to"])


def use(study: Study) -> str:
    """What a study trains with, in words."""
    config = study.training.augmentation
    if not config:
        return "without augmentation"
    if isinstance(config, str):
        return f"with the pipeline called `{config}`"
    return f"with a list of its own, of {_code(list(dict.fromkeys(configuration(config)['step'])))}"


def answer(study: Study, original: Example, table: pd.DataFrame, seed: int) -> str:
    """The page's answer: what the steps of `facts` did, how often pipelines act, and what the study trains with."""
    config = study.training.augmentation
    own = isinstance(config, list) and config
    acts = f"; that changes it in {n_changed(original, config, seed)} of {DRAWS} draws" if own else ""
    return (
        f"**Answer.** {int(_changed(table).sum())} of {len(table)} augmentations change this utterance, "
        f"{_furthest(table)} most of those that keep its length. The published pipeline changes it in "
        f"{n_changed(original, PUBLISHED, seed)} of {DRAWS} draws. This study trains {use(study)}{acts}."
    )


def _changed(table: pd.DataFrame) -> pd.Series:
    return (table[LENGTH] != 0) | (table[LEVEL] != 0) | (table[SNR] != np.inf)


def _furthest(table: pd.DataFrame) -> str:
    row = table.loc[table[SNR].idxmin()]
    return f"`{row['step']}` (SNR {row[SNR]:z.0f} dB)"


def _code(words: Sequence[str]) -> str:
    return listed([f"`{word}`" for word in words])


def _leaves(part: Part) -> Iterator[tuple[Step, tuple[str, ...], float]]:
    """The steps of a part, each with the groups it stands in, the outermost first, and how likely it is done."""
    if isinstance(part, Step):
        yield part, (), part.p
        return
    n = len(part.parts)
    group, share = ("chain", part.p) if isinstance(part, Chain) else (f"one of {n}", part.p / n)
    for inner in part.parts:
        for step, groups, p in _leaves(inner):
            yield step, (group, *groups), share * p


def _text(value: Any) -> str:
    """A value as a table shows it: a pair of numbers as a range, names as a list."""
    if not isinstance(value, list | tuple):
        return f"{value:g}" if isinstance(value, int | float) else str(value)
    if all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return f"{value[0]:g} to {value[-1]:g}"
