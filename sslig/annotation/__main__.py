"""Export the annotations of a study to other programs, and import theirs.

python -m sslig.annotation export experiments/demo.yaml annotations.csv
python -m sslig.annotation import experiments/demo.yaml project-1.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sslig.annotation import interchange
from sslig.annotation.plan import annotations, keep, known_utterances, store_path
from sslig.annotation.store import Store
from sslig.corpora import protocol
from sslig.errors import InputError
from sslig.study import Study, load


def export_annotations(study: Study, path: Path, form: str, annotator: str | None) -> list[str]:
    """Write the annotations of one annotator or all, and return a summary."""
    with Store(store_path(study), read_only=True) as store:
        table, names = annotations(store), store.annotators()
    if annotator is not None and annotator not in names:
        raise InputError(f"no annotator {annotator!r}; the store has {', '.join(names) or 'none'}")
    table = table if annotator is None else table[table["annotator"] == annotator]
    known = known_utterances(study.corpus_root, table["utterance"])
    interchange.write(path, table, form, known.set_index("utterance")["duration_s"].to_dict())
    return [f"{path}: {len(table):,} regions of {table['annotator'].nunique()} annotators"]


def import_annotations(study: Study, path: Path, form: str | None, annotator: str) -> list[str]:
    """Append a file to the store, and return a summary with the rows that were left out."""
    known = set(protocol.load_set(study.corpus_root, "eval")["utterance"])
    table, faults = interchange.read(path, form, annotator, known)
    if faults.shape[0] and table.empty:
        lines = [f"{row.file}: row {row.row} ({row.utterance}): {row.fault}" for row in faults.head(5).itertuples()]
        raise InputError("\n".join([f"{path}: none of {len(faults):,} rows can be imported", *lines]))
    with Store(store_path(study)) as store:
        n_changes = keep(store, table)
    summary = f"{path}: {n_changes:,} changes of {len(table):,} regions appended; {len(faults):,} rows left out"
    return [summary, *(f"{row.file}: row {row.row} ({row.utterance}): {row.fault}" for row in faults.itertuples())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m sslig.annotation", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("export", "import"))
    parser.add_argument("experiment", help="an experiment file")
    parser.add_argument("path", type=Path, help="a file or folder")
    forms = "; ".join(f"{name}: {form}" for name, form in interchange.FORMS.items())
    parser.add_argument("--form", choices=interchange.FORMS, help=forms)
    parser.add_argument("--annotator", help="export: the only one; import: the name where the file holds none")
    given = parser.parse_args(arguments)
    try:
        study = load(given.experiment)
        if given.command == "export":
            lines = export_annotations(study, given.path, given.form or "tidy", given.annotator)
        else:
            lines = import_annotations(study, given.path, given.form, given.annotator or interchange.ANNOTATOR)
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
    print(*lines, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
