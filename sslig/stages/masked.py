"""Scores under masks: segments of the utterances, the non-speech profile, and each mask on each detector."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sslig import records
from sslig.attribution import baselines
from sslig.attribution.baselines import Baseline
from sslig.corpora import protocol
from sslig.cues import masking, profile, segments
from sslig.cues.definitions import FEATURE
from sslig.cues.interventions import Intervention, parse
from sslig.cues.places import ATTRIBUTED, Places
from sslig.cues.tiers import Tier
from sslig.cues.vad import SPEECH
from sslig.files import write_json, write_parquet, write_tsv
from sslig.labels import KEYS
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.corpora.sample import draw, stratified
from sslig.specs import file_name
from sslig.stages.attributed import EXPLAINED_SET, attributions
from sslig.stages.decoded import decoded
from sslig.stages.trained import checkpoint, corpus
from sslig.study import Study

SEGMENTS = "segments"
"""Folder of segments below the runs of a study."""


def masked_utterances(experiment: Study) -> pd.DataFrame:
    """The utterances that every detector is scored on under masks; the explained ones are the first of the draw."""
    utterances = protocol.load_set(corpus(experiment), EXPLAINED_SET)
    return stratified(utterances, experiment.masking.utterances, experiment.corpus.seed)


def interventions(experiment: Study) -> list[Intervention]:
    """The masks of the study and their other doses, without any twice."""
    options = experiment.masking
    masks = masking.MASKS if options.masks is None else options.masks
    sweeps = masking.SWEEPS if options.sweeps is None else options.sweeps
    return list(dict.fromkeys(parse(spec) for spec in (*masks, *sweeps)))


def mask_jobs(experiment: Study) -> dict[str, list[str]]:
    """Name of a job -> its masks: all in feature space at once, since they share the features, the others apart."""
    found = interventions(experiment)
    jobs = {"features": [one.spec for one in found if one.space == FEATURE]}
    apart, size = [one.spec for one in found if one.space != FEATURE], experiment.masking.waveform_masks_per_job
    jobs |= {f"waveforms{start // size}": apart[start : start + size] for start in range(0, len(apart), size)}
    return {name: specs for name, specs in jobs.items() if specs}


def segmented(experiment: Study) -> pd.DataFrame:
    """The segments of the masked utterances, a row a stretch, in ``segments/eval.parquet`` below the runs."""
    return decoded(
        experiment, SEGMENTS, EXPLAINED_SET, masked_utterances(experiment), experiment.masking.segments,
        experiment.masking.workers,
    )  # fmt: skip


def tiers_by_utterance(table: pd.DataFrame) -> dict[str, dict[str, Tier]]:
    """Utterance -> its tiers by name, of a table of `segmented`."""
    return {name: segments.tiers_of(part, name) for name, part in table.groupby("utterance")}


def nonspeech_profile(experiment: Study, detector: str, seed: int) -> Baseline:
    """The mean features of bona fide frames without speech in *train*, in ``nonspeech.safetensors`` of the run."""
    folder = checkpoint(experiment, detector, seed)
    path = experiment.run(detector, seed) / "nonspeech.safetensors"
    asked = str(experiment.masking.profile_utterances)
    source = {
        "set": "train", "key": "bonafide", "checkpoint": fingerprint(folder), "seed": seed, "asked_for": asked,
        "how": records.hash_of(records.how(experiment), experiment.corpus.seed),
    }  # fmt: skip
    if path.is_file() and (stored := baselines.load(path)).source.items() >= source.items():
        return stored
    spoken = _profiled(experiment)
    table = _speech_of_train(experiment)
    speech = {name: tiers[SPEECH] for name, tiers in tiers_by_utterance(table).items()}
    model, device = Detector.from_pretrained(folder), select_device(experiment.device)
    made = profile.nonspeech_mean(model, spoken, speech, experiment.scoring, device, source)
    baselines.save(path, made)
    return made


def masked(experiment: Study, detector: str, seed: int, specs: Sequence[str] | None = None) -> pd.DataFrame:
    """Scores of one detector under masks, all of the study by default: a row a mask and utterance.

    Each mask has a table of its own in ``masks/`` of the run's folder; those that are there are read, and the others
    are made from one pass over the utterances.
    """
    wanted = interventions(experiment) if specs is None else [parse(spec) for spec in specs]
    folder, run = checkpoint(experiment, detector, seed), experiment.run(detector, seed) / "masks"
    utterances = masked_utterances(experiment)
    common = _common_key(experiment, fingerprint(folder), utterances)
    keys = {one: _key(experiment, common, one, detector, seed) for one in wanted}
    missing = [one for one in wanted if records.stored_key(run / file_name(one.spec, "json")) != keys[one]]
    if missing:
        _make(experiment, detector, seed, utterances, {one: keys[one] for one in missing}, run)
    parts = [pd.read_parquet(run / file_name(one.spec, "parquet")) for one in wanted]
    return pd.concat([part for part in parts if len(part)], ignore_index=True).assign(detector=detector, seed=seed)


def _make(
    experiment: Study, detector: str, seed: int, utterances: pd.DataFrame, keys: dict[Intervention, str], run: Path
) -> None:
    ranked = any(one.place in ATTRIBUTED for one in keys)
    explained = attributions(experiment, detector, seed) if ranked else pd.DataFrame({"utterance": [], "by_frame": []})
    ranking = dict(zip(explained["utterance"], explained["by_frame"], strict=True))
    places = Places(tiers_by_utterance(segmented(experiment)), ranking)
    pulled = any(one.name == "noise" for one in keys)
    values = nonspeech_profile(experiment, detector, seed).values if pulled else None
    table, left_out = masking.mask_scores(
        Detector.from_pretrained(checkpoint(experiment, detector, seed)), utterances, list(keys), places, values,
        experiment.scoring, draws=experiment.masking.draws, seed=experiment.corpus.seed,
        device=select_device(experiment.device),
    )  # fmt: skip
    write_tsv(run.parent / "left_out_masks.tsv", left_out)
    for one, key in keys.items():
        write_parquet(run / file_name(one.spec, "parquet"), table[table["mask"] == one.spec].reset_index(drop=True))
        write_json(run / file_name(one.spec, "json"), {"key": key, "mask": one.spec, "description": one.description})


def _common_key(experiment: Study, mark: str, utterances: pd.DataFrame) -> str:
    """Of all that decides a result whatever the mask."""
    options = experiment.masking
    contents = records.contents(experiment, EXPLAINED_SET)
    how, seed = records.how(experiment), experiment.corpus.seed
    return records.hash_of(mark, utterances["utterance"].tolist(), contents, how, seed, options.draws, options.segments)


def _key(experiment: Study, common: str, one: Intervention, detector: str, seed: int) -> str:
    explained = dataclasses.asdict(experiment.attribution) if one.place in ATTRIBUTED else None
    profiled = experiment.masking.profile_utterances if one.name == "noise" else None
    return records.hash_of(common, one.spec, explained, profiled)


def _profiled(experiment: Study) -> pd.DataFrame:
    train = protocol.load_set(corpus(experiment), "train")
    spoken = train[train["label"] == KEYS["bonafide"]]
    return draw(spoken, experiment.masking.profile_utterances, experiment.corpus.seed)


def _speech_of_train(experiment: Study) -> pd.DataFrame:
    return decoded(experiment, SEGMENTS, "train", _profiled(experiment), ("vad",), experiment.masking.workers)


def segment(experiment: Study) -> None:
    """Decode what all detectors share: the segments of masked utterances and of those the profile is made of."""
    segmented(experiment)
    _speech_of_train(experiment)


def segment_sources(experiment: Study) -> dict[str, dict[str, str | float]]:
    """Tier -> tool, version, model and parameters it was decoded with."""
    segmented(experiment)
    return json.loads((experiment.runs / SEGMENTS / f"{EXPLAINED_SET}.json").read_text(encoding="utf-8"))["sources"]
