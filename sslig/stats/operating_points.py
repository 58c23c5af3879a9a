"""Thresholds that hold an error rate, and what the other error rate is there.

A threshold calls spoof what scores at least as much. The false non-match rate FNMR, of bona fide trials called spoof,
is ``p_miss`` of `sslig.stats.metrics`, also known as the false rejection rate FRR. The false match rate FMR, of spoofs
called bona fide, is ``p_fa``, the false acceptance rate FAR.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.errors import DataError
from sslig.stats.bootstrap import Units, estimate
from sslig.stats.metrics import Trials, by_class, nearest

RATES = (0.01, 0.001)
"""Error rates that `table` holds."""


class OperatingPoint(NamedTuple):
    """A threshold and both error rates at it."""

    threshold: float
    p_miss: float
    p_fa: float


def at_fmr(bonafide: ArrayLike, spoof: ArrayLike, rate: float) -> OperatingPoint:
    """The highest threshold, thus the lowest FNMR, at which the FMR is at most `rate`."""
    return _point(Trials.of(bonafide, spoof), "fmr", rate)


def at_fnmr(bonafide: ArrayLike, spoof: ArrayLike, rate: float) -> OperatingPoint:
    """The lowest threshold, thus the lowest FMR, at which the FNMR is at most `rate`."""
    return _point(Trials.of(bonafide, spoof), "fnmr", rate)


def table(
    scores: pd.DataFrame, rates: Sequence[float] = RATES, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """The EER, the FNMR at each FMR and the FMR at each FNMR of one detector, with intervals that resample speakers.

    Each round takes its own thresholds, because the figure is that of the best threshold for the trials at hand.

    Parameters
    ----------
    scores
        Trials of one detector with ``spoof_score``, ``key``, ``speaker`` and, where resampled, ``recording``.
    rates
        The rates to hold.
    recordings, seed, rounds
        Whether recordings are resampled within speakers, and seed and number of the draws.

    Returns
    -------
    DataFrame
        ``point``, ``threshold``, ``fnmr``, ``fmr``, ``value`` (the EER, or the rate that is not held), ``low``,
        ``high``, ``errors_allowed`` (trials that the held rate lets through; below one, the point depends on the size
        of the set rather than on the detector), ``n_bonafide`` and ``n_spoof``.

    Raises
    ------
    DataError
        A column or a class is missing, or a rate is not between 0 and 1.
    """
    bonafide, spoof = by_class(scores)
    trials = Trials.of(bonafide, spoof)
    ordered = pd.concat([scores[scores["key"] == key] for key in ("bonafide", "spoof")]).iloc[trials.order]
    kinds = [("eer", np.nan), *(("fmr", rate) for rate in rates), *(("fnmr", rate) for rate in rates)]
    points = [_point(trials, *kind) for kind in kinds]

    def values(weights: np.ndarray) -> np.ndarray:
        curves = trials.rates(weights)
        columns = []
        for name, rate in kinds:
            at = _position(name, rate, *curves)[:, None]
            columns.append(_value(name, *(np.take_along_axis(curve, at, axis=1)[:, 0] for curve in curves)))
        return np.stack(columns, axis=1)

    units = Units.of_table(ordered, recordings=recordings)
    figures = estimate(values, units, seed=seed, rounds=rounds, classes=trials.is_bonafide)
    sizes = {"eer": np.nan, "fmr": len(spoof), "fnmr": len(bonafide)}
    return pd.DataFrame(points, columns=["threshold", "fnmr", "fmr"]).assign(
        **figures.frame()[["value", "low", "high"]],
        point=[_name(*kind) for kind in kinds],
        errors_allowed=[rate * sizes[name] for name, rate in kinds],
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
    )


def _position(name: str, rate: float, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    """(...) Where an operating point stands among the thresholds, which descend: FNMR rises and FMR falls."""
    if name == "eer":
        return nearest(p_miss, p_fa)
    if name == "fmr":
        return np.argmax(p_fa <= rate, axis=-1)
    return np.count_nonzero(p_miss <= rate, axis=-1) - 1


def _point(trials: Trials, name: str, rate: float) -> OperatingPoint:
    if name != "eer" and not 0 <= rate <= 1:
        raise DataError(f"{name.upper()} of {rate}; a rate between 0 and 1 is needed")
    p_miss, p_fa = trials.rates()
    at = int(_position(name, rate, p_miss, p_fa))
    threshold = np.inf if at == 0 else trials.scores[trials.steps[at - 1]]
    return OperatingPoint(float(threshold), float(p_miss[at]), float(p_fa[at]))


def _value(name: str, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
    return {"eer": (p_miss + p_fa) / 2, "fmr": p_miss, "fnmr": p_fa}[name]


def _name(name: str, rate: float) -> str:
    return {"eer": "EER", "fmr": f"FNMR at FMR {100 * rate:g} %", "fnmr": f"FMR at FNMR {100 * rate:g} %"}[name]
