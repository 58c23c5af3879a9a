"""Agreement of maps over training seeds, processors and detectors: Spearman's correlation of frames.

Run it from the repository after ``benchmarks/demo_eer.py``, whose trained detectors it reads:
``python benchmarks/stability.py [--utterances 16] [--method "occlusion(baseline=blurred)"]``. It writes
``benchmarks/results/stability.tsv``: for each pair of runs that differ in one thing alone, the mean correlation of the
maps of the same utterances, and that of maps of different utterances cut to one length, which is what position in the
recording gives by itself.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from demo_eer import CPUS, SEEDS, run_folder
from scipy.stats import spearmanr

from sslig import files, scoring
from sslig.attribution.context import Context
from sslig.attribution.methods import explain
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.models.detector import Detector
from sslig.study import Study, load

RESULT = Path(__file__).parent / "results" / "stability.tsv"
Run = tuple[str, int, str]
"""Detector, seed and processor."""


def maps(study: Study, run: Run, method: str, utterances: pd.DataFrame) -> dict[str, np.ndarray]:
    """The (frame,) map of each utterance by one trained detector."""
    name, seed, cpu = run
    detector = Detector.from_pretrained(run_folder(study, cpu, name, seed) / "detector")
    rows, _ = scoring.one_by_one(utterances, detector, study.scoring, "cpu")
    context = Context(baselines={})
    return {row["utterance"]: explain(method, detector, waveform, context).by_frame for row, waveform in rows}


def differing(first: Run, second: Run) -> str | None:
    """The one thing in which two runs differ, if it is one."""
    things = [name for name, a, b in zip(("detector", "seed", "cpu"), first, second, strict=True) if a != b]
    return things[0] if len(things) == 1 else None


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation over the frames that both maps have."""
    n = min(len(first), len(second))
    return float(spearmanr(first[:n], second[:n]).statistic)


def agreement(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean correlation of maps of the same utterances, and of each with the map of the next utterance."""
    names = list(first)
    others = [*names[1:], names[0]]
    same = [correlation(first[name], second[name]) for name in names]
    swapped = [correlation(first[name], second[other]) for name, other in zip(names, others, strict=True)]
    return {"same_utterance": np.nanmean(same), "other_utterance": np.nanmean(swapped)}


def main() -> None:
    """Write the table and print its means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="experiments/demo.yaml")
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--method", default="occlusion(baseline=blurred)")
    options = parser.parse_args()
    study = load(options.experiment)
    utterances = stratified(protocol.load_set(study.corpus_root, "eval"), options.utterances, study.corpus.seed)
    runs = [(name, seed, cpu) for name in study.detectors for seed in SEEDS for cpu in CPUS]
    runs = [run for run in runs if (run_folder(study, run[2], *run[:2]) / "training.json").is_file()]
    explained = {run: maps(study, run, options.method, utterances) for run in runs}
    rows = []
    for first, second in combinations(runs, 2):
        if thing := differing(first, second):
            about = {"over": thing, "first": "/".join(map(str, first)), "second": "/".join(map(str, second))}
            rows.append(about | agreement(explained[first], explained[second]))
    table = pd.DataFrame(rows).round(3)
    files.write_tsv(RESULT, table)
    print(table.groupby("over")[["same_utterance", "other_utterance"]].agg(["mean", "min", "max"]).round(2).to_string())


if __name__ == "__main__":
    main()
