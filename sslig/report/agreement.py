"""Whether detectors agree: rank correlation of their scores, and errors that they share."""

import numpy as np
import pandas as pd

from sslig.labels import KEYS
from sslig.report.display import listed
from sslig.stats import consensus
from sslig.study import Evaluation

CLASSES = {"bonafide": "bona fide", "spoof": "spoof"}


def of_one_seed(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of the first seed: detectors are compared with each other, not with themselves."""
    return scores[scores["seed"] == scores["seed"].iloc[0]]


def correlation(scores: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of detectors, ``rho [low, high]`` in a column a class, as text."""
    found = consensus.rank_correlation(of_one_seed(scores), **_resampling(options, seed))
    text = [
        "all scores equal" if np.isnan(row.rho) else f"{row.rho:.2f} [{row.low:.2f}, {row.high:.2f}]"
        for row in found.itertuples()
    ]
    pair = found["first"] + " and " + found["second"]
    return (
        found.assign(detectors=pair, text=text)
        .pivot(index="detectors", columns="scope", values="text")[list(consensus.SCOPES)]
        .loc[pair.unique()].rename_axis(columns=None).reset_index()
    )  # fmt: skip


def overlap(scores: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """The regions of the Venn diagram of errors (`sslig.stats.consensus.error_overlap`)."""
    return consensus.error_overlap(of_one_seed(scores), **_resampling(options, seed))


def overlap_note(regions: pd.DataFrame) -> str:
    """How much more often all detectors err on the same utterance than if they erred independently."""
    most = regions["n_wrong"].max()
    if most == 1:
        return "One detector: there is none to share an error with."
    said = []
    for key in KEYS:
        of_class = regions[regions["key"] == key]
        (row,) = of_class[of_class["n_wrong"] == most].itertuples()
        wrong = int(of_class.loc[of_class["n_wrong"] > 0, "observed"].sum())
        ratio = "" if np.isnan(row.ratio) else f": {row.ratio:.1f} times [{row.low:.1f}, {row.high:.1f}]"
        said.append(f"of {wrong:,} {CLASSES[key]} utterances that any of them gets wrong, all err on {row.observed:,}, "
                    f"where independent errors would meet on {row.expected:.1f}{ratio}")  # fmt: skip
    return f"At the thresholds of their EERs, {listed(said)}. In brackets are 95 % intervals."


def _resampling(options: Evaluation, seed: int) -> dict[str, object]:
    recordings = "recording" if options.resample_recordings else None
    return {"seed": seed, "rounds": options.rounds, "recordings": recordings}
