"""The rule ``corpus``: the recordings that a study trains and evaluates on."""

from filelock import FileLock

from sslig.corpora import build, protocol, readers
from sslig.errors import CorpusError
from sslig.sources import READY_MADE, Corpus
from sslig.study import Study


def corpus(study: Study, *, test: str | None = None, workers: int = 2) -> None:
    """Build the corpus of `study`, write the tables of one that is read, or check that a ready-made one is complete.

    With `test`, write the table of that corpus of ``corpus.tests``. Studies that share a corpus build it in turn.

    Raises
    ------
    CorpusError
        A table of a ready-made corpus is missing, or the corpus cannot be built or read.
    """
    root, values = study.corpus_root, study.corpus
    if test is not None:
        _read_test(study, test)
    elif values.is_read:
        readers.write(values, study.root / values.root, root, study.path)
    elif values.source == READY_MADE:
        missing = [path for path in protocol.tables(study).values() if not path.is_file()]
        if missing:
            where = f"there or in {protocol.PROTOCOLS}; set corpus.root in {study.path} to the folder of ASVspoof 5"
            raise CorpusError(f"{root}: no {missing[0].name} {where}")
    else:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            recordings, sets = build.source(values.source, root, values.seed)
            options = {"seed": values.seed, "at_most": values.recordings, "attacks": values.attacks}
            build.build(recordings, sets, root, **options, workers=workers)


def _read_test(study: Study, name: str) -> None:
    """Write *eval* of another corpus as the set `name`."""
    values: Corpus = study.corpus.tests[name]
    table = readers.read(values.source, study.root / values.root).table
    table = table[table["set"] == "eval"]
    if table.empty or (table["path"] == "").any():
        raise CorpusError(
            f"{values.root}: {len(table)} utterances in eval, {(table['path'] == '').sum()} without a file"
        )
    at_most = values.recordings.get("eval")
    table = table if at_most is None else protocol.stratified(table, at_most, values.seed)
    protocol.write_manifest(study.tests_root / f"{name}.tsv", table)
