"""Whether an explanation stays what it is: over training seeds, path points and shifts; and whether it is loudness."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import rankdata
from torch import Tensor

from sslig.frames import FrameClock
from sslig.validation.statistics import measured, rolled, shifts

SHIFTS_FRAMES = (1, 3, 10)
STEPS = (16, 32, 64)
MANY_STEPS = 128

NO_SPREAD = 1e-20
"""A variance that is this small a share of the mean square is what rounding leaves of a constant."""

LEVEL_FLOOR = 1e-5
"""RMS of what is taken for silence, of full scale: its logarithm is finite."""


def agreement(
    first: np.ndarray,
    second: np.ndarray,
    *,
    ranks: bool = True,
    draws: int = 0,
    generator: np.random.Generator | None = None,
) -> tuple[float, np.ndarray]:
    """Correlation of two maps, and with the second one shifted.

    Parameters
    ----------
    first, second
        (frame,) of the same frames.
    ranks
        Spearman's correlation, else Pearson's.
    draws, generator
        Of the shifts around the end.

    Returns
    -------
    value : float
        NaN where one of the maps does not vary.
    controls : ndarray
        (draw,)
    """
    pair = [rankdata(frames) if ranks else np.asarray(frames, dtype=np.float64) for frames in (first, second)]
    one, other = (_standardised(frames) for frames in pair)
    if not draws:
        return float(one @ other), np.zeros(0)
    moved = rolled(other, shifts(len(other), draws, generator))  # (draw, frame)
    return float(one @ other), moved @ one


def seeds(maps: Mapping[int, np.ndarray], *, n_read: int, draws: int, seed: int) -> list[dict[str, object]]:
    """How alike the explanations of detectors are that differ in their training seed only, a row a pair of seeds.

    The detectors differ too: what is not alike may be what they learnt. It is the upper limit of what a reader of one
    map may take for a property of the recipe.

    Parameters
    ----------
    maps
        (frame,) explanations of one utterance by training seed.
    """
    numbers, told = sorted(maps), []
    for place, first in enumerate(numbers):
        for second in numbers[place + 1 :]:
            found = agreement(
                maps[first][:n_read], maps[second][:n_read], draws=draws, generator=np.random.default_rng(seed)
            )
            told.append(measured("seeds", *found, at=f"{first} and {second}"))
    return told


def steps(
    explain: Callable[[Tensor, int], np.ndarray],
    features: Tensor,
    *,
    n_read: int,
    counts: Sequence[int] = STEPS,
    many: int = MANY_STEPS,
    draws: int,
    seed: int,
) -> list[dict[str, object]]:
    """How alike the explanation from few path points is to that from many, a row a number of points.

    Parameters
    ----------
    explain
        From (1, layer, frame, feature) and a number of points to the (frame,) explanation.
    """
    reference, told = explain(features, many)[:n_read], []
    for count in counts:
        found = agreement(
            explain(features, count)[:n_read], reference, draws=draws, generator=np.random.default_rng(seed)
        )
        told.append(measured("steps", *found, at=f"{count} of {many}"))
    return told


def shift_in_features(
    explain: Callable[[Tensor], np.ndarray], features: Tensor, *, n_read: int, by: Sequence[int] = SHIFTS_FRAMES,
    draws: int, seed: int,
) -> list[dict[str, object]]:  # fmt: skip
    """Whether the evidence of frames moves with them, where the features are the very same.

    The features with and without their first k frames are explained, and the maps compared where they share frames that
    are read both times. What differs is the head's own: a pooling of three frames moves with every third only, and
    weights for each place do not move at all. The frames that go take evidence with them, too.

    Parameters
    ----------
    features
        (1, layer, frame, feature)
    n_read
        Frames from the start that the head reads.
    by
        Frames that are left out at the start; those that leave fewer than twice as many to compare have no row.
    """
    whole, told = explain(features), []
    for frames in by:
        shared = min(n_read, features.shape[2]) - frames
        if shared >= 2 * frames and shared > 2:
            without = explain(features[:, :, frames:].contiguous())
            told.append(_moved("shift_features", whole, without, frames, shared, draws, seed))
    return told


def shift_in_waveform(
    explain: Callable[[Tensor], np.ndarray], waveform: Tensor, clock: FrameClock, *, n_read: int,
    by: Sequence[int] = SHIFTS_FRAMES, draws: int, seed: int,
) -> list[dict[str, object]]:  # fmt: skip
    """The same with the recording as a whole: its first k hops of samples are left out before the detector hears it.

    What comes before a stretch is then the recording itself, and the frames of the convolutions are the same. Those of
    the transformer are not: each of its frames attends to all others, and its convolution over positions sees where the
    recording begins. So a low correlation here, and not in `shift_in_features`, is the encoder's.

    Parameters
    ----------
    explain
        From (1, samples) to the (frame,) explanation.
    waveform
        (1, samples), trimmed to whole frames.
    """
    whole, told = explain(waveform), []
    for frames in by:
        shared = min(n_read, len(whole)) - frames
        if shared >= 2 * frames and shared > 2:
            without = explain(waveform[:, frames * clock.hop_samples :].contiguous())
            told.append(_moved("shift_waveform", whole, without, frames, shared, draws, seed))
    return told


def loudness_share(
    frames: np.ndarray, loudness: np.ndarray, *, n_read: int, draws: int, seed: int
) -> dict[str, object]:
    """The share of the variance of a map over time that loudness explains: R2 of amplitude and level together.

    Two regressors explain something of anything, and neighbouring frames are alike: the control has the loudness
    shifted, and only what exceeds it is loudness.

    Parameters
    ----------
    frames
        (frame,) The explanation.
    loudness
        (frame,) RMS of full scale (`sslig.cues.time_correlation.loudness`).
    """
    amplitude = np.asarray(loudness, dtype=np.float64)[:n_read]
    level_db = 20 * np.log10(np.maximum(amplitude, LEVEL_FLOOR))
    by = np.concatenate([[0], shifts(len(amplitude), draws, np.random.default_rng(seed))])
    values = [_explained(frames[:n_read], np.stack([amplitude, level_db]), int(shift)) for shift in by]
    return measured("loudness_share", values[0], values[1:], at="")


def _explained(frames: np.ndarray, regressors: np.ndarray, shift: int) -> float:
    """R2 of the least-squares fit of (frame,) by (regressor, frame) after a circular shift, with a constant."""
    away = frames - frames.mean()
    if away @ away <= NO_SPREAD * (frames @ frames):
        return np.nan
    design = np.vstack([np.ones(len(frames)), np.roll(regressors, shift, axis=1)]).T
    fit = np.linalg.lstsq(design, away, rcond=None)[0]
    return float(np.clip(1 - np.sum((away - design @ fit) ** 2) / (away @ away), 0.0, 1.0))


def _moved(
    statistic: str, whole: np.ndarray, without: np.ndarray, frames: int, shared: int, draws: int, seed: int
) -> dict[str, object]:
    """The correlation of two maps where the second begins `frames` later, over the `shared` frames."""
    found = agreement(
        whole[frames : frames + shared], without[:shared], ranks=False, draws=draws,
        generator=np.random.default_rng(seed),
    )  # fmt: skip
    return measured(statistic, *found, at=f"{frames} frames")


def _standardised(frames: np.ndarray) -> np.ndarray:
    """(frame,) Of mean 0 and length 1; NaN where the values do not vary."""
    away = frames - frames.mean()
    length = np.sqrt(away @ away)
    return away / (length if length**2 > NO_SPREAD * (frames @ frames) else np.nan)
