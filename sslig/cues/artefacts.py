"""What a recording gives away without being listened to: its length, level and silences, as one-feature detectors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from sslig import audio, metrics
from sslig.data.conditioning import speech_bounds
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import BONAFIDE, SPOOF

MEASURES = ("duration_s", "level_dbfs", "leading_silence_s", "trailing_silence_s")
FLOOR_DBFS = -100.0
"""Level of digital silence, which has no logarithm."""


def measure(samples: np.ndarray) -> dict[str, float]:
    """All of `MEASURES` of (samples,) at 16 kHz; digital silence is silence from its start to its end."""
    length_s = len(samples) / SAMPLE_RATE_HZ
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    start, stop = speech_bounds(samples) if power > 0 else (len(samples), 0)
    return {
        "duration_s": length_s,
        "level_dbfs": max(FLOOR_DBFS, 10 * np.log10(power)) if power > 0 else FLOOR_DBFS,
        "leading_silence_s": start / SAMPLE_RATE_HZ,
        "trailing_silence_s": length_s - stop / SAMPLE_RATE_HZ,
    }


def table(paths: Sequence[str], workers: int = 2) -> pd.DataFrame:
    """`MEASURES` of each file, in order. Decoding and numpy release the lock, so threads read beside each other."""
    with ThreadPoolExecutor(workers) as pool:
        return pd.DataFrame(list(pool.map(lambda path: measure(audio.read(path)), paths)))


def single_feature_eer(measures: pd.DataFrame, labels: np.ndarray) -> pd.DataFrame:
    """How well each measure alone tells the classes apart, and in which direction.

    Parameters
    ----------
    measures
        A column a measure, a row an utterance.
    labels
        (utterance,) 0 or 1 (`sslig.labels`).

    Returns
    -------
    ``measure``, ``eer`` of the better direction (at most 0.5, but for ties), ``larger_in`` (the class with the larger
    values).
    """
    rows = []
    for name, values in measures.items():
        bonafide, spoof = (values[labels == label].to_numpy() for label in (BONAFIDE, SPOOF))
        upwards, downwards = metrics.eer(bonafide, spoof), metrics.eer(-bonafide, -spoof)
        larger_in = "spoof" if upwards <= downwards else "bonafide"
        rows.append({"measure": name, "eer": min(upwards, downwards), "larger_in": larger_in})
    return pd.DataFrame(rows)


def summary(alone: pd.DataFrame, sets: Sequence[str]) -> pd.DataFrame:
    """`single_feature_eer` of several sets (column ``set``) side by side: a row a measure, ``EER (class)`` a set."""
    text = [f"{100 * row.eer:.0f} % ({row.larger_in})" for row in alone.itertuples()]
    wide = alone.assign(text=text).pivot(index="measure", columns="set", values="text")
    return wide.reindex(MEASURES)[list(sets)].rename_axis(columns=None).reset_index()
