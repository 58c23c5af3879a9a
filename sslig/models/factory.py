"""Detectors that Python code makes: `package.module:name` of a torch module, of a factory, or of an Arena class."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslig.errors import DetectorError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import DIRECTIONS, HIGHER_IS_BONAFIDE
from sslig.models.foreign import BlackBox, Origin, directed, only_tensor

KIND = "Python module"
ARENA_KIND = "Speech Anti-Spoofing Arena class"


def load(
    target: str,
    direction: str | None = None,
    rate: int = SAMPLE_RATE_HZ,
    arguments: Mapping[str, Any] | None = None,
    min_samples: int = 400,
) -> BlackBox:
    """Import and call `target`, and wrap what it returns, in evaluation mode.

    Parameters
    ----------
    target
        ``package.module:name`` on the Python path. A class of the Speech Anti-Spoofing Arena has ``load()`` and
        ``score(audio, sr)`` or ``score_batch(audios, sr)``, where higher is bona fide; anything else is an `nn.Module`
        from (batch, samples) to one or two outputs.
    direction
        ``higher_is_spoof`` or ``higher_is_bonafide``: of one output, or of the second of two less the first.
    rate
        Sampling rate in Hz that it wants.
    arguments
        Keywords of the call.
    min_samples
        The fewest samples at 16 kHz that it reads.

    Raises
    ------
    DetectorError
        The target cannot be imported or called, is neither of both, or a module has no direction.
    """
    made = _made(target, dict(arguments or {}))
    if hasattr(made, "load") and (getattr(made, "score", None) or getattr(made, "score_batch", None)):
        made.load()
        origin = Origin(ARENA_KIND, target, direction=HIGHER_IS_BONAFIDE, rate_hz=rate, differentiable=False)
        return BlackBox(lambda waveforms: _arena_logits(made, waveforms, rate), origin, made, min_samples).eval()
    if not isinstance(made, nn.Module):
        wanted = "an nn.Module, or an object with load() and score(audio, sr), is needed"
        raise DetectorError(f"{target}: gives a {type(made).__name__}; {wanted}")
    if direction not in DIRECTIONS:
        raise DetectorError(f"{target}: direction is {direction!r}; give {' or '.join(DIRECTIONS)} (--direction)")

    def logits(waveforms: Tensor) -> Tensor:
        return directed(only_tensor(made(waveforms), len(waveforms), target), direction)

    origin = Origin(KIND, target, direction=direction, rate_hz=rate, differentiable=rate == SAMPLE_RATE_HZ)
    return BlackBox(logits, origin, made.float().eval(), min_samples).eval()


def _made(target: str, arguments: dict[str, Any]) -> Any:
    module, _, name = target.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)
        return made(**arguments) if inspect.isclass(made) or inspect.isroutine(made) else made
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise DetectorError(f"{target}: cannot be made; package.module:name is needed ({error})") from error


def _arena_logits(model: Any, waveforms: Tensor, rate_hz: int) -> Tensor:
    rows = [row.astype(np.float32) for row in waveforms.detach().cpu().numpy()]
    if getattr(model, "score_batch", None):
        scores = model.score_batch(rows, rate_hz)
    else:
        scores = [model.score(row, rate_hz) for row in rows]
    return directed(torch.as_tensor(np.asarray(scores, dtype=np.float64)), HIGHER_IS_BONAFIDE)
