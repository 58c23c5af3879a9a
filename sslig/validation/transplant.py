"""Whether a decision rests on the frames of a place: features of the same recording without the cue, put into them.

A cue has a place in the recording, but a head reads features, and an encoder that mixes frames may carry the cue to
any of them. Then a map of the head's evidence that points elsewhere is right, and one that points at the place is not.
So it is asked first: with P the frames of the place, x the features of a spoof and y those of its bona fide twin,

    place carries  (F(x) - F(x with y in P)) / (F(x) - F(y))
    rest carries   (F(x) - F(x with y outside P)) / (F(x) - F(y))

They add up to 1 where both parts act for themselves, to less where either would do, and to more where both are needed.

References
----------
Geiger et al., "Causal Abstractions of Neural Networks", NeurIPS 2021 (interchange interventions); Meng et al.,
"Locating and Editing Factual Associations in GPT", NeurIPS 2022, section 2.1.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

COLUMNS = OWN, TWIN, PLACE, REST = ("own_score", "twin_score", "place_restored_score", "rest_restored_score")
"""Spoof logits of the spoof, of its twin, and of the spoof with the twin's features in the place, or everywhere else:
all in one precision, which scores of a study need not have."""

NONE = dict.fromkeys(COLUMNS, float("nan"))

LEAST_SHARE = 0.5
"""What a place has to carry at least, and not less than the rest, for a decision to rest on it."""


@torch.no_grad()
def scores(head: nn.Module, features: Tensor, twin: Tensor, truth: np.ndarray) -> dict[str, float]:
    """`COLUMNS`, spoof logits of a head.

    Parameters
    ----------
    head
        From (batch, layer, frame, feature) to (batch,), in evaluation mode.
    features, twin
        (1, layer, frame, feature) of a spoof, and of the same recording without the cue.
    truth
        (frame,) bool: the frame belongs to the place.
    """
    place = torch.as_tensor(truth, device=features.device)[None, None, :, None]
    mixed = [features, twin, torch.where(place, twin, features), torch.where(place, features, twin)]
    return dict(zip(COLUMNS, (head(one).item() for one in mixed), strict=True))


def carried(table: pd.DataFrame) -> tuple[float, float]:
    """The shares of the place and of the rest over all utterances of a table; NaN where no twin could be read.

    It is the ratio of the summed differences, so that utterances whose score the cue hardly changes count little.

    Parameters
    ----------
    table
        A row an utterance with `COLUMNS`.
    """
    known = table.dropna(subset=list(COLUMNS))
    whole = (known[OWN] - known[TWIN]).sum()
    if not whole > 0:
        return float("nan"), float("nan")
    return tuple(float((known[OWN] - known[name]).sum() / whole) for name in (PLACE, REST))


def rests_on_place(place: float, rest: float) -> bool:
    """Whether a decision rests on the place, of which and of the rest `carried` tells."""
    return bool(place >= LEAST_SHARE and place >= rest)
