"""How well a map over frames finds the place that is known to hold the evidence, beside what it would find by chance.

Each measure is the sum of a weight of each frame, which the map gives, over frames that the truth gives. So its value
for every circular shift of the map is a circular correlation, and chance is exact: the mean over all of them, with the
map's own shape and smoothness kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.stats import rankdata

from sslig.frames import SSL_CLOCK, FrameClock
from sslig.validation.statistics import measured

TOLERANCES_MS = (20, 100)
"""How far from the place a peak may lie and still hit it: a frame, and about a phone."""


class LocalisationError(ValueError):
    """A map or a truth that nothing can be measured on; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Measure:
    """A measure as the sum of ``weights`` over ``wanted`` frames.

    Attributes
    ----------
    weights
        From (frame,) map and (frame,) truth to (frame,) weights; the truth only tells how many frames it has, which a
        shift does not change. NaN where the measure is not defined.
    wanted
        From (frame,) truth and clock to (frame,) bool.
    """

    weights: Callable[[np.ndarray, np.ndarray], np.ndarray]
    wanted: Callable[[np.ndarray, FrameClock], np.ndarray]


def relevance_mass(frames: np.ndarray, truth: np.ndarray) -> float:
    """Relevance mass accuracy: the share of the positive evidence that lies in the place; by chance its share of time.

    Parameters
    ----------
    frames
        (frame,) Evidence for spoof.
    truth
        (frame,) bool, some frames but not all.

    References
    ----------
    Arras et al., "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations",
    Information Fusion 81, 2022, equation 1 (there of pooled relevance, which is positive as a whole).
    """
    return _value("relevance_mass", frames, truth)


def relevance_rank(frames: np.ndarray, truth: np.ndarray) -> float:
    """Relevance rank accuracy: of the K frames of most evidence, the share in the place, which has K frames.

    Frames that tie for the last of the K count by the share that fits.

    References
    ----------
    Arras et al., as above, equation 2.
    """
    return _value("relevance_rank", frames, truth)


def evidence_ratio(frames: np.ndarray, truth: np.ndarray) -> float:
    """The share of the positive evidence in the place over its share of time: 1 by chance, 0 where it has none."""
    return _value("evidence_ratio", frames, truth)


def roc_auc(frames: np.ndarray, truth: np.ndarray) -> float:
    """How often a frame of the place has more evidence than one outside it, ties by half: the area under the ROC."""
    return _value("roc_auc", frames, truth)


def pointing_game(
    frames: np.ndarray, truth: np.ndarray, tolerance_s: float = TOLERANCES_MS[0] / 1000, clock: FrameClock = SSL_CLOCK
) -> float:
    """1 where the frame of most evidence lies in the place or within the tolerance of it, else 0; the share of ties.

    References
    ----------
    Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 126, 2018, section 4.1.
    """
    _check(frames, truth)
    return float(_peak(frames, truth) @ _near(tolerance_s)(truth, clock))


def over_shifts(frames: np.ndarray, truth: np.ndarray, clock: FrameClock = SSL_CLOCK) -> dict[str, np.ndarray]:
    """Measure -> (shift,) its value for the map shifted circularly by 0, 1, ... frames; the first is its value.

    Raises
    ------
    LocalisationError
        The map is not finite, the truth has no frame or all frames, or they differ in length.
    """
    _check(frames, truth)
    return {
        name: _correlated(one.weights(frames, truth), one.wanted(truth, clock)) for name, one in MEASURES.items()
    }  # fmt: skip


def rows(frames: np.ndarray, truth: np.ndarray, clock: FrameClock = SSL_CLOCK) -> list[dict[str, object]]:
    """A row a measure of one map, as of `sslig.validation.statistics.measured`, with all circular shifts as control."""
    return [measured(name, values[0], values) for name, values in over_shifts(frames, truth, clock).items()]


def _value(name: str, frames: np.ndarray, truth: np.ndarray) -> float:
    _check(frames, truth)
    return float(MEASURES[name].weights(frames, truth) @ truth)


def _mass(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    positive = np.maximum(frames, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(frames), np.nan)


def _density(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return _mass(frames, truth) / truth.mean()


def _top(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    n = int(truth.sum())
    last = np.partition(frames, -n)[-n]
    above, tied = frames > last, frames == last
    return (above + tied * (n - above.sum()) / tied.sum()) / n


def _ranks(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mann and Whitney: AUC = (the sum of ranks in the place - n (n + 1) / 2) / (n m), n frames in it and m outside."""
    n, m = int(truth.sum()), int((~truth).sum())
    return (rankdata(frames) - (n + 1) / 2) / (n * m)


def _peak(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    highest = frames == frames.max()
    return highest / highest.sum()


def _within(truth: np.ndarray, clock: FrameClock) -> np.ndarray:
    return truth


def _near(tolerance_s: float) -> Callable[[np.ndarray, FrameClock], np.ndarray]:
    def widened(truth: np.ndarray, clock: FrameClock) -> np.ndarray:
        reach = int(tolerance_s / clock.hop_s + 1e-9)  # a tolerance of exactly one hop is one frame
        return binary_dilation(truth, iterations=reach) if reach else truth

    return widened


MEASURES: Mapping[str, Measure] = MappingProxyType({
    "relevance_mass": Measure(_mass, _within),
    "relevance_rank": Measure(_top, _within),
    **{f"pointing_{ms}ms": Measure(_peak, _near(ms / 1000)) for ms in TOLERANCES_MS},
    "roc_auc": Measure(_ranks, _within),
    "evidence_ratio": Measure(_density, _within),
})  # fmt: skip
"""Every measure by name; `sslig.validation.statistics` says what each tells."""


def _correlated(weights: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(shift,) The sum of `weights`, shifted on by 0, 1, ... frames, over the `wanted` ones."""
    n_frames = len(weights)
    if np.isnan(weights).any():
        return np.full(n_frames, np.nan)
    found = np.fft.irfft(np.fft.rfft(wanted) * np.conj(np.fft.rfft(weights)), n_frames)
    found[0] = weights @ wanted
    return found


def _check(frames: np.ndarray, truth: np.ndarray) -> None:
    if frames.ndim != 1 or frames.shape != truth.shape or truth.dtype != bool:
        raise LocalisationError(f"a map of shape {frames.shape} and a truth of shape {truth.shape} and {truth.dtype}; "
                                "one number and one bool a frame are needed")  # fmt: skip
    if not np.isfinite(frames).all():
        raise LocalisationError("the map holds NaN or infinite values")
    if not 0 < truth.sum() < len(truth):
        raise LocalisationError(f"{truth.sum()} of {len(truth)} frames are the place; some are needed, and some that "
                                "are not")  # fmt: skip
