"""Atomic writing: a file appears whole or not at all, by a temporary name beside the target and one rename."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


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
