"""What a method says of one logit: evidence by layer and frame, how far it adds up, and what it cost."""

import ctypes
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig.attribution.target import Target
from sslig.errors import InputError
from sslig.files import write_parquet

COMPLETE, JUMP, NOT_CONVERGED, NOT_PROMISED = STATUSES = ("complete", "jump", "not converged", "not promised")

SIGNED, ABSOLUTE, L2 = AGGREGATIONS = ("signed", "absolute", "l2")
"""Over layers and features: the sum; the sum of absolute values; the root of the sum of squares. Only the first
separates evidence for spoof from evidence for bona fide, and only it adds up to the logit."""

FLOOR_LOGIT = 1e-4
"""A residual within it counts as none: float32 sums over thousands of features are not more exact than that."""

CERTIFICATE = (
    "spoof_score",
    "baseline_score",
    "residual",
    "relative_residual",
    "steps",
    "status",
    "selection",
    "free_baseline_score",
    "uncertainty",
)
"""Columns of tables that say how far an explanation adds up."""

COST = ("seconds", "peak_mib")


@dataclass
class Cost:
    """What a computation cost; `measured` fills it.

    Attributes
    ----------
    seconds
        Wall-clock time.
    peak_mib
        The most memory on top of what was in use before: allocated on a GPU, resident on Linux, elsewhere NaN. Buffers
        that libraries keep from an earlier call count as in use before.
    """

    seconds: float = float("nan")
    peak_mib: float = float("nan")


@dataclass(frozen=True)
class Explanation:
    """Why a logit has its value.

    Attributes
    ----------
    by_layer
        (layer, frame) Attribution summed over features, in float64; positive is evidence for spoof. One layer where a
        method takes all layers as one.
    sizes
        `ABSOLUTE` and `L2` -> (frame,).
    spoof_score, baseline_score
        The explained logit F(x), and the mean of F(b) over the baselines; None where the method has none.
    residual
        sum of the attribution - (F(x) - F(b)), a logit, where the method promises that it is 0; else None.
    uncertainty
        How much of the residual is due to too few points: its change by the last doubling of the points of a path, or
        the half width of its 99 % confidence interval over random draws; None where neither is known.
    status
        ``complete`` where the residual is within the tolerance times F(x) - F(b), or within `FLOOR_LOGIT`; ``jump``
        where it is not but more points do not change it, so F is discontinuous on the path; ``not converged`` where
        more points may help; ``not promised`` where the attribution need not add up.
    steps
        Points on a path, random draws, or windows.
    selection
        ``frozen`` where the head's choice of nodes was held at that of the explained input, else ``free``.
    free_baseline_score
        F(b) with the free selection.
    method
        Its canonical text (`sslig.attribution.methods.parse`).
    cost
        What it took to make.
    """

    by_layer: np.ndarray
    spoof_score: float
    baseline_score: float | None = None
    residual: float | None = None
    steps: int = 0
    status: str = NOT_PROMISED
    selection: str = "free"
    free_baseline_score: float | None = None
    uncertainty: float | None = None
    sizes: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    method: str = ""
    cost: Cost = field(default_factory=Cost, compare=False)

    @property
    def by_frame(self) -> np.ndarray:
        """(frame,) Attribution summed over layers and features."""
        return self.by_layer.sum(axis=0)

    def frames(self, aggregation: str = SIGNED) -> np.ndarray:
        """(frame,) One of `AGGREGATIONS` over layers and features."""
        maps = {SIGNED: self.by_frame, **self.sizes}
        if aggregation not in maps:
            raise InputError(f"aggregation {aggregation!r}; accepted: {', '.join(maps)}")
        return maps[aggregation]

    @property
    def difference(self) -> float | None:
        """F(x) - F(b), what a complete attribution sums to."""
        return None if self.baseline_score is None else self.spoof_score - self.baseline_score

    @property
    def relative_residual(self) -> float | None:
        """|residual| / |F(x) - F(b)|; infinite where only the difference is 0, None where nothing is promised."""
        if self.residual is None or self.residual == 0:
            return self.residual
        return abs(self.residual / self.difference) if self.difference else float("inf")

    def record(self) -> dict[str, object]:
        """`CERTIFICATE` and `COST` by name; NaN for what the method does not have."""
        values = {name: getattr(self, name) for name in CERTIFICATE} | vars(self.cost)
        return {name: float("nan") if value is None else value for name, value in values.items()}


NO_RECORD = dict.fromkeys((*CERTIFICATE, *COST), float("nan")) | {"status": "", "selection": ""}
"""In place of `Explanation.record` for a map that is no explanation."""


def of_features(
    target: Target,
    by_feature: Tensor,
    *,
    steps: int,
    residual: float | None = None,
    uncertainty: float | None = None,
    status: str = NOT_PROMISED,
) -> Explanation:
    """The explanation of `target` by attributions of single features, (layer, frame, feature)."""
    by_feature = by_feature.detach().double()
    sizes = {ABSOLUTE: by_feature.abs().sum(dim=(0, 2)), L2: torch.linalg.vector_norm(by_feature, dim=(0, 2))}
    return Explanation(
        by_feature.sum(dim=-1).cpu().numpy(),
        target.spoof_score,
        target.baseline_score,
        residual,
        steps,
        status,
        target.selection,
        target.free_baseline_score,
        uncertainty,
        {name: size.cpu().numpy() for name, size in sizes.items()},
    )


def allowance(difference: float, tolerance: float) -> float:
    """The largest residual, a logit, with which an explanation of F(x) - F(b) = `difference` counts as complete."""
    return max(tolerance * abs(difference), FLOOR_LOGIT)


def summary(records: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """How far explanations add up and what they cost, a row a group, in the order in which groups come.

    Parameters
    ----------
    records
        A row an explanation: `Explanation.record` and the columns of `by`.
    by
        What groups are made of.

    Returns
    -------
    DataFrame
        `by`; ``n``; the number of explanations with each of `STATUSES`; ``residual_median`` and ``residual_worst``,
        relative to F(x) - F(b), which may be small, and ``residual_worst_logits``; ``uncertainty_median``, relative
        too; all NaN where nothing is promised; ``steps_median``; ``seconds_median``; ``peak_mib_worst``.
    """
    difference = (records["spoof_score"] - records["baseline_score"].astype(float)).abs()
    relative = records["uncertainty"].astype(float) / difference.where(difference > 0)
    logits = records["residual"].astype(float).abs()
    groups = records.assign(logits=logits, relative=relative).groupby(list(by), sort=False)
    statuses = {status: ("status", lambda group, status=status: (group == status).sum()) for status in STATUSES}
    return groups.agg(
        n=("status", "size"),
        **statuses,
        residual_median=("relative_residual", "median"),
        residual_worst=("relative_residual", "max"),
        residual_worst_logits=("logits", "max"),
        uncertainty_median=("relative", "median"),
        steps_median=("steps", "median"),
        seconds_median=("seconds", "median"),
        peak_mib_worst=("peak_mib", "max"),
    ).reset_index()


def write(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write a table with ``by_frame`` and ``by_layer``; Parquet has no matrices, so ``by_layer`` becomes lists."""
    write_parquet(path, table.assign(by_layer=[list(layers) for layers in table["by_layer"]]))


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path` with ``by_frame`` (frame,) and ``by_layer`` (layer, frame) as arrays."""
    table = pd.read_parquet(path)
    return table.assign(by_layer=[np.stack(layers) for layers in table["by_layer"]])


MIB = 2**20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Sets the highest resident memory of a process back to the present one (Linux, proc(5))."""


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
    """The resident memory in bytes, which is also the peak from now on; NaN where the system does not report it."""
    if not os.access(CLEAR, os.W_OK):
        return float("nan")
    # glibc keeps what was freed, which would hide what is allocated in its place.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    CLEAR.write_text(RESET_PEAK)
    return _resident("VmRSS")


def _resident(field: str) -> float:
    """A field of `STATUS` in bytes."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    kibibytes = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), "nan")
    return 1024 * float(kibibytes)
