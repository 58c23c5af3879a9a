"""What the annotator answers to its browser: plain messages in and out, so that it works without a browser.

Messages of the browser, each with ``kind``:

    start   name                 -> plan: name, blind, place, items (handle, title, group, done)
    open    item                 -> item: item, title, group, tracks, state, view
    record  item, id, values     -> saved: item, id, done, of; or refused: item, id, why, again
    undo, redo   item            -> state: item, state, changed

An item goes by a handle that tells nothing of the utterance. What a blind plan hides (utterance, group, detectors,
scores, the sign of the evidence) is in no answer.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sslig.annotation import plan
from sslig.annotation.plan import Item
from sslig.annotation.store import Change, Store, StoreError
from sslig.annotation.vocabulary import VocabularyError, parts_of
from sslig.annotation.vocabulary import name as checked_name
from sslig.records import hash_of
from sslig.study import Annotation
from sslig.widgets.annotator_sheet import Sheet, SheetError, lane

HANDLE_CHARACTERS = 12


class SessionError(ValueError):
    """A message of the browser that cannot be answered; it says what was found and what is accepted."""


class Session:
    """One page of one annotator.

    Parameters
    ----------
    sheet
        What is annotated.
    store
        Where every change goes.
    options
        Whether the plan is blind, and how.
    seed
        Of the plans.
    """

    def __init__(self, sheet: Sheet, store: Store, options: Annotation, seed: int) -> None:
        self.sheet, self.store, self.options, self.seed = sheet, store, options, seed
        self.annotator: str | None = None
        self.items: dict[str, Item] = {}

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message; bytes stand in it as they are.

        What cannot be done is answered too, as ``refused``: a page must be able to say so.
        """
        kinds: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "start": self._start, "open": self._open, "record": self._record, "undo": self._undo, "redo": self._redo,
        }  # fmt: skip
        told = {name: message.get(name) for name in ("id", "item")} if isinstance(message, Mapping) else {}
        try:
            if not isinstance(message, Mapping) or message.get("kind") not in kinds:
                raise SessionError(f"a message with one of the kinds {', '.join(kinds)} is needed")
            return kinds[message["kind"]](message)
        except (SessionError, VocabularyError, StoreError, SheetError) as error:
            # Only a store that was busy, or could not be written for now, is worth another try.
            again = isinstance(error, StoreError) and not isinstance(error.__cause__, VocabularyError)
            return told | {"kind": "refused", "why": self._said(error), "again": again}

    def _start(self, message: Mapping[str, Any]) -> dict[str, Any]:
        annotator = checked_name(message.get("name"))
        items = plan.kept(self.store, self.sheet.utterances, self.sheet.regions, annotator, self.options, self.seed)
        self.annotator = annotator
        self.items = {_handle(annotator, item): item for item in items}
        states = self.store.states(annotator)
        told = [
            {"handle": handle, "done": bool(states.get(item.id, {}).get("done"))} | _named(item, number)
            for number, (handle, item) in enumerate(self.items.items(), start=1)
        ]
        place = plan.resume(items, self.store, annotator)
        return {"kind": "plan", "name": annotator, "blind": self.options.blind, "place": place, "items": told}

    def _open(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(message)
        number = list(self.items).index(message["item"]) + 1
        return {
            "kind": "item", "item": message["item"], "state": self.store.state(self.annotator, item.id),
            "tracks": plan.public(item)["tracks"], "view": self._view(item, number), **_named(item, number),
        }  # fmt: skip

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item, values = self._item(message), message.get("values")
        if not isinstance(values, Mapping) or not values:
            raise SessionError(f"values are {values!r}; a mapping of fields to values is needed")
        tracks = [track.name for track in item.tracks]
        for field in values:
            if (track := parts_of(str(field))[0]) is not None and track not in tracks:
                raise SessionError(f"field {field!r}; the tracks of this item are {', '.join(tracks)}")
        self.store.record(self.annotator, item.id, values)
        done, of, _ = plan.progress(list(self.items.values()), self.store.states(self.annotator))
        return {"kind": "saved", "item": message["item"], "id": message.get("id"), "done": done, "of": of}

    def _undo(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(message)
        return self._state(message["item"], item, self.store.undo(self.annotator, item.id))

    def _redo(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(message)
        return self._state(message["item"], item, self.store.redo(self.annotator, item.id))

    def _state(self, handle: str, item: Item, changes: tuple[Change, ...]) -> dict[str, Any]:
        state = self.store.state(self.annotator, item.id)
        return {"kind": "state", "item": handle, "state": state, "changed": [change.field for change in changes]}

    def _view(self, item: Item, number: int) -> dict[str, Any]:
        """What is drawn and heard of an item, with a lane a track."""
        view = self.sheet.view(item.utterance)
        regions = self.sheet.regions
        read_s = regions[regions["utterance"] == item.utterance].set_index("detector")["read_s"]
        lanes = [lane(view, track, read_s[track.detector], blind=item.blind) for track in item.tracks]
        return view | {"name": _named(item, number)["title"], "lanes": lanes, "maps": [], "tiers": []}

    def _item(self, message: Mapping[str, Any]) -> Item:
        if self.annotator is None:
            raise SessionError("no annotator yet; a message of kind start with a name comes first")
        handle = message.get("item")
        if not isinstance(handle, str) or handle not in self.items:
            raise SessionError(f"item {handle!r} is not in the plan of {len(self.items)} items")
        return self.items[handle]

    def _said(self, error: ValueError) -> str:
        """The message of an error without the folders of this machine."""
        return str(error).replace(f"{self.store.path}: ", "").replace(f"{self.sheet.folder}/", "")


def _handle(annotator: str, item: Item) -> str:
    return hash_of(annotator, item.id)[:HANDLE_CHARACTERS]


def _named(item: Item, number: int) -> dict[str, Any]:
    """How an item is called on the page: a blind one by its number alone."""
    told = plan.public(item)
    return {"title": told.get("utterance", f"Item {number}"), "group": told.get("group")}
