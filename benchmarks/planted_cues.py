"""Every kind of planted cue, every detector, every attribution method: the tables of page 08 as text.

Run it from the repository: ``python benchmarks/planted_cues.py [--experiment experiments/validation.yaml] [--kinds
splice band] [--detectors sls] [--seed 0] [--write]``. What the study has trained and measured already is used; the rest
is made now, into ``runs/<study>``. ``--write`` keeps the figures in ``benchmarks/results/planted_cues.tsv``.
"""

import argparse
from pathlib import Path

import pandas as pd

from sslig import files
from sslig.corpora.planted import KINDS
from sslig.report import validation, validation_choice, validation_localisation
from sslig.report.validation_cells import LOCALISATION
from sslig.study import load

RESULT = Path(__file__).parent / "results" / "planted_cues.tsv"


def measured(found: pd.DataFrame) -> pd.DataFrame:
    """A row a kind, detector, map and statistic: its mean, interval and chance, of the signed map."""
    own = validation_localisation.of_default(found)
    own = own[own["statistic"].isin(LOCALISATION)]
    names = ["kind", "detector", "method", "group", "n", "statistic", "value", "value_low", "value_high", "control"]
    return own[names].rename(columns={"value_low": "low", "value_high": "high", "control": "chance"})


def kept(rows: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A row a kind, detector and map: what the decision rests on, then each statistic with its interval and chance."""
    figures = ["value", "low", "high", "chance"]
    keys = ["kind", "detector", "method", "group", "n"]
    wide = rows.pivot_table(index=keys, columns="statistic", values=figures, sort=False).swaplevel(axis=1)
    wide = wide[[(statistic, figure) for statistic in LOCALISATION for figure in figures]]
    wide.columns = [name if figure == "value" else f"{name}_{figure}" for name, figure in wide.columns]
    told = about[["kind", "detector", "eer", "place_share", "place_carries", "rest_carries", "decided"]]
    return told.merge(wide.reset_index(), on=["kind", "detector"]).round(4)


def shown(rows: pd.DataFrame, statistic: str) -> str:
    """A line a kind and detector, a column a map."""
    own = rows[rows["statistic"] == statistic]
    table = own.pivot_table(index=["kind", "detector"], columns="method", values="value", sort=False)
    return table.round(2).to_string()


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description="Hold every map against every planted cue.")
    parser.add_argument("--experiment", default="experiments/validation.yaml")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS))
    parser.add_argument("--detectors", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    asked = parser.parse_args()
    study = load(asked.experiment)
    kinds, detectors = asked.kinds or study.validation.planted, asked.detectors or list(study.detectors)
    made = validation.planted_of(study, detectors, asked.seed, kinds)
    rows = measured(validation_localisation.summary(study, made))
    choices = validation_choice.choices(study, made)
    print(made.about.round(3).to_string(index=False), end="\n\n")
    for statistic in LOCALISATION:
        print(statistic, shown(rows, statistic), sep="\n", end="\n\n")
    print(validation_choice.recommendation(choices))
    if asked.write:
        files.write_tsv(RESULT, kept(rows, made.about))


if __name__ == "__main__":
    main()
