"""Edits of features and recordings, and frames to edit: pure functions on batches.

Features are (batch, layer, frame, feature), recordings (batch, samples), masks (batch, frame) and True where a frame is
replaced. In a recording frame t stands for the samples nearest to its centre. A frame still sees a little of its
neighbours: its receptive field is wider than the hop (by 40 samples a side on the SSL clock). Edits are cross-faded
inside what they replace, so that no kept sample changes and no click is added.

References
----------
"What Do Deepfake Speech Detectors Actually Hear?", arXiv 2606.10912, section on causal masking, and its release.
"""

import math

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor
from torch.nn import functional

from sslig import frames
from sslig.corpora import codecs
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

NYQUIST_HZ = SAMPLE_RATE_HZ / 2
STFT_SAMPLES, STFT_HOP_SAMPLES = 1024, 256
"""Window and hop of `band_gain`, as published."""

LEVEL_FLOOR = 1e-8
"""Added to the magnitude before its logarithm in `compressed`, as published."""

QUIET_QUANTILE = 0.1
"""The quietest tenth of the frames of a recording counts as its background."""

FILLS = ("silence", "noise", "interpolation")


def towards_profile(features: Tensor, mask: Tensor, profile: Tensor, alpha: float) -> Tensor:
    """Pull masked frames towards the (layer, feature) mean bona fide non-speech frame: x + alpha (profile - x).

    An alpha of 0 leaves the features as they are, 1 puts the profile in their place; the paper takes 0.9.
    """
    pulled, by_frame = _copied(features)
    x = by_frame[mask]  # (masked frame, layer, feature)
    by_frame[mask] = x + alpha * (profile.to(features) - x)
    return pulled


def from_nearest(features: Tensor, mask: Tensor) -> Tensor:
    """Replace masked frames by the mean of the nearest kept frames before and after: (x[before] + x[after]) / 2.

    At the ends of the recording the one nearest kept frame is taken. A row with every frame masked stays as it is.
    """
    n_frames = mask.shape[1]
    before, after = last_true(~mask), next_true(~mask)  # (batch, frame)
    before, after = torch.where(before < 0, after, before), torch.where(after == n_frames, before, after)
    rows, at = torch.nonzero(mask & (before < n_frames), as_tuple=True)
    replaced, by_frame = _copied(features)
    by_frame[rows, at] = (by_frame[rows, before[rows, at]] + by_frame[rows, after[rows, at]]) / 2
    return replaced


def high_energy(waveforms: Tensor, clock: FrameClock, quantile: float) -> Tensor:
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


def top_frames(attribution: Tensor, percent: float, n_read: int) -> Tensor:
    """(batch, frame) The `percent` % of frames with the highest (batch, frame) attribution, rounded down, at least one.

    The lowest frames are the top frames of the negated attribution. Of equal frames the earlier is taken. 0 % are none.

    Parameters
    ----------
    n_read
        Frames from the start that the head reads: the percentage is of these, and the others are never taken.

    Raises
    ------
    InputError
        An attribution is not finite.
    """
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


def band_gain(waveforms: Tensor, lo_hz: float, hi_hz: float, gain: float) -> Tensor:
    """Multiply the STFT bins of (batch, samples) from `lo_hz` to `hi_hz`, both included, by `gain`.

    Hann window of 1024 samples, hop 256, ends reflected; recordings too short for that are followed by zeros. Only the
    change is resynthesised, so a gain of 1 changes nothing at all.
    """
    missing = STFT_SAMPLES // 2 + 1 - waveforms.shape[-1]
    if missing > 0:
        return band_gain(functional.pad(waveforms, (0, missing)), lo_hz, hi_hz, gain)[..., :-missing]
    window = torch.hann_window(STFT_SAMPLES, dtype=waveforms.dtype, device=waveforms.device)
    shape = {"n_fft": STFT_SAMPLES, "hop_length": STFT_HOP_SAMPLES, "window": window}
    spectrum = torch.stft(waveforms, **shape, return_complex=True)  # (batch, bin, frame)
    bin_hz = torch.linspace(0, NYQUIST_HZ, spectrum.shape[1], device=waveforms.device)
    change = torch.where((bin_hz >= lo_hz) & (bin_hz <= hi_hz), gain - 1.0, 0.0)
    return waveforms + torch.istft(spectrum * change[:, None], **shape, length=waveforms.shape[-1])


def lowpass(waveforms: Tensor, cutoff_hz: float) -> Tensor:
    """Remove from (batch, samples) what lies at `cutoff_hz` and above."""
    return band_gain(waveforms, cutoff_hz, NYQUIST_HZ, gain=0.0)


def compressed(
    waveforms: Tensor,
    threshold_db: float = -20.0,
    ratio: float = 4.0,
    makeup_db: float = 10.0,
    attack_ms: float = 0.0,
    release_ms: float = 0.0,
) -> Tensor:
    """Compress (batch, samples) with a hard knee and a hard limit at full scale.

    Levels above the threshold are reduced: c = (20 log10 |x| - threshold)+ (1 - 1 / ratio) dB, smoothed by a decoupled
    peak detector: the release holds r[n] = max(c[n], e^(-1 / release) r[n - 1]), the attack follows
    s[n] = e^(-1 / attack) s[n - 1] + (1 - e^(-1 / attack)) r[n]. The gain is ``makeup_db`` - s.

    With times of 0 it is the published compressor, a memoryless waveshaper: the released code ignores both.

    References
    ----------
    D. Giannoulis, M. Massberg and J. D. Reiss, "Digital dynamic range compressor design -- a tutorial and analysis",
    J. Audio Eng. Soc. 60(6), 2012 (decoupled peak detector, in the log domain).
    """
    level_db = 20 * torch.log10(waveforms.abs() + LEVEL_FLOOR)
    reduction_db = (level_db - threshold_db).clamp_min(0) * (1 - 1 / ratio)
    reduction_db = _attacked(_released(reduction_db, release_ms), attack_ms)
    return (waveforms * 10 ** ((makeup_db - reduction_db) / 20)).clamp(-1, 1)


def coded(waveforms: Tensor, codec: codecs.Codec, quality: int = 1) -> Tensor:
    """Encode and decode (batch, samples) with one of `sslig.corpora.codecs`."""
    rows = [codecs.apply(row, codec, quality) for row in waveforms.cpu().numpy()]
    return torch.from_numpy(np.stack(rows)).to(waveforms)


def sample_mask(mask: Tensor, n_samples: int, clock: FrameClock) -> Tensor:
    """(batch, samples) A (batch, frame) mask by sample: each belongs to the frame with the nearest centre."""
    position = torch.arange(n_samples, device=mask.device)
    return mask[:, _cell(position, clock).clamp(0, mask.shape[1] - 1)]


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
    weight = _fade_in(_distance(masked), clock.hop_samples // 4).to(waveforms)
    return torch.where(masked, waveforms + weight * (filling - waveforms), waveforms)


def cut(waveforms: Tensor, mask: Tensor, clock: FrameClock) -> Tensor:
    """Cut masked frames out of (batch, samples), one hop of samples for each; every row must lose as many, and not all.

    Runs that reach an end of the recording are cut off there. Elsewhere the sound before the run continues under the
    sound after it, and fades out over a quarter of a hop.
    """
    dropped = _dropped(mask, waveforms.shape[1], clock)
    position = torch.arange(waveforms.shape[1], device=waveforms.device)
    last_dropped = last_true(dropped)  # (batch, samples)
    last_before = last_true(~dropped).gather(1, last_dropped.clamp_min(0))  # the sample before the run cut last
    continued = waveforms.gather(1, (position - last_dropped + last_before).clamp(0, position[-1]))
    seam = (last_dropped >= 0) & (last_before >= 0)
    weight = torch.where(seam, _fade_in(position - last_dropped, clock.hop_samples // 4), 1.0).to(waveforms)
    joined = torch.where(weight < 1, continued + weight * (waveforms - continued), waveforms)
    return joined[~dropped].unflatten(0, (len(waveforms), -1))


def _released(reduction_db: Tensor, release_ms: float) -> Tensor:
    """The release r[n] = max over k <= n of c[k] e^(-(n - k) / release), without a loop: a running maximum of logs."""
    if release_ms == 0:
        return reduction_db
    decay = torch.arange(reduction_db.shape[1], device=reduction_db.device, dtype=torch.float64)
    decay = decay / (release_ms / 1000 * SAMPLE_RATE_HZ)
    return ((reduction_db.double().log() + decay).cummax(dim=1).values - decay).exp().to(reduction_db)


def _attacked(reduction_db: Tensor, attack_ms: float) -> Tensor:
    if attack_ms == 0:
        return reduction_db
    pole = math.exp(-1 / (attack_ms / 1000 * SAMPLE_RATE_HZ))
    smoothed = lfilter([1 - pole], [1, -pole], reduction_db.double().cpu().numpy(), axis=1)
    return torch.from_numpy(smoothed).to(reduction_db)


def _cell(position: Tensor, clock: FrameClock) -> Tensor:
    """The frame whose centre is nearest to each sample; below 0 and above the last frame beyond their cells."""
    return torch.div(
        position - (clock.receptive_field_samples - clock.hop_samples) // 2, clock.hop_samples, rounding_mode="floor"
    )


def _dropped(mask: Tensor, n_samples: int, clock: FrameClock) -> Tensor:
    """(batch, samples) One hop of samples for each masked frame, those of runs at the ends moved up to the end."""
    n_frames = mask.shape[1]
    position = torch.arange(n_samples, device=mask.device)
    leading = last_true(~mask) < 0
    ending = edge_runs(mask) & ~leading
    cells = {
        "leading": (leading, position // clock.hop_samples),
        "inner": (mask & ~leading & ~ending, _cell(position, clock)),
        "ending": (ending, n_frames - 1 - (n_samples - 1 - position) // clock.hop_samples),
    }
    parts = [part[:, at.clamp(0, n_frames - 1)] & (at >= 0) & (at < n_frames) for part, at in cells.values()]
    return parts[0] | parts[1] | parts[2]


def _distance(masked: Tensor) -> Tensor:
    """(batch, samples) Samples to the nearest sample that is kept; beyond an end of the recording none is."""
    position, length = torch.arange(masked.shape[1], device=masked.device), masked.shape[1]
    before, after = last_true(~masked), next_true(~masked)
    far = torch.full_like(before, length)
    return torch.minimum(
        torch.where(before < 0, far, position - before), torch.where(after == length, far, after - position)
    )


def _fade_in(distance_samples: Tensor, fade_samples: int) -> Tensor:
    """Half a period of a raised cosine, 0 to 1 over the samples 1 to `fade_samples`, 1 beyond."""
    through = ((distance_samples - 0.5) / fade_samples).clamp(0, 1)
    return torch.where(through < 1, 0.5 - 0.5 * torch.cos(torch.pi * through), 1.0)


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


def _copied(features: Tensor) -> tuple[Tensor, Tensor]:
    """A copy of the features, and its view as (batch, frame, layer, feature) to write masked frames to."""
    copy = features.clone(memory_format=torch.contiguous_format)
    return copy, copy.transpose(1, 2)
