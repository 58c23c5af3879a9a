"""Files: atomic writing, by a temporary name beside the target and one rename, and strict reading of YAML."""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sslig.errors import InputError, StudyError

MANY = 50_000
"""Files of a folder that `state` looks at one by one, in about a second."""


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


def state(root: Path, endings: tuple[str, ...], at_most: int = MANY) -> str:
    """A hash of what lies at `root`, a file or a folder, that changes when a file with one of `endings` is replaced.

    It covers name, size and first bytes of each file, with its time where these hold no checksum of the content as
    those of FLAC do. Of more than `at_most` files it covers the folders' times only, which in-place edits leave alone.
    """
    paths, folders = ([root], []) if root.is_file() else ([], [])
    for folder, inner, names in os.walk(root):
        inner.sort()
        folders.append(Path(folder))
        paths += [Path(folder) / name for name in sorted(names) if name.lower().endswith(endings)]
    digest = hashlib.sha256()
    for path in folders if len(paths) > at_most else paths:
        about = path.stat()
        head = b"" if path.is_dir() else _head(path)
        time_ns = 0 if head.startswith(b"fLaC") and any(head[26:42]) else about.st_mtime_ns
        size = 0 if path.is_dir() else about.st_size
        digest.update(f"{path.relative_to(root)} {size} {time_ns} ".encode() + head)
    return digest.hexdigest()[:16]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def seal(path: Path) -> None:
    """Store a checksum of the file at `path` beside it."""
    write_text(_seal_of(path), f"{_checksum(path)}\n")


def check_seal(path: Path, remake: str) -> None:
    """Compare the file at `path` with its checksum, where it has one.

    Raises
    ------
    InputError
        The content is not what was sealed; the message has the command `remake`, which makes the file again.
    """
    stored = _seal_of(path)
    if stored.is_file() and (not path.is_file() or stored.read_text(encoding="utf-8").strip() != _checksum(path)):
        problem = "is not what was written: damaged, cut off or edited"
        raise InputError(f"{path}: {problem}; delete it and make it again with\n  {remake}")


def _seal_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc32")


def _checksum(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


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
