"""Which utterances are worth listening to: a table of strata, drawn from an explicit seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from sslig.labels import BONAFIDE, KEYS
from sslig.stats.consensus import CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG, GROUPS, MIDDLE_RIGHT, MIDDLE_WRONG

ORDERS = ("random", "best", "worst")
NEEDED = ("utterance", "key", "attack", "speaker", "group", "spoof_rank")
"""Columns of `sslig.stats.consensus.groups` that `select` reads."""

EVERY_ATTACK = "all"


class SelectionError(ValueError):
    """Strata or groups that cannot be used; the message names the stratum and what is accepted."""


@dataclass(frozen=True)
class Stratum:
    """A line of a selection.

    Parameters
    ----------
    name
        The reason that its utterances carry; unique in a selection.
    key
        ``bonafide`` or ``spoof``.
    group
        One of `sslig.stats.consensus.GROUPS`; none for any.
    n
        How many, taken in turn from each attack.
    per_attack
        How many of each attack, in place of `n`.
    distinct
        ``speaker``: no two utterances of one speaker within the stratum.
    order
        ``random``; ``best``, the most spoof-like spoofs or the least spoof-like bona fide (``spoof_rank``); or
        ``worst``, the other end.
    """

    name: str
    key: str
    group: str | None = None
    n: int | None = None
    per_attack: int | None = None
    distinct: str | None = None
    order: str = "random"

    def __post_init__(self) -> None:
        accepted = {"key": tuple(KEYS), "group": (None, *GROUPS), "distinct": (None, "speaker"), "order": ORDERS}
        for name, values in accepted.items():
            if getattr(self, name) not in values:
                self._refuse(f"{name} is {getattr(self, name)!r}; accepted: {', '.join(map(str, values))}")
        if (self.n is None) == (self.per_attack is None):
            self._refuse(f"n is {self.n} and per_attack is {self.per_attack}; exactly one of them is needed")
        size = self.per_attack if self.n is None else self.n
        if type(size) is not int or size < 1:
            self._refuse(f"{'per_attack' if self.n is None else 'n'} is {size!r}; a whole number above 0 is needed")
        if self.per_attack is not None and KEYS[self.key] == BONAFIDE:
            self._refuse("per_attack of the bona fide, which have no attack; accepted: n")

    def _refuse(self, what: str) -> None:
        raise SelectionError(f"stratum {self.name!r}: {what}")


PAPER = (
    Stratum("best-scored spoof of its attack", "spoof", per_attack=2, order="best"),
    Stratum("confidently right spoof", "spoof", CONFIDENTLY_RIGHT, per_attack=2),
    Stratum("confidently right bona fide", "bonafide", CONFIDENTLY_RIGHT, n=28, distinct="speaker"),
    Stratum("confidently wrong bona fide", "bonafide", CONFIDENTLY_WRONG, n=10),
    Stratum("confidently wrong spoof", "spoof", CONFIDENTLY_WRONG, n=10),
    Stratum("middle right bona fide", "bonafide", MIDDLE_RIGHT, n=5),
    Stratum("middle right spoof", "spoof", MIDDLE_RIGHT, n=5),
    Stratum("middle wrong bona fide", "bonafide", MIDDLE_WRONG, n=5),
    Stratum("middle wrong spoof", "spoof", MIDDLE_WRONG, n=5),
)
"""The selection of arXiv 2606.10912: 132 utterances where there are 16 attacks and no stratum is short.

What is not random comes first, so that no draw takes it away.
"""


def strata(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Stratum, ...]:
    """The strata of an experiment file, each a mapping with the fields of `Stratum`; `PAPER` where it has none.

    Raises
    ------
    SelectionError
        A row is no mapping, has an unknown field, lacks ``name`` or ``key``, or has a value that `Stratum` refuses; a
        name stands twice; or there is no row. The message counts rows from 1.
    """
    if rows is None:
        return PAPER
    found = []
    known = [field.name for field in fields(Stratum)]
    for number, row in enumerate(rows, start=1):
        where = f"selection, row {number}"
        if not isinstance(row, Mapping):
            raise SelectionError(f"{where}: {row!r}; a mapping with {', '.join(known)} is needed")
        unknown = [str(name) for name in row if name not in known]
        missing = [name for name in ("name", "key") if name not in row]
        if unknown or missing:
            raise SelectionError(f"{where}: unknown fields {unknown}, missing fields {missing}; "
                                 f"accepted: {', '.join(known)}")  # fmt: skip
        try:
            found.append(Stratum(**row))
        except SelectionError as error:
            raise SelectionError(f"{where}: {error}") from error
    return _checked(found)


def select(
    groups: pd.DataFrame, strata: Sequence[Stratum] = PAPER, *, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """The utterances of each stratum in turn, none twice, and what the strata asked for and did not find.

    Where attacks differ in size, their utterances are taken in turns: one of each attack, then a second of each. In a
    random order, that of the attacks is random too; else the attack with the most extreme utterance comes first.

    Parameters
    ----------
    groups
        Utterances as of `sslig.stats.consensus.groups`; the order of the rows does not matter.
    strata
        In the order in which they take; what one took is not there for those after it.
    seed
        Of the draws; each stratum has its own, from its place.

    Returns
    -------
    chosen : DataFrame
        The columns of `groups` and ``reason``, the name of the stratum; strata in turn, utterances by name.
    shortages : DataFrame
        ``stratum``, ``attack`` (``all`` where the stratum asks for no number of each), ``asked`` and ``found``, a row
        for each that found fewer than it asked for; an attack that has no utterance of the group is one of them.

    Raises
    ------
    SelectionError
        A column is missing, an utterance stands twice, a name of a stratum stands twice, or there is no stratum.
    """
    _check_groups(groups)
    left, chosen, shortages = groups.sort_values("utterance"), [], []
    for place, stratum in enumerate(_checked(strata)):
        ordered = _ordered(left[_fits(left, stratum)], stratum, np.random.default_rng((seed, place)))
        taken = left[left["utterance"].isin(list(_in_turns(ordered, stratum)))].assign(reason=stratum.name)
        left = left[~left["utterance"].isin(taken["utterance"])]
        chosen.append(taken)
        shortages += _shortages(taken, stratum, groups)
    columns = ["stratum", "attack", "asked", "found"]
    return pd.concat(chosen, ignore_index=True), pd.DataFrame(shortages, columns=columns)


def _checked(strata: Sequence[Stratum]) -> tuple[Stratum, ...]:
    names = [stratum.name for stratum in strata]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise SelectionError(f"{names.count(twice[0])} strata {twice[0]!r}; one is needed" if twice else "no stratum")
    return tuple(strata)


def _check_groups(groups: pd.DataFrame) -> None:
    missing = [column for column in NEEDED if column not in groups]
    if missing:
        raise SelectionError(f"the groups lack {', '.join(missing)}; they have {', '.join(map(str, groups.columns))}")
    twice = groups.loc[groups["utterance"].duplicated(), "utterance"]
    if len(twice):
        raise SelectionError(f"utterance {twice.iloc[0]} stands twice in the groups")


def _fits(groups: pd.DataFrame, stratum: Stratum) -> pd.Series:
    of_class = groups["key"] == stratum.key
    return of_class if stratum.group is None else of_class & (groups["group"] == stratum.group)


def _ordered(candidates: pd.DataFrame, stratum: Stratum, rng: np.random.Generator) -> pd.DataFrame:
    """Candidates, those to be taken first on top; they come by name, which decides where ranks are equal."""
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
            found = next(((name, who) for name, who in queue if not stratum.distinct or who not in speakers), None)
            if found is None:
                continue
            if n_taken == limit:
                return
            speakers.add(found[1])
            n_taken += 1
            yield found[0]


def _shortages(taken: pd.DataFrame, stratum: Stratum, groups: pd.DataFrame) -> list[tuple[str, str, int, int]]:
    if stratum.per_attack is None:
        return [(stratum.name, EVERY_ATTACK, stratum.n, len(taken))] if len(taken) < stratum.n else []
    attacks = sorted(groups.loc[groups["key"] == stratum.key, "attack"].unique())
    found = taken["attack"].value_counts()
    counts = [(attack, int(found.get(attack, 0))) for attack in attacks]
    asked = stratum.per_attack
    return [(stratum.name, attack, asked, count) for attack, count in counts if count < asked]
