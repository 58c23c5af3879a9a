"""What a detector decides on, in numbers: where its top regions are, what is said there, how local and how audible."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import scoring
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.methods import default, explain
from sslig.cues import phones, vad
from sslig.cues.tiers import Tier
from sslig.cues.time_correlation import loudness
from sslig.cues.top_regions import COLUMNS, UNKNOWN, Region, described, frame_classes, top_regions
from sslig.frames import FrameClock
from sslig.models.detector import Detector
from sslig.study import Attribution, Scoring

DESCRIPTION = ("utterance", "key", "attack", "codec", "speaker")
CLASSES = (*vad.NON_SPEECH, *phones.CLASSES, vad.SPEECH, UNKNOWN)
"""Classes of segments, as of `sslig.cues.top_regions.frame_classes`."""

QUIETEST_SHARE = 0.1
"""The quietest tenth of the frames is taken for the noise floor, as masks with noise do."""
FLOOR_DBFS = -100.0
"""Level of digital silence, which has no logarithm, and of whatever is below it."""

LOCALITY = ("effective_frames", "participation_frames", "effective_share", "gini")
REGION_COLUMNS = (*DESCRIPTION, *COLUMNS, "level_dbfs", "above_floor_db")
UTTERANCE_COLUMNS = (
    *DESCRIPTION, "duration_s", "n_read", "spoof_score", "relative_residual", "status", "n_regions", *LOCALITY,
    "floor_dbfs", *(f"time_{name}" for name in CLASSES), *(f"evidence_{name}" for name in CLASSES),
)  # fmt: skip


@dataclass(frozen=True)
class Profiles:
    """The cue profiles of some utterances.

    Attributes
    ----------
    regions
        `REGION_COLUMNS`, a row a top region: those of `sslig.cues.top_regions.described`; ``level_dbfs`` is the RMS
        level of what its frames see, ``above_floor_db`` that level over the noise floor of the recording, a proxy of
        how audible it is.
    utterances
        `UTTERANCE_COLUMNS`, a row an utterance: of what was explained and how far it adds up, `locality`, the noise
        floor, the share of the frames read that is of each class of segments, and the share of all evidence that frames
        of each class hold within the top regions. It is counted frame by frame: the class of most frames of a region
        takes the others' share, so that long classes would seem to hold more than they do.
    left_out
        ``utterance`` and ``reason`` of the files that could not be read.
    """

    regions: pd.DataFrame
    utterances: pd.DataFrame
    left_out: pd.DataFrame


def profiles(
    detector: Detector,
    utterances: pd.DataFrame,
    baseline: Baseline,
    options: Attribution,
    scoring_options: Scoring,
    tiers: Mapping[str, Mapping[str, Tier]],
    device: str | torch.device = "cpu",
) -> Profiles:
    """Explain utterances one by one and keep where the evidence lies, not the maps: memory is that of one utterance.

    Parameters
    ----------
    detector
        Used in evaluation mode and full precision.
    utterances
        With the columns of `sslig.corpora.protocol` and ``path``.
    baseline, options
        Where Integrated Gradients start, and their options.
    scoring_options
        Crop and longest utterance.
    tiers
        Utterance -> its tiers by name; of one that was not decoded every segment is ``unknown``.
    """
    one_by_one = dataclasses.replace(scoring_options, batch_size=1)
    regions, told = [], []
    batches, left_out = scoring.batches(utterances, detector, one_by_one)
    with scoring.evaluating(detector, device):
        for batch in batches:
            row = utterances.iloc[batch.rows[0]]
            found, about = _profile(
                detector, batch.waveforms.to(device), baseline, options, tiers.get(row["utterance"])
            )
            description = {name: row[name] for name in DESCRIPTION}
            regions += [description | one for one in found.to_dict("records")]
            told.append(description | about)
    order = pd.Series(range(len(utterances)), index=utterances["utterance"])
    return Profiles(
        _in_order(pd.DataFrame(regions, columns=list(REGION_COLUMNS)), order),
        _in_order(pd.DataFrame(told, columns=list(UTTERANCE_COLUMNS)), order),
        left_out.table(utterances),
    )


def locality(frames: np.ndarray) -> dict[str, float]:
    """How local an explanation is, by the share p of each frame in its absolute evidence; NaN without evidence.

    Parameters
    ----------
    frames
        (frame,) Those that the head reads.

    Returns
    -------
    dict
        ``effective_frames``: exp of the entropy of p, the number of frames with equal evidence that would be as spread.
        ``participation_frames``: 1 / sum p^2, which few strong frames pull down more. ``effective_share``: the first
        over all frames. ``gini``: 0 where all frames have the same, 1 - 1 / n where one has all.

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
        "participation_frames": float(1 / np.sum(p**2)),
        "effective_share": effective / n,
        "gini": float(np.sum((2 * np.arange(1, n + 1) - n - 1) * p) / n),
    }


def noise_floor_dbfs(rms: np.ndarray) -> float:
    """RMS level of the quietest tenth of (frame,) RMS values, at least one of them, relative to full scale."""
    quiet = np.sort(rms)[: max(1, round(QUIETEST_SHARE * len(rms)))]
    return level_dbfs(quiet)


def level_dbfs(rms: np.ndarray) -> float:
    """Level of the power that (frame,) RMS values have on average, relative to full scale; at least `FLOOR_DBFS`."""
    power = float(np.mean(np.square(rms)))
    return max(FLOOR_DBFS, 10 * np.log10(power)) if power > 0 else FLOOR_DBFS


def _profile(
    detector: Detector, waveform: Tensor, baseline: Baseline, options: Attribution, tiers: Mapping[str, Tier] | None
) -> tuple[pd.DataFrame, dict[str, object]]:
    """The regions of one utterance, (1, samples) trimmed to whole frames, and what is told of it as a whole."""
    with torch.no_grad():
        features = detector.features(waveform)
    result = explain(default(options), detector.head, features, Context({BONAFIDE_MEAN: baseline}, options=options))
    n_read = detector.read_frames(features.shape[2])
    frames, rms = result.by_frame[:n_read], loudness(waveform[0].cpu().numpy(), detector.clock)
    regions, floor_dbfs = top_regions(frames), noise_floor_dbfs(rms)
    classes = frame_classes(tiers, detector.clock, n_read)
    about = {
        "duration_s": waveform.shape[1] / scoring.SAMPLE_RATE_HZ, "n_read": n_read, "spoof_score": result.spoof_score,
        "relative_residual": result.relative_residual, "status": result.status, "n_regions": len(regions),
        "floor_dbfs": floor_dbfs,
    }  # fmt: skip
    about |= locality(frames) | _by_class(frames, regions, classes)
    return _audible(regions, rms, floor_dbfs, detector.clock, tiers), about


def _by_class(frames: np.ndarray, regions: list[Region], classes: np.ndarray) -> dict[str, float]:
    """The share of the frames that is of each class, and of all evidence that such frames hold within regions."""
    within = np.zeros(len(frames), dtype=bool)
    for region in regions:
        within[region.start : region.stop] = True
    size = np.abs(frames)
    share = within * size / (size.sum() or 1.0)
    time = {f"time_{name}": float(np.mean(classes == name)) for name in CLASSES}
    return time | {f"evidence_{name}": float(share[classes == name].sum()) for name in CLASSES}


def _audible(
    regions: list[Region], rms: np.ndarray, floor_dbfs: float, clock: FrameClock, tiers: Mapping[str, Tier] | None
) -> pd.DataFrame:
    """What `described` tells of regions, with their level and how far it lies above the noise floor."""
    levels_dbfs = np.array([level_dbfs(rms[region.start : region.stop]) for region in regions])
    return described(regions, clock, tiers).assign(level_dbfs=levels_dbfs, above_floor_db=levels_dbfs - floor_dbfs)


def _in_order(table: pd.DataFrame, order: pd.Series) -> pd.DataFrame:
    """Rows in the order of the utterances; batches come by length."""
    place = table["utterance"].map(order)
    return table.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)
