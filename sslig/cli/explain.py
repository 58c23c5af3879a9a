"""Explain recordings: for each a picture, a page that plays, tables and regions, and one index over all."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sslig.cli import frequency, gallery, inputs, loaded, main, starts
from sslig.cli.loaded import Loaded
from sslig.cli.score import list_faults, note_crop, plain, write_table
from sslig.data.dataset import Utterances
from sslig.errors import DataError, DetectorError
from sslig.files import atomic
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.models.detector import select_device
from sslig.scoring import evaluating
from sslig.study import Attribution
from sslig.widgets.recording import ExplainedRecording, exported, notices

EXPORTS = ("png", "html", "csv", "json", "textgrid")
LOOK = {"hidden": [], "maps": False, "common": False, "smooth": False}
TABLE = "explanations.csv"
WITHOUT_GRADIENTS = ("waveform_occlusion", "random")
"""Methods for detectors through which no gradient reaches the recording."""

SMOOTH = "smooth_ms=100"
"""As the default method of a study has it."""


@dataclass(frozen=True)
class Explained(ExplainedRecording):
    """A recording of the file `path`, with the decision of each detector in its title."""

    path: str = ""

    def decision(self, name: str) -> str:
        """``spoof`` where the score of a detector is above its threshold, else ``bonafide``."""
        return "spoof" if self.explanations[name].spoof_score > self.thresholds[name] else "bonafide"

    def title(self) -> str:
        """Name, scores and decisions in one line."""
        parts = [
            f"{name} {explanation.spoof_score:+.2f} ({self.decision(name).replace('bonafide', 'bona fide')})"
            for name, explanation in self.explanations.items()
        ]
        return f"{self.name}: {', '.join(parts)}"

    def certificates(self) -> pd.DataFrame:
        """One row a detector: score, LLR, decision, method, and how far the explanation adds up."""
        rows = []
        for name, explanation in self.explanations.items():
            start = {"recording": self.name, "path": self.path, "detector": name}
            start |= {"spoof_llr": self.llrs[name], "decision": self.decision(name), "method": explanation.method}
            rows.append(start | explanation.record())
        return pd.DataFrame(rows)


def run(options: argparse.Namespace) -> int:
    """Explain each recording with each detector, write all, and list what could not be read."""
    loaded.refuse_existing(options.out, options.overwrite)
    table = inputs.table(options.recordings, options.audio_root)
    detectors, device = loaded.load_all(options), select_device(options.device)
    for detector in detectors:
        note_crop(detector, options.crop_s)
        detector.draws = starts.draws(detector.model, detector.place, options.reference, device, options.max_s)
    recordings, faults = [], {}
    for name, waveform in _readable(table, detectors, options, faults):
        path = table.set_index("utterance")["path"][name]
        recordings.append(_explained(name, path, waveform, detectors, device, options))
        _write(options.out, recordings[-1], options.layers)
        if options.frequency:
            frequency.write(options.out, recordings[-1], detectors, device, options.frequency)
    left_out = pd.DataFrame(
        [{"path": path, "reason": reason} for path, reason in faults.items()], columns=["path", "reason"]
    )
    list_faults(left_out)
    if not recordings:
        raise DataError(f"none of {len(table)} recordings could be read")
    certificates = pd.concat([recording.certificates() for recording in recordings], ignore_index=True)
    write_table(options.out / TABLE, certificates)
    index = gallery.write(options.out, recordings, left_out)
    print(f"{len(recordings)} explained: {index}", file=sys.stderr)
    if options.json:
        main.print_json(
            {"index": str(index), "explanations": plain(certificates), "left_out": left_out.to_dict("records")}
        )
    return main.PARTLY if len(left_out) else main.DONE


def _readable(table: pd.DataFrame, detectors: Sequence[Loaded], options: argparse.Namespace, faults: dict[str, str]):
    """Name and (samples,) of each recording that can be read; the faults of the others, by path, fill `faults`."""
    from tqdm import tqdm

    clocks = {detector.model.clock for detector in detectors}
    if len(clocks) > 1:
        raise DetectorError(f"the detectors have different frames ({clocks}): explain them in turn")
    crop = None if options.crop_s is None else round(options.crop_s * SAMPLE_RATE_HZ)
    fewest = max(detector.model.min_frames for detector in detectors)
    utterances = Utterances(table, clocks.pop(), crop, options.max_s, fewest)
    known = {table["path"][row]: fault for row, fault in utterances.n_frames()[1].items()}
    faults |= known
    for row, (name, path) in enumerate(tqdm(list(zip(table["utterance"], table["path"], strict=True)), disable=None)):
        if path in known:
            continue
        read = utterances[row]
        if read.samples is None:
            faults[path] = read.fault
        else:
            yield name, read.samples.numpy()


def _explained(
    name: str,
    path: str,
    waveform: np.ndarray,
    detectors: Sequence[Loaded],
    device: torch.device,
    options: argparse.Namespace,
) -> Explained:
    """A recording with the explanation and the decision of each detector, and its segments."""
    from sslig.cues.segments import Spoken, source_of

    thresholds = {detector.name: detector.threshold(detector.point(options.at)) for detector in detectors}
    explanations, llrs = {}, {}
    for detector in detectors:
        threshold = thresholds[detector.name]
        explanation = explanation_of(detector, name, waveform, threshold, device, options.method)
        explanations[detector.name] = explanation
        calibration = detector.calibration
        llrs[detector.name] = float("nan") if calibration is None else calibration.llr(explanation.spoof_score)
    tiers = [source_of(source)(waveform, Spoken()) for source in options.segments]
    clock = detectors[0].model.clock
    parts = {"tiers": {tier.name: tier for tier in tiers}, "thresholds": thresholds}
    parts["notices"] = notices(waveform, clock)
    return Explained(name, {}, waveform, clock, explanations, llrs, **parts, path=path)


def explanation_of(
    detector: Loaded, name: str, waveform: np.ndarray, threshold: float, device: torch.device, method: str | None = None
) -> Any:
    """The explanation of (samples,) at 16 kHz by a method, or by the default of the detector."""
    from sslig.attribution.context import BONAFIDE_MEAN, Context
    from sslig.attribution.methods import explain, parse

    stored = {} if detector.baseline is None else {BONAFIDE_MEAN: detector.baseline}
    context = Context(stored, detector.draws, Attribution(), utterance=name, threshold=threshold)
    method = parse(method or default_method(detector))
    if not detector.model.origin.differentiable and method.name not in WITHOUT_GRADIENTS:
        accepted = f"accepted: {', '.join(explaining(detector))}"
        raise DetectorError(f"{method.spec} needs gradients, which {detector.name} does not pass on; {accepted}")
    with evaluating(detector.model, device):
        samples = torch.from_numpy(waveform)[None].to(device)
        return explain(method, detector.model, samples, context)


def default_method(detector: Loaded) -> str:
    """The method of studies where real recordings are known to start from; else Integrated Gradients from what is.

    Only the first starts at the threshold of the decision. A black box is explained by occlusion of the waveform.
    """
    from sslig.attribution.methods import BLACK_BOX, default, parse

    method, applies = parse(default(Attribution(), detector.model)), explaining(detector)
    if BLACK_BOX not in applies:
        raise DetectorError(f"{detector.name}: no attribution method applies to {type(detector.model).__name__}")
    if "draws" in method.values and not detector.draws:
        mean = detector.baseline is not None and detector.baseline.recording is not None
        method = parse(f"ig({SMOOTH})" if mean else f"ig(baseline=blurred, {SMOOTH})")
    if "draws" in method.values:  # as many as there are
        labels = [draw.label for draw in detector.draws]
        n = min(method.values["draws"], 2 * min(labels.count(label) for label in KEYS.values()))
        method = dataclasses.replace(method, values=method.values | {"draws": n})
    return method.spec if method.explains(detector.model) else BLACK_BOX


def explaining(detector: Loaded) -> list[str]:
    """The attribution methods that apply to a detector, as text."""
    from sslig.attribution.methods import offered

    reached = detector.model.origin.differentiable
    return [method.spec for method in offered(detector.model) if reached or method.name in WITHOUT_GRADIENTS]


def _write(folder: Path, recording: Explained, layers: bool) -> None:
    stem, session = gallery.stem_of(recording.name), {"certificates": plain(recording.certificates())}
    folder.mkdir(parents=True, exist_ok=True)
    for kind in EXPORTS:
        file = exported(recording, kind, LOOK | {"maps": layers}, session={"path": recording.path, **session})
        with atomic(folder / f"{stem}{Path(file.name).suffix}") as part:
            part.write_bytes(file.content)
