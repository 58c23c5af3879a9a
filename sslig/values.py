"""Values of an experiment file, checked by a model; errors name file and key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sslig.errors import StudyError

ROOT_MARKS = ("Snakefile", "pyproject.toml")


def validated(model: type[BaseModel], values: dict[str, Any], path: Path, prefix: str = "") -> Any:
    """`values` as a `model`; `StudyError` names the file, the key below `prefix` and what is accepted."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join([*([prefix] if prefix else []), *map(str, fault["loc"])])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_fields(model, fault["loc"][:-1]))
            raise StudyError(f"{path}: unknown key {key}; known: {known}") from error
        if fault["type"] == "missing":
            raise StudyError(f"{path}: key {key} is missing") from error
        raise StudyError(f"{path}: {key} is {fault['input']!r}; {fault['msg']}") from error


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that a section at `loc`, or an item of a list of sections there, accepts."""
    for name in loc:
        model = get_args(model)[0] if isinstance(name, int) else model.model_fields[name].annotation
    return list(model.model_fields)


def find(path: Path) -> Path:
    """The file at `path`, relative to the current folder or one above it."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / path).is_file():
            return (folder / path).resolve()
    raise StudyError(f"{path}: no such experiment file in {Path.cwd()} or a folder above it")


def project(path: Path) -> Path:
    """The folder of the project that `path` lies in, by `ROOT_MARKS`, else that of the file."""
    marked = [folder for folder in path.parents if any((folder / mark).is_file() for mark in ROOT_MARKS)]
    return marked[0] if marked else path.parent


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in `values` that is no mapping."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
