"""How far annotators agree with each other, with themselves, and with what the place of a region suggests.

Kappa and alpha compare agreement with what would come by chance from how often each answer is given; where only one
answer is ever given there is nothing to compare, and they are NaN. The intervals are those of
`sslig.annotation.summary`.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import krippendorff
import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import fleiss_kappa

from sslig.annotation.regions import intersection_over_union, marked_frames, matched
from sslig.annotation.summary import Resampling, spread
from sslig.annotation.table import judged, latest, plain
from sslig.annotation.vocabulary import CUES, LOCALITY
from sslig.frames import SSL_CLOCK

CATEGORIES: Mapping[str, Sequence] = {
    "cue": list(CUES),
    "locality": list(range(LOCALITY[0], LOCALITY[1] + 1)),
    "audible": [False, True],
}
"""What is judged -> its answers, in order."""

LEAST_OVERLAP = 0.5
"""Intersection over union from which two marks count as the same segment."""

UNIT = ("utterance", "detector", "decoy")
"""What two annotators judge in common; decoys of different annotators lie at different places."""

COLUMNS = ("first", "second", "what", "statistic", "n", "value", "low", "high")


def between(
    table: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float] | None = None
) -> pd.DataFrame:  # fmt: skip
    """How far each two annotators agree on what both judged; decoys and repeats are left out.

    Parameters
    ----------
    table
        Annotations of at least two annotators; fewer give no rows.
    how
        Of the intervals.
    duration_s
        Length of each recording in seconds, for the frames; an utterance without ends with its last mark, which leaves
        out frames that nobody marked.

    Returns
    -------
    DataFrame
        `COLUMNS`: ``what`` is ``cue``, ``locality``, ``audible`` or ``region``; ``statistic`` is ``Cohen's kappa``
        (linear weights for locality), ``same answer``, ``F1``, ``overlap`` or ``frame kappa``; ``n`` counts regions.
    """
    table = plain(table)
    tables = [
        _agreement(pair, how, duration_s).assign(first=first, second=second)
        for first, second in combinations(sorted(table["annotator"].unique()), 2)
        if len(pair := paired(table[table["annotator"] == first], table[table["annotator"] == second]))
    ]
    return _joined(tables)


def within(
    table: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float] | None = None
) -> pd.DataFrame:  # fmt: skip
    """How far each annotator agrees with themselves on the repeats, decoys included; as of `between`."""
    tables = []
    for annotator, own in table.groupby("annotator"):
        pair = paired(own[~own["repeat"]], own[own["repeat"]])
        if len(pair):
            tables.append(_agreement(pair, how, duration_s).assign(first=annotator, second=f"{annotator}, repeated"))
    return _joined(tables)


def of_all(table: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """Agreement of all annotators at once: Krippendorff's alpha and Fleiss' kappa.

    Alpha takes every region that two or more judged, nominal for cues and audibility, ordinal for locality; kappa only
    those that all judged.

    Returns
    -------
    DataFrame
        ``what``, ``statistic``, ``annotators``, ``n``, ``value``, ``low`` and ``high``; empty with one annotator.
    """
    said, rows = judged(plain(table)), []
    annotators = said["annotator"].nunique()
    if annotators < 2:
        return pd.DataFrame(columns=["what", "statistic", "annotators", "n", "value", "low", "high"])
    for what, answers in CATEGORIES.items():
        about, counts = _counts(said[said[what].notna()], what, answers)
        rated = counts.sum(axis=1)
        level = "ordinal" if what == "locality" else "nominal"
        for statistic, there, measure in (
            (f"Krippendorff's alpha ({level})", rated >= 2, lambda units, level=level: alpha(units, level)),
            ("Fleiss' kappa", rated == annotators, fleiss),
        ):
            if there.any():
                found = spread(_of_units(counts[there], measure), about[there], how).iloc[0]
                rows.append({"what": what, "statistic": statistic, "annotators": annotators, "n": there.sum()}
                            | found.to_dict())  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "statistic", "annotators", "n", "value", "low", "high"])


def paired(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The regions that both judged, what each said with ``_one`` and ``_other``, and the speaker where it is known."""
    said = ["start_s", "end_s", *CATEGORIES]
    known = [column for column in ("speaker", "recording") if column in one]
    one, other = latest(judged(one)), latest(judged(other))
    return one[[*UNIT, *known, *said]].merge(other[[*UNIT, *said]], on=list(UNIT), suffixes=("_one", "_other"))


def confusion(pair: pd.DataFrame, what: str) -> pd.DataFrame:
    """How often the one (rows) gave each answer when the other (columns) gave each, of a table of `paired`."""
    answers = CATEGORIES[what]
    there = pair[[f"{what}_one", f"{what}_other"]].dropna()
    counts = pd.crosstab(there.iloc[:, 0], there.iloc[:, 1]).reindex(index=answers, columns=answers, fill_value=0)
    return counts.rename_axis(index="one", columns="other")


def cohen(counts: np.ndarray, *, linear: bool = False) -> float:
    """Cohen's kappa of (answer, answer) counts; NaN where both only ever gave the same one answer, or nothing.

    It is written out, as a library's takes ten times as long and it is asked for in every round; tests hold it against
    that of scikit-learn.

    Parameters
    ----------
    counts
        How often the one gave each answer when the other gave each.
    linear
        Whether a disagreement counts as much as the answers lie apart; else all count the same.

    References
    ----------
    J. Cohen, "A coefficient of agreement for nominal scales", 1960; weighted: "Weighted kappa", 1968.
    """
    places = np.arange(len(counts))
    weights = np.abs(places[:, None] - places) if linear else places[:, None] != places
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / (counts.sum() or 1)
    by_chance = (weights * expected).sum()
    return 1 - float((weights * counts).sum() / by_chance) if by_chance else np.nan


def fleiss(units: np.ndarray) -> float:
    """Fleiss' kappa of (unit, answer) counts of equally many annotators; NaN where only one answer was given.

    References
    ----------
    J. L. Fleiss, "Measuring nominal scale agreement among many raters", 1971.
    """
    return np.nan if np.count_nonzero(units.sum(axis=0)) < 2 else float(fleiss_kappa(units))


def alpha(units: np.ndarray, level: str) -> float:
    """Krippendorff's alpha of (unit, answer) counts of two annotators or more; NaN where only one answer was given.

    References
    ----------
    A. F. Hayes and K. Krippendorff, "Answering the call for a standard reliability measure for coding data", 2007.
    """
    if np.count_nonzero(units.sum(axis=0)) < 2:
        return np.nan
    return float(krippendorff.alpha(value_counts=units, level_of_measurement=level))


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)] if tables else pd.DataFrame(columns=list(COLUMNS))


def _agreement(pair: pd.DataFrame, how: Resampling, duration_s: Mapping[str, float] | None) -> pd.DataFrame:
    tables = []
    for what in CATEGORIES:
        own = pair[pair[[f"{what}_one", f"{what}_other"]].notna().all(axis=1)].reset_index(drop=True)
        if len(own):
            found = spread(_answers(own, what), own, how)
            tables.append(found.assign(what=what, statistic=["Cohen's kappa", "same answer"], n=len(own)))
    own = pair[_has_mark(pair, "one") | _has_mark(pair, "other")].reset_index(drop=True)
    if len(own):
        found = spread(_regions(own, duration_s or {}), own, how)
        tables.append(found.assign(what="region", statistic=["F1", "overlap", "frame kappa"], n=len(own)))
    return pd.concat(tables, ignore_index=True)


def _has_mark(pair: pd.DataFrame, who: str) -> pd.Series:
    return pair[f"start_s_{who}"] < pair[f"end_s_{who}"]


def _answers(pair: pd.DataFrame, what: str) -> Callable[[np.ndarray], np.ndarray]:
    """Kappa and the share of the same answer, of counted rows."""
    answers = CATEGORIES[what]
    codes = [pd.Categorical(pair[f"{what}_{who}"], categories=answers).codes.astype(int) for who in ("one", "other")]
    cells, n = codes[0] * len(answers) + codes[1], len(answers)

    def statistic(counts: np.ndarray) -> np.ndarray:
        matrix = np.bincount(cells, counts, minlength=n * n).reshape(n, n)
        return np.array([cohen(matrix, linear=what == "locality"), np.trace(matrix) / matrix.sum()])

    return statistic


def _regions(pair: pd.DataFrame, duration_s: Mapping[str, float]) -> Callable[[np.ndarray], np.ndarray]:
    """F1 of segments, mean overlap, and kappa of frames, of counted rows."""
    rows = [_meeting(row, duration_s) for row in pair.to_dict("records")]
    hits, sizes, overlap = (np.array([row[at] for row in rows], dtype=float) for at in range(3))
    frames = np.array([row[3] for row in rows], dtype=float)  # (row, 4): both, one, other, neither

    def statistic(counts: np.ndarray) -> np.ndarray:
        matrix = (counts @ frames).reshape(2, 2)
        return np.array([2 * (counts @ hits) / (counts @ sizes), counts @ overlap / counts.sum(), cohen(matrix)])

    return statistic


def _meeting(row: Mapping, duration_s: Mapping[str, float]) -> tuple[int, int, float, list[int]]:
    """Matched segments, segments of both, overlap, and frames that both, one, the other and none mark."""
    own = [_marks(row, who) for who in ("one", "other")]
    latest_s = max((mark[1] for marks in own for mark in marks), default=0.0)
    length_s = duration_s.get(row["utterance"], latest_s + SSL_CLOCK.hop_s)
    one, other = (marked_frames(marks, length_s) for marks in own)
    overlap = float(intersection_over_union(*own).max(initial=0.0))
    cells = [(one & other).sum(), (one & ~other).sum(), (~one & other).sum(), (~one & ~other).sum()]
    return matched(*own, LEAST_OVERLAP), sum(map(len, own)), overlap, cells


def _marks(row: Mapping, who: str) -> list[tuple[float, float]]:
    start_s, end_s = row[f"start_s_{who}"], row[f"end_s_{who}"]
    return [(start_s, end_s)] if start_s < end_s else []


def _counts(said: pd.DataFrame, what: str, answers: Sequence) -> tuple[pd.DataFrame, np.ndarray]:
    """The regions with what is known of them, and (region, answer) how many annotators gave each answer."""
    known = [column for column in ("speaker", "recording") if column in said]
    about = said[[*UNIT, *known]].drop_duplicates(list(UNIT)).reset_index(drop=True)
    places = pd.MultiIndex.from_frame(about[list(UNIT)]).get_indexer(pd.MultiIndex.from_frame(said[list(UNIT)]))
    counts = np.zeros((len(about), len(answers)), dtype=int)
    np.add.at(counts, (places, pd.Categorical(said[what], categories=answers).codes.astype(int)), 1)
    return about, counts


def _of_units(units: np.ndarray, measure: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A measure of (unit, answer) counts, of counted units."""
    return lambda counts: np.array([measure(np.repeat(units, counts.astype(int), axis=0))])
