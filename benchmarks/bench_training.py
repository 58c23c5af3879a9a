"""Measure training and scoring on the device at hand, and how long a step waits for its data.

Run it from the repository: ``python benchmarks/bench_training.py [--steps 4] [--batch 4] [--crop-s 4] [--write]``. The
encoder has the geometry of ``microsoft/wavlm-base-plus`` with random weights, which cost the same as pretrained ones;
the head is CA-MHFA. Recordings are noise, written as FLAC to a temporary folder. ``--write`` keeps the figures, with
the machine they were taken on, in ``benchmarks/results/training.json``.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import WavLMConfig

from sslig import audio, files, scoring
from sslig.data import augment
from sslig.data.dataset import BalancedSampler, Crops, Shares
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import Detector, select_device
from sslig.study import Scoring, Training
from sslig.training.module import make_detector, optimiser

GEOMETRY = {"model_type": "wavlm", **WavLMConfig(layerdrop=0.05).to_diff_dict()}
HEAD = {"head": "camhfa", "context": 5}
N_FILES, FILE_S = 16, 8.0
WORKERS = (0, 1, 2)
RESULT = Path(__file__).parent / "results" / "training.json"


def recordings(folder: Path) -> pd.DataFrame:
    """A table of utterances of noise, half of them spoofs, about as long as those of ASVspoof 5."""
    generator = np.random.default_rng(0)
    paths = [folder / f"{number}.flac" for number in range(N_FILES)]
    for path in paths:
        audio.write_flac(path, 0.1 * generator.standard_normal(round(FILE_S * SAMPLE_RATE_HZ)).astype(np.float32))
    labels = np.arange(N_FILES) % 2
    return pd.DataFrame({"utterance": [path.stem for path in paths], "path": paths, "label": labels, "key": labels})


def reading(table: pd.DataFrame, options: argparse.Namespace, augmentation: str | None, workers: int) -> DataLoader:
    """Batches as training reads them."""
    sampler = BalancedSampler(table["label"].to_numpy(), (options.steps + 1) * options.batch, seed=0)
    pipeline = None if augmentation is None else augment.build(augmentation)
    crops = Crops(table, round(options.crop_s * SAMPLE_RATE_HZ), 0, pipeline)
    return DataLoader(crops, batch_sampler=Shares(sampler, options.batch), num_workers=workers)


def synchronised_s(device: torch.device) -> float:
    """The time when the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def steps(
    detector: Detector, batches: Iterator[Any], device: torch.device, dtype: torch.dtype | None
) -> tuple[float, float]:
    """Seconds that all steps but the first took, and seconds that they waited for data."""
    optimizer = optimiser(detector.train(), Training())
    took_s = waited_s = 0.0
    for number in range(sys.maxsize):
        start_s = synchronised_s(device)
        batch = next(batches, None)
        if batch is None:
            return took_s, waited_s
        read_s = time.perf_counter()
        waveforms, labels = (part.to(device) for part in batch[:2])
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            loss = functional.binary_cross_entropy_with_logits(detector(waveforms), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if number > 0:  # the first step allocates the states of the optimiser and starts the readers
            took_s, waited_s = took_s + synchronised_s(device) - start_s, waited_s + read_s - start_s


def peak_mib(device: torch.device) -> float:
    """The peak of memory: on a GPU that of torch, else that of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def training_rows(table: pd.DataFrame, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """One row for each precision without augmentation, and in float32 for each way of reading."""
    ways = [(precision, None, 0) for precision in scoring.PRECISIONS]
    ways += [("32-true", which, workers) for which in (None, "published") for workers in WORKERS]
    rows = []
    for precision, augmentation, workers in dict.fromkeys(ways):
        detector = make_detector(GEOMETRY, HEAD, seed=0).to(device)
        batches = iter(reading(table, options, augmentation, workers))
        took_s, waited_s = steps(detector, batches, device, scoring.PRECISIONS[precision])
        way = {"precision": precision, "augmentation": augmentation or "none", "workers": workers}
        speed = {"utterances_per_s": options.steps * options.batch / took_s, "waits_share": waited_s / took_s}
        rows.append(way | speed | {"peak_mib": peak_mib(device)})
        print(rows[-1], file=sys.stderr)
    return rows


def scoring_rows(table: pd.DataFrame, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Whole recordings, two batches of them, through the scoring loop in each precision."""
    rows, table = [], table.head(2 * options.batch)
    for precision in scoring.PRECISIONS:
        detector = make_detector(GEOMETRY, HEAD, seed=0).to(device)
        start_s = synchronised_s(device)
        scoring.score(detector, table, Scoring(batch_size=options.batch, precision=precision), device)
        took_s = synchronised_s(device) - start_s
        speed = {"utterances_per_s": len(table) / took_s, "audio_s_per_s": len(table) * FILE_S / took_s}
        rows.append({"precision": precision} | speed)
    return rows


def reading_rows(table: pd.DataFrame, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds of computing to read one crop in three ways.

    They are: plain; with the published augmentation split around the cut, as training does; and with all of it done to
    the whole recording.
    """
    crops = round(options.crop_s * SAMPLE_RATE_HZ)
    split = Crops(table, crops, 0, augment.build("published"))
    whole = Crops(table, crops, 0, augment.build("published"))
    whole.whole, whole.part = augment.build("published"), augment.Augmentation(())
    rows, draws = [], list(BalancedSampler(table["label"].to_numpy(), 100, seed=0))
    for way, dataset in {"plain": Crops(table, crops, 0), "published, split": split, "published, whole": whole}.items():
        for draw in draws[:10]:  # imports and compilation at the first use
            dataset[draw]
        start_s = time.process_time()
        for draw in draws:
            dataset[draw]
        rows.append({"reading": way, "ms_per_crop": 1e3 * (time.process_time() - start_s) / len(draws)})
    return rows


def machine(device: torch.device) -> dict[str, Any]:
    """The machine of the figures."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    cores = {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"device": gpu or device.type, "processor": platform.machine(), **cores, **versions}


def main() -> None:
    """Print the tables, and write them where options."""
    parser = argparse.ArgumentParser(description="Measure training and scoring on the device at hand.")
    parser.add_argument("--steps", type=int, default=4, help="steps measured, after a first one that is not")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop-s", type=float, default=4.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    options = parser.parse_args()
    device = select_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        table = recordings(Path(folder))
        figures = {
            "reading": reading_rows(table, options),
            "training": training_rows(table, options, device),
            "scoring": scoring_rows(table, options, device),
        }
    values = {name: value for name, value in vars(options).items() if name != "write"}
    for name, rows in figures.items():
        print(f"\n{name}: {machine(device)['device']}\n{pd.DataFrame(rows).round(3).to_string(index=False)}")
    if options.write:
        files.write_json(RESULT, {"machine": machine(device), "asked": values, **figures})


if __name__ == "__main__":
    main()
