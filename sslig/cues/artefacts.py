"""Artefacts: what a recording gives away without being understood, from length and level to damage and pitch."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sslig import audio, processes
from sslig.cues import voice
from sslig.cues.tiers import Tier
from sslig.errors import AudioError, CorpusError
from sslig.frames import SAMPLE_RATE_HZ

FLOOR_DB = -100.0
"""Level of digital silence, which has no logarithm, and of everything below it."""
RMS_FRAME_SAMPLES = 480
VOICED_RMS = 0.05
"""A frame of 30 ms with a larger RMS counts as voiced, in the definition of the release."""
FIRST_FRAMES = 3
"""Frames of 30 ms within the first 100 ms."""
SPECTRUM_SAMPLES = 512
ROLLOFF_SHARE = 0.99
TILT_HZ = (100.0, 7500.0)
HIGH_BAND_HZ = 4000.0
CLIPPED_NEAR_PEAK, CLIPPED_RUN_SAMPLES = 0.99, 3
SILENT_RUN_SAMPLES = 80

PLAIN = {
    "duration_s": ("s", "length of the recording"),
    "speech_length_s": ("s", "from the first to the last speech; 0 without speech"),
    "leading_silence_s": ("s", "before the first speech; the whole recording without speech"),
    "trailing_silence_s": ("s", "after the last speech; the whole recording without speech"),
    "voiced_frames": ("frames of 30 ms", "from first to last speech with an RMS above 0.05; 0 without speech"),
    "unvoiced_frames": ("frames of 30 ms", "from first to last speech with an RMS of at most 0.05; 0 without speech"),
    "voiced_per_unvoiced": ("ratio", "voiced frames per unvoiced frame; no unvoiced frame counts as one"),
    "rms_first_100ms": ("full scale", "mean RMS of the first three frames of 30 ms"),
    "rmse_mean": ("full scale", "mean RMS of the frames of 30 ms"),
    "rmse_amplitude": ("full scale", "largest minus smallest RMS of the frames of 30 ms"),
    "level_dbfs": ("dB", "RMS level of the recording relative to full scale, at least -100"),
    "pauses": ("count", "silences between speech, of 100 ms or more"),
    "pause_share": ("share", "pauses in the time from first to last speech; 0 without speech"),
    "longest_pause_s": ("s", "the longest pause; 0 without pauses"),
    "noise_floor_dbfs": ("dB", "RMS level outside speech, at least -100; missing if everything is speech"),
    "snr_db": (
        "dB",
        "speech without the noise over the noise, at least -100; missing if everything or nothing is speech",
    ),
    "dc_offset": ("full scale", "absolute mean of the samples"),
    "clipping_share": ("share", "samples in runs of three or more equal ones within 1 % of the peak; 0 in silence"),
    "digital_silence_share": ("share", "samples in runs of 5 ms or more of exact zeros"),
    "rolloff_hz": ("Hz", "99 % of the power lies below; missing in digital silence"),
    "flatness_db": ("dB", "geometric over arithmetic mean of the power spectrum; missing in digital silence"),
    "tilt_db_per_octave": ("dB per octave", "slope of the spectrum, 0.1 to 7.5 kHz; missing in digital silence"),
    "high_band_db": ("dB", "power above 4 kHz over all power, at least -100; missing in digital silence"),
}
"""Name -> unit and meaning of the measures that do not need the pitch.

The first ten are those of arXiv 2606.10912, with the formulas of its release and two differences: Silero finds the
speech in place of torchaudio's detector, and the release calls the ratio of voiced to unvoiced frames
``voiced_unvoiced_ratio`` and makes it infinite without unvoiced frames.
"""

MEASURES = PLAIN | voice.MEASURES
"""Name -> unit and meaning of every measure; those of `sslig.cues.voice` are slow."""


def measure(samples: np.ndarray, speech: Tier | None = None, f0: bool = False) -> dict[str, float]:
    """The measures of (samples,) at 16 kHz; NaN only where `MEASURES` says *missing*.

    Parameters
    ----------
    speech
        Tier with stretches labelled ``speech``; by default where `sslig.cues.voice.speech` hears it.
    f0
        Add the measures of `sslig.cues.voice`.
    """
    samples = samples.astype(np.float64, copy=False)
    bounds = _labelled(voice.speech(samples) if speech is None else speech)  # (stretch, 2)
    first, last = (bounds[0, 0], bounds[-1, 1]) if len(bounds) else (len(samples), 0)
    measures = _extent(len(samples), first, last) | _loudness(samples, first, last) | _pauses(bounds)
    measures |= _noise(samples, bounds) | _damage(samples) | _spectrum(samples)
    return measures | voice.measure(samples) if f0 else measures


def table(utterances: pd.DataFrame, *, f0: bool = False, workers: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measures of many recordings, in the order of `utterances` (with ``utterance`` and ``path``).

    With `f0` the measures of the voice are added.

    Returns
    -------
    measures, left_out
        ``utterance`` and one column per measure; ``utterance`` and ``reason`` of recordings that cannot be measured.

    Raises
    ------
    CorpusError
        There are recordings, and none of them can be measured.
    """
    rows = list(processes.each(_measured, ((path, f0) for path in utterances["path"]), workers))
    names = list(MEASURES if f0 else PLAIN)
    whole = pd.DataFrame(rows, columns=[*names, "reason"])
    whole.insert(0, "utterance", utterances["utterance"].to_numpy())
    failed = whole["reason"].notna()
    if len(whole) and failed.all():
        raise CorpusError(f"none of {len(whole)} utterances can be measured; the first: {whole['reason'][0]}")
    measures = whole.loc[~failed, ["utterance", *names]].astype(dict.fromkeys(names, float))
    return measures.reset_index(drop=True), whole.loc[failed, ["utterance", "reason"]].reset_index(drop=True)


def _measured(path: str, f0: bool) -> Mapping[str, float | str]:
    """The measures of a file, or the ``reason`` for their absence."""
    try:
        return measure(audio.read(path), f0=f0)
    except AudioError as error:
        return {"reason": str(error)}


def _labelled(speech: Tier) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each stretch that a tier labels as speech."""
    rows = speech.has([voice.SPEECH])
    bounds_s = np.stack([speech.start_s[rows], speech.end_s[rows]], axis=1)
    return np.rint(bounds_s * SAMPLE_RATE_HZ).astype(int)


def _extent(n_samples: int, first: int, last: int) -> dict[str, float]:
    return {
        "duration_s": n_samples / SAMPLE_RATE_HZ,
        "speech_length_s": max(0, last - first) / SAMPLE_RATE_HZ,
        "leading_silence_s": first / SAMPLE_RATE_HZ,
        "trailing_silence_s": (n_samples - last) / SAMPLE_RATE_HZ,
    }


def _loudness(samples: np.ndarray, first: int, last: int) -> dict[str, float]:
    """The release counts the frames of 30 ms that lie in the speech as a whole; librosa centres them at their start."""
    from librosa.feature import rms as rms_of

    rms = rms_of(y=samples, frame_length=RMS_FRAME_SAMPLES, hop_length=RMS_FRAME_SAMPLES)[0].astype(np.float64)
    start = np.arange(len(rms)) * RMS_FRAME_SAMPLES
    inside = (start >= first) & (start + RMS_FRAME_SAMPLES <= last)
    voiced = int(np.count_nonzero(rms[inside] > VOICED_RMS))
    unvoiced = int(inside.sum()) - voiced
    return {
        "voiced_frames": voiced,
        "unvoiced_frames": unvoiced,
        "voiced_per_unvoiced": voiced / max(1, unvoiced),
        "rms_first_100ms": float(rms[:FIRST_FRAMES].mean()),
        "rmse_mean": float(rms.mean()),
        "rmse_amplitude": float(np.ptp(rms)),
        "level_dbfs": _level_db(_power(samples)),
    }


def _pauses(bounds: np.ndarray) -> dict[str, float]:
    pauses_s = (bounds[1:, 0] - bounds[:-1, 1]) / SAMPLE_RATE_HZ
    span_s = (bounds[-1, 1] - bounds[0, 0]) / SAMPLE_RATE_HZ if len(bounds) else math.inf
    return {
        "pauses": len(pauses_s),
        "pause_share": float(pauses_s.sum() / span_s),
        "longest_pause_s": float(pauses_s.max(initial=0.0)),
    }


def _noise(samples: np.ndarray, bounds: np.ndarray) -> dict[str, float]:
    """Noise goes on under the speech: SNR = (power in speech - noise power) / noise power."""
    spoken = np.zeros(len(samples), dtype=bool)
    for start, stop in bounds:
        spoken[start:stop] = True
    if spoken.all():
        return {"noise_floor_dbfs": math.nan, "snr_db": math.nan}
    noise = max(_power(samples[~spoken]), 10 ** (FLOOR_DB / 10))
    snr_db = _level_db((_power(samples[spoken]) - noise) / noise) if spoken.any() else math.nan
    return {"noise_floor_dbfs": _level_db(noise), "snr_db": snr_db}


def _damage(samples: np.ndarray) -> dict[str, float]:
    size = np.abs(samples)
    starts = np.flatnonzero(np.diff(samples, prepend=np.nan) != 0)  # (run,) first sample of each run of equal ones
    length = np.diff(np.append(starts, len(samples)))
    level = size[starts]  # (run,)
    clipped = (level >= CLIPPED_NEAR_PEAK * size.max()) & (level > 0) & (length >= CLIPPED_RUN_SAMPLES)
    silent = (level == 0) & (length >= SILENT_RUN_SAMPLES)
    return {
        "dc_offset": abs(float(samples.mean())),
        "clipping_share": float(length[clipped].sum() / len(samples)),
        "digital_silence_share": float(length[silent].sum() / len(samples)),
    }


def _spectrum(samples: np.ndarray) -> dict[str, float]:
    from scipy.signal import welch

    if not np.any(samples):
        return dict.fromkeys(["rolloff_hz", "flatness_db", "tilt_db_per_octave", "high_band_db"], math.nan)
    window_samples = min(SPECTRUM_SAMPLES, len(samples))
    frequency_hz, power = welch(samples, SAMPLE_RATE_HZ, nperseg=window_samples, nfft=SPECTRUM_SAMPLES, detrend=False)
    frequency_hz, power = frequency_hz[1:], power[1:]  # without the offset, which is inaudible
    power = np.maximum(power, 10 ** (FLOOR_DB / 10) * power.max())
    level_db = 10 * np.log10(power)
    band = (frequency_hz >= TILT_HZ[0]) & (frequency_hz <= TILT_HZ[1])
    below = np.cumsum(power) / power.sum()
    return {
        "rolloff_hz": float(frequency_hz[np.searchsorted(below, ROLLOFF_SHARE)]),
        "flatness_db": float(level_db.mean() - 10 * np.log10(power.mean())),
        "tilt_db_per_octave": float(np.polyfit(np.log2(frequency_hz[band]), level_db[band], 1)[0]),
        "high_band_db": _level_db(float(power[frequency_hz > HIGH_BAND_HZ].sum() / power.sum())),
    }


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples)))


def _level_db(power: float) -> float:
    return max(FLOOR_DB, 10 * math.log10(power)) if power > 0 else FLOOR_DB
