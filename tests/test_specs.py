"""Lines such as ``colour(shade=dark)``: what they name, what their parameters accept, and the one way to write them."""

from types import SimpleNamespace

import pytest

from sslig.errors import InputError
from sslig.specs import Parameter, read, written

SHADES = {
    "shade": Parameter("light", words=("light", "dark")),
    "depth": Parameter(2, 1, 9),
    "gain": Parameter(None, 0, 1),
    "matt": Parameter(False, words=("false", "true")),
}
LIGHT = {"shade": "light", "depth": 2, "matt": False}
KINDS = {"shade": str, "depth": int, "gain": float, "matt": bool}
REGISTRY = {"colour": SimpleNamespace(name="colour", parameters=SHADES)}


def test_an_unknown_name_comes_with_the_nearest_known_one():
    with pytest.raises(InputError, match=r"paint 'color'; accepted: colour.*; the nearest is 'colour'"):
        read("color", REGISTRY, "paint")


@pytest.mark.parametrize(
    ("line", "values", "text"),
    [
        ("colour(gain=1)", LIGHT | {"gain": 1.0}, "colour(gain=1)"),
        (" colour( gain = 0.50, shade=dark ) ", LIGHT | {"shade": "dark", "gain": 0.5}, "colour(shade=dark, gain=0.5)"),
        ("colour(gain=0, depth=2)", LIGHT | {"gain": 0.0}, "colour(gain=0)"),
        ("colour(matt=true,gain=1e-1)", LIGHT | {"gain": 0.1, "matt": True}, "colour(gain=0.1, matt=true)"),
    ],
)
def test_a_line_is_read_and_written_in_one_way(line, values, text):
    entry, given = read(line, REGISTRY, "paint")
    assert given == values
    assert {key: type(value) for key, value in given.items()} == KINDS
    assert written(entry.name, entry.parameters, given) == text
    assert read(text, REGISTRY, "paint")[1] == values


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sound", "paint 'sound'; accepted: colour, each alone or with"),
        ("colour(gain=1", "accepted: colour"),
        ("colour", r"gain \(a number from 0 to 1\) must be given"),
        ("colour(gain=1, hue=3)", r"accepted, each once, as parameter=value: shade \(light or dark\), depth"),
        ("colour(gain=1, gain=1)", "each once"),
        ("colour(gain=2)", "gain=2; accepted: a number from 0 to 1"),
        ("colour(gain=nan)", "gain=nan; accepted: a number from 0 to 1"),
        ("colour(gain=1, depth=1.5)", "depth=1.5; accepted: a whole number from 1 to 9"),
    ],
)
def test_what_is_not_accepted_is_refused(line, says):
    with pytest.raises(InputError, match=says):
        read(line, REGISTRY, "paint")
