"""Decide: what a detector calls each trial of *eval*, at thresholds that were set on *dev*."""

from pathlib import Path

import pandas as pd

from sslig.files import write_tsv
from sslig.stats.metrics import by_class, operating_point
from sslig.study import Study

POINTS = {"eer": ("eer", 0.0), "fmr_1": ("fmr", 0.01), "fmr_0.1": ("fmr", 0.001), "fnmr_1": ("fnmr", 0.01)}
"""Operating points by name: the threshold of the EER, and those that hold the rate of spoofs called bona fide (FMR) or
of bona fide called spoof (FNMR) at so many percent."""


def decide(study: Study, *, scores_dev: Path, scores_eval: Path, decisions: Path) -> None:
    """Write the class that each trial of *eval* is given at each of `POINTS`, with the thresholds of *dev*.

    The file is tab-separated: ``utterance``, ``key``, ``spoof_score``, and ``threshold_NAME`` (a logit) and
    ``decision_NAME`` (``bonafide`` or ``spoof``) of each point.
    """
    dev, trials = (pd.read_parquet(path) for path in (scores_dev, scores_eval))
    table = trials[["utterance", "key", "spoof_score"]].copy()
    for name, (kind, rate) in POINTS.items():
        threshold = operating_point(*by_class(dev), kind, rate).threshold
        called_spoof = table["spoof_score"] >= threshold
        table[f"threshold_{name}"] = threshold
        table[f"decision_{name}"] = called_spoof.map({True: "spoof", False: "bonafide"})
    write_tsv(decisions, table)
