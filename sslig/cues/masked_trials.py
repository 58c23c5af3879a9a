"""Statistics of masked scores on all trials and on many bootstrap draws at once, masked and control trials paired."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student_t

from sslig.stats.intervals import Clusters
from sslig.stats.metrics import FA_WEIGHT, MISS_WEIGHT, MetricError, Trials

STATISTICS = ("bonafide_change", "spoof_change", "separation", "eer", "min_dcf", "far", "frr")
"""What `outcome` computes, in this order.

``bonafide_change`` and ``spoof_change`` are the mean change of the score of a class in logits, 0 for the unmasked
scores. ``separation`` is the mean spoof minus the mean bona fide score, over the pooled within-class standard deviation
of the unmasked scores (Cohen's d for these), so that detectors compare whose logits differ in scale. ``eer`` and
``min_dcf`` are those of `sslig.stats.metrics`, each at the best threshold of the scores at hand. ``far`` and ``frr`` keep the
EER threshold of the unmasked scores: the share of spoof trials accepted as bona fide, and of bona fide trials rejected
as spoof.
"""

CHUNK_TRIALS = 2**17
"""Rounds are taken together up to this many weights; larger blocks leave the cache and are slower."""

NO_SPREAD = 1e-9
"""A standard deviation this small a share of the largest score is rounding: float32 scores resolve no less."""

DECIMALS = 12
"""Effects are rounded to this, so that what differs in the last digit of a sum is no effect."""


@dataclass(frozen=True)
class MaskedTrials:
    """The scores of a detector under a mask and its controls; bona fide trials come first.

    Parameters
    ----------
    n_bonafide
        Bona fide trials; the others are spoof.
    unmasked, masked
        (trial,) Spoof scores.
    controls
        (draw, trial) Spoof scores under each control draw; no draw where the mask has no control.
    """

    n_bonafide: int
    unmasked: np.ndarray
    masked: np.ndarray
    controls: np.ndarray

    @property
    def is_bonafide(self) -> np.ndarray:
        """(trial,) Which trials are bona fide."""
        return np.arange(len(self.unmasked)) < self.n_bonafide

    @cached_property
    def spread(self) -> float:
        """Pooled standard deviation of the unmasked scores within the classes; NaN where nothing varies.

        It is a unit, and the same in every bootstrap round: with one of its own, a round that draws few of the scores
        far out would count the same change many times as large.

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
    def ordered(self) -> tuple[Trials, ...]:
        """The trials sorted by their unmasked scores, by their masked scores, and by those of each control draw."""
        columns = (self.unmasked, self.masked, *self.controls)
        return tuple(Trials.of(scores[: self.n_bonafide], scores[self.n_bonafide :]) for scores in columns)


class Outcome(NamedTuple):
    """(round, statistic) arrays of `STATISTICS`; the control is the mean over draws of each draw's statistic."""

    unmasked: np.ndarray
    masked: np.ndarray
    control: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """(round, statistic) What the mask changes."""
        return np.round(self.masked - self.unmasked, DECIMALS)

    @property
    def excess(self) -> np.ndarray:
        """(round, statistic) What the mask changes beyond its control; NaN where there is none."""
        return np.round(self.masked - self.control, DECIMALS)


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of the trials of a sample, for all masks and detectors that were measured on them.

    Parameters
    ----------
    counts
        (round, unit) How often each unit is drawn; each round holds trials of both classes.
    unit
        (trial,) Unit of each trial: its recording, or its speaker where recordings are not resampled.
    n_speakers
        Speakers of the trials.
    """

    counts: np.ndarray
    unit: np.ndarray
    n_speakers: int

    @classmethod
    def of(
        cls, is_bonafide: np.ndarray, speakers: ArrayLike, recordings: ArrayLike | None, *, seed: int, rounds: int
    ) -> "Draws":
        """The draws of `sslig.stats.intervals.bootstrap` with the same seed; those that lack a class are left out.

        Parameters
        ----------
        is_bonafide, speakers, recordings
            (trial,) Class and clusters; no `recordings`, no second stage.
        seed, rounds
            Of the draws.

        Raises
        ------
        MetricError
            Nothing is left to resample, or no round drew both classes.
        """
        clusters, rng = Clusters.of(speakers, recordings), np.random.default_rng(seed)
        counts = np.array([clusters.draw(rng) for _ in range(rounds)], dtype=np.uint16)
        n_units = counts.shape[1]
        has_class = np.stack(
            [np.bincount(clusters.of_trial[c], minlength=n_units) for c in (is_bonafide, ~is_bonafide)]
        )
        both = ((counts @ has_class.T) > 0).all(axis=1)
        if not both.any():
            raise MetricError(f"none of {rounds} rounds drew both classes: too few speakers have trials of one of them")
        return cls(counts[both], clusters.of_trial, len(clusters.size))


def on_all(trials: MaskedTrials) -> Outcome:
    """(1, statistic) arrays: every trial counts once."""
    return outcome(trials, np.ones((1, len(trials.unmasked))))


def resampled(trials: MaskedTrials, draws: Draws) -> Outcome:
    """(round, statistic) arrays: unmasked, masked and control scores of the same draw of trials in each round."""
    step = max(1, CHUNK_TRIALS // len(draws.unit))
    chunks = (draws.counts[start : start + step] for start in range(0, len(draws.counts), step))
    parts = [outcome(trials, counts[:, draws.unit].astype(np.float64)) for counts in chunks]
    return Outcome(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def two_sided_p(rounds: np.ndarray, n_units: int) -> np.ndarray:
    """(statistic,) Probability of an effect at least this far from 0, from (round, statistic) bootstrap effects.

    It is twice the smaller share of rounds on either side of 0, at most 1, where a round at 0 is on both sides and one
    is added to the rounds and to each count. A bootstrap of n units is too narrow by sqrt((n - 1) / n) and has the
    tails of a normal, not of a t distribution; corrected for many tests, a p-value is read far out in these tails. So
    its normal deviate z becomes the deviate sqrt((n - 1) / n) z of t with n - 1 degrees of freedom.

    References
    ----------
    A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application", 1997, section 4.2.5 (one added).
    T. C. Hesterberg, "What teachers should know about the bootstrap", 2015 (the expanded percentile interval).
    """
    below, above = (rounds <= 0).sum(axis=0), (rounds >= 0).sum(axis=0)
    p = np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (1 + len(rounds)))
    return 2 * student_t.sf(np.sqrt((n_units - 1) / n_units) * norm.isf(p / 2), n_units - 1)


def rounds_needed(p: float, n_units: int) -> int:
    """Fewest rounds with which `two_sided_p` of `n_units` units can fall below `p`; of two units none are enough."""
    deviate = student_t.isf(p / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1))
    tail = norm.sf(deviate)
    return int(1 / tail) if tail > 0 else sys.maxsize


def outcome(trials: MaskedTrials, weights: np.ndarray) -> Outcome:
    """The statistics where trials count as often as `weights` (round, trial) say.

    With whole weights each round is exactly the statistic of the trials repeated that often, ties included.
    """
    means = _class_means(trials, weights)
    original, *changed = trials.ordered
    threshold = eer_thresholds(original, *rates(original, weights[:, original.order]))

    def values(scores: np.ndarray, *orders: Trials) -> np.ndarray:
        bonafide, spoof = means(scores)
        linear = np.stack([*means(scores - trials.unmasked), (spoof - bonafide) / trials.spread], axis=1)
        return np.hstack([linear, np.mean([_at_thresholds(order, weights, threshold) for order in orders], axis=0)])

    # Means are linear, so the mean score over draws has the mean statistic over draws; error rates are not.
    control = (
        values(trials.controls.mean(axis=0), *changed[1:])
        if len(trials.controls)
        else np.full((len(weights), len(STATISTICS)), np.nan)
    )
    return Outcome(values(trials.unmasked, original), values(trials.masked, changed[0]), control)


def rates(trials: Trials, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(round, threshold + 1) P_miss and P_fa, as of `Trials.rates`, of (round, trial) sorted `weights`."""
    bonafide = np.cumsum(np.where(trials.is_bonafide, weights, 0.0), axis=1)
    every = np.cumsum(weights, axis=1)
    if len(trials.steps) < len(trials.scores):
        bonafide, every = bonafide[:, trials.steps], every[:, trials.steps]
    spoof = every - bonafide
    p_miss, p_fa = np.zeros((2, len(weights), len(trials.steps) + 1))
    p_miss[:, 1:] = bonafide / bonafide[:, -1:]
    p_fa[:, 0], p_fa[:, 1:] = 1.0, (spoof[:, -1:] - spoof) / spoof[:, -1:]
    return p_miss, p_fa


def eer_thresholds(trials: Trials, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    """(round,) Thresholds of the EER, halfway between the trial it stands on and the next lower one that was drawn.

    The rates of the unmasked scores are those at `sslig.stats.metrics.eer_threshold`, which is the score of a trial. Masked
    scores are cut by it too, and there a change of that one score in its last digit would count as an error.
    """
    rows, nearest = np.arange(len(p_miss)), np.argmin(np.abs(p_miss - p_fa), axis=1)
    scores = np.append(np.inf, trials.scores[trials.steps])
    # Undrawn trials leave both rates as they are.
    lower = (p_miss > p_miss[rows, nearest, None]) | (p_fa < p_fa[rows, nearest, None])
    return (scores[nearest] + scores[np.argmax(lower, axis=1)]) / 2


def _class_means(trials: MaskedTrials, weights: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A function from (trial,) scores to (round,) means of the bona fide and of the spoof trials."""
    parts = (slice(None, trials.n_bonafide), slice(trials.n_bonafide, None))
    shares = [weights[:, part] / weights[:, part].sum(axis=1, keepdims=True) for part in parts]
    return lambda scores: tuple(share @ scores[part] for share, part in zip(shares, parts, strict=True))


def _at_thresholds(trials: Trials, weights: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """(round, 4) The last four of `STATISTICS`, FAR and FRR at (round,) `threshold`."""
    p_miss, p_fa = rates(trials, weights[:, trials.order])
    rows, nearest = np.arange(len(weights)), np.argmin(np.abs(p_miss - p_fa), axis=1)
    eer = (p_miss[rows, nearest] + p_fa[rows, nearest]) / 2
    min_dcf = np.min(MISS_WEIGHT * p_miss + FA_WEIGHT * p_fa, axis=1)
    n_called_spoof = np.searchsorted(-trials.scores[trials.steps], -threshold, side="right")
    return np.stack([eer, min_dcf, p_fa[rows, n_called_spoof], p_miss[rows, n_called_spoof]], axis=1)
