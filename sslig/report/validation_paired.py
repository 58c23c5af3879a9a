"""Differences between maps on the very same utterances, averaged over kinds and detectors, with intervals."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from sslig.cues.association import clusters_of
from sslig.stats.resampling import percentiles
from sslig.study import Study

CELLS = ("kind", "detector")
"""What means are averaged over, so that a kind with many detected spoofs counts no more than one with few."""


def paired(
    study: Study, table: pd.DataFrame, option: str, reference: str, cells: Sequence[str] = CELLS
) -> pd.DataFrame:
    """The mean of each option over cells, and its difference to one of them on the same utterances.

    Every round draws the same speakers, and recordings within them where the study resamples these, for all cells and
    options: what differs between utterances cancels. An option is compared on the cells that it is of.

    Parameters
    ----------
    study
        Its bootstrap.
    table
        Rows of one statistic: ``utterance``, ``speaker``, ``recording``, `cells`, `option` and ``value``.
    option
        Column that names what is compared.
    reference
        The value of `option` that the others are compared with.

    Returns
    -------
    DataFrame
        A row an option in the order of `table`: `option`, ``n`` utterances and ``cells`` in which it and the reference
        are defined, ``value`` and ``difference`` each with ``_low`` and ``_high``; NaN where nothing can be resampled.

    Raises
    ------
    ValueError
        No row is of the reference.
    """
    options = list(dict.fromkeys(table[option]))
    if reference not in options:
        raise ValueError(f"no rows of {reference!r}; there are {', '.join(map(str, options)) or 'none'}")
    keys = [*cells, "utterance", "speaker", "recording"]
    rows = table.pivot(index=keys, columns=option, values="value")[options]
    held = rows.to_numpy(dtype=np.float64)  # (row, option)
    about = rows.index.to_frame(index=False)
    both = np.isfinite(held) & np.isfinite(held[:, [options.index(reference)]])
    of_cell = about.groupby(list(cells), sort=False).ngroup().to_numpy() == np.arange(
        len(about[list(cells)].drop_duplicates())
    ).reshape(-1, 1)  # (cell, row)
    means = _means(held, both, of_cell.astype(np.float64), options.index(reference))
    value, low, high = _spread(study, means, about)
    found = pd.DataFrame({option: options, "n": both.sum(axis=0), "cells": (of_cell @ both > 0).sum(axis=0)})
    for place, name in enumerate(("value", "difference")):
        own = slice(place * len(options), (place + 1) * len(options))
        found[name], found[f"{name}_low"], found[f"{name}_high"] = value[own], low[own], high[own]
    return found


def _means(
    held: np.ndarray, both: np.ndarray, of_cell: np.ndarray, reference: int
) -> Callable[[np.ndarray], np.ndarray]:  # fmt: skip
    """From (row,) how often each row counts to the (option,) means and then the (option,) differences."""
    filled = np.where(both, held, 0.0)
    others = np.where(both, held[:, [reference]], 0.0)

    def means(weights: np.ndarray) -> np.ndarray:
        counted = (of_cell * weights) @ both  # (cell, option)
        drawn = counted > 0
        by_cell = [(of_cell * weights) @ one / np.where(drawn, counted, 1.0) for one in (filled, filled - others)]
        n_drawn = drawn.sum(axis=0)
        averaged = [np.where(drawn, one, 0.0).sum(axis=0) / np.maximum(n_drawn, 1) for one in by_cell]
        return np.concatenate([np.where(n_drawn > 0, one, np.nan) for one in averaged])

    return means


def _spread(
    study: Study, means: Callable[[np.ndarray], np.ndarray], about: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    recordings = about["recording"] if study.evaluation.resample_recordings else None
    if clusters_of(about["speaker"], recordings) is None:
        value = means(np.ones(len(about)))
        return value, *np.full((2, len(value)), np.nan)
    options = {"seed": study.corpus.seed, "rounds": study.validation.rounds}
    return tuple(percentiles(means, about["speaker"], recordings=recordings, **options))
