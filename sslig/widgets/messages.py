"""Messages between a kernel and its browser: plain values for JSON, and bytes beside them."""

from collections.abc import Sequence
from typing import Any

PLACE = "bytes"
"""Key of what stands in a message for the bytes with this number: ``{"bytes": 0}``."""


def parted(message: Any) -> tuple[Any, list[bytes]]:
    """A message of mappings, lists and plain values with its bytes taken out, and these in order."""
    buffers: list[bytes] = []
    return _parted(message, buffers), buffers


def joined(message: Any, buffers: Sequence[bytes]) -> Any:
    """The message that `parted` took apart."""
    if isinstance(message, dict):
        if message.keys() == {PLACE} and isinstance(message[PLACE], int):
            return buffers[message[PLACE]]
        return {name: joined(value, buffers) for name, value in message.items()}
    return [joined(value, buffers) for value in message] if isinstance(message, list) else message


def _parted(message: Any, buffers: list[bytes]) -> Any:
    if isinstance(message, bytes):
        buffers.append(message)
        return {PLACE: len(buffers) - 1}
    if isinstance(message, dict):
        return {name: _parted(value, buffers) for name, value in message.items()}
    return [_parted(value, buffers) for value in message] if isinstance(message, list | tuple) else message
