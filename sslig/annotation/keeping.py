"""Takes a table of annotations into a store, as changes of their annotators."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from sslig.annotation.plan import Item, Track, plans
from sslig.annotation.store import Store
from sslig.annotation.table import DEFAULTS
from sslig.annotation.vocabulary import ITEM_FIELDS, TRACK_FIELDS, field_of
from sslig.records import hash_of


def keep(store: Store, table: pd.DataFrame) -> int:
    """Append what a table says and the store does not say yet; to keep the same table again changes nothing.

    What is said of a region that an annotator has in a plan goes there, and they find it when they go on; other
    utterances become a plan of their own. A value that the store holds already and the table holds otherwise is set
    to that of the table, and the log keeps both.

    Parameters
    ----------
    store
        Of the study.
    table
        Annotations (`sslig.annotation.table.TYPES`).

    Returns
    -------
    int
        How many changes were appended.
    """
    n_changes = 0
    for annotator, own in table.groupby("annotator", sort=False):
        held = {_place(item): item for item in plans(store).get(annotator, ())}
        groups = [(key, part) for key, part in own.groupby(["utterance", "repeat"], sort=False)]
        new = [_item(part) for key, part in groups if not _holds(held.get(key), part)]
        if new:
            key = f"imported {hash_of([item.id for item in new])[:8]}"
            store.keep_plan(annotator, key, [asdict(item) for item in new])
        held |= {_place(item): item for item in new}
        states = store.states(annotator)
        for place, part in groups:
            item = held[place]
            before = _proposed(item) | states.get(item.id, {})
            changed = {field: value for field, value in _said(item, part).items() if before.get(field) != value}
            n_changes += len(store.record(annotator, item.id, changed)) if changed else 0
    return n_changes


def _place(item: Item) -> tuple[str, bool]:
    return item.utterance, item.repeat_of is not None


def _holds(item: Item | None, part: pd.DataFrame) -> bool:
    """Whether an item has every region of the rows of its utterance."""
    regions = set() if item is None else {(track.detector, track.decoy) for track in item.tracks}
    return set(zip(part["detector"], part["decoy"], strict=True)) <= regions


def _item(part: pd.DataFrame) -> Item:
    """An item for the rows of one utterance, that no plan has; its name tells it from those of plans."""
    first = part.iloc[0]
    tracks = [Track(row.track, row.detector, bool(row.decoy), _region(row)) for row in part.itertuples()]
    mark = hash_of(first["utterance"], sorted(zip(part["detector"], map(bool, part["decoy"]), strict=True)))[:6]
    item = f"imported {mark}/{first['utterance']}"
    again = bool(first["repeat"])
    return Item(item + "/2" * again, first["utterance"], item if again else None, first["group"], tuple(tracks),
                bool(first["blind"]))  # fmt: skip


def _region(row: Any) -> tuple[float, float] | None:
    ends = (row.proposed_start_s, row.proposed_end_s)
    return None if pd.isna(ends[0]) else ends


def _proposed(item: Item) -> dict[str, float]:
    """The ends of regions where nobody has moved them."""
    there = [track for track in item.tracks if track.region is not None]
    return {field_of(track.name, end): time_s for track in there
            for end, time_s in zip(("start_s", "end_s"), track.region, strict=True)}  # fmt: skip


def _said(item: Item, part: pd.DataFrame) -> dict[str, Any]:
    """The fields of an item that rows fill."""
    names = {(track.detector, track.decoy): track.name for track in item.tracks}
    rows = part.to_dict("records")
    found = _given(rows[0], {"comment": "general", **{field: field for field in ITEM_FIELDS if field != "comment"}})
    for row in rows:
        said = _given(row, {field: field for field in TRACK_FIELDS})
        found |= {field_of(names[row["detector"], row["decoy"]], field): value for field, value in said.items()}
    return found


def _given(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    values = {field: row[column] for field, column in columns.items()}
    return {field: _plain(value) for field, value in values.items()
            if not pd.isna(value) and value != DEFAULTS[columns[field]]}  # fmt: skip


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.item() if hasattr(value, "item") else value
