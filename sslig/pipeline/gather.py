"""Gather: the shards of tables as one file a table."""

from pathlib import Path

import pandas as pd

from sslig.files import write_parquet
from sslig.study import Study


def gather(study: Study, *, shards: list[Path], tables: list[Path]) -> None:
    """Concatenate the shards of each table, ordered by utterance, so that the number of shards leaves no trace.

    Shards of all tables are given together, each called ``<table>.<shard>.parquet``.
    """
    for table in tables:
        parts = [pd.read_parquet(path) for path in shards if path.name.split(".")[0] == table.stem]
        filled = [part for part in parts if len(part)] or parts[:1]
        write_parquet(table, pd.concat(filled).sort_values("utterance", kind="stable", ignore_index=True))
