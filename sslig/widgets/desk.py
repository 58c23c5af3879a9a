"""The desk of a page: requests of the browser one after the other, work for idle time, and a way to stop both."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

STOP = "cancel"


class Cancelled(Exception):
    """The visitor has stopped what was being done, or asked for something else meanwhile."""


class Desk:
    """Requests in a thread, so that the kernel hears a request to stop while it works.

    Parameters
    ----------
    answer
        Called with the content and the buffers of each request, in their order.
    idle
        Called while no request waits, until it returns False; the next request ends it.
    """

    def __init__(self, answer: Callable[[Mapping[str, Any], Sequence[bytes]], None], idle: Callable[[], bool]) -> None:
        self.answer, self.idle = answer, idle
        self._waiting: deque[tuple[Mapping[str, Any], Sequence[bytes]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped, self._idling, self._more = False, False, True

    def take(self, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Queue a request; ``{"do": "cancel"}`` stops what is being done, and what waits."""
        with self._changed:
            if content.get("do") == STOP:
                self._stopped = True
                self._waiting.clear()
            else:
                self._waiting.append((content, buffers))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._changed.notify()

    def check(self) -> None:
        """Raise `Cancelled` in the thread where its work shall end; called from other threads, do nothing."""
        if threading.current_thread() is self._thread and (self._stopped or (self._idling and self._waiting)):
            raise Cancelled

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._more)
                request = self._waiting.popleft() if self._waiting else None
                self._stopped, self._idling = False, request is None
            try:
                self._more = True if request else self.idle()
                if request:
                    self.answer(*request)
            except Cancelled:
                self._more = not self._stopped
