"""The masks: what may be done to features or to a recording, and where, written as one line of text.

``noise``, ``noise(alpha=0.5)``, ``phone:vowel``, ``band(lo_hz=600, hi_hz=1200)``, ``top_attribution(percent=10)``,
``codec:opus(quality=2)``, ``time:non_speech(fill=silence)``: a name and, where it has any, its parameters. Where the
released code finds a place wrongly, the default is the corrected place and ``published=true`` the released one.

References
----------
"What Do Deepfake Speech Detectors Actually Hear?", arXiv 2606.10912, section on causal masking, and its release.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslig import specs
from sslig.corpora import codecs
from sslig.cues import edits, phones, voice
from sslig.cues.tiers import Tier, near
from sslig.data import fills
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.specs import Parameter

FEATURE, WAVEFORM = "feature", "waveform"
SHIFT, BAND, CUT = "shift", "band", "cut"

PAPER = ("noise", "phonemes", "word_boundaries", "spectral", "volume", "compressor")
"""The six masks of the paper."""

MASKS = (
    *PAPER,
    *(f"phone:{name}" for name in phones.CLASSES),
    *("onsets", "speech_edges", "top_attribution(percent=10)", "bottom_attribution(percent=10)"),
    *("time:non_speech(fill=noise)", "time:non_speech(fill=silence)", "time:energy(fill=interpolation)"),
    *("time:top_attribution(percent=10, fill=interpolation)", "band(lo_hz=0, hi_hz=300)"),
    *("band(lo_hz=4000, hi_hz=8000)", "lowpass(cutoff_hz=4000)", "codec:opus", "trim_silence"),
)
"""The masks of a study that names none: those of the paper first."""

SWEEPS = (
    *(f"noise(alpha={alpha})" for alpha in (0.3, 0.6, 1)),
    *(f"phonemes(quantile={quantile})" for quantile in (0.5, 0.9)),
    *(f"{end}_attribution(percent={percent})" for end in ("top", "bottom") for percent in (5, 20, 40)),
)
"""The same at other doses, for a study that names none."""

PUBLISHED = "published:"
"""Stands before the name of a place that is found as the released code finds it."""

CHANGE_WIDTH_MS = 40.0
"""A frame is at a change where its centre lies within half of this."""

EMISSIONS = "emissions"
ENERGY, TOP, BOTTOM, EDGE_SILENCE = "energy", "top_attribution", "bottom_attribution", "edge_silence"


@dataclass(frozen=True)
class Place:
    """Frames in words, and by a tier: stretches with some labels or classes of phones, or where these change."""

    frames: str
    tier: str | None = None
    labels: tuple[str, ...] | None = None
    at_changes: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


_PERCENT = {"percent": Parameter(None, 0, 99)}
_QUANTILE = {"quantile": Parameter(0.75, 0, 1)}

PLACES: Mapping[str, Place] = MappingProxyType(
    {
        "non_speech": Place("Frames without speech", "speech", voice.NON_SPEECH),
        ENERGY: Place("The frames above quantile {quantile:g} of the energy", parameters=_QUANTILE),
        "word_boundaries": Place("Frames at word boundaries", "words", at_changes=True),
        "onsets": Place("Frames where voicing begins or ends", "voicing", ("voiced",), at_changes=True),
        "speech_edges": Place("Frames where speech begins or ends", "speech", (voice.SPEECH,), at_changes=True),
        "pauses": Place("Frames of pauses inside the speech", "speech", ("pause",)),
        TOP: Place("The {percent:g} % of frames with the highest attribution", parameters=_PERCENT),
        BOTTOM: Place("The {percent:g} % of frames with the lowest attribution", parameters=_PERCENT),
        **{f"phone:{name}": Place(f"Frames of the phone class {name}", "phones", (name,)) for name in phones.CLASSES},
    }
)
"""The places by name."""


@dataclass(frozen=True)
class Definition:
    """A `Mask` before its parameters have values; they stand in braces in its description.

    `function` maps (batch, samples) and the parameters to what becomes of whole recordings.
    """

    name: str
    space: str
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    place: str | None = None
    control: str | None = None
    function: Callable[..., Tensor] | None = None


@dataclass(frozen=True)
class Mask:
    """A mask with the values of its parameters.

    Attributes
    ----------
    spec, name, description
        The canonical text (parameters in the order of the registry, defaults left out), the key in `REGISTRY`, and one
        plain sentence.
    place
        Where the mask acts: one of `PLACES`, with `PUBLISHED` before it where it is found as released, or
        `EDGE_SILENCE`; None for the whole recording.
    control
        `SHIFT` (frames elsewhere), `BAND` (a band as wide elsewhere), `CUT` (as much cut elsewhere), or None where
        nothing can be moved.
    """

    spec: str
    name: str
    space: str
    parameters: Mapping[str, Any] = field(hash=False)
    place: str | None
    control: str | None
    description: str

    def features(self, features: Tensor, frames: Tensor, profile: Tensor | None = None) -> Tensor:
        """Mask (batch, layer, frame, feature) features on (batch, frame) bool `frames`, those of `place`.

        Only ``noise`` needs the `profile`, (layer, feature) mean bona fide non-speech features.
        """
        if self.name != "noise":
            return fills.from_nearest(features, frames)
        return edits.towards_profile(features, frames, profile, self.parameters["alpha"])

    def waveforms(self, waveforms: Tensor, frames: Tensor, clock: FrameClock, generator: torch.Generator) -> Tensor:
        """Mask (batch, samples) waveforms on (batch, frame) bool `frames`, those of `place`, with noise of `generator`.

        ``trim_silence`` returns fewer samples.
        """
        if self.place is None:
            return REGISTRY[self.name].function(waveforms, **self.parameters)
        if self.control == CUT:
            return edits.cut(waveforms, frames, clock)
        return fills.replaced(waveforms, frames, clock, self.parameters["fill"], generator)


def parse(spec: str) -> Mask:
    """The mask that a line such as ``band(lo_hz=600, hi_hz=1200)`` names; an InputError lists what is accepted."""
    definition, parameters = specs.read(spec, REGISTRY, "mask")
    if "lo_hz" in parameters and parameters["lo_hz"] >= parameters["hi_hz"]:
        raise InputError(
            f"{spec!r}: a band from {parameters['lo_hz']:g} to {parameters['hi_hz']:g} Hz; accepted: lo_hz below hi_hz"
        )
    published = parameters.get("published", False)
    as_released = " They are found as the released code finds them." if published else ""
    return Mask(
        spec=specs.written(definition.name, definition.parameters, parameters),
        name=definition.name,
        space=definition.space,
        parameters=parameters,
        place=PUBLISHED + definition.place if published else definition.place,
        control=definition.control,
        description=definition.description.format_map(parameters) + as_released,
    )


def of_study(masks: Sequence[str] | None, sweeps: Sequence[str] | None) -> dict[Mask, dict[str, Any]]:
    """The masks of a study and the same at other doses, each once and in order, with what a table says of them.

    `masks` and `sweeps` are lines for `parse`; None stands for `MASKS` and `SWEEPS`.

    Returns
    -------
    dict
        Mask -> its ``mask`` (canonical text), ``name``, ``space``, ``place``, ``control`` and ``description``, whether
        it is of the study's masks (``chosen``; the others are only swept) and of the ``paper``, its place in the
        ``order`` of the study, and the ``family`` of masks that are equal in all parameters but one number, that
        ``parameter`` and its ``value``; empty and NaN where the mask is in no family.

    Raises
    ------
    InputError
        A mask is not accepted; or a mask of `sweeps` differs from no other mask in one number alone, or a mask stands
        in two families.
    """
    chosen = list(map(parse, MASKS if masks is None else masks))
    swept = list(map(parse, SWEEPS if sweeps is None else sweeps))
    every = list(dict.fromkeys((*chosen, *swept)))
    families = _families(swept, every)
    no_family = {"family": "", "parameter": "", "value": math.nan}
    return {
        mask: {
            "mask": mask.spec,
            **{name: getattr(mask, name) or "" for name in ("name", "space", "place", "control", "description")},
            "chosen": mask in chosen,
            "paper": mask.spec in PAPER,
            "order": order,
            **families.get(mask, no_family),
        }
        for order, mask in enumerate(every)
    }


def _families(swept: Sequence[Mask], every: Sequence[Mask]) -> dict[Mask, dict[str, Any]]:
    curves: dict[tuple[str, str], list[Mask]] = {}
    for mask in every:
        for name in _numbers(mask):
            fixed = {key: value for key, value in mask.parameters.items() if key != name}
            family = specs.written(mask.name, REGISTRY[mask.name].parameters, fixed)
            curves.setdefault((family, name), []).append(mask)
    families: dict[Mask, dict[str, Any]] = {}
    for (family, name), masks in curves.items():
        for mask in masks if len(masks) > 1 and not set(masks).isdisjoint(swept) else ():
            row = {"family": family, "parameter": name, "value": float(mask.parameters[name])}
            if families.setdefault(mask, row) != row:
                raise InputError(
                    f"masking.sweeps: {mask.spec} stands in two curves, by {families[mask]['parameter']} and by "
                    f"{name}; accepted: one parameter of a mask at a time"
                )
    alone = [mask for mask in swept if mask not in families]
    if alone:
        raise InputError(
            f"masking.sweeps: {alone[0].spec} differs from no other mask in one number alone; accepted: at least two "
            "masks of one name, in masking.sweeps or one of them in masking.masks, that are equal but for "
            f"{' or '.join(_numbers(alone[0])) or 'a number; it has none'}"
        )
    return families


def _numbers(mask: Mask) -> list[str]:
    return [name for name, value in mask.parameters.items() if type(value) in (int, float)]


def _at_places() -> Iterator[Definition]:
    """Masks of frames, of SSL features first and then of the recording."""
    published = {"published": Parameter(False, words=("false", "true"))}
    pulled = "Frames without speech are pulled a share of {alpha:g} of the way to the mean bona fide non-speech frame."
    yield Definition("noise", FEATURE, pulled, {"alpha": Parameter(0.9, 0, 1)} | published, "non_speech", SHIFT)
    for name, place in PLACES.items():
        if name != "non_speech":
            sentence = f"{place.frames} are replaced by the mean of the nearest kept frame before and after."
            parameters = place.parameters | (published if name == "word_boundaries" else {})
            yield Definition("phonemes" if name == ENERGY else name, FEATURE, sentence, parameters, name, SHIFT)
    fill = {"fill": Parameter(None, words=fills.FILLS)}
    for name, place in PLACES.items():
        sentence = f"{place.frames} are replaced by {{fill}} in the recording."
        yield Definition(f"time:{name}", WAVEFORM, sentence, fill | place.parameters, name, SHIFT)


def _of_recordings() -> Iterator[Definition]:
    """Masks of a whole recording, or of its ends."""
    nyquist_hz, gain = edits.NYQUIST_HZ, {"gain": Parameter(0.1, 0, 10)}
    edges = {"lo_hz": Parameter(None, 0, nyquist_hz), "hi_hz": Parameter(None, 0, nyquist_hz)}
    spectral = {"lo_hz": Parameter(600.0, 0, nyquist_hz), "hi_hz": Parameter(1200.0, 0, nyquist_hz)}
    compressor = {
        "threshold_db": Parameter(-20.0, -80, 0),
        "ratio": Parameter(4.0, 1, 100),
        "makeup_db": Parameter(10.0, 0, 60),
        "attack_ms": Parameter(0.0, 0, 1000),
        "release_ms": Parameter(0.0, 0, 5000),
    }
    scaled = "Frequencies from {lo_hz:g} to {hi_hz:g} Hz are multiplied by {gain:g}."
    squeezed = (
        "Levels above {threshold_db:g} dB are compressed {ratio:g}:1, all is raised by {makeup_db:g} dB and limited at "
        "full scale (attack {attack_ms:g} ms, release {release_ms:g} ms)."
    )
    lowpass, cutoff = "Frequencies of {cutoff_hz:g} Hz and above are removed.", Parameter(None, 1, nyquist_hz - 1)
    coded = "The recording is encoded and decoded with {}"
    whole = {
        "spectral": (scaled, spectral | gain, edits.band_gain),
        "band": (scaled, edges | gain, edits.band_gain),
        "volume": ("The recording is multiplied by {gain:g}.", gain, lambda waveforms, gain: gain * waveforms),
        "compressor": (squeezed, compressor, edits.compressed),
        "lowpass": (lowpass, {"cutoff_hz": cutoff}, edits.lowpass),
    }
    for codec in (*codecs.CODECS.values(), codecs.G722):
        rates, name = len(codec.bit_rates), "".join(filter(str.isalnum, codec.name)).lower()
        sentence = coded.format(codec.name) + (", quality {quality}." if rates else ".")
        parameters = {"quality": Parameter(1, 1, rates)} if rates else {}
        whole[f"codec:{name}"] = (sentence, parameters, partial(edits.coded, codec=codec))
    for name, (sentence, parameters, function) in whole.items():
        control = BAND if "lo_hz" in parameters else None
        yield Definition(name, WAVEFORM, sentence, parameters, control=control, function=function)
    trimmed = "The silence before and after the speech is cut off."
    yield Definition("trim_silence", WAVEFORM, trimmed, place=EDGE_SILENCE, control=CUT)


REGISTRY: Mapping[str, Definition] = MappingProxyType(
    {definition.name: definition for definition in (*_at_places(), *_of_recordings())}
)
"""Every mask by name."""


def frame_mask(name: str, tiers: Mapping[str, Tier], clock: FrameClock, n_frames: int) -> np.ndarray:
    """(frame,) bool: the frames of a place that a tier gives; all False where the tier has nothing of the kind.

    An InputError says that no tier gives a place of this name, or that the tier is not among `tiers`.
    """
    by_tier = [key for key, place in PLACES.items() if place.tier]
    if name not in by_tier:
        raise InputError(f"unknown place {name!r} of a tier; accepted: {', '.join(by_tier)}")
    place = PLACES[name]
    if place.tier not in tiers:
        raise InputError(f"place {name!r} is in the tier {place.tier!r}; there are {', '.join(tiers) or 'none'}")
    tier, labels = tiers[place.tier], place.labels
    if place.at_changes:
        return near(tier.changes_s(labels), clock, n_frames, CHANGE_WIDTH_MS)
    if place.tier == "phones":
        labels = {label for label in set(tier.labels) if phones.class_of(label) in place.labels}
    return tier.mask(clock, n_frames, labels)


@dataclass(frozen=True)
class Places:
    """What gives places, by utterance: its tiers (`sslig.cues.segments.by_utterance`) and its (frame,) attribution."""

    tiers: Mapping[str, Mapping[str, Tier]]
    attributions: Mapping[str, np.ndarray] = field(default_factory=dict)

    def mask(self, mask: Mask, utterance: str, waveform: Tensor, clock: FrameClock, n_read: int) -> Tensor | None:
        """(1, frame) bool: where a mask acts; all frames where it has no place, None where the place is unknown.

        A place is unknown where an utterance has no attribution or no tiers. Tiers cover a recording once, so their
        places are unknown where it was repeated to fill a crop. The (1, samples) waveform is trimmed to whole frames;
        attributions rank only the `n_read` frames that the head reads. An InputError says that the place needs a tier
        that was not decoded, or that an attribution has another number of frames.
        """
        n_frames, place = clock.n_frames(waveform.shape[1]), mask.place
        if place is None:
            return torch.ones(1, n_frames, dtype=torch.bool, device=waveform.device)
        if place == ENERGY:
            return edits.high_energy(waveform, clock, mask.parameters["quantile"])
        if place in (TOP, BOTTOM):
            ranked = self._ranked(place, mask.parameters["percent"], utterance, n_frames, n_read)
            return None if ranked is None else ranked.to(waveform.device)
        if utterance not in self.tiers or self._repeated(utterance, n_frames, clock):
            return None
        return self._in_tiers(place, utterance, n_frames, clock).to(waveform.device)

    def _ranked(self, place: str, percent: float, utterance: str, n_frames: int, n_read: int) -> Tensor | None:
        if utterance not in self.attributions:
            return None
        attribution = torch.tensor(self.attributions[utterance])[None]  # (1, frame)
        if attribution.shape[1] != n_frames:
            raise InputError(
                f"{utterance}: an attribution of {attribution.shape[1]} frames for {n_frames} frames; explain it with "
                "the crop it is masked with"
            )
        return edits.top_frames(attribution if place == TOP else -attribution, percent, n_read)

    def _repeated(self, utterance: str, n_frames: int, clock: FrameClock) -> bool:
        duration_s = min(tier.duration_s for tier in self.tiers[utterance].values())
        return clock.n_samples(n_frames) > duration_s * SAMPLE_RATE_HZ + 1

    def _in_tiers(self, place: str, utterance: str, n_frames: int, clock: FrameClock) -> Tensor:
        tiers = self.tiers[utterance]
        if place == EDGE_SILENCE:
            return edits.edge_runs(torch.from_numpy(frame_mask("non_speech", tiers, clock, n_frames))[None])
        if not place.startswith(PUBLISHED):
            return torch.from_numpy(frame_mask(place, tiers, clock, n_frames))[None]
        if EMISSIONS not in tiers:
            raise InputError(
                f"{place}: the released code finds it by CTC tokens and {utterance} has none; add "
                "ctc:emissions:<model> to masking.segments, such as that of facebook/wav2vec2-base-960h"
            )
        blank, delimiter = (
            torch.from_numpy(tiers[EMISSIONS].mask(clock, n_frames, {label}))[None]
            for label in (phones.BLANK, phones.DELIMITER)
        )
        is_boundary = place.removeprefix(PUBLISHED) == "word_boundaries"
        return edits.published_word_boundaries(blank, delimiter) if is_boundary else blank
