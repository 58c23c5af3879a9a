"""Experiment files: read strictly, and derived for another corpus."""

import dataclasses
import hashlib
import os
import re
import types
import typing
from pathlib import Path
from typing import Any

import yaml

from sslig import files
from sslig.experiment.values import Experiment, ExperimentError

ROOT_MARKS = ("Snakefile", "pyproject.toml")
PLACEHOLDER = "FILL IN"
SOURCES = ("prompts", "synthetic")
"""Sources of a corpus by name; any other is a folder of recordings."""


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
    experiment = _build(Experiment, values, found, "", {"path": found, "root": _root(found), "start": None})
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


def changed(section: Any, values: dict[str, Any], path: Path, prefix: str) -> Any:
    """A section of an experiment with some of its keys given other `values`, which are read as strictly as the file.

    Parameters
    ----------
    section
        A dataclass of values, such as `Training`.
    values
        By key.
    path, prefix
        The file that they stand in, and what stands before their keys there, for the message.

    Raises
    ------
    ExperimentError
        A key is unknown, or a value is of a wrong type.
    """
    held = {item.name: getattr(section, item.name) for item in dataclasses.fields(section)}
    return _build(type(section), held | values, path, prefix)


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


def _build(kind: type, values: Any, path: Path, prefix: str, given: dict[str, Path | None] | None = None) -> Any:
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
