"""Cue profiles summed up: counts that add, so that shards come one by one, and means with intervals from them."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from sslig.cues.association import clusters_of
from sslig.cues.cue_profile import CLASSES
from sslig.stats.resampling import percentiles

MEANS = {
    "effective_frames": ("effective_frames", "n_local"),
    "effective_share": ("effective_share", "n_local"),
    "gini": ("gini", "n_local"),
    "regions": ("n_regions", "n"),
    "region_duration_s": ("duration_s", "n_regions"),
    "above_floor_db": ("above_floor_db", "n_regions"),
    "in_regions": ("share", "n_local"),
    "for_spoof": ("share_for_spoof", "share"),
}
"""What is told of a group, each as one sum over another: the mean locality of utterances, how many regions they have,
how long and how far above the noise floor these are, what share of all evidence they hold, and what share of theirs is
evidence for spoof."""

OF_CLASSES = ("evidence_share", "time_share", "relative")
"""What is told of each class of segments: its share of the evidence in regions, its share of time, and their ratio."""


class TallyError(ValueError):
    """Profiles that cannot be summed up; the message names the columns."""


def tally(regions: pd.DataFrame, utterances: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The sums that all figures of `summary` are made of, a row for each group and whatever is resampled in it.

    Parameters
    ----------
    regions, utterances
        As of `sslig.cues.cue_profile.profiles`; ``recording`` may stand in `utterances`, and is then told apart.
    by
        Columns of `utterances` that groups are made of.

    Raises
    ------
    TallyError
        A column is missing.
    """
    missing = [name for name in [*by, "utterance", "speaker"] if name not in utterances]
    if missing:
        raise TallyError(f"columns {missing} are missing of the profiles; there are {list(utterances.columns)}")
    held = regions.assign(share_for_spoof=regions["share"].where(regions["sign"] > 0, 0.0))
    added = ["duration_s", "above_floor_db", "share", "share_for_spoof"]
    sums = held.groupby("utterance")[added].sum().reindex(utterances["utterance"], fill_value=0.0)
    own = ["effective_frames", "effective_share", "gini", "n_regions"]
    own += [f"{kind}_{name}" for kind in ("time", "evidence") for name in CLASSES]
    found = pd.concat([utterances[own].fillna(0.0).reset_index(drop=True), sums.reset_index(drop=True)], axis=1)
    found = found.assign(n=1, n_local=utterances["gini"].notna().to_numpy().astype(int))
    keys = [*by, "speaker", *(["recording"] if "recording" in utterances else [])]
    keys = list(dict.fromkeys(keys))
    return found.groupby([utterances[key].to_numpy() for key in keys]).sum().rename_axis(keys).reset_index()


def added(tallies: Iterable[pd.DataFrame], by: Sequence[str]) -> pd.DataFrame:
    """The tally of all utterances from those of their shards, which are read and let go one by one."""
    total, keys = None, []
    for one in tallies:
        keys = list(dict.fromkeys([*by, "speaker", *(["recording"] if "recording" in one else [])]))
        whole = one if total is None else pd.concat([total, one])
        total = whole.groupby(keys, as_index=False).sum()
    if total is None:
        raise TallyError("no profiles to add")
    return total


def summary(
    tallied: pd.DataFrame, by: Sequence[str], *, seed: int, rounds: int, resample_recordings: bool, level: float = 0.95
) -> pd.DataFrame:
    """The cue profile of each group, with intervals.

    Parameters
    ----------
    tallied
        As of `tally` or `added`.
    by
        What groups are made of, among those it was tallied by.
    seed, rounds, level
        Of the bootstrap (`sslig.stats.resampling.percentiles`).
    resample_recordings
        Whether recordings are drawn within each drawn speaker.

    Returns
    -------
    DataFrame
        `by`, ``measure`` (of `MEANS` and `OF_CLASSES`), ``segment_class`` (empty where a measure is of no class),
        ``value`` with ``low`` and ``high``, and ``n`` utterances. NaN where nothing was counted, and intervals where
        a group is of one unit to resample. Classes that no frame of a group is of are left out.
    """
    parts = []
    for values, part in tallied.groupby(list(by)):
        classes = [name for name in CLASSES if part[f"time_{name}"].any() or part[f"evidence_{name}"].any()]
        figures, names = _figures(part, classes), [(name, "") for name in MEANS]
        names += [(measure, name) for measure in OF_CLASSES for name in classes]
        speakers, recordings = part["speaker"], part["recording"] if resample_recordings else None
        if clusters_of(speakers, recordings) is None:
            spread = figures(np.ones(len(part))), *np.full((2, len(names)), np.nan)
        else:
            spread = percentiles(figures, speakers, seed=seed, rounds=rounds, level=level, recordings=recordings)
        found = pd.DataFrame(names, columns=["measure", "segment_class"])
        found = found.assign(value=spread[0], low=spread[1], high=spread[2], n=int(part["n"].sum()))
        for place, (name, value) in enumerate(zip(by, values, strict=True)):
            found.insert(place, name, value)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def _figures(part: pd.DataFrame, classes: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """From (row,) how often each row counts to the figures of the group, in the order of `summary`."""
    columns = dict.fromkeys(name for pair in MEANS.values() for name in pair)
    columns |= dict.fromkeys(f"{kind}_{name}" for kind in ("evidence", "time") for name in classes)
    held, place = part[list(columns)].to_numpy(dtype=np.float64), {name: i for i, name in enumerate(columns)}

    def of(sums: np.ndarray, names: Sequence[str]) -> np.ndarray:
        return sums[[place[name] for name in names]]

    def figures(weights: np.ndarray) -> np.ndarray:
        sums = weights @ held
        means = _ratio(of(sums, [top for top, _ in MEANS.values()]), of(sums, [bottom for _, bottom in MEANS.values()]))
        evidence = _ratio(of(sums, [f"evidence_{name}" for name in classes]), of(sums, ["share"]))
        time = _ratio(of(sums, [f"time_{name}" for name in classes]), of(sums, ["n"]))
        return np.concatenate([means, evidence, time, _ratio(evidence, time)])

    return figures


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, NaN where that is 0."""
    bottom = np.broadcast_to(bottom, top.shape)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)
