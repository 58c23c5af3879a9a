"""Measures the metrics on as many scores as ASVspoof 5 eval has: one EER, and 1,000 bootstrap rounds over speakers.

Run it from the repository: ``python benchmarks/bench_metrics.py [rounds]``. The plain way it compares with counts
both error rates anew at each threshold; its time is measured on a thousand thresholds and scaled to all of them.
"""

import sys
import time

import numpy as np

from sslig import metrics
from sslig.intervals import bootstrap

N_BONAFIDE, N_SPOOF, N_SPEAKERS = 138_688, 542_086, 737
PLAIN_THRESHOLDS = 1000


def seconds(function, *args, **kwargs) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def plain_rates(bonafide: np.ndarray, spoof: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(threshold, 2) P_miss and P_fa, counted one threshold at a time."""
    return np.array([[np.mean(bonafide >= threshold), np.mean(spoof < threshold)] for threshold in thresholds])


def main(rounds: int) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(-1.5, 1, N_BONAFIDE), rng.normal(1.5, 1, N_SPOOF)
    scores, labels = np.concatenate([bonafide, spoof]), np.repeat([0, 1], [N_BONAFIDE, N_SPOOF])
    speakers = rng.integers(N_SPEAKERS, size=len(scores))
    thresholds = rng.choice(scores, PLAIN_THRESHOLDS)

    one_s = seconds(metrics.eer, bonafide, spoof)
    plain_s = seconds(plain_rates, bonafide, spoof, thresholds) / PLAIN_THRESHOLDS * len(scores)
    rounds_s = seconds(bootstrap, scores, labels, speakers, ("eer", "min_dcf"), seed=1, rounds=rounds)
    all_s = seconds(bootstrap, scores, labels, speakers, seed=1, rounds=rounds)
    print(f"{len(scores):,} scores, {N_SPEAKERS} speakers")
    print(f"one EER, sorted                       {one_s:10.3f} s")
    print(f"one EER, each threshold counted anew  {plain_s:10.0f} s   x {plain_s / one_s:,.0f}")
    print(f"bootstrap EER + minDCF, {rounds:5d} rounds   {rounds_s:8.1f} s")
    print(f"bootstrap all metrics, {rounds:5d} rounds    {all_s:8.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
