"""Plans of annotators, and the tidy table of what they judged.

A plan has the utterances and regions of a study in the order in which one annotator hears them, with the decoys,
repeats and letters of a blind plan. The table has one row for each region that an annotator has judged.
"""

import dataclasses
import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig.annotation.store import (
    DETECTORS,
    ITEM_CHARACTERS,
    TRACK_FIELDS,
    Check,
    Store,
    check_region,
    flag,
    identifier,
    name,
    named,
    seconds,
    text,
    track_of,
)
from sslig.errors import StudyError
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK, FrameClock
from sslig.study import Annotation, Study

CLASSES = {"bonafide": "bona fide", "spoof": "spoof"}
ENDS = ("start_s", "end_s")

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

WHOLE = {"comment": "general", "similarity": "similarity", "done": "done"}
"""Field of an utterance as a whole -> its column."""

DEFAULTS: Mapping[str, Any] = {
    **{column: {"str": "", "bool": False, "float64": np.nan}.get(kind) for column, kind in TYPES.items()},
    "cue": None,
}

CHECKS: Mapping[str, Check] = {
    **TRACK_FIELDS,
    **dict.fromkeys(("general", "similarity", "group", "changed_at"), text),
    **dict.fromkeys(("repeat", "blind", "decoy", "done"), flag),
    **dict.fromkeys(("proposed_start_s", "proposed_end_s"), seconds),
}
"""Checks of the columns that are no names."""


@dataclass(frozen=True)
class Track:
    """A region to judge: the one of a detector, or a decoy as long as that.

    The curve of a decoy is rotated by `shift_s`, its distance from the real region: else it would give the decoy away.
    """

    name: str  # display name of the detector, or a letter in a blind plan; fields in the store begin with it: A.cue
    detector: str
    decoy: bool
    region: tuple[float, float] | None  # proposed start and end in seconds; none where the detector has no evidence
    shift_s: float = 0.0


@dataclass(frozen=True)
class Item:
    """An utterance to annotate, with its tracks in the order in which they are shown.

    The `id` is its key in the store. Like `group`, the stratum or class of the utterance, it must not be shown to a
    blinded annotator.
    """

    id: str
    utterance: str
    repeat_of: str | None
    group: str
    tracks: tuple[Track, ...]
    blind: bool = False


def store_path(study: Study) -> Path:
    """The file that holds the annotations of a study."""
    return study.runs / study.annotation.store


def utterances(study: Study, protocol: pd.DataFrame, attributions: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The utterances to annotate: those that the experiment names, else all that every detector explains.

    Returns
    -------
    DataFrame
        Rows of `protocol` with ``group``: the ``reason`` of an utterance that the study has `chosen`, else its class.

    Raises
    ------
    StudyError
        A detector does not explain a named utterance.
    """
    counts = attributions.groupby("utterance")["detector"].nunique()
    explained = set(counts.index[counts == attributions["detector"].nunique()])
    names = study.annotation.utterances or explained
    if lacking := [utterance for utterance in names if utterance not in explained]:
        raise StudyError(
            f"{study.path}: annotation.utterances: {len(lacking)} of {len(names)} are not among the {len(explained)} "
            f"explained ones; the first: {lacking[0]!r}"
        )
    table, reasons = protocol[protocol["utterance"].isin(names)], chosen.set_index("utterance")["reason"]
    table = table.assign(group=table["utterance"].map(reasons).fillna(table["key"].map(CLASSES)))
    order = [*dict.fromkeys(reasons), *CLASSES.values()]
    return table.sort_values("utterance").sort_values("group", key=lambda group: group.map(order.index), kind="stable")


def regions(
    attributions: pd.DataFrame, tiers: Mapping[str, Mapping] | None = None, clock: FrameClock = SSL_CLOCK
) -> pd.DataFrame:
    """The top region of each detector in each explained utterance (`sslig.cues.cue_profile`).

    Parameters
    ----------
    attributions
        ``detector``, ``utterance`` and ``by_frame``, (frame,) evidence.
    tiers
        Tiers of each utterance (`sslig.cues.segments.by_utterance`), for the class of the segment at the region.

    Returns
    -------
    DataFrame
        ``utterance``, ``detector``, ``start_s`` and ``end_s`` (NaN without evidence), ``share``, ``sign``,
        ``segment_class`` and ``read_s``, the end of the last frame with evidence.
    """
    from sslig.cues.cue_profile import UNKNOWN, described, top_regions  # with torch, which the annotation page lacks

    rows = []
    for row in attributions.itertuples():
        frames = np.asarray(row.by_frame)
        top = described(top_regions(frames, n=1), clock, (tiers or {}).get(row.utterance))
        values = {"start_s": np.nan, "end_s": np.nan, "share": 0.0, "sign": 0, "segment_class": UNKNOWN}
        values = values if top.empty else top.iloc[0][list(values)].to_dict()
        n_read = len(frames) if top.empty else int(np.flatnonzero(frames)[-1]) + 1
        read_s = float(clock.centre_s(n_read)[-1] + clock.hop_s / 2)
        rows.append({"utterance": row.utterance, "detector": row.detector, **values, "read_s": read_s})
    return pd.DataFrame(rows)


def plan(utterances: pd.DataFrame, regions: pd.DataFrame, annotator: str, options: Annotation, seed: int) -> list[Item]:
    """The items of one annotator in order, the same for the same arguments and different for other annotators.

    An open plan goes through the groups in order. A blind plan mixes them, names the tracks A, B, C ... in an order
    drawn for each item, adds a decoy to each item and repeats a share of the items, with new letters, at least half of
    the utterances later. A decoy is as long as the region of one detector, of each in turn. It lies at a random place
    that the head reads, outside the regions of all detectors if there is room, else outside that detector's region.

    Parameters
    ----------
    utterances
        ``utterance`` and ``group``; groups in the order of their first rows.
    regions
        ``utterance``, ``detector``, ``start_s``, ``end_s`` and ``read_s``, detectors in the order of an open plan.
    """
    annotator = name(annotator)
    rng = np.random.default_rng([seed, int.from_bytes(sha256(annotator.encode()).digest()[:8])])
    order = list(dict.fromkeys(utterances["group"]))
    rows = utterances.sort_values("utterance")
    rows = rows.iloc[rng.permutation(len(rows))]
    if not options.blind:
        rows = rows.sort_values("group", key=lambda group: group.map(order.index), kind="stable")
    by_utterance = dict(iter(regions.groupby("utterance", sort=False)))
    key, items = _key(utterances, regions, options, seed), []
    for turn, row in enumerate(rows.itertuples()):
        part = by_utterance[row.utterance]
        tracks = [_track(region) for region in part.itertuples()]
        if options.blind:
            tracks = _lettered(tracks + (_decoy(part, turn, rng) if options.decoys else []), rng)
        items.append(Item(f"{key}/{row.utterance}", row.utterance, None, row.group, tuple(tracks), options.blind))
    return _with_repeats(items, options.repeats, rng) if options.blind else items


def kept(
    store: Store, utterances: pd.DataFrame, regions: pd.DataFrame, annotator: str, options: Annotation, seed: int
) -> list[Item]:
    """The `plan` that the store keeps for an annotator, made and stored at the first call.

    Letters and regions keep their meaning when the detectors are trained again. Other utterances, detectors or
    options give another plan beside the first.
    """
    key = _key(utterances, regions, options, seed)
    values = store.plans(name(annotator)).get(key)
    if values is None:
        items = plan(utterances, regions, annotator, options, seed)
        values = store.keep_plan(annotator, key, [dataclasses.asdict(item) for item in items])
    return [_item(item) for item in values]


def plans(store: Store) -> dict[str, list[Item]]:
    """All planned items by annotator."""
    return {
        annotator: [_item(item) for values in store.plans(annotator).values() for item in values]
        for annotator in store.annotators()
    }


def n_done(items: Sequence[Item], states: Mapping[str, Mapping[str, Any]]) -> int:
    """The number of finished items, given `Store.states`."""
    return sum(bool(states.get(item.id, {}).get("done")) for item in items)


def resume(items: Sequence[Item], store: Store, annotator: str) -> int:
    """The place of the item to go on with: the one changed last unless it is done, else the next unfinished one."""
    states, ids = store.states(annotator), [item.id for item in items]
    last = next((change.item for change in reversed(store.history(annotator))), None)
    start = ids.index(last) if last in ids else 0
    around = [*range(start, len(ids)), *range(start)]
    return next((place for place in around if not states.get(ids[place], {}).get("done")), start)


def annotations(store: Store) -> pd.DataFrame:
    """All annotations in a store as a table of `TYPES`, decoded by the plans that it keeps.

    A region that has a cue and whose ends nobody moved is the proposed one.
    """
    planned, rows = plans(store), []
    for annotator in store.annotators():
        states = store.states(annotator)
        changed_at = {(change.item, track_of(change.field)): change.at for change in store.history(annotator)}
        for item in planned[annotator]:
            if item.id in states:
                rows += [{"annotator": annotator, **row} for row in _rows(item, states[item.id], changed_at)]
    return conformed(rows)


def marks(store: Store) -> pd.DataFrame:
    """Regions that annotators marked besides the proposed ones, with labels in their own words, a row a region."""
    rows = [
        {"annotator": annotator, "utterance": item.utterance, "item": item.id, **mark}
        for annotator, items in plans(store).items()
        for states in [store.states(annotator)]
        for item in items
        for mark in states.get(item.id, {}).get("marks", [])
    ]
    return pd.DataFrame(rows, columns=["annotator", "utterance", "item", "start_s", "end_s", "label"])


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
            store.keep_plan(annotator, key, [dataclasses.asdict(item) for item in new.values()])
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
    given = {column: value for column, value in values.items() if value is not None and value == value}
    checks = {column: named(column, CHECKS[column], value) for column, value in given.items() if column in CHECKS}
    row = DEFAULTS | given | checks
    row["annotator"], row["detector"] = name(row["annotator"]), identifier(row["detector"], "detector")
    row["utterance"] = identifier(row["utterance"], "utterance", ITEM_CHARACTERS)
    row["item"] = identifier(row["item"] or row["utterance"] + "/2" * row["repeat"], "item", ITEM_CHARACTERS)
    track = DETECTORS.get(row["detector"], row["detector"]) + " decoy" * row["decoy"]
    row["track"] = identifier(row["track"] or track, "track")
    check_region(given.get("start_s"), given.get("end_s"))
    check_region(given.get("proposed_start_s"), given.get("proposed_end_s"))
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


def known_utterances(root: Path, names: Iterable[str]) -> pd.DataFrame:
    """Protocol rows of those `names` that the evaluation set at `root` has, with ``recording`` and ``duration_s``."""
    from sslig import audio
    from sslig.corpora import protocol

    table = protocol.load_set(root, "eval")
    table = protocol.with_recordings(root, table[table["utterance"].isin(set(names))].reset_index(drop=True))
    return table.assign(duration_s=[audio.n_samples(path) / SAMPLE_RATE_HZ for path in table["path"]])


def with_protocol(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Annotations with the columns ``key``, ``speaker`` and ``recording`` that `known` has of their utterances."""
    columns = [column for column in ("key", "speaker", "recording") if column in known]
    return table.merge(known[["utterance", *columns]], on="utterance", how="left", validate="many_to_one")


def digest(*values: Any) -> str:
    """A short hash of JSON values, for keys and names that must not show what they stand for."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _key(utterances: pd.DataFrame, regions: pd.DataFrame, options: Annotation, seed: int) -> str:
    how = [options.blind, *((options.decoys, options.repeats) if options.blind else ())]
    return digest(sorted(utterances["utterance"]), sorted(set(regions["detector"])), how, seed)[:8]


def _item(values: Mapping[str, Any]) -> Item:
    tracks = (track | {"region": track["region"] and tuple(track["region"])} for track in values["tracks"])
    return Item(**values | {"tracks": tuple(Track(**track) for track in tracks)})


def _track(row: Any, start_s: float | None = None) -> Track:
    """The region of a detector, or a decoy as long that begins at `start_s`."""
    shift_s = 0.0 if start_s is None else start_s - row.start_s
    region = None if np.isnan(row.start_s) else (row.start_s + shift_s, row.end_s + shift_s)
    return Track(DETECTORS.get(row.detector, row.detector), row.detector, start_s is not None, region, shift_s)


def _lettered(tracks: Sequence[Track], rng: np.random.Generator) -> tuple[Track, ...]:
    """Tracks in random order under letters in alphabetical order."""
    named = zip(string.ascii_uppercase, rng.permutation(len(tracks)), strict=False)
    return tuple(dataclasses.replace(tracks[place], name=letter) for letter, place in named)


def _decoy(regions: pd.DataFrame, turn: int, rng: np.random.Generator) -> list[Track]:
    """A decoy for the detector whose turn it is, or for the next one with room; none where nobody has evidence."""
    there = regions[regions["start_s"].notna()]
    in_turn = [there.iloc[(turn + step) % len(there)] for step in range(len(there))]
    for row in in_turn:
        for taken in (there, there.loc[[row.name]]):
            start_s = _place(row.end_s - row.start_s, taken[[*ENDS]].to_numpy(), row.read_s, rng)
            if start_s is not None:
                return [_track(row, start_s)]
    # Every region fills more than half of what is read, so the decoy overlaps it.
    return [_track(row, rng.uniform(0, max(0.0, row.read_s - (row.end_s - row.start_s)))) for row in in_turn[:1]]


def _place(length_s: float, taken: np.ndarray, read_s: float, rng: np.random.Generator) -> float | None:
    """A uniformly drawn start of a region that overlaps none of (region, 2) others; none where there is no room."""
    ends_s = [0.0]
    for start_s, end_s in sorted(taken.tolist()):
        ends_s += [max(start_s, ends_s[-1]), max(end_s, ends_s[-1])]
    ends_s.append(max(read_s, ends_s[-1]))
    gaps = [(low, high - length_s) for low, high in list(pairwise(ends_s))[::2] if high - length_s >= low]
    if not gaps:
        return None
    room = np.array([high - low for low, high in gaps])
    share = room / room.sum() if room.sum() > 0 else np.full(len(gaps), 1 / len(gaps))
    low, high = gaps[rng.choice(len(gaps), p=share)]
    return float(rng.uniform(low, high))


def _with_repeats(items: list[Item], share: float, rng: np.random.Generator) -> list[Item]:
    """The items, and `share` of them again: items of the first half, each half of the items later or more."""
    n = len(items)
    repeated = np.sort(rng.choice(n // 2, min(n // 2, round(share * n)), replace=False))
    places = [(float(place), item) for place, item in enumerate(items)]
    for place in repeated:
        item = items[place]
        again = {"id": f"{item.id}/2", "repeat_of": item.id, "tracks": _lettered(item.tracks, rng)}
        places.append((rng.uniform(place + n / 2, n), dataclasses.replace(item, **again)))
    return [item for _, item in sorted(places, key=lambda pair: pair[0])]


def _rows(item: Item, state: Mapping[str, Any], changed_at: Mapping[tuple, str]) -> Iterator[dict[str, Any]]:
    about = {"item": item.id, "utterance": item.utterance, "repeat": item.repeat_of is not None}
    about |= {"blind": item.blind, "group": item.group, "general": state.get("comment")}
    about |= {field: state.get(field) for field in ("similarity", "done")}
    for track in item.tracks:
        proposed = dict(zip(ENDS, track.region or (None, None), strict=True))
        values = {field: state.get(f"{track.name}.{field}") for field in TRACK_FIELDS}
        if values["cue"] is not None:
            values |= {end: time_s for end, time_s in proposed.items() if values[end] is None}
        values |= {"track": track.name, "detector": track.detector, "decoy": track.decoy}
        values |= {f"proposed_{end}": time_s for end, time_s in proposed.items()}
        yield about | values | {"changed_at": max(changed_at.get((item.id, name), "") for name in (None, track.name))}


def _covers(item: Item | None, part: pd.DataFrame) -> bool:
    """Whether an item has every region of the rows of its utterance."""
    regions = {(track.detector, track.decoy) for track in (item.tracks if item else ())}
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
    regions = {track.name: zip(ENDS, track.region, strict=True) for track in item.tracks if track.region is not None}
    return {f"{track}.{end}": time_s for track, ends in regions.items() for end, time_s in ends}


def _fields(item: Item, part: pd.DataFrame) -> dict[str, Any]:
    """The fields of an item that rows of its utterance fill."""
    names = {(track.detector, track.decoy): track.name for track in item.tracks}
    rows = part.to_dict("records")
    values = {field: rows[0][column] for field, column in WHOLE.items()}
    for row in rows:
        track = names[row["detector"], row["decoy"]]
        values |= {f"{track}.{field}": row[field] for field in TRACK_FIELDS}
    filled = {field: value for field, value in values.items() if not pd.isna(value) and value != ""}
    return {field: value.item() if hasattr(value, "item") else value for field, value in filled.items()}
