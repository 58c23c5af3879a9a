"""Detectors of DeepFense: a folder with `best_model.pth` and `config.yaml`, an SSL encoder and one of its back-ends."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from torch import Tensor, nn

from sslig.errors import DetectorError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import HIGHER_IS_BONAFIDE
from sslig.models.backbone import Backbone
from sslig.models.checkpoint import fill, read_state, with_new_weight_norm
from sslig.models.fairseq import is_fairseq, translated
from sslig.models.foreign import Composite, Origin, directed, spoof_logit

KIND = "DeepFense"
WEIGHTS, VALUES = "best_model.pth", "config.yaml"
FRONTENDS = ("wav2vec2", "wavlm", "hubert")
FRONTEND_PREFIX = "frontend.model."
INSTALL = "pip install --no-deps deepfense, and pip install einops for its TCM"


class Head(nn.Module):
    """A back-end and the first loss, which maps its embeddings to cosines or logits.

    DeepFense scores a cross-entropy by the bona fide logit alone; here it is the difference of both logits.
    """

    MIN_FRAMES = 9

    def __init__(self, backend: nn.Module, losses: nn.ModuleList, bonafide: int) -> None:
        super().__init__()
        self.backend, self.losses, self.bonafide = backend, losses, bonafide

    def forward(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features."""
        outputs = self.losses[0].get_logits(self.backend(features[:, -1]))
        if outputs.shape[1] == 1:  # the cosine of one class: the nearer to bona fide, the higher
            return directed(outputs, HIGHER_IS_BONAFIDE)
        return spoof_logit(outputs, ("bonafide", "spoof") if self.bonafide == 0 else ("spoof", "bonafide"))


def load(folder: str | os.PathLike, backbone: str | dict[str, Any] | None = None) -> Composite:
    """Load a detector from a folder, strictly, in evaluation mode.

    DeepFense gives the encoder waveforms as they are, without normalisation.

    Parameters
    ----------
    backbone
        Where the configuration of the encoder comes from; none: the ``ckpt_path`` of the front-end.

    Raises
    ------
    DetectorError
        DeepFense is not installed, a file is missing, the front-end is no SSL encoder, or the weights do not fit.
    """
    folder = Path(folder)
    values = _values(folder / VALUES)
    model, frontend = values["model"], values["model"]["frontend"]
    if frontend.get("type") not in FRONTENDS:
        raise DetectorError(f"{folder / VALUES}: front-end {frontend.get('type')!r}; accepted: {', '.join(FRONTENDS)}")
    losses = model["loss"] if isinstance(model["loss"], list) else [model["loss"]]
    encoder = Backbone.shape_of(backbone or frontend.get("args", {}).get("ckpt_path", ""))
    encoder.normalise = False
    bonafide = losses[0].get("bonafide_label", 1)
    if (mapped := values.get("data", {}).get("label_map", {}).get("bonafide", bonafide)) != bonafide:
        raise DetectorError(f"{folder / VALUES}: bona fide is {bonafide} in the loss and {mapped} in label_map")
    head = Head(*_parts(folder, model["backend"], losses), bonafide)
    encoder_state, head_state = _split(read_state(folder / WEIGHTS))
    fill(encoder.model, encoder_state, f"{folder / WEIGHTS}: the weights of the front-end")
    fill(head, head_state, f"{folder / WEIGHTS}: the weights of back-end and loss")
    notes = {"backend": model["backend"]["type"], "loss": losses[0]["type"]}
    outputs = ("bonafide", "spoof") if bonafide == 0 else ("spoof", "bonafide")
    return Composite(encoder, head, Origin(KIND, str(folder), outputs, crop_s=_crop_s(values), notes=notes)).eval()


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = values["model"]["frontend"], values["model"]["backend"]["type"], values["model"]["loss"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{path}: no configuration of DeepFense with frontend, backend and loss: {error}"
        ) from error
    return values


def _parts(folder: Path, backend: dict[str, Any], losses: list[dict[str, Any]]) -> tuple[nn.Module, nn.ModuleList]:
    """The back-end and the losses of the registries of DeepFense, with random weights."""
    if find_spec("deepfense") is None:
        raise DetectorError(f"{folder}: DeepFense is not installed; {INSTALL}")
    try:
        with _without_frontends():
            registry = importlib.import_module("deepfense.utils.registry")
            for part in ("backends", "losses"):
                importlib.import_module(f"deepfense.models.{part}")
        built = registry.build_backend(backend["type"], dict(backend.get("args") or {}))
        values = [{key: value for key, value in loss.items() if key != "type"} for loss in losses]
        kinds = [loss["type"] for loss in losses]
        return built, nn.ModuleList(map(registry.build_loss, kinds, values))
    except (ImportError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DetectorError(f"{folder}: DeepFense cannot build {backend['type']!r}: {error}; {INSTALL}") from error


@contextmanager
def _without_frontends() -> Iterator[None]:
    """Import back-ends and losses without ``deepfense.models`` itself, whose front-ends want torchaudio."""
    name = "deepfense.models"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(Path(place) / "models") for place in find_spec("deepfense").submodule_search_locations]
        sys.modules[name] = package
        try:
            yield
        finally:
            del sys.modules[name]
    else:
        yield


def _split(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    encoder = {
        key.removeprefix(FRONTEND_PREFIX): value for key, value in state.items() if key.startswith(FRONTEND_PREFIX)
    }
    head = {key: value for key, value in state.items() if not key.startswith(FRONTEND_PREFIX)}
    if is_fairseq(encoder):
        return translated(encoder), head
    return {with_new_weight_norm(key): value for key, value in encoder.items()}, head


def _crop_s(values: dict[str, Any]) -> float | None:
    """The length that the test set of the configuration is padded or cut to."""
    steps = values.get("data", {}).get("test", {}).get("base_transform") or []
    lengths = [step["max_len"] for step in steps if isinstance(step, dict) and "max_len" in step]
    return lengths[0] / values["data"].get("sampling_rate", SAMPLE_RATE_HZ) if lengths else None
