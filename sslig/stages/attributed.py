"""Attributions of the utterances that a study explains, and the baselines they start from."""

import dataclasses

import pandas as pd

from sslig import records
from sslig.attribution import baselines, table
from sslig.attribution.baselines import Baseline, BaselineError
from sslig.attribution.integrated_gradients import FROZEN
from sslig.corpora import protocol
from sslig.files import write_json, write_tsv
from sslig.labels import KEYS
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.corpora.sample import draw, stratified
from sslig.stages.trained import checkpoint, corpus
from sslig.study import Attribution, Study

EXPLAINED_SET = "eval"
BASELINES = ("bonafide_mean", "zero")
COMPARED = 3
"""Utterances that are explained with the free selection too: without an end to the doubling of points, that is slow."""


def baseline(experiment: Study, detector: str, seed: int) -> Baseline:
    """The baseline that the experiment names; mean bona fide features lie in the run's folder with their source."""
    name, options = experiment.attribution.baseline, experiment.attribution
    if name not in BASELINES:
        raise BaselineError(f"{experiment.path}: attribution.baseline is {name!r}; accepted: {', '.join(BASELINES)}")
    folder = checkpoint(experiment, detector, seed)
    model = Detector.from_pretrained(folder)
    path = experiment.run(detector, seed) / "baseline.safetensors"
    source = {
        "set": "train", "key": "bonafide", "checkpoint": fingerprint(folder), "seed": seed,
        "kind": name, "asked_for": str(options.baseline_utterances), "how": records.hash_of(records.how(experiment)),
    }  # fmt: skip
    if path.is_file() and (stored := baselines.load(path)).source.items() >= source.items():
        return stored
    if name == "zero":
        zeros = baselines.zero(model.backbone.n_layers, model.backbone.feature_size)
        baselines.save(path, dataclasses.replace(zeros, source=source))
        return baselines.load(path)
    train = protocol.load_set(experiment.corpus_root, "train")
    bonafide = draw(train[train["label"] == KEYS["bonafide"]], options.baseline_utterances, seed)
    device = select_device(experiment.device)
    made = baselines.bonafide_mean(model, bonafide, experiment.scoring, device, source)
    baselines.save(path, made)
    return made


def explained(experiment: Study) -> pd.DataFrame:
    """The utterances that every detector of the experiment explains."""
    utterances = protocol.load_set(corpus(experiment), EXPLAINED_SET)
    return stratified(utterances, experiment.attribution.utterances, experiment.corpus.seed)


def attributions(experiment: Study, detector: str, seed: int) -> pd.DataFrame:
    """The attributions of one trained detector for the `explained` utterances, in ``attributions.parquet``."""
    options = experiment.attribution
    return _attributions(experiment, detector, seed, "attributions", options, explained(experiment))


def free_attributions(experiment: Study, detector: str, seed: int) -> pd.DataFrame:
    """The attributions of the first `COMPARED` explained utterances with the free selection, to compare."""
    options = dataclasses.replace(experiment.attribution, freeze_selection=False)
    utterances = explained(experiment).head(COMPARED)
    return _attributions(experiment, detector, seed, "attributions_free", options, utterances)


def _attributions(
    experiment: Study, detector: str, seed: int, name: str, options: Attribution, utterances: pd.DataFrame
) -> pd.DataFrame:
    folder, run = checkpoint(experiment, detector, seed), experiment.run(detector, seed)
    path, record = run / f"{name}.parquet", run / f"{name}.json"
    values = dataclasses.asdict(options)
    contents, chosen = records.contents(experiment, EXPLAINED_SET), utterances["utterance"].tolist()
    key = records.hash_of(fingerprint(folder), values, records.how(experiment), chosen, contents)
    if records.stored_key(record) == key:
        return table.read(path)
    record.unlink(missing_ok=True)
    start = baseline(experiment, detector, seed)
    model, device = Detector.from_pretrained(folder), select_device(experiment.device)
    result, left_out = table.attribute(model, utterances, start, options, experiment.scoring, device)
    write_tsv(run / f"left_out_{name}.tsv", left_out)
    table.write(path, result.assign(detector=detector, seed=seed, checkpoint=fingerprint(folder)))
    write_json(record, {"key": key, "baseline": start.source, "options": values})
    return table.read(path)


def attribute(experiment: Study, detector: str, seed: int) -> None:
    """Explain the chosen utterances, and where the head selects nodes, some of them with the free selection too."""
    found = attributions(experiment, detector, seed)
    if set(found["selection"]) == {FROZEN}:
        free_attributions(experiment, detector, seed)
