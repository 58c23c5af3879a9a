"""The table of attributions of one detector: one row an utterance, stored as Parquet."""

import dataclasses
import os

import numpy as np
import pandas as pd
import torch

from sslig import scoring
from sslig.attribution.baselines import Baseline
from sslig.attribution.integrated_gradients import Attribution, AttributionError, explain
from sslig.files import write_parquet
from sslig.models.detector import Detector
from sslig.study import Attribution as Options
from sslig.study import Scoring

DESCRIPTION = ["utterance", "key", "attack", "codec", "speaker"]
CERTIFICATE = ["spoof_score", "baseline_score", "residual", "relative_residual", "steps", "status", "selection",
               "free_baseline_score"]  # fmt: skip


def attribute(
    detector: Detector, utterances: pd.DataFrame, baseline: Baseline, options: Options, scoring_options: Scoring,
    device: str | torch.device = "cpu",
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Explain utterances one by one.

    Returns
    -------
    attributions, left_out
        One row an utterance: `DESCRIPTION`, `CERTIFICATE`, the name of the baseline, ``by_frame`` (frame,) and
        ``by_layer`` (layer, frame); and the utterances that could not be read, with the reason.
    """
    one_by_one = dataclasses.replace(scoring_options, batch_size=1)
    rows = []
    batches, left_out = scoring.batches(utterances, detector, one_by_one)
    with scoring.evaluating(detector, device):
        for batch in batches:
            with torch.no_grad():
                features = detector.features(batch.waveforms.to(device))
            result = explain(detector.head, features, baseline, options)
            rows.append(utterances.iloc[batch.rows[0]][DESCRIPTION].to_dict() | _row(result))
    if not rows:
        raise AttributionError(f"none of {len(utterances)} utterances could be read: {left_out.faults}")
    table = pd.DataFrame(rows).assign(baseline=baseline.name)
    return table.sort_values("utterance").reset_index(drop=True), left_out.table(utterances)


def write(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write a table of `attribute`; Parquet has no matrices, so ``by_layer`` becomes lists of lists."""
    write_parquet(path, table.assign(by_layer=[list(layers) for layers in table["by_layer"]]))


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path` with ``by_frame`` and ``by_layer`` as arrays, (frame,) and (layer, frame)."""
    table = pd.read_parquet(path)
    table["by_layer"] = [np.stack(layers) for layers in table["by_layer"]]
    return table


def _row(result: Attribution) -> dict[str, object]:
    certificate = {name: getattr(result, name) for name in CERTIFICATE}
    return certificate | {"by_frame": result.by_frame, "by_layer": result.by_layer}
