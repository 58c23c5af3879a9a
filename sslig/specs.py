"""Lines of text that name something and give values to its parameters: ``name`` or ``name(parameter=value, ...)``."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, bool | int | float | str]
"""Parameter -> its value."""


class SpecError(ValueError):
    """A line that names nothing known, or a value that is not accepted; the message lists what is."""


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Parameters
    ----------
    default
        None: it must be given. A bool, an int or a float decides what is accepted.
    low, high
        Range of numbers, both ends included.
    words
        What is accepted, where it is no number.
    """

    default: bool | int | float | str | None
    low: float = -math.inf
    high: float = math.inf
    words: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """What may stand after the equals sign."""
        if self.words:
            return " or ".join(self.words)
        return f"a {'whole ' if isinstance(self.default, int) else ''}number from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> bool | int | float | str:
        """The value that `text` stands for.

        Raises
        ------
        ValueError
            It stands for none that is accepted.
        """
        if self.words:
            if text not in self.words:
                raise ValueError(text)
            return text == "true" if isinstance(self.default, bool) else text
        value = int(text) if isinstance(self.default, int) else float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


def read(spec: str, registry: Mapping[str, Any], noun: str) -> tuple[Any, dict[str, Any]]:
    """The entry of `registry` that a line names, and the values of all its parameters.

    Parameters
    ----------
    spec
        Such as ``band(lo_hz=600, hi_hz=1200)``.
    registry
        Name -> anything with ``name`` and ``parameters``, a mapping of name -> `Parameter`.
    noun
        What the message calls it.

    Raises
    ------
    SpecError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    found = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", spec)
    if not found or found[1] not in registry:
        raise SpecError(f"{noun} {spec!r}; accepted: {', '.join(registry)}, each alone or with (parameter=value, ...)")
    entry = registry[found[1]]
    return entry, _values(spec, entry.name, entry.parameters, found[2] or "")


def file_name(spec: str, ending: str) -> str:
    """A name for a file about what a line names: all but letters, digits, dots and underscores as one dash."""
    return f"{re.sub(r'[^A-Za-z0-9._]+', '-', spec).strip('-')}.{ending}"


def written(name: str, parameters: Mapping[str, Parameter], values: Values) -> str:
    """The one line for a name and its values: in the order of `parameters`, those at their default left out."""
    told = {parameter: value for parameter, value in values.items() if value != parameters[parameter].default}
    inner = ", ".join(f"{parameter}={str(value).lower().removesuffix('.0')}" for parameter, value in told.items())
    return f"{name}({inner})" if inner else name


def _values(spec: str, name: str, parameters: Mapping[str, Parameter], text: str) -> dict[str, Any]:
    accepted = {one: f"{one} ({parameter.accepted})" for one, parameter in parameters.items()}
    pairs = [tuple(map(str.strip, part.split("=", 1))) for part in text.split(",") if part.strip()]
    names = [pair[0] for pair in pairs]
    if any(len(pair) < 2 or pair[0] not in accepted for pair in pairs) or len(set(names)) < len(names):
        raise SpecError(f"{spec!r}: {text!r} are no parameters of {name}; accepted, each once, as parameter=value: "
                        f"{', '.join(accepted.values()) or 'none'}")  # fmt: skip
    given, values = dict(pairs), {}
    for one, parameter in parameters.items():
        if one not in given and parameter.default is None:
            raise SpecError(f"{spec!r}: {accepted[one]} must be given")
        try:
            values[one] = parameter.read(given[one]) if one in given else parameter.default
        except ValueError as error:
            raise SpecError(f"{spec!r}: {one}={given[one]}; accepted: {parameter.accepted}") from error
    return values
