"""Utterances worth listening to: by what all detectors say of them, and by the strata of the experiment."""

from pathlib import Path

import pandas as pd

from sslig.corpora import protocol
from sslig.files import write_tsv
from sslig.selection import select, strata
from sslig.stages.scored import set_scores
from sslig.stats import consensus
from sslig.study import Study

SELECTION = "selection"
SELECTED_SET = "eval"


def consensus_groups(experiment: Study, detectors: list[str], seed: int) -> pd.DataFrame:
    """The group of each utterance of *eval* (`sslig.stats.consensus.groups`) by several detectors of one seed."""
    gender = protocol.load_set(experiment.corpus_root, SELECTED_SET).set_index("utterance")["gender"]
    scores = pd.concat([set_scores(experiment, name, seed, SELECTED_SET).assign(detector=name) for name in detectors])
    by_all = scores.groupby("utterance")["utterance"].transform("size") == len(detectors)
    scores = scores[by_all]  # what one of them could not score has no group
    return consensus.groups(scores.assign(gender=scores["utterance"].map(gender)))


def selected(experiment: Study, detectors: list[str], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The utterances that the strata of the experiment select, and what the strata lack (`sslig.selection.select`).

    They are drawn with the seed of the corpus, and lie in ``selection/<detectors>/seed<seed>/`` below the runs of the
    study as ``chosen.tsv``, with the reason of each, and ``shortages.tsv``.
    """
    groups = consensus_groups(experiment, detectors, seed)
    chosen, shortages = select(groups, strata(experiment.selection), seed=experiment.corpus.seed)
    folder = experiment.runs / SELECTION / "+".join(detectors) / f"seed{seed}"
    for name, table in (("chosen", chosen), ("shortages", shortages)):
        _store(folder / f"{name}.tsv", table)
    return chosen, shortages


def _store(path: Path, table: pd.DataFrame) -> None:
    """Write a table, unless what lies there is the same: pages of one study may be made side by side."""
    if not (path.is_file() and path.read_text(encoding="utf-8") == table.to_csv(sep="\t", index=False)):
        write_tsv(path, table)
