"""Measures on a GPU what each step of a study costs there, and whether it computes what a CPU computes.

One self-contained command, which ends within nine minutes: ``python benchmarks/gpu.py``. It needs no data: detectors
have the geometry of wavlm-base-plus and random weights, utterances are noise of 4 s. It prints one table and, with
``--write``, keeps it as JSON and as the table of the book's page on costs. ``--device cpu --tiny`` tries the command.

A row is a step: utterances an hour, peak GPU memory, and for explanations the ratio to scoring in the same batch. The
last rows are the largest differences between GPU and CPU: of a score, in logits, and of a map, relative to its peak.
"""

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bench_explain as explain
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sslig import files
from sslig.attribution.methods import explain_batch, parse
from sslig.attribution.target import FEATURES, RECORDING
from sslig.models.detector import HEADS, Detector
from sslig.study import Attribution

RESULT = Path(__file__).parent / "results" / "gpu.json"
PAGE = Path(__file__).parents[1] / "book" / "costs_gpu.md"
LIMIT_S = 480
"""No step begins later than that."""

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16}
SIZES = {"score": (1, 8, 32, 128), "train": (16, 64), "explain": (1, 16)}
TINY_SIZES = {"score": (1, 2), "train": (2,), "explain": (2,)}
"""Batch sizes by step."""

COLUMNS = ["step", "head", "precision", "batch", "utterances_per_hour", "peak_gib", "ratio_to_score", "difference"]
Row = dict[str, Any]
Sizes = Mapping[str, tuple[int, ...]]


def measured(work: Callable[[], Any], device: str, n_utterances: int, repeats: int) -> Row:
    """Utterances an hour and peak memory of work on a batch, after one turn that does not count."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = explain.fastest({"work": work}, device, repeats)["work"]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
    return {"utterances_per_hour": 3600 * n_utterances / max(seconds, 1e-9), "peak_gib": peak}


def scoring(detector: Detector, waveforms: torch.Tensor, precision: str) -> Callable[[], Any]:
    """The pass that scores a batch."""
    dtype = PRECISIONS[precision]

    @torch.inference_mode()
    def work() -> torch.Tensor:
        with torch.autocast(waveforms.device.type, dtype=dtype, enabled=dtype is not None):
            return detector(waveforms)

    return work


def training(detector: Detector, waveforms: torch.Tensor, precision: str) -> Callable[[], Any]:
    """One step of AdamW on a batch of both classes, the encoder included."""
    dtype, optimiser = PRECISIONS[precision], torch.optim.AdamW(detector.parameters(), 1e-6)
    labels = (torch.arange(len(waveforms), device=waveforms.device) % 2).float()

    def work() -> None:
        detector.train()
        with torch.autocast(waveforms.device.type, dtype=dtype, enabled=dtype is not None):
            loss = binary_cross_entropy_with_logits(detector(waveforms).float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        detector.eval()

    return work


def explaining(detector: Detector, waveforms: torch.Tensor, space: str) -> Callable[[], Any]:
    """Integrated Gradients of a batch in one of the spaces."""
    steps = explain.STEPS[space]
    context = explain.mean_of(detector, waveforms, Attribution(min_steps=steps, max_steps=steps))
    contexts = [context] * len(waveforms)
    return lambda: explain_batch(parse(f"ig(space={space})"), detector, waveforms, contexts)


def steps(
    device: str, build: Callable[..., Detector], noise: Callable[..., torch.Tensor], repeats: int, sizes: Sizes
) -> Iterator[Row]:
    """A row a step and batch size; what does not fit into memory has no figures."""
    plans = [("score", scoring, "camhfa"), ("train", training, "camhfa"), ("train", training, "aasist")]
    for step, work, head in plans:
        for precision, batch in itertools.product(PRECISIONS, sizes[step]):
            about = {"step": step, "head": head, "precision": precision, "batch": batch}
            made = functools.partial(work, build(head, device), noise(batch, device), precision)
            yield about | attempt(made, device, batch, repeats)
    for space, head, batch in itertools.product((FEATURES, RECORDING), sorted(HEADS), sizes["explain"]):
        detector, waveforms = build(head, device), noise(batch, device)
        row = attempt(functools.partial(explaining, detector, waveforms, space), device, batch, repeats)
        score = attempt(functools.partial(scoring, detector, waveforms, "32-true"), device, batch, repeats)
        ratio = {"ratio_to_score": score["utterances_per_hour"] / row["utterances_per_hour"]}
        yield {"step": f"explain {space}", "head": head, "precision": "32-true", "batch": batch} | row | ratio


def attempt(make: Callable[[], Callable[[], Any]], device: str, n_utterances: int, repeats: int) -> Row:
    """`measured`, or no figures where the memory of the GPU does not suffice."""
    try:
        return measured(make(), device, n_utterances, repeats)
    except torch.cuda.OutOfMemoryError:
        return {"utterances_per_hour": float("nan"), "peak_gib": float("nan")}
    finally:
        if device == "cuda":
            torch.cuda.empty_cache()


def differences(device: str, build: Callable[..., Detector], noise: Callable[..., torch.Tensor]) -> Iterator[Row]:
    """The largest difference of a score, in logits, and of a map, relative to its peak, from the CPU, by head."""
    for head in sorted(HEADS):
        results = []
        for place in (device, "cpu"):
            detector, waveforms = build(head, place), noise(1, place)
            explanation = explaining(detector, waveforms, FEATURES)()[0]
            results.append((scoring(detector, waveforms, "32-true")().item(), explanation.by_frame))
        (score, by_frame), (expected, reference) = results
        about = {"head": head, "precision": "32-true", "batch": 1}
        yield about | {"step": "score differs from CPU", "difference": abs(score - expected)}
        share = float(abs(by_frame - reference).max() / abs(reference).max())
        yield about | {"step": "map differs from CPU", "difference": share}


def run(
    device: str, geometry: dict[str, Any], sizes: Sizes, *, seconds: float, repeats: int, limit_s: float
) -> pd.DataFrame:
    """The table of `COLUMNS`, as far as the time allows."""
    build = functools.partial(explain.build, geometry=geometry)
    rows, start = [], time.monotonic()

    def noise(batch: int, place: str) -> torch.Tensor:
        return explain.noise(batch, seconds, place)

    for row in itertools.chain(differences(device, build, noise), steps(device, build, noise, repeats, sizes)):
        rows.append(row)
        print({name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}, flush=True)
        if time.monotonic() - start > limit_s:
            print(f"{limit_s:g} s are over: the other steps are left out")
            break
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def main() -> None:
    """Print the table, and keep it on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit-s", type=float, default=LIMIT_S)
    parser.add_argument("--tiny", action="store_true", help="a tiny encoder and small batches, to try the command")
    parser.add_argument("--write", action="store_true", help=f"keep {RESULT.name} and the table of the book")
    arguments = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    geometry, sizes = (explain.TINY, TINY_SIZES) if arguments.tiny else (explain.BASE_PLUS, SIZES)
    options = {"seconds": arguments.seconds, "repeats": arguments.repeats, "limit_s": arguments.limit_s}
    table = run(arguments.device, geometry, sizes, **options)
    print(table.to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    if arguments.write:
        name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
        files.write_json(
            RESULT, {"device": name, "torch": torch.__version__, "rows": json.loads(table.to_json(orient="records"))}
        )
        shown = table.to_markdown(index=False, floatfmt=".4g", missingval="")
        PAGE.write_text(f"Measured on {name} with torch {torch.__version__}.\n\n{shown}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
