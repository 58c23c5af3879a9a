"""The values of a study: one YAML file, one strict model."""

import argparse
import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from sslig import files
from sslig.errors import StudyError
from sslig.sources import SOURCES, Corpus, PlainName
from sslig.strata import PAPER, Stratum, differently_named
from sslig.values import find, leaves, project, validated

PLACEHOLDER = "FILL IN"
ADOPTED = {"checkpoint", "module"}
"""Keys of a detector that exists already."""
PLANTED = ("noise_floor", "phone_glitch", "boundary", "band", "band_stretch", "splice")

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(ge=0)]
Precision = Literal["32-true", "bf16-mixed"]


class Values(BaseModel):
    """Base of every section: frozen, and strict about keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Training(Values):
    """The recipe of a training, and how a run of it is logged and checkpointed.

    Attributes
    ----------
    epochs, steps_per_epoch
        Epochs at most, and batches in each; without a number, an epoch draws as many utterances as the set has.
    batch_size, accumulate
        Utterances in a batch over all processes, and batches whose gradients make one step.
    lr_backbone, lr_head, layer_decay
        Learning rates. With a decay below 1, each layer of the backbone has the rate of the layer above times it.
    schedule, lr_end
        ``constant``, ``exponential`` down to `lr_end` times the first rate, or ``one_cycle``.
    encoder, encoder_epochs
        The detector of the study, trained from the same seed, whose encoder the others start from; and its epochs
        where they are not those of the others.
    freeze_backbone, warmup_epochs
        Train the head alone, for all epochs or for the first ones.
    augmentation
        ``published``, a list of steps (`sslig.data.augment`), or none.
    patience
        Epochs without a lower dev minDCF after which training stops.
    average, average_of
        Average this many epochs, the ``best`` on dev or the ``last``, as a candidate beside the best epoch.
    checkpoint_steps, log_steps
        Optimiser steps between two checkpoints to resume from, and between two rows of the log.
    """

    epochs: Count = 10
    steps_per_epoch: Count | None = None
    batch_size: Count = 4
    crop_s: Seconds = 4.0
    lr_backbone: Rate = 1e-6
    lr_head: Rate = 1e-3
    weight_decay: Rate = 1e-2
    gradient_clip: Seconds | None = None
    encoder: PlainName | None = None
    encoder_epochs: Count | None = None
    freeze_backbone: bool = False
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    precision: Precision = "32-true"
    workers: Annotated[int, Field(ge=0)] = 0
    accumulate: Count = 1
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    schedule: Literal["constant", "exponential", "one_cycle"] = "constant"
    lr_end: Annotated[float, Field(gt=0, le=1)] = 0.01
    augmentation: str | list[Any] | None = None
    patience: Count | None = None
    average: Count | None = None
    average_of: Literal["best", "last"] = "best"
    checkpoint_steps: Count | None = 1000
    log_steps: Count = 10

    def decisive(self) -> dict[str, Any]:
        """The values that decide the result of a training, not its speed or its log."""
        values = self.model_dump(exclude={"workers", "checkpoint_steps", "log_steps"})
        return {key: value for key, value in values.items() if key not in ("encoder", "encoder_epochs") or value}

    def epochs_of(self, detector: str) -> int:
        """The epochs at most of a detector."""
        return self.encoder_epochs or self.epochs if detector == self.encoder else self.epochs


class Scoring(Values):
    """How utterances are scored: in full unless `crop_s` is given."""

    batch_size: Count = 16
    crop_s: Seconds | None = None
    max_s: Seconds = 60.0
    precision: Precision = "32-true"
    workers: Annotated[int, Field(ge=0)] = 0


class Evaluation(Values):
    """Bootstrap rounds of intervals and tests, and whom their claims are about.

    Attributes
    ----------
    resample_recordings
        Draw recordings within each speaker: claims are about these speakers. Else speakers are drawn: claims are about
        speakers at large, which fewer than six cannot decide.
    resample_attacks
        Draw attacks too, crossed with speakers or recordings: claims are about attacks at large.
    """

    rounds: Count = 1000
    resample_recordings: bool = False
    resample_attacks: bool = False


class Attribution(Values):
    """Which utterances are explained by which method, and when Integrated Gradients count as complete.

    `method` is a line such as ``ig(space=features)`` (`sslig.attribution.methods`); `baseline_utterances` are averaged
    for methods that start from a mean. `tolerance` is that of the sum, relative to F(x) - F(b), `map_tolerance` that of
    any frame, relative to the peak; a path of n steps, a power of 2, has n - 1 points.
    """

    utterances: Count = 60
    method: str = "expected_gradients(smooth_ms=100)"
    baseline_utterances: Count | None = 1000
    freeze_selection: bool = True
    tolerance: Annotated[float, Field(gt=0)] = 0.01
    map_tolerance: Annotated[float, Field(gt=0)] = 0.1
    min_steps: Annotated[int, Field(ge=2)] = 8
    max_steps: Annotated[int, Field(ge=2)] = 512


class Masking(Values):
    """Which cues are removed from which utterances, and what the change is compared with.

    Attributes
    ----------
    utterances
        Of *eval*, drawn evenly over classes and attacks; the explained utterances are the first of the same draw.
    masks, sweeps
        By name (`sslig.cues.masks`), and the same at other doses; none: those of the paper and the project's.
    draws
        Matched random controls of each mask and utterance.
    segments
        Sources of segments (`sslig.cues.segments`): one of speech, of voicing, of phones and of words.
    nonspeech_utterances
        Bona fide training utterances whose non-speech frames are averaged; none: all.
    """

    utterances: Count = 400
    masks: list[str] | None = None
    sweeps: list[str] | None = None
    draws: Count = 20
    rounds: Count = 5000
    segments: list[str] = ["vad", "voicing", "aligned:phones", "aligned:words"]
    nonspeech_utterances: Count | None = 1000
    workers: Count = 2


class Artefacts(Values):
    """Which utterances of *eval* are measured (none: all), and whether their pitch is followed, which takes longest."""

    utterances: Count | None = None
    f0: bool = True
    workers: Count = 2


class Validation(Values):
    """How explanations are tested.

    Attributes
    ----------
    planted, severity
        Kinds of planted cues (`sslig.corpora.planted`) on which detectors are trained, and other severities by kind.
    planted_recordings
        Bona fide recordings that receive a cue, at most, by set.
    start
        What the detectors of planted cues are trained from: ``backbone``, or ``study`` for the study's own detectors.
    training
        Keys of `Training` with other values for the detectors of planted cues.
    methods
        Attribution methods (`sslig.attribution.methods`); none: all that the head allows.
    planted_utterances, tuning_utterances, paired_utterances
        Explained spoofs that a detector detects: of each kind of planted cue in *eval*, and in *dev*, where the width
        of smoothing is chosen; and ordinary ones of *eval* whose originals are known.
    grid_passes
        Forward passes for a map in time and frequency (`sslig.attribution.grids`) of a spoof with a cue in one band.
    utterances, profile_utterances
        Explained utterances of *eval*: by every method for the tests of faithfulness and sanity, and for the cue
        profile (none: all).
    draws
        Matched random controls, and circular shifts that estimate chance.
    """

    planted: Annotated[list[str], Field(min_length=1)] = list(PLANTED)
    severity: dict[str, float] = {}
    planted_recordings: dict[Literal["train", "dev", "eval"], int | None] = {}
    start: Literal["backbone", "study"] = "backbone"
    training: dict[str, Any] = {}
    planted_utterances: Count = 60
    tuning_utterances: Count = 20
    paired_utterances: Count = 60
    grid_passes: Count = 512
    methods: list[str] | None = None
    utterances: Count = 40
    draws: Count = 20
    rounds: Count = 1000
    profile_utterances: Count | None = None


class Annotation(Values):
    """What annotators are asked, and what they are shown.

    Attributes
    ----------
    utterances
        Names of the utterances that are annotated; none: all that are explained.
    listen_first
        Show name, class and curves of an utterance only once the annotator has written what there is to hear.
    blind
        Hide label, scores and detectors for good; the detectors come in random order as A, B, C.
    decoys, repeats
        With `blind`: judge regions at random places too, as long as the real ones; and the share of the utterances that
        come twice, for the agreement of annotators with themselves.
    store
        The SQLite file below the runs of the study that every change is appended to.
    """

    utterances: list[str] | None = None
    listen_first: bool = True
    blind: bool = False
    decoys: bool = True
    repeats: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    store: PlainName = "annotations.sqlite"


class Shards(Values):
    """Into how many files and jobs the long steps are split; a killed job loses one of them."""

    score: Count = 1
    attribute: Count = 1
    mask: Count = 1
    measure: Count = 1
    profile: Count = 1


class Study(Values):
    """A study: corpus, backbone, detectors, seeds and the values of each step.

    Attributes
    ----------
    backbone
        Name or folder of a Hugging Face encoder, or values with `model_type` for one with random weights; none where
        nothing is trained.
    detectors
        By name: ``{"head": ..., other arguments of that head}`` to train one, or ``{"checkpoint": ...}`` or
        ``{"module": ...}`` with the values of `sslig.models.named` for one that exists.
    selection
        In the order in which the strata draw.
    """

    name: PlainName
    corpus: Corpus
    backbone: str | dict[str, Any] | None = None
    detectors: Annotated[dict[PlainName, dict[str, Any]], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    training: Training = Training()
    scoring: Scoring = Scoring()
    evaluation: Evaluation = Evaluation()
    attribution: Attribution = Attribution()
    masking: Masking = Masking()
    artefacts: Artefacts = Artefacts()
    validation: Validation = Validation()
    annotation: Annotation = Annotation()
    shards: Shards = Shards()
    selection: Annotated[list[Stratum], Field(min_length=1), AfterValidator(differently_named)] = PAPER
    device: str = "auto"

    _path: Path = PrivateAttr(default=Path())
    _root: Path = PrivateAttr(default=Path())
    _folder: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The experiment file."""
        return self._path

    @property
    def root(self) -> Path:
        """The folder that relative paths start at."""
        return self._root

    @property
    def corpus_root(self) -> Path:
        """Folder of the tables of the corpus: that of the corpus, or one of this study for a corpus that is read."""
        return self.runs / "corpus" if self.corpus.is_read else self.root / self.corpus.root

    @property
    def sound_root(self) -> Path:
        """Folder that holds every sound file of the corpus; a manifest may name files anywhere."""
        return Path("/") if self.corpus.source == "manifest" else self.root / self.corpus.root

    @property
    def tests_root(self) -> Path:
        """Folder of the tables of ``corpus.tests``."""
        return self.runs / "tests"

    @property
    def runs(self) -> Path:
        """Folder of everything this study makes; for a study of planted cues, a folder below that of its parent."""
        return self.root / "runs" / self.name / self._folder

    def run(self, detector: str, seed: int) -> Path:
        """Folder of one detector trained from one seed; `StudyError` where the study has no such."""
        self.detector(detector)
        if seed not in self.seeds:
            raise StudyError(f"{self.path}: seed {seed} is not among its seeds {self.seeds}")
        return self.runs / detector / f"seed{seed}"

    def detector(self, name: str) -> dict[str, Any]:
        """The values of the detector called `name`."""
        if name not in self.detectors:
            raise StudyError(f"{self.path}: unknown detector {name!r}; it has {', '.join(self.detectors)}")
        return self.detectors[name]

    @property
    def adopted(self) -> list[str]:
        """The detectors that exist already: nothing trains them."""
        return [name for name, values in self.detectors.items() if ADOPTED & set(values)]

    def checkpoint(self, name: str) -> dict[str, Any]:
        """The values of a detector that exists; a path that lies below `root` becomes that path."""
        values = dict(self.detector(name))
        place = self.root / str(values.get("checkpoint"))
        return values | {"checkpoint": str(place)} if "checkpoint" in values and place.exists() else values

    @model_validator(mode="after")
    def _trained_from_something(self) -> Self:
        if self.backbone is None and (trained := sorted(set(self.detectors) - set(self.adopted))):
            raise ValueError(f"backbone is missing, and {trained[0]} is trained from it")
        return self

    def backbone_source(self) -> str | dict[str, Any]:
        """The backbone; a name that is a folder below `root` becomes that folder."""
        if isinstance(self.backbone, str) and (self.root / self.backbone).is_dir():
            return str(self.root / self.backbone)
        return self.backbone

    def planted(self, kind: str) -> "Study":
        """The study of one kind of planted cue: another corpus, and the recipe of ``validation.training``."""
        root, recordings = f"corpora/{self.name}-planted/{kind}", self.validation.planted_recordings
        corpus = Corpus(source=f"planted:{kind}", root=root, seed=self.corpus.seed, recordings=recordings)
        values = self.training.model_dump(exclude={"encoder", "encoder_epochs"}) | self.validation.training
        recipe = validated(Training, values, self.path, "validation.training")
        derived = self.model_copy(update={"corpus": corpus, "training": recipe})
        derived._path, derived._root, derived._folder = self._path, self._root, f"planted/{kind}"
        return derived


def load(path: str | os.PathLike) -> Study:
    """The study at `path`, which may also be relative to a folder above the current one.

    Raises
    ------
    StudyError
        The file is missing or faulty, or a value still has to be filled in.
    """
    file = find(Path(path))
    values = files.read_yaml(file)
    blank = [name for name, value in leaves(values) if isinstance(value, str) and PLACEHOLDER in value]
    if blank:
        raise StudyError(f"{file}: still to be filled in: {', '.join(blank)}")
    study = validated(Study, values, file)
    if (encoder := study.training.encoder) not in (None, *study.detectors):
        raise StudyError(f"{file}: training.encoder is {encoder!r}; accepted: {', '.join(study.detectors)}")
    study._path, study._root = file, project(file)
    return study


def derive(path: str | os.PathLike, source: str) -> Path:
    """Write the experiment at `path` with another corpus `source` beside its runs, and return the new file."""
    base = load(path)
    values, label = files.read_yaml(base.path), source
    if Path(source).expanduser().is_dir():
        source = str(Path(source).expanduser().resolve())
        # The hash keeps two folders of one name apart.
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source).name).strip("-")
        label = f"{slug}-{hashlib.sha256(source.encode()).hexdigest()[:6]}"
    elif source not in SOURCES:
        raise StudyError(f"CORPUS={source}: no such folder; accepted: {', '.join(SOURCES)}, a folder")
    values["name"] = f"{base.name}-{label}"
    values["corpus"] = values["corpus"] | {"source": source, "root": f"corpora/{values['name']}"}
    target = base.root / "runs" / values["name"] / "experiment.yaml"
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        files.write_text(target, text)
    return target


def main() -> None:
    """Print the path of the experiment file for a corpus source, or the folder of what the study makes."""
    parser = argparse.ArgumentParser(prog="python -m sslig.study", description=main.__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--corpus", default="", help="voices, prompts, synthetic or a folder of recordings")
    parser.add_argument("--runs", action="store_true", help="print the folder of what the study makes instead")
    options = parser.parse_args()
    try:
        study = load(options.experiment)
        same = options.corpus in ("", study.corpus.source)
        print(study.runs if options.runs else study.path if same else derive(options.experiment, options.corpus))
    except StudyError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
