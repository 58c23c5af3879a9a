"""Faithfulness: whether the score of an utterance follows what an explanation calls evidence.

Frames are replaced, in the features or in the waveform, and the change of the score is held against the map.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sslig.cues.edits import top_frames, towards_profile
from sslig.cues.masking import CHUNK_VALUES, WAVEFORMS_AT_ONCE
from sslig.data import fills
from sslig.data.fills import from_nearest
from sslig.errors import DataError
from sslig.models.detector import Detector
from sslig.validation.statistics import Controls, Rows, measured, rolled, shifts

FEATURES, WAVEFORM = "features", "waveform"

PROFILES = ("bonafide_mean", "nonspeech_mean")
INTERPOLATION, NEUTRAL = "interpolation", "neutral"
"""What replaces frames of the features: the mean of bona fide frames, that of bona fide frames without speech, the mean
of the nearest frames that stay, or the frames of real utterances of both classes in turn, weighted so that with nothing
left the mean score is the threshold of the decision."""

NEUTRAL_DRAWS = 4
"""Real utterances that neutral frames come from."""

Scores = Callable[[np.ndarray], np.ndarray]
"""From (mask, frame) bool, True where a frame is replaced, to the (mask,) spoof scores of what is left."""

PERCENTS = (1, 2, 5, 10, 20, 50)
FEW_PERCENTS = (5, 20)
"""Points of the deletion curve where every mask is a pass through the whole detector."""

REMOVALS = 40
REMOVED_SHARE = 0.1

LEVEL_FLOOR = 1e-5
"""RMS that counts as silence, relative to full scale; its logarithm is finite."""

NO_SPREAD = 1e-20
"""Rounding leaves a variance of this share of the mean square, or less, of a constant."""


def in_features(head: nn.Module, features: Tensor, replacement: str, profiles: Mapping[str, Tensor]) -> Scores:
    """Spoof scores of one utterance with frames of its features replaced.

    A head begins with an affine map of each frame, ``head.project``. Replacing frames by weighted means of frames and
    profiles is the same before and after it, so it is applied once.

    Features are (1, layer, frame, feature), `profiles` (layer, feature) by name; `replacement` is one of `PROFILES` or
    `INTERPOLATION`. Where every frame is replaced, interpolation makes every frame the mean of all.
    """
    with torch.inference_mode():
        projected = head.project(features)
        given = features.mean(dim=2) if replacement == INTERPOLATION else profiles[replacement].to(features)[None]
        profile = head.project(given[:, :, None])[0, :, 0]  # (layer, feature)
    at_once = max(1, CHUNK_VALUES // projected[0].numel())

    @torch.inference_mode()
    def scores(masks: np.ndarray) -> np.ndarray:
        chunks = []
        for part in torch.from_numpy(masks).to(features.device).split(at_once):
            changed = projected.expand(len(part), -1, -1, -1)
            if replacement == INTERPOLATION:
                changed, part = from_nearest(changed, part), part & part.all(dim=1, keepdim=True)
            chunks.append(head.decide(towards_profile(changed, part, profile, 1.0)).double().cpu().numpy())
        return np.concatenate(chunks)

    return scores


def in_neutral(head: nn.Module, features: Tensor, starts: Tensor, weights: Tensor) -> Scores:
    """Mean spoof scores of one utterance with frames of its features replaced by those of each of `starts`.

    Features are (1, layer, frame, feature), `starts` (start, layer, frame, feature), and `weights` (start,) sum to 1.
    """
    with torch.inference_mode():
        projected, filling = head.project(features), head.project(starts)
    at_once = max(1, CHUNK_VALUES // projected[0].numel())

    @torch.inference_mode()
    def scores(masks: np.ndarray) -> np.ndarray:
        chunks = []
        for part in torch.from_numpy(masks).to(features.device).split(at_once):
            of_starts = [head.decide(torch.where(part[:, None, :, None], start, projected)) for start in filling]
            chunks.append((weights.double() @ torch.stack(of_starts).double()).cpu().numpy())
        return np.concatenate(chunks)

    return scores


def in_waveform(detector: Detector, waveform: Tensor, seed: int) -> Scores:
    """Spoof scores of one utterance, (1, samples), with frames of its waveform interpolated.

    Each mask is a pass through the detector; `seed` draws the noise that replaces frames (`fills.replaced`).
    """

    @torch.inference_mode()
    def scores(masks: np.ndarray) -> np.ndarray:
        generator, chunks = torch.Generator().manual_seed(seed), []
        for part in torch.from_numpy(masks).to(waveform.device).split(WAVEFORMS_AT_ONCE):
            repeated = waveform.expand(len(part), -1)
            replaced = fills.replaced(repeated, part, detector.clock, INTERPOLATION, generator)
            chunks.append(detector(replaced).double().cpu().numpy())
        return np.concatenate(chunks)

    return scores


def curves(
    scores: Scores,
    frames: np.ndarray,
    direction: int,
    controls: Controls,
    *,
    percents: Sequence[float] = PERCENTS,
    insertion: bool = True,
) -> Rows:
    """Deletion and insertion curves of a (frame,) explanation, with their areas and means, beside chance.

    Frames are ranked by their evidence for the decision; with d = `direction` 1 if that is spoof, else -1, a point is

        deletion   d (F(x) - F(x without the top frames))
        insertion  d (F(only the top frames) - F(nothing))

    so both curves are better the higher they are, whatever the decision. The margin d (F(x) - F(nothing)) is what all
    frames together are worth against the replacement. Where it is not above 0, the replacement speaks for the decision
    more than the recording does, and curves would measure that: they are NaN, and only the margin is given.
    Comprehensiveness is the mean of the deletion
    curve over its points; sufficiency is that of the insertion curve less d (F(x) - F(nothing)), 0 where the top frames
    suffice. By chance are the same values for the map shifted around the end of what the head reads: as many frames, in
    runs of the same lengths, elsewhere.

    Points are at `percents` of the frames read, rising, which ``at`` names; areas are named after the last of them,
    since those of RISE run to 100 %. `insertion` costs as much again.

    References
    ----------
    W. Samek et al., "Evaluating the visualization of what a deep neural network has learned", TNNLS 2017 (deletion).
    V. Petsiuk, A. Das and K. Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018.
    J. DeYoung et al., "ERASER: a benchmark to evaluate rationalized NLP models", ACL 2020, section 4.3; there
    sufficiency falls as explanations get better.
    """
    frames, n_read = np.asarray(frames, dtype=np.float64), min(controls.n_read, len(frames))
    if frames.ndim != 1 or not np.isfinite(frames).all():
        raise DataError(f"an explanation of shape {frames.shape}; (frame,) finite numbers are needed")
    ranked = torch.from_numpy(direction * frames)[None]
    tops = np.concatenate([top_frames(ranked, percent, n_read).numpy() for percent in percents])  # (point, frame)
    chosen = np.repeat(tops[None], 1 + controls.draws, axis=0)  # (1 + draw, point, frame)
    chosen[1:, :, :n_read] = rolled(tops[:, :n_read], shifts(n_read, controls.draws, controls.generator()))
    read, flat = np.arange(len(frames)) < n_read, chosen.reshape(-1, len(frames))
    masks = [np.zeros((1, len(frames)), dtype=bool), read[None], flat, read & ~flat if insertion else flat[:0]]
    (whole, nothing), without, only = np.split(direction * scores(np.concatenate(masks)), [2, 2 + len(flat)])
    margin = whole - nothing
    if not margin > 0:
        whole, nothing = np.nan, np.nan
    lost = (whole - without).reshape(chosen.shape[:2])
    rows = [measured("margin", margin, [0.0], at="")]
    rows += [*_points("deletion", percents, lost), _row("comprehensiveness", lost.mean(axis=-1))]
    if insertion:
        gained = (only - nothing).reshape(chosen.shape[:2])
        rows += _points("insertion", percents, gained)
        rows.append(_row("sufficiency", (gained - (whole - nothing)).mean(axis=-1)))
    return rows


def area(percents: Sequence[float], curve: np.ndarray) -> np.ndarray:
    """(...,) Mean of (..., point) curves over the share of frames, from 0 % where they are 0 to the last point."""
    padded = np.concatenate([np.zeros((*curve.shape[:-1], 1)), curve], axis=-1)
    return np.trapezoid(padded, [0.0, *percents], axis=-1) / percents[-1]


def _points(name: str, percents: Sequence[float], curve: np.ndarray) -> Rows:
    points = [_row(name, values, f"{percent:g}") for percent, values in zip(percents, curve.T, strict=True)]
    return [*points, _row(f"{name}_area_to_{percents[-1]:g}", area(percents, curve))]


def _row(statistic: str, values: np.ndarray, at: str = "") -> dict[str, object]:
    return measured(statistic, values[0], values[1:], at=at)


class Removals(NamedTuple):
    """(removal, frame) bool, stretches that were replaced one by one, and (removal,) F(x) - F(x without it)."""

    masks: np.ndarray
    changes: np.ndarray


def removals(
    scores: Scores, n_frames: int, n_read: int, generator: np.random.Generator, count: int = REMOVALS
) -> Removals:
    """Remove `count` stretches, each of `REMOVED_SHARE` of the frames read, and keep the changes of the score.

    Each random place comes once before any comes twice. All have one length: of several the longest would decide.
    """
    length = min(n_read, max(1, round(REMOVED_SHARE * n_read)))
    possible = n_read - length + 1
    starts = np.concatenate([generator.permutation(possible) for _ in range(-(-count // possible))])[:count, None]
    frame = np.arange(n_frames)
    masks = (frame >= starts) & (frame < starts + length)
    whole, *without = scores(np.concatenate([np.zeros((1, n_frames), dtype=bool), masks]))
    return Removals(masks, whole - np.array(without))


def infidelity(removed: Removals, maps: np.ndarray) -> np.ndarray:
    """(map,) Infidelity of (map, frame) explanations, relative to that of a map of zeros: 0 is best, 1 says nothing.

    With e the evidence in a stretch and c the change of the score without it, it is the mean over stretches of
    (e - c)^2, over the mean of c^2. Sign and scale of the map count. NaN where the score never changes.

    References
    ----------
    C.-K. Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, definition 2.1 (there without
    the division, which makes utterances comparable).
    """
    evidence, change = maps @ removed.masks.T, removed.changes  # (map, removal), (removal,)
    whole = (change**2).sum()
    return ((evidence - change) ** 2).sum(axis=1) / whole if whole > 0 else np.full(len(maps), np.nan)


def scaled_infidelity(removed: Removals, maps: np.ndarray) -> np.ndarray:
    """(map,) The lowest `infidelity` of (map, frame) explanations times any factor that is not negative: 0 to 1.

    It is 1 - max(0, sum c e)^2 / (sum c^2 sum e^2). The unit of a map does not matter, its sign does.

    References
    ----------
    C.-K. Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, section 2.2 (optimal scale).
    """
    evidence, change = maps @ removed.masks.T, removed.changes  # (map, removal), (removal,)
    power, whole = (evidence**2).sum(axis=1), (change**2).sum()
    fitted = np.maximum(evidence @ change, 0.0) ** 2 / np.where(power > 0, power, 1.0)
    return 1 - fitted / whole if whole > 0 else np.full(len(maps), np.nan)


def sensitivity_n(removed: Removals, maps: np.ndarray) -> np.ndarray:
    """(map,) Correlation of the evidence of (map, frame) explanations in the removed stretches with what they change.

    NaN where either does not vary.

    References
    ----------
    M. Ancona et al., "Towards better understanding of gradient-based attribution methods for deep neural networks",
    ICLR 2018, section 4 (there for random sets of features, not for stretches).
    """
    evidence, change = maps @ removed.masks.T, removed.changes  # (map, removal), (removal,)
    evidence, change = evidence - evidence.mean(axis=1, keepdims=True), change - change.mean()
    size = np.sqrt((evidence**2).sum(axis=1) * (change**2).sum())
    smallest = 1e-12 * len(change) * np.abs(maps).max(initial=0.0) * np.abs(removed.changes).max(initial=0.0)
    return np.where(size > smallest, evidence @ change / np.where(size > smallest, size, 1.0), np.nan)


def rows(
    spaces: Mapping[tuple[str, str], Scores],
    maps: Mapping[str, np.ndarray],
    direction: int,
    controls: Controls,
    *,
    insertion: Sequence[str] = (NEUTRAL, *PROFILES[:1]),
    fast: bool = False,
) -> Rows:
    """Curves, infidelity and sensitivity-n of the maps of one utterance, each beside chance.

    `spaces` has scores by space and replacement, `maps` (frame,) explanations by aggregation. Replacements named by
    `insertion` have such a curve; interpolation has none, since what it makes of a few frames is the whole recording.
    With `fast` there is only the deletion curve at `FEW_PERCENTS`.
    """
    table = []
    for (space, replacement), scores in spaces.items():
        where = {"space": space, "replacement": replacement}
        options = {"percents": FEW_PERCENTS, "insertion": False} if fast else {"insertion": replacement in insertion}
        for name, frames in maps.items():
            points = curves(scores, frames, direction, controls, **options)
            table += [{"aggregation": name} | where | row for row in points]
        if not fast:
            table += [where | row for row in _removal_rows(scores, maps, controls)]
    return table


def _removal_rows(scores: Scores, maps: Mapping[str, np.ndarray], controls: Controls) -> Rows:
    """Both infidelities and sensitivity-n of all maps, from the same removals."""
    stacked, generator = np.stack(list(maps.values())).astype(np.float64), controls.generator()  # (map, frame)
    n_read = min(controls.n_read, stacked.shape[1])
    removed = removals(scores, stacked.shape[1], n_read, generator)
    moved = np.repeat(stacked[None], 1 + controls.draws, axis=0)  # (1 + draw, map, frame)
    moved[1:, :, :n_read] = rolled(stacked[:, :n_read], shifts(n_read, controls.draws, generator))
    table = []
    for measure in (infidelity, scaled_infidelity, sensitivity_n):
        statistic = measure.__name__
        values = measure(removed, moved.reshape(-1, stacked.shape[1])).reshape(moved.shape[:2])
        table += [{"aggregation": name} | _row(statistic, values[:, place]) for place, name in enumerate(maps)]
    return table


def loudness_share(frames: np.ndarray, loudness: np.ndarray, controls: Controls) -> dict[str, object]:
    """The share of the variance of a map over time that loudness explains: R2 of amplitude and level together.

    Two regressors explain something of any map, and neighbouring frames are alike: by chance is what the (frame,)
    `loudness`, RMS relative to full scale, explains when it is shifted in time.
    """
    frames, amplitude = frames[: controls.n_read], np.asarray(loudness, dtype=np.float64)[: controls.n_read]
    regressors = np.stack([amplitude, 20 * np.log10(np.maximum(amplitude, LEVEL_FLOOR))])
    moved = rolled(regressors, shifts(len(amplitude), controls.draws, controls.generator()))
    shares = [_explained(frames, each) for each in (regressors, *moved)]
    return measured("loudness_share", shares[0], shares[1:], at="")


def _explained(frames: np.ndarray, regressors: np.ndarray) -> float:
    """R2 of the least-squares fit of (frame,) by (regressor, frame) and a constant."""
    away = frames - frames.mean()
    if away @ away <= NO_SPREAD * (frames @ frames):
        return np.nan
    design = np.vstack([np.ones(len(frames)), regressors]).T
    fit = np.linalg.lstsq(design, away, rcond=None)[0]
    return float(np.clip(1 - np.sum((away - design @ fit) ** 2) / (away @ away), 0.0, 1.0))
