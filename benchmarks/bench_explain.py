"""Measures what an explanation costs beside scoring, and beside a plain call of captum, in both spaces, for all heads.

Run it from the repository: ``python benchmarks/bench_explain.py [--device cuda] [--write]``. Detectors have the
geometry of wavlm-base-plus and random weights; utterances are noise of 4 s. Paths over features take 16 steps and those
over the recording 8. The kinds of work take turns, and the fastest turn of each counts: on a CPU in processor time of
one thread, so that other load on the machine matters little. All times are seconds an utterance:

- ``score_s``: the pass that scores;
- ``explain_s``: Integrated Gradients of what the method explains, once that is known, with its certificate;
- ``captum_s``: a batch-first call of captum with as many Gauss-Legendre points, the same start and frozen nodes, in
  passes of as many rows;
- ``ratio_to_score``: scoring and explaining together, as `explain_batch` does it, over scoring;
- ``memory_ratio``: peak memory of captum's call over that of ours;
- ``max_difference``: largest difference of a frame, relative to the peak, from captum with the same points.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from sslig import files
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.explanation import Explanation, measured
from sslig.attribution.methods import explain_batch, parse
from sslig.attribution.paths import integrate_all, quadrature
from sslig.attribution.target import FEATURES, RECORDING, Target, view, without_gradients
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import HEADS, Detector
from sslig.study import Attribution

RESULT = Path(__file__).parent / "results" / "explain.tsv"
BASE_PLUS = {"model_type": "wavlm"}
TINY = {"model_type": "wavlm", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
HEAD_VALUES = {"aasist": {}, "camhfa": {"context": 5}, "sls": {}}
STEPS = {FEATURES: 16, RECORDING: 8}
"""Steps of a path: a number that does not depend on what random weights make of it."""

COLUMNS = ("device", "space", "head", "score_s", "explain_s", "captum_s", "ratio_to_score", "speedup_over_captum")
COLUMNS = (*COLUMNS, "memory_ratio", "max_difference")


def build(head: str, device: str, geometry: dict[str, Any] = BASE_PLUS) -> Detector:
    """A detector with random weights, the same each time."""
    torch.manual_seed(0)
    return Detector(geometry, head, HEAD_VALUES[head]).to(device).eval()


def noise(n_utterances: int, seconds: float, device: str) -> torch.Tensor:
    """(utterance, samples) Noise that is trimmed to whole frames."""
    generator = torch.Generator().manual_seed(1)
    n_samples = 320 * (round(seconds * SAMPLE_RATE_HZ) // 320 - 1) + 400
    return 0.1 * torch.randn(n_utterances, n_samples, generator=generator).to(device)


def mean_of(detector: Detector, waveforms: torch.Tensor, options: Attribution) -> Context:
    """A context whose baseline is the mean of other noise, in both spaces."""
    with torch.no_grad():
        convolutions = detector.convolutions(waveforms[:1].flip(1))
        mean = detector.encode(convolutions).mean(dim=(0, 2)).cpu()  # (layer, feature)
    return Context({BONAFIDE_MEAN: Baseline("mean", mean, {}, convolutions.mean(dim=(0, 1))[None].cpu())}, (), options)


def seconds_of(work: Callable[[], Any], device: str) -> float:
    """Seconds that work takes: of the processor on a CPU, on the clock on a GPU."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def fastest(works: dict[str, Callable[[], Any]], device: str, repeats: int) -> dict[str, float]:
    """The fewest seconds of each kind of work; kinds take turns after one turn that does not count."""
    turns = [{name: seconds_of(work, device) for name, work in works.items()} for _ in range(1 + repeats)]
    return {name: min(turn[name] for turn in turns[1:]) for name in works}


def by_captum(target: Target, n_points: int) -> torch.Tensor:
    """(layer, frame, feature) Integrated Gradients by a plain call of captum."""
    from captum.attr import IntegratedGradients

    rows = {"n_steps": n_points, "internal_batch_size": target.rows_at_once}
    return IntegratedGradients(target.logit).attribute(target.x, target.starts, **rows)[0]


def difference(target: Target, explanation: Explanation) -> float:
    """The largest difference of a frame from captum with the same points, relative to the peak."""
    from captum.attr import IntegratedGradients

    points, weights = quadrature(explanation.steps, like=target.x)
    expected = torch.zeros(target.x.shape[2], dtype=torch.float64)
    for few, shares in zip(points.split(target.rows_at_once), weights.split(target.rows_at_once), strict=True):
        rule = {"n_steps": len(few), "step_sizes_and_alphas": (shares.tolist(), few.tolist())}
        part = IntegratedGradients(target.logit)._attribute((target.x,), (target.starts,), **rule)[0]
        expected += part[0].detach().double().sum(dim=(0, 2)).cpu()
    return float(np.abs(explanation.by_frame - expected.numpy()).max() / expected.abs().max())


def costs(
    detector: Detector, space: str, waveforms: torch.Tensor, device: str, repeats: int, steps: int
) -> dict[str, Any]:
    """One row of the table, with the steps and the error of the map beside `COLUMNS`."""
    method, options = parse(f"ig(space={space})"), Attribution(min_steps=steps, max_steps=steps)
    context = mean_of(detector, waveforms, options)
    contexts = [context] * len(waveforms)
    with without_gradients(detector):
        head, x = view(detector, waveforms, space)

        def targets() -> list[Target]:
            return [method.target(head, row, context, detector.clock) for row in x.split(1)]

        explanations = integrate_all(targets(), options)
        works = {
            "score": torch.inference_mode()(lambda: detector(waveforms)),
            "both": lambda: explain_batch(method, detector, waveforms, contexts),
            "explain": lambda: integrate_all(targets(), options),
            "captum": lambda: [by_captum(target, steps - 1) for target in targets()],
        }
        seconds = {name: value / len(waveforms) for name, value in fastest(works, device, repeats).items()}
        peaks = {}
        for name in ("explain", "captum"):
            with measured(x.device) as cost:
                works[name]()
            peaks[name] = cost.peak_mib
        worst = max(difference(*pair) for pair in zip(targets(), explanations, strict=True))
    return {
        "score_s": seconds["score"],
        "explain_s": seconds["explain"],
        "captum_s": seconds["captum"],
        "ratio_to_score": seconds["both"] / seconds["score"],
        "speedup_over_captum": seconds["captum"] / seconds["explain"],
        "memory_ratio": peaks["captum"] / max(peaks["explain"], 1.0),
        "max_difference": worst,
        "steps": steps,
        "map_error": max(explanation.map_error for explanation in explanations),
    }


def table(
    device: str,
    geometry: dict[str, Any],
    n_utterances: int,
    seconds: float,
    repeats: int,
    steps: dict[str, int] = STEPS,
) -> pd.DataFrame:
    """`COLUMNS`, steps and error of the map, a row a space and head."""
    rows, waveforms = [], noise(n_utterances, seconds, device)
    for space, head in itertools.product((FEATURES, RECORDING), sorted(HEADS)):
        detector, about = build(head, device, geometry), {"device": device, "space": space, "head": head}
        rows.append(about | costs(detector, space, waveforms, device, repeats, steps[space]))
        print(
            {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in rows[-1].items()},
            flush=True,
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table, and write it on request: rows of another device stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--utterances", type=int, default=1, help="of one length, in one batch")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a tiny encoder, to try the command")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    geometry = TINY if arguments.tiny else BASE_PLUS
    rows = table(arguments.device, geometry, arguments.utterances, arguments.seconds, arguments.repeats)
    print(rows.to_string(index=False, float_format="{:.3g}".format))
    if arguments.write:
        stored = pd.read_csv(RESULT, sep="\t") if RESULT.exists() else pd.DataFrame(columns=COLUMNS)
        others = stored[stored["device"] != arguments.device]
        files.write_tsv(RESULT, pd.concat([others, rows[list(COLUMNS)]]) if len(others) else rows[list(COLUMNS)])


if __name__ == "__main__":
    main()
