import json

import pytest

from sslig.widgets.messages import joined, parted


@pytest.mark.parametrize("message", [
    {"a": 1, "b": [b"one", {"c": b"two", "d": None}], "e": "text"}, {"empty": {}, "list": []}, b"alone",
    {"bytes": b"x"},
])  # fmt: skip
def test_what_was_taken_apart_comes_together_again(message):
    plain, buffers = parted(message)
    assert joined(json.loads(json.dumps(plain)), buffers) == message


def test_bytes_are_numbered_in_order():
    assert parted({"a": b"x", "b": (b"y", 2)}) == ({"a": {"bytes": 0}, "b": [{"bytes": 1}, 2]}, [b"x", b"y"])
