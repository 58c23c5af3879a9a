"""Effects of masks on a detector: scores and errors against the unmasked ones and against matched random masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from sslig.cues.masking import APPLIED, NO_FRAMES
from sslig.errors import DataError
from sslig.labels import BONAFIDE, KEYS
from sslig.stats import bootstrap, tests
from sslig.stats.bootstrap import Estimate, Units
from sslig.stats.metrics import CURVE_METRICS, Trials, nearest

STATISTICS = ("bonafide_change", "spoof_change", "separation", "eer", "min_dcf", "far", "frr")
"""``bonafide_change`` and ``spoof_change`` are the mean change of the score of a class in logits, 0 for the unmasked
scores. ``separation`` is the mean spoof minus the mean bona fide score, over the pooled within-class standard deviation
of the unmasked scores (Cohen's d for these), so that detectors compare whose logits differ in scale. ``eer`` and
``min_dcf`` are those of `sslig.stats.metrics`, each at the best threshold of the scores at hand. ``far`` and ``frr``
hold the EER threshold of the unmasked scores: the share of spoof trials accepted as bona fide, and of bona fide trials
rejected as spoof."""

TESTED = ("bonafide_change", "spoof_change", "separation", "eer")
"""The statistics that verdicts read; Holm's correction is for all of them. The others have intervals and no test."""

LINEAR = slice(0, 3)
"""The `STATISTICS` that are means, which single speakers have too."""

SUPPORTED, OPPOSITE, NOT_SHOWN = "supported", "opposite signs", "not shown"
UNDECIDED, AT_CHANCE = "undecided", "at chance"
"""Verdicts. *Supported*: significant, and change and excess have one sign. *Opposite signs*: significant, but the mask
moves the scores one way and differs from its control the other way. *Not shown*: an effect below ``detectable`` would
have been missed more often than not. *Undecided*: too few speakers (or recordings) for any test. *At chance*: the
detector does not separate the classes of these utterances unmasked, so there is nothing to lose and no test."""

NO_SPREAD = 1e-9
"""A standard deviation this small a share of the largest score is rounding: float32 scores resolve no less."""

DECIMALS = 12
"""Effects are rounded to this, so that a difference in the last digit of a sum is no effect."""

ROW = ["detector", "seed", "mask", "utterance"]


def effects(
    masked: pd.DataFrame, *, seed: int, rounds: int = 5000, recordings: bool, attacks: bool = False
) -> pd.DataFrame:
    """Estimate the effect of each mask on each detector, with paired intervals and corrected tests.

    The *change* is a statistic of the masked minus that of the unmasked scores. The *excess* is a statistic of the
    masked scores minus its mean over the control draws, each draw taken over all utterances. Every bootstrap round
    draws the same speakers (and recordings) for unmasked, masked and control scores and finds the unmasked EER
    threshold anew; all masks and detectors of the same utterances share the rounds.

    The test is of the excess, or of the change where a mask has no control. Bootstrap p-values of `TESTED` are
    corrected together by Holm, over these statistics, detectors and masks, for each training seed. A detector whose
    unmasked separation is not above 0 (95 % interval) is not tested. The EER, minDCF, FAR and FRR move in steps, and
    the tests of the first err on the side of no effect.

    Parameters
    ----------
    masked
        A row for each ``detector``, training ``seed``, ``mask`` and ``utterance``, with ``key``, ``speaker``,
        ``spoof_score``, ``masked_score``, ``control_scores``, ``status``, and ``recording`` where these are resampled.
        ``control_scores`` holds as many draws in every utterance, or none in any. An utterance in which the mask covers
        no frames counts as unchanged by mask and control. An utterance that the mask covers whole may lack draws, since
        moving the mask changes nothing; its masked score stands for them.
    seed, rounds
        Seed and number of the bootstrap draws. Draws without a class are left out.
    recordings, attacks
        What is drawn (`sslig.stats.bootstrap.Units`): recordings within these speakers, or speakers; attacks too.

    Returns
    -------
    DataFrame
        A row for each detector, seed, mask and statistic of `STATISTICS`: ``n_bonafide``, ``n_spoof``, ``n_speakers``,
        ``n_units`` and ``dof`` of the bootstrap, ``about`` (whom the claim is about), ``n_applied`` (utterances where
        the mask covers something), ``draws`` of the control, ``rounds`` with both classes, values ``unmasked``,
        ``masked`` and ``control``, ``change`` and ``excess`` with ``_low`` and ``_high``; ``tested`` ("excess" or
        "change") with its ``effect``, ``low``, ``high``, standard ``error``, ``p``, ``p_holm`` and ``family`` (tests
        corrected together); ``detectable``, the smallest effect that a test at .05 / ``family`` finds with a
        probability of .8; ``speakers_needed`` to find this effect in speakers at large, if they vary as these (means
        only); ``significant`` and ``verdict``. ``control`` and ``excess`` are NaN where there is no control. A mask
        that covers no frames of any utterance has change and excess 0 and p 1.

    Raises
    ------
    DataError
        Scores are not finite or do not vary, an utterance stands twice, control draws do not match, or a class is
        missing. The message names detector, mask and utterance where there is one.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    twice = masked.loc[masked.duplicated(ROW), ROW]
    if len(twice):
        names = ", ".join(map(str, twice.iloc[0]))
        raise DataError(f"row {twice.index[0]} repeats {names}; one row a detector, seed, mask and utterance is needed")
    families = len(TESTED) * masked[ROW[:3]].drop_duplicates().groupby("seed").size()
    rows = []
    for (detector, model_seed), scores in masked.groupby(["detector", "seed"], sort=False):
        for parts in _same_utterances(scores, f"{detector}, seed {model_seed}"):
            level = tests.ALPHA / families[model_seed]
            tables = _sample(parts, level, seed, rounds, recordings, attacks)
            rows += [table.assign(detector=detector, seed=model_seed) for table in tables]
    table = tests.corrected(pd.concat(rows), ["seed"])
    table = table.assign(detectable=_detectable(table), verdict=_verdicts(table))
    return masked[ROW[:3]].drop_duplicates().merge(table, on=ROW[:3], sort=False)


def _same_utterances(scores: pd.DataFrame, where: str) -> list[dict[str, tuple[pd.DataFrame, "MaskedTrials"]]]:
    """The masks of one detector with their trials, those together that have the same utterances."""
    samples: dict[tuple[str, ...], dict[str, tuple[pd.DataFrame, MaskedTrials]]] = {}
    for mask, part in scores.groupby("mask", sort=False):
        part = part.assign(label=part["key"].map(KEYS)).sort_values(["label", "utterance"])
        try:
            samples.setdefault(tuple(part["utterance"]), {})[mask] = part, _trials(part)
        except DataError as error:
            raise DataError(f"{where}, {mask}: {error}") from error
    return list(samples.values())


def _detectable(table: pd.DataFrame) -> list[float]:
    """(row,) The smallest effect that the test of a row finds with a probability of .8."""
    rows = zip(table["error"], table["dof"], table["family"], strict=True)
    return [error * tests.needed_multiple(dof, tests.ALPHA / max(family, 1)) for error, dof, family in rows]


def _verdicts(table: pd.DataFrame) -> np.ndarray:
    """(row,) Verdicts on the tested statistics, empty for the others."""
    one_sign = (table["tested"] == "change") | (np.sign(table["change"]) == np.sign(table["excess"]))
    of_row = {
        "": ~table["statistic"].isin(TESTED),
        UNDECIDED: table["dof"] < tests.LEAST_DOF,
        AT_CHANCE: table["at_chance"],
        SUPPORTED: table["significant"] & one_sign,
        OPPOSITE: table["significant"],
    }
    return np.select(list(of_row.values()), list(of_row), NOT_SHOWN)


@dataclass(frozen=True)
class MaskedTrials:
    """Scores under a mask, as a statistic of `sslig.stats.bootstrap`: (trial,), and (draw, trial) under its controls.

    The first `n_bonafide` trials are bona fide, the others spoof. A mask without control has no draws.
    """

    n_bonafide: int
    unmasked: np.ndarray
    masked: np.ndarray
    controls: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(round, 3, statistic) Unmasked, masked and control values of `STATISTICS`.

        The control is the mean over draws of each draw's statistic. With whole (round, trial) weights each round is the
        statistic of the trials repeated that often, ties included.
        """
        original, *changed = self._ordered
        threshold = _eer_thresholds(original, *original.rates(weights[:, original.order]))

        def values(scores: np.ndarray, orders: Sequence[Trials]) -> np.ndarray:
            errors = np.mean([_errors(order, weights, threshold) for order in orders], axis=0)
            return np.hstack([self._means(scores, weights), errors])

        # Means are linear, so the mean score over draws has the mean statistic over draws; error rates are not.
        control = (
            values(self.controls.mean(axis=0), changed[1:])
            if len(self.controls)
            else np.full((len(weights), len(STATISTICS)), np.nan)
        )
        return np.stack([values(self.unmasked, [original]), values(self.masked, changed[:1]), control], axis=1)

    @cached_property
    def spread(self) -> float:
        """Pooled standard deviation of the unmasked scores within the classes; NaN where nothing varies.

        It is a unit, and the same in every bootstrap round: a round that draws few of the scores far out would
        otherwise count the same change many times as large.

        References
        ----------
        J. Cohen, "Statistical power analysis for the behavioral sciences", 1988, equation 2.5.1.
        """
        bonafide, spoof = np.split(self.unmasked, [self.n_bonafide])
        squares = sum(np.sum((scores - scores.mean()) ** 2) for scores in (bonafide, spoof))
        n_trials, smallest = len(self.unmasked), NO_SPREAD * np.abs(self.unmasked).max()
        varies = n_trials > 2 and squares > n_trials * smallest**2
        return float(np.sqrt(squares / (n_trials - 2))) if varies else np.nan

    @cached_property
    def _ordered(self) -> list[Trials]:
        """The trials sorted by their unmasked scores, by their masked scores, and by those of each control draw."""
        columns = (self.unmasked, self.masked, *self.controls)
        return [Trials.of(scores[: self.n_bonafide], scores[self.n_bonafide :]) for scores in columns]

    def effects_on_means(self, weights: np.ndarray) -> np.ndarray:
        """(round, `LINEAR` statistic) The tested effect: the excess over the controls, or the change without them."""
        other = self.controls.mean(axis=0) if len(self.controls) else self.unmasked
        return self._means(self.masked, weights) - self._means(other, weights)

    def _means(self, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(round, `LINEAR` statistic)"""
        bonafide, spoof = self._class_means(scores, weights)
        changes = self._class_means(scores - self.unmasked, weights)
        return np.stack([*changes, (spoof - bonafide) / self.spread], axis=1)

    def _class_means(self, scores: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        """(round,) Means of the bona fide and of the spoof trials."""
        parts = slice(None, self.n_bonafide), slice(self.n_bonafide, None)
        return [bootstrap.ratio(weights[:, part] @ scores[part], weights[:, part].sum(axis=1)) for part in parts]


def _eer_thresholds(trials: Trials, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    """(round,) Thresholds of the EER, halfway between the trial it stands on and the next lower one that was drawn.

    At `sslig.stats.metrics.eer_threshold`, the score of a trial, unmasked scores have the same rates, but a change of
    that masked score in its last digit would count as an error.
    """
    rows, at = np.arange(len(p_miss)), nearest(p_miss, p_fa)
    scores = np.append(np.inf, trials.scores[trials.steps])
    # Undrawn trials leave both rates as they are.
    lower = (p_miss > p_miss[rows, at, None]) | (p_fa < p_fa[rows, at, None])
    return (scores[at] + scores[np.argmax(lower, axis=1)]) / 2


def _errors(trials: Trials, weights: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """(round, 4) The last four of `STATISTICS`, FAR and FRR at (round,) `threshold`."""
    p_miss, p_fa = trials.rates(weights[:, trials.order])
    rows = np.arange(len(weights))
    n_called_spoof = np.searchsorted(-trials.scores[trials.steps], -threshold, side="right")
    curve = [CURVE_METRICS[name](p_miss, p_fa) for name in ("eer", "min_dcf")]
    return np.stack([*curve, p_fa[rows, n_called_spoof], p_miss[rows, n_called_spoof]], axis=1)


def _sample(
    parts: dict[str, tuple[pd.DataFrame, MaskedTrials]],
    level: float,
    seed: int,
    rounds: int,
    recordings: bool,
    attacks: bool,
) -> list[pd.DataFrame]:
    """The tables of masks that were applied to the same utterances."""
    first, first_trials = next(iter(parts.values()))
    units = Units.of_table(first, recordings=recordings, attacks=attacks)

    def differences(weights: np.ndarray) -> np.ndarray:
        """(round, mask, 2, statistic) Changes and excesses."""
        values = np.stack([statistic(weights) for _, statistic in parts.values()], axis=1)
        return np.round(values[:, :, [1]] - values[:, :, [0, 2]], DECIMALS)

    draws = {"seed": seed, "rounds": rounds, "classes": first["label"].to_numpy()}
    estimate = bootstrap.estimate(differences, units, **draws)
    unmasked = bootstrap.estimate(lambda weights: first_trials._means(first_trials.unmasked, weights), units, **draws)
    sample = {
        "n_bonafide": first_trials.n_bonafide,
        "n_spoof": len(first) - first_trials.n_bonafide,
        **{"n_speakers": units.n_speakers, "n_units": units.n, "dof": units.dof, "about": units.about},
        "rounds": int(np.max(estimate.n_rounds)),
        "at_chance": bool(unmasked.low[STATISTICS.index("separation")] <= 0),
    }
    return [
        _of_mask(mask, part, trials, estimate[at], units, level, sample)
        for at, (mask, (part, trials)) in enumerate(parts.items())
    ]


def _of_mask(
    mask: str, part: pd.DataFrame, trials: MaskedTrials, estimate: Estimate, units: Units, level: float, sample: dict
) -> pd.DataFrame:
    """The rows of one mask from its estimate of (change and excess, statistic), and what a sample shares."""
    names, tested = ("change", "excess"), int(len(trials.controls) > 0)
    values = dict(zip(("unmasked", "masked", "control"), trials(np.ones((1, len(part))))[0], strict=True))
    ends = {
        f"{name}{end}": getattr(estimate, figure)[at]
        for at, name in enumerate(names)
        for figure, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    }
    effect = estimate[tested]
    needed = np.full(len(STATISTICS), np.nan)
    needed[LINEAR] = bootstrap.speakers_needed(trials.effects_on_means, units, level)
    untested = ~np.isin(STATISTICS, TESTED) | sample["at_chance"]
    about = {
        "mask": mask,
        "statistic": STATISTICS,
        "n_applied": int((part["status"] != NO_FRAMES).sum()),
        "draws": int(part["control_scores"].map(len).max()),
        "tested": names[tested],
    }
    figures = {"effect": effect.value, "low": effect.low, "high": effect.high, "error": effect.error}
    figures |= {"p": np.where(untested, np.nan, effect.p), "speakers_needed": needed}
    return pd.DataFrame(sample | about | values | ends | figures)


def _trials(part: pd.DataFrame) -> MaskedTrials:
    """The scores of one detector under one mask; `part` holds the bona fide utterances first."""
    missing = sorted(set(KEYS) - set(part["key"]))
    if missing:
        raise DataError(f"no {missing[0]} utterances among {len(part)}; both classes are needed")
    still = (part["status"] == NO_FRAMES).to_numpy()
    unmasked = part["spoof_score"].to_numpy(dtype=np.float64)
    masked = np.where(still, unmasked, part["masked_score"].to_numpy(dtype=np.float64))
    controls = np.where(still, unmasked, _controls(part, masked))
    for name, scores in (("spoof_score", unmasked), ("masked_score", masked), ("control_scores", controls)):
        faulty = ~np.isfinite(np.atleast_2d(scores)).all(axis=0)
        if faulty.any():
            raise DataError(f"{name} of utterance {part['utterance'].iloc[faulty.argmax()]} is NaN or infinite")
    if still.all() and not len(controls):
        controls = unmasked[None]  # (draw, trial)
    trials = MaskedTrials(int((part["label"] == BONAFIDE).sum()), unmasked, masked, controls)
    if np.isnan(trials.spread):
        raise DataError(f"spoof_score hardly varies within the classes of {len(part)} utterances")
    return trials


def _controls(part: pd.DataFrame, masked: np.ndarray) -> np.ndarray:
    """(draw, trial) Scores under the control, the masked score where the mask could not be moved."""
    lengths = part["control_scores"].map(len).to_numpy()
    n_draws = lengths.max()
    wrong = (lengths != n_draws) & ~((lengths == 0) & (part["status"] != APPLIED).to_numpy())
    if wrong.any():
        first = wrong.argmax()
        raise DataError(
            f"utterance {part['utterance'].iloc[first]} has {lengths[first]} control scores, others have {n_draws}; as "
            "many are needed in every utterance"
        )
    filled = [
        draws if len(draws) else [score] * n_draws for draws, score in zip(part["control_scores"], masked, strict=True)
    ]
    return np.array(filled, dtype=np.float64).T
