"""Plans of annotators: the utterances and regions of a study, the order in which each annotator hears them, and the
decoys, repeats and letters of a blind plan."""

import dataclasses
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslig.annotation.store import Store
from sslig.annotation.vocabulary import display_name, name
from sslig.errors import InputError, StudyError
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.study import Annotation, Study

CLASSES = {"bonafide": "bona fide", "spoof": "spoof"}


@dataclass(frozen=True)
class Track:
    """A region to judge.

    Attributes
    ----------
    name
        Display name of the detector, or a letter in a blind plan; fields in the store begin with it: ``A.cue``.
    detector
        The detector whose region it is; for a decoy, the one whose region has the same length.
    region
        Proposed start and end in seconds; none where the detector has no evidence.
    shift_s
        Distance of a decoy from the real region, by which its curve is rotated: else the curve would give it away.
    """

    name: str
    detector: str
    decoy: bool
    region: tuple[float, float] | None
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

    Parameters
    ----------
    protocol, attributions
        Utterances of the set, and of each ``detector``.
    chosen
        ``utterance`` and ``reason`` of the selection of the study.

    Returns
    -------
    DataFrame
        Rows of `protocol` with ``group``: the reason of the selection, or the class of an utterance outside it.

    Raises
    ------
    StudyError
        A detector does not explain a named utterance.
    """
    counts = attributions.groupby("utterance")["detector"].nunique()
    explained = sorted(counts.index[counts == attributions["detector"].nunique()])
    names = study.annotation.utterances or explained
    if lacking := [utterance for utterance in names if utterance not in explained]:
        raise StudyError(
            f"{study.path}: annotation.utterances: {len(lacking)} of {len(names)} are not among the {len(explained)} "
            f"explained ones; the first: {lacking[0]!r}"
        )
    table = protocol[protocol["utterance"].isin(names)].sort_values("utterance").reset_index(drop=True)
    reasons = chosen.set_index("utterance")["reason"]
    order = [*dict.fromkeys(reasons), *CLASSES.values()]
    table = table.assign(group=table["utterance"].map(reasons).fillna(table["key"].map(CLASSES)))
    return table.sort_values("group", key=lambda column: column.map(order.index), kind="stable")


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

    Raises
    ------
    InputError
        An utterance has no region.
    """
    if lacking := sorted(set(utterances["utterance"]) - set(regions["utterance"])):
        raise InputError(f"{len(lacking)} of {len(utterances)} utterances have no region; the first: {lacking[0]}")
    annotator = name(annotator)
    rng = np.random.default_rng([seed, int.from_bytes(sha256(annotator.encode()).digest()[:8])])
    order = list(dict.fromkeys(utterances["group"]))
    rows = utterances.sort_values("utterance")
    rows = rows.iloc[rng.permutation(len(rows))]
    if not options.blind:
        rows = rows.sort_values("group", key=lambda column: column.map(order.index), kind="stable")
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


def public(item: Item) -> dict[str, Any]:
    """What the annotator may see of an item; a blind one shows no utterance, group or detector."""
    tracks = [{"name": track.name, "region": track.region} for track in item.tracks]
    return {"tracks": tracks} | ({} if item.blind else {"utterance": item.utterance, "group": item.group})


def n_done(items: Sequence[Item], states: Mapping[str, Mapping[str, Any]]) -> int:
    """The number of finished items, given `Store.states`."""
    return sum(bool(states.get(item.id, {}).get("done")) for item in items)


def resume(items: Sequence[Item], store: Store, annotator: str) -> int:
    """The place of the item to go on with: the one changed last unless it is done, else the next unfinished one."""
    states, last = store.states(annotator), store.last(annotator)
    ids = [item.id for item in items]
    start = ids.index(last.item) if last is not None and last.item in ids else 0
    around = [*range(start, len(ids)), *range(start)]
    return next((place for place in around if not states.get(ids[place], {}).get("done")), start)


def digest(*values: Any) -> str:
    """A short hash of JSON values, for keys and names that must not show what they stand for."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _key(utterances: pd.DataFrame, regions: pd.DataFrame, options: Annotation, seed: int) -> str:
    how = [options.blind, *((options.decoys, options.repeats) if options.blind else ())]
    return digest(sorted(utterances["utterance"]), sorted(set(regions["detector"])), how, seed)[:8]


def _item(values: Mapping[str, Any]) -> Item:
    tracks = (track | {"region": track["region"] and tuple(track["region"])} for track in values["tracks"])
    return Item(**values | {"tracks": tuple(Track(**track) for track in tracks)})


def _track(row: Any) -> Track:
    region = None if np.isnan(row.start_s) else (row.start_s, row.end_s)
    return Track(display_name(row.detector), row.detector, False, region)


def _lettered(tracks: Sequence[Track], rng: np.random.Generator) -> tuple[Track, ...]:
    """Tracks in random order under letters in alphabetical order."""
    order = rng.permutation(len(tracks))
    return tuple(
        dataclasses.replace(tracks[place], name=letter)
        for letter, place in zip(string.ascii_uppercase, order, strict=False)
    )


def _decoy(regions: pd.DataFrame, turn: int, rng: np.random.Generator) -> list[Track]:
    """A decoy for the detector whose turn it is, or for the next one with room; none where nobody has evidence."""
    there = regions[regions["start_s"].notna()]
    if there.empty:
        return []
    in_turn = [there.iloc[(turn + step) % len(there)] for step in range(len(there))]
    for row in in_turn:
        for taken in (there, row.to_frame().T):
            start_s = _place(row["end_s"] - row["start_s"], taken[["start_s", "end_s"]].to_numpy(), row["read_s"], rng)
            if start_s is not None:
                return [_decoy_at(row, start_s)]
    row = in_turn[0]  # every region fills more than half of what is read, so the decoy overlaps it
    return [_decoy_at(row, float(rng.uniform(0, max(0.0, row["read_s"] - (row["end_s"] - row["start_s"])))))]


def _decoy_at(row: pd.Series, start_s: float) -> Track:
    length_s, detector = float(row["end_s"] - row["start_s"]), row["detector"]
    return Track(display_name(detector), detector, True, (start_s, start_s + length_s), start_s - float(row["start_s"]))


def _place(length_s: float, taken: np.ndarray, read_s: float, rng: np.random.Generator) -> float | None:
    """A uniformly drawn start of a region that overlaps none of (region, 2) others; none where there is no room."""
    ends_s = [0.0]
    for start_s, end_s in sorted(taken.tolist()):
        ends_s += [max(start_s, ends_s[-1]), max(end_s, ends_s[-1])]
    ends_s.append(max(read_s, ends_s[-1]))
    gaps = [(low, high - length_s) for low, high in list(pairwise(ends_s))[::2] if high - length_s >= low]
    room = np.array([high - low for low, high in gaps])
    if not gaps:
        return None
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
