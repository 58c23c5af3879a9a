"""Whether plain measures of a recording are shortcuts: alone as detectors, between groups, and against scores."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.cues.association import cliffs_delta, clusters_of, corrected, estimate, on_all, pearson, spearman, usable
from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.stats.intervals import Clusters, bootstrap
from sslig.stats.metrics import MetricError, eer

ALL = "all"
"""Both classes together; a correlation there may be that of the classes."""
NEITHER = "neither"
"""Where the larger values are when no direction errs less and no group has larger values more often."""


def single_feature_eer(
    measures: pd.DataFrame,
    labels: ArrayLike,
    speakers: ArrayLike,
    recordings: ArrayLike | None = None,
    *,
    seed: int,
    rounds: int = 1000,
) -> pd.DataFrame:
    """How well each measure alone tells bona fide from spoof, and in which direction.

    The direction is the one that errs less on these utterances. It is held in the bootstrap, so that an interval
    reaches above 50 % where another sample could have the other direction.

    Parameters
    ----------
    measures
        A column a measure, a row an utterance; a missing value is left out and counted.
    labels, speakers, recordings
        (utterance,) As of `sslig.stats.intervals.bootstrap`.
    seed, rounds
        Of the bootstrap; how many a corrected p-value needs says `sslig.cues.effects.rounds_needed`.

    Returns
    -------
    DataFrame
        A row a measure: ``measure``, ``eer``, ``low``, ``high``, ``larger_in`` ("bonafide", "spoof" or `NEITHER`),
        ``delta`` (Cliff's, positive where spoofs have the larger values) with ``delta_low`` and ``delta_high``, ``p``
        that it is 0, ``p_holm``, and the values there are, ``n_bonafide`` and ``n_spoof``, and those ``n_missing``.
        Where a class has no value, there is no EER (NaN), and the counts say why; nor where all values are of one
        speaker (or recording, with a second stage), as there is nothing to resample.

    Raises
    ------
    MetricError
        The arrays do not fit, a label is unknown, a value is infinite, or no round drew both classes; the message names
        the measure.
    """
    labels = np.asarray(labels)
    if not np.isin(labels, (BONAFIDE, SPOOF)).all():
        raise MetricError(f"labels are {BONAFIDE} (bona fide) and {SPOOF} (spoof), got {np.unique(labels)[:5]}")
    names = {label: key for key, label in KEYS.items()}
    return _compared(measures, labels == SPOOF, names[BONAFIDE], names[SPOOF], speakers, recordings, seed, rounds)


def between_groups(
    measures: pd.DataFrame,
    groups: ArrayLike,
    speakers: ArrayLike,
    recordings: ArrayLike | None = None,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    seed: int,
    rounds: int = 1000,
) -> pd.DataFrame:
    """How well each measure alone tells two groups of utterances apart, such as two reasons of selection.

    Parameters
    ----------
    measures, speakers, recordings, seed, rounds
        As of `single_feature_eer`.
    groups
        (utterance,) Name of the group of each.
    pairs
        Which to compare; each with each other by default.

    Returns
    -------
    DataFrame
        ``group_a``, ``group_b``, and as of `single_feature_eer` with ``n_a`` and ``n_b``; ``larger_in`` names a group,
        a positive ``delta`` means larger values in `group_b`. ``p_holm`` corrects over all rows.

    Raises
    ------
    MetricError
        A group of `pairs` is unknown, or as of `single_feature_eer`.
    """
    groups = _fitting(groups, measures, "groups")
    known = sorted(set(groups))
    pairs = list(combinations(known, 2)) if pairs is None else list(pairs)
    unknown = sorted({group for pair in pairs for group in pair} - set(known))
    if unknown or not pairs:
        raise MetricError(f"groups {unknown} of {len(pairs)} pairs are unknown; there are {', '.join(map(str, known))}")
    tables = []
    for a, b in pairs:
        rows = (groups == a) | (groups == b)
        speaker, recording = _at(speakers, rows), _at(recordings, rows)
        found = _compared(measures[rows], groups[rows] == b, a, b, speaker, recording, seed, rounds)
        found.columns = [{f"n_{a}": "n_a", f"n_{b}": "n_b"}.get(name, name) for name in found.columns]
        tables.append(found.assign(group_a=a, group_b=b))
    whole = corrected(pd.concat(tables, ignore_index=True))
    return whole[["group_a", "group_b", *whole.columns[:-2]]]


def summary(alone: pd.DataFrame, sets: Sequence[str]) -> pd.DataFrame:
    """`single_feature_eer` of several sets (column ``set``) side by side: a row a measure, ``EER (class)`` a set."""
    told = [
        f"{100 * row.eer:.0f} % ({row.larger_in})" if pd.notna(row.eer) else "no value" for row in alone.itertuples()
    ]
    wide = alone.assign(text=told).pivot(index="measure", columns="set", values="text")
    return wide.reindex(alone["measure"].unique())[list(sets)].rename_axis(columns=None).reset_index()


def describe(measures: pd.DataFrame, by: pd.DataFrame | pd.Series) -> pd.DataFrame:
    """Mean and standard deviation of each measure in each group, by label and selection reason for instance.

    Parameters
    ----------
    measures
        A column a measure, a row an utterance.
    by
        One or several columns of the same utterances, in the same order, that make the groups.

    Returns
    -------
    DataFrame
        The columns of `by`, ``measure``, ``mean``, ``sd`` (of a sample, n - 1; NaN of one value), ``n`` and
        ``n_missing``.
    """
    by = by.to_frame() if isinstance(by, pd.Series) else by
    _fitting(by.iloc[:, 0], measures, "groups")
    joined = pd.concat([by.reset_index(drop=True), measures.reset_index(drop=True)], axis=1)
    long = joined.melt(list(by.columns), list(measures.columns), var_name="measure")
    found = long.groupby([*by.columns, "measure"], sort=False)["value"].agg(["mean", "std", "count", "size"])
    told = found.assign(n_missing=found["size"] - found["count"]).drop(columns="size")
    told = told.rename(columns={"std": "sd", "count": "n"}).reset_index()
    return told.sort_values(list(by.columns), kind="stable", ignore_index=True)


def score_correlation(
    measures: pd.DataFrame, scores: pd.DataFrame, *, seed: int, rounds: int = 1000, resample_recordings: bool
) -> pd.DataFrame:
    """Correlation of the scores of detectors with each measure, over all utterances and within each class.

    Parameters
    ----------
    measures
        ``utterance`` and a column a measure.
    scores
        ``detector``, ``utterance``, ``key``, ``speaker``, ``spoof_score``, and ``recording`` for a second stage.
    seed, rounds
        Of the bootstrap.
    resample_recordings
        Whether recordings are drawn within each drawn speaker.

    Returns
    -------
    DataFrame
        ``detector``, ``key`` (`ALL` or a class), ``measure``, ``pearson``, ``spearman`` with ``low``, ``high`` and
        the ``p`` that it is 0, ``p_holm`` over the measures of a detector and class, ``n`` utterances with a value, and
        ``n_missing``. A measure that does not vary has no correlation (NaN), nor one whose values are all of one unit
        to resample.

    Raises
    ------
    MetricError
        A column is missing, an utterance has no measures, or a value is infinite.
    """
    joined, names = joined_scores(measures, scores, ["recording"] if resample_recordings else [])
    tables = []
    for detector, part in joined.groupby("detector"):
        for key in (ALL, *KEYS):
            chosen = part if key == ALL else part[part["key"] == key]
            told = [{"measure": name} | _score_row(chosen, name, resample_recordings, seed, rounds) for name in names]
            tables.append(corrected(pd.DataFrame(told)).assign(detector=detector, key=key))
    whole = pd.concat(tables, ignore_index=True)
    return whole[["detector", "key", *whole.columns[:-2]]]


def joined_scores(measures: pd.DataFrame, scores: pd.DataFrame, also: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """`scores`, with its columns `also`, beside the measures of each utterance; and the names of the measures.

    Raises
    ------
    MetricError
        A column is missing, an utterance has no measures or stands twice, or a score is not finite.
    """
    needed = ["detector", "utterance", "key", "speaker", "spoof_score", *also]
    missing = [name for name in needed if name not in scores] + [name for name in ["utterance"] if name not in measures]
    if missing:
        raise MetricError(f"columns {missing} are missing; scores have {list(scores.columns)}")
    if scores.duplicated(["detector", "utterance"]).any() or measures["utterance"].duplicated().any():
        raise MetricError("an utterance stands twice; each is needed once a detector, and once among the measures")
    lacking = scores.loc[~scores["utterance"].isin(measures["utterance"]), "utterance"]
    if len(lacking):
        raise MetricError(f"{lacking.nunique()} utterances have no measures, first {lacking.iloc[0]}; pass scores of "
                          "measured utterances only")  # fmt: skip
    if not np.isfinite(scores["spoof_score"]).all():
        raise MetricError("a spoof_score is NaN or infinite")
    names = [name for name in measures.columns if name != "utterance"]
    return scores[list(dict.fromkeys(needed))].merge(measures, on="utterance", validate="many_to_one"), names


def _score_row(part: pd.DataFrame, name: str, recordings: bool, seed: int, rounds: int) -> dict[str, float]:
    values = part[name].to_numpy(dtype=np.float64)
    rows = _usable(values, name)
    told = {"n": int(rows.sum()), "n_missing": int((~rows).sum())}
    clusters = clusters_of(part["speaker"], part["recording"] if recordings else None, rows)
    if clusters is None or pd.unique(values[rows]).size < 2:
        return dict.fromkeys(["pearson", "spearman", "low", "high", "p"], np.nan) | told
    pair = values[rows], part["spoof_score"].to_numpy()[rows]
    found = estimate(spearman(*pair), clusters, seed=seed, rounds=rounds)
    linear = on_all(pearson(*pair), len(pair[0]))
    return {"pearson": linear, "spearman": found.value, "low": found.low, "high": found.high, "p": found.p} | told


def _compared(
    measures: pd.DataFrame, second: np.ndarray, first_name: str, second_name: str,
    speakers: ArrayLike, recordings: ArrayLike | None, seed: int, rounds: int,
) -> pd.DataFrame:  # fmt: skip
    for values, what in ((second, "labels"), (speakers, "speakers"), (recordings, "recordings")):
        if values is not None:
            _fitting(values, measures, what)
    rows = []
    for name in measures.columns:
        values = measures[name].to_numpy(dtype=np.float64)
        rows_there = _usable(values, name)
        n_first, n_second = int((rows_there & ~second).sum()), int((rows_there & second).sum())
        counts = {f"n_{first_name}": n_first, f"n_{second_name}": n_second, "n_missing": int((~rows_there).sum())}
        told = dict.fromkeys(["eer", "low", "high", "larger_in", "delta", "delta_low", "delta_high", "p"], np.nan)
        clusters = clusters_of(speakers, recordings, rows_there)
        if n_first and n_second and clusters is not None:
            try:
                told = _told_apart(values[rows_there], second[rows_there], _at(speakers, rows_there),
                                   _at(recordings, rows_there), clusters, (first_name, second_name), seed,
                                   rounds)  # fmt: skip
            except MetricError as error:
                raise MetricError(f"{name}, {first_name} and {second_name}: {error}") from error
        rows.append({"measure": name} | told | counts)
    return corrected(pd.DataFrame(rows))


def _told_apart(
    values: np.ndarray, second: np.ndarray, speakers: ArrayLike, recordings: ArrayLike | None, clusters: Clusters,
    names: tuple[str, str], seed: int, rounds: int,
) -> dict[str, float | str]:  # fmt: skip
    """The EER in its better direction and Cliff's delta, with their intervals."""
    delta = estimate(cliffs_delta(values, second), clusters, seed=seed, rounds=rounds)
    first_values, second_values = values[~second], values[second]
    up, down = eer(first_values, second_values), eer(-first_values, -second_values)
    rises = up < down or (up == down and delta.value >= 0)
    turned = values if rises else -values
    labels = np.where(second, SPOOF, BONAFIDE)
    found = bootstrap(turned, labels, speakers, "eer", seed=seed, rounds=rounds, recordings=recordings)["eer"]
    larger_in = NEITHER if up == down and delta.value == 0 else names[rises]
    return {"eer": found.value, "low": found.low, "high": found.high, "larger_in": larger_in, "delta": delta.value,
            "delta_low": delta.low, "delta_high": delta.high, "p": delta.p}  # fmt: skip


def _usable(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return usable(values)
    except MetricError as error:
        raise MetricError(f"{name}: {error}") from error


def _at(values: ArrayLike | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else np.asarray(values)[rows]


def _fitting(values: ArrayLike, measures: pd.DataFrame, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (len(measures),):
        raise MetricError(f"{what} of shape {values.shape} for {len(measures)} utterances; one of each is needed")
    return values
