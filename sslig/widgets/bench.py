"""The trained detectors of a study with what explaining and masking with them needs, loaded when first asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import stages
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.explanation import Explanation
from sslig.attribution.methods import default, explain
from sslig.cues.masking import MaskedUtterance
from sslig.frames import FrameClock
from sslig.models.detector import Detector, select_device
from sslig.scoring import evaluating
from sslig.stats.fusion import LogisticMap
from sslig.study import Study

CERTIFICATE = ("spoof_score", "baseline_score", "residual", "steps", "status", "selection", "free_baseline_score")


class Bench:
    """Detectors of one seed, and what each was given: its baseline, its calibration, its non-speech profile.

    Parameters
    ----------
    experiment
        The study; what is missing of it is made.
    detectors
        Names of its detectors; none: all.
    seed
        None: its first.

    Raises
    ------
    sslig.study.StudyError
        It has no such detector or seed.
    """

    def __init__(self, experiment: Study, detectors: Sequence[str] | None = None, seed: int | None = None) -> None:
        self.experiment = experiment
        self.seed = experiment.seeds[0] if seed is None else seed
        self.names = list(detectors or experiment.detectors)
        for name in self.names:
            experiment.run(name, self.seed)
        self.device = select_device(experiment.device)
        self._made: dict[tuple[str, str], Any] = {}
        self._table: dict[str, tuple[np.ndarray, MaskedUtterance]] = {}

    def _once(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        """What `make()` gives, made when it is first asked for."""
        if (kind, name) not in self._made:
            self._made[kind, name] = make()
        return self._made[kind, name]

    def detector(self, name: str) -> Detector:
        """The detector `name`, in evaluation mode on the study's device."""
        where = self.experiment, name, self.seed
        return self._once("detector", name, lambda: Detector.from_pretrained(stages.checkpoint(*where)).to(self.device))

    def baseline(self, name: str) -> Baseline:
        """Where its attributions start."""
        return self._once("baseline", name, lambda: stages.baseline(self.experiment, name, self.seed))

    def profile(self, name: str) -> Tensor:
        """(layer, feature) Its mean features of bona fide frames without speech."""
        return self._once("profile", name, lambda: stages.nonspeech_profile(self.experiment, name, self.seed).values)

    def calibration(self, name: str) -> LogisticMap:
        """From its spoof score to a log-likelihood ratio, fitted on *dev*."""
        return self._once("calibration", name, lambda: stages.calibrated(self.experiment, name, self.seed)[1])

    def llr(self, name: str, spoof_score: float) -> float:
        """The calibrated log-likelihood ratio log p(score | spoof) / p(score | bona fide) of a spoof score."""
        return float(self.calibration(name)(np.array([[spoof_score]]))[0])

    def attributions(self, name: str) -> pd.DataFrame:
        """Those that the study has made, by utterance."""
        return self._once("attributions", name, lambda: self._attributions(name))

    def _attributions(self, name: str) -> pd.DataFrame:
        return stages.attributions(self.experiment, name, self.seed).set_index("utterance")

    def attribution(self, name: str, utterance: str) -> Explanation:
        """The attribution that the study has of an utterance."""
        row = self.attributions(name).loc[utterance]
        return Explanation(row["by_layer"], **{key: row[key] for key in CERTIFICATE})

    def explained(self) -> set[str]:
        """Utterances that every detector has an attribution of."""
        return set.intersection(*(set(self.attributions(name).index) for name in self.names))

    @property
    def clock(self) -> FrameClock:
        """The frame grid, one for all since they have one kind of backbone."""
        return self.detector(self.names[0]).clock

    @property
    def min_frames(self) -> int:
        """The fewest frames that all of them read."""
        return max(self.detector(name).min_frames for name in self.names)

    def explain(self, name: str, waveform: np.ndarray) -> Explanation:
        """The attribution of one detector for (samples,) at 16 kHz, as the study asks for it."""
        detector = self.detector(name)
        with evaluating(detector, self.device):
            with torch.no_grad():
                features = detector.features(torch.from_numpy(waveform)[None].to(self.device))
            options = self.experiment.attribution
            context = Context({BONAFIDE_MEAN: self.baseline(name)}, options=options)
            return explain(default(options), detector.head, features, context)

    def on_the_table(self, name: str, utterance: str, waveform: np.ndarray, draws: int) -> MaskedUtterance:
        """(samples,) of an utterance with its features, ready for masks; the last one of each detector is kept.

        The draws of controls are those of the study's tables.
        """
        kept = self._table.get(name)
        if kept is None or kept[0] is not waveform or kept[1].draws != draws:
            detector, samples = self.detector(name), torch.from_numpy(waveform)[None].to(self.device)
            with torch.inference_mode(), evaluating(detector, self.device):
                one = MaskedUtterance(detector, utterance, samples, draws, self.experiment.corpus.seed)
            self._table[name] = kept = (waveform, one)
        return kept[1]
