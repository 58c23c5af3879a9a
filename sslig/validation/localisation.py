"""Localisation: whether a map finds the place that is known to hold the evidence, in time or in time and frequency.

Each measure is the sum of a weight of each frame or cell, which the map gives, over those that the truth gives. So its
value for every circular shift of the map is a circular correlation, and chance is exact: the mean over all shifts, in
time and for cells also in frequency, with the map's shape and smoothness unchanged.

Beside the measures stand the maps that an explanation is compared with.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from scipy.stats import rankdata
from torch import Tensor, nn

from sslig.cues import voice
from sslig.frames import SSL_CLOCK, FrameClock, energy
from sslig.validation.statistics import Rows, measured

TOLERANCES_S = {"pointing_20ms": 0.02, "pointing_100ms": 0.1}
"""How far from the place a peak may lie and still hit it: a frame, and about a phone."""

ENERGY, VOICE_ACTIVITY, NON_SPEECH, ATTENTION = PLAIN_MAPS = ("energy", "voice_activity", "non_speech", "attention")
"""Maps that do not ask how a detector comes to its score. Where one of them finds the place as well as an explanation
does, the explanation has shown nothing."""

FEATURE_CHANGE, SCORE_CHANGE = LIMITS = ("feature_change", "score_change")
"""Maps that know the same recording without the cue: no map of features can be expected to do much better."""

PLAIN = "plain"
"""Stands for an aggregation where a map has no features to put together."""

Map = np.ndarray
"""(frame,) or (band, time) evidence for spoof, or bool where it is the truth."""


def _relevance_mass(values: Map, truth: Map) -> Map:
    positive = np.maximum(values, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(values.shape, np.nan)


def _relevance_rank(values: Map, truth: Map) -> Map:
    """Frames that tie for the last of the K count by the share that fits."""
    k = int(truth.sum())
    last = np.partition(values, -k, axis=None)[-k]
    above, tied = values > last, values == last
    return (above + tied * (k - above.sum()) / tied.sum()) / k


def _roc_auc(values: Map, truth: Map) -> Map:
    """Mann and Whitney: AUC = (the sum of ranks in the place - n (n + 1) / 2) / (n m), n frames in it and m outside."""
    n, m = int(truth.sum()), int((~truth).sum())
    return (rankdata(values).reshape(values.shape) - (n + 1) / 2) / (n * m)


def _skill(values: Map, truth: Map) -> Map:
    """The mean of (AUC - 1/2) / (1 - 1/2) and (mass - s) / (1 - s), s the share of time; no evidence is no mass."""
    n, share, mass = int(truth.sum()), truth.mean(), np.nan_to_num(_relevance_mass(values, truth))
    return ((2 * _roc_auc(values, truth) - 1 / n) + (mass - share / n) / (1 - share)) / 2


def _peak(values: Map, truth: Map) -> Map:
    highest = values == values.max()
    return highest / highest.sum()


WEIGHTS: Mapping[str, Callable[[Map, Map], Map]] = {
    "relevance_mass": _relevance_mass,
    "relevance_rank": _relevance_rank,
    **dict.fromkeys(TOLERANCES_S, _peak),
    "roc_auc": _roc_auc,
    "skill": _skill,
    "evidence_ratio": lambda values, truth: _relevance_mass(values, truth) / truth.mean(),
}
"""Every measure of a map with evidence for spoof and a place of K frames, as weights of frames; from the truth they use
only the number of frames, which a shift does not change. In time and frequency, cells stand for frames.

``relevance_mass``: share of the positive evidence in the place; by chance its share of time. ``relevance_rank``: of the
K frames of most evidence, the share in the place. ``pointing``: 1 where the frame of most evidence lies in the place or
within the tolerance of it. ``roc_auc``: how often a frame of the place has more evidence than one outside it, ties by
half. ``skill``: how far area and mass have come from chance, 0, to perfect, 1, in the mean; defined for every map.
``evidence_ratio``: the mass over the share of time, 1 by chance.

References
----------
Arras et al., "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations",
Information Fusion 81, 2022, equations 1 and 2 (mass and rank; there of pooled relevance, which is positive as a whole).
Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 126, 2018, section 4.1 (pointing game).
"""


def over_shifts(values: Map, truth: Map, hop_s: float = SSL_CLOCK.hop_s) -> dict[str, np.ndarray]:
    """Each measure as (shift,) values for the map shifted circularly along its axes; the first is its value.

    Parameters
    ----------
    values
        (frame,) or (band, time); a map over cells is shifted by every combination of bands and times.
    truth
        The same shape; some frames or cells have to lie in the place and some outside.
    hop_s
        Distance of neighbouring frames or cells in time.
    """
    # 1e-9: a tolerance of exactly one hop is one frame
    hops = {name: int(tolerance_s / hop_s + 1e-9) for name, tolerance_s in TOLERANCES_S.items()}
    near = {name: binary_dilation(truth, np.ones((*[1] * (truth.ndim - 1), 2 * n + 1))) for name, n in hops.items()}
    return {name: _correlated(weights(values, truth), near.get(name, truth)) for name, weights in WEIGHTS.items()}


def rows(values: Map, truth: Map, hop_s: float = SSL_CLOCK.hop_s) -> Rows:
    """A row (`sslig.validation.statistics.measured`) for each measure of one map; all circular shifts are chance."""
    return [measured(name, shifted[0], shifted) for name, shifted in over_shifts(values, truth, hop_s).items()]


def _correlated(weights: Map, wanted: Map) -> np.ndarray:
    """(shift,) The sum of `weights`, shifted along each axis by 0, 1, ..., over the `wanted` ones."""
    if np.isnan(weights).any():
        return np.full(weights.size, np.nan)
    spectrum, axes = np.fft.rfftn(wanted) * np.conj(np.fft.rfftn(weights)), range(weights.ndim)
    sums = np.fft.irfftn(spectrum, weights.shape, axes).ravel()
    sums[0] = weights[wanted].sum()
    return sums


def plain_maps(head: nn.Module, features: Tensor, waveform: Tensor, clock: FrameClock) -> dict[str, np.ndarray]:
    """(frame,) of each of `PLAIN_MAPS`; attention only for a head that has attention weights over frames.

    Energy is the mean square of a frame. Voice activity is 1 in speech (`sslig.cues.voice`) and 0 elsewhere, non-speech
    the opposite. Attention is the mean weight over attention heads.

    References
    ----------
    Jain and Wallace, "Attention is not Explanation", NAACL 2019.
    """
    n_frames = features.shape[2]
    level = energy(waveform[0].cpu().numpy(), clock.hop_samples, clock.hop_samples)[:n_frames]
    speech = voice.speech(waveform[0].cpu().numpy()).mask(clock, n_frames, {voice.SPEECH}).astype(np.float64)
    maps = {ENERGY: level, VOICE_ACTIVITY: speech, NON_SPEECH: 1.0 - speech}
    if hasattr(head, "attention") and not isinstance(head.attention, nn.Module):  # AASIST's is a layer of nodes
        with torch.no_grad():
            maps[ATTENTION] = head.attention(features)[0].double().mean(dim=0).cpu().numpy()  # over attention heads
    return maps


def feature_change(features: Tensor, twin: Tensor) -> np.ndarray:
    """(frame,) Distance of all features of a frame from those of the same recording without the cue.

    Encoders mix frames, so the features change outside the place too.
    """
    return torch.linalg.vector_norm((features - twin)[0].double(), dim=(0, 2)).cpu().numpy()
