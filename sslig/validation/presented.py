"""One utterance in front of a detector, and everything that is tested on it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sslig import scoring
from sslig.attribution.context import BALANCED, BONAFIDE_MEAN, NONSPEECH, Context, fitted, neutral_weights
from sslig.attribution.explanation import ABSOLUTE, L2, SIGNED, Explanation
from sslig.attribution.methods import Method, explain_head, offered
from sslig.attribution.target import view
from sslig.cues.evidence import loudness
from sslig.errors import DataError
from sslig.models.detector import Detector, select_device
from sslig.study import Study
from sslig.validation import faithfulness, sanity
from sslig.validation.faithfulness import (
    FEATURES,
    INTERPOLATION,
    NEUTRAL,
    NEUTRAL_DRAWS,
    PROFILES,
    WAVEFORM,
    Scores,
    in_features,
    in_neutral,
    in_waveform,
)
from sslig.validation.statistics import Controls, Rows

DESCRIPTION = ("utterance", "key", "attack", "codec", "speaker", "recording")

COMPARED = "ig"
"""The method whose unsigned aggregations and number of path points are tested too."""

MOST_STEPS = 64
"""Points on a path at most in tests of sanity: what shuffled parameters give need not add up to the last percent."""


@dataclass(frozen=True)
class Presented:
    """One utterance in front of a detector in evaluation mode.

    The waveform is (1, samples), features are (1, layer, frame, feature); `direction` is 1 where the score is above the
    threshold, so that the decision is spoof, else -1. The seed of `controls` differs between utterances.
    """

    detector: Detector
    waveform: Tensor
    features: Tensor
    spoof_score: float
    direction: int
    context: Context
    controls: Controls

    def with_steps(self, least: int, most: int) -> "Presented":
        """The same, explained with so many points on a path."""
        options = self.context.options.model_copy(update={"min_steps": least, "max_steps": most})
        return dataclasses.replace(self, context=dataclasses.replace(self.context, options=options))

    def input(self, method: Method, waveform: Tensor | None = None) -> Tensor:
        """(1, layer, frame, feature) What a method explains of the utterance, or of another waveform."""
        return view(self.detector, self.waveform if waveform is None else waveform, method.space)[1]

    def explained(self, method: Method, detector: nn.Module | None = None, x: Tensor | None = None) -> Explanation:
        """The explanation by a method, also of another detector or of another input of its space."""
        logit, given = view(self.detector if detector is None else detector, self.waveform, method.space)
        return explain_head(method, logit, given if x is None else x, self.context, self.detector.clock)

    def spaces(self, *replacements: str) -> dict[tuple[str, str], Scores]:
        """Scores where frames of the features are replaced, by space and replacement."""
        baselines = (self.context.baselines[name].values for name in (BONAFIDE_MEAN, NONSPEECH))
        profiles, head = dict(zip(PROFILES, baselines, strict=True)), self.detector.head
        usual = {name: partial(in_features, head, self.features, name, profiles) for name in replacements}
        return {(FEATURES, name): (usual | {NEUTRAL: self._neutral})[name]() for name in replacements}

    def _neutral(self) -> Scores:
        draws = self.context.drawn(NEUTRAL_DRAWS, BALANCED)
        starts = torch.stack([fitted(draw.inputs[FEATURES], self.features.shape[2]) for draw in draws])
        starts = starts.to(self.features)
        with torch.inference_mode():
            scores = self.detector.head(starts).double()
        weights = neutral_weights(scores, self.context.threshold)
        return in_neutral(self.detector.head, self.features, starts, weights)


def present(
    study: Study, detector: Detector, context: Context, utterances: pd.DataFrame, threshold: float
) -> tuple[Iterator[tuple[pd.Series, Presented]], scoring.LeftOut]:
    """The readable rows of `utterances`, one by one, each in front of the detector; and what is left out.

    The detector is on the device of the study, in evaluation mode (`sslig.scoring.evaluating`).
    """
    rows, left_out = scoring.one_by_one(utterances, detector, study.scoring, select_device(study.device))

    def presented() -> Iterator[tuple[pd.Series, Presented]]:
        for row, waveform in rows:
            with torch.no_grad():
                features = detector.features(waveform)
                score = detector.head(features).item()
            seed = crc32(f"{study.corpus.seed} {row['utterance']}".encode())
            controls = Controls(detector.read_frames(features.shape[2]), study.validation.draws, seed)
            direction, prepared = 1 if score > threshold else -1, context.of(row["utterance"])
            yield row, Presented(detector, waveform, features, score, direction, prepared, controls)

    return presented(), left_out


def measure(
    study: Study,
    detector: Detector,
    context: Context,
    utterances: pd.DataFrame,
    threshold: float,
    methods: Sequence[str] | None,
    rows_of: Callable[[Presented, Method], Rows],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that `rows_of` gives for each utterance and method that the head allows, and what was left out.

    The first table has `DESCRIPTION`, ``spoof_score``, ``direction`` (1 where the decision is spoof, else -1),
    ``decision`` (its class), ``method``, ``space``, ``replacement`` and ``at`` (empty where a statistic has none), and
    the columns of the rows.
    """
    rows, empty = [], dict.fromkeys(("space", "replacement", "at"), "")
    with scoring.evaluating(detector, select_device(study.device)):
        presented_rows, left_out = present(study, detector, context, utterances, threshold)
        for row, presented in presented_rows:
            about = row[list(DESCRIPTION)].to_dict()
            about |= {"spoof_score": presented.spoof_score, "direction": presented.direction}
            about["decision"] = "spoof" if presented.direction == 1 else "bona fide"
            for method in offered(detector, methods):
                rows += [about | {"method": method.spec} | empty | values for values in rows_of(presented, method)]
    unread = left_out.table(utterances)
    if not rows:
        raise DataError(f"none of {len(utterances)} utterances could be read; the first: {unread['reason'].iloc[0]}")
    return pd.DataFrame(rows), unread


def faithfulness_rows(presented: Presented, method: Method) -> Rows:
    """How faithful a method is to the score of an utterance (`sslig.validation.faithfulness`).

    Curves, infidelity and sensitivity-n for each replacement of features, two points of the deletion curve in the
    waveform, and the share of the map that loudness explains. The unsigned aggregations of `COMPARED` are measured in
    one space; they rank frames by size, whatever the decision.
    """
    explanation, direction, controls = presented.explained(method), presented.direction, presented.controls
    maps = {SIGNED: explanation.by_frame}
    rows = faithfulness.rows(presented.spaces(NEUTRAL, *PROFILES, INTERPOLATION), maps, direction, controls)
    scores = in_waveform(presented.detector, presented.waveform, controls.seed)
    rows += faithfulness.rows({(WAVEFORM, INTERPOLATION): scores}, maps, direction, controls, fast=True)
    if method.spec == COMPARED:
        sizes = {name: direction * explanation.frames(name) for name in (ABSOLUTE, L2)}  # the largest first
        rows += faithfulness.rows(presented.spaces(NEUTRAL), sizes, direction, controls, insertion=())
    rms = loudness(presented.waveform[0].cpu().numpy(), presented.detector.clock)
    return [*rows, {"aggregation": SIGNED} | faithfulness.loudness_share(maps[SIGNED], rms, controls)]


def sanity_rows(presented: Presented, method: Method) -> Rows:
    """Whether a method knows the parameters of the detector, and holds still (`sslig.validation.sanity`)."""
    presented = presented.with_steps(presented.context.options.min_steps, MOST_STEPS)
    detector, features, controls = presented.detector, presented.features, presented.controls
    x, hop_samples = presented.input(method), detector.clock.hop_samples

    def explain_input(given: Tensor) -> np.ndarray:
        return presented.explained(method, x=given).by_frame

    def input_from(k: int) -> Tensor:
        return presented.input(method, presented.waveform[:, k * hop_samples :].contiguous())

    def explain_detector(changed: nn.Module) -> np.ndarray:
        return presented.explained(method, changed).by_frame

    def explain_noisy(changed: nn.Module, generator: torch.Generator) -> np.ndarray:
        given = view(changed, presented.waveform, method.space)[1]
        return presented.explained(method, changed, sanity.noisy(given, generator)).by_frame

    @torch.no_grad()
    def scores_of(changed: nn.Module) -> Scores:
        return in_features(changed.head, changed.features(presented.waveform), INTERPOLATION, {})

    order = sanity.backward_order(detector, presented.waveform)
    rows = sanity.randomisation(explain_detector, detector, order, features.shape[2], scores_of, controls)
    rows.append(sanity.smooth_randomisation(explain_noisy, detector, order, controls))
    rows += sanity.shifted("shift_features", lambda k: explain_input(x[:, :, k:].contiguous()), controls)
    rows += sanity.shifted("shift_waveform", lambda k: explain_input(input_from(k)), controls)
    rows.append(sanity.max_sensitivity(explain_input, x, controls))
    if method.spec == COMPARED:
        rows += sanity.steps(lambda n: presented.with_steps(n, n).explained(method).by_frame, controls)
    return [{"aggregation": SIGNED} | row for row in rows]
