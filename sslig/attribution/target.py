"""What a method explains: a logit as a function of one input, that input, and where attributions start."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sslig.errors import DetectorError, InputError
from sslig.models.detector import read_frames

Logit = Callable[[Tensor], Tensor]
"""From (batch, layer, frame, feature) to (batch,) spoof logits, in float32, each row by itself."""

FREE, FROZEN = "free", "frozen"
"""Whether a head that selects nodes does so for each input, or keeps the selection of the explained one."""

ROWS_AT_ONCE, ROWS_AT_ONCE_ON_CPU = 32, 8
"""Rows in one pass; bounds memory, changes nothing else. On a CPU 32 took 1.3 to 1.9 times as long as 8."""


@dataclass(frozen=True)
class Target:
    """A logit F to explain.

    Attributes
    ----------
    x
        (1, layer, frame, feature) The explained input.
    starts
        (start, layer, frame, feature) Inputs b that attributions start from; none for a method that needs none.
    n_read
        Frames from the start that F reads.
    free
        The logit with the free selection of nodes, where F has the frozen one.
    """

    logit: Logit
    x: Tensor
    starts: Tensor | None
    n_read: int
    free: Logit | None = None

    @cached_property
    def spoof_score(self) -> float:
        """F(x)."""
        return mean_score(self.logit, self.x)

    @cached_property
    def baseline_score(self) -> float | None:
        """The mean of F(b) over the starts; None without any."""
        return None if self.starts is None else mean_score(self.logit, self.starts)

    @cached_property
    def free_baseline_score(self) -> float | None:
        """The same with the free selection."""
        return self.baseline_score if self.free is None else mean_score(self.free, self.starts)

    @property
    def rows_at_once(self) -> int:
        """Rows that go through F in one pass."""
        return ROWS_AT_ONCE_ON_CPU if self.x.device.type == "cpu" else ROWS_AT_ONCE


def of_head(head: Logit, features: Tensor, starts: Tensor | None, *, freeze: bool) -> Target:
    """The logit of a head; with `freeze`, one that selects nodes sees everywhere the nodes that `features` select."""
    n_read, free = read_frames(head, features.shape[2]), same_rows(head)
    if not freeze or not hasattr(head, "select"):
        return Target(free, features, starts, n_read)
    nodes = head.select(features)
    return Target(same_rows(lambda x: head(x, nodes)), features, starts, n_read, free)


def of_projected(head: Logit, features: Tensor, starts: Tensor) -> Target:
    """The logit behind a head's affine map of single frames, where it has one (``head.project``); free selection.

    To replace frames behind that map is the same as before it, and costs less.
    """
    if not (hasattr(head, "project") and hasattr(head, "decide")):
        return of_head(head, features, starts, freeze=False)
    with torch.no_grad():
        x, starts = head.project(features), head.project(starts)
    return Target(same_rows(head.decide), x, starts, read_frames(head, features.shape[2]))


def mean_score(logit: Logit, x: Tensor) -> float:
    """The mean logit of (batch, layer, frame, feature)."""
    with torch.no_grad():
        return logit(x).double().mean().item()


def same_rows(head: Logit) -> Logit:
    """The head, refused where it does not give one logit a row.

    captum lays path points along dimension 0; a head that reads another axis as the batch would return nonsense.
    """

    def guarded(x: Tensor) -> Tensor:
        logits = head(x)
        if logits.shape != x.shape[:1]:
            shape = tuple(logits.shape)
            raise DetectorError(f"the head gave shape {shape} for a batch of {len(x)}; one logit a row, batch first")
        return logits

    return guarded


def check(features: Tensor) -> None:
    """Refuse what is not (1, layer, frame, feature) of one utterance, finite and in float32."""
    if features.ndim != 4 or len(features) != 1:
        shape = tuple(features.shape)
        raise InputError(f"features of shape {shape}; (1, layer, frame, feature) of one utterance is needed")
    if features.dtype != torch.float32:
        raise InputError(f"features in {features.dtype}; attributions are complete in float32 only")
    if not torch.isfinite(features).all():
        raise InputError("the features hold NaN or infinite values")
