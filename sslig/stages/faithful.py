"""How faithful attribution methods are to the scores of the ordinary detectors."""

from collections.abc import Sequence

import pandas as pd

from sslig.attribution.explanation import AGGREGATIONS, SIGNED
from sslig.attribution.methods import Method
from sslig.cues.time_correlation import loudness
from sslig.stages.validating import Presented, Rows, validated, validated_utterances
from sslig.study import Study
from sslig.validation import faithfulness, sanity
from sslig.validation.replacement import IN_FEATURES, INTERPOLATION, PROFILES, WAVEFORM, in_waveform

FOLDER = "faithful"
"""Below the run of a detector."""

COMPARED = "ig"
"""The method whose other aggregations are measured too."""


def faithful(experiment: Study, detector: str, seed: int, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """How faithful methods are to the score of one trained detector: a row an utterance, method and statistic.

    Curves, infidelity and sensitivity-n (`sslig.validation.faithfulness.rows`) for each replacement of features, two
    points of the deletion curve in the waveform, and the share of a map that loudness explains, each beside its
    control. Of `COMPARED` the unsigned aggregations are measured too, in one space; they rank frames by size, whatever
    the decision.

    Parameters
    ----------
    methods
        As of `sslig.attribution.methods`; none: those of the experiment, or all that the detector allows.

    Returns
    -------
    DataFrame
        As of `sslig.stages.validating.validated`, with ``aggregation`` and the columns of
        `sslig.validation.statistics.measured`; to be summed up by `sslig.validation.summary.summarise`.
    """
    named = experiment.validation.methods if methods is None else methods
    return validated(experiment, detector, seed, FOLDER, named, validated_utterances(experiment), _measures)


def _measures(one: Presented, method: Method) -> Rows:
    explanation = one.explained(method)
    maps = {SIGNED: explanation.by_frame}
    found = faithfulness.rows(one.spaces(*IN_FEATURES), maps, one.direction, **one.drawn)
    slow = {(WAVEFORM, INTERPOLATION): in_waveform(one.detector, one.waveform, INTERPOLATION, one.seed)}
    found += faithfulness.rows(slow, maps, one.direction, **one.drawn, fast=True)
    if method.spec == COMPARED:
        sizes = {name: explanation.frames(name) for name in AGGREGATIONS if name != SIGNED}
        turned = {name: one.direction * frames for name, frames in sizes.items()}  # the largest first, in any case
        found += faithfulness.rows(one.spaces(PROFILES[0]), turned, one.direction, **one.drawn, insertion=())
    heard = loudness(one.waveform[0].cpu().numpy(), one.detector.clock)
    told = [{"aggregation": row["method"]} | {k: v for k, v in row.items() if k != "method"} for row in found]
    return [*told, {"aggregation": SIGNED} | sanity.loudness_share(maps[SIGNED], heard, **one.drawn)]
