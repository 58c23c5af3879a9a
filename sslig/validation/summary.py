"""Tables of validation over utterances: means beside chance, paired differences, and which method should explain."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sslig.attribution.explanation import COMPLETE, NOT_PROMISED, SIGNED
from sslig.attribution.explanation import summary as certificates
from sslig.stats.bootstrap import Estimate, Statistic, Units, estimate, mean, mean_of_cells
from sslig.validation.localisation import LEAST_SHARE, LIMITS, PLAIN, PLAIN_MAPS, carried
from sslig.validation.statistics import STATISTICS

WHAT = ("method", "aggregation", "space", "replacement", "statistic", "at")
"""Columns that distinguish one measure from another."""

FIGURES = ("value", "advantage", "chance", "chance_low", "chance_high", "beaten")
INTERVALS = FIGURES[:2]
"""Figures that get an interval."""

CELLS = ("kind", "detector")
"""What means of localisation are averaged over, so that a kind of many detected spoofs counts no more than another."""

MEASURE = "roc_auc"
"""The measure that conclusions rest on: it uses every frame of a map, without a threshold, and needs no positive
evidence."""

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


def paired(table: pd.DataFrame, option: str, reference: str, **bootstrap: int) -> pd.DataFrame:
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


def decisions(localisation: pd.DataFrame, eer: pd.DataFrame) -> pd.DataFrame:
    """Whether detectors have learnt the kinds of planted cues, and whether their decisions rest on the place.

    `localisation` is the table of the rule *localise*. The result is `eer`, which has ``kind``, ``detector`` and
    ``eer``, with ``explained`` (detected spoofs), ``place_share`` (mean share of time), ``place_carries`` and
    ``rest_carries`` (`sslig.validation.localisation.carried`), ``learnt`` (an EER of `LEARNT_EER` or less) and
    ``decided`` (learnt, and the decision rests on the place): only there the place is what a map has to find.
    """
    rows = []
    for pair in eer.to_dict("records"):
        chosen = localisation[(localisation["kind"] == pair["kind"]) & (localisation["detector"] == pair["detector"])]
        utterances = chosen.drop_duplicates("utterance")
        (place, rest), learnt = carried(utterances), bool(pair["eer"] <= LEARNT_EER)
        pair |= {"explained": len(utterances), "place_share": float(utterances["place_share"].mean())}
        pair |= {"place_carries": place, "rest_carries": rest, "learnt": learnt}
        rows.append(pair | {"decided": learnt and place >= LEAST_SHARE and place >= rest})
    return pd.DataFrame(rows)


def costs(localisation: pd.DataFrame, by: Sequence[str] = ("detector", "method")) -> pd.DataFrame:
    """How far explanations in a table of the rule *localise* add up, and what they cost, by group
    (`sslig.attribution.explanation.summary`)."""
    explained = localisation[localisation["seconds"].notna()]
    return certificates(explained.drop_duplicates(["kind", "detector", "seed", "method", "utterance"]), by)


def default_method(localisation: pd.DataFrame, **bootstrap: int) -> pd.DataFrame:
    """Rank the methods that should explain by default, and choose one.

    Methods that explain every kind and detector are ranked by their mean ROC-AUC. Those that promise to add up and do
    so in less than `LEAST_COMPLETE` of the explanations are not admitted, and those that promise nothing only if they
    are significantly better than the best that keeps its promise. The best admitted one is compared with the others on
    the same utterances; those that are not significantly worse tie with it, and of these the fastest is chosen. None is
    chosen where no tied method is significantly better than chance.

    `localisation` is the table of the rule *localise* for the kinds and detectors whose decisions rest on the place
    (`decisions`). The result has a row a method, the best first: ``method``, ``promises`` (to add up), ``complete``
    (share that does, NaN without a promise), ``seconds`` (median), the columns of `paired` against the best,
    ``admitted``, ``tied`` and ``chosen``; it is empty without rows.
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
    compared = candidates.merge(paired(rows, "method", best, **bootstrap), on="method")
    better = complete.any() & ~compared["promises"] & (compared["difference_low"] > 0)
    if better.any():
        best = candidates.loc[better, "method"].iloc[0]
        compared = candidates.merge(paired(rows, "method", best, **bootstrap), on="method")
    admitted = complete | better
    return compared.assign(admitted=admitted, tied=admitted & ~(compared["difference_high"] < 0))


def beyond_plain(localisation: pd.DataFrame, **bootstrap: int) -> pd.DataFrame:
    """Each method less the plain map with the highest mean ROC-AUC, a row a kind, detector and method (`paired`)."""
    rows = localisation[localisation["statistic"].eq(MEASURE) & localisation["aggregation"].isin([SIGNED, PLAIN])]
    parts = []
    for cell, part in rows.groupby(list(CELLS), sort=False):
        groups = part["method"].map(group)
        best = part[groups == "plain map"].groupby("method")["value"].mean().sort_values(kind="stable").index[-1]
        chosen = part[(groups == "explanation") | (part["method"] == best)]
        compared = paired(chosen, "method", best, **bootstrap)
        about = dict(zip(CELLS, cell, strict=True)) | {"plain_map": best}
        parts.append(compared[compared["method"] != best].assign(**about))
    columns = [*CELLS, "method", "plain_map", "difference", "difference_low", "difference_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
