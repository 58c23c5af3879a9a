"""What attribution methods need of a trained detector: every baseline, and real bona fide features."""

import dataclasses

from sslig.attribution import baselines
from sslig.attribution.contexts import BONAFIDE_MEAN, NONSPEECH, ZERO, Context, bonafide_draws
from sslig.corpora import protocol
from sslig.labels import KEYS
from sslig.models.detector import Detector, select_device
from sslig.corpora.sample import draw
from sslig.stages.attributed import baseline
from sslig.stages.masked import nonspeech_profile
from sslig.stages.trained import checkpoint, corpus
from sslig.study import Study

DRAWS = 8
"""Bona fide utterances of *train* that methods may start from: as many as they take by default."""


def context(experiment: Study, detector: str, seed: int) -> Context:
    """The baselines and draws of one trained detector; `Context.of` an utterance makes it that utterance's."""
    folder, device = checkpoint(experiment, detector, seed), select_device(experiment.device)
    model = Detector.from_pretrained(folder)
    mean = dataclasses.replace(experiment.attribution, baseline=BONAFIDE_MEAN)
    starts = {
        BONAFIDE_MEAN: baseline(dataclasses.replace(experiment, attribution=mean), detector, seed),
        ZERO: baselines.zero(model.backbone.n_layers, model.backbone.feature_size),
        NONSPEECH: nonspeech_profile(experiment, detector, seed),
    }
    train = protocol.load_set(corpus(experiment), "train")
    drawn = draw(train[train["label"] == KEYS["bonafide"]], DRAWS, seed)
    found = bonafide_draws(model, drawn, experiment.scoring, device)
    return Context(starts, found, experiment.attribution, seed)
