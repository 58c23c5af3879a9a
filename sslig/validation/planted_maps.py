"""Maps over frames of utterances with a planted cue: by each method and rival, beside the truth."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import scoring
from sslig.attribution.context import Context
from sslig.attribution.explanation import AGGREGATIONS
from sslig.attribution.methods import Method, explain
from sslig.corpora.planted import truth_mask
from sslig.frames import FrameClock
from sslig.models.detector import Detector
from sslig.study import Scoring
from sslig.validation import rivals, transplant

PLAIN = "plain"
"""Stands for an aggregation where a map has no features that were put together."""


@dataclass(frozen=True)
class Map:
    """A map over frames of one utterance: (frame,), what made it, and the certificate of an explanation."""

    method: str
    aggregation: str
    frames: np.ndarray
    certificate: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class PlantedMaps:
    """All maps of one utterance and the truth about it.

    Attributes
    ----------
    maps
        Each (frame,) as long as the utterance.
    truth
        (frame,) bool: the frame sees a sample of a place.
    n_read
        Frames from the start that the head reads.
    clock
        The frame grid.
    waveform
        (samples,) As it was scored.
    transplanted
        `sslig.validation.transplant.COLUMNS`, NaN without a twin.
    """

    maps: list[Map]
    truth: np.ndarray
    n_read: int
    clock: FrameClock
    waveform: np.ndarray
    transplanted: Mapping[str, float]


@dataclass(frozen=True)
class Maker:
    """Makes the maps of utterances one by one, so that memory is that of one.

    Attributes
    ----------
    model
        In evaluation mode.
    context
        What the methods need.
    options
        Of scoring: crop and longest utterance.
    truth
        Utterance -> its places (`sslig.corpora.planted.truth`).
    twins
        Utterance -> the sound file of the same recording without the cue.
    methods
        That can explain the head.
    with_rivals
        Whether plain maps (`sslig.validation.rivals`) are made too, and features of twins transplanted.
    device
        Where the model is.
    """

    model: Detector
    context: Context
    options: Scoring
    truth: Mapping[str, pd.DataFrame]
    twins: Mapping[str, str]
    methods: Sequence[Method]
    with_rivals: bool
    device: torch.device

    def each(self, utterances: pd.DataFrame, left_out: scoring.LeftOut) -> Iterator[tuple[pd.Series, PlantedMaps]]:
        """Each row of `utterances` with its maps; those without a place that the head reads go to `left_out`."""
        batches, unread = self._batches(utterances)
        for batch in batches:
            row, waveform = utterances.iloc[batch.rows[0]], batch.waveforms.to(self.device)
            with torch.no_grad():
                features = self.model.features(waveform)  # (1, layer, frame, feature)
            n_frames, clock = features.shape[2], self.model.clock
            n_read = self.model.read_frames(n_frames)
            truth = truth_mask(self.truth[row["utterance"]], clock, n_frames)
            if not 0 < truth[:n_read].sum() < n_read:
                left_out.faults[batch.rows[0]] = (f"{truth[:n_read].sum()} of the {n_read} frames that the head reads "
                                                  f"belong to the place, which has {truth.sum()}")  # fmt: skip
                continue
            twin = self._twin(row["utterance"], features) if self.with_rivals else None
            maps = list(self._maps(row["utterance"], waveform, features, twin))
            moved = transplant.NONE if twin is None else transplant.scores(self.model.head, features, twin, truth)
            yield row, PlantedMaps(maps, truth, n_read, clock, waveform[0].cpu().numpy(), moved)
        left_out.faults.update(unread.faults)

    def _maps(self, utterance: str, waveform: Tensor, features: Tensor, twin: Tensor | None) -> Iterator[Map]:
        for method in self.methods:
            found = explain(method, self.model.head, features, self.context.of(utterance))
            for aggregation in AGGREGATIONS:
                yield Map(method.spec, aggregation, found.frames(aggregation), found.record())
        if self.with_rivals:
            plain = rivals.of_recording(waveform, self.model.clock) | rivals.of_head(self.model.head, features)
            changes = {} if twin is None else rivals.of_twin(self.model.head, features, twin, self.context.options)
            for name, frames in (plain | changes).items():
                yield Map(name, PLAIN, frames)

    def _twin(self, utterance: str, features: Tensor) -> Tensor | None:
        """(1, layer, frame, feature) Of the same recording without the cue; None where it cannot be read."""
        twin = pd.DataFrame({"utterance": [utterance], "path": [self.twins.get(utterance)]}).dropna()
        with torch.no_grad():
            for batch in self._batches(twin)[0] if len(twin) else ():
                without = self.model.features(batch.waveforms.to(self.device))
                if without.shape == features.shape:
                    return without
        return None

    def _batches(self, utterances: pd.DataFrame) -> tuple[Iterator[scoring.Batch], scoring.LeftOut]:
        one_by_one = dataclasses.replace(self.options, batch_size=1, workers=0)
        return scoring.batches(utterances, self.model, one_by_one)
