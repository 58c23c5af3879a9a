"""What several detectors agree on: groups of utterances, rank correlation, and errors that they share.

Every function takes scores under each other: a row for each detector and utterance, the same utterances for each
detector. Scores of different detectors have different scales; only thresholds and ranks within a detector are used.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig.labels import BONAFIDE, KEYS
from sslig.stats import metrics, operating_points
from sslig.stats.metrics import MetricError
from sslig.stats.resampling import percentiles

RATE = 0.001
"""A detector is confident where at most this share of the other class lies."""

CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG = "confidently right", "confidently wrong"
MIDDLE_RIGHT, MIDDLE_WRONG, MIXED = "middle right", "middle wrong", "mixed"
VERDICTS = (CONFIDENTLY_RIGHT, MIDDLE_RIGHT, MIDDLE_WRONG, CONFIDENTLY_WRONG)
"""What one detector says of one utterance."""

GROUPS = (*VERDICTS, MIXED)
"""What all detectors say of one utterance; `MIXED` where they do not say the same."""

COLUMNS = ("detector", "utterance", "key", "attack", "speaker", "spoof_score")
SCOPES = {"all": tuple(KEYS), "bona fide": ("bonafide",), "spoof": ("spoof",)}
MOST_DETECTORS = 8
"""Detectors that `error_overlap` takes: of n, it lists 2 ** n patterns."""


class Thresholds(NamedTuple):
    """The cuts of one detector.

    Parameters
    ----------
    low
        Highest threshold with an FMR of at most the rate: at most that share of spoofs scores below it.
    high
        Lowest threshold with an FNMR of at most the rate: at most that share of bona fide trials reaches it.
    eer
        Threshold of the EER.
    """

    low: float
    high: float
    eer: float


def thresholds(scores: pd.DataFrame, rate: float = RATE) -> Thresholds:
    """The cuts of one detector, from its scores (``spoof_score`` and ``key``).

    Raises
    ------
    MetricError
        A class is missing, a score is not finite, or the rate is not between 0 and 1.
    """
    by_key = [scores.loc[scores["key"] == key, "spoof_score"] for key in KEYS]
    low = operating_points.at_fmr(*by_key, rate).threshold
    high = operating_points.at_fnmr(*by_key, rate).threshold
    return Thresholds(low, high, metrics.eer_threshold(*by_key))


def groups(scores: pd.DataFrame, rate: float = RATE, quorum: float = 1.0) -> pd.DataFrame:
    """What each detector says of each utterance, and the group that this puts the utterance in.

    A detector says spoof from its EER threshold on, bona fide below it. It is *confident* beyond all of its
    `Thresholds`: below the lowest, or from the highest on. (Of a weak detector that is below ``low`` and from
    ``high`` on. Of one with an EER below `rate`, ``low`` lies above ``high``; what is between them both cuts would
    claim, and it is left to the middle.) Its verdict is one of `VERDICTS`.

    An utterance is in the group of a verdict where at least a share `quorum` of the detectors, all by default, give
    that verdict; else it is mixed: they differ in what they say, or only some are confident. Of one detector none is
    mixed. With all needed, one more detector can only move utterances to mixed; ``n_right`` and ``n_confident`` tell
    apart what is there.

    The thresholds come from the same scores. Of a class with fewer than 1 / `rate` trials none can lie beyond the cut
    that admits that share of it, so a small set has no confident errors.

    Parameters
    ----------
    scores
        Rows with `COLUMNS`; ``codec`` and ``gender`` are passed on where present.
    rate
        FMR and FNMR of the confident cuts.
    quorum
        Above 0.5, so that at most one verdict reaches it, to 1.

    Returns
    -------
    DataFrame
        A row an utterance, in their order: ``utterance``, ``key``, ``attack``, ``speaker``, ``group``, ``n_right``
        and ``n_confident`` (detectors), ``spoof_rank`` (mean over detectors of the share of utterances that do not
        score higher: 1 for what all find most spoof-like), and ``verdict_<detector>`` for each.

    Raises
    ------
    MetricError
        A column is missing, detectors scored different utterances or one twice, a class is missing, a score is not
        finite, or `rate` or `quorum` are out of range.
    """
    if not 0.5 < quorum <= 1:
        raise MetricError(f"quorum {quorum}; above 0.5 and at most 1 is needed")
    wide, about = _wide(scores)
    verdicts = pd.DataFrame({
        detector: _verdicts(wide[detector], about["key"], thresholds(about.assign(spoof_score=wide[detector]), rate))
        for detector in wide
    })  # fmt: skip
    votes = pd.DataFrame({verdict: (verdicts == verdict).sum(axis=1) for verdict in VERDICTS})
    # 0.55 * 20 is a little above 11: rounding must not ask for one detector more.
    agreed = votes.max(axis=1) >= quorum * wide.shape[1] - 1e-9
    return about.assign(
        group=votes.idxmax(axis=1).where(agreed, MIXED),
        n_right=votes[[CONFIDENTLY_RIGHT, MIDDLE_RIGHT]].sum(axis=1),
        n_confident=votes[[CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG]].sum(axis=1),
        spoof_rank=wide.rank(pct=True, method="max").mean(axis=1),
        **{f"verdict_{detector}": verdicts[detector] for detector in wide},
    ).reset_index()


def rank_correlation(
    scores: pd.DataFrame, *, seed: int, rounds: int = 1000, level: float = 0.95, recordings: str | None = None
) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of detectors over all utterances, the bona fide and the spoofs.

    Over all utterances two detectors that are both good correlate highly, whatever they listen to; within a class
    that is not so.

    Parameters
    ----------
    scores
        Rows with `COLUMNS` of at least two detectors.
    seed, rounds, level, recordings
        As of `sslig.stats.intervals.by_group`; ties that a draw makes share a rank.

    Returns
    -------
    DataFrame
        ``first``, ``second``, ``scope``, ``n`` (utterances), ``n_speakers``, ``rho``, ``low`` and ``high``; NaN where
        all scores of a detector are equal.

    Raises
    ------
    MetricError
        As of `groups`; or fewer than two detectors, or nothing can be resampled.

    References
    ----------
    C. Spearman, "The proof and measurement of association between two things", 1904.
    """
    wide, about = _wide(scores, recordings)
    if wide.shape[1] < 2:
        raise MetricError(f"one detector, {wide.columns[0]}; two are needed to correlate")
    rows = []
    for scope, keys in SCOPES.items():
        inside = about["key"].isin(keys)
        part, speakers = wide[inside], about.loc[inside, "speaker"]
        second = None if recordings is None else about.loc[inside, recordings]
        spread = percentiles(_spearman(part), speakers, seed=seed, rounds=rounds, level=level, recordings=second)
        common = (scope, len(part), speakers.nunique())
        rows += [(*pair, *common, *values) for pair, *values in zip(combinations(wide, 2), *spread, strict=True)]
    return pd.DataFrame(rows, columns=["first", "second", "scope", "n", "n_speakers", "rho", "low", "high"])


def error_overlap(
    scores: pd.DataFrame, *, seed: int, rounds: int = 1000, level: float = 0.95, recordings: str | None = None
) -> pd.DataFrame:
    """How often which detectors err together at their EER thresholds, and how often they would if independent.

    Expected are n prod_d p_d^w (1 - p_d)^(1 - w) utterances of the n of a class, with p_d the detector's error rate in
    that class and w whether it errs: independence given the class. The thresholds are held over all rounds.

    Parameters
    ----------
    scores
        Rows with `COLUMNS` of at most `MOST_DETECTORS` detectors.
    seed, rounds, level, recordings
        As of `sslig.stats.intervals.by_group`.

    Returns
    -------
    DataFrame
        A row for each class and each set of detectors, the region of a Venn diagram where they and no others err:
        ``key``, ``wrong`` (their names joined by ``+``, or ``none``), ``n_wrong``, ``observed``, ``expected`` and
        ``ratio`` of the two with ``low`` and ``high``; NaN where nothing is expected.

    Raises
    ------
    MetricError
        As of `groups`; or too many detectors, or nothing can be resampled.
    """
    wide, about = _wide(scores, recordings)
    n_detectors = wide.shape[1]
    if n_detectors > MOST_DETECTORS:
        raise MetricError(f"{n_detectors} detectors; at most {MOST_DETECTORS} fit a table of all sets of them")
    wrong = pd.DataFrame({name: _called_spoof(wide[name], about["key"]) != _is_spoof(about["key"]) for name in wide})
    patterns = (np.arange(2**n_detectors)[:, None] >> np.arange(n_detectors)) & 1  # (pattern, detector)
    cell = wrong.to_numpy() @ (1 << np.arange(n_detectors)) + about["key"].map(KEYS).to_numpy() * len(patterns)
    sets = [[name for name, errs in zip(wide, pattern, strict=True) if errs] for pattern in patterns]

    def counts(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observed = np.bincount(cell, weights, minlength=2 * len(patterns)).reshape(2, -1)  # (class, pattern)
        n = observed.sum(axis=1, keepdims=True)
        rate = (observed @ patterns / np.maximum(n, 1))[:, None]  # (class, 1, detector)
        return observed.ravel(), (n * np.where(patterns, rate, 1 - rate).prod(axis=2)).ravel()

    def ratios(weights: np.ndarray) -> np.ndarray:
        observed, expected = counts(weights)
        return np.divide(observed, expected, out=np.full(len(observed), np.nan), where=expected > 0)

    second = None if recordings is None else about[recordings]
    spread = percentiles(ratios, about["speaker"], seed=seed, rounds=rounds, level=level, recordings=second)
    observed, expected = counts(np.ones(len(cell)))
    regions = pd.DataFrame({
        "key": np.repeat(list(KEYS), len(patterns)),
        "wrong": [" + ".join(names) or "none" for names in sets] * 2,
        "n_wrong": [len(names) for names in sets] * 2,
        "observed": observed.astype(np.int64), "expected": expected,
        "ratio": spread.value, "low": spread.low, "high": spread.high,
    })  # fmt: skip
    return regions.sort_values(["key", "n_wrong"], kind="stable").reset_index(drop=True)


def _wide(scores: pd.DataFrame, recordings: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(utterance, detector) scores and what is known of each utterance, both in the order of their names."""
    needed = [*COLUMNS, *([recordings] if recordings else [])]
    missing = [column for column in needed if column not in scores]
    if missing:
        raise MetricError(f"the scores lack {', '.join(missing)}; they have {', '.join(map(str, scores.columns))}")
    twice = scores[scores.duplicated(["detector", "utterance"])]
    if len(twice):
        found = f"{twice['detector'].iloc[0]} scored {twice['utterance'].iloc[0]} twice"
        raise MetricError(f"{found}; one score of each detector is needed")
    wide = scores.pivot(index="utterance", columns="detector", values="spoof_score").rename_axis(columns=None)
    if not np.isfinite(wide.to_numpy(dtype=np.float64)).all():
        utterance, detector = wide.where(np.isfinite(wide)).isna().stack().idxmax()
        raise MetricError(f"{detector} has no finite score of {utterance}; every detector must score every utterance")
    passed_on = dict.fromkeys(["key", "attack", "speaker", *needed[len(COLUMNS) :], "codec", "gender"])
    known = scores[["utterance", *(column for column in passed_on if column in scores)]].drop_duplicates()
    differing = known.loc[known["utterance"].duplicated(), "utterance"]
    if len(differing):
        raise MetricError(f"detectors disagree on key, attack, speaker or such of {differing.iloc[0]}")
    unknown = known.loc[~known["key"].isin(KEYS), "key"]
    if len(unknown):
        raise MetricError(f"key {unknown.iloc[0]!r} in row {unknown.index[0]}; accepted: {', '.join(KEYS)}")
    return wide, known.set_index("utterance").loc[wide.index]


def _is_spoof(keys: pd.Series) -> pd.Series:
    return keys.map(KEYS) != BONAFIDE


def _called_spoof(scores: pd.Series, keys: pd.Series) -> pd.Series:
    """Which trials are called spoof at the threshold of the EER."""
    spoof = _is_spoof(keys)
    return scores >= metrics.eer_threshold(scores[~spoof], scores[spoof])


def _verdicts(scores: pd.Series, keys: pd.Series, cuts: Thresholds) -> pd.Series:
    """One of `VERDICTS` for each utterance."""
    right = (scores >= cuts.eer) == _is_spoof(keys)
    confident = (scores < min(cuts)) | (scores >= max(cuts))
    found = np.select([confident & right, right, ~confident], VERDICTS[:3], VERDICTS[3])
    return pd.Series(found, index=scores.index)


def _spearman(wide: pd.DataFrame) -> Callable[[np.ndarray], Sequence[float]]:
    """A function from (trial,) weights to (pair,) rank correlations of the trials repeated that often."""
    blocks = [np.unique(wide[name], return_inverse=True)[1] for name in wide]
    pairs = np.triu_indices(len(blocks), k=1)

    def rho(weights: np.ndarray) -> np.ndarray:
        ranks = np.stack([_ranks(block, weights) for block in blocks])  # (detector, trial)
        deviation = ranks - (ranks @ weights / weights.sum())[:, None]
        covariance = (deviation * weights) @ deviation.T
        scale = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore"):
            return (covariance / np.outer(scale, scale))[pairs]

    return rho


def _ranks(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(trial,) Mean rank of each trial's block of equal scores, trials repeated `weights` times."""
    size = np.bincount(block, weights)
    return (np.cumsum(size) - (size - 1) / 2)[block]
