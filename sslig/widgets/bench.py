"""The trained detectors of a study at work on single recordings: open, explain, and score after a change."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import pipeline
from sslig.attribution import baselines, methods
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.explanation import CERTIFICATE, Explanation
from sslig.cues import segments
from sslig.cues.masking import MaskedUtterance
from sslig.cues.masks import MASKS, REGISTRY, SWEEPS, WAVEFORM, Mask, parse
from sslig.cues.places import Places
from sslig.cues.waveform_masks import FILLS
from sslig.data.dataset import Utterances
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.models.detector import Detector, select_device
from sslig.scoring import evaluating
from sslig.stats import calibration
from sslig.study import Study
from sslig.widgets.catalogue import COLUMNS, Catalogue
from sslig.widgets.recording import ExplainedRecording, read_file

REGION = "region"
"""Place of a mask that acts on the selection."""

CHANCE = (2.5, 97.5)
"""Percentiles of the random controls; a change between them is what chance gives."""

Progress = Callable[[str, float], None]
"""Takes what is being done and the share that is done."""

Trial = tuple[Mask, tuple[float, float] | None]
"""A mask, and start and end in seconds of the region it acts on; None where the mask knows its place."""


def silent(what: str, share: float) -> None:
    """A progress that is not shown."""


class Bench:
    """The detectors of one seed, with their baselines and calibrations, and the utterances of the study.

    Parameters
    ----------
    study
        The study; the pipeline makes what is missing.
    detectors
        Names of its detectors; none: all.
    seed
        One of its seeds; none: the first.

    Attributes
    ----------
    names, seed
        The detectors and their seed.
    catalogue
        The utterances that can be opened.

    Raises
    ------
    StudyError
        The study has no such detector or seed.
    """

    def __init__(self, study: Study, detectors: Sequence[str] | None = None, seed: int | None = None) -> None:
        self.study = study
        self.seed = study.seeds[0] if seed is None else seed
        self.names = list(detectors or study.detectors)
        self.device = select_device(study.device)
        self._chosen = {"detectors": self.names, "seeds": [self.seed]}
        self._detectors: dict[str, Detector] = {}
        self._masked: dict[str, tuple[np.ndarray, MaskedUtterance]] = {}
        tables = pipeline.tables(study, "scores_dev", "scores_eval", "attributions", "segments_eval", **self._chosen)
        stored = tables["attributions"].groupby("detector")
        self.attributions = {name: part.set_index("utterance") for name, part in stored}
        _, self._calibrations = calibration.calibrated(tables["scores_dev"], tables["scores_eval"])
        self._segments = dict(list(tables["segments_eval"].groupby("utterance")))
        explained = set.intersection(*(set(self.attributions[name].index) for name in self.names))
        self.catalogue = Catalogue(pipeline.corpus(study), tables["scores_eval"], explained)

    def detector(self, name: str) -> Detector:
        """The detector `name`, in evaluation mode on the device of the study."""
        if name not in self._detectors:
            detector = Detector.from_pretrained(self._folders[name, self.seed])
            self._detectors[name] = detector.to(self.device).eval()
        return self._detectors[name]

    @cached_property
    def _folders(self) -> dict[tuple, Any]:
        return pipeline.files(self.study, "detector", **self._chosen)

    @cached_property
    def _contexts(self) -> dict[str, Context]:
        paths = pipeline.files(self.study, "baseline", **self._chosen)
        return {
            name: Context({BONAFIDE_MEAN: baselines.load(path)}, options=self.study.attribution)
            for (name, _), path in paths.items()
        }

    @cached_property
    def _nonspeech(self) -> dict[str, Tensor]:
        """Detector -> (layer, feature) mean features of bona fide frames without speech."""
        paths = pipeline.files(self.study, "nonspeech", **self._chosen)
        return {name: baselines.load(path).values for (name, _), path in paths.items()}

    def llr(self, name: str, spoof_score: float) -> float:
        """Calibrated log-likelihood ratio log p(score | spoof) / p(score | bona fide) of a spoof score."""
        return float(self._calibrations[name, self.seed]([[spoof_score]])[0])

    @property
    def clock(self) -> FrameClock:
        """The frame grid, which all detectors share."""
        return self.detector(self.names[0]).clock

    # ------------------------------------------------------------ recordings

    def open(self, name: str, progress: Progress = silent) -> ExplainedRecording:
        """Open the utterance `name` with the stored explanations and segments; missing explanations are computed.

        Raises
        ------
        InputError
            There is no such utterance, or its file lies outside the corpus.
        """
        row, crop_s = self.catalogue.row(name), self.study.scoring.crop_s
        path = pd.DataFrame({"path": [str(self.catalogue.path(name))]})
        crop = None if crop_s is None else round(crop_s * SAMPLE_RATE_HZ)
        waveform = Utterances(path, self.clock, crop, self.study.scoring.max_s)[0].samples.numpy()
        stored = {detector: self.stored(detector, name) for detector in self.names} if row["explained"] else {}
        part = self._segments.get(name)
        tiers = {} if part is None else segments.by_utterance(part)[name]
        about = {column: row[column] for column in COLUMNS}
        return dataclasses.replace(self.explained(name, waveform, stored, progress), about=about, tiers=tiers)

    def open_file(self, name: str, content: bytes, progress: Progress = silent) -> ExplainedRecording:
        """Open and explain an uploaded sound file.

        Raises
        ------
        InputError, AudioError
            The file is not accepted.
        """
        progress("reading the file", 0)
        min_frames = max(self.detector(detector).min_frames for detector in self.names)
        waveform = read_file(name, content, self.clock, max_s=self.study.scoring.max_s, min_frames=min_frames)
        return self.explained(name, waveform, progress=progress)

    def explained(
        self,
        name: str,
        waveform: np.ndarray,
        stored: Mapping[str, Explanation] | None = None,
        progress: Progress = silent,
    ) -> ExplainedRecording:
        """(samples,) at 16 kHz with an explanation of each detector, computed where it is not `stored`."""
        explanations = {}
        for number, detector in enumerate(self.names):
            if stored and detector in stored:
                explanations[detector] = stored[detector]
                continue
            progress(f"explaining with {detector}", number / len(self.names))
            explanations[detector] = self.explain(detector, waveform)
        llrs = {detector: self.llr(detector, explanations[detector].spoof_score) for detector in self.names}
        return ExplainedRecording(name, {}, waveform, self.clock, explanations, llrs)

    def decoded(self, recording: ExplainedRecording, progress: Progress = silent) -> ExplainedRecording:
        """Decode the segments of a recording, by the sources of the study."""
        sources, tiers = self.study.masking.segments, {}
        for number, source in enumerate(sources):
            progress(f"segments by {source}", number / len(sources))
            tier = segments.source_of(source)(recording.waveform)
            tiers[tier.name] = tier
        return dataclasses.replace(recording, tiers=tiers)

    def stored(self, name: str, utterance: str) -> Explanation:
        """The explanation of an utterance that the study has stored."""
        row = self.attributions[name].loc[utterance]
        certificate = row.reindex(CERTIFICATE).drop("relative_residual")
        return Explanation(np.stack(row["by_layer"]), **certificate)

    def explain(self, name: str, waveform: np.ndarray, method: str | None = None) -> Explanation:
        """Explain the score of one detector for (samples,) at 16 kHz; without a `method`, by that of the study."""
        detector = self.detector(name)
        with evaluating(detector, self.device):
            with torch.no_grad():
                features = detector.features(torch.from_numpy(waveform)[None].to(self.device))
            method = method or methods.default(self.study.attribution)
            return methods.explain(method, detector.head, features, self._contexts[name])

    # ------------------------------------------------------------ what if

    def changes(
        self,
        recording: ExplainedRecording,
        trials: Sequence[Trial],
        draws: int | None = None,
        progress: Progress = silent,
    ) -> Iterator[dict[str, Any]]:
        """Score a recording with every detector after every change, beside matched random controls.

        Parameters
        ----------
        recording
            The recording, explained by all detectors.
        trials
            The changes.
        draws
            Random controls of each; none: as many as in the study, which gives the numbers of its tables.

        Yields
        ------
        dict
            ``detector``, ``spec``, ``space``, ``description``, ``spoof_score``, ``masked_score``, ``status``,
            ``share`` (of the frames), ``change`` (masked - spoof score), ``control_mean``, ``control_low`` and
            ``control_high`` (of the changes by controls, at `CHANCE`), ``draws``, and ``as_extreme`` (controls that
            move the score at least as far). None where there are no controls.

        Raises
        ------
        InputError
            A region lies outside the recording, or a mask finds no place in it.
        """
        steps = [(trial, name) for trial in trials for name in self.names]
        for number, ((mask, region), name) in enumerate(steps):
            progress(f"scoring with {name}, {mask.space} space", number / len(steps))
            utterance = self.masked(name, recording, draws)
            profile = self._nonspeech[name] if mask.name == "noise" else None
            with torch.inference_mode(), evaluating(utterance.detector, self.device):
                frames = self._frames(recording, mask, region, name, utterance)
                result = utterance.under(mask, frames, profile)
            yield (
                {"detector": name, "spec": mask.spec, "space": mask.space, "description": mask.description}
                | beside_chance(utterance.score, result["masked_score"], result["control_scores"])
                | {key: result[key] for key in ("status", "share")}
            )

    def changed(
        self, recording: ExplainedRecording, trials: Sequence[Trial], draws: int | None = None
    ) -> np.ndarray | None:
        """(samples,) The recording after the first change in waveform space, as it is scored; None without one."""
        for mask, region in trials:
            if mask.space == WAVEFORM:
                utterance = self.masked(self.names[0], recording, draws)
                with torch.inference_mode():
                    frames = self._frames(recording, mask, region, self.names[0], utterance)
                    return utterance.recording(mask, frames).cpu().numpy()
        return None

    def masked(self, name: str, recording: ExplainedRecording, draws: int | None = None) -> MaskedUtterance:
        """A recording with its features, ready for masks; the last one of each detector is cached."""
        draws = self.study.masking.draws if draws is None else draws
        waveform, utterance = self._masked.get(name, (None, None))
        if waveform is not recording.waveform or utterance.draws != draws:
            detector, samples = self.detector(name), torch.from_numpy(recording.waveform)[None].to(self.device)
            with torch.inference_mode(), evaluating(detector, self.device):
                utterance = MaskedUtterance(detector, recording.name, samples, draws, self.study.corpus.seed)
            self._masked[name] = recording.waveform, utterance
        return utterance

    def _frames(
        self,
        recording: ExplainedRecording,
        mask: Mask,
        region: tuple[float, float] | None,
        name: str,
        utterance: MaskedUtterance,
    ) -> Tensor:
        """(1, frame) bool: where a mask acts."""
        if region is not None:
            return region_frames(recording, *region).to(self.device)
        tiers = {recording.name: recording.tiers} if recording.tiers else {}
        places = Places(tiers, {recording.name: recording.explanations[name].by_frame})
        frames = places.mask(mask, recording.name, utterance.waveform, self.clock, utterance.n_read)
        if frames is None:
            raise InputError(f"{mask.spec}: {recording.name} has no segments that tell where to act")
        return frames


def without_region(start_s: float, end_s: float, fill: str = "noise") -> list[Trial]:
    """Remove a region in both spaces: its frames become the mean of their neighbours, its samples `fill`.

    Raises
    ------
    InputError
        The region is empty or the fill is unknown.
    """
    if not (np.isfinite([start_s, end_s]).all() and 0 <= start_s < end_s):
        raise InputError(f"a region from {start_s} to {end_s} s; it must begin at 0 or later and end after that")
    if fill not in FILLS:
        raise InputError(f"fill {fill!r}; accepted: {', '.join(FILLS)}")
    # Masks of the registry have a place of a name; here the place is given, and the change there is the same.
    where = f"from {start_s:.3f} to {end_s:.3f} s"
    features = dataclasses.replace(
        parse("pauses"),
        spec=REGION,
        place=REGION,
        description=f"Frames {where} are replaced by the mean of the nearest kept frame before and after.",
    )
    waveform = dataclasses.replace(
        parse(f"time:pauses(fill={fill})"),
        spec=f"time:{REGION}(fill={fill})",
        place=REGION,
        description=f"The recording {where} is replaced by {fill}.",
    )
    return [(mask, (start_s, end_s)) for mask in (features, waveform)]


def named(spec: str) -> list[Trial]:
    """A mask by its text.

    Raises
    ------
    InputError
        It is unknown; the message lists what is accepted.
    """
    return [(parse(spec), None)]


def suggestions(study: Study) -> list[str]:
    """The masks of a study, then the names of the registry that need no parameter."""
    options = study.masking
    specs = [
        *(MASKS if options.masks is None else options.masks),
        *(SWEEPS if options.sweeps is None else options.sweeps),
    ]
    alone = [name for name, mask in REGISTRY.items() if all(p.default is not None for p in mask.parameters.values())]
    return list(dict.fromkeys([*specs, *alone]))


def region_frames(recording: ExplainedRecording, start_s: float, end_s: float) -> Tensor:
    """(1, frame) bool: the centre of the frame lies in [start_s, end_s).

    Raises
    ------
    InputError
        No frame has its centre there.
    """
    centre_s = recording.clock.centre_s(recording.clock.n_frames(len(recording.waveform)))
    frames = torch.from_numpy((centre_s >= start_s) & (centre_s < end_s))[None]
    if not frames.any():
        raise InputError(
            f"no frame of {recording.name} has its centre between {start_s:.3f} and {end_s:.3f} s; it is "
            f"{recording.duration_s:.3f} s long, with a frame every {recording.clock.hop_s:g} s"
        )
    return frames


def beside_chance(spoof_score: float, masked_score: float, control_scores: np.ndarray) -> dict[str, Any]:
    """The change of a score, and the changes that matched random controls make (see `Bench.changes`)."""
    change, controls = float(masked_score) - spoof_score, np.asarray(control_scores, dtype=np.float64) - spoof_score
    low, high = np.percentile(controls, CHANCE).tolist() if len(controls) else (None, None)
    return {
        "spoof_score": spoof_score,
        "masked_score": float(masked_score),
        "change": change,
        "control_mean": float(controls.mean()) if len(controls) else None,
        "control_low": low,
        "control_high": high,
        "draws": len(controls),
        "as_extreme": int((np.abs(controls) >= abs(change)).sum()) if len(controls) else None,
    }
