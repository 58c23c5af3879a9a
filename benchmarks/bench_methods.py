"""Measures attribution methods: processor time and memory of each beside plain Integrated Gradients, and how far they
add up.

Run it from the repository: ``python benchmarks/bench_methods.py [--experiment experiments/demo.yaml] [--utterances N]``
with ``--write`` to keep the result. It explains the first explained utterances of a study on one thread; the pipeline
makes what is missing of the study. With ``--geometry HEAD`` it needs no study: it gives processor seconds per second of
audio for a head on an encoder of the size of WavLM Base+, with random weights, that hears two seconds of noise.
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
from transformers import WavLMConfig

from sslig import files, pipeline, scoring
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import BONAFIDE_MEAN, NONSPEECH, Context, Draw
from sslig.attribution.context import load as load_context
from sslig.attribution.explanation import summary
from sslig.attribution.methods import explain, offered
from sslig.attribution.target import SPACES, view
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.models.detector import Detector
from sslig.study import Attribution, Scoring, Study, load

RESULTS = Path(__file__).parent / "results"
DEMO = Path(__file__).parents[1] / "experiments" / "demo.yaml"
REFERENCE = "ig"
HEADS = {"aasist": {}, "camhfa": {"context": 5}, "sls": {}}
DURATION_S, STEPS = 2.0, 8


def geometry_costs(head: str, methods: list[str] | None) -> pd.DataFrame:
    """A row a method: processor seconds per second of audio, with paths of `STEPS` steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Detector(WavLMConfig().to_diff_dict() | {"model_type": "wavlm"}, head, HEADS[head]).eval()
        waveforms = 0.1 * torch.randn(9, 1, model.clock.n_samples(round(DURATION_S * 50)))
    inputs = [{space: view(model, waveform, space)[1][0] for space in SPACES} for waveform in waveforms[1:]]
    draws = tuple(Draw(k % 2, each) for k, each in enumerate(inputs))
    mean = Baseline("mean", inputs[0]["features"].mean(dim=1), {}, inputs[0]["recording"].mean(dim=1))
    context = Context({BONAFIDE_MEAN: mean, NONSPEECH: mean}, draws, Attribution(min_steps=STEPS, max_steps=STEPS))
    rows = []
    for method in offered(model, methods):
        start = time.process_time()
        steps = explain(method, model, waveforms[0], context).steps
        cost_s = (time.process_time() - start) / DURATION_S
        rows.append({"head": head, "method": method.spec, "steps": steps, "s_per_s": cost_s})
        print(f"{head}\t{method.spec}\t{steps}\t{cost_s:.2f}", flush=True)
    return pd.DataFrame(rows)


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
    parser.add_argument("--geometry", choices=HEADS, help="a head on random weights of the size of WavLM Base+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.geometry:
        geometry_costs(arguments.geometry, arguments.methods)
        return
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
