"""Which utterances a step works on: random and even draws from an explicit seed, and the rows of one shard."""

import re

import numpy as np
import pandas as pd

from sslig.errors import InputError
from sslig.labels import KEYS


def draw(table: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """`n` utterances at random, in order of their names; all where `n` is none or there are no more."""
    ordered = table.sort_values("utterance")
    if n is None or n >= len(ordered):
        return ordered.reset_index(drop=True)
    rows = np.random.default_rng(seed).choice(len(ordered), n, replace=False)
    return ordered.iloc[np.sort(rows)].reset_index(drop=True)


def stratified(table: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Up to `n` utterances, half of them bona fide, the spoofs spread evenly over the attacks.

    An attack that is short gives all it has, and the other attacks fill in.

    Parameters
    ----------
    table
        Utterances with ``utterance``, ``key`` and ``attack``; the order of the rows does not matter.
    n
        Size of the sample; a class with fewer than half of it is taken whole.
    seed
        Seed of the draw.
    """
    classes = []
    for key in sorted(KEYS):
        utterances = table[table["key"] == key].sort_values("utterance")
        generator = np.random.default_rng((seed, KEYS[key]))
        shuffled = utterances.iloc[generator.permutation(len(utterances))]
        turn = shuffled.groupby("attack").cumcount()  # the k-th of each attack comes before any k + 1-th
        classes.append(shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")].head(n // 2))
    return pd.concat(classes).sort_values("utterance").reset_index(drop=True)


def shard_of(table: pd.DataFrame, shard: str) -> pd.DataFrame:
    """The rows of one shard: with ``1of4``, every fourth row from the second on.

    Raises
    ------
    InputError
        `shard` is not ``<number>of<count>`` with the number below the count.
    """
    match = re.fullmatch(r"(\d+)of(\d+)", shard)
    if match is None or int(match[1]) >= int(match[2]):
        raise InputError(f"shard {shard!r}; accepted: 0of4, 1of4, ..., the number below the count")
    return table.iloc[int(match[1]) :: int(match[2])].reset_index(drop=True)
