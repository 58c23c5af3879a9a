"""Scores as log-likelihood ratios: calibrated one by one and fused, fitted on *dev* and applied to *eval*."""

import json
from functools import reduce
from pathlib import Path

import pandas as pd

from sslig.corpora import protocol
from sslig.files import write_json, write_parquet
from sslig.labels import KEYS
from sslig.stages.scored import set_scores
from sslig.stats import fusion
from sslig.stats.fusion import LogisticMap
from sslig.study import Study

RATIO = "spoof_llr"
"""log p(scores | spoof) / p(scores | bona fide), natural logarithm."""

FUSION = "fusion"
FITTED_ON, APPLIED_TO = "dev", "eval"
TRIAL = ["utterance", "key", "attack", "codec", "speaker"]


def calibrated(experiment: Study, detector: str, seed: int) -> tuple[pd.DataFrame, LogisticMap]:
    """The scores of one detector on *eval* with `RATIO`, and the map, fitted on *dev*, that gave it.

    They lie in the run's folder as ``llr_eval.parquet`` and ``calibration.json``.
    """
    fitted_on = set_scores(experiment, detector, seed, FITTED_ON)
    found = fusion.calibrate(fitted_on["spoof_score"], fitted_on["key"].map(KEYS), detector)
    table = set_scores(experiment, detector, seed, APPLIED_TO)
    result = table.assign(**{RATIO: found(table[["spoof_score"]])})
    _store(experiment.run(detector, seed), "calibration.json", result, found)
    return result, found


def fused(experiment: Study, detectors: list[str], seed: int) -> tuple[pd.DataFrame, LogisticMap]:
    """The fusion of several detectors of one seed on *eval*, with `RATIO`, and the map, fitted on *dev*.

    Only utterances that all of them scored count. They lie in ``fusion/<detectors>/seed<seed>/`` below the runs of the
    study as ``llr_eval.parquet`` and ``fusion.json``.
    """
    fitted_on = _side_by_side(experiment, detectors, seed, FITTED_ON)
    fitted_on = protocol.with_recordings(experiment.corpus_root, fitted_on)
    labels, groups = fitted_on["key"].map(KEYS), (fitted_on["speaker"], fitted_on["recording"])
    found = fusion.fuse(fitted_on[detectors], labels, *groups, detectors)
    table = _side_by_side(experiment, detectors, seed, APPLIED_TO)
    result = table.assign(**{RATIO: found(table[detectors])})
    _store(experiment.runs / FUSION / "+".join(detectors) / f"seed{seed}", "fusion.json", result, found)
    return result, found


def _side_by_side(experiment: Study, detectors: list[str], seed: int, set_name: str) -> pd.DataFrame:
    """One row an utterance that all detectors scored, one column a detector."""
    parts = [
        set_scores(experiment, name, seed, set_name)[[*TRIAL, "spoof_score"]].rename(columns={"spoof_score": name})
        for name in detectors
    ]
    return reduce(lambda left, right: left.merge(right, on=TRIAL, validate="one_to_one"), parts)


def _store(folder: Path, name: str, table: pd.DataFrame, found: LogisticMap) -> None:
    """Write each, unless what lies there is the same: pages of one study may be made side by side."""
    path, record = folder / f"llr_{APPLIED_TO}.parquet", folder / name
    told = json.loads(json.dumps(found.values() | {"fitted_on": FITTED_ON, "applied_to": APPLIED_TO}))
    if not (path.is_file() and pd.read_parquet(path).equals(table)):
        write_parquet(path, table)
    if not (record.is_file() and json.loads(record.read_text(encoding="utf-8")) == told):
        write_json(record, told)
