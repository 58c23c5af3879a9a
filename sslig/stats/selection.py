"""Selection of utterances worth listening to: strata of classes and verdicts, drawn from a fixed seed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from sslig.errors import StudyError
from sslig.labels import BONAFIDE, KEYS
from sslig.stats.agreement import CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG, MIDDLE_RIGHT, MIDDLE_WRONG

EVERY_ATTACK = "all"


class Stratum(BaseModel):
    """A line of a selection.

    Attributes
    ----------
    name
        The reason that its utterances carry; unique in a selection.
    group
        One of `sslig.stats.agreement.GROUPS`; none for any.
    n, per_attack
        Number of utterances, taken in turn from each attack, or number of utterances of each attack.
    distinct
        ``speaker``: no two utterances of one speaker within the stratum.
    order
        ``best`` takes the most spoof-like spoofs or the least spoof-like bona fide (``spoof_rank``), ``worst`` the
        other end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    key: Literal["bonafide", "spoof"]
    group: Literal["confidently right", "middle right", "middle wrong", "confidently wrong", "mixed"] | None = None
    n: PositiveInt | None = None
    per_attack: PositiveInt | None = None
    distinct: Literal["speaker"] | None = None
    order: Literal["random", "best", "worst"] = "random"

    @model_validator(mode="after")
    def _sized_once(self) -> Self:
        if (self.n is None) == (self.per_attack is None):
            raise ValueError(f"n is {self.n} and per_attack is {self.per_attack}; exactly one of them is needed")
        if self.per_attack is not None and KEYS[self.key] == BONAFIDE:
            raise ValueError("bona fide utterances have no attack: per_attack is not accepted, n is")
        return self


PAPER = (
    Stratum(name="best-scored spoof of its attack", key="spoof", per_attack=2, order="best"),
    Stratum(name="confidently right spoof", key="spoof", group=CONFIDENTLY_RIGHT, per_attack=2),
    Stratum(name="confidently right bona fide", key="bonafide", group=CONFIDENTLY_RIGHT, n=28, distinct="speaker"),
    Stratum(name="confidently wrong bona fide", key="bonafide", group=CONFIDENTLY_WRONG, n=10),
    Stratum(name="confidently wrong spoof", key="spoof", group=CONFIDENTLY_WRONG, n=10),
    Stratum(name="middle right bona fide", key="bonafide", group=MIDDLE_RIGHT, n=5),
    Stratum(name="middle right spoof", key="spoof", group=MIDDLE_RIGHT, n=5),
    Stratum(name="middle wrong bona fide", key="bonafide", group=MIDDLE_WRONG, n=5),
    Stratum(name="middle wrong spoof", key="spoof", group=MIDDLE_WRONG, n=5),
)
"""The selection of arXiv 2606.10912: 132 utterances where there are 16 attacks and no stratum is short.

Strata that do not draw at random come first, so that no draw takes their utterances.
"""


def strata(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Stratum, ...]:
    """The strata of an experiment file, each with the fields of `Stratum`; `PAPER` where it has none.

    Raises
    ------
    StudyError
        A row is not a stratum, a name stands twice, or there is no row. The message counts rows from 1.
    """
    if rows is None:
        return PAPER
    chosen = []
    for number, row in enumerate(rows, start=1):
        try:
            chosen.append(Stratum.model_validate(row))
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
            raise StudyError(f"selection, row {number}: {'; '.join(problems)}") from error
    names = [stratum.name for stratum in chosen]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise StudyError(f"selection: {f'several strata {twice[0]!r}' if twice else 'no stratum'}")
    return tuple(chosen)


def select(groups: pd.DataFrame, strata: Sequence[Stratum] = PAPER, *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the utterances of each stratum in turn, none twice, and list what the strata lack.

    Where attacks differ in size, their utterances are taken in turns: one of each attack, then a second of each. In a
    random order, that of the attacks is random too; else the attack with the most extreme utterance comes first.

    Parameters
    ----------
    groups
        Utterances (`sslig.stats.agreement.groups`), each once, in any order.
    strata
        In the order in which they draw; an utterance that one stratum took is not available to later ones.
    seed
        Seed of the draws, from which and its position each stratum has its own.

    Returns
    -------
    chosen : DataFrame
        The columns of `groups` and ``reason``, the name of the stratum; strata in turn, utterances by name.
    shortages : DataFrame
        ``stratum``, ``attack`` (``all`` where the stratum asks for no number of each), ``asked`` and ``found``, a row
        for each that has fewer than it asked for.
    """
    left, chosen, shortages = groups.sort_values("utterance"), [], []
    for position, stratum in enumerate(strata):
        candidates = left[(left["key"] == stratum.key) & (stratum.group is None or left["group"] == stratum.group)]
        ordered = _ordered(candidates, stratum, np.random.default_rng((seed, position)))
        taken = left[left["utterance"].isin(list(_in_turns(ordered, stratum)))].assign(reason=stratum.name)
        left = left[~left["utterance"].isin(taken["utterance"])]
        chosen.append(taken)
        shortages += _shortages(taken, stratum, groups)
    columns = ["stratum", "attack", "asked", "found"]
    return pd.concat(chosen, ignore_index=True), pd.DataFrame(shortages, columns=columns)


def _ordered(candidates: pd.DataFrame, stratum: Stratum, rng: np.random.Generator) -> pd.DataFrame:
    """Candidates in the order in which they are taken; they come by name, which decides between equal ranks."""
    if stratum.order == "random":
        return candidates.iloc[rng.permutation(len(candidates))]
    highest_first = (KEYS[stratum.key] != BONAFIDE) == (stratum.order == "best")
    return candidates.sort_values("spoof_rank", ascending=not highest_first, kind="stable")


def _in_turns(ordered: pd.DataFrame, stratum: Stratum) -> Iterator[str]:
    """Utterances from each attack in turn, until the stratum is full or nothing is left."""
    queues = [zip(part["utterance"], part["speaker"], strict=True) for _, part in ordered.groupby("attack", sort=False)]
    limit = stratum.n if stratum.per_attack is None else stratum.per_attack * len(queues)
    turns, speakers, n_taken = stratum.per_attack or stratum.n, set(), 0
    for _ in range(turns):
        for queue in queues:
            available = (pair for pair in queue if not stratum.distinct or pair[1] not in speakers)
            utterance, speaker = next(available, (None, None))
            if utterance is None:
                continue
            if n_taken == limit:
                return
            speakers.add(speaker)
            n_taken += 1
            yield utterance


def _shortages(taken: pd.DataFrame, stratum: Stratum, groups: pd.DataFrame) -> list[tuple[str, str, int, int]]:
    if stratum.per_attack is None:
        return [(stratum.name, EVERY_ATTACK, stratum.n, len(taken))] if len(taken) < stratum.n else []
    attacks = sorted(groups.loc[groups["key"] == stratum.key, "attack"].unique())
    counts = taken["attack"].value_counts().reindex(attacks, fill_value=0)
    return [(stratum.name, attack, stratum.per_attack, n) for attack, n in counts.items() if n < stratum.per_attack]
