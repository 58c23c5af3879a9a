"""Check a detector: load it, run one second of noise, say what it is and which methods explain it."""

import argparse
import time
from typing import Any

import torch

from sslig.cli import loaded, main
from sslig.cli.arguments import POINTS
from sslig.cli.loaded import Loaded
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import select_device
from sslig.models.named import describe
from sslig.scoring import evaluating


def run(options: argparse.Namespace) -> int:
    """Print what is known of a detector; exit status 1 where it gives no finite score for noise."""
    detector = loaded.load("", options.detector, options)
    facts = describe(detector.model) | on_noise(detector, select_device(options.device)) | about(detector)
    if options.json:
        main.print_json(facts)
    else:
        width = max(map(len, facts))
        print("\n".join(f"{name:{width}}  {_text(value)}" for name, value in facts.items()))
    return main.DONE if facts["finite"] else main.PARTLY


def on_noise(detector: Loaded, device: torch.device) -> dict[str, Any]:
    """Score, time and frames of one second of noise."""
    noise = 0.1 * torch.randn(1, SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), evaluating(detector.model, device):
        start = time.perf_counter()
        logit = float(detector.model(noise.to(device))[0])
    facts = {"noise_score": logit, "finite": bool(torch.isfinite(torch.tensor(logit)))}
    return facts | {
        "noise_seconds": time.perf_counter() - start,
        "noise_frames": detector.model.clock.n_frames(len(noise[0])),
    }


def about(detector: Loaded) -> dict[str, Any]:
    """Calibration, operating points with their thresholds, and methods that apply."""
    from sslig.cli.explain import explaining

    thresholds = {}
    for point in POINTS:
        try:
            thresholds[point] = detector.threshold(point)
        except InputError:
            continue
    calibration = None if detector.calibration is None else detector.calibration.record()
    return {"calibration": calibration, "thresholds": thresholds, "methods": explaining(detector)}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
