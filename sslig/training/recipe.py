"""The recipe of a training: whether it can be followed, and the values and files that decide its result."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sslig.corpora import protocol
from sslig.errors import DataError, StudyError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import KEYS
from sslig.study import Study

BACKBONE_FILES = ("config.json", "preprocessor_config.json", "model*.safetensors*", "pytorch_model*.bin*")
"""The files that Hugging Face reads from the folder of an encoder."""


def check(study: Study, clock: FrameClock, min_frames: int, sets: Mapping[str, pd.DataFrame]) -> None:
    """Check that both sets have both classes, that the warm-up ends, and that the head can read a crop."""
    options = study.training
    for name, table in sets.items():
        for key in KEYS:
            if key not in set(table["key"]):
                raise DataError(f"set {name}: {len(table)} utterances and none is {key}; training needs both classes")
    if not options.freeze_backbone and options.warmup_epochs >= options.epochs:
        accepted = f"fewer than training.epochs, {options.epochs}; freeze_backbone trains the head alone throughout"
        raise StudyError(f"{study.path}: training.warmup_epochs is {options.warmup_epochs}; accepted: {accepted}")
    if (frames := clock.n_frames(round(options.crop_s * SAMPLE_RATE_HZ))) < min_frames:
        least_s = clock.n_samples(min_frames) / SAMPLE_RATE_HZ
        raise StudyError(
            f"{study.path}: training.crop_s is {options.crop_s:g}, which gives {frames} frames; accepted: {least_s:g} "
            f"and above, the {min_frames} frames that the head needs"
        )


def values(study: Study, name: str, seed: int) -> dict[str, Any]:
    """The values of a study that decide a training, as JSON holds them."""
    decisive = {
        "seed": seed,
        "detector": study.detector(name),
        "backbone": study.backbone,
        "corpus": {key: value for key, value in study.corpus.decisive().items() if key != "root"},
        "training": study.training.decisive(),
        "scoring": study.scoring.model_dump(exclude={"batch_size", "workers"}),
    }
    return json.loads(json.dumps(decisive))


def contents(study: Study, corpus: Path, start: Path | None = None) -> dict[str, str]:
    """Fingerprints of the files that decide a training: protocols, a backbone in a folder, the first detector."""
    from sslig.models.detector import fingerprint

    source = study.backbone_source()
    folder, patterns = (Path(source), BACKBONE_FILES) if isinstance(source, str) else (Path(), ())
    files = {f"protocol of {name}": protocol.table_path(corpus, name) for name in ("train", "dev")}
    files |= {f"backbone {path.name}": path for pattern in patterns for path in sorted(folder.glob(pattern))}
    hashes = {name: hashlib.file_digest(path.open("rb"), "sha256").hexdigest()[:12] for name, path in files.items()}
    return hashes if start is None else hashes | {"start": fingerprint(start)}


def changes(
    recorded: Mapping[str, Any], study: Study, name: str, seed: int, files: Mapping[str, str] | None = None
) -> list[str]:
    """Lines such as ``training.epochs 7 -> 8`` for what differs between a ``training.json`` and what a study asks for.

    `files` are the `contents` that training would start from; without them, only values are compared.
    """
    asked = values(study, name, seed)
    before, after = (pd.json_normalize(tree).to_dict("records")[0] for tree in (recorded["values"], asked))
    if files is not None:
        before, after = before | recorded["files"], after | dict(files)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    return [f"{key} {_text(before.get(key))} -> {_text(after.get(key))}" for key in changed]


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
