"""What annotators see and hear, made once: a light file, so that the kernel of each annotator needs no detectors.

Sound, spectrogram and evidence of each utterance lie in one Parquet file, a row group an utterance; an annotator's
process opens this file and no other, so no recording is served that is not on the sheet.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from sslig import records
from sslig.annotation.plan import Track
from sslig.files import atomic, write_json, write_parquet
from sslig.study import Study
from sslig.widgets.view import join, split

FOLDER = "annotation"
VIEWS = "views.parquet"


class SheetError(ValueError):
    """A sheet that is not there or does not hold what is asked for; the message names the file and says what does."""


@dataclass(frozen=True)
class Sheet:
    """The utterances of a study that are annotated.

    Parameters
    ----------
    folder
        Where `make` has put them.
    utterances
        ``utterance`` and ``group``, in the order in which groups come.
    regions
        The top region of each detector (`sslig.stages.annotated.annotated_regions`).
    """

    folder: Path
    utterances: pd.DataFrame
    regions: pd.DataFrame

    def view(self, utterance: str) -> dict[str, Any]:
        """What the browser draws of an utterance: `sslig.widgets.view.message`, with a lane a detector.

        Raises
        ------
        SheetError
            The utterance is not on the sheet.
        """
        path = self.folder / VIEWS
        names = self.utterances["utterance"].sort_values().tolist()
        if utterance not in names:
            raise SheetError(f"{path}: {utterance!r} is not among its {len(names)} utterances")
        with pq.ParquetFile(path) as file:
            row = file.read_row_group(names.index(utterance)).to_pylist()[0]
        if row["utterance"] != utterance:
            raise SheetError(f"{path}: holds {row['utterance']} where {utterance} should be; make the sheet again")
        return join(json.loads(row["message"]), row["buffers"])


def ready(experiment: Study) -> bool:
    """Whether the sheet of a study is there, made from what lies in its runs now."""
    return records.stored_key(_folder(experiment) / "sheet.json") == _key(experiment)


def read(experiment: Study) -> Sheet:
    """The sheet of a study.

    Raises
    ------
    SheetError
        There is none, or the study has changed since it was made.
    """
    folder = _folder(experiment)
    if not ready(experiment):
        raise SheetError(f"{folder}: no sheet, or one of other values; python -m sslig.widgets.serve makes it")
    return Sheet(folder, *(pd.read_parquet(folder / f"{name}.parquet") for name in ("utterances", "regions")))


def make(experiment: Study) -> None:
    """Make the sheet of a study where it is not there; what it needs of the study is made first.

    In a blind study the evidence lies on it without its sign, the largest as 1: sign and size would tell the label, the
    score and, with some practice, the detector.

    Raises
    ------
    SheetError
        A recording is a link to a place outside the corpus.
    """
    from sslig.stages import annotated, attributions  # with torch, which an annotator's kernel does without

    detectors, seed = list(experiment.detectors), experiment.seeds[0]
    curves = {name: attributions(experiment, name, seed).set_index("utterance")["by_frame"] for name in detectors}
    if ready(experiment):
        return
    utterances = annotated.annotated_utterances(experiment, detectors, seed)
    regions = annotated.annotated_regions(experiment, detectors, seed)
    regions = regions[regions["utterance"].isin(set(utterances["utterance"]))]
    folder, key = _folder(experiment), _key(experiment)
    write(Sheet(folder, utterances[["utterance", "group"]], regions), _views(experiment, utterances, curves), key)


def write(sheet: Sheet, views: Iterable[Mapping[str, Any]], key: str) -> None:
    """Write a sheet; `views` are messages of `sslig.widgets.view`, a recording each, utterances in sorted order."""
    record = sheet.folder / "sheet.json"
    record.unlink(missing_ok=True)
    columns = {"utterance": pyarrow.string(), "message": pyarrow.string(), "buffers": pyarrow.list_(pyarrow.binary())}
    schema = pyarrow.schema(list(columns.items()))
    with atomic(sheet.folder / VIEWS) as part, pq.ParquetWriter(part, schema) as writer:
        for view in views:
            message, buffers = split(dict(view))
            row = {"utterance": view["name"], "message": json.dumps(message), "buffers": buffers}
            # One row group an utterance, so that one is read without the others.
            writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))
    write_parquet(sheet.folder / "regions.parquet", sheet.regions)
    write_parquet(sheet.folder / "utterances.parquet", sheet.utterances)
    write_json(record, {"key": key, "utterances": len(sheet.utterances)})


def lane(view: Mapping[str, Any], track: Track, read_s: float, *, blind: bool) -> dict[str, Any]:
    """The lane of a track, out of the lanes of a view; of a decoy, moved so that it peaks where the decoy is."""
    found = next(one for one in view["lanes"] if one["key"] == track.detector)
    told = {"key": track.name, "name": track.name, "plain": blind, "color": "" if blind else found["color"], "note": ""}
    return told | {name: _moved(found[name], track.shift_s, read_s, view["clock"]) for name in ("frames", "trend")}


def _moved(values: bytes, shift_s: float, read_s: float, clock: Mapping[str, float]) -> bytes:
    """(frame,) float32 turned around the ends of what a head reads."""
    frames = np.frombuffer(values, dtype="<f4").copy()
    n_read = min(len(frames), round((read_s - clock["start_s"]) / clock["hop_s"]))
    frames[:n_read] = np.roll(frames[:n_read], round(shift_s / clock["hop_s"]))
    return frames.tobytes()


def _folder(experiment: Study) -> Path:
    return experiment.runs / FOLDER


def _key(experiment: Study) -> str:
    """A hash of what decides a sheet: the attributions of all detectors by their own hashes, and what is chosen."""
    options = dataclasses.asdict(experiment.annotation) | {"store": None}
    runs = [experiment.run(name, experiment.seeds[0]) for name in experiment.detectors]
    made = {run.parent.name: records.stored_key(run / "attributions.json") for run in runs}
    return records.hash_of(made, options, experiment.selection, experiment.corpus.seed)


def _views(
    experiment: Study, utterances: pd.DataFrame, curves: Mapping[str, pd.Series]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """What is drawn and heard of each utterance, in sorted order."""
    from sslig import audio
    from sslig.models.detector import Detector
    from sslig.stages import checkpoint
    from sslig.widgets import view

    clock = Detector.from_pretrained(checkpoint(experiment, next(iter(curves)), experiment.seeds[0])).clock
    for row in utterances.sort_values("utterance").itertuples():
        frames = {name: by_utterance[row.utterance] for name, by_utterance in curves.items()}
        shown = {name: _unsigned(one) if experiment.annotation.blind else one for name, one in frames.items()}
        samples = clock.n_samples(len(next(iter(frames.values()))))
        waveform = audio.read(_within(experiment.corpus_root, Path(row.path)), length=samples)
        yield view.message(
            view.Recording(row.utterance, waveform, clock, [view.Lane(name, one) for name, one in shown.items()])
        )


def _within(root: Path, path: Path) -> Path:
    """The recording at `path`, if it lies in the corpus; the folder of a set may be a link, a recording may not."""
    resolved = path.resolve()
    if not (resolved.is_relative_to(path.parent.resolve()) or resolved.is_relative_to(root.resolve())):
        raise SheetError(
            f"{path}: a link to {resolved}, outside the corpus; annotators hear what lies in it, and no more"
        )
    return path


def _unsigned(frames: np.ndarray) -> np.ndarray:
    """(frame,) The size of evidence, 1 where it is largest."""
    return np.abs(frames) / (np.abs(frames).max() or 1.0)
