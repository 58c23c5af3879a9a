"""Paired truth: where a spoof differs from the recording that it was made from.

An attack that keeps time leaves every moment of its original where it was. So with both aligned and at one level, the
difference of their mel spectrograms says where the artefacts are, in time and in frequency. Built corpora give each
utterance its own margins, level and noise floor, hence the alignment; and a noise floor covers the pauses, whose
difference is that of two noises.

References
----------
P. Grinberg et al., "A data-driven diffusion-based approach for audio deepfake explanations", Interspeech 2025
(arXiv 2506.03425), section 3 (the difference of paired real and vocoded speech as truth).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import correlate

from sslig import audio
from sslig.corpora.protocol import NONE
from sslig.corpora.spoofs import ATTACKS
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock
from sslig.labels import BONAFIDE, SPOOF

N_BANDS, BAND_HZ = 40, (80.0, 7000.0)
"""Mel bands of the spectrograms, within the band of built corpora."""

FLOOR_DB = -35.0
"""White noise that is added to the power of both spectrograms, relative to their level: above the floors of built
corpora, so that pauses do not differ."""

LAG_HOP_SAMPLES = 80
"""Alignment is exact to 5 ms, a fifth of a frame."""

LEAST_ALIGNED = 0.8
"""Correlation of the aligned log-mel spectrograms below which a spoof has no paired truth. Vocoded spoofs of the demo
lie at .9, text-to-speech at .1 to .4."""

CHANGED_SHARE = 0.25
"""The place is this share of the frames or cells, those that differ most."""


class Pair(NamedTuple):
    """(samples,) of a spoof and of its original, aligned, equally long and loud; the correlation of both; and the first
    sample and one past the last at which there is an original."""

    spoof: np.ndarray
    original: np.ndarray
    correlation: float
    first: int
    stop: int


def pairs(utterances: pd.DataFrame) -> pd.DataFrame:
    """Uncoded spoofs by attacks that keep time, with ``original``: the path of the recording as it was.

    `utterances` are those of a set with ``recording``, ``label``, ``codec``, ``attack`` and ``path``.
    """
    keep_time = [attack.code for attack in ATTACKS.values() if attack.keeps_time]
    uncoded = utterances[utterances["codec"] == NONE]
    originals = uncoded[uncoded["label"] == BONAFIDE].drop_duplicates("recording").set_index("recording")["path"]
    spoofs = uncoded[(uncoded["label"] == SPOOF) & uncoded["attack"].isin(keep_time)]
    return spoofs.assign(original=spoofs["recording"].map(originals)).dropna(subset="original").reset_index(drop=True)


def align(spoof: np.ndarray, original: np.ndarray) -> Pair:
    """Shift and scale the (samples,) `original` to the `spoof`, so that their log-mel spectrograms correlate best."""
    levels = [_level_db(samples, LAG_HOP_SAMPLES) for samples in (spoof, original)]
    levels = [level - level.mean(axis=1, keepdims=True) for level in levels]  # (band, hop)
    products = sum(correlate(*bands) for bands in zip(*levels, strict=True))  # (lag,)
    correlation = products.max() / np.sqrt(np.prod([np.sum(level**2) for level in levels]))
    lag = (int(products.argmax()) - (levels[1].shape[1] - 1)) * LAG_HOP_SAMPLES
    first, stop = max(0, lag), min(len(spoof), len(original) + lag)
    shifted = np.zeros_like(spoof)
    shifted[first:stop] = original[first - lag : stop - lag]
    gain = audio.rms(spoof[first:stop]) / max(audio.rms(shifted[first:stop]), 1e-9)
    return Pair(spoof, (gain * shifted).astype(spoof.dtype), float(correlation), first, stop)


def difference_db(pair: Pair, clock: FrameClock) -> np.ndarray:
    """(band, frame) Size of the difference of both mel spectrograms, in dB, on the frames of `clock`; NaN where a
    frame is not within both."""
    spoof, original = (_level_db(samples, clock.hop_samples) for samples in (pair.spoof, pair.original))
    start = np.arange(spoof.shape[1]) * clock.hop_samples
    within = (start >= pair.first) & (start + clock.receptive_field_samples <= pair.stop)
    return np.where(within, np.abs(spoof - original), np.nan)


def changed(difference: np.ndarray) -> np.ndarray:
    """Which frames or cells belong to the place: `CHANGED_SHARE` of them, those of the largest (...,) `difference`."""
    return difference > np.quantile(difference, 1 - CHANGED_SHARE)


def _level_db(samples: np.ndarray, hop_samples: int) -> np.ndarray:
    """(band, hop) Level of mel bands in windows of a frame's receptive field, with the floor of `FLOOR_DB`."""
    import librosa

    size = SSL_CLOCK.receptive_field_samples
    low_hz, high_hz = BAND_HZ
    mel = {"n_mels": N_BANDS, "fmin": low_hz, "fmax": high_hz, "norm": None}
    filters = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=size, **mel)  # (band, bin)
    power = filters @ np.abs(librosa.stft(samples, n_fft=size, hop_length=hop_samples, center=False)) ** 2
    white = filters.sum(axis=1, keepdims=True) * np.sum(librosa.filters.get_window("hann", size) ** 2)
    floor = 10 ** (FLOOR_DB / 10) * audio.rms(samples) ** 2 * white  # white noise: E |X(f)|^2 = sigma^2 sum w^2
    return 10 * np.log10(power + floor)
