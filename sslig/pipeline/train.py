"""Train: a detector from a seed, with the table of its epochs and the log of its steps."""

from pathlib import Path

from sslig import training
from sslig.study import Study


def train(study: Study, *, name: str, seed: int, corpus: Path, output: Path, start: Path | None = None) -> None:
    """Train a detector, or resume a run with the same values that was stopped.

    Parameters
    ----------
    name, seed
        One of the detectors of the study, and one of its seeds.
    corpus
        Folder of the corpus, of which *train* and *dev* are read.
    output
        Folder of the run. It receives ``detector/``, ``epochs.tsv``, ``log.csv`` and ``training.json``, and until the
        end ``checkpoints/``.
    start
        Folder of a trained detector to continue from.

    Raises
    ------
    StudyError, DataError, CorpusError, AudioError
        A value of the recipe, a set or a file cannot be used, or the loss is not finite.
    SystemExit
        A signal asked to stop, with status 75; the next call resumes.
    """
    training.train(study, name, seed, corpus, output, start)
