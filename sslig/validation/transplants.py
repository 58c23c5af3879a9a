"""Transplants: how much of a decision disappears when the place of a cue, or all around it, comes from the twin.

A cue has a place in the recording, but an encoder that mixes frames may carry it to any frame of its features. Then a
map of the features that points elsewhere is right. So the first question is whether the decision rests on the place:
with P the place, x what the spoof gives and y what its bona fide twin gives in the same space,

    place carries  (F(x) - F(x with y in P)) / (F(x) - F(y))
    rest carries   (F(x) - F(x with y outside P)) / (F(x) - F(y))

They add up to 1 where both parts act for themselves, to less where either would do, and to more where both are needed.

References
----------
Geiger et al., "Causal Abstractions of Neural Networks", NeurIPS 2021 (interchange interventions); Meng et al.,
"Locating and Editing Factual Associations in GPT", NeurIPS 2022, section 2.1.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig.corpora.planted import fades
from sslig.cues.tiers import runs
from sslig.frames import FrameClock
from sslig.stats.bootstrap import Statistic, Units, estimate, ratio

SCORES = ("spoof_score", "twin_score", "place_restored_score", "rest_restored_score")
"""Spoof logits of the spoof, of its twin, and of the spoof with the twin in the place, or everywhere else; all in one
precision, which scores of a study need not have."""

PLACE, REST, EXCESS = FIGURES = ("place", "rest", "excess")
"""What the place carries, what the rest carries, and their difference."""

LEAST_SHARE = 0.5
"""What a place has to carry at least, and not less than the rest, for a decision to rest on it."""

YES, NO, OPEN = "yes", "no", "open"
"""Whether a gate is passed; open where an interval crosses its limit."""


@torch.no_grad()
def transplanted(logit: Callable[[Tensor], Tensor], spoof: Tensor, twin: Tensor, share: np.ndarray) -> dict[str, float]:
    """`SCORES` of a spoof with parts of its bona fide twin put in.

    Parameters
    ----------
    logit
        From a batch to (batch,) spoof logits.
    spoof, twin
        (1, layer, frame, feature), (1, frame, channel) or (1, samples) of two recordings that differ in the cue.
    share
        (frame, 1) or (samples,) Share of the twin where the place is restored: 1 in the place and 0 elsewhere, with
        values between them where it is cross-faded.
    """
    share = torch.as_tensor(share, device=spoof.device).to(spoof.dtype)
    place, rest = (spoof + part * (twin - spoof) for part in (share, 1 - share))
    return dict(zip(SCORES, (logit(given).item() for given in (spoof, twin, place, rest)), strict=True))


def shares(truth: np.ndarray, clock: FrameClock, n_samples: int) -> np.ndarray:
    """(samples,) Share of the twin: 1 in what the frames of the (frame,) `truth` see, cross-faded at its ends."""
    places = [
        (first * clock.hop_samples, min(n_samples, (stop - 1) * clock.hop_samples + clock.receptive_field_samples))
        for first, stop in runs(truth)
    ]
    return fades(n_samples, places)


def carried(scores: pd.DataFrame) -> Statistic:
    """What the place carries, the rest, and the difference (`FIGURES`), over rows with `SCORES`.

    It is the ratio of the summed differences, so that utterances whose score the cue hardly changes count little. NaN
    where the cue does not raise the score.
    """
    spoof, twin, place, rest = scores[list(SCORES)].to_numpy(np.float64).T
    changes = np.stack([spoof - place, spoof - rest, rest - place], axis=1)
    return lambda weights: ratio(weights @ changes, (weights @ (spoof - twin))[:, None])


def summarise(
    transplants: pd.DataFrame, by: Sequence[str] = ("kind", "detector", "space"), *, recordings: bool, **bootstrap: int
) -> pd.DataFrame:
    """What places and rests carry, with intervals over speakers or recordings, and whether decisions rest on places.

    `transplants` has a row an utterance and space with `SCORES`, ``speaker`` and ``recording``; `bootstrap` are
    ``seed`` and ``rounds``. The result has a row a group: `by`, ``n``, each of `FIGURES` with ``_low`` and ``_high``,
    and ``rests_on_place``: `YES` where the place significantly carries at least `LEAST_SHARE` and no less than the
    rest, `NO` where it significantly fails either, else `OPEN`.
    """
    rows = []
    for group, part in transplants.groupby(list(by), sort=False):
        spread = estimate(carried(part), Units.of_table(part, recordings=recordings), **bootstrap)
        row = dict(zip(by, group, strict=True)) | {"n": len(part)}
        for number, name in enumerate(FIGURES):
            figure = spread[number]
            row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        rows.append(row | {"rests_on_place": _gate(row)})
    columns = [*by, "n", *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")), "rests_on_place"]
    return pd.DataFrame(rows, columns=columns)


def _gate(row: dict[str, float]) -> str:
    if row["place_low"] >= LEAST_SHARE and row["excess_low"] >= 0:
        return YES
    return NO if row["place_high"] < LEAST_SHARE or row["excess_high"] < 0 else OPEN
