"""Where masks lie in an utterance: frames from segment tiers, from energy, or from the explanation of a detector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from sslig.cues import feature_masks, segments
from sslig.cues.ctc import BLANK, DELIMITER
from sslig.cues.interventions import PUBLISHED_PLACE, Intervention, InterventionError
from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

BLANK_TOKEN, DELIMITER_TOKEN, OTHER = range(3)
EMISSIONS = "emissions"

RELEASED = MappingProxyType(
    {"non_speech": feature_masks.non_speech, "word_boundaries": feature_masks.word_boundaries}
)  # fmt: skip
"""Places that the released code finds in another way."""

EDGE_SILENCE = "edge_silence"
ENERGY = "energy"
ATTRIBUTED = TOP, BOTTOM = "top_attribution", "bottom_attribution"
"""Places that an explanation ranks."""


@dataclass(frozen=True)
class Places:
    """What is known of the utterances of a study.

    Attributes
    ----------
    tiers
        Utterance -> tiers by name (`sslig.cues.segments`).
    attributions
        Utterance -> (frame,) attribution of one detector, positive = evidence for spoof.
    """

    tiers: Mapping[str, Mapping[str, Tier]]
    attributions: Mapping[str, np.ndarray] = field(default_factory=dict)

    def mask(
        self, intervention: Intervention, utterance: str, waveform: Tensor, clock: FrameClock, n_read: int
    ) -> Tensor | None:
        """(1, frame) bool: where an intervention acts; all frames where it has no place, None where it is unknown.

        It is unknown where an utterance has no attribution or no tiers, and by tiers where it was repeated to fill a
        crop.

        Parameters
        ----------
        intervention
            Whose `place` is looked for.
        utterance
            Its name.
        waveform
            (1, samples), trimmed to whole frames.
        clock
            The frame grid.
        n_read
            Frames that the head reads; attributions rank only those.

        Raises
        ------
        InterventionError
            The place needs a tier that was not decoded; the message says which.
        """
        n_frames, place = clock.n_frames(waveform.shape[1]), intervention.place
        if place is None:
            return torch.ones(1, n_frames, dtype=torch.bool, device=waveform.device)
        if place in ATTRIBUTED:
            return self._ranked(intervention, utterance, n_frames, n_read, waveform.device)
        if place == ENERGY:
            energy = feature_masks.waveform_energy(waveform, n_frames, clock)
            return feature_masks.high_energy(energy, intervention.parameters["quantile"])
        if utterance not in self.tiers or self._repeated(utterance, n_frames, clock):
            return None
        released = place.startswith(PUBLISHED_PLACE)
        found = (self._as_released if released else self._segmented)(place, utterance, n_frames, clock)
        return found.to(waveform.device)

    def _ranked(
        self, intervention: Intervention, utterance: str, n_frames: int, n_read: int, device: torch.device
    ) -> Tensor | None:
        if utterance not in self.attributions:
            return None
        frames = torch.tensor(self.attributions[utterance], device=device).unsqueeze(0)
        if frames.shape[1] != n_frames:
            raise InterventionError(f"{utterance}: an attribution of {frames.shape[1]} frames for {n_frames} frames; "
                                    "explain it with the crop it is masked with")  # fmt: skip
        sign = 1 if intervention.place == TOP else -1
        return feature_masks.top_frames(sign * frames, intervention.parameters["percent"], n_read)

    def _repeated(self, utterance: str, n_frames: int, clock: FrameClock) -> bool:
        """Whether the recording was repeated to fill a crop: its tiers tell the first time only."""
        duration_s = min(tier.duration_s for tier in self.tiers[utterance].values())
        return clock.n_samples(n_frames) > duration_s * SAMPLE_RATE_HZ + 1

    def _segmented(self, place: str, utterance: str, n_frames: int, clock: FrameClock) -> Tensor:
        name = "non_speech" if place == EDGE_SILENCE else place
        found = torch.from_numpy(segments.frame_mask(name, self.tiers[utterance], clock, n_frames)).unsqueeze(0)
        return feature_masks.edge_runs(found) if place == EDGE_SILENCE else found

    def _as_released(self, place: str, utterance: str, n_frames: int, clock: FrameClock) -> Tensor:
        """By the most likely CTC token of each frame, as the code of arXiv 2606.10912 finds it."""
        tiers = self.tiers[utterance]
        if EMISSIONS not in tiers:
            raise InterventionError(
                f"{place}: the released code finds it by CTC tokens and {utterance} has none; add "
                "ctc:emissions:<model> to masking.segments, such as that of facebook/wav2vec2-base-960h"
            )
        tokens = np.full(n_frames, OTHER)
        for token, label in ((BLANK_TOKEN, BLANK), (DELIMITER_TOKEN, DELIMITER)):
            tokens[tiers[EMISSIONS].mask(clock, n_frames, {label})] = token
        find = RELEASED[place.removeprefix(PUBLISHED_PLACE)]
        return find(torch.from_numpy(tokens).unsqueeze(0), BLANK_TOKEN, DELIMITER_TOKEN, published=True)
