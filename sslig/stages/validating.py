"""Measures of attribution methods on the utterances of a study, made once for each method and detector."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pandas as pd
import torch
from torch import Tensor, nn

from sslig import records, scoring
from sslig.attribution.context import BONAFIDE_MEAN, NONSPEECH, Context
from sslig.attribution.explanation import Explanation
from sslig.attribution.methods import Method, explain, offered
from sslig.corpora import protocol
from sslig.files import write_json, write_parquet, write_tsv
from sslig.labels import BONAFIDE, KEYS, SPOOF
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.corpora.sample import stratified
from sslig.specs import file_name
from sslig.stages.attributed import EXPLAINED_SET
from sslig.stages.explaining import context
from sslig.stages.scored import set_scores
from sslig.stages.trained import checkpoint, corpus
from sslig.stats.metrics import eer_threshold
from sslig.study import Study
from sslig.validation import curves, faithfulness, randomisation, replacement, sanity, statistics
from sslig.validation.faithfulness import direction_of
from sslig.validation.replacement import FEATURES, PROFILES, Scores, in_features

MODULES = (curves, faithfulness, randomisation, replacement, sanity, statistics)
"""Whose code decides the tables, so that they are made again when it changes."""

DESCRIPTION = ("utterance", "key", "attack", "codec", "speaker", "recording")
WHERE = ("space", "replacement", "at")
"""Columns that stay empty where a statistic is of no such thing."""

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Presented:
    """One utterance in front of a detector in evaluation mode, and what measures of explanations draw from.

    Attributes
    ----------
    waveform, features
        (1, samples) and (1, layer, frame, feature).
    score, direction
        The spoof logit; 1 where it is above the detector's EER threshold on *dev*, so called spoof, else -1.
    context
        Baselines and draws of the methods.
    draws, seed
        Of controls; the seed is the utterance's own.
    """

    detector: Detector
    waveform: Tensor
    features: Tensor
    score: float
    direction: int
    context: Context
    draws: int
    seed: int

    @property
    def n_read(self) -> int:
        """Frames from the start that the head reads."""
        n_frames = self.features.shape[2]
        return self.detector.read_frames(n_frames)

    @property
    def drawn(self) -> dict[str, int]:
        """What every measure takes."""
        return {"n_read": self.n_read, "draws": self.draws, "seed": self.seed}

    def with_steps(self, least: int, most: int) -> "Presented":
        """The same, explained from so many points on a path."""
        options = dataclasses.replace(self.context.options, min_steps=least, max_steps=most)
        return dataclasses.replace(self, context=dataclasses.replace(self.context, options=options))

    def explained(self, method: Method, head: nn.Module | None = None, features: Tensor | None = None) -> Explanation:
        """The explanation by a method, on request of another head or of other features."""
        head, features = self.detector.head if head is None else head, self.features if features is None else features
        return explain(method, head, features, self.context)

    def spaces(self, *replacements: str) -> dict[tuple[str, str], Scores]:
        """Scores where frames of the features are replaced, by space and replacement."""
        baselines = (self.context.baselines[name].values for name in (BONAFIDE_MEAN, NONSPEECH))
        profiles = dict(zip(PROFILES, baselines, strict=True))
        return {(FEATURES, one): in_features(self.detector.head, self.features, one, profiles) for one in replacements}


Measure = Callable[[Presented, Method], Rows]


def validated_utterances(experiment: Study) -> pd.DataFrame:
    """The utterances of *eval* that every method explains, with ``recording``; the explained ones begin alike."""
    utterances = protocol.load_set(corpus(experiment), EXPLAINED_SET)
    chosen = stratified(utterances, experiment.validation.utterances, experiment.corpus.seed)
    return protocol.with_recordings(experiment.corpus_root, chosen)


def validated(
    experiment: Study, detector: str, seed: int, folder: str, methods: Sequence[str] | None,
    utterances: pd.DataFrame, measure: Measure,
) -> pd.DataFrame:  # fmt: skip
    """What `measure` says of each method that the detector allows: a row an utterance, method and statistic.

    Each method has a table of its own in `folder` of the detector's run, with ``left_out.tsv`` of the files that could
    not be read; those that are missing are made in one pass over the utterances.

    Parameters
    ----------
    methods
        As of `sslig.attribution.methods`; none: all.

    Returns
    -------
    DataFrame
        `DESCRIPTION`, ``detector``, ``seed``, ``spoof_score``, ``direction`` (1: called spoof), ``method``, `WHERE` and
        what `measure` tells.

    Raises
    ------
    ScoringError
        No utterance could be read.
    """
    model = Detector.from_pretrained(checkpoint(experiment, detector, seed))
    chosen, run = offered(model.head, methods), experiment.run(detector, seed) / folder
    common = _common_key(experiment, detector, seed, folder, utterances)
    keys = {one.spec: records.hash_of(common, one.spec) for one in chosen}
    missing = [one for one in chosen if records.stored_key(run / file_name(one.spec, "json")) != keys[one.spec]]
    if missing:
        threshold = _threshold(experiment, detector, seed)
        prepared = context(experiment, detector, seed)
        found = _rows(experiment, model, threshold, prepared, missing, utterances, measure, run)
        for one in missing:
            rows = [dict.fromkeys(WHERE, "") | row for row in found[one.spec]]
            write_parquet(run / file_name(one.spec, "parquet"), pd.DataFrame(rows).assign(detector=detector, seed=seed))
            write_json(run / file_name(one.spec, "json"), {"key": keys[one.spec], "method": one.spec})
    return pd.concat([pd.read_parquet(run / file_name(one.spec, "parquet")) for one in chosen], ignore_index=True)


def _threshold(experiment: Study, detector: str, seed: int) -> float:
    """Above it a score is called spoof: the EER threshold on *dev*, since a logit need not be calibrated."""
    scores = set_scores(experiment, detector, seed, "dev")
    labels = scores["key"].map(KEYS)
    return eer_threshold(*(scores.loc[labels == label, "spoof_score"] for label in (BONAFIDE, SPOOF)))


def _rows(
    experiment: Study, model: Detector, threshold: float, prepared: Context, methods: Sequence[Method],
    utterances: pd.DataFrame, measure: Measure, run: Path,
) -> Mapping[str, Rows]:  # fmt: skip
    """The rows of each method by its text."""
    rows: dict[str, Rows] = {one.spec: [] for one in methods}
    one_by_one = dataclasses.replace(experiment.scoring, batch_size=1)
    batches, left_out = scoring.batches(utterances, model, one_by_one)
    device = select_device(experiment.device)
    with scoring.evaluating(model, device):
        for batch in batches:
            told = utterances.iloc[batch.rows[0]]
            own = prepared.of(told["utterance"])
            one = _presented(experiment, model, threshold, own, batch.waveforms.to(device))
            about = {name: told[name] for name in DESCRIPTION}
            about |= {"spoof_score": one.score, "direction": one.direction}
            for method in methods:
                rows[method.spec] += [about | {"method": method.spec} | row for row in measure(one, method)]
    without = left_out.table(utterances)
    write_tsv(run / "left_out.tsv", without)
    if len(without) == len(utterances):
        raise scoring.ScoringError(f"none of {len(utterances)} utterances could be read; the first: "
                                   f"{without['reason'].iloc[0]}")  # fmt: skip
    return rows


def _presented(
    experiment: Study, model: Detector, threshold: float, own: Context, waveform: Tensor
) -> Presented:  # fmt: skip
    with torch.no_grad():
        features = model.features(waveform)
        score = model.head(features).item()
    seed = crc32(f"{experiment.corpus.seed} {own.utterance}".encode())
    direction, draws = direction_of(score, threshold), experiment.validation.draws
    return Presented(model, waveform, features, score, direction, own, draws, seed)


def _common_key(experiment: Study, detector: str, seed: int, folder: str, utterances: pd.DataFrame) -> str:
    """Of all that decides a result whatever the method."""
    mark = fingerprint(checkpoint(experiment, detector, seed))
    code = [records.hash_of_file(Path(module.__file__)) for module in MODULES]
    apart = ("utterances", "baseline")
    explained = {name: value for name, value in dataclasses.asdict(experiment.attribution).items() if name not in apart}
    sets = [records.contents(experiment, name) for name in ("train", "dev", EXPLAINED_SET)]
    return records.hash_of(
        folder, mark, seed, utterances["utterance"].tolist(), sets, explained, experiment.validation.draws,
        experiment.masking.profile_utterances, experiment.corpus.seed, records.how(experiment), code,
    )  # fmt: skip
