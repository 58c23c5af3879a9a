"""Signals of a scheduler: asked to stop, training ends where it can go on from, or at once while it only judges."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sslig.training.errors import Interrupted

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""Slurm sends the first before it kills a job, and the other where ``--signal=USR1@<seconds>`` asks for it."""


class Signals:
    """The first stopping signal that came, as its name; handlers belong to the main thread, so elsewhere none comes."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._raising = False

    def install(self) -> None:
        """Take the stopping signals over, also from a library that has taken them meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                signal.signal(number, self._receive)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """A block that a signal ends with `Interrupted`, because nothing in it has to be finished."""
        self._raising = True
        try:
            self._raise()
            yield
        finally:
            self._raising = False

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number).name
        self._raise()

    def _raise(self) -> None:
        if self._raising and self.received:
            raise Interrupted(f"{self.received} came while dev was scored; started again, training goes on from its "
                              "last checkpoint")  # fmt: skip


@contextmanager
def listening() -> Iterator[Signals]:
    """The signals that come during a block, whose handlers are afterwards what they were before."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    signals = Signals()
    signals.install()
    try:
        yield signals
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def leave_to_parent(_: int) -> None:
    """For a reading process: stopping signals, which a scheduler sends to every process of a job, are the parent's.

    The training process still needs its readers up to the next checkpoint; when it ends them itself, they do end.
    """
    if not hasattr(signal, "sigwaitinfo"):  # not told who sent a signal, a reader has to obey each
        return
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        continue
    os._exit(0)
