"""Tables of validation over utterances: means beside their controls, with intervals that resample what depends."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sslig.stats.resampling import percentiles
from sslig.validation.statistics import STATISTICS

WHAT = ("method", "aggregation", "space", "replacement", "statistic", "at")
"""Columns that tell one measure from another."""

FIGURES = ("value", "control", "advantage", "beaten")


class SummaryError(ValueError):
    """A table that cannot be summed up; the message says what is missing."""


def summarise(
    table: pd.DataFrame,
    by: Sequence[str] = ("detector",),
    *,
    seed: int,
    rounds: int,
    resample_recordings: bool,
    level: float = 0.95,
) -> pd.DataFrame:
    """Means over utterances of what a table of `sslig.validation.statistics.measured` rows holds, with intervals.

    The advantage of an utterance is its value less its control, turned where a lower value is better: above 0 an
    explanation does better than the same map at another time. Value, control, advantage and the share of controls
    beaten are resampled together, and so are all measures of a group, so that they can be compared.

    Parameters
    ----------
    table
        ``utterance``, ``speaker``, ``recording`` where those are resampled, `by`, those of `WHAT` that it has,
        ``value``, ``control`` and ``beaten``.
    by
        What groups are made of: detector, class ...
    seed, rounds, level
        Of the bootstrap (`sslig.stats.resampling.percentiles`).
    resample_recordings
        Whether recordings are drawn within each drawn speaker.

    Returns
    -------
    DataFrame
        `by`, `WHAT`, ``better`` of the statistic, ``n`` utterances in which it is defined, each of `FIGURES` with
        ``_low`` and ``_high``, and ``supported``: the interval of the advantage lies above 0. Intervals are NaN where a
        group is of one unit to resample.

    Raises
    ------
    SummaryError
        A column is missing, or an utterance has a measure twice.
    """
    what = [name for name in WHAT if name in table]
    needed = ["utterance", "speaker", *by, "statistic", "value", "control", "beaten"]
    missing = [name for name in [*needed, *(["recording"] if resample_recordings else [])] if name not in table]
    if missing or table.empty:
        raise SummaryError(f"columns {missing} are missing of {len(table)} rows; there are {list(table.columns)}")
    better = table["statistic"].map({name: one.better for name, one in STATISTICS.items()})
    held = table.assign(advantage=better * (table["value"] - table["control"]))
    keys = ["utterance", "speaker", *(["recording"] if resample_recordings else [])]
    parts = []
    for values, part in held.groupby(list(by)):
        found = _of_group(part, keys, what, seed, rounds, level)
        for place, (name, value) in enumerate(zip(by, values, strict=True)):
            found.insert(place, name, value)
        parts.append(found)
    found = pd.concat(parts, ignore_index=True)
    found.insert(len(by) + len(what), "better", found["statistic"].map({k: v.better for k, v in STATISTICS.items()}))
    return found.assign(supported=found["advantage_low"] > 0)


def _of_group(
    part: pd.DataFrame, keys: list[str], what: list[str], seed: int, rounds: int, level: float
) -> pd.DataFrame:
    twice = part.duplicated(["utterance", *what])
    if twice.any():
        raise SummaryError(f"{part.loc[twice, ['utterance', *what]].iloc[0].to_dict()} stands twice")
    wide = part.pivot(index=keys, columns=what, values=list(FIGURES))  # (utterance, figure and measure)
    held = wide.to_numpy(dtype=np.float64)
    defined = np.isfinite(held)
    filled = np.where(defined, held, 0.0)

    def means(weights: np.ndarray) -> np.ndarray:
        counted = weights @ defined
        return np.where(counted > 0, weights @ filled / np.maximum(counted, 1), np.nan)

    index = wide.index.to_frame(index=False)
    value, low, high = _spread(means, index, "recording" in keys, seed, rounds, level)
    n_measures = len(wide.columns) // len(FIGURES)
    found = (
        wide.columns[:n_measures].droplevel(0).to_frame(index=False) if what else pd.DataFrame(index=range(n_measures))
    )
    found["n"] = defined[:, :n_measures].sum(axis=0)
    for place, name in enumerate(FIGURES):
        own = slice(place * n_measures, (place + 1) * n_measures)
        found[name], found[f"{name}_low"], found[f"{name}_high"] = value[own], low[own], high[own]
    return found


def _spread(
    means, index: pd.DataFrame, recordings: bool, seed: int, rounds: int, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Means of all utterances and the ends of their intervals, NaN where there is one unit to resample only."""
    units = index["recording"] if recordings else index["speaker"]
    if units.nunique() < 2 and index["speaker"].nunique() < 2:
        value = means(np.ones(len(index)))
        return value, *np.full((2, len(value)), np.nan)
    return tuple(
        percentiles(
            means, index["speaker"], seed=seed, rounds=rounds, level=level,
            recordings=index["recording"] if recordings else None,
        )
    )  # fmt: skip
