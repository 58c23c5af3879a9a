"""Detectors by name: a folder, a file, a repository on the Hub, a Python class, or values of a YAML file."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors.torch import save_file
from torch import nn

from sslig.errors import DetectorError
from sslig.files import atomic, read_yaml, write_json
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import HIGHER_IS_SPOOF
from sslig.models import deepfense, factory, fairseq, huggingface
from sslig.models.backbone import CHECKPOINTS
from sslig.models.checkpoint import read_state
from sslig.models.detector import Detector
from sslig.models.foreign import Origin
from sslig.models.published import BACKBONE_PREFIX, import_published

OWN, RELEASE = "sslig", "release of arXiv 2606.10912"
ADOPTED = "adopted"
"""Key of config.json in the folder of a detector that `adopt` wrote, with the values that name it."""

OF_RUN = "detector"
"""Folder of the detector in that of a run of a study, which stands for it."""

KINDS = {
    OWN: "a folder or a Hub repository with config.json and model.safetensors, or a run of a study",
    RELEASE: "a .pt file with wavlm.* and the weights of a head",
    huggingface.KIND: "a folder or a Hub repository of AutoModelForAudioClassification",
    huggingface.PIPELINE_KIND: "a Hub repository with an antispoofing pipeline, with trust_remote_code",
    fairseq.KIND: "a .pt or .pth file with ssl_model.model.*: SSL_Anti-spoofing, SLS",
    deepfense.KIND: "a folder or a Hub repository with best_model.pth and config.yaml",
    factory.ARENA_KIND: "package.module:Class with load() and score(audio, sr)",
    factory.KIND: "package.module:factory of an nn.Module, with a direction",
}
"""Kind of detector -> how it is named."""

KEYS = (
    *("checkpoint", "module", "labels", "direction", "rate", "arguments", "min_samples", "backbone", "head"),
    "trust_remote_code",
)
"""Values that name a detector: `checkpoint` or `module`, and what these need."""


TAKES = {
    OWN: (),
    ADOPTED: (),
    RELEASE: ("head", "backbone"),
    huggingface.KIND: ("labels",),
    fairseq.KIND: ("backbone",),
    deepfense.KIND: ("backbone",),
    factory.KIND: ("direction", "rate", "arguments", "min_samples"),
}
"""Kind -> the values that it takes beside its name."""


def load(name: str | os.PathLike | Mapping[str, Any], trust_remote_code: bool = False) -> nn.Module:
    """Load a detector, whatever it is, in float32 and evaluation mode.

    Parameters
    ----------
    name
        A folder, a file, a repository, ``package.module:name``, a YAML file of values, or values with `KEYS`.

    Returns
    -------
    nn.Module
        From (batch, samples) at 16 kHz to (batch,) spoof logits, with ``clock``, ``min_frames`` and ``origin``.

    Raises
    ------
    DetectorError
        Nothing of `KINDS` has this name, or it cannot be loaded; the message says what to give.
    """
    values = _values(name)
    trust_remote_code = values.pop("trust_remote_code", trust_remote_code)
    target = str(values.pop("checkpoint", None) or values.pop("module", ""))
    kind, place = identify(target)
    if kind == ADOPTED:
        return load(json.loads((Path(place) / CONFIG_NAME).read_text(encoding="utf-8"))[ADOPTED])
    if unknown := sorted(set(values) - set(TAKES[kind])):
        accepted = ", ".join(TAKES[kind]) or "nothing"
        raise DetectorError(f"{target}: this kind of detector takes no {unknown[0]!r}; accepted: {accepted}")
    loaders = {
        OWN: Detector.from_pretrained,
        RELEASE: import_published,
        huggingface.KIND: partial(huggingface.load, trust_remote_code=trust_remote_code),
        fairseq.KIND: fairseq.load,
        deepfense.KIND: deepfense.load,
        factory.KIND: factory.load,
    }
    detector = loaders[kind](place, **values)
    if not hasattr(detector, "origin"):
        folder = place if kind == OWN else None
        detector.origin = Origin(kind, target, direction=HIGHER_IS_SPOOF, folder=folder)
    return detector


def adopt(values: Mapping[str, Any], folder: Path) -> nn.Module:
    """Put a detector into `folder` so that its name is that of the folder: ours as it is, others by their values.

    Of a detector that is not ours, ``model.safetensors`` holds no weights, only their SHA-256.
    """
    detector = load(values)
    folder.mkdir(parents=True, exist_ok=True)
    if type(detector) is Detector:
        detector.save_pretrained(folder)
        return detector
    digest = hashlib.sha256()
    for name, tensor in sorted(detector.state_dict().items()):
        raw = tensor.cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + raw.numpy().tobytes())
    write_json(folder / CONFIG_NAME, {ADOPTED: dict(values)})
    with atomic(folder / SAFETENSORS_SINGLE_FILE) as part:
        save_file({}, part, metadata={"sha256": digest.hexdigest()})
    return detector


def opens(values: Mapping[str, Any]) -> bool:
    """Whether a detector shows its convolutions, its encoder and its head; without loading it."""
    target = str(values.get("checkpoint") or values.get("module"))
    kind, place = identify(target)
    if kind == huggingface.KIND:
        return huggingface.is_encoder(place)
    return kind != factory.KIND


def identify(target: str) -> tuple[str, str]:
    """The kind of what is named, and its place on this machine or on the Hub.

    Raises
    ------
    DetectorError
        Nothing of `KINDS` has this name.
    """
    path = Path(target).expanduser()
    if path.is_file() and path.suffix in CHECKPOINTS:
        return _kind_of_weights(path), str(path)
    if path.is_dir():
        path = path / OF_RUN if (path / OF_RUN / CONFIG_NAME).is_file() else path
        files = {file.name for file in path.iterdir()}
        return _kind_of_files(str(path), files, lambda file: path / file), str(path)
    if ":" in target and "/" not in target and not path.exists():
        return factory.KIND, target
    if target.count("/") == 1 and not path.exists() and not target.startswith((".", "~")):
        return _on_the_hub(target)
    raise DetectorError(_nothing(target))


def _nothing(target: str) -> str:
    accepted = "; ".join(f"{how} ({kind})" for kind, how in KINDS.items())
    return f"no detector {target!r}; accepted: {accepted}"


def _kind_of_weights(path: Path) -> str:
    state = read_state(path)
    if any(key.startswith(BACKBONE_PREFIX) for key in state):
        return RELEASE
    if fairseq.is_fairseq(state) or any(key.startswith(fairseq.PREFIX) for key in state):
        return fairseq.KIND
    names = ", ".join(list(state)[:3])
    raise DetectorError(f"{path}: tensors such as {names} belong to no known detector; {_nothing(path.name)}")


def _kind_of_files(target: str, files: set[str], fetch) -> str:
    if {deepfense.WEIGHTS, deepfense.VALUES} <= files:
        return deepfense.KIND
    if CONFIG_NAME not in files:
        raise DetectorError(f"{target}: no {CONFIG_NAME} and no {deepfense.WEIGHTS}; {_nothing(target)}")
    try:
        values = json.loads(Path(fetch(CONFIG_NAME)).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DetectorError(f"{target}: {CONFIG_NAME} is no JSON: {error}") from error
    return next(
        (kind for key, kind in ((ADOPTED, ADOPTED), ("backbone_config", OWN)) if key in values), huggingface.KIND
    )


def _on_the_hub(repository: str) -> tuple[str, str]:
    from huggingface_hub import errors, hf_hub_download, list_repo_files, snapshot_download

    try:
        files = set(list_repo_files(repository))
        kind = _kind_of_files(repository, files, lambda file: hf_hub_download(repository, file))
        wanted = {deepfense.KIND: [deepfense.WEIGHTS, deepfense.VALUES], OWN: ["*.json", "*.safetensors"]}
        if kind in wanted:
            return kind, snapshot_download(repository, allow_patterns=wanted[kind])
        return kind, repository
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DetectorError(f"{_nothing(repository)}; the Hub answered: {reason}") from error


def _values(name: str | os.PathLike | Mapping[str, Any]) -> dict[str, Any]:
    """The values that a name stands for, checked."""
    if not isinstance(name, Mapping):
        path = Path(name)
        name = read_yaml(path) if path.suffix in (".yaml", ".yml") else {"checkpoint": str(name)}
    values = {key: value for key, value in name.items() if value is not None}
    if unknown := sorted(set(values) - set(KEYS)):
        raise DetectorError(f"a detector has no value {unknown[0]!r}; accepted: {', '.join(KEYS)}")
    if ("checkpoint" in values) == ("module" in values):
        raise DetectorError(f"a detector needs checkpoint or module, and not both; got {sorted(values)}")
    return values


def describe(detector: nn.Module) -> dict[str, Any]:
    """What is known of a detector: origin, direction, rates, frames, sizes and what its insides offer."""
    origin: Origin = getattr(detector, "origin", Origin(OWN, "", direction=HIGHER_IS_SPOOF))
    inside = isinstance(detector, Detector)
    facts = {
        "kind": origin.kind,
        "name": origin.name,
        "outputs": list(origin.labels) or ["spoof logit"],
        "direction": origin.direction or "difference of outputs",
        "rate_hz": origin.rate_hz,
        "resampled": origin.rate_hz != SAMPLE_RATE_HZ,
        "crop_s": origin.crop_s,
        "parameters": sum(parameter.numel() for parameter in detector.parameters()),
        "hop_ms": 1000 * detector.clock.hop_s,
        "min_frames": detector.min_frames,
        "gradients": origin.differentiable,
        "convolutions": inside,
        "head": type(detector.head).__name__ if inside else None,
    }
    if inside:
        backbone = detector.backbone
        facts |= {"encoder": backbone.model.config.model_type, "layers": backbone.n_layers}
        facts |= {"features": backbone.feature_size, "normalises": backbone.normalise}
    return facts | {"notes": dict(origin.notes)}
