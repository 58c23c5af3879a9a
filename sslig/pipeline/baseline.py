"""The mean features that attributions and masks of a trained detector start from."""

from pathlib import Path

import numpy as np
import pandas as pd

from sslig.attribution import baselines
from sslig.corpora import protocol
from sslig.corpora.protocol import draw
from sslig.cues.segments import by_utterance
from sslig.cues.voice import NON_SPEECH, SPEECH
from sslig.labels import KEYS
from sslig.models import named
from sslig.models.detector import fingerprint, select_device
from sslig.pipeline.segment import chosen
from sslig.study import Study


def baseline(
    study: Study, *, seed: int, detector: Path, corpus: Path, segments: Path, baseline: Path, nonspeech: Path
) -> None:
    """Average the features of bona fide utterances of *train*: over all frames, and over frames without speech.

    `segments` is the voice activity of the utterances of the second mean; `baseline` and `nonspeech` are written.
    """
    model, device = named.load(detector), select_device(study.device)
    train = protocol.load_set(corpus, study.corpus.reference)
    bonafide = train[train["label"] == KEYS["bonafide"]]
    source = {"set": study.corpus.reference, "key": "bonafide", "checkpoint": fingerprint(detector), "seed": seed}

    drawn = draw(bonafide, study.attribution.baseline_utterances, seed)
    mean = baselines.mean("bonafide_mean", model, drawn, study.scoring, device, source)
    baselines.save(baseline, mean)

    speech = {name: tiers[SPEECH] for name, tiers in by_utterance(pd.read_parquet(segments)).items()}
    drawn = chosen(study, corpus, "train")
    drawn = drawn[drawn["utterance"].isin(list(speech))].reset_index(drop=True)

    def without_speech(utterance: str, n_frames: int) -> np.ndarray:
        return speech[utterance].mask(model.clock, n_frames, NON_SPEECH)

    mean = baselines.mean("nonspeech_mean", model, drawn, study.scoring, device, source, without_speech)
    baselines.save(nonspeech, mean)
