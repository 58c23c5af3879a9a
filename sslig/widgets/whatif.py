"""What if this were not there: each detector scored again without a region or after an intervention, beside chance."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslig.cues.definitions import REGISTRY, WAVEFORM
from sslig.cues.effects import APPLIED
from sslig.cues.interventions import Intervention, InterventionError, parse
from sslig.cues.masking import MaskedUtterance
from sslig.cues.places import Places
from sslig.cues.waveform_masks import FILLS
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.scoring import evaluating
from sslig.widgets.bench import Bench
from sslig.widgets.opened import Opened, Progress, silent

REGION = "region"
"""Place of an intervention that acts where a person has selected."""

LEVEL = (2.5, 97.5)
"""Percentiles of the control draws between which a change is what chance gives."""


class WhatIfError(ValueError):
    """A region or an intervention that cannot be tried; the message says what was found and is accepted."""


@dataclass(frozen=True)
class Change:
    """What an intervention does to the score of one detector, and what matched random controls do.

    Attributes
    ----------
    detector, spec, space, description
        Who was asked, and what was done: in ``feature`` or ``waveform`` space, in one plain sentence.
    spoof_score, masked_score
        Logits before and after.
    control_scores
        (draw,) Logits after as much was done elsewhere; empty where nothing can be moved.
    status
        ``applied``, or why nothing was done (`sslig.cues.effects`).
    share
        Of the frames that were changed.
    """

    detector: str
    spec: str
    space: str
    description: str
    spoof_score: float
    masked_score: float
    control_scores: np.ndarray
    status: str
    share: float

    @property
    def change(self) -> float:
        """masked score - score: negative where what was taken away spoke for spoof."""
        return self.masked_score - self.spoof_score

    @property
    def control_changes(self) -> np.ndarray:
        """(draw,) The same of each control."""
        return self.control_scores - self.spoof_score

    @property
    def as_extreme(self) -> int | None:
        """Controls that move the score at least as far, either way; None where there are no controls."""
        if not len(self.control_scores):
            return None
        return int((np.abs(self.control_changes) >= np.abs(self.change)).sum())

    def told(self) -> dict[str, Any]:
        """Plain values, for a table and for the browser."""
        controls = self.control_changes
        span = np.percentile(controls, LEVEL).tolist() if len(controls) else [None, None]
        mean = float(controls.mean()) if len(controls) else None
        named = ("detector", "spec", "space", "description", "spoof_score", "masked_score", "status", "share")
        return {name: getattr(self, name) for name in named} | {
            "change": self.change, "control_mean": mean, "control_low": span[0], "control_high": span[1],
            "draws": len(controls), "as_extreme": self.as_extreme,
        }  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """An intervention with where it acts, made from the mask of a region or from its own name.

    Attributes
    ----------
    intervention
        What is done.
    region_s
        Start and end of the region; None where the intervention knows its place.
    """

    intervention: Intervention
    region_s: tuple[float, float] | None = None


def of_region(start_s: float, end_s: float, fill: str = "noise") -> list[Trial]:
    """A region taken away in both spaces: its frames replaced by the nearest others, its samples by `fill`.

    Raises
    ------
    WhatIfError
        The region is none, or the fill is unknown.
    """
    if not (np.isfinite([start_s, end_s]).all() and 0 <= start_s < end_s):
        raise WhatIfError(f"a region from {start_s} to {end_s} s; it must begin at 0 or later and end after that")
    if fill not in FILLS:
        raise WhatIfError(f"fill {fill!r}; accepted: {', '.join(FILLS)}")
    # The registry names places; here the place is given, and what is done there is the same.
    nearest, filled = parse("pauses"), parse(f"time:pauses(fill={fill})")
    where = f"from {start_s:.3f} to {end_s:.3f} s"
    in_features = dataclasses.replace(
        nearest, spec=REGION, place=REGION,
        description=f"Frames {where} are replaced by the mean of the nearest kept frame before and after.",
    )  # fmt: skip
    in_waveform = dataclasses.replace(
        filled, spec=f"time:{REGION}(fill={fill})", place=REGION,
        description=f"The recording {where} is replaced by {fill}.",
    )  # fmt: skip
    return [Trial(one, (start_s, end_s)) for one in (in_features, in_waveform)]


def named(spec: str) -> list[Trial]:
    """An intervention of the registry by its text.

    Raises
    ------
    sslig.cues.interventions.InterventionError
        It is unknown; the message lists what is accepted.
    """
    return [Trial(parse(spec))]


def suggestions(specs: Sequence[str]) -> list[str]:
    """The given texts, then the names of the registry that need no parameter, none twice."""
    alone = [name for name, one in REGISTRY.items() if all(p.default is not None for p in one.parameters.values())]
    return list(dict.fromkeys([*specs, *alone]))


def changes(
    bench: Bench, opened: Opened, trials: Sequence[Trial], *, draws: int, progress: Progress = silent
) -> Iterator[Change]:
    """Every trial on every detector of the bench, one after the other, so that what is known can be shown at once.

    Parameters
    ----------
    bench
        The detectors.
    opened
        The recording, explained by all of them.
    trials
        What is tried.
    draws
        Matched random controls of each; the study's number gives the numbers of its tables.

    Raises
    ------
    WhatIfError
        A region lies outside the recording.
    sslig.cues.interventions.InterventionError
        An intervention finds no place in this recording.
    """
    steps = [(trial, name) for trial in trials for name in bench.names]
    for number, (trial, name) in enumerate(steps):
        progress(f"asking {name} in {trial.intervention.space} space", number / len(steps))
        one = bench.on_the_table(name, opened.name, opened.waveform, draws)
        profile = bench.profile(name) if trial.intervention.name == "noise" else None
        with torch.inference_mode(), evaluating(one.detector, bench.device):
            mask = _mask(bench, opened, trial, name, one)
            yield _change(name, one.score, trial, one.under(trial.intervention, mask, profile))


def heard(bench: Bench, opened: Opened, trials: Sequence[Trial], *, draws: int) -> np.ndarray | None:
    """(samples,) The recording after the first trial in the waveform, as it is scored; None where there is none."""
    for trial in trials:
        if trial.intervention.space == WAVEFORM:
            name = bench.names[0]
            one = bench.on_the_table(name, opened.name, opened.waveform, draws)
            with torch.inference_mode():
                mask = _mask(bench, opened, trial, name, one)
                return one.recording(trial.intervention, mask).cpu().numpy()
    return None


def region_mask(start_s: float, end_s: float, clock: FrameClock, n_frames: int) -> Tensor:
    """(1, frame) bool: the frame's centre lies in the region."""
    centre_s = clock.centre_s(n_frames)
    return torch.from_numpy((centre_s >= start_s) & (centre_s < end_s))[None]


def _mask(bench: Bench, opened: Opened, trial: Trial, name: str, one: MaskedUtterance) -> Tensor:
    clock = bench.clock
    if trial.region_s is not None:
        mask = region_mask(*trial.region_s, clock, one.n_frames).to(one.waveform.device)
        if not mask.any():
            start_s, end_s = trial.region_s
            raise WhatIfError(f"no frame of {opened.name} has its centre between {start_s:.3f} and {end_s:.3f} s; it "
                              f"is {len(opened.waveform) / SAMPLE_RATE_HZ:.3f} s long, with a frame each "
                              f"{clock.hop_s:g} s")  # fmt: skip
        return mask
    tiers = {opened.name: opened.tiers} if opened.tiers else {}
    places = Places(tiers, {opened.name: opened.attributions[name].by_frame})
    mask = places.mask(trial.intervention, opened.name, one.waveform, clock, one.n_read)
    if mask is None:
        raise InterventionError(f"{trial.intervention.spec}: {opened.name} has no segments that would say where")
    return mask


def _change(name: str, score: float, trial: Trial, found: dict[str, Any]) -> Change:
    one = trial.intervention
    return Change(
        name, one.spec, one.space, one.description, score, float(found["masked_score"]),
        np.asarray(found["control_scores"], dtype=np.float64), found["status"], found["share"],
    )  # fmt: skip


def summary(found: Sequence[Change]) -> str:
    """One sentence on what moved, for a status line."""
    moved = [one for one in found if one.status == APPLIED]
    if not moved:
        return "Nothing was changed: there is no such place in this recording."
    most = max(moved, key=lambda one: abs(one.change))
    beside = "no control can be drawn for it"
    if most.as_extreme is not None:
        beside = f"{most.as_extreme} of {len(most.control_scores)} random controls move it as far"
    return f"Largest change: {most.detector}, {most.change:+.2f} in {most.space} space ({beside})."
