"""The one loop over utterances: batches of equal length, and their scores; faulty files are left out and listed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from sslig.data.dataset import Loaded, Utterances, equal_length_batches
from sslig.errors import DataError, DetectorError, StudyError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import Detector
from sslig.study import Scoring

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class Batch:
    """Utterances of equal length: their rows in the table, and (batch, samples) waveforms."""

    rows: list[int]
    waveforms: Tensor


@dataclass
class LeftOut:
    """The utterances that could not be read, filled while batches are drawn: row in the table -> fault of its file."""

    faults: dict[int, str]

    def table(self, utterances: pd.DataFrame) -> pd.DataFrame:
        """The utterances left out, with the reason of each."""
        rows = sorted(self.faults)
        reasons = [self.faults[row] for row in rows]
        return pd.DataFrame({"utterance": utterances["utterance"].iloc[rows].to_numpy(), "reason": reasons}, dtype=str)


def batches(table: pd.DataFrame, detector: Detector, options: Scoring) -> tuple[Iterator[Batch], LeftOut]:
    """Batches of equal-length waveforms, and the list of the utterances left out, which fills while they are drawn.

    Waveforms are trimmed to whole frames of the detector's clock.

    Raises
    ------
    StudyError
        The crop is shorter than one frame.
    """
    clock = detector.clock
    crop = None if options.crop_s is None else round(options.crop_s * SAMPLE_RATE_HZ)
    if crop is not None and clock.n_frames(crop) < 1:
        frame_s = clock.receptive_field_samples / SAMPLE_RATE_HZ
        raise StudyError(f"scoring.crop_s is {options.crop_s:g} s, shorter than one frame of {frame_s:g} s")
    utterances = Utterances(table, clock, crop, options.max_s, detector.min_frames)
    n_frames, faults = utterances.n_frames()
    loader = DataLoader(
        utterances,
        batch_sampler=equal_length_batches(n_frames, options.batch_size),
        num_workers=options.workers,
        collate_fn=_stack,
    )
    left_out = LeftOut(faults)
    return _readable(loader, left_out), left_out


def one_by_one(
    table: pd.DataFrame, detector: Detector, options: Scoring, device: str | torch.device
) -> tuple[Iterator[tuple[pd.Series, Tensor]], LeftOut]:
    """Each readable row of `table` with its (1, samples) waveform on `device`, and the list of what was left out.

    The detector is in evaluation mode on the device until the last row, then in the mode it came in. Rows come in the
    order of `batches`, which is that of length.
    """
    drawn, left_out = batches(table, detector, options.model_copy(update={"batch_size": 1}))

    def rows() -> Iterator[tuple[pd.Series, Tensor]]:
        with evaluating(detector, device):
            for batch in drawn:
                yield table.iloc[batch.rows[0]], batch.waveforms.to(device)

    return rows(), left_out


def _readable(loader: DataLoader, left_out: LeftOut) -> Iterator[Batch]:
    for batch, faults in loader:
        left_out.faults |= faults
        if batch is not None:
            yield batch


def _stack(items: list[Loaded]) -> tuple[Batch | None, dict[int, str]]:
    """The readable items as one batch, and the faults of the others; runs in the reading process."""
    faults = {item.row: item.fault for item in items if item.samples is None}
    good = [item for item in items if item.samples is not None]
    batch = Batch([item.row for item in good], torch.stack([item.samples for item in good])) if good else None
    return batch, faults


@torch.inference_mode()
def score(
    detector: Detector,
    table: pd.DataFrame,
    options: Scoring,
    device: str | torch.device = "cpu",
    progress: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the spoof logits of utterances; a score does not depend on the other utterances.

    With `progress`, a bar of this name is shown on a terminal.

    Returns
    -------
    scores, left_out
        The table with ``spoof_score``, ``duration_s`` and ``crop_s``, in its order; and ``utterance`` and ``reason`` of
        those that have no score.

    Raises
    ------
    DataError
        No utterance could be read.
    DetectorError
        A score is NaN or infinite.
    """
    drawn, left_out = batches(table, detector, options)
    logits, duration_s = np.full((2, len(table)), np.nan)
    with evaluating(detector, device), tqdm(total=len(table), desc=progress, disable=None if progress else True) as bar:
        for batch in drawn:
            bar.update(len(batch.rows))
            logits[batch.rows] = _logits(detector, batch.waveforms.to(device), options.precision)
            duration_s[batch.rows] = batch.waveforms.shape[1] / SAMPLE_RATE_HZ
    missing = left_out.table(table)
    if len(missing) and len(missing) == len(table):
        raise DataError(f"none of {len(table)} utterances could be read; the first: {missing['reason'].iloc[0]}")
    scored = table.assign(spoof_score=logits, duration_s=duration_s)
    scored = scored.assign(crop_s=np.nan if options.crop_s is None else options.crop_s)
    scored = scored[~scored["utterance"].isin(missing["utterance"])]
    broken = scored.loc[~np.isfinite(scored["spoof_score"]), "utterance"]
    if len(broken):
        raise DetectorError(f"the detector gives no finite score for {len(broken)} utterances; first {broken.iloc[0]}")
    return scored.reset_index(drop=True), missing


@contextmanager
def evaluating(module: nn.Module, device: str | torch.device) -> Iterator[nn.Module]:
    """Put a module on a device in evaluation mode inside the block, and return it to its mode afterwards.

    TF32 is off inside: GPUs otherwise compute float32 convolutions with its 10-bit mantissa, and neither scores nor
    sums of attributions have the precision of float32.
    """
    training = module.training
    cudnn = torch.backends.cudnn
    values = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
    try:
        with cudnn.flags(**values, allow_tf32=False):
            yield module.to(device).eval()
    finally:
        module.train(training)


def _logits(detector: Detector, waveforms: Tensor, precision: str) -> np.ndarray:
    dtype = PRECISIONS[precision]
    with torch.autocast(waveforms.device.type, dtype=dtype, enabled=dtype is not None):
        return detector(waveforms).float().cpu().numpy()
