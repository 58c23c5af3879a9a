"""Measures attribution methods: seconds and memory of each beside plain Integrated Gradients, and how far they add up.

Run it from the repository: ``python benchmarks/bench_methods.py [--experiment experiments/demo.yaml] [--utterances N]``
with ``--write`` to keep the result. It explains the first explained utterances of a study, whose detectors are trained
first where they are not. Seconds are processor time on one thread. captum's DeepLIFT is forced on every head too, to
show what it would give.
"""

import argparse
import os
import platform
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import captum
import pandas as pd
import torch

from sslig import files, scoring, stages
from sslig.attribution import certificates, costs, gradients
from sslig.attribution.contexts import BONAFIDE_MEAN
from sslig.attribution.methods import explain_by, offered
from sslig.models.detector import Detector
from sslig.stages.explaining import context
from sslig.study import Scoring, load

RESULTS = Path(__file__).parent / "results"
DEMO = Path(__file__).parents[1] / "experiments" / "demo.yaml"
REFERENCE = "ig"


def explained(experiment, name: str, seed: int, n: int, methods: list[str] | None) -> pd.DataFrame:
    """A row an utterance and method: `certificates.COLUMNS`; all methods of an utterance in turn, so that what else
    the machine does hits them alike."""
    model = Detector.from_pretrained(stages.checkpoint(experiment, name, seed))
    prepared, rows = context(experiment, name, seed), []
    utterances = stages.explained(experiment).head(n)
    with scoring.evaluating(model, "cpu"):
        for batch in scoring.batches(utterances, model, Scoring(batch_size=1))[0]:
            utterance = utterances.iloc[batch.rows[0]]["utterance"]
            with torch.no_grad():
                features = model.features(batch.waveforms)
            told = {"detector": name, "utterance": utterance, "frames": features.shape[2]}
            for method in offered(model.head, methods):
                start = time.process_time()
                found = explain_by(method, model.head, features, prepared.of(utterance))
                taken = {"method": method.spec, "seconds": time.process_time() - start}
                rows.append(told | certificates.row(found) | taken)
            rows.append(told | {"method": "deeplift (forced)"} | forced(model.head, features, prepared))
    return pd.DataFrame(rows)


def forced(head: torch.nn.Module, features: torch.Tensor, prepared) -> dict[str, object]:
    """What captum's DeepLIFT says of a head that its rules do not cover."""
    start = time.process_time()
    with costs.measured(features.device) as cost:
        found = gradients.deeplift(head, features, prepared, baseline=BONAFIDE_MEAN)
    relative = abs(found.residual / (found.spoof_score - found.baseline_score))
    held = {name: getattr(found, name, None) for name in certificates.COLUMNS}
    held |= {"relative_residual": relative, "seconds": time.process_time() - start, "peak_mib": cost.peak_mib}
    return {name: float("nan") if value is None else value for name, value in held.items()}


def main() -> None:
    """Print a table a detector, and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", default=str(DEMO))
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--methods", nargs="*", help="by default all")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    experiment = load(arguments.experiment)
    seed, tables = experiment.seeds[0], {}
    for name in experiment.detectors:
        found = explained(experiment, name, seed, arguments.utterances, arguments.methods)
        table = certificates.summary(found, ["method"]).set_index("method")
        reference = table.loc[REFERENCE]
        table["times_ig"] = table["seconds_median"] / reference["seconds_median"]
        table["mib_times_ig"] = table["peak_mib_worst"] / reference["peak_mib_worst"]
        tables[name] = table
        frames = f"{found['frames'].min()} to {found['frames'].max()} frames"
        print(f"\n{experiment.name}, {name}: {arguments.utterances} utterances of {frames}")
        print(table.to_string(float_format=lambda value: f"{value:.4g}"))
    if arguments.write:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__,
                 "captum": captum.__version__, "threads": 1, "utterances": arguments.utterances}  # fmt: skip
        figures = {name: table.round(6).to_dict(orient="index") for name, table in tables.items()}
        files.write_json(RESULTS / f"methods_{experiment.name}.json", about | {"figures": figures})


if __name__ == "__main__":
    main()
