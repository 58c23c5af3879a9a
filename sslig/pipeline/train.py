"""Train: a detector from a seed, with the table of its epochs and the log of its steps."""

from pathlib import Path

from sslig.study import Study
from sslig.training import run


def train(study: Study, *, name: str, seed: int, corpus: Path, output: Path, start: Path | None = None) -> None:
    """Train a detector, or resume a run with the same values that was stopped.

    The folder `output` receives ``detector/``, ``epochs.tsv``, ``log.csv`` and ``training.json``, and until the end
    ``checkpoints/``. `start` is the folder of a trained detector to continue from.

    Raises
    ------
    StudyError, DataError, CorpusError, AudioError
        A value of the recipe, a set or a file cannot be used, or the loss is not finite.
    SystemExit
        A signal asked to stop, with status 75; the next call resumes.
    """
    run.train(study, name, seed, corpus, output, start)
