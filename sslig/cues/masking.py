"""Scores under masks: features once an utterance, and from them every mask with its matched random controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import scoring
from sslig.cues import controls, waveform_masks
from sslig.cues.definitions import FEATURE
from sslig.cues.effects import ALL_FRAMES, APPLIED, NO_FRAMES
from sslig.cues.interventions import PAPER, Intervention
from sslig.cues.phones import CLASSES
from sslig.cues.places import Places
from sslig.cues.tiers import coverage
from sslig.errors import DataError
from sslig.models.detector import Detector
from sslig.study import Scoring

MASKS = (
    *PAPER,
    *(f"phone:{name}" for name in CLASSES),
    "onsets",
    "speech_edges",
    "top_attribution(percent=10)",
    "bottom_attribution(percent=10)",
    "time:non_speech(fill=noise)",
    "time:non_speech(fill=silence)",
    "time:energy(fill=interpolation)",
    "time:top_attribution(percent=10, fill=interpolation)",
    "band(lo_hz=0, hi_hz=300)",
    "band(lo_hz=4000, hi_hz=8000)",
    "lowpass(cutoff_hz=4000)",
    "codec:opus",
    "trim_silence",
)
"""The masks of a study that names none: those of the paper first."""

SWEEPS = (
    *(f"noise(alpha={alpha})" for alpha in (0.3, 0.6, 1)),
    *(f"phonemes(quantile={quantile})" for quantile in (0.5, 0.9)),
    *(f"{end}_attribution(percent={percent})" for end in ("top", "bottom") for percent in (5, 20, 40)),
)
"""The same with other doses, for a study that names none."""

CHUNK_VALUES = 4_000_000
"""Feature values that go through a head at once: more only wait for memory on a CPU."""

WAVEFORMS_AT_ONCE = 8

ROUNDING = 1e-5
"""Scores of one input that is computed in another batch differ by less; a change this small is none."""

DESCRIPTION = ["utterance", "key", "attack", "codec", "speaker"]


@dataclass
class _Rows:
    """What was found, filled while utterances go by."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, told: Mapping[str, object], intervention: Intervention, found: Mapping[str, object]) -> None:
        self.rows.append({**told, "mask": intervention.spec, "space": intervention.space, **found})


def mask_scores(
    detector: Detector,
    utterances: pd.DataFrame,
    interventions: Sequence[Intervention],
    places: Places,
    profile: Tensor | None,
    options: Scoring,
    *,
    draws: int,
    seed: int,
    device: str | torch.device = "cpu",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every utterance under every mask, and under `draws` masks of the same size and shape elsewhere.

    Parameters
    ----------
    detector
        Used in evaluation mode and full precision.
    utterances
        With the columns of `sslig.corpora.protocol` and ``path``.
    interventions
        As of `sslig.cues.interventions.parse`.
    places
        Where each of them is in each utterance. Where an utterance has no such place known (no attribution, say), it
        has no row for that mask.
    profile
        (layer, feature) Mean bona fide non-speech features, for ``noise``.
    options
        Of scoring: crop and longest utterance.
    draws
        Of the control, for each mask and utterance.
    seed
        Of the draws and of noise that is put in: together with utterance and mask it decides them, so a result does
        not depend on what else is masked.

    Returns
    -------
    masked, left_out
        One row an utterance and mask: ``utterance``, ``key``, ``attack``, ``codec``, ``speaker``, ``mask``, ``space``,
        ``spoof_score``, ``masked_score``, ``control_scores`` (draw,), ``status`` of `sslig.cues.effects`, and the
        coverage of the mask (`sslig.cues.tiers.coverage`); and the utterances that could not be read, with the reason.

    Raises
    ------
    DataError
        No utterance could be read.
    """
    found = _Rows()
    one_by_one = Scoring(1, options.crop_s, options.max_s, workers=options.workers)
    drawn, left_out = scoring.batches(utterances, detector, one_by_one)
    with torch.inference_mode(), scoring.evaluating(detector, device):
        for batch in drawn:
            row = utterances.iloc[batch.rows[0]]
            one = MaskedUtterance(detector, row["utterance"], batch.waveforms.to(device), draws, seed)
            told = row[DESCRIPTION].to_dict() | {"spoof_score": one.score}
            for intervention in interventions:
                mask = places.mask(intervention, one.name, one.waveform, detector.clock, one.n_read)
                if mask is not None:
                    found.add(told, intervention, one.under(intervention, mask, profile))
    without = left_out.table(utterances)
    if len(without) == len(utterances):
        raise DataError(f"none of {len(utterances)} utterances could be read; the first: "
                                   f"{without['reason'].iloc[0]}")  # fmt: skip
    table = pd.DataFrame(found.rows, columns=None if found.rows else [*DESCRIPTION, "mask"])
    return table.sort_values(["mask", "utterance"], ignore_index=True), without


class MaskedUtterance:
    """One utterance on the device with its features, which all masks in feature space share.

    Make and use it without gradients, the detector in evaluation mode (`sslig.scoring.evaluating`).

    Parameters
    ----------
    detector
        What scores it.
    name
        Of the utterance: it decides draws.
    waveform
        (1, samples), trimmed to whole frames.
    draws, seed
        As of `mask_scores`.

    Attributes
    ----------
    score
        Spoof logit without a mask.
    n_frames, n_read
        Frames of the utterance, and how many of them the head reads.
    """

    def __init__(self, detector: Detector, name: str, waveform: Tensor, draws: int, seed: int) -> None:
        self.detector, self.name, self.waveform, self.draws, self.seed = detector, name, waveform, draws, seed
        features = detector.features(waveform)  # (1, layer, frame, feature)
        self.score = detector.head(features).item()
        self.n_frames = features.shape[2]
        self.n_read = detector.read_frames(self.n_frames)
        # All that a mask does to features is to replace frames by weighted means of frames and the profile. Such means
        # may be taken before or after an affine map of each frame, and after it there is less to copy.
        self.projected = detector.head.project(features)

    def under(self, intervention: Intervention, mask: Tensor, profile: Tensor | None) -> dict[str, object]:
        """Score and control scores under a mask, a (1, frame) bool, which is full where there is no place.

        Returns
        -------
        dict
            ``masked_score``, ``control_scores`` (draw,), ``status`` and the coverage, as of `mask_scores`.
        """
        generator, mask = self._generator(intervention), self._seen(intervention, mask)
        covered = coverage(mask[0].cpu().numpy(), self.detector.clock)
        status = ALL_FRAMES if mask.all() and intervention.place else APPLIED if mask.any() else NO_FRAMES
        if status == NO_FRAMES:
            scores = np.full(1 + self.draws * bool(intervention.control), self.score)
        elif intervention.space == FEATURE:
            scores = self._in_features(intervention, mask, profile, generator)
        else:
            scores = self._in_waveform(intervention, mask, generator, status)
        scores = np.where(np.isclose(scores, self.score, rtol=ROUNDING, atol=ROUNDING), self.score, scores)
        return {"masked_score": scores[0], "control_scores": scores[1:], "status": status} | covered

    def recording(self, intervention: Intervention, mask: Tensor) -> Tensor:
        """(samples,) The recording after an intervention in the waveform, as `under` scores it."""
        generator, mask = self._generator(intervention), self._seen(intervention, mask)
        return self._changed(intervention, mask, generator)[0] if mask.any() else self.waveform[0]

    def _generator(self, intervention: Intervention) -> torch.Generator:
        return torch.Generator().manual_seed(crc32(f"{self.seed} {self.name} {intervention.spec}".encode()))

    def _seen(self, intervention: Intervention, mask: Tensor) -> Tensor:
        """The mask, without frames that the head does not read where controls are shifted among those that it does."""
        if intervention.control != "shift":
            return mask
        return mask & (torch.arange(self.n_frames, device=mask.device) < self.n_read)

    def _in_features(
        self, intervention: Intervention, mask: Tensor, profile: Tensor | None, generator: torch.Generator
    ) -> np.ndarray:
        """(1 + draw,) Scores under the mask, then under the shifted ones, through the head in chunks."""
        masks = _with_controls(intervention, mask, self.n_read, self.draws, generator)  # (1 + draw, frame)
        if profile is not None:
            profile = self.detector.head.project(profile.to(self.waveform)[None, :, None])[0, :, 0]
        chunks = masks.split(max(1, CHUNK_VALUES // self.projected[0].numel()))
        scores = [
            self.detector.head.decide(
                intervention.features(self.projected.expand(len(part), -1, -1, -1), part, profile)
            )
            for part in chunks
        ]
        return torch.cat(scores).double().cpu().numpy()

    def _in_waveform(
        self, intervention: Intervention, mask: Tensor, generator: torch.Generator, status: str
    ) -> np.ndarray:
        """(1 + draw,) Scores of the changed recording and of the control recordings, which all have one length."""
        clock = self.detector.clock
        if status == ALL_FRAMES and intervention.control == "cut":  # nothing would be left
            return np.full(1 + self.draws, self.score)
        changed = self._changed(intervention, mask, generator)  # (1 + draw, samples)
        n_frames = clock.n_frames(changed.shape[1])
        if n_frames < self.detector.min_frames:
            return np.full(len(changed), self.score)  # what is left is too short for the head
        chunks = changed[:, : clock.n_samples(n_frames)].split(WAVEFORMS_AT_ONCE)
        return torch.cat([self.detector(part) for part in chunks]).double().cpu().numpy()

    def _changed(self, intervention: Intervention, mask: Tensor, generator: torch.Generator) -> Tensor:
        """(1 + draw, samples) The recording after an intervention, then after the same at places of the same size."""
        waveform, clock = self.waveform, self.detector.clock
        if intervention.control is None:
            return intervention.waveforms(waveform, mask, clock, generator)
        if intervention.control == "band":
            lo_hz, hi_hz, gain = (intervention.parameters[name] for name in ("lo_hz", "hi_hz", "gain"))
            edges_hz = [(lo_hz, hi_hz), *controls.bands(lo_hz, hi_hz, self.draws, generator)]
            return torch.cat([waveform_masks.band_gain(waveform, lo, hi, gain) for lo, hi in edges_hz])
        masks = _with_controls(intervention, mask, self.n_read, self.draws, generator)  # (1 + draw, frame)
        return intervention.waveforms(waveform.expand(len(masks), -1), masks, clock, generator)


def _with_controls(
    intervention: Intervention, mask: Tensor, n_read: int, draws: int, generator: torch.Generator
) -> Tensor:
    """(1 + draw, frame) A (1, frame) mask, and as much masked elsewhere.

    Frames are shifted among those that the head reads: a control that slid out of its sight would be too weak.
    """
    if intervention.control == "cut":
        moved = controls.cuts(mask.cpu(), draws, generator)[:, 0]
    else:
        moved = mask.cpu().repeat(draws, 1)
        moved[:, :n_read] = controls.shifted(mask[:, :n_read].cpu(), draws, generator)[:, 0]
    return torch.cat([mask, moved.to(mask.device)])
