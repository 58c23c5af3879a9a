"""The values of a study: a dataclass a section, and the paths that follow from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslig.experiment.explaining import Annotation, Artefacts, Attribution, Masking, Validation


class ExperimentError(ValueError):
    """An experiment file that cannot be used; the message names the file, the key and what is accepted."""


@dataclass(frozen=True)
class Corpus:
    """Where the recordings are and, for the demo, what they are made from.

    `source` is ``prompts``, ``synthetic``, a folder of own recordings, or ``asvspoof5`` for a corpus that lies at
    `root` already.
    """

    source: str
    root: str
    seed: int = 0
    recordings: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """The recipe, and how a run of it is watched and kept.

    Attributes
    ----------
    epochs, steps_per_epoch
        At most so many epochs of so many batches; none: as many as draw as many utterances as the training set has.
    batch_size, accumulate
        Utterances of a batch, over all processes together; and batches whose gradients make one step.
    crop_s
        Length of every training crop.
    lr_backbone, lr_head, layer_decay
        Learning rates; with a decay below 1 each layer of the backbone has the rate of the layer above it times it.
    backbone_gradient
        Factor of the gradient that enters the backbone. AdamW divides a gradient by its own size, so a factor acts on
        clipping alone; to train the backbone more slowly, lower `lr_backbone`.
    schedule, lr_end
        Of both rates, step by step over all epochs: ``constant``, ``exponential`` down to `lr_end` of the first rate,
        or ``one_cycle`` up to the rates and down.
    weight_decay, gradient_clip
        Of AdamW; and the largest norm of the gradient that is let through (none lets all through).
    freeze_backbone, warmup_epochs
        Train the head alone, for good or in the first epochs.
    augmentation
        ``published``, a list of steps (`sslig.data.augment`), or none.
    patience
        Epochs without a lower dev minDCF after which training stops; none: never.
    average, average_of
        So many epochs, the ``best`` on dev or the ``last``, are averaged to a candidate besides the best epoch.
    precision
        ``32-true`` or ``bf16-mixed``.
    workers
        Reading processes, of each training process.
    checkpoint_steps, log_steps
        Optimiser steps from one checkpoint to resume from to the next (none: one before the end of each epoch and one
        after it), and from one row of the log to the next.
    tensorboard
        Whether the log is kept for TensorBoard too.
    progress
        Whether a bar is shown; none: where standard error is a terminal.
    """

    epochs: int = 10
    steps_per_epoch: int | None = None
    batch_size: int = 4
    crop_s: float = 4.0
    lr_backbone: float = 1e-6
    lr_head: float = 1e-3
    weight_decay: float = 1e-2
    gradient_clip: float | None = None
    freeze_backbone: bool = False
    warmup_epochs: int = 0
    precision: str = "32-true"
    workers: int = 0
    accumulate: int = 1
    layer_decay: float = 1.0
    backbone_gradient: float = 1.0
    schedule: str = "constant"
    lr_end: float = 0.01
    augmentation: str | list[Any] | None = None
    patience: int | None = None
    average: int | None = None
    average_of: str = "best"
    checkpoint_steps: int | None = 1000
    log_steps: int = 10
    tensorboard: bool = False
    progress: bool | None = None


@dataclass(frozen=True)
class Scoring:
    """How utterances are scored: in full by default (`crop_s` none)."""

    batch_size: int = 16
    crop_s: float | None = None
    max_s: float = 60.0
    precision: str = "32-true"
    workers: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Bootstrap rounds of the intervals, and whether recordings are resampled within each drawn speaker."""

    rounds: int = 1000
    resample_recordings: bool = False


@dataclass(frozen=True)
class Experiment:
    """A study: corpus, backbone, detectors, seeds and the values of each step.

    Attributes
    ----------
    backbone
        Name or folder of a Hugging Face encoder, or values with `model_type` for one with random weights.
    detectors
        By name: ``{"head": ..., other arguments of that head}``.
    selection
        Strata of the utterances worth listening to (`sslig.selection`); none: those of the paper.
    device
        ``auto``, ``cpu``, ``cuda`` ...
    path, root
        The file this was read from, and the folder that relative paths start at.
    start
        The study whose trained detectors the training of this one goes on from, in place of a backbone and a random
        head; no key of a file, since only studies derived from others have one.
    """

    name: str
    corpus: Corpus
    backbone: str | dict[str, Any]
    detectors: dict[str, dict[str, Any]]
    seeds: list[int]
    path: Path
    root: Path
    start: "Experiment | None" = None
    training: Training = field(default_factory=Training)
    scoring: Scoring = field(default_factory=Scoring)
    evaluation: Evaluation = field(default_factory=Evaluation)
    attribution: Attribution = field(default_factory=Attribution)
    masking: Masking = field(default_factory=Masking)
    artefacts: Artefacts = field(default_factory=Artefacts)
    validation: Validation = field(default_factory=Validation)
    annotation: Annotation = field(default_factory=Annotation)
    selection: list[dict[str, Any]] | None = None
    device: str = "auto"

    @property
    def corpus_root(self) -> Path:
        """Folder of the corpus in the ASVspoof 5 layout."""
        return self.root / self.corpus.root

    @property
    def runs(self) -> Path:
        """Folder of everything this study makes."""
        return self.root / "runs" / self.name

    def run(self, detector: str, seed: int) -> Path:
        """Folder of one detector trained from one seed."""
        self.detector(detector)
        if seed not in self.seeds:
            raise ExperimentError(f"{self.path}: seed {seed} is not among its seeds {self.seeds}")
        return self.runs / detector / f"seed{seed}"

    def detector(self, name: str) -> dict[str, Any]:
        """The values of the detector called `name`."""
        if name not in self.detectors:
            raise ExperimentError(f"{self.path}: unknown detector {name!r}; it has {', '.join(self.detectors)}")
        return self.detectors[name]

    def backbone_source(self) -> str | dict[str, Any]:
        """The backbone; a name that is a folder below `root` becomes that folder."""
        if isinstance(self.backbone, str) and (self.root / self.backbone).is_dir():
            return str(self.root / self.backbone)
        return self.backbone
