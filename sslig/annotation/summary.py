"""What annotators say of each detector: cues, locality, audibility, where marks meet, and what decoys are taken for.

Every figure has a percentile interval from resampling speakers, or utterances where no speakers are known, and not the
interval of independent draws (Wilson): utterances of a speaker, and what several annotators say of one, depend on each
other. Where no round differs, as of a cue that nobody named, the bootstrap says nothing; a share then has the Wilson
interval of as many draws as there are speakers, or utterances, with a label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from sslig.annotation.regions import intersection_over_union
from sslig.annotation.table import judged, marked, plain
from sslig.annotation.vocabulary import CUES
from sslig.stats.resampling import percentiles

NO_CUE_HEARD = "unclear"
"""The cue that says that none was found."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made (`sslig.stats.resampling.percentiles`).

    Attributes
    ----------
    recordings
        Whether recordings are resampled within speakers; tables then need ``recording``.
    """

    seed: int = 0
    rounds: int = 1000
    level: float = 0.95
    recordings: bool = False


def with_protocol(table: pd.DataFrame, protocol: pd.DataFrame) -> pd.DataFrame:
    """Annotations with ``key``, ``speaker`` and, where the protocol has it, ``recording`` of their utterances."""
    known = [column for column in ("key", "speaker", "recording") if column in protocol]
    return table.merge(protocol[["utterance", *known]], on="utterance", how="left", validate="many_to_one")


def spread(
    statistic: Callable[[np.ndarray], np.ndarray], table: pd.DataFrame, how: Resampling, *, shares: bool = False
) -> pd.DataFrame:  # fmt: skip
    """``value``, ``low`` and ``high`` of the figures of a statistic of (row,) counts of the rows of `table`.

    Parameters
    ----------
    statistic
        From (row,) how often each row counts to (figure,) values, NaN where there is none.
    table
        ``utterance`` and, where known, ``speaker`` and ``recording``.
    how
        Of the rounds.
    shares
        Whether the figures are shares, for which there is another interval where no round differs.
    """
    speakers = table["speaker"] if _known(table, "speaker") else table["utterance"]
    recordings = table["recording"] if how.recordings and _known(table, "recording") else None
    units = speakers if recordings is None else recordings
    if units.nunique() < 2:
        value = np.atleast_1d(statistic(np.ones(len(table)))) if len(table) else np.full(0, np.nan)
        return pd.DataFrame({"value": value, "low": np.nan, "high": np.nan})
    found = percentiles(statistic, speakers, seed=how.seed, rounds=how.rounds, level=how.level, recordings=recordings)
    spread = pd.DataFrame(found._asdict())
    same = spread["low"] == spread["high"]
    spread.loc[same, ["low", "high"]] = np.nan
    if shares:
        for at in spread.index[same & spread["value"].isin([0, 1])]:
            n = units.nunique()
            spread.loc[at, ["low", "high"]] = proportion_confint(
                n * spread.loc[at, "value"], n, 1 - how.level, "wilson"
            )
    return spread


def cue_shares(table: pd.DataFrame, how: Resampling, by: Sequence[str] = ("detector",)) -> pd.DataFrame:
    """The share of each cue among the labels of each group.

    Parameters
    ----------
    table
        Annotations; rows without a cue, decoys and repeats are left out.
    how
        Of the intervals.
    by
        What groups are made of: ``detector``, ``key`` ...

    Returns
    -------
    DataFrame
        `by`, ``cue``, ``n``, ``labels``, ``share``, ``low`` and ``high``, all cues of each group.
    """
    tables = []
    for group, part in judged(plain(table)).groupby(list(by), sort=False):
        is_cue = (part["cue"].to_numpy()[:, None] == np.array(list(CUES))).astype(float)  # (row, cue)
        found = spread(lambda counts, is_cue=is_cue: counts @ is_cue / counts.sum(), part, how, shares=True)
        own = dict(zip(by, group, strict=True))
        tables.append(found.rename(columns={"value": "share"}).assign(
            **own, cue=list(CUES), n=is_cue.sum(axis=0).astype(int), labels=len(part)))  # fmt: skip
    columns = [*by, "cue", "n", "labels", "share", "low", "high"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def judgements(table: pd.DataFrame, how: Resampling, by: Sequence[str] = ("detector",)) -> pd.DataFrame:
    """The mean locality and the share of audible cues of each group; of marks with a cue only.

    Returns
    -------
    DataFrame
        `by`, ``what`` (``locality``, ``audible``), ``n``, ``value``, ``low`` and ``high``.
    """
    rows = []
    for group, part in judged(plain(table)).groupby(list(by), sort=False):
        for what in ("locality", "audible"):
            own = part[part[what].notna()]
            if len(own):
                values = own[what].to_numpy(dtype=float)
                found = spread(lambda counts, values=values: counts @ values / counts.sum(), own, how,
                               shares=what == "audible")  # fmt: skip
                rows.append(dict(zip(by, group, strict=True)) | {"what": what, "n": len(own)} | found.iloc[0].to_dict())
    return pd.DataFrame(rows, columns=[*by, "what", "n", "value", "low", "high"])


def overlaps(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """How far the marks of two detectors on one utterance meet, beside marks of two different utterances.

    The overlap of two marks is their intersection over their union. By chance means the mark of one detector on one
    utterance against that of the other on another one, over all such pairs, so that marks that lie early or are long
    do not count as agreement.

    Returns
    -------
    DataFrame
        ``first``, ``second``, ``n`` (pairs of marks), ``apart`` (pairs that share nothing), ``overlap``, ``low``,
        ``high``, ``chance`` and, of the difference, ``above``, ``above_low`` and ``above_high``.
    """
    table, rows = marked(plain(table)), []
    table = table.assign(start_s=table["start_s"].clip(lower=0))  # drawing by hand puts some a little before 0
    for first, second in combinations(dict.fromkeys(table["detector"]), 2):
        pairs = table[table["detector"] == first].merge(
            table[table["detector"] == second][["annotator", "item", "start_s", "end_s"]],
            on=["annotator", "item"], suffixes=("", "_other"))  # fmt: skip
        if len(pairs):
            rows.append({"first": first, "second": second} | _overlap(pairs, how))
    columns = ["first", "second", "n", "apart", "overlap", "low", "high", "chance", "above", "above_low", "above_high"]
    return pd.DataFrame(rows, columns=columns)


def decoys(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """What is said of decoys beside what is said of real regions in the same utterances.

    A decoy lies at a random place, so what it is taken for is what annotators say of any place. Only a real region
    that is judged otherwise has been heard.

    Returns
    -------
    DataFrame
        ``what`` (names a cue other than unclear, audible, locality), ``n_real``, ``n_decoy``, ``real``, ``decoy`` and
        ``difference`` with ``low`` and ``high``; empty where no decoy has been judged.
    """
    said = judged(table[~table["repeat"]])
    said = said[said["item"].isin(said.loc[said["decoy"], "item"])]
    rows, is_decoy = [], said["decoy"].to_numpy(dtype=float)
    for what, values in _said_of(said).items():
        there = ~np.isnan(values)
        if len(said) and (there & (is_decoy == 1)).any() and (there & (is_decoy == 0)).any():
            statistic = _contrast(np.nan_to_num(values), there * (1 - is_decoy), there * is_decoy)
            found = spread(statistic, said, how)
            rows.append({
                "what": what, "n_real": int((there * (1 - is_decoy)).sum()), "n_decoy": int((there * is_decoy).sum()),
                "real": found["value"][0], "decoy": found["value"][1], "difference": found["value"][2],
                "low": found["low"][2], "high": found["high"][2],
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "n_real", "n_decoy", "real", "decoy", "difference", "low", "high"])


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and table[column].notna().all()


def _overlap(pairs: pd.DataFrame, how: Resampling) -> dict[str, float]:
    found = intersection_over_union(pairs[["start_s", "end_s"]], pairs[["start_s_other", "end_s_other"]])
    utterances = pairs["utterance"].to_numpy()
    different = (utterances[:, None] != utterances).astype(float)
    same, apart = np.diag(found), found * different

    def statistic(counts: np.ndarray) -> np.ndarray:
        n_pairs = counts @ different @ counts
        chance = counts @ apart @ counts / n_pairs if n_pairs else np.nan
        mean = counts @ same / counts.sum()
        return np.array([mean, chance, mean - chance])

    overlap, chance, above = spread(statistic, pairs, how).to_dict("records")
    return {
        "n": len(pairs), "apart": int((same == 0).sum()), "overlap": overlap["value"], "low": overlap["low"],
        "high": overlap["high"], "chance": chance["value"], "above": above["value"], "above_low": above["low"],
        "above_high": above["high"],
    }  # fmt: skip


def _said_of(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """(row,) What is said of each region, as numbers; NaN where nothing is."""
    return {
        "cue": (table["cue"] != NO_CUE_HEARD).to_numpy(dtype=float),
        "audible": table["audible"].astype("Float64").to_numpy(dtype=float, na_value=np.nan),
        "locality": table["locality"].astype("Float64").to_numpy(dtype=float, na_value=np.nan),
    }


def _contrast(values: np.ndarray, real: np.ndarray, decoy: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The mean of (row,) values over real regions, over decoys, and the difference, of counted rows."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        sizes = np.array([counts @ real, counts @ decoy])
        if not sizes.all():
            return np.full(3, np.nan)
        of_real, of_decoy = np.array([counts @ (values * real), counts @ (values * decoy)]) / sizes
        return np.array([of_real, of_decoy, of_real - of_decoy])

    return statistic
