"""Whether an explanation says what the score rests on: removed stretches, small changes, and curves in one table."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max
from torch import Tensor

from sslig.validation import curves
from sslig.validation.replacement import PROFILES, Scores
from sslig.validation.statistics import measured, rolled, shifts

REMOVALS = 40
REMOVED_SHARE = 0.1
FEW_PERCENTS = (5, 20)
"""Points of the deletion curve where every mask is a pass through the whole detector."""

PERTURBED = 0.02
"""Small changes of features, over the standard deviation of their layer."""

Explain = Callable[[Tensor], np.ndarray]
"""From (1, layer, frame, feature) to the (frame,) explanation; positive is evidence for spoof."""


@dataclass(frozen=True)
class Removals:
    """Stretches of an utterance that were replaced one by one, whatever explains it.

    Attributes
    ----------
    masks
        (removal, frame) bool
    changes
        (removal,) F(x) - F(x without the stretch), in logits.
    n_read
        Frames from the start that the head reads.
    """

    masks: np.ndarray
    changes: np.ndarray
    n_read: int


def direction_of(spoof_score: float, threshold: float = 0.0) -> int:
    """1 where the score is called spoof, -1 where bona fide: which evidence is evidence for the decision."""
    return 1 if spoof_score > threshold else -1


def removals(
    scores: Scores,
    n_frames: int,
    n_read: int | None = None,
    *,
    count: int = REMOVALS,
    share: float = REMOVED_SHARE,
    generator: np.random.Generator,
) -> Removals:
    """The change of the score without each of `count` stretches, which hold `share` of the frames read.

    They begin at random places, none twice before all came up once. They have one length, because of several the
    longest alone would decide every statistic.
    """
    n_read = n_frames if n_read is None else min(n_read, n_frames)
    length = min(n_read, max(1, round(share * n_read)))
    possible = n_read - length + 1
    starts = np.concatenate([generator.permutation(possible) for _ in range(-(-count // possible))])[:count, None]
    frame = np.arange(n_frames)
    masks = (frame >= starts) & (frame < starts + length)
    found = scores(np.concatenate([np.zeros((1, n_frames), dtype=bool), masks]))
    return Removals(masks, found[0] - found[1:], n_read)


def infidelity(removed: Removals, maps: np.ndarray) -> np.ndarray:
    """(map,) The share of the change of the score that (map, frame) explanations leave open: 0 to 1, 0 is best.

    It is the mean square of the change less the evidence in the removed stretch, after the map was scaled to fit best,
    over the mean square of the change. Neither the unit of the map nor that of the score matters, nor, because the
    scale may be negative, the sign of the map as a whole: `sensitivity_n` knows it. NaN where the score never changes.

    References
    ----------
    C.-K. Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, equation 1 and section 2.2.
    """
    score_without = {mask.tobytes(): -change for mask, change in zip(removed.masks, removed.changes, strict=True)}
    # A frame is an input of one number, 1 where it is as it is and 0 where it is replaced.
    score_without[np.zeros_like(removed.masks[0]).tobytes()] = 0.0

    def score(kept: Tensor) -> Tensor:
        masks = (kept == 0).numpy()
        return torch.tensor([score_without[mask.tobytes()] for mask in masks], dtype=torch.float64)

    def perturb(kept: Tensor) -> tuple[Tensor, Tensor]:
        taken = torch.from_numpy(removed.masks).double().repeat(len(kept) // len(removed.masks), 1)
        return taken, kept - taken

    explained = torch.from_numpy(np.concatenate([maps, np.zeros_like(maps[:1])])).double()
    found = captum_infidelity(
        score, perturb, torch.ones_like(explained), explained, n_perturb_samples=len(removed.masks), normalize=True
    ).numpy()
    # A map of zeros leaves all of it open.
    return found[:-1] / found[-1] if found[-1] > 0 else np.full(len(maps), np.nan)


def sensitivity_n(removed: Removals, maps: np.ndarray) -> np.ndarray:
    """(map,) Correlation of the evidence of (map, frame) explanations in the removed stretches with what they change.

    NaN where one of them does not vary.

    References
    ----------
    M. Ancona et al., "Towards better understanding of gradient-based attribution methods for deep neural networks",
    ICLR 2018, section 4 (there of random sets of features, not of stretches).
    """
    evidence, change = maps @ removed.masks.T, removed.changes  # (map, removal), (removal,)
    evidence, change = evidence - evidence.mean(axis=1, keepdims=True), change - change.mean()
    size = np.sqrt((evidence**2).sum(axis=1) * (change**2).sum())
    smallest = 1e-12 * len(change) * np.abs(maps).max(initial=0.0) * np.abs(removed.changes).max(initial=0.0)
    return np.where(size > smallest, evidence @ change / np.where(size > smallest, size, 1.0), np.nan)


def max_sensitivity(
    explain: Explain, features: Tensor, *, radius: float = PERTURBED, samples: int = 5, seed: int
) -> float:
    """The largest change of an explanation over its size, out of `samples` small random changes of the features.

    Each feature moves by up to `radius` standard deviations of its layer.

    References
    ----------
    C.-K. Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, definition 3.1.
    """
    spread = features.std(dim=(2, 3), keepdim=True)  # (1, layer, 1, 1)
    generator = torch.Generator().manual_seed(seed)

    def perturb(given: Tensor) -> Tensor:
        return given + radius * spread * (2 * torch.rand(given.shape, generator=generator).to(given) - 1)

    def explained(given: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        # captum hands over a tuple first and tensors then, and takes the rows of a bare tensor for separate inputs.
        given = given[0] if isinstance(given, tuple) else given
        with torch.enable_grad():
            maps = [torch.from_numpy(np.asarray(explain(one[None]), dtype=np.float64)) for one in given]
        return (torch.stack(maps),)

    found = sensitivity_max(explained, features, perturb, n_perturb_samples=samples, max_examples_per_batch=1)
    return float(found.item())


def sensitivity_row(
    explain: Explain, features: Tensor, *, n_read: int, draws: int, seed: int, **options: float
) -> dict[str, object]:
    """`max_sensitivity` of an explanation, beside how much it changes when it is shifted.

    Parameters
    ----------
    n_read, draws
        Frames from the start that the head reads, and shifts around the end of them.
    options
        Of `max_sensitivity`.
    """
    value = max_sensitivity(explain, features, seed=seed, **options)
    frames = explain(features)[:n_read]
    moved = rolled(frames, shifts(len(frames), draws, np.random.default_rng(seed)))  # (draw, frame)
    size = np.sqrt((frames**2).sum())
    changed = np.sqrt(((moved - frames) ** 2).sum(axis=1)) / size if size > 0 else np.full(draws, np.nan)
    return measured("max_sensitivity", value, changed, at="")


def rows(
    spaces: Mapping[tuple[str, str], Scores],
    maps: Mapping[str, np.ndarray],
    direction: int,
    *,
    n_read: int,
    draws: int,
    seed: int,
    insertion: Collection[str] = PROFILES[:1],
    fast: bool = False,
) -> list[dict[str, object]]:
    """Curves, infidelity and sensitivity-n of the explanations of one utterance, each beside its control.

    Parameters
    ----------
    spaces
        Scores by space and replacement (`sslig.validation.replacement`).
    maps
        (frame,) explanations by name; positive is evidence for spoof.
    direction
        As of `direction_of`.
    n_read
        Frames from the start that the head reads.
    draws
        Shifted controls of each explanation.
    seed
        Of shifts and stretches, the same for each explanation.
    insertion
        Replacements whose insertion curve is drawn too. Not of interpolation: where all but a few frames are made of
        these, they are the whole recording.
    fast
        Only the deletion curve at `FEW_PERCENTS`.

    Returns
    -------
    list of dict
        ``method``, ``space``, ``replacement`` and the columns of `sslig.validation.statistics.measured`; ``at`` is the
        share of frames in percent where a statistic is a point of a curve.
    """
    names, told = list(maps), []
    held = np.stack([np.asarray(maps[name], dtype=np.float64) for name in names])  # (map, frame)
    for (space, replacement), scores in spaces.items():
        where = {"space": space, "replacement": replacement}
        options = {"n_read": n_read, "draws": draws, "insertion": replacement in insertion and not fast}
        options |= {"percents": FEW_PERCENTS} if fast else {}
        for name, frames in zip(names, held, strict=True):
            found = curves.curves(scores, frames, direction, generator=np.random.default_rng(seed), **options)
            told += [{"method": name} | where | row for row in curves.rows(found)]
        if not fast:
            told += [where | row for row in _removed(scores, names, held, n_read, draws, seed)]
    return told


def _removed(
    scores: Scores, names: list[str], held: np.ndarray, n_read: int, draws: int, seed: int
) -> list[dict[str, object]]:
    """Infidelity and sensitivity-n of all explanations, from the same removals."""
    generator = np.random.default_rng(seed)
    found = removals(scores, held.shape[1], n_read, generator=generator)
    by = np.concatenate([[0], shifts(found.n_read, draws, generator)])
    moved = np.repeat(held[None], len(by), axis=0)  # (1 + draw, map, frame)
    moved[:, :, : found.n_read] = rolled(held[:, : found.n_read], by)
    told = []
    for statistic, measure in (("infidelity", infidelity), ("sensitivity_n", sensitivity_n)):
        values = measure(found, moved.reshape(-1, held.shape[1])).reshape(moved.shape[:2])
        told += [
            {"method": name} | measured(statistic, values[0, i], values[1:, i], at="") for i, name in enumerate(names)
        ]
    return told
