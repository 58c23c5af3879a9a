"""Plain maps over frames that an explanation must do better than: loudness, voice activity, attention.

None of them asks how a detector comes to its score. Where one finds the place of the evidence as well as an explanation
does, the explanation has shown nothing.
"""

import numpy as np
import torch
from torch import Tensor, nn

from sslig.attribution.gradients import integrate
from sslig.attribution.target import of_head as target_of
from sslig.cues import feature_masks, vad
from sslig.frames import FrameClock
from sslig.study import Attribution as Options

ENERGY, VOICE_ACTIVITY, NON_SPEECH, ATTENTION = RIVALS = ("energy", "voice_activity", "non_speech", "attention")

FEATURE_CHANGE, SCORE_CHANGE = LIMITS = ("feature_change", "score_change")
"""No rivals but the best that can be hoped for: they know the same recording without the cue."""


def of_recording(waveform: Tensor, clock: FrameClock) -> dict[str, np.ndarray]:
    """Rival -> (frame,) map of (1, samples) that are trimmed to whole frames.

    Energy is the mean square of a frame; voice activity is 1 in speech as Silero hears it (`sslig.cues.vad`) and 0
    elsewhere, and non-speech the other way round.
    """
    n_frames = clock.n_frames(waveform.shape[1])
    energy = feature_masks.waveform_energy(waveform.cpu(), n_frames, clock)[0].double().numpy()
    speech = vad.speech(waveform[0].cpu().numpy()).mask(clock, n_frames, {vad.SPEECH}).astype(np.float64)
    return {ENERGY: energy, VOICE_ACTIVITY: speech, NON_SPEECH: 1.0 - speech}


@torch.no_grad()
def of_head(head: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """Rival -> (frame,) map of (1, layer, frame, feature): the mean attention weight over heads, where a head has any.

    References
    ----------
    Jain and Wallace, "Attention is not Explanation", NAACL 2019.
    """
    if not hasattr(head, "attention") or isinstance(head.attention, nn.Module):  # AASIST's is a layer of its own
        return {}
    weights = head.attention(features)  # (1, head, frame)
    return {ATTENTION: weights[0].double().mean(dim=0).cpu().numpy()}


def of_twin(head: nn.Module, features: Tensor, twin: Tensor, options: Options) -> dict[str, np.ndarray]:
    """Limit -> (frame,) map of (1, layer, frame, feature) of a spoof and of the same recording without the cue."""
    target = target_of(head, features, twin, freeze=options.freeze_selection)
    path = integrate(target, options)  # from the twin to the spoof
    return {FEATURE_CHANGE: feature_change(features, twin), SCORE_CHANGE: path.by_frame}


def feature_change(features: Tensor, twin: Tensor) -> np.ndarray:
    """(frame,) How far all features of a frame lie from those of the same recording without the cue.

    Encoders mix frames, so the features change outside the place too; no map of features can be expected to know the
    place much better than this one does.
    """
    return torch.linalg.vector_norm((features - twin)[0].double(), dim=(0, 2)).cpu().numpy()
