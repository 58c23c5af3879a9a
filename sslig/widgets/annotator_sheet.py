"""What annotators see and hear, in one light file, so that the kernel of an annotator needs no detectors.

The server of the annotator writes the file when it starts. Sound, spectrogram and evidence of an utterance are one row
group of it, and an annotator's process opens no other file, so it serves no recording that is not on the sheet.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from sslig.annotation import plan
from sslig.annotation.plan import Track
from sslig.errors import InputError
from sslig.files import atomic
from sslig.frames import SSL_CLOCK, FrameClock
from sslig.study import Study
from sslig.widgets.view import join, split

FILE = "annotation_sheet.parquet"
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
        return join(json.loads(row["message"]), row["buffers"])


def path(study: Study) -> Path:
    """Where the sheet of a study lies."""
    return study.runs / FILE


def read(path: Path) -> Sheet:
    """Read a sheet; `InputError` where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m sslig.widgets.serve writes it")
    metadata = pq.read_schema(path).metadata
    return Sheet(path, *(pd.DataFrame(json.loads(metadata[name])) for name in (b"utterances", b"regions")))


def make(study: Study) -> None:
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
    folders, attributions = pipeline.files(study, "detector", **first), tables["attributions"]
    known, scores = protocol.load_set(pipeline.corpus(study), "eval"), tables["scores_eval"]
    by_all = scores.groupby("utterance")["utterance"].transform("size") == len(study.detectors)
    scores = scores[by_all].assign(gender=scores["utterance"].map(known.set_index("utterance")["gender"]))
    groups = agreement.groups(scores)
    chosen, _ = agreement.select(groups, study.selection, seed=study.corpus.seed)
    utterances = plan.utterances(study, known, attributions, chosen)
    clock = _clock(next(iter(folders.values())))
    regions = plan.regions(attributions[attributions["utterance"].isin(utterances["utterance"])], clock=clock)
    sheet = Sheet(path(study), utterances[["utterance", "group"]], regions)
    write(sheet, _views(study, utterances, attributions, clock))


def write(sheet: Sheet, views: Iterable[Mapping[str, Any]]) -> None:
    """Write a sheet with the messages of `sslig.widgets.view` of its utterances, in sorted order."""
    tables = {"utterances": sheet.utterances, "regions": sheet.regions}
    metadata = {name: json.dumps(table.to_dict("list")) for name, table in tables.items()}
    schema = pyarrow.schema(list(SCHEMA.items()), metadata=metadata)
    with atomic(sheet.path) as part, pq.ParquetWriter(part, schema) as writer:
        for view in views:
            message, buffers = split(dict(view))
            row = {"utterance": view["name"], "message": json.dumps(message), "buffers": buffers}
            writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))  # one row group


def lane(view: Mapping[str, Any], track: Track, read_s: float, *, blind: bool) -> dict[str, Any]:
    """The lane of a track, from the lanes of a view; the lane of a decoy is shifted so that it peaks at the decoy."""
    source = next(lane for lane in view["lanes"] if lane["key"] == track.detector)
    described = {"key": track.name, "name": track.name, "plain": blind, "color": "" if blind else source["color"]}
    curves = {name: _shifted(source[name], track.shift_s, read_s, view["clock"]) for name in ("frames", "trend")}
    return described | {"note": ""} | curves


def _shifted(values: bytes, shift_s: float, read_s: float, clock: Mapping[str, float]) -> bytes:
    """(frame,) float32, rotated within the frames that a head reads."""
    frames = np.frombuffer(values, dtype="<f4").copy()
    n_read = min(len(frames), round((read_s - clock["start_s"]) / clock["hop_s"]))
    frames[:n_read] = np.roll(frames[:n_read], round(shift_s / clock["hop_s"]))
    return frames.tobytes()


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
    from sslig.widgets import view

    for row in utterances.sort_values("utterance").itertuples():
        curves = attributions[attributions["utterance"] == row.utterance].set_index("detector")["by_frame"]
        lanes = [
            view.Lane(name, _unsigned(curves[name]) if study.annotation.blind else curves[name])
            for name in curves.index
        ]
        source = _within(study.corpus_root, Path(row.path))
        waveform = audio.read(source, length=clock.n_samples(len(lanes[0].frames)))
        yield view.message(view.Recording(row.utterance, waveform, clock, lanes))


def _within(root: Path, path: Path) -> Path:
    """The path of a recording in the corpus; the folder of a set may be a link, a recording may not."""
    resolved = path.resolve()
    if not (resolved.is_relative_to(path.parent.resolve()) or resolved.is_relative_to(root.resolve())):
        raise InputError(f"{path}: a link to {resolved}, outside the corpus, which annotators must not hear")
    return path


def _unsigned(frames: np.ndarray) -> np.ndarray:
    """(frame,) The size of evidence, 1 where it is largest."""
    return np.abs(frames) / (np.abs(frames).max() or 1.0)
