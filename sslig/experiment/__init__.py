"""All values of a study in one file."""

from sslig.experiment.reading import derive, load
from sslig.experiment.values import (
    Artefacts,
    Attribution,
    Corpus,
    Evaluation,
    Experiment,
    ExperimentError,
    Masking,
    Scoring,
    Training,
)

__all__ = [
    "Artefacts",
    "Attribution",
    "Corpus",
    "Evaluation",
    "Experiment",
    "ExperimentError",
    "Masking",
    "Scoring",
    "Training",
    "derive",
    "load",
]
