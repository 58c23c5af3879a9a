"""Trains every detector of a study with and without augmentation, over several seeds, and compares their eval EER.

Run it from the repository: ``python benchmarks/augmentation_effect.py [--experiment experiments/demo.yaml] [--seeds 0
1 2] [--augmentation published] [--write]``. What the study has trained already is used; the rest is trained now, into
``runs/<study>`` and ``runs/<study>-augmented``. Differences are paired: of the same seeds and the same drawn speakers
and recordings. ``--write`` keeps the figures in ``benchmarks/results/augmentation_effect.json``.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from sslig import files, stages
from sslig.labels import KEYS
from sslig.report import evaluation, resampled
from sslig.stats import metrics
from sslig.study import Study, load

RESULT = Path(__file__).parent / "results" / "augmentation_effect.json"
EER = {"eer": "spoof_score"}


def studies(path: str, seeds: list[int], augmentation: str) -> dict[str, Study]:
    """The study at `path` without augmentation and with it, both with `seeds`."""
    plain = dataclasses.replace(load(path), seeds=seeds)
    plain = dataclasses.replace(plain, training=dataclasses.replace(plain.training, augmentation=None))
    augmented = dataclasses.replace(plain.training, augmentation=augmentation)
    return {
        "none": plain,
        augmentation: dataclasses.replace(plain, name=f"{plain.name}-augmented", training=augmented),
    }


def scores(study: Study) -> pd.DataFrame:
    """Eval scores of all detectors and seeds, trained where they are not."""
    for detector in reversed(study.detectors):
        for seed in study.seeds:
            start_s = time.monotonic()
            stages.set_scores(study, detector, seed, "eval")
            print(f"{study.name} {detector} seed {seed}: {time.monotonic() - start_s:.0f} s", file=sys.stderr)
    return evaluation.scores_of(study, list(study.detectors), study.seeds)


def compared(found: dict[str, pd.DataFrame], study: Study) -> list[dict[str, Any]]:
    """A row a detector: EER (%) with and without, mean and standard deviation over seeds, and their difference."""
    plain, augmented = found.values()
    means = {
        name: resampled.over_seeds(table, EER, study.evaluation, seed=0).set_index("detector")
        for name, table in found.items()
    }
    rows = []
    for detector in study.detectors:
        sides = [table[table["detector"] == detector] for table in (augmented, plain)]
        difference = resampled.difference(*sides, EER, study.evaluation, seed=0).iloc[0]
        row = {"detector": detector}
        for name, table in means.items():
            row |= {f"{name}_{column}": 100 * table.at[detector, column] for column in ("value", "sd", "low", "high")}
        rows.append(row | {f"change_{column}": 100 * difference[column] for column in ("value", "low", "high")})
    return rows


def _eer(part: pd.DataFrame) -> float:
    bonafide, spoof = (part.loc[part["key"] == key, "spoof_score"] for key in KEYS)
    return metrics.eer(bonafide, spoof)


def by_seed(found: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """A row a training: its EER (%)."""
    return [
        {"augmentation": name, "detector": detector, "seed": int(seed),
         "eer": 100 * _eer(part)}
        for name, table in found.items()
        for (detector, seed), part in table.groupby(["detector", "seed"], sort=False)
    ]  # fmt: skip


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description="Compare training with and without augmentation.")
    parser.add_argument("--experiment", default="experiments/demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--augmentation", default="published")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    asked = parser.parse_args()
    both = studies(asked.experiment, asked.seeds, asked.augmentation)
    found = {name: scores(study) for name, study in both.items()}
    result = {"detectors": compared(found, both["none"]), "trainings": by_seed(found)}
    for rows in result.values():
        print(pd.DataFrame(rows).round(1).to_string(index=False), end="\n\n")
    if asked.write:
        values = {name: value for name, value in vars(asked).items() if name != "write"}
        files.write_json(RESULT, {"asked": values, **result})


if __name__ == "__main__":
    main()
