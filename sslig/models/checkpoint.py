"""State dicts: tensors by name from `.pt` and `.pth` files of other projects, read without running pickled code."""

import os
import pickle

import torch
from torch import Tensor

from sslig.errors import DetectorError

WRAPPERS = ("model_state", "model_state_dict", "state_dict", "model")
"""Keys under which trainers store the tensors, beside optimisers and counters."""

PARALLEL_PREFIX = "module."

# Older releases of torch stored weight norm under other names, before it moved to parametrizations.
WEIGHT_NORM = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}

CONVERSION = (
    "convert it where you trust its source: python -c \"import torch; state = torch.load('in.pt', weights_only=False); "
    "torch.save(state.get('model', state), 'out.pt')\""
)


def read_state(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without the prefix of parallel training and out of any of `WRAPPERS`.

    Raises
    ------
    DetectorError
        The file needs pickled code, or holds no tensors by name.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line), "pickle")
        raise DetectorError(
            f"{path}: refused, because loading it would run pickled code ({reason}); {CONVERSION}"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise DetectorError(f"{path}: not a checkpoint that torch can read ({error})") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    items = state.items() if isinstance(state, dict) else [(None, state)]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in items):
        raise DetectorError(f"{path}: no state dict; accepted: tensors by name, bare or wrapped in one of {WRAPPERS}")
    return {key.removeprefix(PARALLEL_PREFIX): value for key, value in state.items()}


def with_new_weight_norm(key: str) -> str:
    """The name of a tensor, in today's form where it belongs to weight norm."""
    for old, new in WEIGHT_NORM.items():
        key = key.removesuffix(old) + new if key.endswith(old) else key
    return key


def fill(module: torch.nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict strictly; the message of the error starts with `what`."""
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        shown = " ".join(lines)[:600]
        raise DetectorError(f"{what} do not fit: {shown}") from error
