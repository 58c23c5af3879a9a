"""Agreement of detectors on trials: groups of utterances and draws from them, rank correlation, and shared errors.

Scores have a row for each detector and utterance, the same utterances for each detector. Scores of different detectors
have different scales; only thresholds and ranks within a detector are used.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from sslig.errors import DataError
from sslig.labels import BONAFIDE, KEYS
from sslig.stats import metrics
from sslig.stats.bootstrap import Units, estimate, ratio, spearman
from sslig.strata import Stratum

RATE = 0.001  # a detector is confident where at most this share of the other class lies
MOST_DETECTORS = 8  # of `shared_errors`, which lists 2 ** n sets

CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG = "confidently right", "confidently wrong"
MIDDLE_RIGHT, MIDDLE_WRONG, MIXED = "middle right", "middle wrong", "mixed"
VERDICTS = (CONFIDENTLY_RIGHT, MIDDLE_RIGHT, MIDDLE_WRONG, CONFIDENTLY_WRONG)  # of one detector on one utterance
GROUPS = (*VERDICTS, MIXED)  # verdicts that the detectors share; mixed where they differ
SCOPES = {"all": tuple(KEYS), "bona fide": ("bonafide",), "spoof": ("spoof",)}


def thresholds(scores: pd.DataFrame, rate: float = RATE) -> list[float]:
    """Cuts that at most `rate` of the spoofs lie below and of the bona fide lie above, and the threshold of the EER."""
    classes = metrics.by_class(scores)
    return [metrics.operating_point(*classes, kind, rate).threshold for kind in ("fmr", "fnmr", "eer")]


def groups(scores: pd.DataFrame, rate: float = RATE) -> pd.DataFrame:
    """The verdict of each detector on each utterance, and the group that these put the utterance in.

    A detector calls an utterance spoof from its EER threshold on. It is *confident* beyond all of its `thresholds`:
    below the lowest, or from the highest on. An utterance is in the group of a verdict where all detectors give that
    verdict; else it is mixed. A class with fewer than 1 / `rate` trials has none beyond the cut that admits that share
    of it, so a small set has no confident errors.

    Parameters
    ----------
    scores
        ``detector``, ``utterance``, ``key``, ``attack``, ``speaker`` and ``spoof_score``; ``codec`` and ``gender`` are
        passed on where present.
    rate
        FMR and FNMR of the confident cuts.

    Returns
    -------
    DataFrame
        A row an utterance, in their order: ``utterance``, ``key``, ``attack``, ``speaker``, ``group``, ``n_right``
        and ``n_confident`` (detectors), ``spoof_rank`` (mean over detectors of the share of utterances that do not
        score higher), and ``verdict_<detector>`` for each.

    Raises
    ------
    DataError
        Detectors scored different utterances or one twice, a class is missing, or a score is not finite.
    """
    wide, trials = _wide(scores)
    is_spoof = trials["key"] == "spoof"
    verdicts = pd.DataFrame(index=wide.index)
    for detector in wide:
        cuts = thresholds(trials.assign(spoof_score=wide[detector]), rate)
        right = (wide[detector] >= cuts[2]) == is_spoof
        confident = (wide[detector] < min(cuts)) | (wide[detector] >= max(cuts))
        verdicts[detector] = np.select([confident & right, right, ~confident], VERDICTS[:3], VERDICTS[3])
    first = verdicts.iloc[:, 0]
    return trials.assign(
        group=first.where(verdicts.eq(first, axis=0).all(axis=1), MIXED),
        n_right=verdicts.isin([CONFIDENTLY_RIGHT, MIDDLE_RIGHT]).sum(axis=1),
        n_confident=verdicts.isin([CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG]).sum(axis=1),
        spoof_rank=wide.rank(pct=True, method="max").mean(axis=1),
        **{f"verdict_{detector}": verdicts[detector] for detector in wide},
    ).reset_index()


def select(groups: pd.DataFrame, strata: Sequence[Stratum], *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the utterances of each stratum in turn, none twice, and list what the strata lack.

    Where attacks differ in size, their utterances are taken in turns: one of each attack, then a second of each. In a
    random order, that of the attacks is random too; else the attack with the most extreme utterance comes first. Each
    stratum draws from `seed` and its position.

    Returns
    -------
    chosen : DataFrame
        The columns of `groups` and ``reason``, the name of the stratum; strata in turn, utterances by name.
    shortages : DataFrame
        ``stratum``, ``attack`` (``all`` where the stratum asks for no number of each), ``asked`` and ``found``, a row
        for each that has fewer than it asked for.
    """
    left, chosen, shortages = groups.sort_values("utterance"), [], []
    for position, stratum in enumerate(strata):
        candidates = left[(left["key"] == stratum.key) & (stratum.group is None or left["group"] == stratum.group)]
        ordered = _ordered(candidates, stratum, np.random.default_rng((seed, position)))
        taken = left[left["utterance"].isin(list(_in_turns(ordered, stratum)))].assign(reason=stratum.name)
        left = left[~left["utterance"].isin(taken["utterance"])]
        chosen.append(taken)
        shortages += _shortages(taken, stratum, groups)
    columns = ["stratum", "attack", "asked", "found"]
    return pd.concat(chosen, ignore_index=True), pd.DataFrame(shortages, columns=columns)


def rank_correlation(scores: pd.DataFrame, *, recordings: bool, seed: int, rounds: int = 1000) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of detectors over all utterances, the bona fide and the spoofs.

    Over all utterances two good detectors correlate highly, whatever they listen to; within a class they need not.
    `scores` are those of `groups`, with ``recording`` where `recordings` are resampled within speakers.

    Returns
    -------
    DataFrame
        ``first``, ``second``, ``scope``, ``n`` (utterances), ``n_speakers``, ``rho``, ``low`` and ``high``; NaN where
        all scores of a detector are equal. No rows for one detector.
    """
    wide, trials = _wide(scores, ["recording"] if recordings else [])
    pairs, rows = list(combinations(wide, 2)), []
    for scope, keys in SCOPES.items() if pairs else ():
        inside = trials["key"].isin(keys)
        units = Units.of_table(trials[inside], recordings=recordings)
        scores_of = [wide.loc[inside, name] for name in wide]
        rho = estimate(spearman(*scores_of), units, seed=seed, rounds=rounds).frame()[["value", "low", "high"]]
        sizes = (scope, int(inside.sum()), units.n_speakers)
        rows += [(*pair, *sizes, *figures) for pair, figures in zip(pairs, rho.to_numpy(), strict=True)]
    return pd.DataFrame(rows, columns=["first", "second", "scope", "n", "n_speakers", "rho", "low", "high"])


def shared_errors(scores: pd.DataFrame, *, recordings: bool, seed: int, rounds: int = 1000) -> pd.DataFrame:
    """How often which detectors err together at their EER thresholds, and how often independent errors would meet.

    Of the n utterances of a class, n prod_d p_d^w (1 - p_d)^(1 - w) are expected, where p_d is the detector's error
    rate in that class and w is 1 where it errs: independence given the class. The thresholds are held over all rounds.
    The arguments are those of `rank_correlation`, with at most `MOST_DETECTORS` detectors.

    Returns
    -------
    DataFrame
        A row for each class and each set of detectors, the region of a Venn diagram where they and no others err:
        ``key``, ``wrong`` (their names joined by ``+``, or ``none``), ``n_wrong``, ``observed``, ``expected`` and
        ``ratio`` of the two with ``low`` and ``high``; NaN where nothing is expected.
    """
    wide, trials = _wide(scores, ["recording"] if recordings else [])
    n_detectors = wide.shape[1]
    if n_detectors > MOST_DETECTORS:
        raise DataError(f"{n_detectors} detectors; at most {MOST_DETECTORS} fit a table of all sets of them")
    is_spoof = (trials["key"] == "spoof").to_numpy()
    cuts = [metrics.eer_threshold(wide.loc[~is_spoof, name], wide.loc[is_spoof, name]) for name in wide]
    wrong = (wide.to_numpy() >= cuts) != is_spoof[:, None]  # (utterance, detector)
    patterns = (np.arange(2**n_detectors)[:, None] >> np.arange(n_detectors)) & 1  # (pattern, detector)
    cell = wrong @ (1 << np.arange(n_detectors)) + is_spoof * len(patterns)

    def counts(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observed = np.stack([np.bincount(cell, row, minlength=2 * len(patterns)) for row in weights])
        of_class = observed.reshape(len(weights), 2, 1, -1)  # (round, class, 1, pattern)
        n = of_class.sum(axis=-1)  # (round, class, 1)
        rate = of_class @ patterns / np.maximum(n, 1)[..., None]  # (round, class, 1, detector)
        expected = n * np.where(patterns, rate, 1 - rate).prod(axis=-1)  # (round, class, pattern)
        return observed, expected.reshape(len(weights), -1)

    units = Units.of_table(trials, recordings=recordings)
    ratios = estimate(lambda weights: ratio(*counts(weights)), units, seed=seed, rounds=rounds)
    observed, expected = counts(np.ones((1, len(cell))))
    sets = [[name for name, errs in zip(wide, pattern, strict=True) if errs] for pattern in patterns]
    regions = ratios.frame()[["value", "low", "high"]].rename(columns={"value": "ratio"})
    regions = regions.assign(observed=observed[0].astype(np.int64), expected=expected[0])
    regions.insert(0, "key", np.repeat(list(KEYS), len(patterns)))
    regions.insert(1, "wrong", [" + ".join(names) or "none" for names in sets] * 2)
    regions.insert(2, "n_wrong", [len(names) for names in sets] * 2)
    return regions.sort_values(["key", "n_wrong"], kind="stable", ignore_index=True)


def _wide(scores: pd.DataFrame, more: Sequence[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(utterance, detector) scores, and a row for each utterance."""
    twice = scores[scores.duplicated(["detector", "utterance"])]
    if len(twice):
        raise DataError(f"{twice['detector'].iloc[0]} scored {twice['utterance'].iloc[0]} twice; one score is needed")
    wide = scores.pivot(index="utterance", columns="detector", values="spoof_score").rename_axis(columns=None)
    unscored = ~np.isfinite(wide.astype(np.float64)).stack()
    if unscored.any():
        utterance, detector = unscored.idxmax()
        raise DataError(f"{detector} has no finite score of {utterance}; every detector must score every utterance")
    columns = [name for name in ("key", "attack", "speaker", *more, "codec", "gender") if name in scores]
    trials = scores[["utterance", *columns]].drop_duplicates()
    differing = trials.loc[trials["utterance"].duplicated(), "utterance"]
    if len(differing):
        raise DataError(f"detectors disagree on key, attack, speaker or such of {differing.iloc[0]}")
    return wide, trials.set_index("utterance").loc[wide.index]


def _ordered(candidates: pd.DataFrame, stratum: Stratum, rng: np.random.Generator) -> pd.DataFrame:
    """Candidates in the order in which they are taken; names decide between equal ranks."""
    if stratum.order == "random":
        return candidates.iloc[rng.permutation(len(candidates))]
    highest_first = (KEYS[stratum.key] != BONAFIDE) == (stratum.order == "best")
    return candidates.sort_values("spoof_rank", ascending=not highest_first, kind="stable")


def _in_turns(ordered: pd.DataFrame, stratum: Stratum) -> Iterator[str]:
    queues = [zip(part["utterance"], part["speaker"], strict=True) for _, part in ordered.groupby("attack", sort=False)]
    limit = stratum.n if stratum.per_attack is None else stratum.per_attack * len(queues)
    turns, speakers, n_taken = stratum.per_attack or stratum.n, set(), 0
    for _ in range(turns):
        for queue in queues:
            available = (pair for pair in queue if not stratum.distinct or pair[1] not in speakers)
            utterance, speaker = next(available, (None, None))
            if utterance is None:
                continue
            if n_taken == limit:
                return
            speakers.add(speaker)
            n_taken += 1
            yield utterance


def _shortages(taken: pd.DataFrame, stratum: Stratum, groups: pd.DataFrame) -> list[tuple[str, str, int, int]]:
    if stratum.per_attack is None:
        return [(stratum.name, "all", stratum.n, len(taken))] if len(taken) < stratum.n else []
    attacks = sorted(groups.loc[groups["key"] == stratum.key, "attack"].unique())
    counts = taken["attack"].value_counts().reindex(attacks, fill_value=0)
    return [(stratum.name, attack, stratum.per_attack, n) for attack, n in counts.items() if n < stratum.per_attack]
