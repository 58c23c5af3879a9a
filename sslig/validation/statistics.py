"""The measures of explanations: which way is better, and a value beside what it would be by chance."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

CHANCE_LEVEL = 0.95
TIE = 1e-6
"""Values that differ by less are equal: scores in float32 resolve no more."""

DELETION, INSERTION = "deletion_area_to_50", "insertion_area_to_50"
"""The areas that conclusions on faithfulness rest on: means of the curves up to half of the frames."""

FAITHFULNESS = (
    *("margin", "deletion", "insertion", "comprehensiveness", "sufficiency"),
    *(f"{curve}_area_to_{percent}" for curve in ("deletion", "insertion") for percent in (20, 50, 100)),
)
LOCALISATION = (
    *("roc_auc", "relevance_mass", "relevance_rank", "pointing_20ms", "pointing_100ms", "evidence_ratio", "skill"),
)
STABILITY = ("steps", "seeds", "shift_features", "shift_waveform")
RANDOMISED = ("randomised", "randomised_detector", "randomised_excess")

STATISTICS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys((*FAITHFULNESS, "sensitivity_n", *LOCALISATION, *STABILITY, "complexity_rise"), 1)
    | dict.fromkeys(("infidelity", "scaled_infidelity", "max_sensitivity", "loudness_share", "smooth_randomised"), -1)
    | {f"{name}_{kind}": -1 for name in RANDOMISED for kind in ("cascading", "independent")}
)
"""Every measure, with 1 where a higher value speaks for the explanation and -1 where a lower one does."""

COLUMNS = ("statistic", "value", "chance", "chance_low", "chance_high", "beaten", "draws")
"""Columns of `measured`."""

Rows = list[dict[str, object]]
"""Rows of `measured`, with further columns."""


class Controls(NamedTuple):
    """What controls are made of: the frames from the start that the head reads, and number and seed of random draws."""

    n_read: int
    draws: int
    seed: int

    def generator(self) -> np.random.Generator:
        """A generator at its start: all measures of an utterance meet the same draws."""
        return np.random.default_rng(self.seed)


def measured(statistic: str, value: float, controls: ArrayLike, **columns: object) -> dict[str, object]:
    """A row of a table: a value, NaN where it is not defined, beside chance.

    `controls` are (draw,) values of maps that know nothing, such as the same map shifted in time. The row has
    `columns`, ``statistic``, ``value``, ``chance`` (mean of the draws), ``chance_low`` and ``chance_high`` (bounds of
    95 % of them), ``beaten`` (share of draws that the value is better than, ties count half: 0.5 by chance) and
    ``draws``.
    """
    better, controls = STATISTICS[statistic], np.atleast_1d(np.asarray(controls, dtype=np.float64))
    row = {"statistic": statistic, **columns, "value": float(value)}
    if not np.isfinite(value) or not np.isfinite(controls).all():
        undefined = dict.fromkeys(["value", "chance", "chance_low", "chance_high", "beaten"], np.nan)
        return row | undefined | {"draws": len(controls)}
    low, high = np.quantile(controls, [(1 - CHANCE_LEVEL) / 2, (1 + CHANCE_LEVEL) / 2])
    ahead = better * (value - controls) > 0
    beaten = np.where(np.isclose(value, controls, rtol=TIE, atol=TIE), 0.5, ahead).mean()
    chance = {"chance": float(controls.mean()), "chance_low": float(low), "chance_high": float(high)}
    return row | chance | {"beaten": float(beaten), "draws": len(controls)}


def shifts(n_frames: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(draw,) Random circular shifts of `n_frames` frames by at least one; each comes once before any comes twice."""
    possible = max(1, n_frames - 1)
    rounds = [1 + generator.permutation(possible) for _ in range(-(-draws // possible))]
    return np.concatenate(rounds)[:draws]


def rolled(frames: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(draw, ..., frame) The (..., frame) array after each of the (draw,) circular shifts."""
    return np.stack([np.roll(frames, int(shift), axis=-1) for shift in by])
