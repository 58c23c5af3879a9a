"""The annotator: a page on which people hear utterances and judge the regions that detectors point at.

The page and its session exchange plain messages, so a session also works without a browser. Messages of the browser,
each with ``kind``:

    start   name                 -> plan: name, blind, place, items (handle, title, group, done)
    open    item                 -> item: item, title, group, heard, tracks, state, view
    record  item, id, values     -> saved: item, id, done, of; or refused: item, id, why, again
    undo, redo   item            -> state: item, state, changed

An item goes by a handle that discloses nothing of the utterance. No answer holds what a blind plan hides: utterance,
group, detectors, scores and the sign of the evidence. Where annotators listen first, no answer holds the name, the
group or the curves of an item before its comment is stored (``heard``).

The server writes sound, spectrogram and evidence of each utterance as a row group of one light file, the sheet. An
annotator's process opens no other file, so it needs no detectors and serves no recording that is not on the sheet.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as pq
import traitlets

from sslig.annotation import plan
from sslig.annotation.plan import Item, Track
from sslig.annotation.store import CUES, LOCALITY, NAME_CHARACTERS, TEXT_CHARACTERS, Change, Store, track_of
from sslig.annotation.store import name as checked_name
from sslig.errors import InputError
from sslig.files import atomic
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.study import Annotation, Study
from sslig.widgets import view

SERVED = "SSLIG_SERVED"
"""Environment variable of kernels whose server has written the sheet."""

SCHEMA = {"utterance": pyarrow.string(), "message": pyarrow.string(), "buffers": pyarrow.list_(pyarrow.binary())}


@dataclass(frozen=True)
class Sheet:
    """The utterances to annotate with their ``group``, and top regions of the detectors (`sslig.annotation.plan`)."""

    path: Path
    utterances: pd.DataFrame
    regions: pd.DataFrame

    def view(self, utterance: str) -> dict[str, Any]:
        """What the browser draws of an utterance (`sslig.widgets.view.message`), with a lane for each detector."""
        names = sorted(self.utterances["utterance"])
        if utterance not in names:
            raise InputError(f"{self.path}: {utterance!r} is not among its {len(names)} utterances")
        with pq.ParquetFile(self.path) as file:
            row = file.read_row_group(names.index(utterance)).to_pylist()[0]
        return view.join(json.loads(row["message"]), row["buffers"])


class Session:
    """One page of one annotator of what is on a sheet; `options` and `seed` are those of the plans."""

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
            {"handle": handle, "done": bool(states.get(item.id, {}).get("done"))}
            | _named(item, number, self._heard(states.get(item.id, {})))
            for number, (handle, item) in enumerate(self.items.items(), start=1)
        ]
        place = plan.resume(items, self.store, annotator)
        return {"kind": "plan", "name": annotator, "blind": self.options.blind, "place": place, "items": listed}

    def _open(self, message: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(message)
        state = self.store.state(self.annotator, item.id)
        heard = self._heard(state)
        named = _named(item, list(self.items).index(message["item"]) + 1, heard)
        drawn, regions = self.sheet.view(item.utterance), self.sheet.regions
        read_s = regions[regions["utterance"] == item.utterance].set_index("detector")["read_s"]
        tracks = item.tracks if heard else ()
        lanes = [lane(drawn, track, read_s[track.detector], blind=item.blind) for track in tracks]
        drawn |= {"name": named["title"], "lanes": lanes, "maps": [], "tiers": []}
        tracks = [{"name": track.name, "region": track.region} for track in tracks]
        answer = {"kind": "item", "item": message["item"], "heard": heard, "state": state, "tracks": tracks}
        return answer | {"view": drawn, **named}

    def _heard(self, state: Mapping[str, Any]) -> bool:
        """Whether an annotator may see the curves of an item: at once, or after a word on what there is to hear."""
        return not self.options.listen_first or bool(state.get("comment", "").strip())

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

    def _step(self, message: Mapping[str, Any], step: Callable[[str, str], tuple[Change, ...]]) -> dict[str, Any]:
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

    The session answers the browser; `title` is the name of the study.
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
    if not os.environ.get(SERVED):
        make_sheet(study)
    store = Store(plan.store_path(study))
    return Annotator(Session(read_sheet(sheet_path(study)), store, study.annotation, study.corpus.seed), study.name)


def sheet_path(study: Study) -> Path:
    """Where the sheet of a study lies."""
    return study.runs / "annotation_sheet.parquet"


def read_sheet(path: Path) -> Sheet:
    """Read a sheet; `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m sslig.widgets.serve writes it")
    metadata = pq.read_schema(path).metadata
    return Sheet(path, *(pd.DataFrame(json.loads(metadata[name])) for name in (b"utterances", b"regions")))


def make_sheet(study: Study) -> None:
    """Write the sheet of a study from its attributions and scores, which the pipeline makes where they are missing.

    In a blind study the evidence has no sign and 1 as its largest value, because sign and size would disclose the
    label, the score and, with practice, the detector.

    Raises
    ------
    InputError
        A recording is a link to a place outside the corpus.
    """
    from sslig import pipeline
    from sslig.corpora import protocol
    from sslig.stats import agreement

    first = {"detectors": list(study.detectors), "seeds": study.seeds[:1]}
    tables = pipeline.tables(study, "attributions", "scores_eval", **first)
    # Attributions are made from the corpus and the detectors, so these are there now too.
    attributions, scores = tables["attributions"], tables["scores_eval"]
    known = protocol.load_set(study.corpus_root, "eval")
    by_all = scores.groupby("utterance")["utterance"].transform("size") == len(study.detectors)
    scores = scores[by_all].assign(gender=scores["utterance"].map(known.set_index("utterance")["gender"]))
    groups = agreement.groups(scores)
    chosen, _ = agreement.select(groups, study.selection, seed=study.corpus.seed)
    utterances = plan.utterances(study, known, attributions, chosen)
    clock = _clock(study.run(first["detectors"][0], study.seeds[0]) / "detector")
    regions = plan.regions(attributions[attributions["utterance"].isin(utterances["utterance"])], clock=clock)
    sheet = Sheet(sheet_path(study), utterances[["utterance", "group"]], regions)
    write_sheet(sheet, _views(study, utterances, attributions, clock))


def write_sheet(sheet: Sheet, views: Iterable[Mapping[str, Any]]) -> None:
    """Write a sheet with the messages of `sslig.widgets.view` of its utterances, in sorted order."""
    tables = {"utterances": sheet.utterances, "regions": sheet.regions}
    metadata = {name: json.dumps(table.to_dict("list")) for name, table in tables.items()}
    schema = pyarrow.schema(list(SCHEMA.items()), metadata=metadata)
    with atomic(sheet.path) as part, pq.ParquetWriter(part, schema) as writer:
        for drawn in views:
            message, buffers = view.split(dict(drawn))
            row = {"utterance": drawn["name"], "message": json.dumps(message), "buffers": buffers}
            writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))  # one row group


def lane(drawn: Mapping[str, Any], track: Track, read_s: float, *, blind: bool) -> dict[str, Any]:
    """The lane of a track, from the lanes of a view; the lane of a decoy is shifted so that it peaks at the decoy."""
    source = next(lane for lane in drawn["lanes"] if lane["key"] == track.detector)
    described = {"key": track.name, "name": track.name, "plain": blind, "color": "" if blind else source["color"]}
    curves = {name: _shifted(source[name], track.shift_s, read_s, drawn["clock"]) for name in ("frames", "trend")}
    return described | {"note": ""} | curves


def _shifted(values: bytes, shift_s: float, read_s: float, clock: Mapping[str, float]) -> bytes:
    """(frame,) float32, rotated within the frames that a head reads."""
    frames = np.frombuffer(values, dtype="<f4").copy()
    n_read = min(len(frames), round((read_s - clock["start_s"]) / clock["hop_s"]))
    frames[:n_read] = np.roll(frames[:n_read], round(shift_s / clock["hop_s"]))
    return frames.tobytes()


def _named(item: Item, number: int, heard: bool) -> dict[str, Any]:
    """Title and group of an item on the page; one that is blind, or not `heard`, has a number only."""
    hidden = item.blind or not heard
    return {"title": f"Item {number}", "group": None} if hidden else {"title": item.utterance, "group": item.group}


def _clock(folder: Path) -> FrameClock:
    """The frame clock of a detector, from its values alone: loading it takes longer than all the rest."""
    backbone = json.loads((folder / "config.json").read_text(encoding="utf-8"))["backbone_config"]
    if "conv_kernel" not in backbone:
        return SSL_CLOCK
    return FrameClock.from_convolutions(backbone["conv_kernel"], backbone["conv_stride"])


def _views(
    study: Study, utterances: pd.DataFrame, attributions: pd.DataFrame, clock: FrameClock
) -> Iterator[dict[str, Any]]:
    from sslig import audio

    for row in utterances.sort_values("utterance").itertuples():
        curves = attributions[attributions["utterance"] == row.utterance].set_index("detector")["by_frame"]
        lanes = [
            view.Lane(name, _unsigned(curves[name]) if study.annotation.blind else curves[name])
            for name in curves.index
        ]
        source = _within(study.sound_root, Path(row.path))
        waveform = audio.read(source, length=clock.n_samples(len(lanes[0].frames)))
        yield view.message(row.utterance, waveform, clock, lanes)


def _within(root: Path, path: Path) -> Path:
    """The path of a recording in the corpus; the folder of a set may be a link, a recording may not."""
    resolved = path.resolve()
    if not (resolved.is_relative_to(path.parent.resolve()) or resolved.is_relative_to(root.resolve())):
        raise InputError(f"{path}: a link to {resolved}, outside the corpus, which annotators must not hear")
    return path


def _unsigned(frames: np.ndarray) -> np.ndarray:
    """(frame,) The size of evidence, 1 where it is largest."""
    return np.abs(frames) / (np.abs(frames).max() or 1.0)
