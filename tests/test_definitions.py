"""Definitions of interventions: that the registry is whole and fixed."""

import pytest

from sslig.cues.definitions import CODECS, PLACES, REGISTRY


def test_every_definition_is_found_by_its_name_and_tells_of_known_places():
    assert all(name == definition.name for name, definition in REGISTRY.items())
    assert {definition.place for definition in REGISTRY.values()} == {None, "edge_silence", *PLACES}
    assert all(f"time:{place}" in REGISTRY for place in PLACES)


def test_codecs_go_by_the_words_people_use():
    assert {"opus", "mp3", "aac", "g722"} <= set(CODECS)


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        REGISTRY["new"] = REGISTRY["noise"]
