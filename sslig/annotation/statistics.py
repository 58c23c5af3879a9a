"""Statistics of annotations: cues, localities, audibility and decoys by detector, and how far annotators agree.

The intervals come from resampling speakers, or utterances where no speakers are known (`sslig.stats.bootstrap`). Where
no round differs, as for a cue that nobody named, there is no interval; a share then has the Wilson interval of as many
draws as there are speakers or utterances.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.annotation.plan import judged, latest, marked, plain
from sslig.annotation.store import CUES, LOCALITY
from sslig.cues.phones import CLASSES
from sslig.cues.voice import NON_SPEECH, SPEECH
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.stats.bootstrap import LEVEL, Estimate, Statistic, Units, estimate, mean, mean_of_pairs, ratio

NO_CUE_HEARD = "unclear"
"""The cue of a region in which none was heard."""

CATEGORIES: Mapping[str, Sequence] = {
    "cue": list(CUES),
    "locality": list(range(LOCALITY[0], LOCALITY[1] + 1)),
    "audible": [False, True],
}
"""Judgements and their answers, in order."""

LEAST_OVERLAP = 0.5
"""Intersection over union from which two marks count as the same segment."""

UNIT = ["utterance", "detector", "decoy"]
"""What two annotators judge in common; decoys of different annotators lie at different places."""

GUESSES = dict.fromkeys(NON_SPEECH, "silence") | dict.fromkeys([*CLASSES, SPEECH], "phoneme")
GUESSES |= {"silence": "silence", "noise": "breath"}
"""The nearest cue for each class of segments (`sslig.cues.cue_profile`); the phone class ``noise`` is breath. No class
suggests one of the other cues, which have to be heard."""

INTERVAL, ABOVE = ["value", "low", "high"], ["above", "above_low", "above_high"]
PAIRED = ["first", "second", "what", "statistic", "n", *INTERVAL]


@dataclass(frozen=True)
class Resampling:
    """Seed and rounds of the bootstrap, and whether it resamples ``recording`` within speakers."""

    seed: int = 0
    rounds: int = 1000
    recordings: bool = False


def cue_shares(table: pd.DataFrame, how: Resampling, by: Sequence[str] = ("detector",)) -> pd.DataFrame:
    """The ``share`` of each cue among the ``labels`` of each group, with ``low`` and ``high``; first hearings only."""
    tables = []
    for group, part in judged(plain(table)).groupby(list(by), sort=False):
        is_cue = part["cue"].to_numpy()[:, None] == np.array(list(CUES))  # (row, cue)
        rows = _spread(mean(is_cue), part, how, shares=True).rename(columns={"value": "share"})
        counts = {"cue": list(CUES), "n": is_cue.sum(axis=0), "labels": len(part)}
        tables.append(rows.assign(**dict(zip(by, group, strict=True)), **counts))
    return _joined(tables, [*by, "cue", "n", "labels", "share", "low", "high"])


def judgements(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """The mean locality and the share of audible cues by detector (``what``); rows without a cue are left out."""
    tables = []
    for detector, part in judged(plain(table)).groupby("detector", sort=False):
        for what in ("locality", "audible"):
            rows = part[part[what].notna()]
            if len(rows):
                figures = _spread(mean(rows[what].to_numpy(dtype=float)), rows, how, shares=what == "audible")
                tables.append(figures.assign(detector=detector, what=what, n=len(rows)))
    return _joined(tables, ["detector", "what", "n", *INTERVAL])


def overlaps(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """The mean overlap (intersection over union) of the marks of two detectors on one utterance, and by chance.

    By chance means the mark of one detector against the mark of the other on another utterance, over all such pairs,
    so that early marks and long marks do not count as agreement.

    Returns
    -------
    DataFrame
        ``first``, ``second``, ``n`` (pairs of marks), ``apart`` (pairs that share nothing), ``overlap``, ``low``,
        ``high``, ``chance``, and the difference ``above`` with ``above_low`` and ``above_high``.
    """
    table, rows = marked(plain(table)), []
    table = table.assign(start_s=table["start_s"].clip(lower=0))  # drawn by hand, some begin a little before 0
    for first, second in combinations(dict.fromkeys(table["detector"]), 2):
        others = table.loc[table["detector"] == second, ["annotator", "item", "start_s", "end_s"]]
        pairs = table[table["detector"] == first].merge(others, on=["annotator", "item"], suffixes=("", "_other"))
        if len(pairs):
            union = intersection_over_union(pairs[["start_s", "end_s"]], pairs[["start_s_other", "end_s_other"]])
            same = np.diag(union)
            observed = _estimated(mean(same), pairs, how)
            chance = _estimated(mean_of_pairs(union, pairs["utterance"]), pairs, how)
            overlap = _interval(observed).rename(columns={"value": "overlap"})
            above = _interval(observed - chance).rename(columns=dict(zip(INTERVAL, ABOVE, strict=True)))
            counts = {"first": first, "second": second, "n": len(pairs), "apart": int((same == 0).sum())}
            rows.append(overlap.join(above).assign(**counts, chance=float(chance.value)))
    return _joined(rows, ["first", "second", "n", "apart", "overlap", "low", "high", "chance", *ABOVE])


def decoys(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """Judgements of decoys, which lie at random places, beside those of real regions in the same items.

    Returns
    -------
    DataFrame
        ``what`` (``cue``: a cue other than unclear; ``audible``; ``locality``), ``n_real``, ``n_decoy``, ``real``,
        ``decoy``, and ``difference`` with ``low`` and ``high``; empty without judged decoys.
    """
    table = judged(table[~table["repeat"]])
    table = table[table["item"].isin(table.loc[table["decoy"], "item"])]
    rows, is_decoy = [], table["decoy"].to_numpy(dtype=bool)
    for what in ("cue", "audible", "locality"):
        column = table["cue"] != NO_CUE_HEARD if what == "cue" else table[what]
        answers = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
        sides = np.column_stack([np.where(is_decoy == side, answers, np.nan) for side in (False, True)])
        n_real, n_decoy = np.isfinite(sides).sum(axis=0)
        if n_real and n_decoy:
            draws = _estimated(mean(sides), table, how)
            difference = _interval(draws[0] - draws[1]).rename(columns={"value": "difference"})
            values = dict(zip(("real", "decoy"), draws.value, strict=True))
            rows.append(difference.assign(what=what, n_real=n_real, n_decoy=n_decoy, **values))
    return _joined(rows, ["what", "n_real", "n_decoy", "real", "decoy", "difference", "low", "high"])


def between(table: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Agreement of each two annotators on the regions that both judged; decoys and repeats are left out.

    The frames are those of `duration_s`, by utterance; without it the last mark ends the recording, which leaves out
    frames that nobody marked.

    Returns
    -------
    DataFrame
        ``first``, ``second``, ``what`` (``cue``, ``locality``, ``audible``, ``region``), ``statistic`` (``Cohen's
        kappa``, with linear weights for locality; ``same answer``, ``F1``, ``overlap``, ``frame kappa``), ``n``
        (regions), ``value``, ``low`` and ``high``.
    """
    table, tables = plain(table), []
    for first, second in combinations(sorted(table["annotator"].unique()), 2):
        pair = paired(table[table["annotator"] == first], table[table["annotator"] == second])
        tables += [rows.assign(first=first, second=second) for rows in _agreement(pair, how, duration_s or {})]
    return _joined(tables, PAIRED)


def within(table: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Agreement of each annotator with themselves on the repeats, decoys included; otherwise as `between`."""
    tables = []
    for annotator, rows in table.groupby("annotator"):
        pair = paired(rows[~rows["repeat"]], rows[rows["repeat"]])
        names = {"first": annotator, "second": f"{annotator}, repeated"}
        tables += [figures.assign(**names) for figures in _agreement(pair, how, duration_s or {})]
    return _joined(tables, PAIRED)


def of_all(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """Krippendorff's alpha of the regions that two or more annotators judged, and Fleiss' kappa of those that all did.

    Alpha is ordinal for locality, else nominal. The table (``what``, ``statistic``, ``annotators``, ``n``, ``value``,
    ``low``, ``high``) is empty with one annotator.

    References
    ----------
    A. F. Hayes and K. Krippendorff, "Answering the call for a standard reliability measure for coding data", 2007.
    J. L. Fleiss, "Measuring nominal scale agreement among many raters", 1971.
    """
    from krippendorff import alpha
    from statsmodels.stats.inter_rater import fleiss_kappa

    table, tables = judged(plain(table)), []
    annotators = table["annotator"].nunique()
    for what, answers in CATEGORIES.items() if annotators > 1 else ():
        regions, counts = _counts(table[table[what].notna()], what, answers)
        level, n_answers = "ordinal" if what == "locality" else "nominal", counts.sum(axis=1)
        for statistic, rows, measure in (
            (
                f"Krippendorff's alpha ({level})",
                n_answers >= 2,
                lambda units, level=level: alpha(value_counts=units, level_of_measurement=level),
            ),
            ("Fleiss' kappa", n_answers == annotators, fleiss_kappa),
        ):
            if rows.any():
                figures = _spread(_of_units(counts[rows], measure), regions[rows], how)
                names = {"what": what, "statistic": statistic, "annotators": annotators, "n": rows.sum()}
                tables.append(figures.assign(**names))
    return _joined(tables, ["what", "statistic", "annotators", "n", *INTERVAL])


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The regions judged in both tables, with the judgements of each under ``_first`` and ``_second``."""
    columns = ["start_s", "end_s", *CATEGORIES]
    known = [column for column in ("speaker", "recording") if column in first]
    first, second = latest(judged(first))[[*UNIT, *known, *columns]], latest(judged(second))[[*UNIT, *columns]]
    return first.merge(second, on=UNIT, suffixes=("_first", "_second"))


def guessed(table: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The judged regions with the ``segment_class`` of their place (`sslig.annotation.plan.regions`) and their
    ``guess``, the cue that it suggests (`GUESSES`); unknown classes are left out."""
    classes = regions[["utterance", "detector", "segment_class"]]
    rows = judged(plain(table)).merge(classes, on=["utterance", "detector"])
    rows = rows.assign(guess=rows["segment_class"].map(GUESSES))
    return rows[rows["guess"].notna()].reset_index(drop=True)


def guess_agreement(rows: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """Agreement of the guesses of `guessed` with the cues heard: ``statistic``, ``n``, ``value``, ``low``, ``high``."""
    if rows.empty:
        return pd.DataFrame(columns=PAIRED[3:])
    figures = _spread(_answers(rows["guess"], rows["cue"], "cue"), rows, how)
    return figures.assign(statistic=["Cohen's kappa", "same answer"], n=len(rows))[PAIRED[3:]]


def cohen(counts: np.ndarray, *, linear: bool = False) -> np.ndarray:
    """Cohen's kappa of (..., answer, answer) counts, one for each round; NaN where chance cannot disagree.

    If `linear`, a disagreement counts by the distance of the answers; otherwise all count the same.

    References
    ----------
    J. Cohen, "A coefficient of agreement for nominal scales", 1960; weighted: "Weighted kappa", 1968.
    """
    places = np.arange(counts.shape[-1])
    weights = np.abs(places[:, None] - places) if linear else places[:, None] != places
    expected = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    total = counts.sum(axis=(-2, -1))
    return 1 - ratio((weights * counts).sum(axis=(-2, -1)) * total, (weights * expected).sum(axis=(-2, -1)))


def intersection_over_union(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """(first, second) Overlap of each of (first, 2) with each of (second, 2) regions."""
    first, second = np.reshape(first, (-1, 2)).astype(float), np.reshape(second, (-1, 2)).astype(float)
    (start, end), (other_start, other_end) = first.T[:, :, None], second.T[:, None, :]
    shared = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
    return shared / (end - start + other_end - other_start - shared)


def _estimated(statistic: Statistic, table: pd.DataFrame, how: Resampling) -> Estimate:
    known, nested = (name in table and table[name].notna().all() for name in ("speaker", "recording"))
    speakers = table["speaker" if known else "utterance"]
    units = Units.of(speakers, table["recording"] if how.recordings and nested else None)
    return estimate(statistic, units, seed=how.seed, rounds=how.rounds)


def _interval(draws: Estimate, *, shares: bool = False) -> pd.DataFrame:
    """`INTERVAL` of each figure, without ends where no round differs."""
    from statsmodels.stats.proportion import proportion_confint

    table = draws.frame()[INTERVAL]
    same = table["low"] == table["high"]
    table.loc[same, ["low", "high"]] = np.nan
    for row in table.index[same & table["value"].isin([0, 1])] if shares else ():
        hits = draws.n_units * table.loc[row, "value"]
        table.loc[row, ["low", "high"]] = proportion_confint(hits, draws.n_units, 1 - LEVEL, "wilson")
    return table


def _spread(statistic: Statistic, table: pd.DataFrame, how: Resampling, *, shares: bool = False) -> pd.DataFrame:
    return _interval(_estimated(statistic, table, how), shares=shares)


def _agreement(pair: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float]) -> list[pd.DataFrame]:
    """Agreement on each judgement and on the marks, of a table of `paired`."""
    tables = []
    for what in CATEGORIES:
        rows = pair[pair[[f"{what}_first", f"{what}_second"]].notna().all(axis=1)]
        if len(rows):
            figures = _spread(_answers(rows[f"{what}_first"], rows[f"{what}_second"], what), rows, how)
            tables.append(figures.assign(what=what, statistic=["Cohen's kappa", "same answer"], n=len(rows)))
    some = (pair["start_s_first"] < pair["end_s_first"]) | (pair["start_s_second"] < pair["end_s_second"])
    if some.any():
        figures = _spread(_meetings(pair[some], duration_s), pair[some], how)
        tables.append(figures.assign(what="region", statistic=["F1", "overlap", "frame kappa"], n=some.sum()))
    return tables


def _answers(first: pd.Series, second: pd.Series, what: str) -> Statistic:
    """Kappa, and the share of equal answers."""
    answers = CATEGORIES[what]
    codes = [pd.Categorical(column, categories=answers).codes.astype(int) for column in (first, second)]
    cells = np.eye(len(answers) ** 2)[codes[0] * len(answers) + codes[1]]  # (row, cell)

    def statistic(weights: np.ndarray) -> np.ndarray:
        counts = (weights @ cells).reshape(-1, len(answers), len(answers))
        same = np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))
        return np.column_stack([cohen(counts, linear=what == "locality"), same])

    return statistic


def _meetings(pair: pd.DataFrame, duration_s: Mapping[str, float]) -> Statistic:
    """F1 of segments, mean overlap, and kappa of frames."""
    marks = pair[[f"{end}_{side}" for side in ("first", "second") for end in ("start_s", "end_s")]].to_numpy()
    marks = marks.reshape(-1, 2, 2)  # (row, annotator, end)
    drawn = marks[..., 0] < marks[..., 1]  # not where NaN
    overlap = np.where(drawn.all(axis=1), np.diag(intersection_over_union(marks[:, 0], marks[:, 1])), 0)
    last_s = np.max(marks[..., 1], axis=1, where=drawn, initial=0)
    length_s = pair["utterance"].map(duration_s).fillna(pd.Series(last_s + SSL_CLOCK.hop_s, pair.index))
    frames = np.array([_frames(*row) for row in zip(marks, length_s, strict=True)])
    n_marks = drawn.sum(axis=1)
    hits = overlap >= LEAST_OVERLAP

    def statistic(weights: np.ndarray) -> np.ndarray:
        f1 = 2 * (weights @ hits) / (weights @ n_marks)
        kappa = cohen((weights @ frames).reshape(-1, 2, 2))
        return np.column_stack([f1, weights @ overlap / weights.sum(axis=1), kappa])

    return statistic


def _frames(marks: np.ndarray, length_s: float) -> np.ndarray:
    """The number of frames that both, the first, the second and neither annotator marked."""
    centre_s = SSL_CLOCK.centre_s(SSL_CLOCK.n_frames(round(length_s * SAMPLE_RATE_HZ)))
    first, second = ((centre_s >= start_s) & (centre_s < end_s) for start_s, end_s in marks)
    return np.bincount(2 * ~first + ~second, minlength=4)


def _counts(table: pd.DataFrame, what: str, answers: Sequence) -> tuple[pd.DataFrame, np.ndarray]:
    """The regions, and (region, answer) how many annotators gave each answer."""
    counts = pd.crosstab([table[column] for column in UNIT], table[what]).reindex(columns=answers, fill_value=0)
    regions = counts.index.to_frame(index=False).merge(table.drop_duplicates(UNIT), on=UNIT)
    return regions, counts.to_numpy()


def _of_units(units: np.ndarray, measure: Callable[[np.ndarray], float]) -> Statistic:
    """A measure of (unit, answer) counts, each unit as often as it is drawn; NaN where only one answer was given."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = (np.repeat(units, row.astype(int), axis=0) for row in weights)
        return np.array([measure(counts) if np.count_nonzero(counts.sum(axis=0)) > 1 else np.nan for counts in drawn])

    return statistic


def _joined(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
