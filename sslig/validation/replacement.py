"""The score of an utterance as a function of the frames that are replaced, in its features or in its waveform."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sslig.cues import edits
from sslig.cues.edits import from_nearest, towards_profile
from sslig.cues.masking import CHUNK_VALUES, WAVEFORMS_AT_ONCE
from sslig.errors import InputError
from sslig.models.detector import Detector

FEATURES, WAVEFORM = "features", "waveform"

PROFILES = ("bonafide_mean", "nonspeech_mean")
INTERPOLATION = "interpolation"
IN_FEATURES = (*PROFILES, INTERPOLATION)
"""What replaces frames of the features: the mean of bona fide frames, that of bona fide frames without speech, or the
mean of the nearest frames that stay."""
IN_WAVEFORM = edits.FILLS

Scores = Callable[[np.ndarray], np.ndarray]
"""From (mask, frame) bool, True where a frame is replaced, to the (mask,) spoof scores of what is left."""


def in_features(head: nn.Module, features: Tensor, replacement: str, profiles: Mapping[str, Tensor]) -> Scores:
    """Spoof scores of one utterance with frames of its features replaced.

    A head begins with an affine map of each frame, ``head.project``. Replacing frames by weighted means of frames and
    profiles is the same before and after it, so it is applied once.

    Parameters
    ----------
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode, with `project` and `decide`.
    features
        (1, layer, frame, feature)
    replacement
        One of `IN_FEATURES`. Where every frame is replaced, interpolation has no neighbours to take from, and every
        frame becomes the mean of all.
    profiles
        (layer, feature) tensors by name out of `PROFILES`.

    """
    if replacement not in IN_FEATURES or (replacement in PROFILES and replacement not in profiles):
        accepted = ", ".join((*profiles, INTERPOLATION))
        raise InputError(f"replacement {replacement!r} of frames of features; accepted: {accepted}")
    with torch.inference_mode():
        projected = head.project(features)
        given = features.mean(dim=2) if replacement == INTERPOLATION else profiles[replacement].to(features)[None]
        profile = head.project(given[:, :, None])[0, :, 0]  # (layer, feature)
    at_once = max(1, CHUNK_VALUES // projected[0].numel())

    @torch.inference_mode()
    def scores(masks: np.ndarray) -> np.ndarray:
        chunks = []
        for part in torch.from_numpy(masks).to(features.device).split(at_once):
            changed = projected.expand(len(part), -1, -1, -1)
            if replacement == INTERPOLATION:
                changed, part = from_nearest(changed, part), part & part.all(dim=1, keepdim=True)
            chunks.append(head.decide(towards_profile(changed, part, profile, 1.0)).double().cpu().numpy())
        return np.concatenate(chunks)

    return scores


def in_waveform(detector: Detector, waveform: Tensor, replacement: str, seed: int) -> Scores:
    """Spoof scores of one utterance, (1, samples), with frames of its waveform replaced by one of `IN_WAVEFORM`.

    Each mask is a pass through the detector; `seed` draws the noise that replaces frames.
    """
    if replacement not in IN_WAVEFORM:
        raise InputError(f"replacement {replacement!r} in a waveform; accepted: {', '.join(IN_WAVEFORM)}")

    @torch.inference_mode()
    def scores(masks: np.ndarray) -> np.ndarray:
        generator, chunks = torch.Generator().manual_seed(seed), []
        for part in torch.from_numpy(masks).to(waveform.device).split(WAVEFORMS_AT_ONCE):
            repeated = waveform.expand(len(part), -1)
            replaced = edits.replaced(repeated, part, detector.clock, replacement, generator)
            chunks.append(detector(replaced).double().cpu().numpy())
        return np.concatenate(chunks)

    return scores
