"""The desk answers requests in order, works while there are none, and stops when it is asked to."""

import threading

import pytest

from sslig.widgets.desk import Desk

LONG_S = 20


@pytest.fixture
def answered():
    """Contents of requests in the order in which they were answered."""
    return []


def test_requests_are_answered_in_order_and_idle_work_follows(answered):
    ended = threading.Event()

    def idle():
        answered.append("idle")
        if answered.count("idle") == 2:
            ended.set()
        return not ended.is_set()

    desk = Desk(lambda content, buffers: answered.append((content["do"], buffers)), idle)
    desk.check()  # this thread is not the desk's
    with desk._changed:
        for number in range(3):
            desk._waiting.append(({"do": number}, [b"x"]))
    desk.take({"do": 3}, [])
    assert ended.wait(LONG_S)
    assert answered == [(0, [b"x"]), (1, [b"x"]), (2, [b"x"]), (3, []), "idle", "idle"]


def test_a_request_to_stop_ends_the_work_and_what_waits(answered):
    begun, stopped = threading.Event(), threading.Event()

    def work(content, buffers):
        answered.append(content["do"])
        if content["do"] != "long":
            return
        try:
            while True:
                begun.set()
                desk.check()
        finally:
            stopped.set()

    desk = Desk(work, lambda: False)
    desk.take({"do": "long"}, [])
    assert begun.wait(LONG_S)
    desk.take({"do": "never"}, [])
    desk.take({"do": "cancel"}, [])
    assert stopped.wait(LONG_S)
    assert answered == ["long"]


def test_a_request_ends_idle_work():
    begun, done = threading.Event(), threading.Event()

    def idle():
        begun.set()
        while True:
            desk.check()

    desk = Desk(lambda content, buffers: content["do"] == "real" and done.set(), idle)
    desk.take({"do": "begin"}, [])
    assert begun.wait(LONG_S)
    desk.take({"do": "real"}, [])
    assert done.wait(LONG_S)
