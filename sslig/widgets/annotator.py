"""The annotator: a page on which people hear utterances and judge the regions that detectors point at.

The page and its session exchange plain messages, so a session also works without a browser. Messages of the browser,
each with ``kind``:

    start   name                 -> plan: name, blind, place, items (handle, title, group, done)
    open    item                 -> item: item, title, group, tracks, state, view
    record  item, id, values     -> saved: item, id, done, of; or refused: item, id, why, again
    undo, redo   item            -> state: item, state, changed

An item goes by a handle that discloses nothing of the utterance. No answer holds what a blind plan hides: utterance,
group, detectors, scores and the sign of the evidence.
"""

import os
import sqlite3
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from sslig.annotation import plan
from sslig.annotation.plan import Item
from sslig.annotation.store import CUES, LOCALITY, NAME_CHARACTERS, TEXT_CHARACTERS, Store, track_of
from sslig.annotation.store import name as checked_name
from sslig.errors import InputError
from sslig.study import Annotation, Study
from sslig.widgets import annotator_sheet, view
from sslig.widgets.annotator_sheet import Sheet, lane


class Session:
    """One page of one annotator.

    Parameters
    ----------
    sheet
        What is annotated.
    store
        Where every change goes.
    options, seed
        Options and seed of the plans.
    """

    def __init__(self, sheet: Sheet, store: Store, options: Annotation, seed: int) -> None:
        self.sheet, self.store, self.options, self.seed = sheet, store, options, seed
        self.annotator: str | None = None
        self.items: dict[str, Item] = {}

    def answer(self, message: Any) -> dict[str, Any]:
        """The answer to a message, in which bytes stand as they are; ``refused`` where it cannot be followed."""
        kinds = {
            "start": self._start,
            "open": self._open,
            "record": self._record,
            "undo": lambda given: self._step(given, self.store.undo),
            "redo": lambda given: self._step(given, self.store.redo),
        }
        about = {name: message.get(name) for name in ("id", "item")} if isinstance(message, Mapping) else {}
        try:
            if not isinstance(message, Mapping) or message.get("kind") not in kinds:
                raise InputError(f"a message with one of the kinds {', '.join(kinds)} is needed")
            return kinds[message["kind"]](message)
        except InputError as error:
            why = str(error).replace(f"{self.store.path}: ", "").replace(f"{self.sheet.path}: ", "")
            # Another try helps only where the store was busy or could not be written.
            return about | {"kind": "refused", "why": why, "again": isinstance(error.__cause__, sqlite3.Error)}

    def _start(self, message: Mapping[str, Any]) -> dict[str, Any]:
        annotator = checked_name(message.get("name"))
        items = plan.kept(self.store, self.sheet.utterances, self.sheet.regions, annotator, self.options, self.seed)
        self.annotator = annotator
        self.items = {plan.digest(annotator, item.id): item for item in items}
        states = self.store.states(annotator)
        listed = [
            {"handle": handle, "done": bool(states.get(item.id, {}).get("done"))} | _named(item, number)
            for number, (handle, item) in enumerate(self.items.items(), start=1)
        ]
        place = plan.resume(items, self.store, annotator)
        return {"kind": "plan", "name": annotator, "blind": self.options.blind, "place": place, "items": listed}

    def _open(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(message)
        named = _named(item, list(self.items).index(message["item"]) + 1)
        drawn, regions = self.sheet.view(item.utterance), self.sheet.regions
        read_s = regions[regions["utterance"] == item.utterance].set_index("detector")["read_s"]
        lanes = [lane(drawn, track, read_s[track.detector], blind=item.blind) for track in item.tracks]
        drawn |= {"name": named["title"], "lanes": lanes, "maps": [], "tiers": []}
        state = self.store.state(self.annotator, item.id)
        tracks = [{"name": track.name, "region": track.region} for track in item.tracks]
        return {"kind": "item", "item": message["item"], "state": state, "tracks": tracks, "view": drawn, **named}

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item, values = self._item(message), message.get("values")
        if not isinstance(values, Mapping) or not values:
            raise InputError(f"values are {values!r}; a mapping of fields to values is needed")
        tracks = [track.name for track in item.tracks]
        for field in values:
            if (track := track_of(str(field))) is not None and track not in tracks:
                raise InputError(f"field {field!r}; the tracks of this item are {', '.join(tracks)}")
        self.store.record(self.annotator, item.id, values)
        done = plan.n_done(list(self.items.values()), self.store.states(self.annotator))
        numbers = {"done": done, "of": len(self.items)}
        return {"kind": "saved", "item": message["item"], "id": message.get("id"), **numbers}

    def _step(self, message: Mapping[str, Any], step: Any) -> dict[str, Any]:
        item = self._item(message)
        changed = [change.field for change in step(self.annotator, item.id)]
        state = self.store.state(self.annotator, item.id)
        return {"kind": "state", "item": message["item"], "state": state, "changed": changed}

    def _item(self, message: Mapping[str, Any]) -> Item:
        if self.annotator is None:
            raise InputError("no annotator yet; a message of kind start with a name comes first")
        handle = message.get("item")
        if not isinstance(handle, str) or handle not in self.items:
            raise InputError(f"item {handle!r} is not in the plan of {len(self.items)} items")
        return self.items[handle]


class Annotator(anywidget.AnyWidget):
    """The page of one annotator, who gives a name first; every change is in the store before the page says "saved".

    Parameters
    ----------
    session
        Answers the browser.
    title
        Name of the study.
    """

    words = traitlets.Dict().tag(sync=True)
    """Texts and limits of the page: title, cues, ends of the scale, largest lengths."""

    def __init__(self, session: Session, title: str) -> None:
        limits = {"name": NAME_CHARACTERS, "text": TEXT_CHARACTERS}
        words = {"title": title, "cues": list(CUES.items()), "locality": list(LOCALITY), "limits": limits}
        super().__init__(_esm=view.module("annotator"), words=words)
        self.session = session
        self.on_msg(self._heard)

    def _heard(self, _: Any, message: Any, buffers: list[bytes]) -> None:
        self.send(*view.split(self.session.answer(message)))


def annotator(study: Study) -> Annotator:
    """The annotator of a study; outside a server of the annotator the sheet is written first."""
    path = annotator_sheet.path(study)
    if not os.environ.get(annotator_sheet.SERVED):
        annotator_sheet.make(study)
    session = Session(annotator_sheet.read(path), Store(plan.store_path(study)), study.annotation, study.corpus.seed)
    return Annotator(session, study.name)


def _named(item: Item, number: int) -> dict[str, Any]:
    """Title and group of an item on the page; a blind item has a number only."""
    return {"title": f"Item {number}", "group": None} if item.blind else {"title": item.utterance, "group": item.group}
