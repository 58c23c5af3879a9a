"""Deletion and insertion curves: the score as the frames that an explanation names go, or alone come back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sslig.cues.feature_masks import top_frames
from sslig.validation.replacement import Scores
from sslig.validation.statistics import measured, rolled, shifts

PERCENTS = (1, 2, 5, 10, 20, 50)


class CurveError(ValueError):
    """A curve that cannot be drawn; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Curves:
    """How the score follows an explanation (row 0) and its shifted controls (the other rows).

    Attributes
    ----------
    percents
        (point,) Shares of the frames that the head reads, in percent.
    deletion
        (1 + draw, point) Logits that the score moves away from the decision without the top frames: d (F(x) - F(x
        without them)), where d is 1 where the decision is spoof and -1 where it is bona fide.
    insertion
        (1 + draw, point) Logits that it moves to the decision where only the top frames come back: d (F(only them) -
        F(nothing)). None where it was not asked for.
    whole
        d (F(x) - F(nothing)), what there is to lose.
    """

    percents: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray | None
    whole: float


def curves(
    scores: Scores,
    frames: np.ndarray,
    direction: int,
    *,
    n_read: int | None = None,
    percents: Sequence[float] = PERCENTS,
    draws: int,
    generator: np.random.Generator,
    insertion: bool = True,
) -> Curves:
    """The curves of one explanation of one utterance.

    Frames are ranked by their evidence for the decision: the highest first where it is spoof, the lowest first where it
    is bona fide. So a faithful explanation moves the score away from the decision whatever that is, and every curve is
    better the higher it is. A control shifts the whole map around the end of what the head reads: as many frames in
    runs of the same lengths, elsewhere.

    Parameters
    ----------
    scores
        The score by the frames that are replaced (`sslig.validation.replacement`).
    frames
        (frame,) The explanation; positive is evidence for spoof.
    direction
        1 or -1: the decision that is explained, 1 for spoof.
    n_read
        Frames from the start that the head reads; all by default. No other is ranked or replaced.
    percents
        Shares of the frames read, rising, above 0 to 100.
    draws
        Controls.
    generator
        Of the shifts.
    insertion
        Whether that curve is wanted too; it costs as much again.

    Raises
    ------
    CurveError
        A value is out of range, or the frames are not one axis of finite numbers.

    References
    ----------
    W. Samek et al., "Evaluating the visualization of what a deep neural network has learned", TNNLS 2017 (deletion).
    V. Petsiuk, A. Das and K. Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018.
    """
    frames = np.asarray(frames, dtype=np.float64)
    n_read = len(frames) if n_read is None else min(n_read, len(frames))
    _check(frames, direction, percents, draws)
    tops = _tops(direction * frames, n_read, percents)  # (point, frame)
    by = shifts(n_read, draws, generator)
    chosen = np.concatenate([tops[None], np.repeat(tops[None], draws, axis=0)])  # (1 + draw, point, frame)
    chosen[1:, :, :n_read] = rolled(tops[:, :n_read], by)
    read = np.arange(len(frames)) < n_read
    flat = chosen.reshape(-1, len(frames))
    others = read & ~flat if insertion else flat[:0]
    masks = np.concatenate([np.zeros((1, len(frames)), dtype=bool), read[None], flat, others])
    (whole, nothing), without, only = np.split(scores(masks), [2, 2 + len(flat)])
    lost = direction * (whole - without).reshape(chosen.shape[:2])
    gained = direction * (only - nothing).reshape(chosen.shape[:2]) if insertion else None
    return Curves(np.asarray(percents, dtype=np.float64), lost, gained, float(direction * (whole - nothing)))


def area(percents: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(...,) Mean of (..., point) curves over the share of frames, from 0 % where they are 0 to the last point."""
    at = np.concatenate([[0.0], percents])
    padded = np.concatenate([np.zeros((*curve.shape[:-1], 1)), curve], axis=-1)
    return np.trapezoid(padded, at, axis=-1) / at[-1]


def rows(found: Curves) -> list[dict[str, object]]:
    """The points of both curves, their areas, comprehensiveness and sufficiency, each beside its control.

    References
    ----------
    J. DeYoung et al., "ERASER: a benchmark to evaluate rationalized NLP models", ACL 2020, section 4.3: mean over the
    points. Their sufficiency falls as explanations get better; here it is turned.
    """
    told = _of("deletion", found) + [_row("comprehensiveness", found.deletion.mean(axis=-1))]
    if found.insertion is not None:
        sufficient = (found.insertion - found.whole).mean(axis=-1)  # d (F(only the top frames) - F(x))
        told += _of("insertion", found) + [_row("sufficiency", sufficient)]
    return told


def _of(name: str, found: Curves) -> list[dict[str, object]]:
    curve = getattr(found, name)
    points = [_row(name, curve[:, point], f"{percent:g}") for point, percent in enumerate(found.percents)]
    return points + [_row(f"{name}_area", area(found.percents, curve))]


def _row(statistic: str, values: np.ndarray, at: str = "") -> dict[str, object]:
    return measured(statistic, values[0], values[1:], at=at)


def _tops(evidence: np.ndarray, n_read: int, percents: Sequence[float]) -> np.ndarray:
    """(point, frame) bool: the frames of most evidence."""
    ranked = torch.from_numpy(evidence)[None]
    return np.concatenate([top_frames(ranked, percent, n_read).numpy() for percent in percents])


def _check(frames: np.ndarray, direction: int, percents: Sequence[float], draws: int) -> None:
    rising = len(percents) > 0 and all(a < b for a, b in zip([0, *percents], percents, strict=False))
    if direction not in (1, -1) or not rising or percents[-1] > 100 or draws < 1:
        raise CurveError(f"direction {direction}, percents {tuple(percents)}, {draws} draws; accepted: 1 or -1, rising "
                         "shares above 0 to 100 %, and one draw or more")  # fmt: skip
    if frames.ndim != 1 or not len(frames) or not np.isfinite(frames).all():
        raise CurveError(f"an explanation of shape {frames.shape}; (frame,) finite numbers are needed")
