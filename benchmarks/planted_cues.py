"""Every kind of planted cue, every detector, every attribution method: the tables of page 08 as text.

Run it from the repository: ``python benchmarks/planted_cues.py [--experiment experiments/validation.yaml] [--kinds
splice band] [--detectors sls] [--seed 0] [--write]``. It asks the pipeline for the tables of the study, which makes
those that are missing. ``--write`` stores the figures in ``benchmarks/results/planted_cues.tsv``.
"""

import argparse
from pathlib import Path

import pandas as pd

from sslig import files, pipeline
from sslig.corpora import protocol
from sslig.corpora.planted import KINDS
from sslig.stats import intervals
from sslig.study import Study, load
from sslig.validation.statistics import LOCALISATION
from sslig.validation.summary import decisions, default_method, group, summarise

RESULT = Path(__file__).parent / "results" / "planted_cues.tsv"
PAIR = ["kind", "detector"]


def measured(study: Study, localisation: pd.DataFrame, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the decisions of each kind and detector rest on, and the mean of each measure of each signed map."""
    options = {"seed": study.corpus.seed, "recordings": study.evaluation.resample_recordings}
    trials = [
        protocol.with_recordings(study.planted(kind).corpus_root, part)
        for (kind, _), part in scores.groupby(PAIR, sort=False)
    ]
    eer = intervals.table(
        pd.concat(trials), {"eer": "spoof_score"}, by=PAIR, **options, rounds=study.evaluation.rounds
    ).rename(columns={"value": "eer"})
    means = summarise(localisation, PAIR, **options, rounds=study.validation.rounds)
    means = means[means["aggregation"].isin(["signed", "plain"])].assign(group=means["method"].map(group))
    names = {"value_low": "low", "value_high": "high"}
    return decisions(localisation, eer[[*PAIR, "eer", "low", "high"]]), means.rename(columns=names)


def wide(means: pd.DataFrame, decided: pd.DataFrame) -> pd.DataFrame:
    """A row a kind, detector and map: what the decision rests on, then each measure with its interval and chance."""
    figures, keys = ["value", "low", "high", "chance"], [*PAIR, "method", "group", "n"]
    table = means.pivot_table(index=keys, columns="statistic", values=figures, sort=False).swaplevel(axis=1)
    table = table[[(statistic, figure) for statistic in LOCALISATION for figure in figures]]
    table.columns = [name if figure == "value" else f"{name}_{figure}" for name, figure in table.columns]
    about = decided[[*PAIR, "eer", "place_share", "place_carries", "rest_carries", "decided"]]
    return about.merge(table.reset_index(), on=PAIR).round(4)


def main() -> None:
    """Print the tables, and write them on request."""
    parser = argparse.ArgumentParser(description="Hold every map against every planted cue.")
    parser.add_argument("--experiment", default="experiments/validation.yaml")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS))
    parser.add_argument("--detectors", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    options = parser.parse_args()
    study = load(options.experiment)
    chosen = {"kinds": options.kinds, "detectors": options.detectors, "seeds": [options.seed]}
    tables = pipeline.tables(study, "localisation", "planted_scores_eval", **chosen)
    decided, means = measured(study, tables["localisation"], tables["planted_scores_eval"])
    print(decided.round(3).to_string(index=False), end="\n\n")
    for statistic in LOCALISATION:
        rows = means[means["statistic"] == statistic]
        values = rows.pivot_table(index=PAIR, columns="method", values="value", sort=False)
        print(statistic, values.round(2).to_string(), sep="\n", end="\n\n")
    truth = tables["localisation"].merge(decided.loc[decided["decided"], PAIR])
    bootstrap = {"seed": study.corpus.seed, "rounds": study.validation.rounds}
    ranked = default_method(truth, **bootstrap, recordings=study.evaluation.resample_recordings)
    print(ranked.round(3).to_string(index=False) if len(ranked) else "No kind is decided at its place.")
    if options.write:
        files.write_tsv(RESULT, wide(means, decided))


if __name__ == "__main__":
    main()
