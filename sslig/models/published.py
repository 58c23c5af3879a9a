"""Import of the detectors that the paper released: `.pt` state dicts of a WavLM and one head."""

import os
import pickle
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sslig.errors import DetectorError
from sslig.models.backbone import Backbone
from sslig.models.detector import HEADS, Detector

WRAPPERS = ("model", "state_dict")
BACKBONE_PREFIX = "wavlm."
# Older transformers stored weight norm under other names, before torch moved it to parametrizations.
WEIGHT_NORM = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}


def import_published(
    path: str | os.PathLike, head: str, backbone: str | dict[str, Any] = "microsoft/wavlm-base-plus"
) -> Detector:
    """Load a detector from a `.pt` file of the release of arXiv 2606.10912, in evaluation mode.

    Parameters
    ----------
    path
        A state dict whose keys start with ``wavlm.`` or the name of the head, optionally behind ``module.``; the dict
        may be wrapped in ``model`` or ``state_dict``.
    backbone
        Where the configuration of the encoder comes from: a name, a folder, or values with `model_type`.

    Raises
    ------
    DetectorError
        The file needs pickled code, holds no such state dict, or does not fill the detector exactly.
    """
    if head not in HEADS:
        raise DetectorError(f"unknown head {head!r}; known: {', '.join(HEADS)}")
    state = _split(path, _load(path), head)
    load = Backbone.from_config if isinstance(backbone, dict) else partial(Backbone.from_pretrained, weights=False)
    encoder = load(backbone)
    try:
        config = HEADS[head].config_of(state["head"])
    except (KeyError, ValueError, IndexError) as error:
        raise DetectorError(f"{path}: no head {head!r}: a weight is missing or has other axes ({error})") from error
    for name, value in {"n_layers": encoder.n_layers, "feature_size": encoder.feature_size}.items():
        if config.pop(name, value) != value:
            raise DetectorError(f"{path}: the head was made for another {name} than the backbone's {value}")
    detector = Detector.assemble(encoder, head, config)
    for part, module in (("backbone", detector.backbone.model), ("head", detector.head)):
        try:
            module.load_state_dict(state[part], strict=True)
        except RuntimeError as error:
            raise DetectorError(f"{path}: the weights of the {part} do not fit: {error}") from error
    return detector.eval()


def _load(path: str | os.PathLike) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DetectorError(f"{path}: refused, because loading it would run pickled code ({error})") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise DetectorError(f"{path}: not a checkpoint that torch can read ({error})") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    items = state.items() if isinstance(state, dict) else [(None, state)]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in items):
        raise DetectorError(f"{path}: no state dict; accepted: tensors by name, bare or wrapped in one of {WRAPPERS}")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _split(path: str | os.PathLike, state: dict[str, Tensor], head: str) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {"backbone": {}, "head": {}}
    for key, value in state.items():
        if key.startswith(BACKBONE_PREFIX):
            for old, new in WEIGHT_NORM.items():
                key = key.removesuffix(old) + new if key.endswith(old) else key
            parts["backbone"][key.removeprefix(BACKBONE_PREFIX)] = value
        elif key.startswith(f"{head}."):
            parts["head"][key.removeprefix(f"{head}.")] = value
        else:
            raise DetectorError(f"{path}: unknown weight {key!r}; accepted prefixes: {BACKBONE_PREFIX!r}, '{head}.'")
    return parts
