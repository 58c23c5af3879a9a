"""The values of a study that decide how its detectors are explained, a dataclass a section."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Attribution:
    """Integrated Gradients: which utterances, from which baseline, and when it counts as complete."""

    utterances: int = 60
    baseline: str = "bonafide_mean"
    baseline_utterances: int | None = 1000
    freeze_selection: bool = True
    tolerance: float = 0.01
    min_steps: int = 16
    max_steps: int = 512


@dataclass(frozen=True)
class Masking:
    """Which cues are taken away, from which utterances, and what a drop is compared with.

    Attributes
    ----------
    utterances
        Of *eval*, drawn evenly over classes and attacks; the explained ones are among them where these are more.
    masks
        By name (`sslig.cues.interventions`); none: `sslig.cues.masking.MASKS`.
    sweeps
        Masks with other parameters, for the dose-response curves.
    draws
        Matched random controls of each mask and utterance.
    rounds
        Bootstrap rounds of the intervals and tests.
    segments
        Sources of the places of masks (`sslig.cues.segments`): one of speech, of voicing, of phones and of words.
    profile_utterances
        Bona fide training utterances that the non-speech profile is averaged over; none: all.
    waveform_masks_per_job
        How many masks in the waveform one job does; each needs the backbone again for every control.
    workers
        Processes that decode segments.
    """

    utterances: int = 400
    masks: list[str] | None = None
    sweeps: list[str] | None = None
    draws: int = 20
    rounds: int = 5000
    segments: list[str] = field(default_factory=lambda: ["vad", "voicing", "pocketsphinx:phones", "pocketsphinx:words"])
    profile_utterances: int | None = 1000
    waveform_masks_per_job: int = 1
    workers: int = 2


@dataclass(frozen=True)
class Artefacts:
    """Which utterances of *eval* are measured (none: all), and whether their pitch is followed, which takes longest."""

    utterances: int | None = None
    f0: bool = True
    workers: int = 2


@dataclass(frozen=True)
class Validation:
    """How explanations are put to the test.

    Attributes
    ----------
    planted
        Kinds of planted cues (`sslig.data.planted`) that detectors are trained on, whose place is known.
    severity
        By kind, in place of its own.
    planted_recordings
        Bona fide recordings of each set that cues are planted in, at most, by set; a set that is not named gives all.
    start
        What the detectors of planted cues are trained from: ``backbone``, as those of the study are, or ``study``, the
        study's own trained detectors.
    training
        Keys of the study's `training` with other values for the detectors of planted cues.
    planted_utterances
        Detected spoofs of each kind that are explained.
    methods
        Attribution methods (`sslig.attribution.methods`); none: all that the detector allows.
    utterances
        Of *eval*, explained by every method and put to the tests of faithfulness on the ordinary detectors.
    draws
        Matched random controls of each mask; and circular shifts that chance is estimated from.
    rounds
        Bootstrap rounds of the intervals.
    profile_utterances
        Of *eval*, explained for the cue profile; none: all.
    """

    planted: list[str] = field(default_factory=lambda: ["noise_floor", "phone_glitch", "boundary", "band", "splice"])
    severity: dict[str, float] = field(default_factory=dict)
    planted_recordings: dict[str, int | None] = field(default_factory=dict)
    start: str = "backbone"
    training: dict[str, Any] = field(default_factory=dict)
    planted_utterances: int = 60
    methods: list[str] | None = None
    utterances: int = 40
    draws: int = 20
    rounds: int = 1000
    profile_utterances: int | None = None


@dataclass(frozen=True)
class Annotation:
    """Who marks what, and what they are told.

    Attributes
    ----------
    utterances
        Names of the utterances that are annotated; none: all that are explained.
    blind
        Hides label, scores and detectors, which come in random order as A, B, C.
    decoys
        With `blind`: regions at random places, as long as the real ones, stand among them to be judged too.
    repeats
        With `blind`: share of the utterances that come twice, for the agreement of an annotator with themselves.
    store
        The SQLite file below the runs of the study that every change is appended to.
    """

    utterances: list[str] | None = None
    blind: bool = False
    decoys: bool = True
    repeats: float = 0.1
    store: str = "annotations.sqlite"
