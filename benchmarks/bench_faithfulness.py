"""Measures what faithfulness costs: processor time of curves, removals and sanity checks for one method and utterance.

Run it from the repository: ``python benchmarks/bench_faithfulness.py [--geometry demo|wavlm-base] [--draws N]``, with
``--write`` to store the result. Weights are random and the sound is noise; neither changes how long it takes, but for
Integrated Gradients, which may need more points. Time is processor time on one thread.
"""

import argparse
import os
import platform
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sslig import files
from sslig.attribution.baselines import zero
from sslig.attribution.context import Context
from sslig.attribution.methods import explain_head
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import HEADS, Detector
from sslig.study import Attribution, load
from sslig.validation import faithfulness, sanity
from sslig.validation.faithfulness import INTERPOLATION, PROFILES, Scores, in_features, in_waveform
from sslig.validation.statistics import Controls

DURATION_S = 3.3
RESULTS = Path(__file__).parent / "results"


def backbone(geometry: str) -> dict:
    """Values of the encoder: the demo's, or those of WavLM Base."""
    demo = Path(__file__).parents[1] / "experiments" / "demo.yaml"
    return dict(load(demo).backbone) if geometry == "demo" else {"model_type": "wavlm"}


def seconds(call) -> float:
    """Processor time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(detector: Detector, draws: int) -> dict[str, float]:
    """Seconds of each measure of one utterance and one map, which is noise except where making it is measured."""
    n_samples = detector.clock.n_samples(detector.clock.n_frames(int(DURATION_S * SAMPLE_RATE_HZ)))
    waveform = 0.1 * torch.randn(1, n_samples, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = detector.features(waveform)
    head, n_frames = detector.head, features.shape[2]
    controls = Controls(detector.read_frames(n_frames), draws, seed=0)
    frames = np.random.default_rng(0).standard_normal(n_frames)
    profiles = {PROFILES[0]: zero(detector.backbone.n_layers, detector.backbone.feature_size).values}
    context = Context({}, options=Attribution(max_steps=64))

    def explained(changed: nn.Module, given: Tensor = features) -> np.ndarray:
        return explain_head("ig(baseline=zero, space=features)", changed, given, context).by_frame

    def scores_of(changed: nn.Module) -> Scores:
        return in_features(changed, features, INTERPOLATION, {})

    def points(insertion: bool) -> None:
        scores = in_features(head, features, PROFILES[0], profiles)
        faithfulness.curves(scores, frames, 1, controls, insertion=insertion)

    def removed() -> None:
        stretches = faithfulness.removals(scores_of(head), n_frames, controls.n_read, controls.generator())
        faithfulness.infidelity(stretches, np.repeat(frames[None], 1 + draws, axis=0))

    slow = {("waveform", INTERPOLATION): in_waveform(detector, waveform, 0)}
    calls = {
        "explanation (IG)": lambda: explained(head),
        "deletion": lambda: points(insertion=False),
        "deletion and insertion": lambda: points(insertion=True),
        "removals": removed,
        "deletion in the waveform, 2 points": lambda: faithfulness.rows(slow, {"map": frames}, 1, controls, fast=True),
        "randomised parameters (IG)": lambda: sanity.randomisation(
            explained, head, sanity.backward_order(head, features), n_frames, scores_of, controls
        ),
        "shifts of features (IG)": lambda: sanity.shifted(
            "shift_features", lambda k: explained(head, features[:, :, k:].contiguous()), controls
        ),
    }
    points(insertion=False)  # the first pass warms up
    return {name: seconds(call) for name, call in calls.items()}


def main() -> None:
    """Print a table, and write it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--geometry", choices=["demo", "wavlm-base"], default="demo")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for head in HEADS:
        torch.manual_seed(0)
        rows[head] = measure(Detector(backbone(arguments.geometry), head).eval(), arguments.draws)
    table = pd.DataFrame(rows)
    print(f"{arguments.geometry}: s a method and utterance of {DURATION_S:g} s, {arguments.draws} controls")
    print(table.round(3).to_string())
    if arguments.write:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
        files.write_json(
            RESULTS / f"faithfulness_{arguments.geometry}.json", about | {"figures": table.round(4).to_dict()}
        )


if __name__ == "__main__":
    main()
