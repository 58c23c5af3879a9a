"""Gives the annotations of a study to other programs, and takes theirs.

python -m sslig.annotation export experiments/demo.yaml annotations.csv
python -m sslig.annotation import experiments/demo.yaml project-1.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sslig.annotation import interchange, study
from sslig.annotation.imported import InterchangeError
from sslig.annotation.interchange import FORMS
from sslig.annotation.keeping import keep
from sslig.annotation.store import Store, StoreError
from sslig.annotation.table import annotations
from sslig.corpora.protocol import ProtocolError
from sslig.study import Study, StudyError, load


def export(experiment: Study, path: Path, form: str, annotator: str | None) -> str:
    """Write what the store of a study holds, of one annotator or of all, and say what was written."""
    with Store(study.store_path(experiment), read_only=True) as store:
        table, who = annotations(store), store.annotators()
    if annotator is not None:
        if annotator not in who:
            raise InterchangeError(f"no annotator {annotator!r}; the store has {', '.join(who) or 'none'}")
        table = table[table["annotator"] == annotator]
    known = study.utterances(experiment, table["utterance"])
    interchange.write(path, table, form, dict(zip(known["utterance"], known["duration_s"], strict=True)))
    return f"{path}: {len(table):,} regions of {table['annotator'].nunique()} annotators"


def take(experiment: Study, path: Path, form: str | None, annotator: str) -> str:
    """Append what a file says to the store of a study, and say what was taken and what was not."""
    found = interchange.read(path, form, annotator)
    with Store(study.store_path(experiment)) as store:
        n_changes = keep(store, found.table)
    faults = [f"{row.file}: row {row.row} ({row.utterance}): {row.fault}" for row in found.faults.itertuples()]
    return "\n".join([f"{path}: {n_changes:,} changes of {len(found.table):,} regions appended; "
                      f"{len(faults):,} rows left out", *faults])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Export or import from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sslig.annotation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command, what in (("export", "the file or folder to write"), ("import", "the file or folder to read")):
        one = commands.add_parser(command)
        one.add_argument("experiment", help="an experiment file")
        one.add_argument("path", type=Path, help=what)
        one.add_argument("--form", choices=FORMS, default="tidy" if command == "export" else None,
                         help="; ".join(f"{name}: {said}" for name, said in FORMS.items()))  # fmt: skip
    commands.choices["export"].add_argument("--annotator", help="the only one to export")
    commands.choices["import"].add_argument("--annotator", default=interchange.ANNOTATOR, help="who, if it is not said")
    options = parser.parse_args(arguments)
    run = export if options.command == "export" else take
    try:
        said = run(load(options.experiment), options.path, options.form, options.annotator)
    except (StudyError, InterchangeError, StoreError, ProtocolError) as error:
        raise SystemExit(f"error: {error}") from error
    print(said, file=sys.stderr)


if __name__ == "__main__":
    main()
