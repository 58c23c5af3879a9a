"""Edits of features and recordings, and frames to edit: pure functions on batches, shaped as in `sslig.data.fills`.

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
from sslig.data.fills import cell, copied, fade_in, last_true, next_true
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

NYQUIST_HZ = SAMPLE_RATE_HZ / 2
STFT_SAMPLES, STFT_HOP_SAMPLES = 1024, 256
"""Window and hop of `band_gain`, as published."""

LEVEL_FLOOR = 1e-8
"""Added to the magnitude before its logarithm in `compressed`, as published."""


def towards_profile(features: Tensor, mask: Tensor, profile: Tensor, alpha: float) -> Tensor:
    """Pull masked frames towards the (layer, feature) mean bona fide non-speech frame: x + alpha (profile - x).

    An alpha of 0 leaves the features as they are, 1 puts the profile in their place; the paper takes 0.9.
    """
    pulled, by_frame = copied(features)
    x = by_frame[mask]  # (masked frame, layer, feature)
    by_frame[mask] = x + alpha * (profile.to(features) - x)
    return pulled


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
    weight = torch.where(seam, fade_in(position - last_dropped, clock.hop_samples // 4), 1.0).to(waveforms)
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


def _dropped(mask: Tensor, n_samples: int, clock: FrameClock) -> Tensor:
    """(batch, samples) One hop of samples for each masked frame, those of runs at the ends moved up to the end."""
    n_frames = mask.shape[1]
    position = torch.arange(n_samples, device=mask.device)
    leading = last_true(~mask) < 0
    ending = edge_runs(mask) & ~leading
    cells = {
        "leading": (leading, position // clock.hop_samples),
        "inner": (mask & ~leading & ~ending, cell(position, clock)),
        "ending": (ending, n_frames - 1 - (n_samples - 1 - position) // clock.hop_samples),
    }
    parts = [part[:, at.clamp(0, n_frames - 1)] & (at >= 0) & (at < n_frames) for part, at in cells.values()]
    return parts[0] | parts[1] | parts[2]
