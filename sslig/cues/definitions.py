"""What each intervention is: its space, parameters, place and control, and the function that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from sslig.corpora import codecs
from sslig.cues import feature_masks, waveform_masks
from sslig.frames import FrameClock
from sslig.specs import Parameter

FEATURE, WAVEFORM = "feature", "waveform"

PHONE_CLASSES = ("vowel", "nasal", "plosive", "fricative", "affricate", "approximant", "silence", "noise")

CODECS = MappingProxyType(
    {"".join(filter(str.isalnum, codec.name)).lower(): codec for codec in (*codecs.CODECS.values(), codecs.G722)}
)
"""``opus``, ``mp3``, ``aac`` and ``g722``."""


@dataclass(frozen=True)
class Definition:
    """One entry of `REGISTRY`: an intervention before its parameters have values.

    Parameters
    ----------
    name, space, place, control
        As of `sslig.cues.interventions.Intervention`.
    apply
        ``(features, mask, profile, **parameters)`` or ``(waveforms, mask, clock, generator, **parameters)``.
    description
        With the parameters in braces.
    parameters
        By name, in the order of the canonical text.
    """

    name: str
    space: str
    description: str
    apply: Callable[..., Tensor]
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    place: str | None = None
    control: str | None = None


def _noise(features: Tensor, mask: Tensor, profile: Tensor | None, alpha: float, published: bool) -> Tensor:
    if profile is None:
        raise feature_masks.MaskError("noise was given no profile; the (layer, feature) mean is needed")
    return feature_masks.towards_profile(features, mask, profile, alpha)


def _nearest(features: Tensor, mask: Tensor, profile: Tensor | None, **of_place: float) -> Tensor:
    return feature_masks.from_nearest(features, mask)


def _replace(
    waveforms: Tensor, mask: Tensor, clock: FrameClock, generator: torch.Generator, fill: str, **of_place: float
) -> Tensor:
    return waveform_masks.replaced(waveforms, mask, clock, fill, generator)


def _trim(waveforms: Tensor, mask: Tensor, clock: FrameClock, generator: torch.Generator) -> Tensor:
    return waveform_masks.cut(waveforms, mask, clock)


def _whole(function: Callable[..., Tensor], **fixed: object) -> Callable[..., Tensor]:
    """`function` of the waveforms and the parameters alone, as the registry calls it."""

    def apply(
        waveforms: Tensor, mask: Tensor | None, clock: FrameClock, generator: torch.Generator, **parameters: float
    ) -> Tensor:
        return function(waveforms, **fixed, **parameters)

    return apply


def _scaled(waveforms: Tensor, gain: float) -> Tensor:
    return gain * waveforms


_PUBLISHED = {"published": Parameter(False, words=("false", "true"))}
_QUANTILE = {"quantile": Parameter(0.75, 0, 1)}
_PERCENT = {"percent": Parameter(None, 0, 99)}
_GAIN = Parameter(0.1, 0, 10)

PLACES = MappingProxyType(
    {
        "non_speech": ("Frames without speech", {}),
        "energy": ("The frames above quantile {quantile:g} of the energy", _QUANTILE),
        "word_boundaries": ("Frames at word boundaries", {}),
        "onsets": ("Frames where voicing begins or ends", {}),
        "speech_edges": ("Frames where speech begins or ends", {}),
        "pauses": ("Frames of pauses inside the speech", {}),
        "top_attribution": ("The {percent:g} % of frames with the highest attribution", _PERCENT),
        "bottom_attribution": ("The {percent:g} % of frames with the lowest attribution", _PERCENT),
        **{f"phone:{name}": (f"Frames of the phone class {name}", {}) for name in PHONE_CLASSES},
    }
)
"""The named frame masks: how a sentence begins that tells of them, and the parameters that belong to them."""


def _in_features() -> list[Definition]:
    """Masks of SSL features."""
    noise = {"alpha": Parameter(0.9, 0, 1)} | _PUBLISHED
    pulled = (
        "Frames without speech are pulled a share of {alpha:g} of the way to the mean bona fide frame without speech."
    )
    found = [Definition("noise", FEATURE, pulled, _noise, noise, "non_speech", "shift")]
    names = {"energy": "phonemes"}
    for place, (start, parameters) in PLACES.items():
        if place != "non_speech":
            sentence = f"{start} are replaced by the mean of the nearest kept frame before and after."
            parameters = parameters | (_PUBLISHED if place == "word_boundaries" else {})
            found.append(Definition(names.get(place, place), FEATURE, sentence, _nearest, parameters, place, "shift"))
    return found


def _in_time() -> list[Definition]:
    """The same places, masked in the recording itself."""
    fill = {"fill": Parameter(None, words=waveform_masks.FILLS)}
    return [
        Definition(f"time:{place}", WAVEFORM, f"{start} are replaced by {{fill}} in the recording.", _replace,
                   fill | parameters, place, "shift")
        for place, (start, parameters) in PLACES.items()
    ]  # fmt: skip


def _of_recordings() -> list[Definition]:
    """What is done to a whole recording, or to its ends."""
    nyquist = waveform_masks.NYQUIST_HZ
    edge = {"lo_hz": Parameter(None, 0, nyquist), "hi_hz": Parameter(None, 0, nyquist)}
    spectral = {"lo_hz": Parameter(600.0, 0, nyquist), "hi_hz": Parameter(1200.0, 0, nyquist)}
    compressor = {
        "threshold_db": Parameter(-20.0, -80, 0),
        "ratio": Parameter(4.0, 1, 100),
        "makeup_db": Parameter(10.0, 0, 60),
        "attack_ms": Parameter(0.0, 0, 1000),
        "release_ms": Parameter(0.0, 0, 5000),
    }
    scaled = "Frequencies from {lo_hz:g} to {hi_hz:g} Hz are multiplied by {gain:g}."
    squeezed = ("Levels above {threshold_db:g} dB are compressed {ratio:g}:1, all is raised by {makeup_db:g} dB and "
                "limited at full scale (attack {attack_ms:g} ms, release {release_ms:g} ms).")  # fmt: skip
    whole = {
        "spectral": (scaled, waveform_masks.band_gain, spectral | {"gain": _GAIN}, "band"),
        "band": (scaled, waveform_masks.band_gain, edge | {"gain": _GAIN}, "band"),
        "volume": ("The recording is multiplied by {gain:g}.", _scaled, {"gain": _GAIN}, None),
        "compressor": (squeezed, waveform_masks.compressed, compressor, None),
        "lowpass": ("Frequencies of {cutoff_hz:g} Hz and above are taken out.", waveform_masks.lowpass,
                    {"cutoff_hz": Parameter(None, 1, nyquist - 1)}, None),
    }  # fmt: skip
    trimmed = "The silence before and after the speech is cut off."
    return [
        *(Definition(name, WAVEFORM, sentence, _whole(function), parameters, None, control)
          for name, (sentence, function, parameters, control) in whole.items()),
        *(_codec(name, codec) for name, codec in CODECS.items()),
        Definition("trim_silence", WAVEFORM, trimmed, _trim, place="edge_silence", control="cut"),
    ]  # fmt: skip


def _codec(name: str, codec: codecs.Codec) -> Definition:
    rates = len(codec.bit_rates)
    parameters = {"quality": Parameter(1, 1, rates)} if rates else {}
    sentence = f"The recording is encoded and decoded with {codec.name}" + (", quality {quality}." if rates else ".")
    apply = _whole(waveform_masks.coded, codec=codec)
    return Definition(f"codec:{name}", WAVEFORM, sentence, apply, parameters)


REGISTRY = MappingProxyType({one.name: one for one in (*_in_features(), *_in_time(), *_of_recordings())})
"""Every intervention by name."""
