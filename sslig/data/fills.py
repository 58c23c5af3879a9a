"""Fills for frames of features and of recordings: silence, the background of the recording, or what stands around.

Features are (batch, layer, frame, feature), recordings (batch, samples), masks (batch, frame) and True where a frame is
replaced. In a recording frame t stands for the samples nearest to its centre. A frame still sees a little of its
neighbours: its receptive field is wider than the hop (by 40 samples a side on the SSL clock). Fills are cross-faded
inside what they replace, so that no kept sample changes and no click is added.
"""

import math

import torch
from torch import Tensor

from sslig.frames import FrameClock

QUIET_QUANTILE = 0.1
"""The quietest tenth of the frames of a recording counts as its background."""

FILLS = SILENCE, NOISE, INTERPOLATION = ("silence", "noise", "interpolation")


def replaced(waveforms: Tensor, mask: Tensor, clock: FrameClock, fill: str, generator: torch.Generator) -> Tensor:
    """Replace masked frames of a recording, cross-faded over a quarter of a hop at each end of a run.

    Parameters
    ----------
    fill
        ``silence``: zeros, which few recordings contain, so the silence itself may be a cue. ``noise``: Gaussian noise
        with the mean power spectrum of the quietest tenth of the frames, the background of the recording.
        ``interpolation``: Gaussian noise whose power spectrum is the mean of the nearest kept frames before and after,
        which keeps the envelope and no pitch; a recording with every frame masked stays as it is.
    """
    if fill == "interpolation":
        mask = mask & ~mask.all(dim=1, keepdim=True)
    masked = sample_mask(mask, waveforms.shape[1], clock)
    filling = torch.zeros_like(waveforms) if fill == "silence" else _noise(waveforms, mask, clock, fill, generator)
    weight = fade_in(_distance(masked), clock.hop_samples // 4).to(waveforms)
    return torch.where(masked, waveforms + weight * (filling - waveforms), waveforms)


def from_nearest(features: Tensor, mask: Tensor) -> Tensor:
    """Replace masked frames by the mean of the nearest kept frames before and after: (x[before] + x[after]) / 2.

    At the ends of the recording the one nearest kept frame is taken. A row with every frame masked stays as it is.
    """
    n_frames = mask.shape[1]
    before, after = last_true(~mask), next_true(~mask)  # (batch, frame)
    before, after = torch.where(before < 0, after, before), torch.where(after == n_frames, before, after)
    rows, at = torch.nonzero(mask & (before < n_frames), as_tuple=True)
    replaced, by_frame = copied(features)
    by_frame[rows, at] = (by_frame[rows, before[rows, at]] + by_frame[rows, after[rows, at]]) / 2
    return replaced


def sample_mask(mask: Tensor, n_samples: int, clock: FrameClock) -> Tensor:
    """(batch, samples) A (batch, frame) mask by sample: each belongs to the frame with the nearest centre."""
    position = torch.arange(n_samples, device=mask.device)
    return mask[:, cell(position, clock).clamp(0, mask.shape[1] - 1)]


def last_true(mask: Tensor) -> Tensor:
    """(batch, position) Position of the last True at or before each position; -1 where there is none."""
    position = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, position, -1).cummax(dim=1).values


def next_true(mask: Tensor) -> Tensor:
    """(batch, position) Position of the first True at or after each position; their number where there is none."""
    length = mask.shape[1]
    return length - 1 - last_true(mask.flip(1)).flip(1)


def cell(position: Tensor, clock: FrameClock) -> Tensor:
    """The frame whose centre is nearest to each sample; below 0 and above the last frame beyond their cells."""
    return torch.div(
        position - (clock.receptive_field_samples - clock.hop_samples) // 2, clock.hop_samples, rounding_mode="floor"
    )


def fade_in(distance_samples: Tensor, fade_samples: int) -> Tensor:
    """Half a period of a raised cosine, 0 to 1 over the samples 1 to `fade_samples`, 1 beyond."""
    through = ((distance_samples - 0.5) / fade_samples).clamp(0, 1)
    return torch.where(through < 1, 0.5 - 0.5 * torch.cos(torch.pi * through), 1.0)


def copied(features: Tensor) -> tuple[Tensor, Tensor]:
    """A copy of the features, and its view as (batch, frame, layer, feature) to write masked frames to."""
    copy = features.clone(memory_format=torch.contiguous_format)
    return copy, copy.transpose(1, 2)


def _distance(masked: Tensor) -> Tensor:
    """(batch, samples) Samples to the nearest sample that is kept; beyond an end of the recording none is."""
    position, length = torch.arange(masked.shape[1], device=masked.device), masked.shape[1]
    before, after = last_true(~masked), next_true(~masked)
    far = torch.full_like(before, length)
    return torch.minimum(
        torch.where(before < 0, far, position - before), torch.where(after == length, far, after - position)
    )


def _noise(waveforms: Tensor, mask: Tensor, clock: FrameClock, fill: str, generator: torch.Generator) -> Tensor:
    power = _power_spectra(waveforms, clock)  # (batch, frame, bin)
    if fill == "interpolation":
        return _shaped(from_nearest(power[:, None], mask)[:, 0], waveforms, clock, generator)
    level = power.mean(-1)  # (batch, frame)
    quiet = level <= torch.quantile(level, QUIET_QUANTILE, dim=1, keepdim=True)
    background = (power * quiet[..., None]).sum(1, keepdim=True) / quiet.sum(1)[:, None, None]  # (batch, 1, bin)
    return _shaped(background.expand_as(power), waveforms, clock, generator)


def _power_spectra(waveforms: Tensor, clock: FrameClock) -> Tensor:
    """(batch, frame, bin) Power spectrum of each receptive field, Hann-windowed; 1 for white noise of variance 1."""
    frames = waveforms.unfold(1, clock.receptive_field_samples, clock.hop_samples)  # (batch, frame, samples)
    window = torch.hann_window(clock.receptive_field_samples, dtype=waveforms.dtype, device=waveforms.device)
    n_fft = max(2 * clock.hop_samples, clock.receptive_field_samples)
    return torch.fft.rfft(frames * window, n_fft).abs().square() / window.square().sum()


def _shaped(power: Tensor, waveforms: Tensor, clock: FrameClock, generator: torch.Generator) -> Tensor:
    """(batch, samples) Gaussian noise with these power spectra at the centres of the frames."""
    n_frames, hop = power.shape[1], clock.hop_samples
    # Frame t of the clock is centred half a receptive field after hop * t, the STFT's frame j on hop * j.
    ahead = math.ceil(clock.receptive_field_samples / 2 / hop)
    offset = ahead * hop - clock.receptive_field_samples // 2
    n_samples = math.ceil((offset + waveforms.shape[1]) / hop) * hop
    n_fft = 2 * (power.shape[2] - 1)
    window = torch.hann_window(n_fft, dtype=waveforms.dtype, device=waveforms.device)
    shape = {"n_fft": n_fft, "hop_length": hop, "window": window}
    white = torch.randn(len(waveforms), n_samples, generator=generator, dtype=waveforms.dtype).to(waveforms)
    spectrum = torch.stft(white, **shape, pad_mode="constant", return_complex=True)  # (batch, bin, frame)
    at = (torch.arange(spectrum.shape[2], device=waveforms.device) - ahead).clamp(0, n_frames - 1)
    shaped = torch.istft(spectrum * power[:, at].sqrt().transpose(1, 2), **shape, length=n_samples)
    return shaped[:, offset : offset + waveforms.shape[1]]
