"""The evidence of detectors in time and frequency: a picture, and what is heard of it and without it."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from sslig import audio
from sslig.cli import gallery
from sslig.cli.loaded import Loaded
from sslig.files import atomic, write_json
from sslig.scoring import evaluating
from sslig.widgets.bench import in_frequency
from sslig.widgets.recording import ExplainedRecording

HEARD = ("only", "without")


def write(
    folder: Path, recording: ExplainedRecording, detectors: Sequence[Loaded], device: torch.device, passes: int
) -> None:
    """Write the map of each detector within `passes` forward passes (`sslig.attribution.grids`).

    Files are ``.frequency.png``, ``.frequency.json`` with the scores of the recording, of the cells that hold half of
    the evidence for the decision, and of the rest, and both of these as FLAC.
    """
    from sslig.plots.evidence import time_frequency

    stem, results = gallery.stem_of(recording.name), {}
    waveform = torch.from_numpy(recording.waveform)[None].to(device)
    for detector in detectors:
        with evaluating(detector.model, device):
            threshold = recording.thresholds[detector.name]
            results[detector.name] = in_frequency(detector.model, waveform, threshold, passes=passes)
        for part in HEARD:
            name = f"{stem}.{gallery.stem_of(detector.name)}.{part}.flac"
            audio.write_flac(folder / name, results[detector.name][part])
    densities = {name: result["density"] for name, result in results.items()}
    figure = time_frequency(recording.waveform, densities, recording.clock, title=recording.title())
    with atomic(folder / f"{stem}{gallery.FREQUENCY}") as part:
        figure.savefig(part, dpi=200)
    numbers = {
        name: {key: plain(value) for key, value in result.items() if key not in (*HEARD, "density")}
        for name, result in results.items()
    }
    write_json(folder / f"{stem}.frequency.json", numbers)


def plain(value: float) -> float | None:
    """A number as JSON has it; None where it is not known."""
    return value if math.isfinite(value) else None
