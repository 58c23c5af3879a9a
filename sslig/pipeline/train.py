"""Train: a detector from a seed, with the table of its epochs and the log of its steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sslig.errors import PipelineError
from sslig.study import Study
from sslig.training import run


def train(study: Study, *, name: str, seed: int, corpus: Path, output: Path, start: Path | None = None) -> None:
    """Train a detector, or resume a run with the same values that was stopped.

    The folder `output` receives ``detector/``, ``epochs.tsv``, ``log.csv`` and ``training.json``, and until the end
    ``checkpoints/``. `start` is the folder of a trained detector to continue from.

    Raises
    ------
    PipelineError
        Another process trains in the same folder.
    StudyError, DataError, CorpusError, AudioError
        A value of the recipe, a set or a file cannot be used, or the loss is not finite.
    SystemExit
        A signal asked to stop, with status 75; the next call resumes.
    """
    with _alone(output):
        run.train(study, name, seed, corpus, output, start)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the lock of a run; of processes that train together, the first holds it for all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output.with_name(f".{output.name}.lock"))
    if run.launcher()[0].global_rank() != 0:
        yield
        return
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise PipelineError(f"{output}: another process trains here; wait until it ends") from error
    with lock:
        yield
