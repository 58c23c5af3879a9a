"""What a computation costs: seconds on the clock, and memory on top of what was there before."""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

MIB = 2**20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Sets the highest resident memory of a process back to the present one (Linux, proc(5))."""


@dataclass
class Cost:
    """Filled when the block of `measured` ends.

    Attributes
    ----------
    seconds
        Time on the clock, so other work on the machine counts.
    peak_mib
        The most memory on top of what was held before: allocated on a GPU, resident on Linux, elsewhere NaN. Buffers
        that libraries keep from an earlier call count as held before.
    """

    seconds: float = float("nan")
    peak_mib: float = float("nan")


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measure a block of work on `device`."""
    cost, on_gpu = Cost(), device.type == "cuda"
    before = _reset_gpu(device) if on_gpu else _reset()
    start = time.perf_counter()
    yield cost
    if on_gpu:
        torch.cuda.synchronize(device)
    cost.seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else _resident("VmHWM")
    cost.peak_mib = float(np.maximum(0.0, peak - before)) / MIB  # NaN stays NaN


def _reset_gpu(device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _reset() -> float:
    """The resident memory in bytes, which is also the peak from now on; NaN where the system does not tell."""
    if not os.access(CLEAR, os.W_OK):
        return float("nan")
    # What was freed and not given back to the system would hide what is allocated in its place (glibc keeps it).
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    CLEAR.write_text(RESET_PEAK)
    return _resident("VmRSS")


def _resident(field: str) -> float:
    """A field of `STATUS` in bytes."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    found = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), "nan")
    return 1024 * float(found)  # the file counts in KiB
