"""Contribution: the share of a detector's evidence in classes of segments, relative to their share of time."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from sslig.errors import DataError
from sslig.stats.bootstrap import Units, estimate, ratio
from sslig.stats.tests import corrected, enough_rounds

MOST_ROUNDS = 10_000
"""Rounds at most where Holm's correction needs more than a study asks for."""

Tracks = Mapping[str, Mapping[str, np.ndarray]]
"""Utterance -> name -> (frame,) array: a track over time, or the frames of a class of segments."""


def contribution_table(
    attributions: pd.DataFrame, segments: Tracks, *, recordings: bool, seed: int, rounds: int = 1000
) -> pd.DataFrame:
    """Share of the size of evidence in each class of segments over its share of time, by detector and class.

    1 is the value of arbitrary frames; 2 is twice as much evidence as time. Minus 1 and in percent, this is the
    relative contribution quantification (RCQ). Frames are pooled over utterances. Each attribution is divided by its
    mean size first, so that utterances with large logits do not dominate.

    Parameters
    ----------
    attributions
        ``detector``, ``key``, ``utterance``, ``by_frame``, ``speaker``, and ``recording`` where these are resampled.
    segments
        (frame,) bool for each class of segments, the same classes in every utterance. Frames after the end of an
        attribution are ignored.
    recordings
        Whether recordings are resampled within speakers.
    seed, rounds
        Seed and least number of bootstrap rounds; up to `MOST_ROUNDS` are drawn where Holm's correction needs them.

    Returns
    -------
    DataFrame
        ``detector``, ``key``, ``segment``, ``share_of_time``, ``share``, ``relative`` with ``low`` and ``high``, ``p``
        of a value of 1, ``p_holm`` over the segments of a detector and class, ``n`` utterances and ``n_with`` such a
        segment. NaN where a group has no evidence or no such segment.

    Raises
    ------
    DataError
        A column or class of segments is missing, does not fit the attribution, or is not bool.

    References
    ----------
    T. Liu, L. Zhang, R. K. Das, Y. Ma, R. Tao and H. Li, "How do neural spoofing countermeasures detect partially
    spoofed audio?", Interspeech 2024 (RCQ, there for Grad-CAM).
    """
    rows, names = [], names_of(segments)
    parts = [(*group, Units.of_table(group[1], recordings=recordings)) for group in groups(attributions, recordings)]
    fewest = min((units.n for _, _, units in parts), default=0)
    rounds = enough_rounds(len(names), fewest, least=rounds, most=MOST_ROUNDS)
    for labels, part, units in parts:
        for name in names:
            sums = np.array([_sums(row, segments[row.utterance][name]) for row in part.itertuples()])  # (utterance, 4)
            excess = estimate(lambda weights, sums=sums: _excess(weights @ sums), units, seed=seed, rounds=rounds)
            n_frames, n_inside, total, inside = sums.sum(axis=0)
            rows.append(
                {
                    **labels,
                    "segment": name,
                    "share_of_time": n_inside / n_frames,
                    "share": inside / total if total else np.nan,
                    "relative": 1 + float(excess.value),
                    "low": 1 + float(excess.low),
                    "high": 1 + float(excess.high),
                    "p": float(excess.p),
                    "n": len(part),
                    "n_with": int((sums[:, 1] > 0).sum()),
                }
            )
    columns = ["detector", "key", "segment", "share_of_time", "share", "relative", "low", "high", "p", "n", "n_with"]
    return corrected(pd.DataFrame(rows, columns=columns), ["detector", "key"])


def groups(attributions: pd.DataFrame, recordings: bool) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Each detector and class with its attributions, in sorted order.

    Raises
    ------
    DataError
        A column is missing.
    """
    needed = ["detector", "key", "utterance", "by_frame", "speaker", *(["recording"] if recordings else [])]
    missing = [name for name in needed if name not in attributions]
    if missing:
        raise DataError(f"columns {missing} are missing; the attributions have {list(attributions.columns)}")
    for (detector, key), part in attributions.groupby(["detector", "key"]):
        yield {"detector": detector, "key": key}, part


def names_of(tracks: Tracks) -> list[str]:
    """The names of tracks, which are the same in every utterance.

    Raises
    ------
    DataError
        An utterance has other tracks than the first.
    """
    names = list(next(iter(tracks.values()), {}))
    for utterance, of_utterance in tracks.items():
        if list(of_utterance) != names:
            raise DataError(f"{utterance} has tracks {list(of_utterance)}, others have {names}; all need the same")
    return names


def fitting(attribution: np.ndarray, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An attribution and a track as (frame,) arrays, the track cut to the frames of the attribution.

    Raises
    ------
    DataError
        The track is shorter, the attribution is empty, or a value is not finite.
    """
    attribution, track = np.asarray(attribution, dtype=np.float64), np.asarray(track)
    if attribution.ndim != 1 or track.ndim != 1 or not 0 < len(attribution) <= len(track):
        shapes = f"attribution of shape {attribution.shape} and track of shape {track.shape}"
        raise DataError(f"{shapes}; the track needs a value for every frame")
    track = track[: len(attribution)]
    if not (np.isfinite(attribution).all() and np.isfinite(track).all()):
        raise DataError("an attribution or track contains NaN or infinite values; numbers are needed")
    return attribution, track


def _sums(row: tuple, segment: np.ndarray) -> list[float]:
    """Frames, frames inside, size of the evidence in all frames and inside."""
    attribution, inside = fitting(row.by_frame, segment)
    if inside.dtype != bool:
        raise DataError(f"{row.utterance}: the segment holds {inside.dtype}; bool is needed")
    size = np.abs(attribution)
    size = size / size.mean() if size.any() else size
    return [len(inside), inside.sum(), size.sum(), size[inside].sum()]


def _excess(sums: np.ndarray) -> np.ndarray:
    """(round,) RCQ from (round, 4) sums; NaN where it is not defined."""
    n_frames, n_inside, total, inside = sums.T
    return ratio(inside * n_frames, total * n_inside) - 1
