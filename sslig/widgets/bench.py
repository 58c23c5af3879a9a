"""The trained detectors of a study at work on single recordings: open, explain, and score after a change."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig.attribution import baselines, context, grids, methods
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context
from sslig.attribution.explanation import CERTIFICATE, Explanation
from sslig.attribution.target import RECORDING, lacking
from sslig.cues import segments
from sslig.cues.masking import MaskedUtterance
from sslig.cues.masks import REGISTRY, WAVEFORM, Mask, Places, of_study, parse
from sslig.data.dataset import Utterances
from sslig.data.fills import FILLS
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.models.detector import Detector, select_device
from sslig.models.named import load
from sslig.pipeline import outputs
from sslig.plots.signals import band_hz
from sslig.scoring import evaluating
from sslig.stats import calibration, metrics
from sslig.study import Study
from sslig.widgets.catalogue import COLUMNS, Catalogue
from sslig.widgets.recording import ExplainedRecording, notices, read_file, source

REGION = "region"
CHANCE = (2.5, 97.5)
"""Percentiles of the random controls; a change between them is what chance gives."""

TABLES = ("scores_dev", "scores_eval", "attributions", "segments_eval")
MEANS = ("baseline", "nonspeech")

GRID_PASSES, LOUD_SHARE = 384, 0.5
"""Passes that a map in time and frequency may take, and the share of its evidence that is played."""

PASSES_A_STEP = 6.0
"""Cost of a point on a path, in passes without gradients: three for one with gradients, and the points are doubled."""

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
        The study; the pipeline makes what is missing, in one request.
    detectors, seed
        Detectors and seed of the study; none: all detectors, and the first seed.

    Attributes
    ----------
    names, catalogue
        The detectors, and the utterances that can be opened.
    thresholds
        Detector -> the spoof score from which on it decides for spoof, the EER threshold of *dev*.
    """

    def __init__(self, study: Study, detectors: Sequence[str] | None = None, seed: int | None = None) -> None:
        self.study, self.device = study, select_device(study.device)
        self.seed = study.seeds[0] if seed is None else seed
        self.names = list(detectors or study.detectors)
        self._detectors: dict[str, Detector] = {}
        self._contexts: dict[str, Context] = {}
        self._masked: dict[str, tuple[np.ndarray, MaskedUtterance]] = {}
        wanted = ("detector", *MEANS, *TABLES)
        self._paths = {file: outputs.paths(study, file, self.names, [self.seed]) for file in wanted}
        outputs.request(study, [path for paths in self._paths.values() for path in paths.values()])
        tables = {name: outputs.read(self._paths[name]) for name in TABLES}
        self._attributions = tables["attributions"].set_index(["detector", "utterance"])
        self._segments = dict(list(tables["segments_eval"].groupby("utterance")))
        dev = tables["scores_dev"]
        _, self._calibrations = calibration.calibrated(dev, tables["scores_eval"])
        self.thresholds = {
            name: metrics.eer_threshold(*metrics.by_class(part)) for name, part in dev.groupby("detector")
        }
        explained = set.intersection(*(set(self._attributions.loc[name].index) for name in self.names))
        self.catalogue = Catalogue(study.corpus_root, tables["scores_eval"], explained, study.sound_root)

    def detector(self, name: str) -> Detector:
        """The detector `name`, in evaluation mode on the device of the study."""
        if name not in self._detectors:
            detector = load(self._paths["detector"][name, self.seed].parent)
            self._detectors[name] = detector.to(self.device).eval()
        return self._detectors[name]

    def hashes(self) -> dict[str, str]:
        """Detector -> SHA-256 of its file of weights."""
        paths = {name: self._paths["detector"][name, self.seed] for name in self.names}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}

    @cached_property
    def _means(self) -> dict[tuple[str, str], Baseline]:
        """(``baseline`` or ``nonspeech``, detector) -> mean features of bona fide frames."""
        paths = {(mean, name): self._paths[mean][name, self.seed] for mean in MEANS for name in self.names}
        return {key: baselines.load(path) for key, path in paths.items()}

    @property
    def clock(self) -> FrameClock:
        """The frame grid, which all detectors share."""
        return self.detector(self.names[0]).clock

    def llr(self, name: str, spoof_score: float) -> float:
        """Calibrated log-likelihood ratio log p(score | spoof) / p(score | bona fide) of a spoof score."""
        return float(self._calibrations[name, self.seed]([[spoof_score]])[0])

    # ------------------------------------------------------------ recordings

    def open(self, name: str, progress: Progress = silent) -> ExplainedRecording:
        """Open the utterance `name` with the stored explanations and segments; missing explanations are computed."""
        row, crop_s = self.catalogue.row(name), self.study.scoring.crop_s
        path = pd.DataFrame({"path": [str(self.catalogue.path(name))]})
        crop = None if crop_s is None else round(crop_s * SAMPLE_RATE_HZ)
        waveform = Utterances(path, self.clock, crop, self.study.scoring.max_s)[0].samples.numpy()
        stored = {detector: self.stored(detector, name) for detector in self.names} if row["explained"] else {}
        tiers = segments.by_utterance(self._segments[name])[name] if name in self._segments else {}
        about = {column: row[column] for column in COLUMNS}
        return dataclasses.replace(self.explained(name, waveform, stored, progress), about=about, tiers=tiers)

    def open_file(
        self, name: str, content: bytes, progress: Progress = silent, clip_s: tuple[float, float] | None = None
    ) -> ExplainedRecording:
        """Open and explain an uploaded sound file, or the part `clip_s` (`sslig.widgets.recording.read_file`)."""
        progress("reading the file", 0)
        min_frames = max(self.detector(detector).min_frames for detector in self.names)
        limits = {"max_s": self.study.scoring.max_s, "min_frames": min_frames}
        waveform = read_file(name, content, self.clock, clip_s=clip_s, **limits)
        recording = self.explained(name, waveform, {}, progress)
        of = source(name, content)
        return dataclasses.replace(recording, source=of, notices=notices(waveform, self.clock, of))

    def explained(
        self, name: str, waveform: np.ndarray, stored: Mapping[str, Explanation], progress: Progress = silent
    ) -> ExplainedRecording:
        """(samples,) at 16 kHz with an explanation of each detector, computed where it is not `stored`."""
        explanations = {}
        for number, detector in enumerate(self.names):
            if detector not in stored:
                progress(f"explaining with {detector}", number / len(self.names))
                explanations[detector] = self.explain(detector, waveform, progress)
            else:
                explanations[detector] = stored[detector]
        llrs = {detector: self.llr(detector, explanations[detector].spoof_score) for detector in self.names}
        about = {"thresholds": self.thresholds, "notices": notices(waveform, self.clock)}
        return ExplainedRecording(name, {}, waveform, self.clock, explanations, llrs, **about)

    def stored(self, name: str, utterance: str) -> Explanation:
        """The explanation of an utterance that the study has stored."""
        row = self._attributions.loc[name, utterance]
        return Explanation(np.stack(row["by_layer"]), **row.reindex(CERTIFICATE).drop("relative_residual"))

    def seconds(self, waveform: np.ndarray) -> dict[str, float]:
        """How long explanations of (samples,) at 16 kHz will take, by detector: a pass, times those that are usual."""
        times, starts = {}, methods.parse(methods.default(self.study.attribution)).values.get("draws", 1)
        for name in self.names:
            detector, start = self.detector(name), time.perf_counter()
            with torch.inference_mode(), evaluating(detector, self.device):
                detector(torch.from_numpy(waveform)[None].to(self.device))
            steps = self._attributions.loc[name]["steps"].median()
            times[name] = (time.perf_counter() - start) * PASSES_A_STEP * starts * max(1.0, float(steps))
        return times

    def context(self, name: str) -> Context:
        """What explanations of a detector need: read once, it holds real recordings."""
        if name not in self._contexts:
            paths = {mean: self._paths[mean][name, self.seed] for mean in MEANS}
            detector = self.detector(name)
            wanted = {RECORDING, *methods.parse(methods.default(self.study.attribution, detector)).draws_in}
            spaces = [space for space in sorted(wanted) if not lacking(detector, space)]
            inputs = self.study, self.seed, detector, self.study.corpus_root
            loaded = context.load(*inputs, **paths, spaces=spaces)
            self._contexts[name] = dataclasses.replace(loaded, threshold=self.thresholds[name])
        return self._contexts[name]

    def explain(self, name: str, waveform: np.ndarray, progress: Progress = silent) -> Explanation:
        """Explain the score of one detector for (samples,) at 16 kHz, with the options of the study.

        `progress` is called before every pass; an exception that it raises ends the explanation.
        """
        detector, options = self.detector(name), self.study.attribution
        place = self.names.index(name) / len(self.names)
        counted = getattr(detector, "head", detector)  # a black box has no head
        passes = counted.register_forward_pre_hook(lambda *_: progress(f"explaining with {name}", place))
        with evaluating(detector, self.device), passes:
            samples = torch.from_numpy(waveform)[None].to(self.device)
            return methods.explain(methods.default(options, detector), detector, samples, self.context(name))

    def decoded(self, recording: ExplainedRecording, progress: Progress = silent) -> ExplainedRecording:
        """Decode the segments of a recording with the sources of the study."""
        names, tiers = self.study.masking.segments, []
        for number, name in enumerate(names):
            progress(f"segments by {name}", number / len(names))
            tiers.append(segments.source_of(name)(recording.waveform, segments.Spoken()))
        decoded = {tier.name: tier for tier in tiers}
        recognised = any(tier.source.get("tool") == "pocketsphinx" for tier in tiers)
        warned = [{"kind": "recogniser"}] if recognised and not recording.about else []
        return dataclasses.replace(recording, tiers=decoded, notices=[*recording.notices, *warned])

    # ------------------------------------------------------------ what if

    def verdict(self, recording: ExplainedRecording, name: str, progress: Progress = silent) -> dict[str, Any]:
        """What one detector decides on: its top region, and its score without it in both spaces.

        The result has ``detector``, ``start_s``, ``end_s``, ``sign`` and ``share`` of the region, and ``changes``, the
        rows of `changes`; there is neither where the map is 0 everywhere.
        """
        top = recording.top_segments()
        top = top[(top["detector"] == name) & (top["rank"] == 1)]
        if top.empty:
            return {"detector": name, "changes": []}
        region = top.iloc[0][["detector", "start_s", "end_s", "sign", "share"]].to_dict()
        trials = without_region(region["start_s"], region["end_s"])
        return region | {"changes": list(self.changes(recording, trials, progress, [name]))}

    def grid(self, recording: ExplainedRecording, name: str, progress: Progress = silent) -> dict[str, Any]:
        """The evidence of one detector in time and frequency, to see and to hear (`sslig.attribution.grids`).

        The result has ``detector``, ``sign`` (of its decision), ``density`` (mel band, frame), ``convergence``, the
        (samples,) recordings ``only`` and ``without`` the cells that hold half of the evidence for the decision, and
        the scores of the recording and of both, ``spoof_score``, ``only_score`` and ``without_score``.
        """
        waveform = torch.from_numpy(recording.waveform)[None].to(self.device)

        def share_done(share: float) -> None:
            progress(f"evidence of {name} in time and frequency", share)

        with evaluating(self.detector(name), self.device) as detector:
            seed = self.study.corpus.seed
            return {"detector": name} | in_frequency(detector, waveform, self.thresholds[name], seed, share_done)

    def changes(
        self,
        recording: ExplainedRecording,
        trials: Sequence[Trial],
        progress: Progress = silent,
        names: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Score a recording with every detector after every change, beside random controls drawn as in the study.

        `names` are some of the detectors; none: all.

        Yields
        ------
        dict
            ``detector``, ``spec``, ``space``, ``description``, ``status``, ``share`` (of the frames) and the values of
            `beside_chance`.

        Raises
        ------
        InputError
            A region lies outside the recording, or a mask finds no place in it.
        """
        steps = [(trial, name) for trial in trials for name in names or self.names]
        for number, (trial, name) in enumerate(steps):
            mask, utterance = trial[0], self.masked(name, recording)
            progress(f"scoring with {name}, {mask.space} space", number / len(steps))
            profile = self._means["nonspeech", name].values if mask.name == "noise" else None
            with torch.inference_mode(), evaluating(utterance.detector, self.device):
                result = utterance.under(mask, self._frames(recording, trial, name), profile)
            row = {"detector": name, "spec": mask.spec, "space": mask.space, "description": mask.description}
            row |= {key: result[key] for key in ("status", "share")}
            yield row | beside_chance(utterance.score, result["masked_score"], result["control_scores"])

    def changed(self, recording: ExplainedRecording, trials: Sequence[Trial]) -> np.ndarray | None:
        """(samples,) The recording after the first change in waveform space, as it is scored; None without one."""
        name, audible = self.names[0], [trial for trial in trials if trial[0].space == WAVEFORM]
        if not audible:
            return None
        with torch.inference_mode():
            frames = self._frames(recording, audible[0], name)
            return self.masked(name, recording).recording(audible[0][0], frames).cpu().numpy()

    def masked(self, name: str, recording: ExplainedRecording) -> MaskedUtterance:
        """A recording with its features, ready for masks; the last one of each detector is cached."""
        waveform, utterance = self._masked.get(name, (None, None))
        if waveform is not recording.waveform:
            detector, samples = self.detector(name), torch.from_numpy(recording.waveform)[None].to(self.device)
            options = self.study.masking.draws, self.study.corpus.seed
            with torch.inference_mode(), evaluating(detector, self.device):
                utterance = MaskedUtterance(detector, recording.name, samples, *options)
            self._masked[name] = recording.waveform, utterance
        return utterance

    def _frames(self, recording: ExplainedRecording, trial: Trial, name: str) -> Tensor:
        """(1, frame) bool: where a mask acts."""
        (mask, region), utterance = trial, self.masked(name, recording)
        if region is not None:
            return region_frames(recording, *region).to(self.device)
        tiers = {recording.name: recording.tiers} if recording.tiers else {}
        places = Places(tiers, {recording.name: recording.explanations[name].by_frame})
        frames = places.mask(mask, recording.name, utterance.waveform, self.clock, utterance.n_read)
        if frames is None:
            raise InputError(f"{mask.spec}: {recording.name} has no segments that tell where to act")
        return frames


def in_frequency(
    detector: Any,
    waveform: Tensor,
    threshold: float,
    seed: int = 0,
    progress: Callable[[float], None] = lambda share: None,
    passes: int = GRID_PASSES,
) -> dict[str, Any]:
    """The evidence in the cells of (1, samples), and what is heard of it: all of `Bench.grid` but the name."""
    grid = grids.grid(detector, waveform, budget=passes, seed=seed, progress=progress)
    sign = 1 if grid.spoof_score >= threshold else -1
    bank = grids.FilterBank(waveform)
    mask = grid.mask(bank, grid.strongest(LOUD_SHARE, sign))
    heard = {"only": bank.only(mask), "without": bank.without(mask)}
    with torch.inference_mode():
        scores = {f"{part}_score": detector(samples).item() for part, samples in heard.items()}
    times_s = detector.clock.centre_s(detector.clock.n_frames(waveform.shape[1]))
    values = {"density": grid.at(band_hz(), times_s), "convergence": grid.convergence}
    values |= {part: samples[0].cpu().numpy() for part, samples in heard.items()}
    return {"sign": sign, "spoof_score": grid.spoof_score, **scores, **values}


def without_region(start_s: float, end_s: float, fill: str = "noise") -> list[Trial]:
    """Remove a region in both spaces: its frames become the mean of their neighbours, its samples `fill`."""
    if not (np.isfinite([start_s, end_s]).all() and 0 <= start_s < end_s):
        raise InputError(f"a region from {start_s} to {end_s} s; it must begin at 0 or later and end after that")
    if fill not in FILLS:
        raise InputError(f"fill {fill!r}; accepted: {', '.join(FILLS)}")
    # Masks of the registry find their place by its name; here the place is given, and the change is the same.
    where = f"from {start_s:.3f} to {end_s:.3f} s"
    texts = {
        parse("pauses"): f"Frames {where} are replaced by the mean of the nearest kept frame before and after.",
        parse(f"time:pauses(fill={fill})"): f"The recording {where} is replaced by {fill}.",
    }
    changes = {mask: {"spec": mask.spec.replace("pauses", REGION), "description": texts[mask]} for mask in texts}
    return [(dataclasses.replace(mask, place=REGION, **changes[mask]), (start_s, end_s)) for mask in texts]


def named(spec: str) -> list[Trial]:
    """The mask of a text such as ``phone:vowel``; an unknown one is an InputError that lists what is accepted."""
    return [(parse(spec), None)]


def suggestions(study: Study) -> list[str]:
    """The masks of a study, then the names of the registry that need no parameter."""
    specs = [mask.spec for mask in of_study(study.masking.masks, study.masking.sweeps)]
    alone = [name for name, mask in REGISTRY.items() if all(p.default is not None for p in mask.parameters.values())]
    return list(dict.fromkeys([*specs, *alone]))


def region_frames(recording: ExplainedRecording, start_s: float, end_s: float) -> Tensor:
    """(1, frame) bool: the centre of the frame lies in [start_s, end_s); a region without any frame is refused."""
    centre_s = recording.clock.centre_s(recording.clock.n_frames(len(recording.waveform)))
    frames = torch.from_numpy((centre_s >= start_s) & (centre_s < end_s))[None]
    if not frames.any():
        raise InputError(
            f"no frame of {recording.name} has its centre between {start_s:.3f} and {end_s:.3f} s; it is "
            f"{recording.duration_s:.3f} s long, with a frame every {recording.clock.hop_s:g} s"
        )
    return frames


def beside_chance(spoof_score: float, masked_score: float, control_scores: np.ndarray) -> dict[str, Any]:
    """The change of a score, and the changes that matched random controls make.

    The result has ``spoof_score``, ``masked_score``, ``change`` (masked - spoof score) and ``draws``; of the changes by
    controls ``control_mean``, at `CHANCE` ``control_low`` and ``control_high``, and ``as_extreme``, the number of
    controls that move the score at least as far. Without controls, these are None.
    """
    change, controls = float(masked_score) - spoof_score, np.asarray(control_scores, dtype=np.float64) - spoof_score
    row = {"spoof_score": spoof_score, "masked_score": float(masked_score), "change": change, "draws": len(controls)}
    chance = dict.fromkeys(("control_mean", "control_low", "control_high", "as_extreme"))
    if len(controls):
        chance["control_mean"] = float(controls.mean())
        chance["control_low"], chance["control_high"] = np.percentile(controls, CHANCE).tolist()
        chance["as_extreme"] = int((np.abs(controls) >= abs(change)).sum())
    return row | chance
