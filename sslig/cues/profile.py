"""The non-speech profile: mean features of bona fide frames without speech, which masks pull other frames towards."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from sslig import scoring
from sslig.attribution.baselines import Baseline, BaselineError, Source
from sslig.cues.tiers import Tier
from sslig.cues.vad import NON_SPEECH
from sslig.models.detector import Detector
from sslig.study import Scoring

NAME = "nonspeech_mean"


def nonspeech_mean(
    detector: Detector,
    bonafide: pd.DataFrame,
    speech: Mapping[str, Tier],
    options: Scoring,
    device: str | torch.device,
    source: Source,
) -> Baseline:
    """The mean features of a detector over the frames without speech of the utterances in `bonafide`.

    Each frame counts once. Sums are kept in float64. How many utterances and frames they were is added to `source`.

    Parameters
    ----------
    detector
        Whose features are averaged.
    bonafide
        Utterances with the columns of `sslig.corpora.protocol` and ``path``.
    speech
        Utterance -> the tier of `sslig.cues.vad.speech`; utterances without one are left out.
    options, device
        How and where features are computed.
    source
        Where the utterances come from.

    Raises
    ------
    BaselineError
        No frame without speech was found.
    """
    total = torch.zeros(detector.backbone.n_layers, detector.backbone.feature_size, dtype=torch.float64)
    bonafide = bonafide[bonafide["utterance"].isin(list(speech))].reset_index(drop=True)
    batches, left_out = scoring.batches(bonafide, detector, options)
    n_utterances = n_frames = 0
    with torch.inference_mode(), scoring.evaluating(detector, device):
        for batch in batches:
            features = detector.features(batch.waveforms.to(device))  # (batch, layer, frame, feature)
            names = bonafide["utterance"].iloc[batch.rows]
            masks = [speech[name].mask(detector.clock, features.shape[2], NON_SPEECH) for name in names]
            mask = torch.from_numpy(np.stack(masks))  # (batch, frame)
            total += torch.einsum("bltd,bt->ld", features.double().cpu(), mask.double())
            n_utterances += int(mask.any(dim=1).sum())
            n_frames += int(mask.sum())
    if n_frames == 0:
        raise BaselineError(f"no frame without speech in {len(bonafide)} bona fide utterances, "
                            f"{len(left_out.faults)} of them unreadable")  # fmt: skip
    return Baseline(NAME, (total / n_frames).float(), source | {"utterances": n_utterances, "frames": n_frames})
