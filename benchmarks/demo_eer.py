"""Eval EER of the demo's detectors over training seeds and processors.

Run it from the repository: ``python benchmarks/demo_eer.py``. The rows of ``benchmarks/results/demo_eer.tsv`` that are
there stay, and the others are made; delete the file to measure anew. ``cpu`` is ``ATEN_CPU_CAPABILITY``, which limits
the instructions that torch uses: other instructions round differently, and training amplifies that. Trained detectors
stay in ``runs/demo-eer/<cpu>/``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import pandas as pd

from sslig import files, pipeline, scores
from sslig.stats import metrics
from sslig.study import Study, load

RESULT = Path(__file__).parent / "results" / "demo_eer.tsv"
COLUMNS = ["detector", "seed", "cpu", "eer_percent"]
SEEDS = (0, 1, 2)
CPUS = ("native", "avx2", "default")


def rows() -> pd.DataFrame:
    """The rows that are there."""
    return pd.read_csv(RESULT, sep="\t") if RESULT.is_file() else pd.DataFrame(columns=COLUMNS)


def settings() -> list[tuple[int, str]]:
    """Seeds and processors: first those of one seed or of the native processor, then the others."""
    return sorted(product(SEEDS, CPUS), key=lambda pair: (pair[0] > 0) + (pair[1] != "native"))


def run_folder(study: Study, cpu: str, name: str, seed: int) -> Path:
    """The folder of one trained detector."""
    return study.root / "runs" / f"{study.name}-eer" / cpu / name / f"seed{seed}"


def measure(study: Study, name: str, seed: int, cpu: str) -> float:
    """The EER in percent of one detector on *eval*; it is trained unless it is there."""
    from sslig.pipeline.score import score
    from sslig.pipeline.train import train

    run, first = run_folder(study, cpu, name, seed), study.training.encoder
    if not (run / "training.json").is_file():
        start = None if first in (None, name) else run_folder(study, cpu, first, seed) / "detector"
        train(study, name=name, seed=seed, corpus=study.corpus_root, output=run, start=start)
    with tempfile.TemporaryDirectory() as folder:
        outputs = {key: Path(folder) / f"{key}.parquet" for key in ("scores", "left_out")}
        arguments = {"name": name, "seed": seed, "detector": run / "detector", "corpus": study.corpus_root}
        score(study, **arguments, set_name="eval", shard="0of1", **outputs)
        table = scores.read(outputs["scores"])
    return 100 * float(metrics.eer(*metrics.by_class(table, "spoof_score")))


def complete(study: Study, seed: int, cpu: str) -> None:
    """Add the missing rows of one seed on this processor, that of the shared encoder first."""
    for name in sorted(study.detectors, key=lambda name: name != study.training.encoder):
        table = rows()
        if ((table["detector"] == name) & (table["seed"] == seed) & (table["cpu"] == cpu)).any():
            continue
        eer_percent = round(measure(study, name, seed, cpu), 2)
        row = pd.DataFrame([(name, seed, cpu, eer_percent)], columns=COLUMNS)
        table = row if table.empty else pd.concat([table, row], ignore_index=True)
        files.write_tsv(RESULT, table.sort_values(COLUMNS[:3], ignore_index=True))
        print(f"{name} seed {seed}, {cpu}: {eer_percent} %", file=sys.stderr)


def main() -> None:
    """Complete the table; each processor setting needs a separate process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="experiments/demo.yaml")
    parser.add_argument("--only", nargs=2, metavar=("SEED", "CPU"), help="in this process, for one seed and processor")
    options = parser.parse_args()
    study = load(options.experiment)
    if options.only:
        complete(study, int(options.only[0]), options.only[1])
        return
    pipeline.corpus_root(study)
    for seed, cpu in settings():
        environment = {key: value for key, value in os.environ.items() if key != "ATEN_CPU_CAPABILITY"}
        environment |= {"OMP_NUM_THREADS": "1"} | ({} if cpu == "native" else {"ATEN_CPU_CAPABILITY": cpu})
        command = [sys.executable, __file__, "--experiment", options.experiment, "--only", str(seed), cpu]
        subprocess.run(command, env=environment, check=True)
    print(rows().to_string(index=False))


if __name__ == "__main__":
    main()
