"""Import of the detectors that the paper released: `.pt` state dicts of a WavLM and one head."""

import os
from typing import Any

from torch import Tensor

from sslig.errors import DetectorError
from sslig.models.backbone import Backbone
from sslig.models.checkpoint import fill, read_state, with_new_weight_norm
from sslig.models.detector import HEADS, Detector

BACKBONE_PREFIX = "wavlm."
BACKBONE = "microsoft/wavlm-base-plus"


def import_published(
    path: str | os.PathLike, head: str | None = None, backbone: str | dict[str, Any] = BACKBONE
) -> Detector:
    """Load a detector from a `.pt` file of the release of arXiv 2606.10912, in evaluation mode.

    Parameters
    ----------
    path
        A state dict whose keys start with ``wavlm.`` or the name of the head, optionally behind ``module.``; the dict
        may be wrapped in ``model`` or ``state_dict``.
    head
        Its name; none: that of the weights.
    backbone
        Where the configuration of the encoder comes from: a name, a folder, or values with `model_type`.

    Raises
    ------
    DetectorError
        The file needs pickled code, holds no such state dict, or does not fill the detector exactly.
    """
    if head not in (None, *HEADS):
        raise DetectorError(f"unknown head {head!r}; known: {', '.join(HEADS)}")
    weights = read_state(path)
    head = head or next((name for name in HEADS if any(key.startswith(f"{name}.") for key in weights)), "")
    if not head:
        raise DetectorError(f"{path}: no weights of a known head: {', '.join(HEADS)}")
    state = _split(path, weights, head)
    encoder = Backbone.shape_of(backbone)
    try:
        config = HEADS[head].config_of(state["head"])
    except (KeyError, ValueError, IndexError) as error:
        raise DetectorError(f"{path}: no head {head!r}: a weight is missing or has other axes ({error})") from error
    for name, value in {"n_layers": encoder.n_layers, "feature_size": encoder.feature_size}.items():
        if config.pop(name, value) != value:
            raise DetectorError(f"{path}: the head was made for another {name} than the backbone's {value}")
    detector = Detector.assemble(encoder, head, config)
    for part, module in (("backbone", detector.backbone.model), ("head", detector.head)):
        fill(module, state[part], f"{path}: the weights of the {part}")
    return detector.eval()


def _split(path: str | os.PathLike, state: dict[str, Tensor], head: str) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {"backbone": {}, "head": {}}
    for key, value in state.items():
        if key.startswith(BACKBONE_PREFIX):
            parts["backbone"][with_new_weight_norm(key).removeprefix(BACKBONE_PREFIX)] = value
        elif key.startswith(f"{head}."):
            parts["head"][key.removeprefix(f"{head}.")] = value
        else:
            accepted = f"accepted prefixes: {BACKBONE_PREFIX!r}, '{head}.'; for other projects: sslig.models.named"
            raise DetectorError(f"{path}: unknown weight {key!r}; {accepted}")
    return parts
