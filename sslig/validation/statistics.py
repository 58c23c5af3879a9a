"""What explanations are measured by, which way is better, and a measured value beside what it would be by chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

CONTROL_LEVEL = 0.95
TIE = 1e-6
"""Values that differ by less are equal: scores in float32 resolve no more."""


@dataclass(frozen=True)
class Statistic:
    """One measure of an explanation.

    Attributes
    ----------
    better
        1 where a higher value speaks for the explanation, -1 where a lower one does.
    unit
        Of the value.
    meaning
        In a sentence.
    control
        What it would be with an explanation that tells nothing, in a sentence.
    """

    better: int
    unit: str
    meaning: str
    control: str


_SHIFTED = "the same with the map shifted around the end of the recording by a random number of frames"
_ALL_SHIFTS = "the mean over all shifts of the map around the end of the recording"
_NEIGHBOURS = "the rank correlation of the map with itself, shifted by a random number of frames"
_REORDERED = "the same with other stretches"
_AS_ALIKE = "0: maps as alike as the heads are"

STATISTICS: Mapping[str, Statistic] = MappingProxyType({
    "deletion": Statistic(
        1, "logits", "how far the score moves away from the decision without the frames of most evidence for it",
        _SHIFTED,
    ),
    "insertion": Statistic(
        1, "logits", "how far the score moves to the decision where only the frames of most evidence for it come back",
        _SHIFTED,
    ),
    "deletion_area": Statistic(1, "logits", "mean of the deletion curve over the share of frames", _SHIFTED),
    "insertion_area": Statistic(1, "logits", "mean of the insertion curve over the share of frames", _SHIFTED),
    "comprehensiveness": Statistic(1, "logits", "mean of the deletion curve over its points", _SHIFTED),
    "sufficiency": Statistic(
        1, "logits", "the score with the frames of most evidence only, less that with all, towards the decision; mean "
        "over the points, 0 where they suffice", _SHIFTED,
    ),
    "infidelity": Statistic(
        -1, "share", "share of what removed stretches change in the score that the best multiple of their evidence "
        "leaves open", _SHIFTED,
    ),
    "sensitivity_n": Statistic(
        1, "correlation", "of the evidence in removed stretches with what removing them takes from the score", _SHIFTED,
    ),
    "max_sensitivity": Statistic(
        -1, "share", "largest change of the map, over its size, when the features change by a little",
        "the change of the map when it is shifted by a random number of frames",
    ),
    "randomised_cascading": Statistic(
        -1, "|rank correlation|", "of the map with that of the head with this and all later parameters shuffled",
        _NEIGHBOURS,
    ),
    "randomised_independent": Statistic(
        -1, "|rank correlation|", "of the map with that of the head with these parameters alone shuffled", _NEIGHBOURS,
    ),
    "randomised_head_cascading": Statistic(
        -1, "|rank correlation|", "of what removed stretches do to the score of the head, and of the head with this "
        "and all later parameters shuffled: as alike may the maps stay", _REORDERED,
    ),
    "randomised_head_independent": Statistic(
        -1, "|rank correlation|", "of what removed stretches do to the score of the head, and of the head with these "
        "parameters alone shuffled: as alike may the maps stay", _REORDERED,
    ),
    "randomised_excess_cascading": Statistic(
        -1, "|rank correlation|", "how much more alike the maps stay than the heads do, with this and all later "
        "parameters shuffled", _AS_ALIKE,
    ),
    "randomised_excess_independent": Statistic(
        -1, "|rank correlation|", "how much more alike the maps stay than the heads do, with these parameters alone "
        "shuffled", _AS_ALIKE,
    ),
    "complexity_rise": Statistic(
        1, "share", "by how much the histogram entropy of the map rises when all parameters of the head are shuffled",
        "0: a map that does not know the parameters stays as it is",
    ),
    "steps": Statistic(
        1, "rank correlation", "of the map with that of many more points on the path", _NEIGHBOURS,
    ),
    "seeds": Statistic(
        1, "rank correlation", "of the map with that of the same detector trained from another seed", _NEIGHBOURS,
    ),
    "shift_features": Statistic(
        1, "correlation", "of the maps of the same frames, whether or not the head sees frames before them",
        "the same with one map shifted by a random number of frames",
    ),
    "shift_waveform": Statistic(
        1, "correlation", "of the maps of the same stretch, whether or not the detector hears what was before it",
        "the same with one map shifted by a random number of frames",
    ),
    "loudness_share": Statistic(
        -1, "share of variance", "of the map over time that level and amplitude of the frames explain",
        "the same with the loudness shifted by a random number of frames",
    ),
    "relevance_mass": Statistic(1, "share", "of the positive evidence that lies in the known place", _ALL_SHIFTS),
    "relevance_rank": Statistic(
        1, "share", "of the frames of most evidence, as many as the known place has, that lie in it", _ALL_SHIFTS,
    ),
    "pointing_20ms": Statistic(
        1, "share", "of maps whose highest frame lies in the known place or up to 20 ms from it", _ALL_SHIFTS,
    ),
    "pointing_100ms": Statistic(
        1, "share", "of maps whose highest frame lies in the known place or up to 100 ms from it", _ALL_SHIFTS,
    ),
    "roc_auc": Statistic(
        1, "share", "of pairs of a frame in the known place and one outside it in which the first has more evidence",
        _ALL_SHIFTS,
    ),
    "evidence_ratio": Statistic(
        1, "ratio", "of the share of the positive evidence in the known place to its share of time", _ALL_SHIFTS,
    ),
})  # fmt: skip
"""Every measure by name."""


def measured(statistic: str, value: float, controls: ArrayLike, **told: object) -> dict[str, object]:
    """A row of a table: a value beside its control.

    Parameters
    ----------
    statistic
        One of `STATISTICS`.
    value
        NaN where it is not defined.
    controls
        (draw,) What it is by chance.
    told
        Further columns, such as ``at``.

    Returns
    -------
    dict
        ``statistic``, `told`, ``value``, ``control`` (mean over the draws), ``control_low`` and ``control_high`` (2.5
        and 97.5 % of them), ``beaten`` (share of the draws that the value is better than, ties by half: 0.5 by chance)
        and ``draws``.

    Raises
    ------
    KeyError
        The statistic is unknown.
    """
    better, controls = STATISTICS[statistic].better, np.atleast_1d(np.asarray(controls, dtype=np.float64))
    row = {"statistic": statistic, **told, "value": float(value)}
    if not np.isfinite(value) or not np.isfinite(controls).all():
        nothing = dict.fromkeys(["control", "control_low", "control_high", "beaten"], np.nan)
        return row | {"value": np.nan} | nothing | {"draws": len(controls)}
    low, high = np.quantile(controls, [(1 - CONTROL_LEVEL) / 2, (1 + CONTROL_LEVEL) / 2])
    ahead = better * (value - controls)
    beaten = np.mean(np.where(np.isclose(value, controls, rtol=TIE, atol=TIE), 0.5, ahead > 0))
    return row | {
        "control": float(controls.mean()), "control_low": float(low), "control_high": float(high),
        "beaten": float(beaten), "draws": len(controls),
    }  # fmt: skip


def shifts(n_frames: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(draw,) Random circular shifts of `n_frames` frames by at least one, none twice before all came up once.

    A map is shifted as a whole, so that the frames of a curve's points lie within one another in the control too.
    """
    possible = max(1, n_frames - 1)
    rounds = [1 + generator.permutation(possible) for _ in range(-(-draws // possible))]
    return np.concatenate(rounds)[:draws]


def rolled(frames: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(draw, ..., frame) The (..., frame) array after each of the (draw,) circular shifts."""
    return np.stack([np.roll(frames, int(shift), axis=-1) for shift in by])
