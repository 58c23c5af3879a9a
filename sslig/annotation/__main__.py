"""Export the annotations of a study to other programs, and import theirs.

python -m sslig.annotation export experiments/demo.yaml annotations.csv
python -m sslig.annotation import experiments/demo.yaml project-1.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sslig.annotation import interchange
from sslig.annotation.plan import store_path
from sslig.annotation.store import Store
from sslig.annotation.table import annotations, keep, known_utterances
from sslig.errors import InputError
from sslig.study import Study, load


def export_annotations(study: Study, path: Path, form: str, annotator: str | None) -> str:
    """Write the store of a study, for one annotator or all, and return a summary."""
    with Store(store_path(study), read_only=True) as store:
        table, names = annotations(store), store.annotators()
    if annotator is not None:
        if annotator not in names:
            raise InputError(f"no annotator {annotator!r}; the store has {', '.join(names) or 'none'}")
        table = table[table["annotator"] == annotator]
    known = known_utterances(study.corpus_root, table["utterance"])
    interchange.write(path, table, form, known.set_index("utterance")["duration_s"].to_dict())
    return f"{path}: {len(table):,} regions of {table['annotator'].nunique()} annotators"


def import_annotations(study: Study, path: Path, form: str | None, annotator: str) -> str:
    """Append a file to the store of a study, and return a summary with the rows that were left out."""
    table, faults = interchange.read(path, form, annotator)
    with Store(store_path(study)) as store:
        n_changes = keep(store, table)
    summary = f"{path}: {n_changes:,} changes of {len(table):,} regions appended; {len(faults):,} rows left out"
    return "\n".join(
        [summary, *(f"{row.file}: row {row.row} ({row.utterance}): {row.fault}" for row in faults.itertuples())]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m sslig.annotation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    forms = "; ".join(f"{name}: {form}" for name, form in interchange.FORMS.items())
    for command, default in (("export", None), ("import", interchange.ANNOTATOR)):
        options = commands.add_parser(command)
        options.add_argument("experiment", help="an experiment file")
        options.add_argument("path", type=Path, help="a file or folder")
        options.add_argument("--form", choices=interchange.FORMS, help=forms)
        options.add_argument(
            "--annotator", default=default, help="export: the only one; import: where the file names none"
        )
    given = parser.parse_args(arguments)
    try:
        study = load(given.experiment)
        if given.command == "export":
            summary = export_annotations(study, given.path, given.form or "tidy", given.annotator)
        else:
            summary = import_annotations(study, given.path, given.form, given.annotator)
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
    print(summary, file=sys.stderr)


if __name__ == "__main__":
    main()
