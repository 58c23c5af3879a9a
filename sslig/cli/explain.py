"""Explain recordings: for each a picture, a page that plays, tables and regions, and one index over all."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sslig.cli import gallery, inputs, loaded, main, starts
from sslig.cli.loaded import Loaded
from sslig.cli.score import list_faults, note_crop, plain, write_table
from sslig.data.dataset import Utterances
from sslig.errors import DataError, DetectorError
from sslig.files import write_json
from sslig.frames import SAMPLE_RATE_HZ
from sslig.labels import KEYS
from sslig.models.detector import select_device
from sslig.scoring import evaluating
from sslig.study import Attribution
from sslig.widgets.recording import ExplainedRecording, exported

EXPORTS = ("png", "html", "csv", "textgrid")
LOOK = {"hidden": [], "maps": False, "common": False, "smooth": False}
TABLE = "explanations.csv"
WITHOUT_GRADIENTS = ("waveform_occlusion", "random")
"""Methods for detectors through which no gradient reaches the recording."""


@dataclass(frozen=True)
class Explained(ExplainedRecording):
    """A recording with the decision of each detector, and how its evidence adds up, in the title.

    Attributes
    ----------
    path
        The file.
    decisions
        Detector -> ``spoof`` or ``bonafide``.
    """

    path: str = ""
    decisions: dict[str, str] = field(default_factory=dict)

    def title(self) -> str:
        """Name, scores and decisions in one line."""
        parts = [
            f"{name} {explanation.spoof_score:+.2f} ({self.decisions[name].replace('bonafide', 'bona fide')})"
            for name, explanation in self.explanations.items()
        ]
        return f"{self.name}: {', '.join(parts)}"

    def certificates(self) -> pd.DataFrame:
        """One row a detector: score, LLR, decision, method, and how far the explanation adds up."""
        rows = []
        for name, explanation in self.explanations.items():
            start = {"recording": self.name, "path": self.path, "detector": name}
            start |= {"spoof_llr": self.llrs[name], "decision": self.decisions[name], "method": explanation.method}
            rows.append(start | explanation.record())
        return pd.DataFrame(rows)

    def record(self) -> dict[str, Any]:
        """All of it as plain values: certificate, map and top regions of each detector."""
        regions = self.top_segments()
        by_detector = {
            row["detector"]: row
            | {"by_frame": self.explanations[row["detector"]].by_frame.round(6).tolist()}
            | {"top_regions": plain(regions[regions["detector"] == row["detector"]].drop(columns="detector"))}
            for row in plain(self.certificates())
        }
        clock = {"start_s": float(self.clock.centre_s(1)[0]), "hop_s": self.clock.hop_s}
        about = {"recording": self.name, "path": self.path, "duration_s": self.duration_s, "frame_centres": clock}
        return about | {"detectors": by_detector}


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

    explanations, llrs, decisions = {}, {}, {}
    for detector in detectors:
        threshold = detector.threshold(detector.point(options.at))
        explanation = explanation_of(detector, name, waveform, threshold, device, options.method)
        score = explanation.spoof_score
        explanations[detector.name] = explanation
        llrs[detector.name] = float("nan") if detector.calibration is None else detector.calibration.llr(score)
        decisions[detector.name] = "spoof" if score > threshold else "bonafide"
    tiers = [source_of(source)(waveform, Spoken()) for source in options.segments]
    clock = detectors[0].model.clock
    by_name = {tier.name: tier for tier in tiers}
    return Explained(name, {}, waveform, clock, explanations, llrs, by_name, path=path, decisions=decisions)


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
    """Expected Gradients from real recordings where these are known, else Integrated Gradients from what is.

    Only the first can start at the threshold of the decision.
    """
    applies = explaining(detector)
    if not applies:
        raise DetectorError(f"{detector.name}: no attribution method applies to {type(detector.model).__name__}")
    mean = detector.baseline is not None and detector.baseline.recording is not None
    wanted = {"expected_gradients": bool(detector.draws), "ig": mean, "ig(baseline=blurred)": True}
    method = next((method for method, known in wanted.items() if known and method in applies), applies[0])
    return _with_draws(detector) if method == "expected_gradients" else method


def _with_draws(detector: Loaded) -> str:
    """Expected Gradients with its usual number of balanced draws, or with as many as there are."""
    from sslig.attribution.methods import REGISTRY, parse

    usual = REGISTRY["expected_gradients"].parameters["draws"].default
    labels = [draw.label for draw in detector.draws]
    n = min(usual, 2 * min(labels.count(label) for label in KEYS.values()))
    return parse(f"expected_gradients(draws={n})").spec


def explaining(detector: Loaded) -> list[str]:
    """The attribution methods that apply to a detector, as text."""
    from sslig.attribution.methods import offered

    reached = detector.model.origin.differentiable
    return [method.spec for method in offered(detector.model) if reached or method.name in WITHOUT_GRADIENTS]


def _write(folder: Path, recording: Explained, layers: bool) -> None:
    stem = gallery.stem_of(recording.name)
    for kind in EXPORTS:
        file = exported(recording, kind, LOOK | {"maps": layers})
        path = folder / f"{stem}{Path(file.name).suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    write_json(folder / f"{stem}.json", recording.record())
