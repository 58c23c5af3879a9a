"""Whether attribution methods know the detector, and hold still where they should."""

import dataclasses
from collections.abc import Sequence
from itertools import combinations
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sslig.attribution.explanation import SIGNED
from sslig.attribution.methods import Method
from sslig.corpora import protocol
from sslig.stages.attributed import attributions
from sslig.stages.validating import DESCRIPTION, Presented, Rows, validated, validated_utterances
from sslig.study import Study
from sslig.validation import faithfulness, randomisation, sanity
from sslig.validation.replacement import INTERPOLATION, Scores, in_features

FOLDER = "sane"
"""Below the run of a detector."""

METHODS = ("ig", "gradient_x_input", "occlusion", "random")
"""Checked where none are named: some that are cheap, and the one that knows nothing, which has to fail."""

UTTERANCES = 8
"""Checked, at most: each costs some twenty explanations a method."""

SENSITIVITY_SAMPLES = 3

MOST_STEPS = 64
"""Points on a path at most: what shuffled parameters give need not add up to the last percent."""

COUNTED = "ig"
"""The method whose number of path points is varied."""


def sane(experiment: Study, detector: str, seed: int, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """Whether methods know the parameters of one trained detector, and hold still: a row an utterance and statistic.

    Randomised parameters, small changes of the features and shifts by whole frames, for the first utterances of
    `sslig.stages.validating.validated_utterances`; of `COUNTED` the number of path points too.

    Parameters
    ----------
    methods
        As of `sslig.attribution.methods`; none: those of `METHODS` that the detector allows.

    Returns
    -------
    DataFrame
        As of `sslig.stages.faithful.faithful`.
    """
    n = min(UTTERANCES, experiment.validation.utterances)
    few = dataclasses.replace(experiment, validation=dataclasses.replace(experiment.validation, utterances=n))
    named = METHODS if methods is None else methods
    return validated(experiment, detector, seed, FOLDER, named, validated_utterances(few), _measures)


def stable(experiment: Study, detector: str) -> pd.DataFrame:
    """How alike the attributions of the study are for a detector trained from different seeds: a row a pair of seeds.

    Columns as of `sslig.stages.faithful.faithful`; ``seed`` is the first of the pair. Empty with a single seed.
    """
    held = {seed: attributions(experiment, detector, seed).set_index("utterance") for seed in experiment.seeds}
    found: Rows = []
    for first, second in combinations(sorted(held), 2):
        shared = held[first][held[first].index.isin(held[second].index)].reset_index()
        for row in protocol.with_recordings(experiment.corpus_root, shared).to_dict("records"):
            maps = {first: row["by_frame"], second: held[second].loc[row["utterance"], "by_frame"]}
            told = {name: row[name] for name in DESCRIPTION} | {"detector": detector, "seed": first}
            told |= {"method": COUNTED, "aggregation": SIGNED, "space": "", "replacement": ""}
            n_read = min(len(row["by_frame"]), experiment.detector(detector).get("n_frames", len(row["by_frame"])))
            drawn = {"n_read": n_read, "draws": experiment.validation.draws, "seed": crc32(row["utterance"].encode())}
            found += [told | one for one in sanity.seeds(maps, **drawn)]
    return pd.DataFrame(found)


def _measures(one: Presented, method: Method) -> Rows:
    one = one.with_steps(one.context.options.min_steps, MOST_STEPS)

    def explain(features: Tensor) -> np.ndarray:
        return one.explained(method, features=features).by_frame

    def explain_head(head: nn.Module, features: Tensor) -> np.ndarray:
        return one.explained(method, head, features).by_frame

    def explain_waveform(waveform: Tensor) -> np.ndarray:
        with torch.no_grad():
            features = one.detector.features(waveform)
        return explain(features)

    def explain_from(features: Tensor, count: int) -> np.ndarray:
        return one.with_steps(count, count).explained(method, features=features).by_frame

    def scores_of(head: nn.Module) -> Scores:
        return in_features(head, one.features, INTERPOLATION, {})

    found = randomisation.rows(explain_head, one.detector.head, one.features, scores_of, **one.drawn)
    found += sanity.shift_in_features(explain, one.features, **one.drawn)
    found += sanity.shift_in_waveform(explain_waveform, one.waveform, one.detector.clock, **one.drawn)
    found.append(faithfulness.sensitivity_row(explain, one.features, samples=SENSITIVITY_SAMPLES, **one.drawn))
    if method.spec == COUNTED:
        found += sanity.steps(explain_from, one.features, **one.drawn)
    return [{"aggregation": SIGNED} | row for row in found]
