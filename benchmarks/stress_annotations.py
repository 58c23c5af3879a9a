"""Measure whether annotators who write at once lose anything, and what a change costs.

    python benchmarks/stress_annotations.py [--annotators 20] [--changes 1000] [--kills 10]

Every annotator is a process that appends its changes to one store as fast as it can. Then, `kills` times, a writer is
killed with SIGKILL while it writes: every change whose append had returned must be in the store.
"""

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sslig.annotation.store import Store

WRITER = """
import sys, time
from sslig.annotation.store import Store
path, annotator, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path) as store:
    for number in range(n):
        began = time.perf_counter()
        store.append(annotator, f"item {number % 50}", "A.comment", f"{annotator} says {number}")
        print(time.perf_counter() - began, flush=True)
"""


def writer(path: Path, annotator: str, n: int) -> subprocess.Popen:
    """Start a process that appends `n` changes and prints the duration of each once it is stored."""
    command = [sys.executable, "-c", WRITER, str(path), annotator, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def at_once(path: Path, n_annotators: int, n_changes: int) -> None:
    """Let all annotators write at once, and print what was lost and how long a change took."""
    began = time.perf_counter()
    writers = [writer(path, f"annotator {number}", n_changes) for number in range(n_annotators)]
    outputs = [process.communicate()[0] for process in writers]
    wall_s = time.perf_counter() - began
    took_ms = 1000 * np.array([float(line) for output in outputs for line in output.splitlines()])
    with Store(path, read_only=True) as store:
        expected = [f"{{}} says {number}" for number in range(n_changes)]
        lost = sum(
            [change.value for change in store.history(f"annotator {number}")]
            != [text.format(f"annotator {number}") for text in expected]
            for number in range(n_annotators)
        )
        stored = len(store.history())
    failed = sum(process.returncode != 0 for process in writers)
    print(
        f"{n_annotators} annotators x {n_changes:,} changes: {stored:,} of {n_annotators * n_changes:,} stored, "
        f"{lost} annotators with a gap or another order, {failed} processes failed"
    )
    print(
        f"wall {wall_s:.1f} s, {stored / wall_s:,.0f} changes a second; a change: median "
        f"{np.median(took_ms):.2f} ms, 99 % within {np.quantile(took_ms, 0.99):.0f} ms, "
        f"slowest {took_ms.max():.0f} ms"
    )
    check = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0]
    print(f"file {path.stat().st_size / 2**20:.1f} MiB, integrity check: {check}")


def killed(folder: Path, kills: int, rng: np.random.Generator) -> None:
    """Kill writers at random moments, and print how many stored changes are missing."""
    lost, stored = 0, 0
    for number in range(kills):
        path = folder / f"killed{number}.sqlite"
        process = writer(path, "Ann", 1_000_000)
        lines = [process.stdout.readline()]
        time.sleep(rng.uniform(0.05, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.communicate()[0].splitlines()
        complete = sum(bool(line.strip()) for line in lines)
        with Store(path) as store:
            values = [change.value for change in store.history("Ann")]
        stored += complete
        lost += max(0, complete - len(values)) + (values != [f"Ann says {at}" for at in range(len(values))])
    print(f"{kills} writers killed with SIGKILL: {lost} of {stored:,} changes that were reported as stored are missing")


def alone(folder: Path, n: int = 500) -> None:
    """Print what a change costs a single annotator, and opening and reading a store of many."""
    with Store(folder / "alone.sqlite") as store:
        began = time.perf_counter()
        for number in range(n):
            store.append("Ann", f"item {number % 50}", "A.comment", f"says {number}")
        print(f"alone: {1000 * (time.perf_counter() - began) / n:.2f} ms a change")
    began = time.perf_counter()
    with Store(folder / "all.sqlite") as store:
        opened_s = time.perf_counter() - began
        for annotator in store.annotators():
            store.states(annotator)
    print(
        f"open {1000 * opened_s:.1f} ms; state of all items of all annotators after "
        f"{1000 * (time.perf_counter() - began):.0f} ms"
    )


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", help="where the stores lie; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        at_once(folder / "all.sqlite", options.annotators, options.changes)
        killed(folder, options.kills, np.random.default_rng(0))
        alone(folder)


if __name__ == "__main__":
    main()
