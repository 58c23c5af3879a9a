"""What a method says of one logit: evidence by layer and frame, how far it adds up, and what it cost."""

import ctypes
import dataclasses
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from sslig.attribution.target import FEATURES, FREE, FROZEN, Target

COMPLETE, JUMP, NOT_CONVERGED, NOT_PROMISED = STATUSES = ("complete", "jump", "not converged", "not promised")

SIGNED, ABSOLUTE, L2 = AGGREGATIONS = ("signed", "absolute", "l2")
"""Over layers and features: the sum; the sum of absolute values; the root of the sum of squares. Only the first
separates evidence for spoof from evidence for bona fide, and only it adds up to the logit."""

FLOOR_LOGIT = 1e-4
"""A residual within it counts as none: float32 sums over thousands of features are not more exact than that."""

CERTIFICATE = (
    *("spoof_score", "baseline_score", "residual", "relative_residual", "steps", "status", "selection"),
    *("free_baseline_score", "uncertainty", "space", "threshold_gap", "map_error"),
)
"""Columns of tables that say how far an explanation adds up."""

COST = ("seconds", "peak_mib")

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux reports resident memory in the first; writing 5 to the second resets its peak (proc(5))."""


@dataclass
class Cost:
    """Wall-clock time, and the most memory on top of what was in use before: on a GPU allocated, on Linux resident."""

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
    spoof_score, baseline_score, free_baseline_score
        F(x), and the mean of F(b) over the baselines, also with the free selection; None where the method has none.
    residual
        sum of the attribution - (F(x) - F(b)), a logit, where the method promises that it is 0; else None.
    steps
        Points on a path, random draws, or windows.
    status
        ``complete`` where the residual is within `allowance`, and the `map_error` of a path within what is asked;
        ``jump`` where the residual is not but more points do not change it, so F is discontinuous on the path; ``not
        converged`` where more points may help; ``not promised`` where the attribution need not add up.
    selection
        ``frozen`` where the head's choice of nodes was held at that of the explained input, else ``free``.
    uncertainty
        How much of the residual is due to too few points: its change by the last doubling of the points of a path, or
        the half width of its 99 % confidence interval over random draws; None where neither is known.
    sizes
        `ABSOLUTE` and `L2` -> (frame,).
    space
        Where the evidence lies: in the ``recording`` or in the ``features``.
    threshold_gap
        The mean of F(b) less the threshold of the decision, both logits; None where one of them is not known. Evidence
        adds up to the distance of the score from the threshold only where it is 0.
    map_error
        The largest change of a frame by the last doubling of the points of a path, relative to the peak of the map: an
        upper estimate of the error of a frame, which a sum that is right does not exclude. None where there is no path.
    """

    by_layer: np.ndarray
    spoof_score: float
    baseline_score: float | None = None
    residual: float | None = None
    steps: int = 0
    status: str = NOT_PROMISED
    selection: str = FREE
    free_baseline_score: float | None = None
    uncertainty: float | None = None
    sizes: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    space: str = FEATURES
    threshold_gap: float | None = None
    map_error: float | None = None
    method: str = ""
    cost: Cost = field(default_factory=Cost, compare=False)

    @property
    def by_frame(self) -> np.ndarray:
        """(frame,) Attribution summed over layers and features."""
        return self.by_layer.sum(axis=0)

    def frames(self, aggregation: str = SIGNED) -> np.ndarray:
        """(frame,) One of `AGGREGATIONS` over layers and features."""
        return {SIGNED: self.by_frame, **self.sizes}[aggregation]

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

    def smoothed(self, n_frames: int) -> "Explanation":
        """The same with all maps smoothed over an odd number of frames."""
        sizes = {name: smoothed(size, n_frames) for name, size in self.sizes.items()}
        return dataclasses.replace(self, by_layer=smoothed(self.by_layer, n_frames), sizes=sizes)

    def record(self) -> dict[str, object]:
        """`CERTIFICATE` and `COST` by name; NaN for what the method does not have."""
        values = {name: getattr(self, name) for name in CERTIFICATE} | vars(self.cost)
        return {name: float("nan") if value is None else value for name, value in values.items()}


NO_RECORD = dict.fromkeys((*CERTIFICATE, *COST), float("nan")) | {"status": "", "selection": "", "space": ""}
"""In place of `Explanation.record` for a map that is no explanation."""


def of_features(target: Target, by_feature: Tensor, **certificate: Any) -> Explanation:
    """The explanation of `target` by (layer, frame, feature) attributions of single features.

    `certificate` are ``steps`` and, where the method promises a sum, ``residual``, ``uncertainty``, ``map_error`` and
    ``status``; and scores, where they are known without another pass.
    """
    by_feature = by_feature.detach()
    norms = {ABSOLUTE: 1, L2: 2}
    sizes = {name: torch.linalg.vector_norm(by_feature, ord, dim=(0, 2)) for name, ord in norms.items()}
    scores = ("spoof_score", "baseline_score", "free_baseline_score")
    certificate = {name: getattr(target, name) for name in scores if name not in certificate} | certificate
    return Explanation(
        by_feature.sum(dim=-1, dtype=torch.float64).cpu().numpy(),
        selection=FREE if target.free is None else FROZEN,
        sizes={name: size.double().cpu().numpy() for name, size in sizes.items()},
        **certificate,
    )


def smoothed(maps: np.ndarray, n_frames: int) -> np.ndarray:
    """(..., frame) The moving average of maps over an odd number of frames; their sum does not change."""
    return uniform_filter1d(np.asarray(maps, dtype=np.float64), n_frames, mode="reflect")


def allowance(difference: float, tolerance: float) -> float:
    """The largest residual, a logit, with which an explanation of F(x) - F(b) = `difference` counts as complete."""
    return max(tolerance * abs(difference), FLOOR_LOGIT)


def summary(records: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """How far explanations add up and what they cost, a row a group, in the order in which groups come.

    `records` has a row an explanation, `Explanation.record` and the columns of `by`. Beside counts of `STATUSES` the
    result has medians and worst values: of the residual relative to F(x) - F(b), which may be small, and in logits; of
    the uncertainty, relative too; NaN where nothing is promised; and of steps, seconds and memory.
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


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measure a block of work on `device`."""
    cost, before, start = Cost(), _peak(device, reset=True), time.perf_counter()
    yield cost
    peak = _peak(device)
    cost.seconds = time.perf_counter() - start
    cost.peak_mib = float(np.maximum(0.0, peak - before)) / 2**20  # NaN stays NaN


def _peak(device: torch.device, reset: bool = False) -> float:
    """The highest memory in bytes since the last reset: allocated on a GPU, resident on Linux, elsewhere NaN."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    if not os.access(CLEAR, os.W_OK):
        return float("nan")
    if reset:
        # glibc keeps what was freed, which would hide what is allocated in its place.
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
        CLEAR.write_text("5")
    return 1024 * float(re.search(r"VmHWM:\s+(\d+)", STATUS.read_text())[1])  # the file counts in KiB
