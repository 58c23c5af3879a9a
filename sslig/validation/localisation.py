"""Localisation: whether a map over frames finds the place that is known to hold the evidence.

Each measure is the sum of a weight of each frame, which the map gives, over frames that the truth gives. So its value
for every circular shift of the map is a circular correlation, and chance is exact: the mean over all shifts, with the
map's shape and smoothness unchanged.

Beside the measures stand the maps that an explanation is compared with, and the test whether a decision rests on the
place at all.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
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

TRANSPLANTED = ("own_score", "twin_score", "place_restored_score", "rest_restored_score")
"""Spoof logits of the spoof, of its twin, and of the spoof with the twin's features in the place, or everywhere else;
all in one precision, which scores of a study need not have."""

NO_TRANSPLANT = dict.fromkeys(TRANSPLANTED, float("nan"))

LEAST_SHARE = 0.5
"""What a place has to carry at least, and not less than the rest, for a decision to rest on it."""


Frames = np.ndarray
"""(frame,) evidence for spoof, or bool where it is the truth."""


def _relevance_mass(frames: Frames, truth: Frames) -> Frames:
    positive = np.maximum(frames, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(frames), np.nan)


def _relevance_rank(frames: Frames, truth: Frames) -> Frames:
    """Frames that tie for the last of the K count by the share that fits."""
    k = int(truth.sum())
    last = np.partition(frames, -k)[-k]
    above, tied = frames > last, frames == last
    return (above + tied * (k - above.sum()) / tied.sum()) / k


def _roc_auc(frames: Frames, truth: Frames) -> Frames:
    """Mann and Whitney: AUC = (the sum of ranks in the place - n (n + 1) / 2) / (n m), n frames in it and m outside."""
    n, m = int(truth.sum()), int((~truth).sum())
    return (rankdata(frames) - (n + 1) / 2) / (n * m)


def _peak(frames: Frames, truth: Frames) -> Frames:
    highest = frames == frames.max()
    return highest / highest.sum()


WEIGHTS: Mapping[str, Callable[[Frames, Frames], Frames]] = {
    "relevance_mass": _relevance_mass,
    "relevance_rank": _relevance_rank,
    **dict.fromkeys(TOLERANCES_S, _peak),
    "roc_auc": _roc_auc,
    "evidence_ratio": lambda frames, truth: _relevance_mass(frames, truth) / truth.mean(),
}
"""Every measure of a map with evidence for spoof and a place of K frames, as weights of frames; from the truth they use
only the number of frames, which a shift does not change.

``relevance_mass``: share of the positive evidence in the place; by chance its share of time. ``relevance_rank``: of the
K frames of most evidence, the share in the place. ``pointing``: 1 where the frame of most evidence lies in the place or
within the tolerance of it. ``roc_auc``: how often a frame of the place has more evidence than one outside it, ties by
half. ``evidence_ratio``: the mass over the share of time, 1 by chance.

References
----------
Arras et al., "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network explanations",
Information Fusion 81, 2022, equations 1 and 2 (mass and rank; there of pooled relevance, which is positive as a whole).
Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 126, 2018, section 4.1 (pointing game).
"""


def over_shifts(frames: Frames, truth: Frames, clock: FrameClock = SSL_CLOCK) -> dict[str, np.ndarray]:
    """Each measure as (shift,) values for the map shifted circularly by 0, 1, ... frames; the first is its value.

    Some frames have to lie in the place and some outside.
    """
    # 1e-9: a tolerance of exactly one hop is one frame
    hops = {name: int(tolerance_s / clock.hop_s + 1e-9) for name, tolerance_s in TOLERANCES_S.items()}
    near = {name: binary_dilation(truth, iterations=n_frames) for name, n_frames in hops.items()}
    return {name: _correlated(weights(frames, truth), near.get(name, truth)) for name, weights in WEIGHTS.items()}


def rows(frames: Frames, truth: Frames, clock: FrameClock = SSL_CLOCK) -> Rows:
    """A row (`sslig.validation.statistics.measured`) for each measure of one map; all circular shifts are chance."""
    return [measured(name, values[0], values) for name, values in over_shifts(frames, truth, clock).items()]


def _correlated(weights: Frames, wanted: Frames) -> np.ndarray:
    """(shift,) The sum of `weights`, shifted by 0, 1, ... frames, over the `wanted` ones."""
    n_frames = len(weights)
    if np.isnan(weights).any():
        return np.full(n_frames, np.nan)
    sums = np.fft.irfft(np.fft.rfft(wanted) * np.conj(np.fft.rfft(weights)), n_frames)
    sums[0] = weights @ wanted
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


@torch.no_grad()
def transplanted(head: nn.Module, features: Tensor, twin: Tensor, truth: np.ndarray) -> dict[str, float]:
    """Scores (`TRANSPLANTED`) of a spoof with features of its bona fide twin put into the place, or all around it.

    A cue has a place in the recording, but an encoder that mixes frames may carry it to any of them. Then a map of the
    head's evidence that points elsewhere is right. So the first question is whether the decision rests on the place:
    with P the frames of the place, x the features of a spoof and y those of its twin,

        place carries  (F(x) - F(x with y in P)) / (F(x) - F(y))
        rest carries   (F(x) - F(x with y outside P)) / (F(x) - F(y))

    They add up to 1 where both parts act for themselves, to less where either would do, and to more where both are
    needed.

    `features` and `twin` are (1, layer, frame, feature), `truth` is (frame,) bool, True in the place.

    References
    ----------
    Geiger et al., "Causal Abstractions of Neural Networks", NeurIPS 2021 (interchange interventions); Meng et al.,
    "Locating and Editing Factual Associations in GPT", NeurIPS 2022, section 2.1.
    """
    place = torch.as_tensor(truth, device=features.device)[None, None, :, None]
    mixed = [features, twin, torch.where(place, twin, features), torch.where(place, features, twin)]
    return dict(zip(TRANSPLANTED, (head(given).item() for given in mixed), strict=True))


def carried(table: pd.DataFrame) -> tuple[float, float]:
    """The shares of a decision that the place and the rest carry, over the utterances of a table with `TRANSPLANTED`.

    It is the ratio of the summed differences, so that utterances whose score the cue hardly changes count little. NaN
    where no twin could be read or the cue does not raise the score.
    """
    known = table.dropna(subset=list(TRANSPLANTED))
    spoof, twin, place, rest = (known[name].sum() for name in TRANSPLANTED)
    if not spoof - twin > 0:
        return float("nan"), float("nan")
    return float((spoof - place) / (spoof - twin)), float((spoof - rest) / (spoof - twin))
