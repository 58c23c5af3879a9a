"""Tables of validation over utterances: means beside chance, paired differences, and which method should explain."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sslig.attribution.explanation import COMPLETE, NOT_PROMISED, SIGNED
from sslig.attribution.explanation import summary as certificates
from sslig.stats.bootstrap import Estimate, Statistic, Units, estimate, mean, mean_of_cells
from sslig.validation.localisation import LIMITS, PLAIN, PLAIN_MAPS
from sslig.validation.statistics import STATISTICS
from sslig.validation.transplants import NO, OPEN, YES
from sslig.validation.transplants import summarise as summarise_transplants

WHAT = ("method", "space", "aggregation", "smoothing_ms", "replacement", "statistic", "at")
"""Columns that distinguish one measure from another."""

FIGURES = ("value", "advantage", "chance", "chance_low", "chance_high", "beaten")
INTERVALS = FIGURES[:2]
"""Figures that get an interval."""

CELLS = ("kind", "detector")
"""What means of localisation are averaged over, so that a kind of many detected spoofs counts no more than another."""

MAP = ("method", "space")
"""What a map is called; limits have one name in both spaces."""

MEASURE = "skill"
"""The measure that methods are ranked by: the mean of ROC-AUC and relevance mass, each from 0 at chance to 1."""

RANDOM = "random"

LEARNT_EER = 0.2
"""A detector with a higher EER has not learnt a kind: of the spoofs that it detects, more than one in four would be
called spoof without the cue too, and no map of those can be expected to point at it."""

LEAST_COMPLETE = 0.95
"""A method that promises to add up keeps its promise where at least this share of its explanations is complete."""


def summarise(table: pd.DataFrame, by: Sequence[str] = ("detector",), **bootstrap: int) -> pd.DataFrame:
    """Means over utterances of rows of `sslig.validation.statistics.measured`, with intervals.

    The advantage of an utterance is its value less chance, with the sign turned where a lower value is better: above 0
    an explanation does better than the same map at another time. All measures of a group are resampled together.

    `table` has measured rows with ``utterance``, ``speaker``, ``recording`` and the columns `by` that make groups;
    `bootstrap` are ``seed``, ``rounds`` and ``recordings``, whether recordings are resampled within speakers. The
    result keeps the order of `table`: `by`, `WHAT`, ``better`` of the statistic, ``n`` utterances that define
    it, the means `FIGURES`, those of `INTERVALS` with ``_low`` and ``_high``, NaN where a group has only one unit, and
    ``supported``: the interval of the advantage lies above 0.
    """
    what, keys = [name for name in WHAT if name in table], ["utterance", "speaker", "recording"]
    if table.empty:
        ends = [f"{figure}_{end}" for figure in INTERVALS for end in ("low", "high")]
        return pd.DataFrame(columns=[*by, *what, "better", "n", *FIGURES, *ends, "supported"])
    better = table["statistic"].map(STATISTICS)
    rows = table.assign(advantage=better * (table["value"] - table["chance"]))
    parts = []
    for values, part in rows.groupby(list(by), sort=False):
        wide = part.pivot(index=keys, columns=what, values=list(FIGURES))  # (utterance, figure and measure)
        parts.append(_means(wide, what, bootstrap).assign(**dict(zip(by, values, strict=True))))
    order = rows[[*by, *what]].assign(better=better).drop_duplicates()
    summary = order.merge(pd.concat(parts), on=[*by, *what], validate="one_to_one")
    return summary.assign(supported=summary["advantage_low"] > 0)


def _means(wide: pd.DataFrame, what: list[str], bootstrap: Mapping[str, int]) -> pd.DataFrame:
    """A row a measure from a row an utterance, whose columns are figures of measures."""
    spread = _estimate(mean(wide), wide.index.to_frame(index=False), **bootstrap)
    ends = {"mean": spread.value, "low": spread.low, "high": spread.high, "n": np.isfinite(wide).sum().to_numpy()}
    means = pd.DataFrame(ends, index=wide.columns.rename(["figure", *what])).unstack("figure")
    columns = {"n": means["n", "value"]} | {figure: means["mean", figure] for figure in FIGURES}
    columns |= {f"{figure}_{end}": means[end, figure] for figure in INTERVALS for end in ("low", "high")}
    return pd.DataFrame(columns).reset_index()


def _estimate(statistic: Statistic, rows: pd.DataFrame, *, seed: int, rounds: int, recordings: bool) -> Estimate:
    return estimate(statistic, Units.of_table(rows, recordings=recordings), seed=seed, rounds=rounds)


def compared(table: pd.DataFrame, option: str, reference: str, **bootstrap: int) -> pd.DataFrame:
    """The mean of each option over `CELLS`, and its difference to one of them on the same utterances.

    Each round draws the same units for all cells and options, so what differs between utterances cancels.

    `table` has rows of one statistic: ``utterance``, ``speaker``, ``recording``, `CELLS`, the column `option` that
    names what is compared, and ``value``. The result has a row an option, in the order of `table`: `option`, ``n``
    utterances and ``cells`` in which it and the `reference` are defined, ``value`` and ``difference``, each with
    ``_low`` and ``_high``, NaN where nothing can be resampled.
    """
    options = list(dict.fromkeys(table[option]))
    keys = [*CELLS, "utterance", "speaker", "recording"]
    values = table.pivot(index=keys, columns=option, values="value")[options]
    about, of_reference = values.index.to_frame(index=False), values[[reference]].to_numpy(dtype=np.float64)
    values = np.where(np.isfinite(of_reference), values, np.nan)  # (row, option)
    cell = about.groupby(list(CELLS), sort=False).ngroup().to_numpy()
    both = np.concatenate([values, values - of_reference], axis=1)
    spread = _estimate(mean_of_cells(both, cell), about, **bootstrap)
    defined = pd.DataFrame(np.isfinite(values))
    result = pd.DataFrame({option: options, "n": defined.sum(), "cells": defined.groupby(cell).any().sum()})
    for name, part in (("value", spread[: len(options)]), ("difference", spread[len(options) :])):
        result = result.assign(**{name: part.value, f"{name}_low": part.low, f"{name}_high": part.high})
    return result.reset_index(drop=True)


def group(method: str) -> str:
    """What a map is: an explanation, noise, a plain map, or a limit that knows the recording without the cue."""
    groups = {RANDOM: "noise", **dict.fromkeys(LIMITS, "limit"), **dict.fromkeys(PLAIN_MAPS, "plain map")}
    return groups.get(method, "explanation")


def widths(localisation: pd.DataFrame) -> pd.Series:
    """(method, space) -> the width of smoothing in ms that suits a map best, by a table of the rule *localise*.

    A map has one width for all kinds and detectors: that of the highest mean `MEASURE` over `CELLS`, on *dev*.
    """
    dev = localisation[(localisation["set"] == "dev") & (localisation["statistic"] == MEASURE)]
    dev = dev[dev["aggregation"].isin([SIGNED, PLAIN])]
    by_cell = dev.groupby([*MAP, "smoothing_ms", *CELLS], sort=False)["value"].mean()
    means = by_cell.groupby([*MAP, "smoothing_ms"]).mean().unstack("smoothing_ms")
    return means.idxmax(axis=1)


def at_widths(localisation: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """The rows of *eval* with each map at its `chosen` width (`widths`); without one, and unsigned, it is not smoothed.

    `localisation` is a table of the rules *localise* or *paired*.
    """
    if "set" in localisation:
        localisation = localisation[localisation["set"] == "eval"]
    narrowest = localisation["smoothing_ms"].min()
    wanted = pd.MultiIndex.from_frame(localisation[list(MAP)]).map(chosen.get)
    smooth = localisation["aggregation"].isin([SIGNED, PLAIN])
    width = np.where(smooth, pd.Series(wanted, dtype=float).fillna(narrowest), narrowest)
    return localisation[localisation["smoothing_ms"] == width].reset_index(drop=True)


def decisions(transplants: pd.DataFrame, eer: pd.DataFrame, **bootstrap: int) -> pd.DataFrame:
    """Whether detectors have learnt the kinds of planted cues, and whether their decisions rest on the place.

    `transplants` is the table of the rule *localise*; `eer` has ``kind``, ``detector``, ``eer``, ``low`` and ``high``;
    `bootstrap` are ``seed``, ``rounds`` and ``recordings``. The result has a row a kind, detector and space: those of
    `eer`, of `sslig.validation.transplants.summarise`, and

    ``learnt``
        `YES` where the EER is significantly at most `LEARNT_EER`, `NO` where it significantly exceeds it, else `OPEN`.
    ``decided``
        `YES` where the kind is learnt and the decision rests on the place, `NO` where either is not so, else `OPEN`.
        Only where it is `YES` the place is what a map has to find.
    """
    learnt = np.select([eer["high"] <= LEARNT_EER, eer["low"] > LEARNT_EER], [YES, NO], OPEN)
    carried = summarise_transplants(transplants, **bootstrap)
    table = eer.assign(learnt=learnt).merge(carried, how="left")
    table = table.assign(n=table["n"].fillna(0).astype(int), rests_on_place=table["rests_on_place"].fillna(NO))
    gates = table[["learnt", "rests_on_place"]]
    return table.assign(decided=np.select([(gates == YES).all(axis=1), (gates == NO).any(axis=1)], [YES, NO], OPEN))


def costs(localisation: pd.DataFrame, by: Sequence[str] = ("detector", "method")) -> pd.DataFrame:
    """How far explanations in a table of the rule *localise* add up, and what they cost, by group
    (`sslig.attribution.explanation.summary`)."""
    explained = localisation[localisation["seconds"].notna()]
    return certificates(explained.drop_duplicates(["kind", "detector", "seed", "method", "utterance"]), by)


def default_method(localisation: pd.DataFrame, **bootstrap: int) -> pd.DataFrame:
    """Rank the methods that should explain by default, and choose one.

    1. *Quality.* Methods that explain every kind and detector are ranked by their mean `MEASURE`.
    2. *Completeness.* Those that promise to add up and do so in less than `LEAST_COMPLETE` of the explanations are not
       admitted, and those that promise nothing only if they are significantly better than the best that keeps its
       promise.
    3. *Cost.* The best admitted one is compared with the others on the same utterances; those that are not
       significantly worse tie with it, and of these the fastest is chosen.

    None is chosen where no tied method is significantly better than chance.

    `localisation` is the table of the rule *localise*, at its widths (`at_widths`), for the kinds and detectors whose
    decisions rest on the place (`decisions`). The result has a row a method, the best first: ``method``, ``promises``
    (to add up), ``complete`` (share that does, NaN without a promise), ``seconds`` (median), the columns of `compared`
    against the best, ``admitted``, ``tied`` and ``chosen``; it is empty without rows.
    """
    rows = localisation[(localisation["statistic"] == MEASURE) & (localisation["aggregation"] == SIGNED)]
    rows = rows[rows["method"].map(group) == "explanation"]
    n_cells = rows.drop_duplicates(["method", *CELLS]).groupby("method").size()
    everywhere = n_cells.index[n_cells == len(rows[list(CELLS)].drop_duplicates())]
    rows = rows[rows["method"].isin(everywhere)]
    if rows.empty:
        return pd.DataFrame()
    candidates = _admitted(_candidates(localisation, rows), rows, bootstrap)
    tied = candidates[candidates["tied"]].sort_values(["seconds", "method"], kind="stable")
    beats_chance = tied["value_low"].max() > rows["chance"].mean()  # where nothing is tied, the maximum is NaN
    return candidates.assign(chosen=beats_chance & (candidates["method"] == next(iter(tied["method"]), "")))


def _candidates(localisation: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Method, its promise and its cost, the best mean over cells first."""
    table = costs(localisation, ["method"])
    table = table[table["method"].isin(rows["method"])]
    means = rows.groupby(["method", *CELLS])["value"].mean().groupby("method").mean()
    promises = table[NOT_PROMISED] < table["n"]
    complete = (table[COMPLETE] / table["n"]).where(promises)
    columns = table[["method"]].assign(promises=promises, complete=complete, seconds=table["seconds_median"])
    best_first = table["method"].map(means).sort_values(ascending=False, kind="stable").index
    return columns.loc[best_first].reset_index(drop=True)


def _admitted(candidates: pd.DataFrame, rows: pd.DataFrame, bootstrap: Mapping[str, int]) -> pd.DataFrame:
    """The candidates with their differences to the best admitted one, and which tie with it."""
    complete = candidates["complete"] >= LEAST_COMPLETE
    best = candidates["method"][complete if complete.any() else slice(None)].iloc[0]
    table = candidates.merge(compared(rows, "method", best, **bootstrap), on="method")
    better = complete.any() & ~table["promises"] & (table["difference_low"] > 0)
    if better.any():
        best = candidates.loc[better, "method"].iloc[0]
        table = candidates.merge(compared(rows, "method", best, **bootstrap), on="method")
    admitted = complete | better
    return table.assign(admitted=admitted, tied=admitted & ~(table["difference_high"] < 0))


def beyond_plain(localisation: pd.DataFrame, measure: str = "roc_auc", **bootstrap: int) -> pd.DataFrame:
    """Each method less the plain map with the highest mean `measure`, by kind, detector and method (`compared`)."""
    rows = localisation[localisation["statistic"].eq(measure) & localisation["aggregation"].isin([SIGNED, PLAIN])]
    parts = []
    for cell, part in rows.groupby(list(CELLS), sort=False):
        groups = part["method"].map(group)
        best = part[groups == "plain map"].groupby("method")["value"].mean().sort_values(kind="stable").index[-1]
        chosen = part[(groups == "explanation") | (part["method"] == best)]
        against = compared(chosen, "method", best, **bootstrap)
        about = dict(zip(CELLS, cell, strict=True)) | {"plain_map": best}
        parts.append(against[against["method"] != best].assign(**about))
    columns = [*CELLS, "method", "plain_map", "difference", "difference_low", "difference_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
