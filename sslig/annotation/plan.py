"""Which utterances an annotator hears in which order, and what stands in for the detectors when they are blinded."""

import dataclasses
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sslig.annotation.store import Store
from sslig.annotation.vocabulary import name, shown
from sslig.records import hash_of
from sslig.study import Annotation

UTTERANCES = ("utterance", "group")
REGIONS = ("utterance", "detector", "start_s", "end_s", "read_s")


class PlanError(ValueError):
    """Utterances or regions that no plan can be made of; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Track:
    """A region that is judged, under the name that the annotator sees.

    Attributes
    ----------
    name
        The detector as people read it, or a letter in a blind plan. Fields in the store go by it: ``A.cue``.
    detector
        Whose region it is; of a decoy, the one whose region it is as long as.
    decoy
        Whether the place was drawn at random.
    region
        Start and end in seconds, as proposed; none where the detector has no evidence at all.
    shift_s
        How far a decoy lies from the real region. A curve drawn for a decoy has to be moved by this, around the ends
        of what the head reads, so that it peaks where the decoy is: else the curve tells decoys from real ones.
    """

    name: str
    detector: str
    decoy: bool
    region: tuple[float, float] | None
    shift_s: float = 0.0


@dataclass(frozen=True)
class Item:
    """An utterance to annotate, with its tracks in the order in which they are shown.

    Attributes
    ----------
    id
        What the store knows it by; it holds the utterance, so it is not for a blinded annotator's eyes.
    repeat_of
        The item that it is a repeat of.
    group
        Why the utterance was chosen, or its class; in a blind plan not for the annotator's eyes either.
    """

    id: str
    utterance: str
    repeat_of: str | None
    group: str
    tracks: tuple[Track, ...]
    blind: bool = False


class Progress(NamedTuple):
    """How many items are done, of all and by group; a blind plan has no groups to tell."""

    done: int
    total: int
    by_group: dict[str, tuple[int, int]]


def plan(
    utterances: pd.DataFrame, regions: pd.DataFrame, annotator: str, options: Annotation, seed: int
) -> list[Item]:  # fmt: skip
    """The items of one annotator in order: the same for the same name, utterances, regions, options and seed.

    Each annotator has an order of their own, so that what tires or trains an ear meets other utterances each time. An
    open plan goes through the groups in the order given. A blind one mixes them, calls tracks A, B, C ... in an order
    drawn anew for each item, adds a decoy to each item and lets a share of the items come again, with new letters, at
    least half of the utterances later. A decoy is as long as the region of one detector, of each in turn, at a random
    place that the head reads: beside the regions of all detectors if there is room, else beside its own.

    Parameters
    ----------
    utterances
        ``utterance`` and ``group``; the order of the rows does not matter, except that it is that of the groups.
    regions
        ``utterance``, ``detector``, ``start_s`` and ``end_s`` (NaN where there is no evidence) and ``read_s``, where
        the head stops reading: the top region of each detector, in the order in which an open plan shows them.

    Raises
    ------
    PlanError
        A column is missing, an utterance or a region stands twice or lacks the other, a region is empty or leaves what
        is read, there are no utterances, or the share of repeats is not between 0 and 0.5.
    """
    _check(utterances, regions, options)
    annotator = name(annotator)
    rng = np.random.default_rng([seed, int.from_bytes(sha256(annotator.encode()).digest()[:8])])
    groups = {group: place for place, group in enumerate(utterances["group"].drop_duplicates())}
    rows = utterances.sort_values("utterance")
    rows = rows.iloc[rng.permutation(len(rows))]
    if not options.blind:
        rows = rows.sort_values("group", key=lambda column: column.map(groups), kind="stable")
    by_utterance = dict(iter(regions.groupby("utterance", sort=False)))
    key, items = _key(utterances, regions, options, seed), []
    for place, row in enumerate(rows.itertuples()):
        own = by_utterance[row.utterance].reset_index(drop=True)
        tracks = [_track(one) for one in own.itertuples()]
        if options.blind and options.decoys:
            tracks += _decoy(own, place, rng)
        tracks = _lettered(tracks, rng) if options.blind else tuple(tracks)
        items.append(Item(f"{key}/{row.utterance}", row.utterance, None, row.group, tracks, options.blind))
    return _with_repeats(items, options.repeats, rng) if options.blind else items


def kept(
    store: Store, utterances: pd.DataFrame, regions: pd.DataFrame, annotator: str, options: Annotation, seed: int
) -> list[Item]:  # fmt: skip
    """The `plan` that the store keeps for an annotator, made where it keeps none for these utterances and options.

    What a letter stood for and where a region was must not change under what was said of them, even if the detectors
    are trained again; another set of utterances, of detectors or of options is another plan beside it.
    """
    key = _key(utterances, regions, options, seed)
    held = store.plans(name(annotator)).get(key)
    if held is None:
        made = plan(utterances, regions, annotator, options, seed)
        held = store.keep_plan(annotator, key, [dataclasses.asdict(item) for item in made])
    return [_item(values) for values in held]


def plans(store: Store) -> dict[str, list[Item]]:
    """All items that each annotator of a store has a plan for."""
    return {
        annotator: [_item(values) for held in store.plans(annotator).values() for values in held]
        for annotator in store.annotators()
    }


def public(item: Item) -> dict[str, Any]:
    """What the annotator may see of an item, as plain values: of a blind one no utterance, group or detector."""
    tracks = [{"name": track.name, "region": track.region} for track in item.tracks]
    told = {} if item.blind else {"utterance": item.utterance, "group": item.group}
    return {"blind": item.blind, "tracks": tracks, **told}


def progress(items: Sequence[Item], states: Mapping[str, Mapping[str, Any]]) -> Progress:
    """How far an annotator is; `states` as of `Store.states`."""
    done = [bool(states.get(item.id, {}).get("done")) for item in items]
    by_group: dict[str, tuple[int, int]] = {}
    for item, is_done in zip(items, done, strict=True):
        if not item.blind:
            before = by_group.get(item.group, (0, 0))
            by_group[item.group] = (before[0] + is_done, before[1] + 1)
    return Progress(sum(done), len(items), by_group)


def resume(items: Sequence[Item], store: Store, annotator: str) -> int:
    """The place of the item to go on with: the one that was changed last unless it is done, else the next undone one.

    Where all are done it is the one that was changed last.
    """
    states, last = store.states(annotator), store.last(annotator)
    ids = [item.id for item in items]
    place = ids.index(last.item) if last is not None and last.item in ids else 0
    around = [*range(place, len(ids)), *range(place)]
    return next((one for one in around if not states.get(ids[one], {}).get("done")), place)


def first_of(items: Sequence[Item], group: str, states: Mapping[str, Mapping[str, Any]]) -> int:
    """The place of the first item of a group that is not done, or of its first one.

    Raises
    ------
    PlanError
        No item that may be told of its group has this one.
    """
    places = [place for place, item in enumerate(items) if item.group == group and not item.blind]
    if not places:
        known = ", ".join(dict.fromkeys(item.group for item in items if not item.blind)) or "none: the plan is blind"
        raise PlanError(f"unknown group {group!r}; there are {known}")
    return next((place for place in places if not states.get(items[place].id, {}).get("done")), places[0])


def _key(utterances: pd.DataFrame, regions: pd.DataFrame, options: Annotation, seed: int) -> str:
    how = [options.blind, *((options.decoys, options.repeats) if options.blind else ())]
    return hash_of(sorted(utterances["utterance"]), sorted(set(regions["detector"])), how, seed)[:8]


def _item(values: Mapping[str, Any]) -> Item:
    tracks = [
        Track(**track | {"region": None if track["region"] is None else tuple(track["region"])})
        for track in values["tracks"]
    ]
    return Item(**values | {"tracks": tuple(tracks)})


def _track(row: Any) -> Track:
    region = None if np.isnan(row.start_s) else (float(row.start_s), float(row.end_s))
    return Track(shown(row.detector), row.detector, False, region)


def _lettered(tracks: Sequence[Track], rng: np.random.Generator) -> tuple[Track, ...]:
    """Tracks in random order under letters in alphabetical order."""
    order = rng.permutation(len(tracks))
    return tuple(dataclasses.replace(tracks[one], name=string.ascii_uppercase[at]) for at, one in enumerate(order))


def _decoy(regions: pd.DataFrame, turn: int, rng: np.random.Generator) -> list[Track]:
    """A decoy for the detector whose turn it is, beside all regions or beside its own, or for the next with room."""
    there = regions[regions["start_s"].notna()]
    if there.empty:
        return []
    in_turn = [there.iloc[(turn + one) % len(there)] for one in range(len(there))]
    all_taken = there[["start_s", "end_s"]].to_numpy()
    tries = [(row, taken) for row in in_turn for taken in (all_taken, None)]
    for row, taken in tries:
        own = np.array([[row["start_s"], row["end_s"]]])
        place_s = _place(row["end_s"] - row["start_s"], own if taken is None else taken, row["read_s"], rng)
        if place_s is not None:
            return [_decoy_at(row, place_s)]
    row = in_turn[0]  # every region fills more than half of what is read: the decoy overlaps it
    return [_decoy_at(row, float(rng.uniform(0, max(0.0, row["read_s"] - (row["end_s"] - row["start_s"])))))]


def _decoy_at(row: pd.Series, start_s: float) -> Track:
    length_s, detector = float(row["end_s"] - row["start_s"]), row["detector"]
    return Track(shown(detector), detector, True, (start_s, start_s + length_s), start_s - float(row["start_s"]))


def _place(length_s: float, taken: np.ndarray, read_s: float, rng: np.random.Generator) -> float | None:
    """Where a region can start so as to overlap none of (region, 2) others, drawn evenly; none where it cannot."""
    ends_s = [0.0]
    for start_s, end_s in sorted(taken.tolist()):
        ends_s += [max(start_s, ends_s[-1]), max(end_s, ends_s[-1])]
    ends_s.append(max(read_s, ends_s[-1]))
    gaps = [(low, high - length_s) for low, high in list(pairwise(ends_s))[::2] if high - length_s >= low]
    room = np.array([high - low for low, high in gaps])
    if not len(gaps):
        return None
    share = room / room.sum() if room.sum() > 0 else np.full(len(gaps), 1 / len(gaps))
    low, high = gaps[rng.choice(len(gaps), p=share)]
    return float(rng.uniform(low, high))


def _with_repeats(items: list[Item], share: float, rng: np.random.Generator) -> list[Item]:
    """The items and, of the first half of them, as many again as `share` says, each half of the items later or more."""
    n = len(items)
    first = np.sort(rng.choice(n // 2, min(n // 2, round(share * n)), replace=False))
    places = [(float(place), item) for place, item in enumerate(items)]
    for place in first:
        item = items[place]
        again = {"id": f"{item.id}/2", "repeat_of": item.id, "tracks": _lettered(item.tracks, rng)}
        places.append((rng.uniform(place + n / 2, n), dataclasses.replace(item, **again)))
    return [item for _, item in sorted(places, key=lambda pair: pair[0])]


def _check(utterances: pd.DataFrame, regions: pd.DataFrame, options: Annotation) -> None:
    for what, table, columns in (("utterances", utterances, UTTERANCES), ("regions", regions, REGIONS)):
        if missing := [column for column in columns if column not in table]:
            raise PlanError(f"the {what} lack {', '.join(missing)}; they have {', '.join(map(str, table.columns))}")
        keys = table[list({"utterance", "detector"} & set(columns))]
        if keys.duplicated().any():
            raise PlanError(f"{what}: {keys[keys.duplicated()].iloc[0].to_dict()} stands twice")
    if utterances.empty or not 0 <= options.repeats <= 0.5:
        raise PlanError(f"{len(utterances)} utterances, {options.repeats} of them repeated; at least one, and a share "
                        "from 0 to 0.5, are needed")  # fmt: skip
    if lacking := sorted(set(utterances["utterance"]) - set(regions["utterance"])):
        raise PlanError(f"{len(lacking)} of {len(utterances)} utterances have no regions, not even empty ones; "
                        f"the first: {lacking[0]}")  # fmt: skip
    within = (regions["start_s"] < regions["end_s"]) & (regions["end_s"] <= regions["read_s"] + 1e-6)
    faulty = regions[regions["start_s"].notna() & ~(within & (regions["start_s"] >= 0))]
    if len(faulty):
        raise PlanError(f"a region that is empty or not within what is read: {faulty.iloc[0].to_dict()}")
