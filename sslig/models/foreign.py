"""Detectors from elsewhere: waveforms at 16 kHz to spoof logits, whatever is inside and however outputs are named."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sslig.errors import DetectorError
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock
from sslig.labels import HIGHER_IS_SPOOF, KEYS
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector

WORDS = {
    "spoof": {"spoof", "spoofed", "fake", "deepfake", "synthetic", "synthesized", "generated", "cloned", "ai"},
    "bonafide": {"bonafide", "bona", "real", "genuine", "human", "authentic", "natural", "original", "organic"},
}
"""Words of labels whose class is beyond question; a label with words of both classes, or with *not*, is unclear."""

NEGATIONS = {"not", "non", "no"}


@dataclass(frozen=True)
class Origin:
    """Where a detector comes from and what it wants.

    Attributes
    ----------
    kind, name
        The family of detectors, and the folder, file, repository or class.
    labels
        Its outputs, in their order, as keys (``bonafide``, ``spoof``); none for one output with a direction.
    direction
        One of `sslig.labels.DIRECTIONS`, where it has one output.
    rate_hz
        Sampling rate that it wants; recordings at 16 kHz are resampled inside the adapter.
    crop_s
        Length that it was trained on, where that is known; none: any.
    differentiable
        Whether gradients reach the recording.
    folder
        Where its files lie on this machine, for a detector of ours.
    """

    kind: str
    name: str
    labels: tuple[str, ...] = ()
    direction: str = ""
    rate_hz: int = SAMPLE_RATE_HZ
    crop_s: float | None = None
    differentiable: bool = True
    folder: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class Composite(Detector):
    """An SSL encoder with a head from elsewhere: all that a `Detector` does, except to be saved as one.

    `head` maps (batch, layer, frame, feature) features to (batch,) spoof logits and has ``MIN_FRAMES``.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, origin: Origin) -> None:
        nn.Module.__init__(self)
        self.backbone, self.head, self.origin, self.head_name = backbone, head, origin, origin.kind

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Refuse: config.json has no name for a head from elsewhere."""
        raise DetectorError(f"{self.origin.name}: a detector of kind {self.origin.kind!r} stays where it came from")


class BlackBox(nn.Module):
    """A detector of which only waveform to logit is known.

    Parameters
    ----------
    logits
        From (batch, samples) at the rate of `origin` to (batch,) spoof logits.
    model
        The module that `logits` calls, where there is one, so that it moves to a device with this one.
    min_samples
        The fewest samples at 16 kHz that it reads.
    """

    def __init__(
        self, logits: Callable[[Tensor], Tensor], origin: Origin, model: Any = None, min_samples: int = 400
    ) -> None:
        super().__init__()
        self.model = model if isinstance(model, nn.Module) else None
        self.logits, self.origin = logits, origin
        self.min_frames = max(1, SSL_CLOCK.n_frames(min_samples - 1) + 1)

    @property
    def clock(self) -> FrameClock:
        """The frame grid of maps: that of SSL encoders, 20 ms."""
        return SSL_CLOCK

    def read_frames(self, n_frames: int) -> int:
        """All frames, as far as is known."""
        return n_frames

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, samples) waveforms at 16 kHz.

        Raises
        ------
        DetectorError
            The waveforms do not have two axes, or the model gives something else than a logit for each.
        """
        if waveforms.ndim != 2:
            raise DetectorError(f"waveforms of shape {tuple(waveforms.shape)}; (batch, samples) is needed")
        logits = self.logits(resampled(waveforms, self.origin.rate_hz))
        if logits.shape != waveforms.shape[:1]:
            given = f"shape {tuple(logits.shape)} for {len(waveforms)} waveforms"
            raise DetectorError(f"{self.origin.name}: gives {given}; one logit for each is needed")
        return logits.to(waveforms)


def resampled(waveforms: Tensor, rate_hz: int) -> Tensor:
    """(batch, samples) at `rate_hz` of waveforms at 16 kHz, by soxr; another rate cuts the path of gradients."""
    if rate_hz == SAMPLE_RATE_HZ:
        return waveforms
    import soxr

    rows = [soxr.resample(row, SAMPLE_RATE_HZ, rate_hz) for row in waveforms.detach().cpu().numpy()]
    return torch.stack([torch.from_numpy(row) for row in rows]).to(waveforms)


def keys_of(labels: Sequence[str], given: Mapping[str, str] | None, name: str) -> tuple[str, ...]:
    """The key, ``bonafide`` or ``spoof``, of each output of a model with these labels.

    Parameters
    ----------
    given
        Label -> key, for labels whose words do not say it.

    Raises
    ------
    DetectorError
        A label is unclear, `given` names another label or key, or a class has no output.
    """
    given = dict(given or {})
    unknown = [label for label, key in given.items() if label not in labels or key not in KEYS]
    if unknown:
        accepted = f"accepted: {', '.join(labels)}, each as {' or '.join(KEYS)}"
        raise DetectorError(f"{name}: labels {unknown[0]}={given[unknown[0]]}; {accepted}")
    keys = [given.get(label) or _key(label) for label in labels]
    if None in keys or set(keys) != set(KEYS):
        example = ",".join(f"{label}={key}" for label, key in zip(labels, ("bonafide", "spoof"), strict=False))
        raise DetectorError(
            f"{name}: its outputs are called {', '.join(map(repr, labels))}, which does not say which is spoof; give "
            f"the key of each in labels, such as --labels {example} or the other way round"
        )
    return tuple(keys)


def _key(label: str) -> str | None:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", str(label)).lower()
    words = set(re.findall(r"[a-z]+", spaced)) | {re.sub(r"[^a-z]", "", spaced)}
    classes = [key for key, known in WORDS.items() if words & known]
    return classes[0] if len(classes) == 1 and not words & NEGATIONS else None


def spoof_logit(outputs: Tensor, keys: Sequence[str]) -> Tensor:
    """(batch,) log p(spoof) - log p(bona fide) of (batch, output) logits: with two outputs, their difference."""
    spoof, bonafide = (
        torch.logsumexp(outputs[:, [i for i, key in enumerate(keys) if key == wanted]], dim=1)
        for wanted in ("spoof", "bonafide")
    )
    return spoof - bonafide


def directed(outputs: Tensor, direction: str) -> Tensor:
    """(batch,) Spoof logits of one output, or of the second of two less the first, that goes in `direction`."""
    outputs = outputs.reshape(len(outputs), -1)
    score = outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]
    return score if direction == HIGHER_IS_SPOOF else -score


def only_tensor(output: Any, n_rows: int, name: str) -> Tensor:
    """The scores in what a model returns: a tensor of one or two columns, alone, last in a tuple, or in a mapping.

    Raises
    ------
    DetectorError
        There is no such tensor.
    """
    if isinstance(output, Mapping) or hasattr(output, "logits"):
        values = output if isinstance(output, Mapping) else {"logits": output.logits}
        candidates = [values[key] for key in ("logits", "scores") if values.get(key) is not None]
    else:
        candidates = list(reversed(output)) if isinstance(output, tuple | list) else [output]
    for value in candidates:
        if isinstance(value, Tensor) and value.shape[:1] == (n_rows,) and value.numel() in (n_rows, 2 * n_rows):
            return value
    shapes = [tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__ for value in candidates]
    raise DetectorError(f"{name}: returns {shapes} for {n_rows} waveforms; one or two columns are needed")
