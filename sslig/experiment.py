"""All values of a study in one file: read strictly, with the paths that follow from them."""

import argparse
import dataclasses
import hashlib
import os
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sslig import files

ROOT_MARKS = ("Snakefile", "pyproject.toml")
PLACEHOLDER = "FILL IN"
SOURCES = ("prompts", "synthetic")
"""Sources of a corpus by name; any other is a folder of recordings."""


class ExperimentError(ValueError):
    """An experiment file that cannot be used; the message names the file, the key and what is accepted."""


@dataclass(frozen=True)
class Corpus:
    """Where the recordings are and, for the demo, what they are made from.

    `source` is ``prompts``, ``synthetic``, a folder of own recordings, or ``asvspoof5`` for a corpus that lies at
    `root` already.
    """

    source: str
    root: str
    seed: int = 0
    recordings: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """The recipe; `steps_per_epoch` none means once through as many utterances as the training set has.

    `gradient_clip` is the largest norm of the gradient that is let through; none lets all through.
    """

    epochs: int = 10
    steps_per_epoch: int | None = None
    batch_size: int = 4
    crop_s: float = 4.0
    lr_backbone: float = 1e-6
    lr_head: float = 1e-3
    weight_decay: float = 1e-2
    gradient_clip: float | None = None
    freeze_backbone: bool = False
    warmup_epochs: int = 0
    precision: str = "32-true"
    workers: int = 0


@dataclass(frozen=True)
class Scoring:
    """How utterances are scored: in full by default (`crop_s` none)."""

    batch_size: int = 16
    crop_s: float | None = None
    max_s: float = 60.0
    precision: str = "32-true"
    workers: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Bootstrap rounds of the intervals, and whether recordings are resampled within each drawn speaker."""

    rounds: int = 1000
    resample_recordings: bool = False


@dataclass(frozen=True)
class Attribution:
    """Integrated Gradients: which utterances, from which baseline, and when it counts as complete."""

    utterances: int = 60
    baseline: str = "bonafide_mean"
    baseline_utterances: int | None = 1000
    freeze_selection: bool = True
    tolerance: float = 0.01
    min_steps: int = 16
    max_steps: int = 512


@dataclass(frozen=True)
class Experiment:
    """A study: corpus, backbone, detectors, seeds and the values of each step.

    Attributes
    ----------
    backbone
        Name or folder of a Hugging Face encoder, or values with `model_type` for one with random weights.
    detectors
        By name: ``{"head": ..., other arguments of that head}``.
    device
        ``auto``, ``cpu``, ``cuda`` ...
    path, root
        The file this was read from, and the folder that relative paths start at.
    """

    name: str
    corpus: Corpus
    backbone: str | dict[str, Any]
    detectors: dict[str, dict[str, Any]]
    seeds: list[int]
    path: Path
    root: Path
    training: Training = field(default_factory=Training)
    scoring: Scoring = field(default_factory=Scoring)
    evaluation: Evaluation = field(default_factory=Evaluation)
    attribution: Attribution = field(default_factory=Attribution)
    device: str = "auto"

    @property
    def corpus_root(self) -> Path:
        """Folder of the corpus in the ASVspoof 5 layout."""
        return self.root / self.corpus.root

    @property
    def runs(self) -> Path:
        """Folder of everything this study makes."""
        return self.root / "runs" / self.name

    def run(self, detector: str, seed: int) -> Path:
        """Folder of one detector trained from one seed."""
        self.detector(detector)
        if seed not in self.seeds:
            raise ExperimentError(f"{self.path}: seed {seed} is not among its seeds {self.seeds}")
        return self.runs / detector / f"seed{seed}"

    def detector(self, name: str) -> dict[str, Any]:
        """The values of the detector called `name`."""
        if name not in self.detectors:
            raise ExperimentError(f"{self.path}: unknown detector {name!r}; it has {', '.join(self.detectors)}")
        return self.detectors[name]

    def backbone_source(self) -> str | dict[str, Any]:
        """The backbone; a name that is a folder below `root` becomes that folder."""
        if isinstance(self.backbone, str) and (self.root / self.backbone).is_dir():
            return str(self.root / self.backbone)
        return self.backbone


def load(path: str | os.PathLike) -> Experiment:
    """The experiment at `path`, which may also be relative to a folder above the current one.

    Raises
    ------
    ExperimentError
        The file is missing, is no mapping, or has an unknown key, a missing one, a value of a wrong type or one that
        still has to be filled in.
    """
    found = _find(Path(path))
    try:
        values = yaml.safe_load(found.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ExperimentError(f"{found}: no valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ExperimentError(f"{found}: a mapping of keys to values is needed")
    blank = [name for name, value in _leaves(values) if isinstance(value, str) and PLACEHOLDER in value]
    if blank:
        raise ExperimentError(f"{found}: still to be filled in: {', '.join(blank)}")
    experiment = _build(Experiment, values, found, "", {"path": found, "root": _root(found)})
    if not experiment.detectors or not experiment.seeds:
        raise ExperimentError(f"{found}: at least one detector and one seed are needed")
    return experiment


def derive(path: str | os.PathLike, source: str) -> Path:
    """Write the experiment at `path` with another corpus `source` beside its runs, and return the new file.

    A folder of recordings is named by its last part and a hash of its whole path, so that two folders of one name
    stay apart.
    """
    base = load(path)
    values = yaml.safe_load(base.path.read_text(encoding="utf-8"))
    label = source
    if Path(source).expanduser().is_dir():
        source = str(Path(source).expanduser().resolve())
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source).name).strip("-")
        label = f"{slug}-{hashlib.sha256(source.encode()).hexdigest()[:6]}"
    elif source not in SOURCES:
        raise ExperimentError(f"CORPUS={source}: no such folder; accepted: {', '.join(SOURCES)}, a folder")
    values["name"] = f"{base.name}-{label}"
    values["corpus"] = values["corpus"] | {"source": source, "root": f"corpora/{values['name']}"}
    target = base.root / "runs" / values["name"] / "experiment.yaml"
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        files.write_text(target, text)
    return target


def _find(path: Path) -> Path:
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / path).is_file():
            return (folder / path).resolve()
    raise ExperimentError(f"{path}: no such experiment file in {Path.cwd()} or a folder above it")


def _root(path: Path) -> Path:
    marked = [folder for folder in path.parents if any((folder / mark).is_file() for mark in ROOT_MARKS)]
    return marked[0] if marked else path.parent


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        leaves += _leaves(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return leaves


def _build(kind: type, values: Any, path: Path, prefix: str, given: dict[str, Path] | None = None) -> Any:
    """A dataclass from a mapping, with every key and type checked, and from what is `given` and no key of the file."""
    if not isinstance(values, dict):
        raise ExperimentError(f"{path}: {prefix.rstrip('.')} is {values!r}; a mapping of keys to values is needed")
    given, hints = given or {}, typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind) if item.name not in given}
    unknown = sorted(set(map(str, values)) - set(fields))
    if unknown:
        raise ExperimentError(f"{path}: unknown key {prefix}{unknown[0]}; known: {', '.join(fields)}")
    absent = dataclasses.MISSING
    required = [name for name, item in fields.items() if item.default is absent and item.default_factory is absent]
    missing = [name for name in required if name not in values]
    if missing:
        raise ExperimentError(f"{path}: key {prefix}{missing[0]} is missing")
    return kind(**{name: _value(hints[name], value, path, prefix + name) for name, value in values.items()}, **given)


def _value(hint: Any, value: Any, path: Path, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, path, f"{name}.")
    if hint is Any:
        return value
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    accepted = tuple(typing.get_origin(option) or option for option in options)
    if float in accepted and isinstance(value, str | int) and not isinstance(value, bool):
        value = _number(value)  # YAML reads 1e-3 as text and 4 as an integer
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        names = " or ".join("none" if option is type(None) else option.__name__ for option in accepted)
        raise ExperimentError(f"{path}: {name} is {value!r}; accepted: {names}")
    return _parts(options, value, path, name) if isinstance(value, list | dict) else value


def _parts(options: tuple[Any, ...], value: Any, path: Path, name: str) -> Any:
    """The values in a list or a mapping, checked against the type that the hint has for them."""
    hint = next(typing.get_args(option)[-1] for option in options if typing.get_origin(option) is type(value))
    if isinstance(value, list):
        return [_value(hint, part, path, f"{name}[{index}]") for index, part in enumerate(value)]
    return {key: _value(hint, part, path, f"{name}.{key}") for key, part in value.items()}


def _number(value: str | int) -> float | str:
    try:
        return float(value)
    except ValueError:
        return str(value)


def main() -> None:
    """Print the path of the experiment file for a corpus source, written if it is not the file's own."""
    parser = argparse.ArgumentParser(description=derive.__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--corpus", default="", help="prompts, synthetic or a folder of own recordings")
    parser.add_argument("--runs", action="store_true", help="print the folder of what the study makes instead")
    arguments = parser.parse_args()
    try:
        experiment = load(arguments.experiment)
        if arguments.runs:
            print(experiment.runs)
            return
        same = arguments.corpus in ("", experiment.corpus.source)
        print(experiment.path if same else derive(arguments.experiment, arguments.corpus))
    except ExperimentError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
