"""Which map finds what: planted cues and paired truth, every detector and method, in both spaces, as one tidy table.

Run it from the repository: ``python benchmarks/planted_cues.py [--experiment experiments/validation.yaml] [--kinds
splice band] [--detectors sls] [--seed 0] [--write]``. It asks the pipeline for the tables of the study, which makes
those that are missing. ``--write`` stores the figures in ``benchmarks/results/planted_cues.tsv``, a row each:

``kind``
    Of planted cue; ``paired`` for ordinary spoofs beside their originals.
``detector``, ``space``, ``method``
    ``eer`` and ``transplant`` stand in place of a method; plain maps and limits have their names.
``statistic``
    Measures of localisation, those over cells of time and frequency with the prefix ``cells_``; ``eer``; ``place`` and
    ``rest``, the shares of the decision that they carry; and ``smoothing_ms``, the width chosen on dev.
``value``, ``low``, ``high``, ``chance``, ``cost_s``
    Mean over utterances with its 95 % interval, what shifts of the map give, and the median seconds of an utterance.
"""

import argparse
from pathlib import Path

import pandas as pd

from sslig import files, pipeline
from sslig.corpora import protocol
from sslig.corpora.planted import KINDS
from sslig.stats import intervals
from sslig.study import Study, load
from sslig.validation.summary import at_widths, costs, decisions, default_method, summarise, widths

RESULT = Path(__file__).parent / "results" / "planted_cues.tsv"
PAIR = ["kind", "detector"]
COLUMNS = [*PAIR, "space", "method", "statistic", "value", "low", "high", "chance", "cost_s"]


def localised(table: pd.DataFrame, options: dict) -> pd.DataFrame:
    """The mean of each measure of each signed or plain map, and of each map over cells, with its cost."""
    means = summarise(table[table["aggregation"].isin(["signed", "plain", "cells"])], PAIR, **options)
    cells = means["aggregation"] == "cells"
    means["statistic"] = means["statistic"].where(~cells, "cells_" + means["statistic"])
    means = means.rename(columns={"value_low": "low", "value_high": "high"})
    seconds = costs(table, [*PAIR, "method"])[[*PAIR, "method", "seconds_median"]]
    return means.merge(seconds.rename(columns={"seconds_median": "cost_s"}), how="left")


def decided(study: Study, tables: dict[str, pd.DataFrame], options: dict) -> pd.DataFrame:
    """What the decisions of each kind and detector rest on, in each space."""
    scores = tables["planted_scores_eval"].groupby(PAIR, sort=False)
    trials = [protocol.with_recordings(study.planted(kind).corpus_root, part) for (kind, _), part in scores]
    eer = intervals.table(pd.concat(trials), {"eer": "spoof_score"}, by=PAIR, **options)
    return decisions(
        tables["transplants"], eer.rename(columns={"value": "eer"})[[*PAIR, "eer", "low", "high"]], **options
    )


def transplant_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The EER of each kind and detector, and what the place and the rest carry in each space."""
    eer = table.drop_duplicates(PAIR).assign(space="", method="eer", statistic="eer", value=table["eer"])
    parts = [
        table.assign(method="transplant", statistic=name, value=table[name], low=table[f"{name}_low"])
        for name in ("place", "rest")
    ]
    parts = [part.assign(high=table[f"{part['statistic'].iloc[0]}_high"]) for part in parts]
    return pd.concat([eer, *parts]).dropna(subset="value")


def main() -> None:
    """Print the goals' figures and the choice of the default, and write the table on request."""
    parser = argparse.ArgumentParser(description="Hold every map against every planted cue and paired spoof.")
    parser.add_argument("--experiment", default="experiments/validation.yaml")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS))
    parser.add_argument("--detectors", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    chosen = parser.parse_args()
    study = load(chosen.experiment)
    of = {"kinds": chosen.kinds, "detectors": chosen.detectors, "seeds": [chosen.seed]}
    tables = pipeline.tables(study, "localisation", "transplants", "planted_scores_eval", "paired", **of)
    options = {"seed": study.corpus.seed, "recordings": study.evaluation.resample_recordings}
    options["rounds"] = study.validation.rounds
    smoothing = widths(tables["localisation"])
    planted, paired = (at_widths(tables[name], smoothing) for name in ("localisation", "paired"))
    gates = decided(study, tables, options)
    rows = pd.concat([localised(planted, options), localised(paired.assign(kind="paired"), options)])
    auc = rows[rows["statistic"] == "roc_auc"]
    print(gates.round(3).to_string(index=False), end="\n\n")
    print(auc.pivot_table(index="method", columns=PAIR, values="value", sort=False).round(3).to_string(), end="\n\n")
    resting = gates[(gates["space"] == "recording") & (gates["decided"] == "yes")]
    ranked = default_method(planted.merge(resting[PAIR]), **options)
    print(ranked.round(3).to_string(index=False) if len(ranked) else "No kind is decided at its place.")
    if chosen.write:
        width = smoothing.rename("value").reset_index().assign(kind="all", detector="all", statistic="smoothing_ms")
        files.write_tsv(RESULT, pd.concat([rows, transplant_rows(gates), width]).reindex(columns=COLUMNS).round(4))


if __name__ == "__main__":
    main()
