"""Locks: one run of a study at a time in a checkout; another one waits and says for whom."""

import os
import re
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".holder"

LOOKING = re.compile(r"-[nprqF]*n[nprqF]*|--(dry-?run|unlock|dag|rulegraph|filegraph|summary|list.*|cleanup-metadata)")
"""Words of a command of Snakemake that only looks, or takes marks away."""


def hold(folder: Path, words: Sequence[str]) -> FileLock | None:
    """Hold the lock of a study, whose runs lie in `folder`, until this process ends; wait for the one that holds it.

    None where the command of Snakemake in `words` changes nothing. The lock ends with its process, however it ends.
    """
    if any(LOOKING.fullmatch(word) for word in words):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another process"
        print(f"waiting: {who} works on {folder}", file=sys.stderr, flush=True)
        lock.acquire()
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    holder.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {started},\n", encoding="utf-8")
    return lock
