"""Which utterances to look at: drawn evenly over classes and attacks, from an explicit seed."""

import numpy as np
import pandas as pd

from sslig.labels import KEYS


def stratified(table: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Up to `n` utterances, half of them bona fide, the spoofs spread evenly over the attacks.

    A stratum that is short gives what it has, and the others of its class fill in.

    Parameters
    ----------
    table
        Utterances with ``utterance``, ``key`` and ``attack``.
    n
        How many to draw; all of a class where it has fewer than its half.
    seed
        Of the draw; the order of the rows does not matter.
    """
    chosen = []
    for key in sorted(KEYS):
        of_class = table[table["key"] == key].sort_values("utterance")
        generator = np.random.default_rng((seed, KEYS[key]))
        shuffled = of_class.iloc[generator.permutation(len(of_class))]
        turn = shuffled.groupby("attack").cumcount()  # the k-th of each attack comes before any k + 1-th
        chosen.append(shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")].head(n // 2))
    return pd.concat(chosen).sort_values("utterance").reset_index(drop=True)


def draw(table: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """`n` utterances at random, or all where `n` is none or there are no more."""
    ordered = table.sort_values("utterance")
    if n is None or n >= len(ordered):
        return ordered.reset_index(drop=True)
    rows = np.random.default_rng(seed).choice(len(ordered), n, replace=False)
    return ordered.iloc[np.sort(rows)].reset_index(drop=True)
