"""The tidy table of annotations: a row for each region that an annotator has judged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sslig.annotation.plan import Item, plans
from sslig.annotation.store import Change, Store
from sslig.annotation.vocabulary import (
    ITEM_CHARACTERS,
    ITEM_FIELDS,
    TRACK_FIELDS,
    VocabularyError,
    check_region,
    field_of,
    flag,
    identifier,
    name,
    parts_of,
    seconds,
    shown,
    text,
)

TYPES: Mapping[str, str] = {
    "annotator": "str",
    "utterance": "str",
    "group": "str",
    "item": "str",
    "repeat": "bool",
    "blind": "bool",
    "track": "str",
    "detector": "str",
    "decoy": "bool",
    "start_s": "float64",
    "end_s": "float64",
    "cue": "str",
    "locality": "Int64",
    "audible": "boolean",
    "comment": "str",
    "general": "str",
    "similarity": "str",
    "done": "boolean",
    "changed_at": "str",
    "proposed_start_s": "float64",
    "proposed_end_s": "float64",
}
"""Columns and their types. ``general`` is what is said of the utterance as a whole; no cue is NaN, no text is empty."""

DEFAULTS: Mapping[str, Any] = {
    "annotator": "", "group": "", "repeat": False, "blind": False, "decoy": False, "start_s": np.nan, "end_s": np.nan,
    "cue": None, "locality": None, "audible": None, "comment": "", "general": "", "similarity": "", "done": None,
    "changed_at": "", "proposed_start_s": np.nan, "proposed_end_s": np.nan,
}  # fmt: skip

CHECKS: Mapping[str, Callable[[Any], Any]] = {
    **TRACK_FIELDS, "general": text, "similarity": text, "done": flag, "group": text, "changed_at": text,
    "proposed_start_s": seconds, "proposed_end_s": seconds,
}  # fmt: skip
"""How a column of a file is checked; names and the three kinds of a row are checked by themselves."""

KEY = ("annotator", "item", "track")


def annotations(store: Store, items: Mapping[str, Sequence[Item]] | None = None) -> pd.DataFrame:
    """All that stands in a store.

    A region whose ends nobody moved is the proposed one where a cue is named for it: the annotator judged that.

    Parameters
    ----------
    store
        The changes.
    items
        By annotator; none: those whose plans the store keeps. What is said of an item that is in no plan is given
        under its own name, for nothing that was typed may vanish.

    Returns
    -------
    DataFrame
        `TYPES`, a row for each track of each item of which anything is said; annotators by name, items as planned.
    """
    items, rows = plans(store) if items is None else items, []
    for annotator in store.annotators():
        states, changed_at = store.states(annotator), _changed_at(store.history(annotator))
        planned = {item.id: item for item in items.get(annotator, ())}
        for number in [*planned, *(one for one in states if one not in planned)]:
            if number in states:
                rows += _rows(annotator, number, planned.get(number), states[number], changed_at)
    return conformed(rows)


def row_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row from outside, checked field by field; what is not given is `DEFAULTS`.

    Raises
    ------
    VocabularyError
        A value is none that its field can hold, or the region does not end after it begins.
    """
    given = {column: value for column, value in values.items() if not _missing(value)}
    row = {**DEFAULTS, **given}
    row["utterance"] = identifier(row.get("utterance"), "utterance", ITEM_CHARACTERS)
    row["detector"], row["annotator"] = identifier(row.get("detector"), "detector"), name(row["annotator"])
    for column in ("repeat", "blind", "decoy"):
        row[column] = _as(column, row[column], flag)
    row["item"] = identifier(row.get("item", row["utterance"] + "/2" * row["repeat"]), "item", ITEM_CHARACTERS)
    row["track"] = identifier(row.get("track", shown(row["detector"]) + " decoy" * row["decoy"]), "track")
    for column, check in CHECKS.items():
        row[column] = _as(column, given[column], check) if column in given else row[column]
    for ends in (("start_s", "end_s"), ("proposed_start_s", "proposed_end_s")):
        check_region(*(given.get(end) for end in ends))
    return row


def conformed(rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Rows as a table with the columns and types of `TYPES`."""
    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows), columns=list(TYPES))
    texts = {column: "" for column, kind in TYPES.items() if kind == "str" and column != "cue"}
    return table.fillna(texts).astype(TYPES)


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a region."""
    return table[table["start_s"] < table["end_s"]]


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a cue; locality and audibility without one may be what the form held untouched."""
    return table[table["cue"].notna()]


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of real regions that were heard for the first time; of one annotator and region, the `latest` one."""
    return latest(table[~table["decoy"] & ~table["repeat"]])


def latest(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each annotator, utterance, detector and kind of region: what was said last, under whichever plan."""
    keys = ["annotator", "utterance", "detector", "decoy", "repeat"]
    return table.sort_values("changed_at", kind="stable").drop_duplicates(keys, keep="last").sort_index()


def _as(column: str, value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except VocabularyError as error:
        raise VocabularyError(f"{column} is {error}") from error


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _changed_at(history: Sequence[Change]) -> dict[tuple[str, str | None], str]:
    """When each track of each item was last changed, and each item as a whole (its track is none)."""
    return {(change.item, parts_of(change.field)[0]): change.at for change in history}


def _rows(
    annotator: str, number: str, item: Item | None, state: Mapping[str, Any], changed_at: Mapping
) -> list[dict[str, Any]]:  # fmt: skip
    own = {field: state.get(field) for field in ITEM_FIELDS}
    whole = {"annotator": annotator, "item": number, "general": own.pop("comment"), **own}
    if item is None:
        names = dict.fromkeys(parts_of(field)[0] for field in state)
        tracks = [{"track": track, "detector": track, "decoy": False} for track in names if track is not None]
        about = {"utterance": number, "repeat": False, "blind": False, "group": ""}
    else:
        tracks = [_planned(track) for track in item.tracks]
        about = {"utterance": item.utterance, "repeat": item.repeat_of is not None, "blind": item.blind,
                 "group": item.group}  # fmt: skip
    rows = []
    for track in tracks:
        said = {field: state.get(field_of(track["track"], field)) for field in TRACK_FIELDS}
        if said["cue"] is not None:
            for end in ("start_s", "end_s"):
                said[end] = track.get(f"proposed_{end}") if said[end] is None else said[end]
        times = (changed_at.get((number, one), "") for one in (None, track["track"]))
        rows.append({**whole, **about, **track, **said, "changed_at": max(times)})
    return rows


def _planned(track: Any) -> dict[str, Any]:
    start_s, end_s = track.region or (None, None)
    return {"track": track.name, "detector": track.detector, "decoy": track.decoy, "proposed_start_s": start_s,
            "proposed_end_s": end_s}  # fmt: skip
