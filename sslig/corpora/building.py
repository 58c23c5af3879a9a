"""Makes the sound files of a corpus: in several processes, resumed where a build was killed, whole or not at all."""

import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from sslig import files
from sslig.corpora import protocol

SUMMARY, BEGUN = "corpus.json", "building.json"
ASKED_FOR = "asked_for"
EVERY_S = 10.0


class CorpusError(RuntimeError):
    """A corpus that cannot be built; the message names the utterance and its recording, or the folder."""


def finished(root: Path, asked_for: Any) -> dict | None:
    """What ``corpus.json`` says of a whole corpus at `root` that was asked for with these values, else none."""
    written_last = (SUMMARY, protocol.RECORDINGS, *(name for name, _ in protocol.SETS.values()))
    if not all((root / name).is_file() for name in written_last):
        return None
    made = json.loads((root / SUMMARY).read_text(encoding="utf-8"))
    return made if made.get(ASKED_FOR) == asked_for else None


def sound_path(root: Path, set_name: str, utterance: str) -> Path:
    """Where the sound file of an utterance lies in the corpus at `root`."""
    return root / protocol.SETS[set_name][1] / f"{utterance}.flac"


def each(maker: Callable[[list], int], groups: Sequence[list], workers: int) -> Iterator[int]:
    """What `maker` returns for each group, in order, made by so many processes; 1: by none but this one."""
    if workers <= 1 or len(groups) <= 1:
        # One thread here too: the sums of linear algebra depend on the number of threads.
        with threadpool_limits(1):
            yield from map(maker, groups)
        return
    # Spawned and not forked: a fork of a process that runs threads (torch, a notebook) can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        yield from pool.map(maker, groups, chunksize=4)


def _start_worker() -> None:
    """Hold this worker to one thread, and end it when its parent is killed; else it would wait for work for ever."""
    threadpool_limits(1)
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: connection.wait([parent]) and os._exit(1), daemon=True).start()


def claim(root: Path, mark: str) -> None:
    """Make `root` the place of the corpus `mark`: without sound files of another, and none of someone else's.

    Raises
    ------
    CorpusError
        `root` holds sound files that no builder of this package made.
    """
    folders = [root / folder for _, folder in protocol.SETS.values()]
    marks = [json.loads(path.read_text())["fingerprint"] for path in (root / SUMMARY, root / BEGUN) if path.is_file()]
    if not marks and any(folder.exists() for folder in folders):
        raise CorpusError(f"{root}: holds sound files but no {SUMMARY} or {BEGUN} of this builder; give another folder")
    if marks and marks != [mark] * len(marks):
        for name in (SUMMARY, protocol.RECORDINGS, *(name for name, _ in protocol.SETS.values())):
            (root / name).unlink(missing_ok=True)
        for folder in filter(Path.is_dir, folders):
            shutil.rmtree(folder)
    files.write_json(root / BEGUN, {"fingerprint": mark})
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".*.part*"):
            left_over.unlink()


def finish(root: Path, summary: dict) -> dict:
    """Write what says that the corpus at `root` is whole; `summary`."""
    files.write_json(root / SUMMARY, summary)
    (root / BEGUN).unlink(missing_ok=True)
    return summary


def progress() -> Callable[[int, int], None]:
    """A line that changes on a terminal; elsewhere a line every 10 s."""
    last = [time.monotonic()]

    def show(done: int, of: int) -> None:
        terminal = sys.stderr.isatty()
        if time.monotonic() - last[0] >= (0.2 if terminal else EVERY_S) or (terminal and done == of):
            last[0] = time.monotonic()
            print(f"\rcorpus: {done} of {of} utterances", end="" if terminal else "\n", file=sys.stderr, flush=True)

    return show
