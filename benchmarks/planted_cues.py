"""Every kind of planted cue, every detector, every attribution method: the tables of page 08, as text and as JSON.

Run it from the repository: ``python benchmarks/planted_cues.py [--experiment experiments/validation.yaml] [--kinds
splice band] [--detectors sls] [--seed 0] [--write]``. What the study has trained and measured already is used; the rest
is made now, into ``runs/<study>``. ``--write`` keeps the figures in ``benchmarks/results/planted_cues.json``.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from sslig import files
from sslig.data.planting import KINDS
from sslig.experiment import load
from sslig.report import validation, validation_choice, validation_localisation
from sslig.report.validation_cells import LOCALISATION

RESULT = Path(__file__).parent / "results" / "planted_cues.json"


def measured(found: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a kind, detector, map and statistic: its mean, interval and chance, of the signed map."""
    own = validation_localisation.of_default(found)
    own = own[own["statistic"].isin(LOCALISATION)]
    names = ["kind", "detector", "method", "group", "statistic", "n", "value", "value_low", "value_high", "control"]
    return own[[*names, "supported"]].to_dict("records")


def wide(rows: list[dict[str, Any]], statistic: str) -> pd.DataFrame:
    """A row a kind and detector, a column a map."""
    table = pd.DataFrame(rows)
    table = table[table["statistic"] == statistic]
    shown = table.pivot_table(index=["kind", "detector"], columns="method", values="value", sort=False)
    return shown.round(2)


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
        print(statistic, wide(rows, statistic).to_string(), sep="\n", end="\n\n")
    print(validation_choice.recommendation(choices))
    if asked.write:
        values = {name: value for name, value in vars(asked).items() if name != "write"}
        about = made.about.to_dict("records")
        files.write_json(RESULT, {"asked": values, "about": about, "measured": rows})


if __name__ == "__main__":
    main()
