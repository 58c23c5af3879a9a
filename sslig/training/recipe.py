"""The recipe of a training: first weights, optimiser, learning rates, and the values that decide the result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, OneCycleLR

from sslig.corpora import protocol
from sslig.errors import DataError, DetectorError, StudyError
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.models.backbone import Backbone
from sslig.models.detector import Detector, fingerprint
from sslig.study import Study, Training

SPEED = {"workers", "checkpoint_steps", "log_steps"}
"""Options of training that change how fast a result comes or how it is logged, but not the result."""

BACKBONE_FILES = ("config.json", "preprocessor_config.json", "model*.safetensors*", "pytorch_model*.bin*")
"""The files that Hugging Face reads from the folder of an encoder."""


def make_detector(backbone: str | dict[str, Any], detector: Mapping[str, Any], seed: int) -> Detector:
    """Build a detector with a random head; the encoder is pretrained, or random where it is given by its values.

    Raises
    ------
    DetectorError
        The key ``head`` is missing, or the encoder or the head cannot be built.
    """
    values = dict(detector)
    if "head" not in values:
        raise DetectorError(f"a detector needs the key head; got {sorted(values)}")
    with seeded(seed):
        encoder = Backbone.from_config(backbone) if isinstance(backbone, dict) else Backbone.from_pretrained(backbone)
        return Detector.assemble(encoder, values.pop("head"), values)


@contextmanager
def seeded(seed: int, rank: int = 0) -> Iterator[None]:
    """Seed the global generators of torch (dropout) and NumPy (SpecAugment) in the block, and restore them afterwards.

    Every process but the first derives a seed from its rank, so that no two processes drop the same units.
    """
    derived = int(np.random.SeedSequence((seed, rank)).generate_state(1)[0]) if rank else seed
    with isolate_rng(include_cuda=False):
        torch.manual_seed(derived)
        np.random.seed(derived)  # noqa: NPY002
        yield


def optimiser(detector: Detector, options: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over the groups of the backbone and the head."""
    groups = backbone_groups(detector.backbone, options.lr_backbone, options.layer_decay)
    groups.append({"params": list(detector.head.parameters()), "lr": options.lr_head, "name": "head"})
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay)


def backbone_groups(backbone: Backbone, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """Group the parameters of the backbone by learning rate; the last group, or the only one, is called ``backbone``.

    Layer l of L has the rate ``lr * layer_decay ** (L - l)`` (ELECTRA, Clark et al. 2020, arXiv 2003.10555, section
    3.1). Parameters below layer 1 belong to a layer 0, and those above the last layer to the last layer.
    """
    if layer_decay == 1:
        return [{"params": list(backbone.parameters()), "lr": lr, "name": "backbone"}]
    encoder, top = backbone.model.encoder, len(backbone.model.encoder.layers)
    depth = {id(p): number for number, layer in enumerate(encoder.layers, 1) for p in layer.parameters()}
    if getattr(backbone.model.config, "do_stable_layer_norm", False):  # not every encoder has this value
        depth |= {id(p): top for p in encoder.layer_norm.parameters()}
    names = [*(f"layer{number}" for number in range(top)), "backbone"]
    rates = [lr * layer_decay ** (top - number) for number in range(top + 1)]
    groups = [{"params": [], "lr": rate, "name": name} for rate, name in zip(rates, names, strict=True)]
    for parameter in backbone.parameters():
        groups[depth.get(id(parameter), 0)]["params"].append(parameter)
    return groups


def schedule(optimizer: torch.optim.Optimizer, options: Training, steps: int) -> LRScheduler | None:
    """The schedule of all learning rates over `steps` optimiser steps; none where the rates are constant.

    ``exponential`` is ``lr(t) = lr * lr_end ** (t / steps)``. ``one_cycle`` (Smith & Topin 2018, arXiv 1708.07120)
    rises from lr / 25 to lr over the first 30 % of the steps and falls to lr / 250,000, both as half a cosine.
    """
    if options.schedule == "exponential":
        return ExponentialLR(optimizer, options.lr_end ** (1 / steps))
    if options.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=False)
    return None


def check(study: Study, detector: Detector, sets: Mapping[str, pd.DataFrame]) -> None:
    """Check that both sets have both classes, that the warm-up ends, and that the head can read a crop."""
    options, clock, least = study.training, detector.clock, detector.min_frames
    for name, table in sets.items():
        for key in KEYS:
            if key not in set(table["key"]):
                raise DataError(f"set {name}: {len(table)} utterances and none is {key}; training needs both classes")
    if not options.freeze_backbone and options.warmup_epochs >= options.epochs:
        accepted = f"fewer than training.epochs, {options.epochs}; freeze_backbone trains the head alone throughout"
        raise StudyError(f"{study.path}: training.warmup_epochs is {options.warmup_epochs}; accepted: {accepted}")
    if (frames := clock.n_frames(round(options.crop_s * SAMPLE_RATE_HZ))) < least:
        accepted = f"{clock.n_samples(least) / SAMPLE_RATE_HZ:g} and above, the {least} frames that the head needs"
        raise StudyError(
            f"{study.path}: training.crop_s is {options.crop_s:g}, which gives {frames} frames; accepted: {accepted}"
        )


def values(study: Study, name: str, seed: int) -> dict[str, Any]:
    """The values of a study that decide a training, as JSON holds them."""
    decisive = {
        "seed": seed,
        "detector": study.detector(name),
        "backbone": study.backbone,
        "corpus": study.corpus.model_dump(exclude={"root"}),
        "training": study.training.model_dump(exclude=SPEED),
        "scoring": study.scoring.model_dump(exclude={"batch_size", "workers"}),
    }
    return json.loads(json.dumps(decisive))


def contents(study: Study, corpus: Path, start: Path | None = None) -> dict[str, str]:
    """Fingerprints of the files that decide a training: protocols, a backbone in a folder, the first detector."""
    source = study.backbone_source()
    folder, patterns = (Path(source), BACKBONE_FILES) if isinstance(source, str) else (Path(), ())
    files = {f"protocol of {name}": corpus / protocol.SETS[name][0] for name in ("train", "dev")}
    files |= {f"backbone {path.name}": path for pattern in patterns for path in sorted(folder.glob(pattern))}
    hashes = {name: hashlib.file_digest(path.open("rb"), "sha256").hexdigest()[:12] for name, path in files.items()}
    return hashes if start is None else hashes | {"start": fingerprint(start)}


def changes(
    recorded: Mapping[str, Any], study: Study, name: str, seed: int, files: Mapping[str, str] | None = None
) -> list[str]:
    """Compare a recorded training with what a study asks for, one line for each change.

    Parameters
    ----------
    recorded
        The content of a ``training.json``.
    files
        The `contents` that training would start from; by default only values are compared.

    Returns
    -------
    list of str
        Lines such as ``training.epochs 7 -> 8``.
    """
    asked = values(study, name, seed)
    before, after = (pd.json_normalize(tree).to_dict("records")[0] for tree in (recorded["values"], asked))
    if files is not None:
        before, after = before | recorded["files"], after | dict(files)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    return [f"{key} {_text(before.get(key))} -> {_text(after.get(key))}" for key in changed]


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
