"""The one registry of interventions: what may be done to features or a recording, written as one line of text.

``noise``, ``noise(alpha=0.5)``, ``phone:vowel``, ``band(lo_hz=600, hi_hz=1200)``, ``top_attribution(percent=10)``,
``codec:opus(quality=2)``, ``time:non_speech(fill=silence)``: a name and, where it has any, its parameters. Where a
released definition is faulty the default is the mended one and ``published=true`` the released one.

References
----------
"What Do Deepfake Speech Detectors Actually Hear?", arXiv 2606.10912, section on causal masking, and its release.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sslig import specs
from sslig.cues.definitions import FEATURE, REGISTRY, WAVEFORM
from sslig.frames import FrameClock
from sslig.specs import SpecError

PAPER = ("noise", "phonemes", "word_boundaries", "spectral", "volume", "compressor")
"""The six masks of the paper."""

PUBLISHED_PLACE = "published:"
"""Stands before the name of a place that is to be found as the released code finds it."""

FOUND_AS_RELEASED = " They are found as the released code finds them."


class InterventionError(ValueError):
    """An intervention that is not known or cannot be applied; the message says what was found and is accepted."""


@dataclass(frozen=True)
class Intervention:
    """An intervention with the values of its parameters, as `parse` gives it.

    Parameters
    ----------
    spec
        The canonical text: parameters in the order of the registry, those at their default left out.
    name
        The key in `REGISTRY`.
    space
        ``feature`` or ``waveform``.
    parameters
        All of them by name. ``quantile`` and ``percent`` belong to the place and not to what is done there.
    place
        The named frame mask that decides where, with `PUBLISHED_PLACE` before it if it is to be found as released;
        None for the whole recording.
    control
        ``shift`` (the frames elsewhere), ``band`` (a band as wide elsewhere), ``cut`` (as much cut elsewhere), or
        None where nothing can be moved.
    description
        One plain sentence.
    """

    spec: str
    name: str
    space: str
    parameters: Mapping[str, Any] = field(hash=False)
    place: str | None
    control: str | None
    description: str

    def features(self, features: Tensor, mask: Tensor, profile: Tensor | None = None) -> Tensor:
        """(batch, layer, frame, feature) after the intervention.

        Parameters
        ----------
        features
            (batch, layer, frame, feature)
        mask
            (batch, frame) bool, the frames of `place`.
        profile
            (layer, feature) Mean bona fide non-speech features; only ``noise`` needs them.

        Raises
        ------
        InterventionError
            It works on waveforms.
        sslig.cues.feature_masks.MaskError
            The shapes do not fit together, or the profile is missing.
        """
        self._require(FEATURE)
        return REGISTRY[self.name].apply(features, mask, profile, **self.parameters)

    def waveforms(
        self, waveforms: Tensor, mask: Tensor | None, clock: FrameClock, generator: torch.Generator
    ) -> Tensor:
        """(batch, samples) after the intervention; ``trim_silence`` returns fewer samples.

        Parameters
        ----------
        waveforms
            (batch, samples) at 16 kHz.
        mask
            (batch, frame) bool, the frames of `place`; not read where that is None.
        clock
            The frame grid.
        generator
            Of noise that is put in.

        Raises
        ------
        InterventionError
            It works on features, or needs a mask.
        sslig.cues.feature_masks.MaskError, sslig.errors.AudioError
            The shapes do not fit together; the codec is not there or fails.
        """
        self._require(WAVEFORM)
        if self.place and mask is None:
            raise InterventionError(f"{self.spec}: no mask was given; a (batch, frame) mask of {self.place} is needed")
        return REGISTRY[self.name].apply(waveforms, mask, clock, generator, **self.parameters)

    def _require(self, space: str) -> None:
        if self.space != space:
            raise InterventionError(f"{self.spec} works on {self.space}s and was given {space}s")


def parse(spec: str) -> Intervention:
    """The intervention that a line such as ``band(lo_hz=600, hi_hz=1200)`` names.

    Raises
    ------
    InterventionError
        A name, a parameter or a value is not accepted; the message lists what is.
    """
    try:
        definition, parameters = specs.read(spec, REGISTRY, "intervention")
    except SpecError as error:
        raise InterventionError(str(error)) from error
    if "lo_hz" in parameters and parameters["lo_hz"] >= parameters["hi_hz"]:
        raise InterventionError(f"{spec!r}: a band from {parameters['lo_hz']:g} to {parameters['hi_hz']:g} Hz; "
                                "accepted: lo_hz below hi_hz")  # fmt: skip
    published = parameters.get("published", False)
    return Intervention(
        spec=specs.written(definition.name, definition.parameters, parameters),
        name=definition.name,
        space=definition.space,
        parameters=parameters,
        place=PUBLISHED_PLACE + definition.place if published else definition.place,
        control=definition.control,
        description=definition.description.format_map(parameters) + (FOUND_AS_RELEASED if published else ""),
    )
