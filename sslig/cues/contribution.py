"""Where the evidence of a detector lies: its share in classes of segments, over their share of time."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from sslig.cues.association import clusters_of, corrected, estimate

EVIDENCE = {
    "signed": lambda attribution: attribution,
    "size": np.abs,
    "for_spoof": lambda attribution: np.maximum(attribution, 0.0),
    "for_bonafide": lambda attribution: np.maximum(-attribution, 0.0),
}
"""What is looked at of a (frame,) attribution: all of it, its size, its positive part, its negative part turned."""

AMOUNTS = ("size", "for_spoof", "for_bonafide")
"""Those of `EVIDENCE` that are never negative, so that frames have a share of them."""
Tracks = Mapping[str, Mapping[str, np.ndarray]]
"""Utterance -> name -> (frame,) array: tracks over time, or masks of segment classes."""


class ContributionError(ValueError):
    """Attributions, tracks or masks that do not fit together; the message names the utterance and what was found."""


def relative_contribution(attribution: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The share of evidence in the masked frames over their share of time, for each of `AMOUNTS`.

    1 is what any frames would have; 2 is twice as much evidence as they have time. Less 1 and in percent it is the
    relative contribution quantification (RCQ).

    Parameters
    ----------
    attribution, mask
        (frame,), the mask bool.

    Returns
    -------
    dict
        ``share_of_time``, and ``share_...`` and ``relative_...`` for each amount. Without evidence there are no shares
        and nothing is relative to them, and without masked frames nothing is relative to their time: NaN.

    Raises
    ------
    ContributionError
        The mask is not bool or has another length, or the attribution is empty or not finite.

    References
    ----------
    T. Liu, L. Zhang, R. K. Das, Y. Ma, R. Tao and H. Li, "How do neural spoofing countermeasures detect partially
    spoofed audio?", Interspeech 2024 (RCQ, there of Grad-CAM).
    """
    attribution, mask = _masked(attribution, mask)
    found = {"share_of_time": float(mask.mean())}
    for kind in AMOUNTS:
        amount = EVIDENCE[kind](attribution)
        share = amount[mask].sum() / amount.sum() if amount.any() else np.nan
        found |= {
            f"share_{kind}": float(share),
            f"relative_{kind}": float(share / mask.mean()) if mask.any() else np.nan,
        }
    return found


def contribution_table(
    attributions: pd.DataFrame,
    masks: Tracks,
    by: Sequence[str] = ("detector", "key"),
    *,
    scaled: bool = True,
    seed: int,
    rounds: int = 2000,
    resample_recordings: bool,
) -> pd.DataFrame:
    """`relative_contribution` of segment classes over the pooled frames of each group of utterances.

    Parameters
    ----------
    attributions, by, seed, rounds, resample_recordings
        As of `sslig.cues.time_correlation.correlation_table`.
    masks
        (frame,) bool for each segment class (`sslig.cues.segments`), the same classes of every utterance.
    scaled
        Whether each attribution is divided by its mean size before frames are pooled, so that no utterance counts for
        its large logit; the published quantity pools what it finds.

    Returns
    -------
    DataFrame
        `by`, ``segment``, ``evidence`` (of `AMOUNTS`), ``share_of_time``, ``share``, ``relative`` with ``low`` and
        ``high``, ``p`` that it is 1, ``p_holm`` over all rows, ``n`` utterances and ``n_with`` such a segment. NaN as
        of `relative_contribution`, and where all utterances are of one unit to resample.

    Raises
    ------
    ContributionError
        A column or mask is missing, has another length than the attribution, or is not bool.
    """
    rows = []
    for group, part, names in groups(attributions, masks, by, resample_recordings):
        clusters = clusters_of(part["speaker"], part["recording"] if resample_recordings else None)
        for name in names:
            told = [_sums(row.by_frame, masks[row.utterance][name], scaled) for row in part.itertuples()]
            held = np.array(told)  # (utterance, 2 + 2 * amount): frames, masked frames, then evidence in all and masked
            for place, kind in enumerate(AMOUNTS, start=1):
                columns = held[:, [0, 1, 2 * place, 2 * place + 1]]
                found = estimate(
                    lambda drawn, columns=columns: _excess(drawn @ columns), clusters, seed=seed, rounds=rounds
                )
                n_frames, n_masked, total, inside = columns.sum(axis=0)
                rows.append(group | {
                    "segment": name, "evidence": kind, "share_of_time": n_masked / n_frames,
                    "share": inside / total if total else np.nan, "relative": 1 + found.value, "low": 1 + found.low,
                    "high": 1 + found.high, "p": found.p, "n": len(part), "n_with": int((held[:, 1] > 0).sum()),
                })  # fmt: skip
    return corrected(pd.DataFrame(rows))


def groups(
    attributions: pd.DataFrame, tracks: Tracks, by: Sequence[str], recordings: bool
) -> Iterator[tuple[dict[str, str], pd.DataFrame, list[str]]]:
    """The values of `by`, the attributions and the names of the tracks of each group, checked, in sorted order.

    Raises
    ------
    ContributionError
        A column or a track is missing, or a track has another length than the attribution.
    """
    needed = ["utterance", "by_frame", "speaker", *by, *(["recording"] if recordings else [])]
    missing = [name for name in needed if name not in attributions]
    if missing or attributions.empty:
        raise ContributionError(f"columns {missing} are missing of {len(attributions)} attributions; there are "
                                f"{list(attributions.columns)}")  # fmt: skip
    names = list(tracks.get(attributions["utterance"].iloc[0], {}))
    for row in attributions.itertuples():
        held = tracks.get(row.utterance, {})
        if list(held) != names or not names:
            raise ContributionError(
                f"{row.utterance} has tracks {list(held)}, others {names}; the same are needed of each"
            )
        for name in names:
            fitting(row.by_frame, held[name], f"{row.utterance}, {name}: ")
    for values, part in attributions.groupby(list(by)):
        yield dict(zip(by, values, strict=True)), part, names


def fitting(attribution: np.ndarray, track: np.ndarray, where: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Both as (frame,) arrays.

    Raises
    ------
    ContributionError
        They are not of one length, empty, or not finite; the message begins with `where`.
    """
    attribution, track = np.asarray(attribution, dtype=np.float64), np.asarray(track)
    if attribution.ndim != 1 or attribution.shape != track.shape or not len(track):
        shapes = f"attribution of shape {attribution.shape} and track of shape {track.shape}"
        raise ContributionError(f"{where}{shapes}; one axis of the same frames is needed")
    if not (np.isfinite(attribution).all() and np.isfinite(track).all()):
        raise ContributionError(f"{where}attribution or track holds NaN or infinite values; numbers are needed")
    return attribution, track


def _masked(attribution: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    attribution, mask = fitting(attribution, mask)
    if mask.dtype != bool:
        raise ContributionError(f"the mask holds {mask.dtype}; bool is needed")
    return attribution, mask


def _sums(attribution: np.ndarray, mask: np.ndarray, scaled: bool) -> list[float]:
    """Frames, masked frames, then each of `AMOUNTS` in all frames and in the masked ones."""
    attribution, mask = _masked(attribution, mask)
    size = np.abs(attribution).mean()
    part = attribution / size if scaled and size > 0 else attribution
    amounts = [EVIDENCE[kind](part) for kind in AMOUNTS]
    return [len(mask), mask.sum(), *(value for amount in amounts for value in (amount.sum(), amount[mask].sum()))]


def _excess(sums: np.ndarray) -> np.ndarray:
    """(round,) RCQ of (round, 4) frames, masked frames, evidence and masked evidence; NaN where it is not defined."""
    n_frames, n_masked, total, inside = sums.T
    defined = (n_masked > 0) & (total > 0)
    return np.where(defined, inside * n_frames / np.where(defined, total * n_masked, 1.0) - 1, np.nan)
