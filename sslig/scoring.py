"""The one scoring loop: utterances in batches of equal length through a detector, faulty files listed and left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sslig.data.dataset import EqualLengthBatches, Loaded, Utterances
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import Detector
from sslig.study import Scoring

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16}


class ScoringError(ValueError):
    """A scoring run that cannot give scores; the message says what was asked and what was found."""


@dataclass(frozen=True)
class Batch:
    """Utterances of equal length: their rows in the table, and (batch, samples) waveforms."""

    rows: list[int]
    waveforms: Tensor


@dataclass
class LeftOut:
    """What could not be read, filled while batches are drawn: row in the table -> what was wrong with the file."""

    faults: dict[int, str]

    def table(self, utterances: pd.DataFrame) -> pd.DataFrame:
        """The utterances left out, with the reason of each."""
        rows = sorted(self.faults)
        reasons = [self.faults[row] for row in rows]
        return pd.DataFrame({"utterance": utterances["utterance"].iloc[rows].to_numpy(), "reason": reasons})


def batches(table: pd.DataFrame, detector: Detector, options: Scoring) -> tuple[Iterator[Batch], LeftOut]:
    """Batches of equal-length waveforms of the utterances in `table`, and the list of what was left out.

    Parameters
    ----------
    table
        Utterances with their ``path``.
    detector
        Whose frame clock trims the waveforms to whole frames.
    options
        Batch size, crop, longest utterance and number of reading processes.
    """
    crop = None if options.crop_s is None else round(options.crop_s * SAMPLE_RATE_HZ)
    if crop is not None and detector.clock.n_frames(crop) < 1:
        raise ScoringError(f"crop_s {options.crop_s:g} s is shorter than one frame of "
                           f"{detector.clock.receptive_field_samples / SAMPLE_RATE_HZ:g} s")  # fmt: skip
    utterances = Utterances(table, detector.clock, crop, options.max_s, detector.min_frames)
    n_frames, faults = utterances.n_frames()
    left_out = LeftOut(faults)
    loader = DataLoader(
        utterances,
        batch_sampler=EqualLengthBatches(n_frames, options.batch_size),
        num_workers=options.workers,
        collate_fn=_stack,
    )
    return _readable(loader, left_out), left_out


def _readable(loader: DataLoader, left_out: LeftOut) -> Iterator[Batch]:
    for batch, faults in loader:
        left_out.faults |= faults
        if batch is not None:
            yield batch


def _stack(items: list[Loaded]) -> tuple[Batch | None, dict[int, str]]:
    """The readable items as one batch, and the faults of the others; in the reading process, which so hands over one
    tensor a batch."""
    faults = {item.row: item.fault for item in items if item.samples is None}
    good = [item for item in items if item.samples is not None]
    batch = Batch([item.row for item in good], torch.stack([item.samples for item in good])) if good else None
    return batch, faults


@torch.inference_mode()
def score(
    detector: Detector, table: pd.DataFrame, options: Scoring, device: str | torch.device = "cpu"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Spoof logits of the utterances in `table`, whatever company they are scored in.

    Parameters
    ----------
    detector
        Used in evaluation mode, and left in the mode it came in.
    table
        Utterances with the columns of `sslig.corpora.protocol` and ``path``.
    options, device
        How and where to score.

    Returns
    -------
    scores, left_out
        The table with ``spoof_score``, ``duration_s`` and ``crop_s`` added, in the order of `table`; and the
        utterances without a score, with the reason.

    Raises
    ------
    ScoringError
        No utterance could be read, the precision is unknown, or the detector gives NaN.
    """
    if options.precision not in PRECISIONS:
        raise ScoringError(f"precision {options.precision!r}; accepted: {', '.join(PRECISIONS)}")
    drawn, left_out = batches(table, detector, options)
    logits = np.full(len(table), np.nan)
    duration_s = np.full(len(table), np.nan)
    with evaluating(detector, device):
        for batch in drawn:
            logits[batch.rows] = _logits(detector, batch.waveforms.to(device), options.precision)
            duration_s[batch.rows] = batch.waveforms.shape[1] / SAMPLE_RATE_HZ
    without = left_out.table(table)
    if len(without) == len(table):
        raise ScoringError(f"none of {len(table)} utterances could be read; the first: {without['reason'].iloc[0]}")
    scored = table.assign(spoof_score=logits, duration_s=duration_s, crop_s=np.nan if options.crop_s is None
                          else options.crop_s)  # fmt: skip
    scored = scored[~scored["utterance"].isin(without["utterance"])]
    broken = scored.loc[~np.isfinite(scored["spoof_score"]), "utterance"]
    if len(broken):
        raise ScoringError(f"the detector gives no finite score for {len(broken)} utterances; first {broken.iloc[0]}")
    return scored.reset_index(drop=True), without


@contextmanager
def evaluating(module: nn.Module, device: str | torch.device) -> Iterator[nn.Module]:
    """A module on a device in evaluation mode for the length of a block, then in the mode it came in.

    TF32 is off inside: by default GPUs compute float32 convolutions with the 10-bit mantissa of that format, and
    neither a score nor the sum of an attribution would be what float32 promises.
    """
    training = module.training
    cudnn = torch.backends.cudnn
    try:
        with cudnn.flags(enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic,
                         allow_tf32=False):  # fmt: skip
            yield module.to(device).eval()
    finally:
        module.train(training)


def _logits(detector: Detector, waveforms: Tensor, precision: str) -> np.ndarray:
    dtype = PRECISIONS[precision]
    with torch.autocast(waveforms.device.type, dtype=dtype, enabled=dtype is not None):
        return detector(waveforms).float().cpu().numpy()
