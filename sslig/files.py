"""Files: atomic writing, by a temporary name beside the target and one rename, and strict reading of YAML."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sslig.errors import StudyError


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block succeeds and is removed when it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_parquet(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write `table` as Parquet, without its index."""
    with atomic(path) as part:
        table.to_parquet(part, index=False)


def write_tsv(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write `table` tab-separated with a header, without its index."""
    with atomic(path) as part:
        table.to_csv(part, sep="\t", index=False)


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key that stands twice in one mapping, and reads ``1e-3`` as a number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys: set[Any] = set()
    for part, _ in node.value:
        key = loader.construct_object(part, deep=True)
        if key in keys:
            raise yaml.constructor.ConstructorError(problem=f"key {key!r} stands twice", problem_mark=part.start_mark)
        keys.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping of a file of YAML; a `StudyError` where it is none, or a key stands twice."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise StudyError(f"{path}: a mapping of keys to values is needed")
    return values
