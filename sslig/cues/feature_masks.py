"""Which frames to mask, and what masked features become: pure functions of (batch, layer, frame, feature) tensors.

Masks are (batch, frame) and True where a frame is to be replaced. The published selections of frames are kept as they
are released; where they are faulty, ``published=True`` gives the released variant and the default the mended one.

References
----------
"What Do Deepfake Speech Detectors Actually Hear?", arXiv 2606.10912, section on causal masking, and its release.
"""

import math

import torch
from torch import Tensor

from sslig.frames import FrameClock


class MaskError(ValueError):
    """A mask, or what it is to be applied to, that does not fit; the message says what was found and is accepted."""


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
    MaskError
        The shapes do not fit together.
    """
    check_features(features, mask)
    if profile.shape != (features.shape[1], features.shape[3]):
        raise MaskError(f"profile of shape {tuple(profile.shape)} for features of shape {tuple(features.shape)}; "
                        "(layer, feature) is needed")  # fmt: skip
    pulled, frames = _copied(features)
    found = frames[mask]  # (masked frame, layer, feature)
    frames[mask] = found + alpha * (profile.to(features) - found)
    return pulled


def from_nearest(features: Tensor, mask: Tensor) -> Tensor:
    """Masked frames become the mean of the nearest kept frame before and after them: (x[before] + x[after]) / 2.

    Before the first and after the last kept frame, its features alone are taken. A row with every frame masked has
    nothing to take from and stays as it is.

    Parameters
    ----------
    features
        (batch, layer, frame, feature)
    mask
        (batch, frame) bool

    Raises
    ------
    MaskError
        The shapes do not fit together.
    """
    check_features(features, mask)
    n_frames = mask.shape[1]
    before, after = last_true(~mask), next_true(~mask)  # (batch, frame)
    before, after = torch.where(before < 0, after, before), torch.where(after == n_frames, before, after)
    rows, frames = torch.nonzero(mask & (before < n_frames), as_tuple=True)
    replaced, by_frame = _copied(features)
    by_frame[rows, frames] = (by_frame[rows, before[rows, frames]] + by_frame[rows, after[rows, frames]]) / 2
    return replaced


def waveform_energy(waveforms: Tensor, n_frames: int, clock: FrameClock) -> Tensor:
    """(batch, frame) Mean square of the `hop_samples` samples from the start of each frame.

    That is the published energy. It leaves out the end of the receptive field, 80 samples of 400 on the SSL clock.

    Parameters
    ----------
    waveforms
        (batch, samples)
    n_frames
        Frames of the features that the energy belongs to.

    Raises
    ------
    MaskError
        The waveforms give another number of frames.
    """
    check_frames(waveforms, n_frames, clock)
    hop = clock.hop_samples
    return waveforms[:, : n_frames * hop].unflatten(1, (n_frames, hop)).square().mean(-1)


def high_energy(energy: Tensor, quantile: float = 0.75) -> Tensor:
    """(batch, frame) Frames whose energy lies above this quantile of their own recording: the published ``phonemes``.

    Parameters
    ----------
    energy
        (batch, frame) As of `waveform_energy`. Equal energies are all kept or all selected.
    quantile
        In [0, 1], interpolated linearly between order statistics.
    """
    if not 0 <= quantile <= 1:
        raise MaskError(f"quantile {quantile}; accepted: 0 to 1")
    return energy > torch.quantile(energy, quantile, dim=1, keepdim=True)


def non_speech(tokens: Tensor, blank: int, delimiter: int, published: bool = False) -> Tensor:
    """(batch, frame) Frames without speech, by the best CTC token of each frame.

    A CTC model emits the blank between any two letters, within words too. The released code takes every blank for
    silence; here only unbroken runs of blanks and word delimiters count that hold a delimiter or reach an end of the
    recording. Tokens remain a coarse witness: a voice activity detector or a forced alignment knows better.

    Parameters
    ----------
    tokens
        (batch, frame) Token numbers.
    blank, delimiter
        Numbers of the blank and of the token between words.
    published
        Take every blank, and no delimiter.
    """
    if published:
        return tokens == blank
    between_words = tokens == delimiter
    letter = ~between_words & (tokens != blank)
    at_end = (last_true(letter) < 0) | (next_true(letter) == tokens.shape[1])
    delimited = (last_true(between_words) > last_true(letter)) | (next_true(between_words) < next_true(letter))
    return ~letter & (at_end | delimited)


def word_boundaries(tokens: Tensor, blank: int, delimiter: int, published: bool = False) -> Tensor:
    """(batch, frame) Frames of the word delimiter, and frames of speech right beside a frame without speech.

    Parameters
    ----------
    tokens, blank, delimiter
        As of `non_speech`.
    published
        As released: every blank counts as silence, and the neighbour test wraps around, so that the first frame is a
        boundary where the last one is a blank, and the other way round.
    """
    silence = non_speech(tokens, blank, delimiter, published)
    before, after = silence.roll(1, dims=1), silence.roll(-1, dims=1)
    if not published:
        before[:, :1], after[:, -1:] = False, False
    return (tokens == delimiter) | ((before | after) & ~silence)


def top_frames(attribution: Tensor, percent: float, n_read: int | None = None) -> Tensor:
    """(batch, frame) The `percent` % of frames with the highest attribution, at least one unless `percent` is 0.

    Lowest frames are the top frames of the negated attribution. Of equal frames the earlier is taken.

    Parameters
    ----------
    attribution
        (batch, frame) Positive is evidence for spoof.
    percent
        Of the frames that the head reads, rounded down to whole frames.
    n_read
        How many frames from the start the head reads; the others are never taken. All by default.

    Raises
    ------
    MaskError
        `percent` is outside 0 to 100, `n_read` outside 1 to the number of frames, or an attribution is not finite.
    """
    n_frames = attribution.shape[1]
    n_read = n_frames if n_read is None else n_read
    if not 0 <= percent <= 100 or not 1 <= n_read <= n_frames:
        raise MaskError(f"{percent} % of {n_read} frames read; accepted: 0 to 100 % of 1 to {n_frames} frames")
    if not attribution.isfinite().all():
        raise MaskError(f"{int((~attribution.isfinite()).sum())} of {attribution.numel()} attributions are not finite")
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


def check_features(features: Tensor, mask: Tensor) -> None:
    """Refuse a mask that is no (batch, frame) bool tensor for (batch, layer, frame, feature) features.

    Raises
    ------
    MaskError
        With what was found.
    """
    if features.ndim != 4 or mask.dtype != torch.bool or mask.shape != (features.shape[0], features.shape[2]):
        raise MaskError(f"{mask.dtype} mask of shape {tuple(mask.shape)} for features of shape "
                        f"{tuple(features.shape)}; a bool mask (batch, frame) for features (batch, layer, frame, "
                        "feature) is needed")  # fmt: skip


def check_frames(waveforms: Tensor, n_frames: int, clock: FrameClock) -> None:
    """Refuse waveforms (batch, samples) that do not give `n_frames` frames.

    Raises
    ------
    MaskError
        With what was found.
    """
    found = clock.n_frames(waveforms.shape[-1])
    if waveforms.ndim != 2 or found != n_frames or n_frames < 1:
        raise MaskError(f"waveforms of shape {tuple(waveforms.shape)} give {found} frames, and {n_frames} are masked "
                        "or asked for; (batch, samples) with as many frames is needed, at least one")  # fmt: skip


def _copied(features: Tensor) -> tuple[Tensor, Tensor]:
    """A copy of the features, and its view as (batch, frame, layer, feature) to write masked frames to."""
    copy = features.clone(memory_format=torch.contiguous_format)
    return copy, copy.transpose(1, 2)
