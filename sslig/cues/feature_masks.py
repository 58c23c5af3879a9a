"""Which frames to mask, and what masked features become: pure functions of (batch, layer, frame, feature) tensors.

Masks are (batch, frame) and True where a frame is replaced.

References
----------
"What Do Deepfake Speech Detectors Actually Hear?", arXiv 2606.10912, section on causal masking, and its release.
"""

import math

import torch
from torch import Tensor

from sslig import frames
from sslig.errors import InputError
from sslig.frames import FrameClock


def towards_profile(features: Tensor, mask: Tensor, profile: Tensor, alpha: float) -> Tensor:
    """Pull masked frames towards a profile: x + alpha (profile - x).

    Parameters
    ----------
    features
        (batch, layer, frame, feature)
    mask
        (batch, frame) bool
    profile
        (layer, feature) Such as the mean of bona fide non-speech frames.
    alpha
        0 leaves the features as they are, 1 puts the profile in their place; the paper takes 0.9.

    Raises
    ------
    InputError
        The shapes do not fit together.
    """
    _check(features, mask)
    if profile.shape != (features.shape[1], features.shape[3]):
        raise InputError(
            f"profile of shape {tuple(profile.shape)} for features of shape {tuple(features.shape)}; "
            "(layer, feature) is needed"
        )
    pulled, by_frame = _copied(features)
    x = by_frame[mask]  # (masked frame, layer, feature)
    by_frame[mask] = x + alpha * (profile.to(features) - x)
    return pulled


def from_nearest(features: Tensor, mask: Tensor) -> Tensor:
    """Replace masked frames by the mean of the nearest kept frames before and after: (x[before] + x[after]) / 2.

    At the ends of the recording the one nearest kept frame is taken. A row with every frame masked stays as it is.

    Parameters
    ----------
    features
        (batch, layer, frame, feature)
    mask
        (batch, frame) bool

    Raises
    ------
    InputError
        The shapes do not fit together.
    """
    _check(features, mask)
    n_frames = mask.shape[1]
    before, after = last_true(~mask), next_true(~mask)  # (batch, frame)
    before, after = torch.where(before < 0, after, before), torch.where(after == n_frames, before, after)
    rows, at = torch.nonzero(mask & (before < n_frames), as_tuple=True)
    replaced, by_frame = _copied(features)
    by_frame[rows, at] = (by_frame[rows, before[rows, at]] + by_frame[rows, after[rows, at]]) / 2
    return replaced


def high_energy(waveforms: Tensor, clock: FrameClock, quantile: float = 0.75) -> Tensor:
    """(batch, frame) Frames whose energy lies above a quantile of their own recording: the published ``phonemes``.

    The published energy of (batch, samples) is the mean square of one hop from the start of each frame, and leaves out
    the end of the receptive field, 80 samples of 400 on the SSL clock. Equal energies are all kept or all selected.
    """
    energy = torch.from_numpy(frames.energy(waveforms.cpu().numpy(), clock.hop_samples, clock.hop_samples))
    energy = energy[:, : clock.n_frames(waveforms.shape[1])]  # (batch, frame)
    return (energy > torch.quantile(energy, quantile, dim=1, keepdim=True)).to(waveforms.device)


def published_word_boundaries(blank: Tensor, delimiter: Tensor) -> Tensor:
    """(batch, frame) Frames of the word delimiter, and frames beside a blank, as the released code finds them.

    `blank` and `delimiter` are (batch, frame) bool, by the most likely CTC token of each frame. A CTC model emits the
    blank between any two letters, and the released code takes each for silence. Its test of neighbours wraps around
    from the last frame to the first.
    """
    return delimiter | ((blank.roll(1, dims=1) | blank.roll(-1, dims=1)) & ~blank)


def top_frames(attribution: Tensor, percent: float, n_read: int | None = None) -> Tensor:
    """(batch, frame) The `percent` % of frames with the highest attribution, at least one unless `percent` is 0.

    The lowest frames are the top frames of the negated attribution. Of equal frames the earlier is taken.

    Parameters
    ----------
    attribution
        (batch, frame) Positive is evidence for spoof.
    percent
        Share of the frames that the head reads, rounded down to whole frames.
    n_read
        Frames from the start that the head reads; the others are never taken. All by default.

    Raises
    ------
    InputError
        `percent` is outside 0 to 100, `n_read` outside 1 to the number of frames, or an attribution is not finite.
    """
    n_frames = attribution.shape[1]
    n_read = n_frames if n_read is None else n_read
    if not 0 <= percent <= 100 or not 1 <= n_read <= n_frames:
        raise InputError(f"{percent} % of {n_read} frames read; accepted: 0 to 100 % of 1 to {n_frames} frames")
    if not attribution.isfinite().all():
        raise InputError(f"{int((~attribution.isfinite()).sum())} of {attribution.numel()} attributions are not finite")
    count = max(1, math.floor(percent * n_read / 100)) if percent > 0 else 0
    highest = attribution[:, :n_read].argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(attribution, dtype=torch.bool).scatter(1, highest, True)


def edge_runs(mask: Tensor) -> Tensor:
    """(batch, frame) The part of a mask that reaches unbroken from the first frame, or to the last."""
    return mask & ((last_true(~mask) < 0) | (next_true(~mask) == mask.shape[1]))


def last_true(mask: Tensor) -> Tensor:
    """(batch, position) Position of the last True at or before each position; -1 where there is none."""
    position = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, position, -1).cummax(dim=1).values


def next_true(mask: Tensor) -> Tensor:
    """(batch, position) Position of the first True at or after each position; their number where there is none."""
    length = mask.shape[1]
    return length - 1 - last_true(mask.flip(1)).flip(1)


def _check(features: Tensor, mask: Tensor) -> None:
    if features.ndim != 4 or mask.dtype != torch.bool or mask.shape != (features.shape[0], features.shape[2]):
        raise InputError(
            f"{mask.dtype} mask of shape {tuple(mask.shape)} for features of shape {tuple(features.shape)}; a bool "
            "mask (batch, frame) for features (batch, layer, frame, feature) is needed"
        )


def _copied(features: Tensor) -> tuple[Tensor, Tensor]:
    """A copy of the features, and its view as (batch, frame, layer, feature) to write masked frames to."""
    copy = features.clone(memory_format=torch.contiguous_format)
    return copy, copy.transpose(1, 2)
