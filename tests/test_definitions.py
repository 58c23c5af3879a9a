"""Definitions of interventions: what their parameters accept, and that the registry is whole and fixed."""

import pytest

from sslig.cues.definitions import CODECS, PLACES, REGISTRY, Parameter


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Parameter(0.5, 0, 1), "1", 1.0),
        (Parameter(None, 0, 8000), "6e2", 600.0),
        (Parameter(1, 1, 3), "3", 3),
        (Parameter(False, words=("false", "true")), "true", True),
        (Parameter(None, words=("silence", "noise")), "noise", "noise"),
    ],
)
def test_a_parameter_reads_its_kind(parameter, text, value):
    found = parameter.read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text", "accepted"),
    [
        (Parameter(0.5, 0, 1), "1.01", "a number from 0 to 1"),
        (Parameter(0.5, 0, 1), "nan", "a number from 0 to 1"),
        (Parameter(1, 1, 3), "2.0", "a whole number from 1 to 3"),
        (Parameter(False, words=("false", "true")), "True", "false or true"),
    ],
)
def test_a_parameter_refuses_the_rest(parameter, text, accepted):
    assert parameter.accepted == accepted
    with pytest.raises(ValueError, match=text):
        parameter.read(text)


def test_every_definition_is_found_by_its_name_and_tells_of_known_places():
    assert all(name == definition.name for name, definition in REGISTRY.items())
    assert {definition.place for definition in REGISTRY.values()} == {None, "edge_silence", *PLACES}
    assert all(f"time:{place}" in REGISTRY for place in PLACES)


def test_codecs_go_by_the_words_people_use():
    assert {"opus", "mp3", "aac", "g722"} <= set(CODECS)


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        REGISTRY["new"] = REGISTRY["noise"]
