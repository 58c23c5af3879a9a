"""The words of an annotation: cues, locality, the fields of an utterance and of a region, and what each may hold."""

import math
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

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
"""What annotators choose the primary cue of a region from, each with the words they see."""

LOCALITY = (1, 5)
"""From spread over time to one spike."""

UNTOUCHED = {"locality": 3, "audible": False}
"""What the published form held before anyone touched it: no judgements, unless a cue stands beside them."""

DETECTORS: Mapping[str, str] = {"aasist": "AASIST", "camhfa": "CA-MHFA", "sls": "SLS"}
"""How the project's heads are written where people read them; another detector goes by its own name."""

SECONDS = (-1.0, 86_400.0)
"""Where a mark may lie; drawn by hand, marks begin a little before 0 here and there."""

NAME_CHARACTERS, ITEM_CHARACTERS, TEXT_CHARACTERS = 80, 200, 10_000
"""Most characters of an annotator or a track, of an item, and of a comment."""

SEPARATOR = "."
"""Between a track and its field."""

CONTROL = ("Cc", "Cs")
"""Unicode classes that no text holds: control characters and halves of surrogate pairs."""


class VocabularyError(ValueError):
    """A value that its field cannot hold; the message says what was found and what is accepted."""


def shown(detector: str) -> str:
    """A detector as people read it."""
    return DETECTORS.get(detector, detector)


def name(value: Any, what: str = "annotator", most: int = NAME_CHARACTERS) -> str:
    """The name of a person as it is stored: single spaces, in the composed form of Unicode; markup stays as typed.

    Raises
    ------
    VocabularyError
        It is no text, empty, too long, or holds an invisible character, by which two names could look the same.
    """
    if not isinstance(value, str):
        raise VocabularyError(f"{what} {value!r}; a text is needed")
    text = " ".join(unicodedata.normalize("NFC", value).split())
    hidden = [character for character in text if unicodedata.category(character) in (*CONTROL, "Cf")]
    if hidden or not 0 < len(text) <= most:
        found = f"holds {hidden[0]!r}" if hidden else f"has {len(text)} characters"
        raise VocabularyError(f"{what} {text[:most]!r} {found}; 1 to {most} visible characters are needed")
    return text


def identifier(value: Any, what: str, most: int = NAME_CHARACTERS) -> str:
    """The name of an utterance, an item, a detector or a track, which is never changed, only checked.

    Raises
    ------
    VocabularyError
        It is no text, empty, too long, holds an invisible character, or begins or ends with a space.
    """
    name(value, what, most)
    if value != value.strip() or "\n" in value or len(value) > most:
        raise VocabularyError(f"{what} {value!r}; 1 to {most} visible characters on one line are needed")
    return value


def text(value: Any) -> str:
    r"""A comment as it is stored: what was typed, markup included, with ``\n`` for every line end.

    Control characters other than line ends and tabs come from pasting and show nothing; they are taken out rather
    than refused, because a comment must not be lost for them.

    Raises
    ------
    VocabularyError
        It is no text, or longer than `TEXT_CHARACTERS`.
    """
    if not isinstance(value, str):
        raise VocabularyError(f"{value!r}; a text is needed")
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(one for one in lines if one in "\n\t" or unicodedata.category(one) not in CONTROL)
    if len(kept) > TEXT_CHARACTERS:
        raise VocabularyError(f"a text of {len(kept):,} characters; at most {TEXT_CHARACTERS:,} are accepted")
    return kept


def seconds(value: Any) -> float | int:
    """A time of a recording; a whole number stays one."""
    low, high = SECONDS
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # NaN is refused too
        raise VocabularyError(f"{value!r}; a number of seconds from {low:g} to {high:g} is needed")
    return value


def cue(value: Any) -> str:
    """One of `CUES`."""
    if not isinstance(value, str) or value not in CUES:
        raise VocabularyError(f"{value!r}; accepted: {', '.join(CUES)}")
    return value


def locality(value: Any) -> int:
    """A whole number within `LOCALITY`."""
    low, high = LOCALITY
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(low, high + 1):
        raise VocabularyError(f"{value!r}; a whole number from {low} (spread) to {high} (spiky) is needed")
    return int(value)


def flag(value: Any) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise VocabularyError(f"{value!r}; true or false is needed")
    return value


ITEM_FIELDS: Mapping[str, Callable[[Any], Any]] = {"comment": text, "similarity": text, "done": flag}
"""What is said of an utterance as a whole, and how each value is checked."""

TRACK_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "start_s": seconds,
    "end_s": seconds,
    "cue": cue,
    "locality": locality,
    "audible": flag,
    "comment": text,
}
"""What is said of a region of one detector, and how each value is checked."""


def field_of(track: str, field: str) -> str:
    """The field of a track, as it is stored: ``A.cue``."""
    return f"{track}{SEPARATOR}{field}"


def parts_of(field: str) -> tuple[str | None, str]:
    """The track of a field, none where it is said of the whole utterance, and the field's own name."""
    track, separator, own = field.rpartition(SEPARATOR)
    return (track if separator else None), own


def checked(field: str, value: Any) -> Any:
    """A value as `field` stores it; none, which clears the field, passes.

    Raises
    ------
    VocabularyError
        There is no such field, or it cannot hold the value.
    """
    track, own = parts_of(field) if isinstance(field, str) else (None, "")
    known = ITEM_FIELDS if track is None else TRACK_FIELDS
    if own not in known:
        listed = ", ".join([*ITEM_FIELDS, *(f"<track>{SEPARATOR}{one}" for one in TRACK_FIELDS)])
        raise VocabularyError(f"unknown field {field!r}; accepted: {listed}")
    if track is not None:
        identifier(track, "track")
    try:
        return None if value is None else known[own](value)
    except VocabularyError as error:
        raise VocabularyError(f"{field} is {error}") from error


def check_region(start_s: float | None, end_s: float | None) -> None:
    """Raises `VocabularyError` where both ends are there and the region does not end after it begins."""
    if start_s is not None and end_s is not None and not (start_s < end_s and math.isfinite(end_s)):
        raise VocabularyError(f"a region from {start_s} to {end_s} s; it must end after it begins")
