"""The explorer: open an utterance or a file, see and hear where detectors find evidence, and ask "what if?"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from sslig import audio
from sslig.errors import InputError
from sslig.study import Study, load
from sslig.widgets import bench, view
from sslig.widgets import recording as recordings
from sslig.widgets.bench import Bench
from sslig.widgets.catalogue import Filter
from sslig.widgets.desk import Cancelled, Desk
from sslig.widgets.recording import ExplainedRecording, Exported, Upload, shown_name

LISTED = 300
"""Utterances that are sent to the browser at once; nobody scrolls through a list of a hundred thousand."""

SHORT_S, PATIENCE_S = 10.0, 30.0
"""Files longer than the first are measured; a part is offered of those that take longer than the second."""
MOST_FILES = 50
"""Files of a visitor that are in the list; the oldest leave."""

OPTIONS = {"smooth": False, "common": False, "hidden": [], "maps": False, "loop": False}
"""How lanes are drawn (`static/lanes.js`)."""


class Explorer(anywidget.AnyWidget):
    """A widget that shows the utterances of a study, or an uploaded file.

    Everything can be done from Python too: `show`, `show_file`, `next`, `previous`, `what_if`, `export`.

    Parameters
    ----------
    study
        A study or its file; with detectors and a seed as in `Bench`.
    utterance
        The utterance, or the sound file, that is opened first; none: the first of the list.

    Attributes
    ----------
    utterance, selection
        The name of the open recording, and start and end in seconds of the selection (empty without one).
    filters, order
        Which utterances are listed (`sslig.widgets.catalogue.Filter`), and how they are sorted.
    changes, heard
        The rows of the last `what_if`, and the changed recording as a FLAC file, where there is one.
    evidence
        The last `grid`, as the browser draws and plays it; empty without one.
    offer
        A file that is long, and waits for a choice: ``name``, ``duration_s``, ``longest_s`` and ``seconds`` of work.
    problem
        The message of the last refusal; empty after a success.
    """

    utterance = traitlets.Unicode(read_only=True).tag(sync=True)
    filters = traitlets.Dict().tag(sync=True)
    order = traitlets.Unicode("utterance").tag(sync=True)
    selection = traitlets.List(traitlets.Float()).tag(sync=True)
    options = traitlets.Dict(OPTIONS).tag(sync=True)
    choices = traitlets.Dict(read_only=True).tag(sync=True)
    listing = traitlets.Dict(read_only=True).tag(sync=True)
    view = traitlets.Dict(read_only=True).tag(sync=True)
    numbers = traitlets.Dict(read_only=True).tag(sync=True)
    changes = traitlets.List(read_only=True).tag(sync=True)
    heard = traitlets.Bytes(read_only=True).tag(sync=True)
    evidence = traitlets.Dict(read_only=True).tag(sync=True)
    offer = traitlets.Dict(read_only=True).tag(sync=True)
    progress = traitlets.Dict(read_only=True).tag(sync=True)
    problem = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self,
        study: Study | str | Path,
        detectors: Sequence[str] | None = None,
        seed: int | None = None,
        utterance: str | None = None,
    ) -> None:
        self.study = study if isinstance(study, Study) else load(study)
        self.bench = Bench(self.study, detectors, seed)
        self.catalogue = self.bench.catalogue
        self.recording: ExplainedRecording | None = None
        self.upload: Upload | None = None
        self.files: dict[str, bytes] = {}
        self.desk = Desk(self._answer, self._judge)
        super().__init__(filters={"explained": True})
        self.set_trait("choices", self._choices())
        self._list()
        self.observe(lambda _: self._list(), ["filters", "order"])
        self.on_msg(lambda _, content, buffers: self.desk.take(content, buffers))
        if utterance and Path(utterance).is_file():
            self.show_file(utterance)
        else:
            self.show(utterance or self._listed["utterance"].iloc[0])

    @property
    def _esm(self) -> str:
        return view.module("explorer")

    # ------------------------------------------------------------ recordings

    def show(self, name: str) -> ExplainedRecording:
        """Open the utterance `name`, or the file of that name; a detector that has not explained it does so now."""
        if name in self.files:
            return self.show_file(self.files[name], name)
        return self._show(self.bench.open(name, self._progress))

    def show_file(
        self, file: str | Path | bytes, name: str = "", clip_s: tuple[float, float] | None = None
    ) -> ExplainedRecording:
        """Open and explain a sound file, given by its path or its bytes, or its part `clip_s`.

        Its segments follow the evidence.
        """
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        self._show(self.bench.open_file(shown_name(name or str(file)), content, self._progress, clip_s))
        return self.decode()

    def decode(self) -> ExplainedRecording:
        """Decode the segments of the open recording."""
        return self._show(self.bench.decoded(self.recording, self._progress), same=True)

    def next(self, step: int = 1) -> ExplainedRecording | None:
        """Open the next utterance of the list; None at its end."""
        names = self._listed["utterance"].tolist()
        place = names.index(self.utterance) + step if self.utterance in names else 0
        return self.show(names[place]) if 0 <= place < len(names) else None

    def previous(self) -> ExplainedRecording | None:
        """Open the previous utterance of the list; None at its start."""
        return self.next(-1)

    def _show(self, recording: ExplainedRecording, same: bool = False) -> ExplainedRecording:
        self.recording = recording
        with self.hold_sync():
            if not same:
                self.selection = []
                self._set(changes=[], heard=b"", evidence={}, offer={}, utterance=recording.name)
            self._set(view=recording.view(), numbers=recording.numbers(), problem="")
            self._list()
        self._progress("", 1)
        return recording

    def what_if(self, spec: str | None = None, fill: str = "noise") -> pd.DataFrame:
        """Score every detector again under a mask, beside matched random controls (`Bench.changes`).

        Without a mask, the selection is removed, from the features and from the recording, where `fill` replaces it.
        """
        if spec is None and len(self.selection) != 2:
            raise InputError("nothing is selected; drag over the recording, or name a mask")
        trials = bench.named(spec) if spec else bench.without_region(*self.selection, fill)
        rows: list[dict[str, Any]] = []
        self._set(changes=[], heard=b"")
        for row in self.bench.changes(self.recording, trials, self._progress):
            rows.append(row)
            self._set(changes=list(rows))
        changed = self.bench.changed(self.recording, trials)
        self._set(heard=b"" if changed is None else audio.flac_bytes(changed, self.recording.name))
        self._progress("", 1)
        return pd.DataFrame(rows)

    def grid(self, detector: str | None = None) -> dict[str, Any]:
        """The evidence of one detector (none: the first) in time and frequency (`Bench.grid`)."""
        name = self.bench.names[0] if detector is None else detector
        if name not in self.bench.names:
            raise InputError(f"detector {name!r}; accepted: {', '.join(self.bench.names)}")
        result = self.bench.grid(self.recording, name, self._progress)
        self._set(evidence=recordings.evidence(result, self.recording.clock))
        self._progress("", 1)
        return result

    def verdict(self) -> pd.DataFrame:
        """What each detector decides on in the open recording, and what its score is without it (`Bench.verdict`).

        One row a detector and space, with the columns of `Bench.changes` and those of the region.
        """
        while self._judge():
            pass
        rows = [
            {name: value for name, value in verdict.items() if name != "changes"} | change
            for verdict in self.recording.verdicts.values()
            for change in verdict["changes"]
        ]
        return pd.DataFrame(rows)

    def _judge(self) -> bool:
        """Find the next verdict of the open recording that is missing; whether there was one."""
        recording = self.recording
        missing = [name for name in self.bench.names if name not in recording.verdicts]
        if not missing:
            return False
        try:
            verdict = self.bench.verdict(recording, missing[0], self._progress)
        except InputError as error:
            verdict = {"detector": missing[0], "changes": [], "why": str(error)}
        if self.recording is recording:
            self.recording = replace(recording, verdicts={**recording.verdicts, missing[0]: verdict})
            self._set(numbers=self.recording.numbers())
        self._progress("", 1)
        return True

    def export(self, kind: str) -> Exported:
        """The open recording as a file of one of `sslig.widgets.recording.KINDS`."""
        region = tuple(self.selection) if len(self.selection) == 2 else None
        session = {"study": self.study.name, "seed": self.bench.seed, "version": metadata.version("sslig")}
        session |= {"detectors": self.bench.hashes(), "options": self.study.attribution.model_dump(mode="json")}
        session["questions"] = list(self.changes)
        recording = self.recording
        if not recording.source:
            content = self.catalogue.path(recording.name).read_bytes()
            recording = replace(recording, source=recordings.source(recording.name, content))
        return recordings.exported(recording, kind, OPTIONS | self.options, region, session)

    # ------------------------------------------------------------ messages of the browser

    def _answer(self, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message asks for; the message of an error is shown on the page."""
        request = dict(content)
        actions = {"open": self._open, "export": self._save, "upload": self._upload, "clip": self._clip}
        actions["begin"] = lambda: None  # the page is there: idle work may start
        actions |= {name: getattr(self, name) for name in ("next", "previous", "what_if", "grid", "decode")}
        action = actions.get(request.pop("do", None))
        try:
            if action is None:
                raise InputError(f"unknown request {content.get('do')!r}; known: {', '.join(actions)}")
            self._set(problem="")
            action(*buffers, **request)
        except Cancelled:
            pass
        except (ValueError, TypeError) as error:
            self._set(problem=str(error))
        self._progress("", 1)

    def _open(self, name: str) -> None:
        if name in self.files:
            self._offered(name)
        else:
            self.show(name)

    def _clip(self, start_s: float, end_s: float) -> None:
        """Explain a part of the file on offer."""
        if not self.offer:
            raise InputError("no file waits for a choice of its part")
        name, end_s = self.offer["name"], min(float(end_s), self.offer["duration_s"])
        self.show_file(self.files[name], name, (max(0.0, float(start_s)), end_s))

    def _offered(self, name: str) -> None:
        """Explain a file of a visitor at once, or offer a part of it where that takes long."""
        content, longest_s = self.files[name], self.study.scoring.max_s
        duration_s, seconds = recordings.source(name, content)["duration_s"], 0.0
        if SHORT_S < duration_s <= longest_s:
            self._progress("measuring how long this takes", 0)
            least = max(self.bench.detector(detector).min_frames for detector in self.bench.names)
            waveform = recordings.read_file(name, content, self.bench.clock, max_s=longest_s, min_frames=least)
            seconds = sum(self.bench.seconds(waveform).values())
        if duration_s > longest_s or seconds > PATIENCE_S:
            self._set(offer={"name": name, "duration_s": duration_s, "longest_s": longest_s, "seconds": seconds})
        else:
            self.show_file(content, name)

    def _upload(self, part: bytes, name: str, size: int, first: bool, shown: bool = True) -> None:
        if first:
            self.upload = None
            self.upload = Upload(shown_name(name), size)
        if self.upload is None:
            raise InputError(f"{name!r}: the beginning of the file is missing; send it again")
        if self.upload.add(part):
            name, self.files[self.upload.name] = self.upload.name, bytes(self.upload.content)
            self.upload = None
            for oldest in list(self.files)[:-MOST_FILES]:
                del self.files[oldest]
            self._offered(name) if shown else self._list()

    def _save(self, kind: str) -> None:
        name, mime, content = self.export(kind)
        self.send({"file": name, "mime": mime}, [content])

    def _list(self) -> None:
        self._listed = self.catalogue.find(Filter.parse(self.filters), self.order)
        names = self._listed["utterance"].tolist()
        place = names.index(self.utterance) if self.utterance in names else -1
        start = max(0, min(place - LISTED // 2, len(names) - LISTED))
        part = self._listed.iloc[start : start + LISTED].to_dict("records")
        rows = [[row["utterance"], _line(row, self.bench.names)] for row in part]
        files = list(self.files)
        self._set(listing={"rows": rows, "start": start, "total": len(names), "place": place, "files": files})

    def _choices(self) -> dict[str, Any]:
        exports = {kind: description for kind, (description, _, _) in recordings.KINDS.items()}
        masks = {"fills": list(bench.FILLS), "interventions": bench.suggestions(self.study), "exports": exports}
        files = {name.lower(): getattr(recordings, name) for name in ("PART_BYTES", "LARGEST_BYTES")}
        files["endings"] = audio.ENDINGS  # what a browser offers first; the content decides
        detectors = {"detectors": self.bench.names, "orders": self.catalogue.orders}
        return self.catalogue.choices() | detectors | masks | files

    def _progress(self, what: str, share: float) -> None:
        self.desk.check()
        if self.progress != {"what": what, "share": share}:
            self._set(progress={"what": what, "share": share})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _line(row: Mapping[str, Any], detectors: Sequence[str]) -> str:
    """An utterance in the list: name, label, codec and scores."""
    label = "bona fide" if row["key"] == "bonafide" else f"spoof {row['attack']}"
    codec = [] if row["codec"] == "-" else [row["codec"]]
    scores = ", ".join(f"{name} {row[name]:+.1f}" for name in detectors)
    return " · ".join([row["utterance"], label, *codec, scores])
