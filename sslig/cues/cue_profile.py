"""What a detector decides on, in numbers: where its top regions are, what is said there, how local and how audible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from sslig import scoring
from sslig.attribution.context import Context
from sslig.attribution.methods import default, explain
from sslig.cues import phones
from sslig.cues.evidence import loudness
from sslig.cues.tiers import Tier, runs
from sslig.cues.voice import NON_SPEECH, SPEECH
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.models.detector import Detector, select_device
from sslig.stats.bootstrap import Units, estimate, ratio
from sslig.study import Study

SMOOTH_FRAMES = 3
"""Frames that evidence is averaged over, with its sign."""
LEVEL = 0.5
"""Share of the evidence that the regions are made from."""
GAP_FRAMES = 2
"""Frames without evidence that do not part a region."""
ROUNDING = 1e-9
"""Means that differ by no more than this share of themselves are equal."""

UNKNOWN = "unknown"
"""Class of a frame of which nothing is known."""

REGION = ("rank", "start_s", "end_s", "duration_s", "share", "sign", "segment_class")
DESCRIPTION = ("utterance", "key", "attack", "codec", "speaker", "recording")
CLASSES = (*NON_SPEECH, *phones.CLASSES, SPEECH, UNKNOWN)
"""Classes of segments (`frame_classes`)."""

QUIETEST_SHARE = 0.1
"""The quietest tenth of the frames is the noise floor, as in masks with noise."""
FLOOR_DBFS = -100.0
"""Level of digital silence, which has no logarithm, and of anything below it."""

LOCALITY = ("effective_frames", "effective_share", "gini")
CLASS_COLUMNS = tuple(f"{share}_{name}" for share in ("time", "evidence") for name in CLASSES)
REGION_COLUMNS = (*DESCRIPTION, *REGION, "level_dbfs", "above_floor_db")
UTTERANCE_COLUMNS = (
    *DESCRIPTION,
    *("duration_s", "n_read", "spoof_score", "relative_residual", "status", "n_regions"),
    *LOCALITY,
    "floor_dbfs",
    *CLASS_COLUMNS,
)

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
"""Measures of a group, each one sum over another: the mean locality of utterances, how many regions they have, how long
and how far above the noise floor these are, what share of all evidence they hold, and what share of theirs is evidence
for spoof."""

CLASS_MEASURES = ("evidence_share", "time_share", "relative")
"""Measures of each class of segments: its share of the evidence in regions, its share of time, and their ratio."""


@dataclass(frozen=True)
class Region:
    """A stretch of frames, first and the one past the last, with evidence of one direction.

    ``share`` is its share of the absolute evidence of all frames. ``sign`` is 1 for evidence of spoof, -1 for evidence
    of bona fide.
    """

    start: int
    stop: int
    share: float
    sign: int


def top_regions(frames: np.ndarray, n: int = 5) -> list[Region]:
    """The `n` regions that hold the most evidence, strongest first; those of equal share in order of time.

    The evidence of (frame,), positive for spoof, is averaged over `SMOOTH_FRAMES` with its sign. The fewest means,
    largest first, that together hold half of their absolute sum make the regions (with any that equal the smallest of
    them): a map of a few spikes gives a few frames, a flat one gives all. Runs of one sign with at most `GAP_FRAMES`
    between them and none of the other sign are one region. There is none only where all frames are 0.
    """
    frames = np.asarray(frames, dtype=np.float64)
    evidence = np.abs(frames).sum()
    if evidence == 0:
        return []
    smooth = uniform_filter1d(frames, SMOOTH_FRAMES, mode="nearest")
    rounding = np.finfo(np.float64).eps * np.abs(frames).max() * SMOOTH_FRAMES
    if not (np.abs(smooth) > rounding).any():  # alternating signs have no mean
        smooth = frames
    signs = np.sign(smooth) * (np.abs(smooth) >= _threshold(np.abs(smooth)))  # (frame,) -1, 0 or 1
    regions = [
        Region(start, stop, float(np.abs(frames[start:stop]).sum() / evidence), sign)
        for start, stop, sign in _merged(signs)
    ]
    return sorted(regions, key=lambda region: (-region.share, region.start))[:n]


def described(regions: Sequence[Region], clock: FrameClock, tiers: Mapping[str, Tier] | None) -> pd.DataFrame:
    """When regions are and what is said in them: `REGION`, a row a region in the order given, ``rank`` from 1.

    A frame lasts one hop around its centre. ``segment_class`` is the class of most frames (`frame_classes` of `tiers`,
    none where the utterance was not decoded), of the earlier where two are equal.
    """
    first_s = clock.centre_s(1)[0] - clock.hop_s / 2
    rows = []
    for rank, region in enumerate(regions, start=1):
        start_s, end_s = (float(first_s + frame * clock.hop_s) for frame in (region.start, region.stop))
        classes = frame_classes(tiers, clock, region.stop)[region.start :].tolist()
        most = max(dict.fromkeys(classes), key=classes.count)
        rows.append((rank, start_s, end_s, end_s - start_s, region.share, region.sign, most))
    return pd.DataFrame(rows, columns=list(REGION))


def frame_classes(tiers: Mapping[str, Tier] | None, clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) Class of each frame: the part of the tier ``speech`` without speech, else the class of its phone, else
    ``speech``, else ``unknown``."""
    classes = np.full(n_frames, UNKNOWN, dtype=object)
    tiers = tiers or {}
    if "speech" in tiers:
        classes[tiers["speech"].mask(clock, n_frames, (SPEECH,))] = SPEECH
    if "phones" in tiers:
        for label in sorted(set(tiers["phones"].labels)):
            classes[tiers["phones"].mask(clock, n_frames, (label,))] = phones.known_class(label) or UNKNOWN
    if "speech" in tiers:
        for label in NON_SPEECH:
            classes[tiers["speech"].mask(clock, n_frames, (label,))] = label
    return classes


def profiles(
    study: Study,
    detector: Detector,
    utterances: pd.DataFrame,
    context: Context,
    tiers: Mapping[str, Mapping[str, Tier]],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Explain utterances (with ``path``) by the method of the study and keep where the evidence lies, not the maps.

    The `context` holds the baseline of the study. In an utterance without `tiers` every segment is ``unknown``.

    Returns
    -------
    regions
        `REGION_COLUMNS`, a row a top region (`described`). ``level_dbfs`` is the RMS level of what its frames see,
        ``above_floor_db`` that level over the noise floor of the recording, a proxy of how audible it is.
    utterances
        `UTTERANCE_COLUMNS`, a row an utterance: how far its explanation adds up, `locality`, the noise floor, and
        `class_shares`.
    left_out
        ``utterance`` and ``reason`` of the files that could not be read.
    """
    readable, left_out = scoring.one_by_one(utterances, detector, study.scoring, select_device(study.device))
    regions, rows = [], []
    for row, waveform in readable:
        explained = _profile(study, detector, waveform, context, tiers.get(row["utterance"]))
        description = row[list(DESCRIPTION)].to_dict()
        regions += [description | region for region in explained[0].to_dict("records")]
        rows.append(description | explained[1])
    order = {"key": lambda names: names.map(utterances["utterance"].tolist().index), "kind": "stable"}
    parts = [(regions, REGION_COLUMNS), (rows, UTTERANCE_COLUMNS)]
    tables = [pd.DataFrame(part, columns=list(columns)) for part, columns in parts]
    regions, rows = (table.sort_values("utterance", **order, ignore_index=True) for table in tables)
    return regions, rows, left_out.table(utterances)


def locality(frames: np.ndarray) -> dict[str, float]:
    """How local a (frame,) explanation is, by the share p of each frame in its absolute evidence; NaN without evidence.

    ``effective_frames``: exp of the entropy of p, the number of frames with equal evidence that would be as spread.
    ``effective_share``: the first over all frames. ``gini``: 0 where all frames have the same, 1 - 1 / n where a single
    frame has all.

    References
    ----------
    U. Bhatt, A. Weller and J. Moura, "Evaluating and aggregating feature-based model explanations", IJCAI 2020
    (entropy of p). P. Chalasani et al., "Concise explanations of neural networks using adversarial training", ICML 2020
    (Gini index).
    """
    size = np.sort(np.abs(np.asarray(frames, dtype=np.float64)))
    if not size.any():
        return dict.fromkeys(LOCALITY, np.nan)
    p, n = size / size.sum(), len(size)
    effective = float(np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1.0)))))
    return {
        "effective_frames": effective,
        "effective_share": effective / n,
        "gini": float(np.sum((2 * np.arange(1, n + 1) - n - 1) * p) / n),
    }


def noise_floor_dbfs(rms: np.ndarray) -> float:
    """RMS level of the quietest tenth of (frame,) RMS values, at least one of them, relative to full scale."""
    return level_dbfs(np.sort(rms)[: max(1, round(QUIETEST_SHARE * len(rms)))])


def level_dbfs(rms: np.ndarray) -> float:
    """Level of the mean power of (frame,) RMS values, relative to full scale; at least `FLOOR_DBFS`."""
    power = float(np.mean(np.square(rms)))
    return max(FLOOR_DBFS, 10 * np.log10(power)) if power > 0 else FLOOR_DBFS


def class_shares(frames: np.ndarray, regions: Sequence[Region], classes: np.ndarray) -> dict[str, float]:
    """`CLASS_COLUMNS`: the share of (frame,) `classes`, and of all evidence that such frames hold within regions.

    It is counted frame by frame: if a region counted for the class of most of its frames, long classes would seem to
    hold more than they do.
    """
    within = np.zeros(len(frames), dtype=bool)
    for region in regions:
        within[region.start : region.stop] = True
    size = np.abs(frames)
    share = within * size / (size.sum() or 1.0)
    time = {f"time_{name}": float(np.mean(classes == name)) for name in CLASSES}
    return time | {f"evidence_{name}": float(share[classes == name].sum()) for name in CLASSES}


def _profile(
    study: Study, detector: Detector, waveform: Tensor, context: Context, tiers: Mapping[str, Tier] | None
) -> tuple[pd.DataFrame, dict[str, object]]:
    """The regions of one utterance, (1, samples) trimmed to whole frames, and what is known of it as a whole."""
    explanation = explain(default(study.attribution, detector), detector, waveform, context)
    clock = detector.clock
    n_read = detector.read_frames(len(explanation.by_frame))
    frames, rms = explanation.by_frame[:n_read], loudness(waveform[0].cpu().numpy(), clock)
    regions, floor_dbfs = top_regions(frames), noise_floor_dbfs(rms)
    levels_dbfs = np.array([level_dbfs(rms[region.start : region.stop]) for region in regions])
    table = described(regions, clock, tiers).assign(level_dbfs=levels_dbfs, above_floor_db=levels_dbfs - floor_dbfs)
    about = {
        "duration_s": waveform.shape[1] / SAMPLE_RATE_HZ,
        "n_read": n_read,
        "spoof_score": explanation.spoof_score,
        "relative_residual": explanation.relative_residual,
        "status": explanation.status,
        "n_regions": len(regions),
        "floor_dbfs": floor_dbfs,
    }
    return table, about | locality(frames) | class_shares(frames, regions, frame_classes(tiers, clock, n_read))


def summary(
    regions: pd.DataFrame, utterances: pd.DataFrame, by: Sequence[str], *, seed: int, rounds: int, recordings: bool
) -> pd.DataFrame:
    """The cue profile of each group of utterances, with intervals.

    Parameters
    ----------
    regions, utterances
        Tables of `profiles`, of several detectors where there is a column ``detector``.
    by
        Columns that make groups, such as detector and attack.
    recordings
        Whether recordings are resampled within speakers.

    Returns
    -------
    DataFrame
        `by`; ``measure`` (of `MEANS` and `CLASS_MEASURES`); ``segment_class``, empty for `MEANS`; ``value``, ``low``,
        ``high``; ``n`` utterances. NaN where nothing was counted, and for intervals where there is one unit only.
        Classes without any frame in a group have no row.
    """
    sums = _sums(regions, utterances)
    parts = []
    for values, part in sums.groupby(list(by)):
        classes = [name for name in CLASSES if part[f"time_{name}"].any() or part[f"evidence_{name}"].any()]
        units = Units.of_table(part, recordings=recordings)
        figures = estimate(_figures(part, classes), units, seed=seed, rounds=rounds)
        names = [(name, "") for name in MEANS] + [(measure, name) for measure in CLASS_MEASURES for name in classes]
        table = pd.DataFrame(names, columns=["measure", "segment_class"])
        table = table.assign(value=figures.value, low=figures.low, high=figures.high, n=int(part["n"].sum()))
        parts.append(table.assign(**dict(zip(by, values, strict=True))))
    return pd.concat(parts, ignore_index=True)[[*by, *parts[0].columns.drop(list(by))]]


def _sums(regions: pd.DataFrame, utterances: pd.DataFrame) -> pd.DataFrame:
    """`utterances` with the sums of their regions that `MEANS` are made of, NaN replaced by 0."""
    names = ["duration_s", "above_floor_db", "share", "share_for_spoof"]
    keys = [name for name in ("detector", "seed", "utterance") if name in regions and name in utterances]
    signed = regions.assign(share_for_spoof=regions["share"].where(regions["sign"] > 0, 0.0))
    sums = signed.groupby(keys, as_index=False)[names].sum()
    merged = utterances.drop(columns=names, errors="ignore").merge(sums, on=keys, how="left", validate="one_to_one")
    counted = merged.assign(n=1, n_local=merged["gini"].notna().astype(int))
    return counted.fillna(dict.fromkeys([*names, *LOCALITY, "n_regions", *CLASS_COLUMNS], 0.0))


def _figures(part: pd.DataFrame, classes: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """From (round, utterance) weights to (round, figure), in the order of `summary`."""

    def figures(weights: np.ndarray) -> np.ndarray:
        def sums(names: Sequence[str]) -> np.ndarray:
            return weights @ part[list(names)].to_numpy(dtype=np.float64)

        means = ratio(sums([top for top, _ in MEANS.values()]), sums([bottom for _, bottom in MEANS.values()]))
        evidence = ratio(sums([f"evidence_{name}" for name in classes]), sums(["share"]))
        time = ratio(sums([f"time_{name}" for name in classes]), sums(["n"]))
        return np.concatenate([means, evidence, time, ratio(evidence, time)], axis=1)

    return figures


def _threshold(sizes: np.ndarray) -> float:
    """The smallest of the fewest (frame,) sizes that hold the share `LEVEL` of their sum; never 0."""
    largest = np.sort(sizes[sizes > 0])[::-1]
    sums = np.cumsum(largest)
    return float(largest[np.searchsorted(sums, LEVEL * sums[-1] * (1 - ROUNDING))]) * (1 - ROUNDING)


def _merged(signs: np.ndarray) -> list[tuple[int, int, int]]:
    """Start, stop and sign of the runs in (frame,) signs, in order; a short gap of zeros does not part a run."""
    stretches = [(start, stop, sign) for sign in (-1, 1) for start, stop in runs(signs == sign).tolist()]
    merged: list[tuple[int, int, int]] = []
    for start, stop, sign in sorted(stretches):
        if merged and merged[-1][2] == sign and start - merged[-1][1] <= GAP_FRAMES:
            start = merged.pop()[0]
        merged.append((start, stop, sign))
    return merged
