"""A sample of annotations by simulated annotators: what the pages of a study show before anybody has listened."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sslig.annotation.plan import conformed, row_of
from sslig.annotation.store import CUES

ANNOTATORS = ("sample A (simulated)", "sample B (simulated)")

SUGGESTED = {"pause": "silence", "leading silence": "silence", "trailing silence": "silence", "fricative": "noise"}
"""Class of a segment -> the cue that it suggests; others suggest none."""

AGREED, AUDIBLE = 0.6, 0.5
"""Chances that simulated annotators name the same cue, and that they call it audible."""


def sample(regions: pd.DataFrame, seed: int, annotators: Sequence[str] = ANNOTATORS) -> pd.DataFrame:
    """Annotations of `regions` that nobody made, drawn from `seed`, as a table of `sslig.annotation.plan`.

    Parameters
    ----------
    regions
        ``utterance``, ``detector``, ``start_s``, ``end_s`` and ``segment_class`` (`sslig.annotation.plan.regions`).
    annotators
        Names of the simulated annotators, which say that they are.
    """
    rng, rows = np.random.default_rng(seed), []
    for region in regions.dropna(subset=["start_s"]).sort_values(["utterance", "detector"]).itertuples():
        shared = SUGGESTED.get(region.segment_class) or str(rng.choice(list(CUES)))
        for annotator in annotators:
            cue = shared if rng.random() < AGREED else str(rng.choice(list(CUES)))
            values = {"annotator": annotator, "utterance": region.utterance, "detector": region.detector, "cue": cue}
            values |= {"locality": int(rng.integers(1, 6)), "audible": bool(rng.random() < AUDIBLE)}
            values |= {"start_s": region.start_s, "end_s": region.end_s, "general": "simulated, nobody listened"}
            rows.append(row_of(values | {"proposed_start_s": region.start_s, "proposed_end_s": region.end_s}))
    return conformed(rows)
