"""Check a corpus: counts, missing files, what its sets share, what separates its classes."""

import argparse

import pandas as pd

from sslig.cli import main
from sslig.cli.score import plain

TITLES = {
    "counts": "utterances",
    "missing": "missing files",
    "shared": "shared by several sets, or with two keys",
    "separation": "measures that separate the classes alone, strongest first (EER in percent)",
}
SHOWN = 10
"""Rows of a table that are printed; --json prints all."""


def run(options: argparse.Namespace) -> int:
    """Print the tables of `sslig.pipeline.check`; exit status 1 where files are missing or sets share something."""
    from sslig.pipeline.check import check

    tables = check(options.path, options.layout, utterances=options.utterances, workers=options.workers)
    faulty = len(tables["missing"]) + len(tables["shared"]) > 0
    if options.json:
        main.print_json({name: plain(table) for name, table in tables.items()})
    else:
        print("\n\n".join(_text(name, table) for name, table in tables.items()))
    return main.PARTLY if faulty else main.DONE


def _text(name: str, table: pd.DataFrame) -> str:
    if table.empty:
        return f"{TITLES[name]}: none"
    if name == "separation":
        columns = ["set", "measure", "eer"]
        table = table[columns].assign(eer=100 * table["eer"]).groupby("set", sort=False).head(5)
    more = f"\n... and {len(table) - SHOWN} more (--json)" if len(table) > SHOWN and name != "separation" else ""
    rows = table if name == "separation" else table.head(SHOWN)
    return f"{TITLES[name]}\n{rows.to_string(index=False, float_format='{:.1f}'.format)}{more}"
