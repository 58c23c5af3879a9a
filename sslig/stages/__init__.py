"""The steps of a study, each done once: read from disk where made with the same values, else made now."""

from sslig.stages.attributed import (
    EXPLAINED_SET,
    attribute,
    attributions,
    baseline,
    explained,
    free_attributions,
)
from sslig.stages.faithful import faithful
from sslig.stages.localised import (
    detected,
    localised,
    localised_costs,
    localised_maps,
    localised_summary,
)
from sslig.stages.masked import (
    interventions,
    mask_jobs,
    masked,
    masked_utterances,
    nonspeech_profile,
    segment,
    segment_sources,
    segmented,
    tiers_by_utterance,
)
from sslig.stages.measured import measured_utterances, measures
from sslig.stages.profiled import (
    profile,
    profile_left_out,
    profile_summary,
    profiled,
    profiled_parts,
    profiled_utterances,
)
from sslig.stages.sane import sane, stable
from sslig.stages.scored import score, set_scores
from sslig.stages.trained import READY_MADE, checkpoint, corpus, epochs
from sslig.stages.validating import validated_utterances

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
    "detected",
    "epochs",
    "explained",
    "faithful",
    "free_attributions",
    "fused",
    "interventions",
    "localised",
    "localised_costs",
    "localised_maps",
    "localised_summary",
    "mask_jobs",
    "masked",
    "masked_utterances",
    "measured_utterances",
    "measures",
    "nonspeech_profile",
    "profile",
    "profile_left_out",
    "profile_summary",
    "profiled",
    "profiled_parts",
    "profiled_utterances",
    "sane",
    "score",
    "segment",
    "segment_sources",
    "segmented",
    "set_scores",
    "stable",
    "tiers_by_utterance",
    "validated_utterances",
]
