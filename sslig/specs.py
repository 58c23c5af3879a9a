"""Lines of text that name something and set its parameters: ``name`` or ``name(parameter=value, ...)``."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sslig.errors import InputError

Value = bool | int | float | str

NEAR = 0.5
"""How alike a name must be to be suggested for one that is not in a registry (`difflib`)."""


@dataclass(frozen=True)
class Parameter:
    """A parameter: its default (None: it must be given), and the range or the words that it accepts."""

    default: Value | None
    low: float = -math.inf
    high: float = math.inf
    words: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        if self.words:
            return " or ".join(self.words)
        return f"a {'whole ' if isinstance(self.default, int) else ''}number from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> Value:
        """Convert `text` to a value; a ValueError says that it is not accepted."""
        if self.words:
            if text not in self.words:
                raise ValueError(text)
            return text == "true" if isinstance(self.default, bool) else text
        value = int(text) if isinstance(self.default, int) else float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


def read(spec: str, registry: Mapping[str, Any], noun: str) -> tuple[Any, dict[str, Any]]:
    """Find the entry of `registry` that a line such as ``band(lo_hz=600)`` names, and the values of all its parameters.

    The registry maps a name to an object with ``name`` and ``parameters``, a mapping of name -> `Parameter`. Messages
    call an entry a `noun`.

    Raises
    ------
    InputError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", spec)
    if not match or match[1] not in registry:
        near = get_close_matches(match[1] if match else spec, registry, n=1, cutoff=NEAR)
        raise InputError(
            f"{noun} {spec!r}; accepted: {', '.join(registry)}, each alone or with (parameter=value, ...)"
            + (f"; the nearest is {near[0]!r}" if near else "")
        )
    entry = registry[match[1]]
    return entry, _values(spec, entry.name, entry.parameters, match[2] or "")


def written(name: str, parameters: Mapping[str, Parameter], values: Mapping[str, Value]) -> str:
    """Write a name and its values in the one canonical way: in the order of `parameters`, defaults left out."""
    given = {key: value for key, value in values.items() if value != parameters[key].default}
    inner = ", ".join(f"{key}={str(value).lower().removesuffix('.0')}" for key, value in given.items())
    return f"{name}({inner})" if inner else name


def _values(spec: str, name: str, parameters: Mapping[str, Parameter], text: str) -> dict[str, Any]:
    accepted = {key: f"{key} ({parameter.accepted})" for key, parameter in parameters.items()}
    pairs = [tuple(map(str.strip, part.split("=", 1))) for part in text.split(",") if part.strip()]
    names = [pair[0] for pair in pairs]
    if any(len(pair) < 2 or pair[0] not in accepted for pair in pairs) or len(set(names)) < len(names):
        raise InputError(
            f"{spec!r}: {text!r} are no parameters of {name}; accepted, each once, as parameter=value: "
            f"{', '.join(accepted.values()) or 'none'}"
        )
    given, values = dict(pairs), {}
    for key, parameter in parameters.items():
        if key not in given and parameter.default is None:
            raise InputError(f"{spec!r}: {accepted[key]} must be given")
        try:
            values[key] = parameter.read(given[key]) if key in given else parameter.default
        except ValueError as error:
            raise InputError(f"{spec!r}: {key}={given[key]}; accepted: {parameter.accepted}") from error
    return values
