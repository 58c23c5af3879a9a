"""Measures attribution methods: processor time and memory of each beside plain Integrated Gradients, and how far they
add up.

Run it from the repository: ``python benchmarks/bench_methods.py [--experiment experiments/demo.yaml] [--utterances N]``
with ``--write`` to keep the result. It explains the first explained utterances of a study on one thread; the pipeline
makes what is missing of the study.
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

from sslig import files, pipeline, scoring
from sslig.attribution.context import load as load_context
from sslig.attribution.explanation import summary
from sslig.attribution.methods import explain, offered
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.models.detector import Detector
from sslig.study import Scoring, Study, load

RESULTS = Path(__file__).parent / "results"
DEMO = Path(__file__).parents[1] / "experiments" / "demo.yaml"
REFERENCE = "ig"


def records(study: Study, name: str, seed: int, n: int, methods: list[str] | None) -> pd.DataFrame:
    """A row an utterance and method. Methods take turns on an utterance, so that other load affects them alike."""
    chosen, corpus = {"detectors": [name], "seeds": [seed]}, pipeline.corpus_root(study)
    paths = {file: pipeline.files(study, file, **chosen)[name, seed] for file in ("detector", "baseline", "nonspeech")}
    model, rows = Detector.from_pretrained(paths["detector"]), []
    context = load_context(study, seed, model, corpus, paths["baseline"], paths["nonspeech"])
    eval_set = protocol.load_set(corpus, "eval")
    utterances = stratified(eval_set, study.attribution.utterances, study.corpus.seed).head(n)
    for row, waveform in scoring.one_by_one(utterances, model, Scoring(), "cpu")[0]:
        for method in offered(model, methods):
            start = time.process_time()
            record = explain(method, model, waveform, context.of(row["utterance"])).record()
            record |= {"seconds": time.process_time() - start, "method": method.spec, "utterance": row["utterance"]}
            rows.append(record | {"frames": model.clock.n_frames(waveform.shape[1])})
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table a detector, and write them on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", default=str(DEMO))
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--methods", nargs="*", help="by default all")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study, figures = load(arguments.experiment), {}
    for name in study.detectors:
        explained = records(study, name, study.seeds[0], arguments.utterances, arguments.methods)
        table = summary(explained).set_index("method")
        table["times_ig"] = table["seconds_median"] / table.loc[REFERENCE, "seconds_median"]
        table["mib_times_ig"] = table["peak_mib_worst"] / table.loc[REFERENCE, "peak_mib_worst"]
        figures[name] = table.round(6).to_dict(orient="index")
        frames = f"{explained['frames'].min()} to {explained['frames'].max()} frames"
        print(f"\n{study.name}, {name}: {arguments.utterances} utterances of {frames}")
        print(table.to_string(float_format="{:.4g}".format))
    if arguments.write:
        machine = platform.processor() or platform.machine()
        about = {"machine": machine, "torch": torch.__version__, "captum": captum.__version__, "threads": 1}
        about |= {"utterances": arguments.utterances, "figures": figures}
        files.write_json(RESULTS / f"methods_{study.name}.json", about)


if __name__ == "__main__":
    main()
