"""The table of attributions of one detector: one row an utterance, stored as Parquet."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sslig import protocol, scoring
from sslig.attribution import baselines
from sslig.attribution.integrated_gradients import Attribution, explain
from sslig.experiment import Experiment
from sslig.files import write_parquet
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.selection import stratified

FILE = "attributions.parquet"
SET = "eval"
DESCRIPTION = ["utterance", "key", "attack", "codec", "speaker"]
CERTIFICATE = ["spoof_score", "baseline_score", "residual", "relative_residual", "steps", "status", "selection"]


def chosen(experiment: Experiment) -> pd.DataFrame:
    """The utterances that every detector of the experiment explains."""
    table = protocol.load_set(experiment.corpus_root, SET)
    return stratified(table, experiment.attribution.utterances, experiment.corpus.seed)


def attribute(experiment: Experiment, detector: str, seed: int) -> pd.DataFrame:
    """Explain the chosen utterances with one trained detector.

    Returns
    -------
    One row an utterance: `DESCRIPTION`, `CERTIFICATE`, ``by_frame`` (frame,), ``by_layer`` (layer, frame) as nested
    lists, and where it comes from: baseline, checkpoint, seed and the key of all values. Utterances that could not be
    read are in `attrs["left_out"]` with the reason.
    """
    checkpoint = experiment.run(detector, seed) / scoring.CHECKPOINT
    baseline = baselines.ensure(experiment, detector, seed)
    model, device = Detector.from_pretrained(checkpoint), select_device(experiment.device)
    utterances = chosen(experiment)
    one_by_one = dataclasses.replace(experiment.scoring, batch_size=1)
    rows = []
    batches, left_out = scoring.batches(utterances, model, one_by_one)
    with scoring.evaluating(model, device):
        for batch in batches:
            with torch.no_grad():
                features = model.features(batch.waveforms.to(device))
            result = explain(model.head, features, baseline, experiment.attribution)
            rows.append(utterances.iloc[batch.rows[0]][DESCRIPTION].to_dict() | _row(result))
    source = {
        "baseline": baseline.name, "checkpoint": fingerprint(checkpoint), "seed": seed, "detector": detector,
        "key_of_values": _key(experiment, detector, seed),
    }  # fmt: skip
    table = pd.DataFrame(rows).assign(**source).sort_values("utterance").reset_index(drop=True)
    table.attrs["left_out"] = left_out.table(utterances).to_dict("records")
    return table


def ensure(experiment: Experiment, detector: str, seed: int) -> pd.DataFrame:
    """The attributions of one trained detector: those on disk if made with the same values, else new ones."""
    path = experiment.run(detector, seed) / FILE
    if path.is_file():
        stored = read(path)
        if set(stored["key_of_values"]) == {_key(experiment, detector, seed)}:
            return stored
    write_parquet(path, attribute(experiment, detector, seed))
    return read(path)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path` with ``by_frame`` and ``by_layer`` as arrays, (frame,) and (layer, frame)."""
    table = pd.read_parquet(path)
    table["by_layer"] = [np.stack(layers) for layers in table["by_layer"]]
    return table


def _row(result: Attribution) -> dict[str, object]:
    certificate = {name: getattr(result, name) for name in CERTIFICATE}
    return certificate | {"by_frame": result.by_frame, "by_layer": list(result.by_layer)}


def _key(experiment: Experiment, detector: str, seed: int) -> str:
    """A short hash of all that decides the attributions: checkpoint, options, utterances."""
    checkpoint = fingerprint(Path(experiment.run(detector, seed)) / scoring.CHECKPOINT)
    utterances = chosen(experiment)["utterance"].tolist()
    values = [checkpoint, dataclasses.asdict(experiment.attribution), experiment.scoring.crop_s, utterances]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
