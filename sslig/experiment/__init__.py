"""All values of a study in one file."""

from sslig.experiment.explaining import Annotation, Artefacts, Attribution, Masking, Validation
from sslig.experiment.reading import derive, load
from sslig.experiment.values import Corpus, Evaluation, Experiment, ExperimentError, Scoring, Training

__all__ = [
    "Annotation",
    "Artefacts",
    "Attribution",
    "Corpus",
    "Evaluation",
    "Experiment",
    "ExperimentError",
    "Masking",
    "Scoring",
    "Training",
    "Validation",
    "derive",
    "load",
]
