"""Artefacts: what a recording gives away without being understood, from length and level to damage and pitch."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sslig import audio
from sslig.cues import voice
from sslig.cues.tiers import Tier
from sslig.errors import AudioError, CorpusError
from sslig.frames import SAMPLE_RATE_HZ

FLOOR_DB = -100.0
"""Level of digital silence, which has no logarithm, and of everything below it."""
RMS_FRAME_SAMPLES = 480
VOICED_RMS = 0.05
"""A frame of 30 ms with a larger RMS counts as voiced, in the published definition."""
FIRST_SAMPLES = 1600
SHORTEST_PAUSE_S = 0.1
"""Shorter gaps between frames of speech are closures of plosives; Silero's default too."""
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
    "voiced_unvoiced_ratio": ("ratio", "voiced frames per unvoiced frame; no unvoiced frame counts as one"),
    "rms_first_100ms": ("full scale", "RMS of the first 100 ms, or of a shorter recording"),
    "rmse_mean": ("full scale", "mean RMS of the frames of 30 ms"),
    "rmse_amplitude": ("full scale", "largest minus smallest RMS of the frames of 30 ms"),
    "level_dbfs": ("dB", "RMS level of the recording relative to full scale, at least -100"),
    "pauses": ("count", "silences between speech; those found by level last 100 ms or more"),
    "pause_share": ("share", "pauses in the time from first to last speech; 0 without speech"),
    "longest_pause_s": ("s", "the longest pause; 0 without pauses"),
    "noise_floor_dbfs": ("dB", "RMS level outside speech, at least -100; missing if everything is speech"),
    "snr_db": ("dB", "level of speech minus the noise floor; missing if everything or nothing is speech"),
    "dc_offset": ("full scale", "absolute mean of the samples"),
    "clipping_share": ("share", "samples in runs of three or more equal ones within 1 % of the peak; 0 in silence"),
    "digital_silence_share": ("share", "samples in runs of 5 ms or more of exact zeros"),
    "rolloff_hz": ("Hz", "99 % of the power lies below; missing in digital silence"),
    "flatness_db": ("dB", "geometric over arithmetic mean of the power spectrum; missing in digital silence"),
    "tilt_db_per_octave": ("dB per octave", "slope of the spectrum, 0.1 to 7.5 kHz; missing in digital silence"),
    "high_band_db": ("dB", "power above 4 kHz over all power, at least -100; missing in digital silence"),
}
"""Name -> unit and meaning of the measures that do not need the pitch; the first ten are those of arXiv 2606.10912."""

MEASURES = PLAIN | voice.MEASURES
"""Name -> unit and meaning of every measure; those of `sslig.cues.voice` are slow."""


def measure(samples: np.ndarray, speech: Tier | None = None, f0: bool = False) -> dict[str, float]:
    """The measures of (samples,) at 16 kHz; NaN only where `MEASURES` says *missing*.

    Parameters
    ----------
    speech
        Tier with stretches labelled ``speech`` (`sslig.cues.voice`). By default, frames less than 35 dB below the loud
        frames are speech (`sslig.audio.frame_levels_db`).
    f0
        Add the measures of `sslig.cues.voice`.
    """
    samples = samples.astype(np.float64, copy=False)
    bounds = _audible(samples) if speech is None else _labelled(speech)  # (stretch, 2)
    first, last = (bounds[0, 0], bounds[-1, 1]) if len(bounds) else (len(samples), 0)
    measures = _extent(len(samples), first, last) | _loudness(samples, first, last) | _pauses(bounds)
    measures |= _noise(samples, bounds) | _damage(samples) | _spectrum(samples)
    return measures | voice.measure(samples) if f0 else measures


def table(
    utterances: pd.DataFrame, *, by_vad: bool = True, f0: bool = False, workers: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measures of many recordings, in the order of `utterances` (with ``utterance`` and ``path``).

    Speech is found with Silero VAD, or by level. With `f0` the measures of the voice are added.

    Returns
    -------
    measures, left_out
        ``utterance`` and one column per measure; ``utterance`` and ``reason`` of recordings that cannot be measured.

    Raises
    ------
    CorpusError
        There are recordings, and none of them can be measured.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        jobs = (delayed(_measured)(path, by_vad, f0) for path in utterances["path"])
        rows = Parallel(max(1, min(workers, len(utterances))))(jobs)
    names = list(MEASURES if f0 else PLAIN)
    whole = pd.DataFrame(rows, columns=[*names, "reason"])
    whole.insert(0, "utterance", utterances["utterance"].to_numpy())
    failed = whole["reason"].notna()
    if len(whole) and failed.all():
        raise CorpusError(f"none of {len(whole)} utterances can be measured; the first: {whole['reason'][0]}")
    measures = whole.loc[~failed, ["utterance", *names]].astype(dict.fromkeys(names, float))
    return measures.reset_index(drop=True), whole.loc[failed, ["utterance", "reason"]].reset_index(drop=True)


def _measured(path: str, by_vad: bool, f0: bool) -> Mapping[str, float | str]:
    """The measures of a file, or the ``reason`` for their absence."""
    try:
        samples = audio.read(path)
        return measure(samples, voice.speech(samples) if by_vad else None, f0)
    except AudioError as error:
        return {"reason": str(error)}


def _audible(samples: np.ndarray) -> np.ndarray:
    """(stretch, 2) First sample, and one past the last, of each stretch that is loud enough to be speech."""
    if not np.any(samples):
        return np.empty((0, 2), dtype=int)
    hop, size = audio.LEVEL_HOP_SAMPLES, audio.LEVEL_FRAME_SAMPLES
    active = np.flatnonzero(audio.frame_levels_db(samples) > audio.SILENCE_DB)
    # The last frame before a gap and the first one after it overlap it.
    silent_samples = (np.diff(active) - 1) * hop - (size - hop)
    gap = np.flatnonzero(silent_samples >= SHORTEST_PAUSE_S * SAMPLE_RATE_HZ)
    starts, ends = active[np.r_[0, gap + 1]], active[np.r_[gap, len(active) - 1]]
    return np.stack([starts * hop, np.minimum(ends * hop + size, len(samples))], axis=1)


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
    rms, rms_of_speech = _frame_rms(samples), _frame_rms(samples[first:last])
    voiced = int(np.count_nonzero(rms_of_speech > VOICED_RMS))
    unvoiced = len(rms_of_speech) - voiced
    return {
        "voiced_frames": voiced,
        "unvoiced_frames": unvoiced,
        "voiced_unvoiced_ratio": voiced / max(1, unvoiced),
        "rms_first_100ms": math.sqrt(_power(samples[:FIRST_SAMPLES])),
        "rmse_mean": float(rms.mean()),
        "rmse_amplitude": float(np.ptp(rms)),
        "level_dbfs": _level_db(_power(samples)),
    }


def _frame_rms(samples: np.ndarray) -> np.ndarray:
    """(frame,) RMS of adjacent frames of 30 ms; a shorter recording is one frame, an empty one none."""
    n_frames = len(samples) // RMS_FRAME_SAMPLES or min(1, len(samples))
    framed = samples[: n_frames * RMS_FRAME_SAMPLES].reshape(n_frames, -1) if n_frames else np.empty((0, 1))
    return np.sqrt(np.mean(framed**2, axis=1))


def _pauses(bounds: np.ndarray) -> dict[str, float]:
    pauses_s = (bounds[1:, 0] - bounds[:-1, 1]) / SAMPLE_RATE_HZ
    span_s = (bounds[-1, 1] - bounds[0, 0]) / SAMPLE_RATE_HZ if len(bounds) else math.inf
    return {
        "pauses": len(pauses_s),
        "pause_share": float(pauses_s.sum() / span_s),
        "longest_pause_s": float(pauses_s.max(initial=0.0)),
    }


def _noise(samples: np.ndarray, bounds: np.ndarray) -> dict[str, float]:
    spoken = np.zeros(len(samples), dtype=bool)
    for start, stop in bounds:
        spoken[start:stop] = True
    speech_db, rest_db = (_level_db(_power(samples[part])) if part.any() else math.nan for part in (spoken, ~spoken))
    return {"noise_floor_dbfs": rest_db, "snr_db": speech_db - rest_db}


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
