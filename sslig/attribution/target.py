"""What a method explains: a logit as a function of one input, that input, and where attributions start."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from sslig.data.fills import cell
from sslig.errors import DetectorError, InputError
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.models.detector import read_frames

Logit = Callable[[Tensor], Tensor]
"""From (batch, layer, frame, feature) to (batch,) spoof logits, in float32, each row by itself."""

RECORDING, FEATURES = SPACES = ("recording", "features")
"""What is explained: the logit as a function of what the recording gives to the encoder, before anything mixes frames,
or of what the head reads."""

LACKING = {RECORDING: ("convolutions", "encode", "head"), FEATURES: ("features", "head")}
"""What a detector needs for maps in a space; a method on waveforms needs none of it."""

FREE, FROZEN = "free", "frozen"
"""Whether a head that selects nodes does so for each input, or keeps the selection of the explained one."""

ROWS_AT_ONCE, ROWS_AT_ONCE_ON_CPU = 32, 8
"""Rows in one pass; bounds memory, changes nothing else. On a CPU 32 took 1.3 to 1.9 times as long as 8."""

FRAMES_AT_ONCE = 1_600
"""Frames in one pass through an encoder, for as many times `ROWS_AT_ONCE_ON_CPU` as rows are allowed: 32 s, or 8 rows
of 4 s. Its layers keep some hundred vectors of each frame for the gradient."""


@dataclass(frozen=True)
class Target:
    """A logit F to explain.

    Attributes
    ----------
    x
        (1, layer, frame, feature) The explained input; conv features are one layer, and so are the samples of frames.
    starts
        (start, layer, frame, feature) Inputs b that attributions start from; none for a method that needs none.
    n_read
        Frames from the start that F reads.
    free
        The logit with the free selection of nodes, where F has the frozen one.
    weights
        (start,) Shares of the starts, which sum to 1; none where all count alike.
    deep
        Whether F runs an encoder, which takes more memory than a head.
    smooth_frames
        The odd number of frames over which the map will be smoothed, which is when its error counts.
    head, nodes
        What F is made of: a head and its frozen selection; a head may have a `sslig.models.lines.Line`.
    """

    logit: Logit
    x: Tensor
    starts: Tensor | None
    n_read: int
    free: Logit | None = None
    weights: Tensor | None = None
    clock: FrameClock = SSL_CLOCK
    deep: bool = False
    smooth_frames: int = 1
    head: Logit | None = None
    nodes: Mapping[str, Tensor] | None = None

    @cached_property
    def spoof_score(self) -> float:
        """F(x)."""
        return self.scores(self.logit, self.x).item()

    @cached_property
    def start_scores(self) -> Tensor:
        """(start,) F(b), in float64."""
        return self.scores(self.logit, self.starts)

    @cached_property
    def baseline_score(self) -> float | None:
        """The weighted mean of F(b) over the starts; None without any."""
        return None if self.starts is None else self.mean(self.start_scores).item()

    @property
    def difference(self) -> float:
        """F(x) - the mean of F(b), where there are starts."""
        return self.spoof_score - self.baseline_score

    @cached_property
    def free_baseline_score(self) -> float | None:
        """The same with the free selection."""
        if self.free is None or self.starts is None:
            return self.baseline_score
        return self.mean(self.scores(self.free, self.starts)).item()

    @property
    def rows_at_once(self) -> int:
        """Rows that go through F in one pass."""
        rows = ROWS_AT_ONCE_ON_CPU if self.x.device.type == "cpu" else ROWS_AT_ONCE
        if not self.deep:
            return rows
        return max(1, min(rows, rows * FRAMES_AT_ONCE // (ROWS_AT_ONCE_ON_CPU * max(1, self.n_frames))))

    @property
    def n_frames(self) -> int:
        """Frames of x."""
        return self.x.shape[2]

    def scores(self, logit: Logit, x: Tensor) -> Tensor:
        """(batch,) Logits in float64, on the CPU, `rows_at_once` of them in one pass."""
        with torch.no_grad():
            return torch.cat([logit(part).double().cpu() for part in x.split(self.rows_at_once)])

    def mean(self, by_start: Tensor) -> Tensor:
        """(...) The weighted mean of (start, ...) over the starts."""
        if self.weights is None:
            return by_start[0] if len(by_start) == 1 else by_start.mean(dim=0)
        return torch.tensordot(self.weights.to(by_start), by_start, dims=1)


@dataclass(frozen=True)
class Encoded:
    """A head behind its encoder, as a head: from (batch, 1, frame, channel) conv features to (batch,) logits.

    Every frame counts, also one that the head itself does not read: the encoder mixes it into others.
    """

    detector: Any
    head: nn.Module

    def __call__(self, x: Tensor, *selection: Any) -> Tensor:
        return self.head(self.features(x), *selection)

    def features(self, x: Tensor) -> Tensor:
        """(batch, layer, frame, feature) What the head reads of (batch, 1, frame, channel) conv features."""
        return self.detector.encode(x[:, 0])

    def __getattr__(self, name: str) -> Any:
        if name == "select" and hasattr(self.head, "select"):
            return lambda x: self.head.select(self.features(x))
        raise AttributeError(name)


class Heard:
    """A detector as a head: from the samples of (batch, 1, frame, sample) frames to (batch,) logits.

    A waveform is cut into the samples nearest to the centre of each frame, followed by zeros where a frame has fewer
    samples than the first and the last, so that methods on frames need not know what they hold.
    """

    def __init__(self, detector: Any, n_samples: int) -> None:
        clock = self.clock = detector.clock
        frames = cell(torch.arange(n_samples), clock).clamp(0, clock.n_frames(n_samples) - 1)
        counts = torch.bincount(frames)
        self.detector, self.within = detector, torch.arange(int(counts.max())) < counts[:, None]  # (frame, sample)
        if hasattr(getattr(detector, "head", None), "select"):
            self.select = lambda x: detector.head.select(detector.features(self.waveforms(x)))

    def __call__(self, x: Tensor, *selection: Any) -> Tensor:
        waveforms = self.waveforms(x)
        if selection:
            return self.detector.head(self.detector.features(waveforms), *selection)
        return self.detector(waveforms)

    def cells(self, waveforms: Tensor) -> Tensor:
        """(batch, 1, frame, sample) The samples of (batch, samples) waveforms by frame."""
        x = waveforms.new_zeros(len(waveforms), 1, *self.within.shape)
        x[:, 0, self.within.to(x.device)] = waveforms
        return x

    def waveforms(self, x: Tensor) -> Tensor:
        """(batch, samples) The waveforms whose samples are (batch, 1, frame, sample)."""
        return x[:, 0, self.within.to(x.device)]


def view(detector: Any, waveform: Tensor, space: str, head: nn.Module | None = None) -> tuple[Logit, Tensor]:
    """The logit of a detector as a function of one of `SPACES`, and its (1, layer, frame, feature) input.

    `head` stands in for the head of the detector.

    Raises
    ------
    DetectorError
        The detector lacks what maps in this space are made with.
    """
    if missing := lacking(detector, space):
        needed = f"a map in the space {space!r} needs {', '.join(LACKING[space])}"
        raise DetectorError(f"{type(detector).__name__} has no {', '.join(missing)}; {needed}")
    head = detector.head if head is None else head
    with torch.no_grad():
        if space == FEATURES:
            return head, detector.features(waveform)
        return Encoded(detector, head), detector.convolutions(waveform)[:, None]


def lacking(detector: Any, space: str) -> list[str]:
    """What a detector lacks for maps in a space."""
    return [name for name in LACKING[space] if not hasattr(detector, name)]


def of_head(
    head: Logit,
    x: Tensor,
    starts: Tensor | None,
    *,
    freeze: bool,
    clock: FrameClock = SSL_CLOCK,
    nodes: Mapping[str, Tensor] | None = None,
) -> Target:
    """The logit of a head; with `freeze`, one that selects nodes sees everywhere the nodes that `x` selects.

    `nodes` are these nodes where they are known.
    """
    n_read, free, deep = read_frames(head, x.shape[2]), same_rows(head), isinstance(head, (Encoded, Heard))
    if not freeze or not hasattr(head, "select"):
        return Target(free, x, starts, n_read, clock=clock, deep=deep, head=head)
    nodes = selected(head, x) if nodes is None else nodes
    made = {"clock": clock, "deep": deep, "head": head, "nodes": nodes}
    return Target(same_rows(lambda given: head(given, nodes)), x, starts, n_read, free, **made)


def selected(head: Logit, x: Tensor) -> dict[str, Tensor]:
    """The nodes that a head selects for (batch, layer, frame, feature), by the name of the pool."""
    with torch.no_grad():
        parts = [head.select(part) for part in x.split(ROWS_AT_ONCE_ON_CPU)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def of_projected(head: Logit, features: Tensor, starts: Tensor, *, clock: FrameClock = SSL_CLOCK) -> Target:
    """The logit behind a head's affine map of single frames, where it has one (``head.project``); free selection.

    To replace frames behind that map is the same as before it, and costs less.
    """
    if not (hasattr(head, "project") and hasattr(head, "decide")):
        return of_head(head, features, starts, freeze=False, clock=clock)
    with torch.no_grad():
        x, starts = head.project(features), head.project(starts)
    return Target(same_rows(head.decide), x, starts, read_frames(head, features.shape[2]), clock=clock)


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


@contextmanager
def without_gradients(module: Any) -> Iterator[None]:
    """Switch the gradients of all parameters of a module off within a block: only that of the input is asked for."""
    parameters = [each for each in getattr(module, "parameters", list)() if each.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def check(x: Tensor) -> None:
    """Refuse what is not (1, layer, frame, feature) of one utterance, finite and in float32."""
    if x.ndim != 4 or len(x) != 1:
        shape = tuple(x.shape)
        raise InputError(f"features of shape {shape}; (1, layer, frame, feature) of one utterance is needed")
    _finite(x, "features")


def check_waveform(waveform: Tensor) -> None:
    """Refuse what is not (1, samples) of one utterance, finite and in float32."""
    if waveform.ndim != 2 or len(waveform) != 1:
        raise InputError(f"a waveform of shape {tuple(waveform.shape)}; (1, samples) of one utterance is needed")
    _finite(waveform, "waveform")


def _finite(x: Tensor, noun: str) -> None:
    if x.dtype != torch.float32:
        raise InputError(f"{noun} in {x.dtype}; attributions are complete in float32 only")
    if not torch.isfinite(x).all():
        raise InputError(f"{noun}: there are NaN or infinite values")
