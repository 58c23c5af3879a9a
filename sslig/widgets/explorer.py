"""The explorer: pick an utterance or a file, see and hear where detectors find evidence, ask what else would do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from sslig import audio, stages
from sslig.cues.waveform_masks import FILLS
from sslig.report.display import listed
from sslig.study import Study, load
from sslig.widgets import export, opened, own_file, view, whatif
from sslig.widgets.archive import Archive
from sslig.widgets.catalogue import CatalogueError, Filter
from sslig.widgets.opened import Opened
from sslig.widgets.own_file import Upload

LISTED = 300
"""Utterances that the browser is told of at once: a list of a hundred thousand is of no use to anybody."""

OPTIONS = {"smooth": False, "common": False, "hidden": [], "maps": False, "loop": False}
"""How lanes are drawn (`static/lanes.js`)."""


class Explorer(anywidget.AnyWidget):
    """A widget that shows the utterances of a study, or a file of one's own.

    Everything can be asked for from Python too: `show`, `show_file`, `next`, `previous`, `what_if`, `export`.

    Parameters
    ----------
    experiment
        A study or its file.
    detectors, seed
        Which of its detectors; none: all, and its first seed.
    utterance
        Opened first; none: the first one.

    Attributes
    ----------
    utterance
        What is open.
    filters, order
        Which utterances are listed (`sslig.widgets.catalogue.Filter`), and sorted by what.
    selection
        Start and end in seconds of what a person selected, or nothing.
    options
        How lanes are drawn.
    changes
        What the last `what_if` found (`sslig.widgets.whatif.Change.told`), a mapping a detector and space.
    heard
        The changed recording as a FLAC file, where there is one.
    problem
        What was last refused, in words; empty where all is well.

    Raises
    ------
    sslig.study.StudyError
        The study has no such detector or seed.
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
    progress = traitlets.Dict(read_only=True).tag(sync=True)
    problem = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self, experiment: Study | str | Path, detectors: Sequence[str] | None = None, seed: int | None = None,
        utterance: str | None = None,
    ) -> None:  # fmt: skip
        self.study = experiment if isinstance(experiment, Study) else load(experiment)
        self.archive = Archive(self.study, detectors, seed)
        self.bench, self.catalogue = self.archive.bench, self.archive.catalogue
        self.opened: Opened | None = None
        self.upload: Upload | None = None
        super().__init__(filters={"explained": True})
        self.set_trait("choices", self._choices())
        self._list()
        self.observe(lambda _: self._list(), ["filters", "order"])
        self.on_msg(self._asked)
        self.show(utterance or self._found["utterance"].iloc[0])

    @property
    def _esm(self) -> str:
        return view.module("explorer")

    # ------------------------------------------------------------ which recording

    def show(self, name: str) -> Opened:
        """Show the utterance `name`.

        Raises
        ------
        CatalogueError
            There is no such utterance, or its file lies outside the corpus.
        """
        return self._show(self.archive.open(name, self._progress))

    def show_file(self, file: str | Path | bytes, name: str = "") -> Opened:
        """Show a file of one's own, or what is in one, explained now: first the evidence, then the segments.

        Raises
        ------
        sslig.widgets.own_file.OwnFileError, sslig.audio.AudioError
            It is no sound file that is accepted; the message says why.
        """
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        name = own_file.shown_name(name or str(file))
        limits = {"max_s": self.study.scoring.max_s, "min_frames": self.bench.min_frames}
        self._progress("reading the file", 0)
        samples = own_file.read(name, content, self.bench.clock, **limits)
        self._show(opened.recording(self.bench, name, samples, progress=self._progress))
        return self.decode()

    def decode(self) -> Opened:
        """Find the segments of what is open, where the study has none of it."""
        tiers = opened.decoded(self.opened.waveform, self.study.masking.segments, self._progress)
        return self._show(self.opened.with_tiers(tiers), keep=True)

    def next(self, step: int = 1) -> Opened | None:
        """Show the utterance after this one in the list; None where it is the last."""
        names = self._found["utterance"].tolist()
        place = names.index(self.utterance) + step if self.utterance in names else 0
        return self.show(names[place]) if 0 <= place < len(names) else None

    def previous(self) -> Opened | None:
        """Show the utterance before this one in the list; None where it is the first."""
        return self.next(-1)

    def answer(self) -> str:
        """What can be opened here, and what is said of the recording that is open, for the head of a page."""
        made = self.catalogue.table["explained"]
        return (f"**Answer.** {listed(self.bench.names)} have explained {made.sum()} of {len(made)} utterances; the "
                f"others are explained when they are opened. {self.opened.answer()}")  # fmt: skip

    # ------------------------------------------------------------ questions

    def what_if(self, spec: str | None = None, fill: str = "noise", draws: int | None = None) -> pd.DataFrame:
        """Score every detector again after an intervention, or without what is selected, beside matched controls.

        Parameters
        ----------
        spec
            An intervention (`sslig.cues.interventions`); none: the selection is taken away in both spaces.
        fill
            What stands in the recording in place of the selection.
        draws
            Random controls; none: as many as the study draws.

        Returns
        -------
        DataFrame
            A row a detector and space (`sslig.widgets.whatif.Change.told`).

        Raises
        ------
        sslig.widgets.whatif.WhatIfError, sslig.cues.interventions.InterventionError
            Nothing is selected, or the intervention cannot be applied here.
        """
        if spec is None and len(self.selection) != 2:
            raise whatif.WhatIfError("nothing is selected; drag over the recording, or name an intervention")
        trials = whatif.named(spec) if spec else whatif.of_region(*self.selection, fill)
        options = {"draws": self.study.masking.draws if draws is None else draws}
        found: list[dict[str, Any]] = []
        self._set(changes=[], heard=b"")
        for change in whatif.changes(self.bench, self.opened, trials, **options, progress=self._progress):
            found.append(change.told())
            self._set(changes=list(found))
        changed = whatif.heard(self.bench, self.opened, trials, **options)
        self._set(heard=b"" if changed is None else audio.flac_bytes(changed, self.opened.name))
        self._progress("", 1)
        return pd.DataFrame(found)

    def export(self, kind: str) -> export.Exported:
        """What is open, as a file of one of `sslig.widgets.export.KINDS`.

        Raises
        ------
        sslig.widgets.export.ExportError
            The kind is unknown.
        """
        region = tuple(self.selection) if len(self.selection) == 2 else None
        return export.exported(self.opened, kind, self.options, region)

    # ------------------------------------------------------------ what the browser asks

    def _asked(self, _: Any, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message asks; a refusal is shown, since nobody else would hear of it."""
        asked = dict(content)
        do = self._orders().get(asked.pop("do", None))
        try:
            if do is None:
                raise CatalogueError(f"the browser asks for {content.get('do')!r}; known: {', '.join(self._orders())}")
            self._set(problem="")
            do(*buffers, **asked)
        except (ValueError, TypeError) as error:
            self._set(problem=str(error))
        self._progress("", 1)

    def _orders(self) -> dict[str, Any]:
        return {
            "open": self.show, "next": self.next, "previous": self.previous, "what_if": self.what_if,
            "decode": self.decode, "export": self._save, "upload": self._upload,
        }  # fmt: skip

    def _upload(self, part: bytes, name: str, size: int, first: bool) -> None:
        if first:
            self.upload = None
            self.upload = Upload(own_file.shown_name(name), size)
        if self.upload is None:
            raise own_file.OwnFileError(f"{name!r}: a part of a file whose beginning is missing; send it again")
        if self.upload.add(part):
            content, self.upload = self.upload.content(), None
            self.show_file(content, name)

    def _save(self, kind: str) -> None:
        made = self.export(kind)
        self.send({"file": made.name, "mime": made.mime}, [made.content])

    # ------------------------------------------------------------ what the browser sees

    def _show(self, found: Opened, keep: bool = False) -> Opened:
        self.opened = found
        with self.hold_sync():
            if not keep:
                self.selection = []
                self._set(changes=[], heard=b"", utterance=found.name)
            self._set(view=view.message(found.recording()), numbers=found.numbers(), problem="")
            self._list()
        self._progress("", 1)
        return found

    def _list(self) -> None:
        self._found = self.catalogue.find(Filter.of(self.filters), self.order)
        names = self._found["utterance"].tolist()
        place = names.index(self.utterance) if self.utterance in names else -1
        start = max(0, min(place - LISTED // 2, len(names) - LISTED))
        rows = self._found.iloc[start : start + LISTED].to_dict("records")
        self._set(listing={"rows": [[row["utterance"], _line(row, self.bench.names)] for row in rows],
                           "start": start, "total": len(names), "place": place})  # fmt: skip

    def _choices(self) -> dict[str, Any]:
        masks = [one.spec for one in stages.interventions(self.study)]
        return self.catalogue.choices() | {
            "detectors": self.bench.names, "orders": self.catalogue.orders, "fills": list(FILLS),
            "interventions": whatif.suggestions(masks),
            "exports": {kind: one.told for kind, one in export.KINDS.items()},
            "endings": list(own_file.ENDINGS), "part_bytes": own_file.PART_BYTES,
            "largest_bytes": own_file.LARGEST_BYTES,
        }  # fmt: skip

    def _progress(self, what: str, share: float) -> None:
        self._set(progress={"what": what, "share": share})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _line(row: Mapping[str, Any], detectors: Sequence[str]) -> str:
    """An utterance in a list: label, attack, codec and scores."""
    what = "bona fide" if row["key"] == "bonafide" else f"spoof {row['attack']}"
    codec = [] if row["codec"] == "-" else [row["codec"]]
    scores = ", ".join(f"{name} {row[name]:+.1f}" for name in detectors)
    return " · ".join([row["utterance"], what, *codec, scores])
