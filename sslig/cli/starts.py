"""Real recordings that attributions start from: of a corpus, of the study of a run, or stored beside a detector."""

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sslig import audio, study
from sslig.attribution.context import DRAWS, Draw, real_draws
from sslig.attribution.target import RECORDING, lacking
from sslig.corpora import protocol
from sslig.errors import InputError, StudyError
from sslig.files import atomic
from sslig.labels import KEYS
from sslig.study import Scoring

STARTS = "starts.safetensors"
SETS = ("train", "dev", "eval")
RUNS, PLANTED = "runs", "planted"


def draws(
    model: nn.Module, place: Path | None, reference: Path | None, device: str | torch.device, max_s: float = 60.0
) -> tuple[Draw, ...]:
    """Real utterances of both classes as a detector reads them; none where no recordings are known.

    Those of the corpus `reference`, else those stored in the folder `place` of the detector, else those of the corpus
    of the study that the folder is a run of.

    Raises
    ------
    InputError
        `reference` is no corpus.
    """
    if lacking(model, RECORDING):
        return ()
    if reference is None and place is not None and (place / STARTS).is_file():
        return read(place / STARTS)
    root = reference if reference is not None else corpus_of_run(place)
    table = None if root is None else utterances(root)
    return () if table is None else real_draws(model, table, Scoring(max_s=max_s), device)


def utterances(root: Path) -> pd.DataFrame:
    """`DRAWS` utterances of each class of a corpus: ``utterance``, ``path`` and ``label``.

    A corpus is a folder in the layout of ASVspoof 5 (its first set of `SETS` counts), or one with the sub-folders
    ``bonafide`` and ``spoof``.
    """
    folders = {key: root / key for key in KEYS}
    if all(folder.is_dir() for folder in folders.values()):
        rows = [
            (f"{key}/{path.name}", str(path), KEYS[key])
            for key, folder in folders.items()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and audio.is_sound(path)
        ]
        table = pd.DataFrame(rows, columns=["utterance", "path", "label"])
    else:
        name = next((name for name in SETS if (root / protocol.SETS[name][0]).is_file()), None)
        if name is None:
            accepted = f"sub-folders {' and '.join(KEYS)}, or a protocol such as {protocol.SETS['train'][0]}"
            raise InputError(f"{root}: no corpus to start from; {accepted} is needed")
        table = protocol.load_set(root, name)
    parts = [protocol.draw(table[table["label"] == label], DRAWS, 0) for label in KEYS.values()]
    if empty := [key for key, part in zip(KEYS, parts, strict=True) if part.empty]:
        raise InputError(f"{root}: holds no {empty[0]} recording; both classes are needed to start from")
    return pd.concat(parts, ignore_index=True)


def corpus_of_run(place: Path | None) -> Path | None:
    """The corpus of the study whose run the folder of a detector lies in; none where it lies in no run."""
    parts = () if place is None else place.resolve().parts
    if RUNS not in parts:
        return None
    at = len(parts) - 1 - parts[::-1].index(RUNS)
    root, below = Path(*parts[:at]), parts[at + 1 :]
    for path in sorted([*root.glob("experiments/*.yaml"), *root.glob(f"{RUNS}/{below[0]}/experiment.yaml")]):
        try:
            values = study.load(path)
        except StudyError:
            continue
        if values.name == below[0]:
            corpus = values.planted(below[2]) if below[1:2] == (PLANTED,) else values
            return corpus.corpus_root if protocol.tables(corpus)[corpus.corpus.reference].is_file() else None
    return None


def write(path: Path, utterances: tuple[Draw, ...]) -> None:
    """Store what `draws` gives, in the space of the recording."""
    tensors = {f"{number:02d}": draw.inputs[RECORDING].contiguous().cpu() for number, draw in enumerate(utterances)}
    tensors["labels"] = torch.tensor([draw.label for draw in utterances])
    with atomic(path) as part:
        save_file(tensors, part)


def read(path: Path) -> tuple[Draw, ...]:
    """What `write` stored."""
    tensors = load_file(path)
    labels = tensors.pop("labels").tolist()
    return tuple(Draw(label, {RECORDING: tensors[key]}) for label, key in zip(labels, sorted(tensors), strict=True))
