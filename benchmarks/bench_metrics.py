"""Measures metrics, tables, intervals and agreement on as many scores as ASVspoof 5 eval has.

Run it from the repository: ``python benchmarks/bench_metrics.py [rounds]``. There are two plain ways to compare with:

- *each threshold counted anew*: both error rates from all trials at each threshold, measured on a thousand thresholds
  and scaled to all of them;
- *loops*: trials sorted and counted up once, then one step of a Python loop a threshold for minDCF and one a trial for
  Cllr and actDCF. The official evaluation loops over thresholds for minDCF in that way, and not over trials, so this
  stands in for it from above; it is written here and not its code. The table is measured on some of its groups and
  scaled to the trials of all of them; picking the groups is not counted.
"""

import sys
import time

import numpy as np
import pandas as pd

from sslig.stats import agreement, intervals, metrics
from sslig.stats.metrics import FA_WEIGHT, MISS_WEIGHT
from sslig.study import PAPER

N_BONAFIDE, N_SPOOF, N_SPEAKERS = 138_688, 542_086, 737
N_ATTACKS, N_CODECS, N_DETECTORS = 16, 12, 3
PLAIN_THRESHOLDS = 1000
LOOPED_GROUPS = 24
TABLE = ["attack", "codec", "gender"]


def seconds(function, *args, **kwargs) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def plain_rates(bonafide: np.ndarray, spoof: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(threshold, 2) P_miss and P_fa, counted one threshold at a time."""
    return np.array([[np.mean(bonafide >= threshold), np.mean(spoof < threshold)] for threshold in thresholds])


def looped_summary(bonafide: np.ndarray, spoof: np.ndarray) -> dict[str, float]:
    """All metrics in Python loops over sorted trials."""
    scores = np.concatenate([bonafide, spoof])
    is_bonafide = (np.arange(len(scores)) < len(bonafide))[np.argsort(-scores, kind="stable")]
    p_miss = np.concatenate([[0], np.cumsum(is_bonafide) / len(bonafide)])
    p_fa = np.concatenate([[1], 1 - np.cumsum(~is_bonafide) / len(spoof)])
    nearest = np.argmin(np.abs(p_miss - p_fa))
    best = np.inf
    for miss, fa in zip(p_miss, p_fa, strict=True):
        best = min(best, MISS_WEIGHT * miss + FA_WEIGHT * fa)
    bits = [
        sum(np.log2(1 + np.exp(sign * score)) for score in part) / len(part)
        for sign, part in ((1, bonafide), (-1, spoof))
    ]
    missed = sum(1 for score in bonafide if score > metrics.BAYES_SPOOF_SCORE) / len(bonafide)
    accepted = sum(1 for score in spoof if not score > metrics.BAYES_SPOOF_SCORE) / len(spoof)
    return {
        "eer": (p_miss[nearest] + p_fa[nearest]) / 2,
        "min_dcf": best,
        "act_dcf": MISS_WEIGHT * missed + FA_WEIGHT * accepted,
        "cllr": sum(bits) / 2,
    }


def summary(bonafide: np.ndarray, spoof: np.ndarray) -> dict[str, float]:
    """All metrics by name."""
    return {name: getattr(metrics, name)(bonafide, spoof) for name in metrics.METRICS}


def looped_table(table: pd.DataFrame) -> tuple[float, float]:
    """Seconds that loops would take over all groups of a table, and the largest difference from the metrics."""
    groups = [metrics.by_class(trials) for _, trials in metrics.conditions(table, TABLE)]
    measured = groups[:: len(groups) // LOOPED_GROUPS]
    start = time.perf_counter()
    looped = [looped_summary(*group) for group in measured]
    elapsed_s = time.perf_counter() - start
    ours = [summary(*group) for group in measured]
    difference = (pd.DataFrame(looped)[list(metrics.METRICS)] - pd.DataFrame(ours)).abs().max(axis=None)
    trials = [sum(map(len, group)) for group in groups]
    return elapsed_s * sum(trials) / sum(sum(map(len, group)) for group in measured), difference


def trials(rng: np.random.Generator) -> pd.DataFrame:
    """Scores of one detector with the conditions of ASVspoof 5."""
    n = N_BONAFIDE + N_SPOOF
    attacks = rng.choice([f"A{number}" for number in range(17, 17 + N_ATTACKS)], N_SPOOF)
    return pd.DataFrame(
        {
            "utterance": [f"E_{number:010d}" for number in range(n)],
            "spoof_score": np.concatenate([rng.normal(-1.5, 1, N_BONAFIDE), rng.normal(1.5, 1, N_SPOOF)]),
            "key": np.repeat(["bonafide", "spoof"], [N_BONAFIDE, N_SPOOF]),
            "attack": np.concatenate([np.repeat("-", N_BONAFIDE), attacks]),
            "codec": rng.choice([f"C{number:02d}" for number in range(N_CODECS)], n),
            "gender": rng.choice(["F", "M"], n),
            "speaker": rng.choice([f"E_{number:04d}" for number in range(N_SPEAKERS)], n),
        }
    )


def measure_metrics(table: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print one EER, all metrics and the table of them, beside the plain ways."""
    scores, spoofs = table["spoof_score"].to_numpy(), (table["key"] == "spoof").to_numpy()
    bonafide, spoof = scores[~spoofs], scores[spoofs]
    one_s = seconds(metrics.eer, bonafide, spoof)
    plain_s = seconds(plain_rates, bonafide, spoof, rng.choice(scores, PLAIN_THRESHOLDS))
    plain_s *= len(scores) / PLAIN_THRESHOLDS
    summary_s, looped_s = seconds(summary, bonafide, spoof), seconds(looped_summary, bonafide, spoof)
    table_s = seconds(lambda: [summary(*metrics.by_class(part)) for _, part in metrics.conditions(table, TABLE)])
    loops_s, difference = looped_table(table)
    print(f"one EER, sorted                             {one_s:9.3f} s")
    print(f"one EER, each threshold counted anew        {plain_s:9.0f} s   x {plain_s / one_s:,.0f}  (scaled)")
    print(f"all metrics                                 {summary_s:9.3f} s")
    print(f"all metrics, loops                          {looped_s:9.3f} s   x {looped_s / summary_s:,.0f}")
    print(f"attack x codec x gender                     {table_s:9.3f} s")
    print(f"attack x codec x gender, loops              {loops_s:9.3f} s   x {loops_s / table_s:,.0f}  (scaled)")
    print(f"largest difference between loops and ours   {difference:9.0e}")


def measure_intervals(table: pd.DataFrame, rounds: int) -> None:
    """Print the bootstraps."""
    trials, draws = table.assign(detector="sls", seed=0), {"recordings": False, "seed": 1, "rounds": rounds}
    curves = dict.fromkeys(("eer", "min_dcf"), "spoof_score")
    pair_s = seconds(intervals.table, trials, curves, **draws)
    all_s = seconds(intervals.table, trials, **draws)
    points_s = seconds(intervals.operating_points, table, **draws)
    print(f"bootstrap EER + minDCF, {rounds:5d} rounds        {pair_s:9.1f} s")
    print(f"bootstrap all metrics, {rounds:5d} rounds         {all_s:9.1f} s")
    print(f"bootstrap operating points, {rounds:5d} rounds    {points_s:9.1f} s")


def measure_agreement(table: pd.DataFrame, rng: np.random.Generator, rounds: int) -> None:
    """Print groups, selection, rank correlation and shared errors of three detectors."""
    scores = pd.concat(
        [
            table.assign(detector=name, spoof_score=table["spoof_score"] + rng.normal(0, 0.5, len(table)))
            for name in map("detector {}".format, range(N_DETECTORS))
        ]
    )
    start = time.perf_counter()
    groups = agreement.groups(scores)
    print(f"groups of {N_DETECTORS} detectors                       {time.perf_counter() - start:9.1f} s")
    print(f"selection of the paper                      {seconds(agreement.select, groups, PAPER, seed=1):9.1f} s")
    draws = {"recordings": False, "seed": 1, "rounds": rounds}
    correlation_s = seconds(agreement.rank_correlation, scores, **draws)
    overlap_s = seconds(agreement.shared_errors, scores, **draws)
    print(f"rank correlations, {rounds:5d} rounds             {correlation_s:9.1f} s")
    print(f"shared errors, {rounds:5d} rounds                 {overlap_s:9.1f} s")


def main(rounds: int) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    table = trials(rng)
    print(f"{len(table):,} scores, {N_SPEAKERS} speakers, {N_ATTACKS} attacks, {N_CODECS} codecs, 2 genders")
    measure_metrics(table, rng)
    measure_intervals(table, rounds)
    measure_agreement(table, rng, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
