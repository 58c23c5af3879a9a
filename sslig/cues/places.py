"""Where masks lie in an utterance: frames from segment tiers, from energy, or from the explanation of a detector."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sslig.cues import feature_masks, phones
from sslig.cues.masks import BOTTOM, EDGE_SILENCE, ENERGY, PLACES, PUBLISHED, TOP, Mask
from sslig.cues.tiers import Tier, near
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

CHANGE_WIDTH_MS = 40.0
"""A frame is at a change where its centre lies within half of this."""

EMISSIONS = "emissions"


def frame_mask(name: str, tiers: Mapping[str, Tier], clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) bool: the frames of a place that a tier gives; all False where the tier has nothing of the kind.

    Raises
    ------
    InputError
        No tier gives a place of this name, or the tier is not among `tiers`.
    """
    by_tier = [key for key, place in PLACES.items() if place.tier]
    if name not in by_tier:
        raise InputError(f"unknown place {name!r} of a tier; accepted: {', '.join(by_tier)}")
    place = PLACES[name]
    if place.tier not in tiers:
        raise InputError(f"place {name!r} is in the tier {place.tier!r}; there are {', '.join(tiers) or 'none'}")
    tier, labels = tiers[place.tier], place.labels
    if place.at_changes:
        return near(tier.changes_s(labels), clock, n_frames, CHANGE_WIDTH_MS)
    if place.phone_class:
        labels = {label for label in set(tier.labels) if phones.class_of(label) == place.phone_class}
    return tier.mask(clock, n_frames, labels)


@dataclass(frozen=True)
class Places:
    """What gives places, by utterance: its tiers (`sslig.cues.segments.by_utterance`) and its (frame,) attribution."""

    tiers: Mapping[str, Mapping[str, Tier]]
    attributions: Mapping[str, np.ndarray] = field(default_factory=dict)

    def mask(self, mask: Mask, utterance: str, waveform: Tensor, clock: FrameClock, n_read: int) -> Tensor | None:
        """(1, frame) bool: where a mask acts; all frames where it has no place, None where the place is unknown.

        A place is unknown where an utterance has no attribution or no tiers. Tiers cover a recording once, so their
        places are unknown where it was repeated to fill a crop.

        Parameters
        ----------
        waveform
            (1, samples), trimmed to whole frames.
        n_read
            Frames that the head reads; attributions rank only those.

        Raises
        ------
        InputError
            The place needs a tier that was not decoded, or an attribution has another number of frames.
        """
        n_frames, place = clock.n_frames(waveform.shape[1]), mask.place
        if place is None:
            return torch.ones(1, n_frames, dtype=torch.bool, device=waveform.device)
        if place == ENERGY:
            return feature_masks.high_energy(waveform, clock, mask.parameters["quantile"])
        if place in (TOP, BOTTOM):
            ranked = self._ranked(place, mask.parameters["percent"], utterance, n_frames, n_read)
            return None if ranked is None else ranked.to(waveform.device)
        if utterance not in self.tiers or self._repeated(utterance, n_frames, clock):
            return None
        return self._in_tiers(place, utterance, n_frames, clock).to(waveform.device)

    def _ranked(self, place: str, percent: float, utterance: str, n_frames: int, n_read: int) -> Tensor | None:
        if utterance not in self.attributions:
            return None
        attribution = torch.tensor(self.attributions[utterance])[None]  # (1, frame)
        if attribution.shape[1] != n_frames:
            raise InputError(
                f"{utterance}: an attribution of {attribution.shape[1]} frames for {n_frames} frames; explain it with "
                "the crop it is masked with"
            )
        return feature_masks.top_frames(attribution if place == TOP else -attribution, percent, n_read)

    def _repeated(self, utterance: str, n_frames: int, clock: FrameClock) -> bool:
        duration_s = min(tier.duration_s for tier in self.tiers[utterance].values())
        return clock.n_samples(n_frames) > duration_s * SAMPLE_RATE_HZ + 1

    def _in_tiers(self, place: str, utterance: str, n_frames: int, clock: FrameClock) -> Tensor:
        tiers = self.tiers[utterance]
        if place == EDGE_SILENCE:
            return feature_masks.edge_runs(torch.from_numpy(frame_mask("non_speech", tiers, clock, n_frames))[None])
        if not place.startswith(PUBLISHED):
            return torch.from_numpy(frame_mask(place, tiers, clock, n_frames))[None]
        if EMISSIONS not in tiers:
            raise InputError(
                f"{place}: the released code finds it by CTC tokens and {utterance} has none; add "
                "ctc:emissions:<model> to masking.segments, such as that of facebook/wav2vec2-base-960h"
            )
        blank, delimiter = (
            torch.from_numpy(tiers[EMISSIONS].mask(clock, n_frames, {label}))[None]
            for label in (phones.BLANK, phones.DELIMITER)
        )
        is_boundary = place.removeprefix(PUBLISHED) == "word_boundaries"
        return feature_masks.published_word_boundaries(blank, delimiter) if is_boundary else blank
