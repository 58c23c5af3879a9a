"""The steps of a study, each done once: read from disk where made with the same values, else made now."""

from sslig.stages.attributed import (
    EXPLAINED_SET,
    attribute,
    attributions,
    baseline,
    explained,
    free_attributions,
)
from sslig.stages.scored import score, set_scores
from sslig.stages.trained import READY_MADE, checkpoint, corpus, epochs

__all__ = [
    "EXPLAINED_SET",
    "RATIO",
    "READY_MADE",
    "attribute",
    "attributions",
    "baseline",
    "calibrated",
    "checkpoint",
    "corpus",
    "epochs",
    "explained",
    "free_attributions",
    "fused",
    "score",
    "set_scores",
]
