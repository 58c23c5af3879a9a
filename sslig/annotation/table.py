"""The tidy table of annotations: one row for each region that an annotator has judged, from and to a store."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig import audio
from sslig.annotation import vocabulary as words
from sslig.annotation.plan import Item, Track, digest, plans
from sslig.annotation.store import Store
from sslig.corpora import protocol
from sslig.frames import SAMPLE_RATE_HZ

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
"""Columns and their types. ``general`` is the comment on the whole utterance. A missing cue is NaN, a missing text is
empty."""

DEFAULTS: Mapping[str, Any] = {
    **{column: {"str": "", "bool": False, "float64": np.nan}.get(kind) for column, kind in TYPES.items()},
    "cue": None,
}

CHECKS: Mapping[str, Callable[[Any], Any]] = {
    **words.TRACK_FIELDS,
    **dict.fromkeys(("general", "similarity", "group", "changed_at"), words.text),
    **dict.fromkeys(("repeat", "blind", "decoy", "done"), words.flag),
    **dict.fromkeys(("proposed_start_s", "proposed_end_s"), words.seconds),
}
"""Checks of the columns that are no names."""


def annotations(store: Store) -> pd.DataFrame:
    """All annotations in a store as a table of `TYPES`, decoded by the plans that it keeps.

    A region that has a cue and whose ends nobody moved is the proposed one. Annotations of an item without a plan
    appear under the name of the item, so that nothing typed is lost.
    """
    planned, rows = plans(store), []
    for annotator in store.annotators():
        states, items = store.states(annotator), {item.id: item for item in planned[annotator]}
        changed_at = {(change.item, words.parts_of(change.field)[0]): change.at for change in store.history(annotator)}
        for number in dict.fromkeys([*items, *states]):
            if number in states:
                about, tracks = _about(number, items.get(number), states[number])
                rows += [_row(states[number], about | {"annotator": annotator}, track, changed_at) for track in tracks]
    return conformed(rows)


def keep(store: Store, table: pd.DataFrame) -> int:
    """Append what a table holds and the store lacks or has otherwise, and return the number of changes.

    Regions that an annotator has in a plan are kept there; other utterances become an additional plan.
    """
    n_changes = 0
    for annotator, rows in table.groupby("annotator", sort=False):
        items = {(item.utterance, item.repeat_of is not None): item for item in plans(store).get(annotator, ())}
        parts = dict(iter(rows.groupby(["utterance", "repeat"], sort=False)))
        new = {place: _new_item(part) for place, part in parts.items() if not _covers(items.get(place), part)}
        if new:
            key = f"imported {digest([item.id for item in new.values()])[:8]}"
            store.keep_plan(annotator, key, [asdict(item) for item in new.values()])
        items, states = items | new, store.states(annotator)
        for place, part in parts.items():
            item = items[place]
            before = _proposed(item) | states.get(item.id, {})
            changed = {field: value for field, value in _fields(item, part).items() if before.get(field) != value}
            n_changes += len(store.record(annotator, item.id, changed)) if changed else 0
    return n_changes


def row_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row from outside, checked field by field and filled with `DEFAULTS`.

    Raises
    ------
    InputError
        A field cannot hold its value, or the region does not end after it begins.
    """
    given = {column: value for column, value in values.items() if not _missing(value)}
    checked = {column: words.named(column, CHECKS[column], given[column]) for column in CHECKS.keys() & given.keys()}
    row = DEFAULTS | given | checked
    row["annotator"], row["detector"] = (
        words.name(row["annotator"]),
        words.identifier(row["detector"] or None, "detector"),
    )
    row["utterance"] = words.identifier(row["utterance"], "utterance", words.ITEM_CHARACTERS)
    row["item"] = words.identifier(
        row["item"] or row["utterance"] + "/2" * row["repeat"], "item", words.ITEM_CHARACTERS
    )
    row["track"] = words.identifier(
        row["track"] or words.display_name(row["detector"]) + " decoy" * row["decoy"], "track"
    )
    words.check_region(given.get("start_s"), given.get("end_s"))
    words.check_region(given.get("proposed_start_s"), given.get("proposed_end_s"))
    return row


def conformed(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns and types of `TYPES`."""
    table = pd.DataFrame(list(rows), columns=list(TYPES))
    texts = {column: "" for column, kind in TYPES.items() if kind == "str" and column != "cue"}
    return table.fillna(texts).astype(TYPES)


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a region."""
    return table[table["start_s"] < table["end_s"]]


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a cue; locality and audibility without a cue may be those of an untouched form."""
    return table[table["cue"].notna()]


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The `latest` rows of real regions at the first hearing."""
    return latest(table[~table["decoy"] & ~table["repeat"]])


def latest(table: pd.DataFrame) -> pd.DataFrame:
    """The last row for each annotator, utterance, detector and kind of region, under any plan."""
    keys = ["annotator", "utterance", "detector", "decoy", "repeat"]
    return table.sort_values("changed_at", kind="stable").drop_duplicates(keys, keep="last").sort_index()


def known_utterances(root: Path, names: Iterable[str], set_name: str = "eval") -> pd.DataFrame:
    """Protocol rows of those `names` that the corpus at `root` has, with ``path``, ``recording`` and ``duration_s``."""
    table = protocol.load_set(root, set_name)
    table = protocol.with_recordings(root, table[table["utterance"].isin(set(names))].reset_index(drop=True))
    return table.assign(duration_s=[audio.n_samples(path) / SAMPLE_RATE_HZ for path in table["path"]])


def with_protocol(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Annotations with the columns ``key``, ``speaker`` and ``recording`` that `known` has of their utterances."""
    columns = [column for column in ("key", "speaker", "recording") if column in known]
    return table.merge(known[["utterance", *columns]], on="utterance", how="left", validate="many_to_one")


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def _about(number: str, item: Item | None, state: Mapping[str, Any]) -> tuple[dict[str, Any], list[Track]]:
    """What is known of an item, and its tracks."""
    if item is None:
        names = dict.fromkeys(words.parts_of(field)[0] for field in state)
        return {"item": number, "utterance": number}, [Track(track, track, False, None) for track in names if track]
    about = {"item": number, "utterance": item.utterance, "repeat": item.repeat_of is not None}
    return about | {"blind": item.blind, "group": item.group}, list(item.tracks)


def _row(
    state: Mapping[str, Any], about: Mapping[str, Any], track: Track, changed_at: Mapping[tuple, str]
) -> dict[str, Any]:
    proposed = dict(zip(("start_s", "end_s"), track.region or (None, None), strict=True))
    values = {field: state.get(words.field_of(track.name, field)) for field in words.TRACK_FIELDS}
    if values["cue"] is not None:
        values |= {end: time_s for end, time_s in proposed.items() if values[end] is None}
    times = [changed_at.get((about["item"], place), "") for place in (None, track.name)]
    row = DEFAULTS | about | {"track": track.name, "detector": track.detector, "decoy": track.decoy} | values
    row |= {"general": state.get("comment"), "similarity": state.get("similarity"), "done": state.get("done")}
    return row | {f"proposed_{end}": time_s for end, time_s in proposed.items()} | {"changed_at": max(times)}


def _covers(item: Item | None, part: pd.DataFrame) -> bool:
    """Whether an item has every region of the rows of its utterance."""
    regions = set() if item is None else {(track.detector, track.decoy) for track in item.tracks}
    return set(zip(part["detector"], part["decoy"], strict=True)) <= regions


def _new_item(part: pd.DataFrame) -> Item:
    """An item for the rows of an utterance without a plan; its name differs from those of planned items."""
    first = part.iloc[0]
    ends = part[["proposed_start_s", "proposed_end_s"]].itertuples(index=False, name=None)
    regions = [None if pd.isna(start_s) else (start_s, end_s) for start_s, end_s in ends]
    tracks = tuple(map(Track, part["track"], part["detector"], map(bool, part["decoy"]), regions))
    mark = digest(first["utterance"], sorted(zip(part["detector"], map(bool, part["decoy"]), strict=True)))[:6]
    number, again = f"imported {mark}/{first['utterance']}", bool(first["repeat"])
    repeat_of = number if again else None
    return Item(number + "/2" * again, first["utterance"], repeat_of, first["group"], tracks, bool(first["blind"]))


def _proposed(item: Item) -> dict[str, float]:
    """The fields of the proposed regions, which hold until an annotator moves them."""
    regions = {track.name: track.region for track in item.tracks if track.region is not None}
    fields = {words.field_of(track, "start_s"): start_s for track, (start_s, _) in regions.items()}
    return fields | {words.field_of(track, "end_s"): end_s for track, (_, end_s) in regions.items()}


def _fields(item: Item, part: pd.DataFrame) -> dict[str, Any]:
    """The fields of an item that rows of its utterance fill."""
    names = {(track.detector, track.decoy): track.name for track in item.tracks}
    rows = part.to_dict("records")
    values = {field: rows[0]["general" if field == "comment" else field] for field in words.ITEM_FIELDS}
    for row in rows:
        track = names[row["detector"], row["decoy"]]
        values |= {words.field_of(track, field): row[field] for field in words.TRACK_FIELDS}
    filled = {field: value for field, value in values.items() if not pd.isna(value) and value != ""}
    return {field: value.item() if hasattr(value, "item") else value for field, value in filled.items()}
