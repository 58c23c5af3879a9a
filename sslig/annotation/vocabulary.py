"""The words of an annotation: cues, localities, the fields of an utterance and of a region, and their values."""

import math
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from sslig.errors import InputError

CUES: Mapping[str, str] = {
    "glitch": "Local glitch",
    "phoneme": "Phoneme content / articulation",
    "transition": "Voiced-unvoiced transition",
    "silence": "Silence / pause",
    "breath": "Breath / aspiration",
    "noise": "Channel / codec / noise floor",
    "spectral": "Spectral artefact",
    "unclear": "Unclear / diffuse",
}
"""The primary cues of a region, and the label of each on the page."""

LOCALITY = (1, 5)
"""From spread over time to a single spike."""

DETECTORS: Mapping[str, str] = {"aasist": "AASIST", "camhfa": "CA-MHFA", "sls": "SLS"}
"""Display names of the project's heads; any other detector goes by the name that its study gives it."""

SECONDS = (-1.0, 86_400.0)
"""Accepted times of marks; marks drawn by hand may begin a little before 0."""

NAME_CHARACTERS, ITEM_CHARACTERS, TEXT_CHARACTERS = 80, 200, 10_000
"""Largest lengths of the name of an annotator or a track, of the name of an item, and of a comment."""

CONTROL = ("Cc", "Cs")
"""Unicode classes that no text keeps: control characters and halves of surrogate pairs."""


def display_name(detector: str) -> str:
    """The display name of a detector."""
    return DETECTORS.get(detector, detector)


def name(value: Any, what: str = "annotator", most: int = NAME_CHARACTERS) -> str:
    """The name of a person as it is stored: single spaces, Unicode form NFC, markup as typed.

    Raises
    ------
    InputError
        The value is no text, empty, too long, or holds an invisible character, so that two names could look the same.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} {value!r}; a text is needed")
    text = " ".join(unicodedata.normalize("NFC", value).split())
    hidden = [character for character in text if unicodedata.category(character) in (*CONTROL, "Cf")]
    if hidden or not 0 < len(text) <= most:
        fault = f"holds {hidden[0]!r}" if hidden else f"has {len(text)} characters"
        raise InputError(f"{what} {text[:most]!r} {fault}; 1 to {most} visible characters are needed")
    return text


def identifier(value: Any, what: str, most: int = NAME_CHARACTERS) -> str:
    """Check the name of an utterance, an item, a detector or a track, as `name`, and return it unchanged."""
    name(value, what, most)
    if value != value.strip() or "\n" in value or len(value) > most:
        raise InputError(f"{what} {value!r}; 1 to {most} visible characters on one line are needed")
    return value


def text(value: Any) -> str:
    r"""A comment as it is stored: as typed, with ``\n`` for every line end and without control characters.

    Control characters come from pasting. They are removed rather than refused, so that no comment is lost.
    """
    if not isinstance(value, str):
        raise InputError(f"{value!r}; a text is needed")
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(letter for letter in lines if letter in "\n\t" or unicodedata.category(letter) not in CONTROL)
    if len(clean) > TEXT_CHARACTERS:
        raise InputError(f"a text of {len(clean):,} characters; at most {TEXT_CHARACTERS:,} are accepted")
    return clean


def seconds(value: Any) -> float | int:
    """A time within `SECONDS`; whole numbers stay whole."""
    low, high = SECONDS
    return _accepted(value, _number(value) and low <= value <= high, f"a number of seconds from {low:g} to {high:g}")


def cue(value: Any) -> str:
    """One of `CUES`."""
    return _accepted(value, isinstance(value, str) and value in CUES, ", ".join(CUES))


def locality(value: Any) -> int:
    """A whole number within `LOCALITY`."""
    whole = _number(value) and value in range(LOCALITY[0], LOCALITY[1] + 1)
    return int(_accepted(value, whole, f"a whole number from {LOCALITY[0]} (spread) to {LOCALITY[1]} (spiky)"))


def flag(value: Any) -> bool:
    """True or false."""
    return _accepted(value, isinstance(value, bool), "true or false")


Check = Callable[[Any], Any]

ITEM_FIELDS: Mapping[str, Check] = {"comment": text, "similarity": text, "done": flag}
"""Fields of an utterance as a whole."""

TRACK_FIELDS: Mapping[str, Check] = {
    "start_s": seconds,
    "end_s": seconds,
    "cue": cue,
    "locality": locality,
    "audible": flag,
    "comment": text,
}
"""Fields of the region of one detector."""


def field_of(track: str, field: str) -> str:
    """The field of a track as it is stored, for instance ``A.cue``."""
    return f"{track}.{field}"


def parts_of(field: str) -> tuple[str | None, str]:
    """The track of a stored field, none for a field of the whole utterance, and the name of the field itself."""
    track, dot, bare = field.rpartition(".")
    return (track if dot else None), bare


def checked(field: str, value: Any) -> Any:
    """The value as `field` stores it; None, which clears a field, passes.

    Raises
    ------
    InputError
        The field is unknown or cannot hold the value.
    """
    track, bare = parts_of(field) if isinstance(field, str) else (None, "")
    known = ITEM_FIELDS if track is None else TRACK_FIELDS
    if bare not in known:
        accepted = ", ".join([*ITEM_FIELDS, *(field_of("<track>", name) for name in TRACK_FIELDS)])
        raise InputError(f"unknown field {field!r}; accepted: {accepted}")
    if track is not None:
        identifier(track, "track")
    return None if value is None else named(field, known[bare], value)


def named(field: str, check: Check, value: Any) -> Any:
    """The checked value; a refusal names the field."""
    try:
        return check(value)
    except InputError as error:
        raise InputError(f"{field} is {error}") from error


def check_region(start_s: float | None, end_s: float | None) -> None:
    """Raise `InputError` where both ends are given and the region does not end after it begins."""
    if start_s is not None and end_s is not None and not (start_s < end_s and math.isfinite(end_s)):
        raise InputError(f"a region from {start_s} to {end_s} s; it must end after it begins")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accepted(value: Any, condition: bool, accepted: str) -> Any:
    if not condition:
        raise InputError(f"{value!r}; accepted: {accepted}")
    return value
