"""The rule ``corpus``: the recordings that a study trains and evaluates on."""

from sslig.corpora import build, protocol
from sslig.errors import CorpusError
from sslig.study import READY_MADE, Study


def corpus(study: Study, *, workers: int = 2) -> None:
    """Build the corpus of `study`, or check that a ready-made one is complete.

    Raises
    ------
    CorpusError
        A protocol of a ready-made corpus is missing, or the corpus cannot be built.
    """
    root, values = study.corpus_root, study.corpus
    if values.source != READY_MADE:
        recordings, sets = build.source(values.source, root, values.seed)
        build.build(recordings, sets, root, seed=values.seed, at_most=values.recordings, workers=workers)
        return
    for file, _ in protocol.SETS.values():
        if not (root / file).is_file():
            raise CorpusError(f"{root}: no {file}; set corpus.root in {study.path} to the folder of ASVspoof 5")
