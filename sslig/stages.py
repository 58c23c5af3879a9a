"""The steps of a study, each done once: read from disk where made with the same values, else made now."""

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from sslig import protocol, scores, scoring, training
from sslig.attribution import baselines, table
from sslig.attribution.baselines import Baseline, BaselineError
from sslig.attribution.integrated_gradients import FROZEN
from sslig.data import corpora
from sslig.experiment import Attribution, Experiment, load
from sslig.files import write_json, write_tsv
from sslig.labels import KEYS
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.selection import draw, stratified

READY_MADE = "asvspoof5"
EXPLAINED_SET = "eval"
SCORED_SETS = ("dev", "eval")
BASELINES = ("bonafide_mean", "zero")
COMPARED = 4
"""Utterances that are explained with the free selection too: without an end to the doubling of points, that is slow."""

SPEED = ("workers", "batch_size")
"""Options of scoring that change how fast a result comes, and not the result."""


def corpus(experiment: Experiment, workers: int = 2) -> Path:
    """The folder of the corpus, built from its source unless it lies there ready-made or finished."""
    root, values = experiment.corpus_root, experiment.corpus
    if values.source == READY_MADE:
        for name in protocol.SETS:
            if not (root / protocol.SETS[name][0]).is_file():
                raise protocol.ProtocolError(f"{root}: no {protocol.SETS[name][0]}; set corpus.root in "
                                             f"{experiment.path} to the folder of ASVspoof 5")  # fmt: skip
        return root
    corpora.ensure(values.source, root, values.seed, values.recordings, workers)
    return root


def epochs(experiment: Experiment, detector: str, seed: int) -> pd.DataFrame:
    """The table of epochs of a trained detector, whose folder then holds ``checkpoint/`` and ``last/``."""
    corpus(experiment)
    run, key = experiment.run(detector, seed), _training_key(experiment, detector, seed)
    if _stored_key(run / training.RECORD) != key:
        training.train(experiment, detector, seed, key)
    return pd.read_csv(run / training.EPOCHS, sep="\t")


def checkpoint(experiment: Experiment, detector: str, seed: int) -> Path:
    """The folder of the trained detector."""
    epochs(experiment, detector, seed)
    return experiment.run(detector, seed) / training.CHECKPOINT


def set_scores(experiment: Experiment, detector: str, seed: int, set_name: str) -> pd.DataFrame:
    """The scores of one trained detector on one set.

    They lie in the run's folder as ``scores_<set>.parquet`` and, in the official form, ``scores_<set>.tsv``; what could
    not be scored is in ``left_out_<set>.tsv``.
    """
    folder, run = checkpoint(experiment, detector, seed), experiment.run(detector, seed)
    path, record = run / f"scores_{set_name}.parquet", run / f"scores_{set_name}.json"
    mark = fingerprint(folder)
    key = _hash(mark, _how(experiment), _contents(experiment, set_name))
    if _stored_key(record) == key:
        return scores.read(path)
    record.unlink(missing_ok=True)
    utterances = protocol.load_set(experiment.corpus_root, set_name)
    model = Detector.from_pretrained(folder)
    scored, left_out = scoring.score(model, utterances, experiment.scoring, select_device(experiment.device))
    result = scored.assign(seed=seed, checkpoint=mark)[list(scores.COLUMNS)]
    write_tsv(run / f"left_out_{set_name}.tsv", left_out)
    scores.write_official(run / f"scores_{set_name}.tsv", result)
    scores.write(path, result)
    write_json(record, {"key": key, "scored": len(result), "left_out": len(left_out)})
    return result


def baseline(experiment: Experiment, detector: str, seed: int) -> Baseline:
    """The baseline that the experiment names; mean bona fide features lie in the run's folder with their source."""
    name, options = experiment.attribution.baseline, experiment.attribution
    if name not in BASELINES:
        raise BaselineError(f"{experiment.path}: attribution.baseline is {name!r}; accepted: {', '.join(BASELINES)}")
    folder = checkpoint(experiment, detector, seed)
    model = Detector.from_pretrained(folder)
    path = experiment.run(detector, seed) / "baseline.safetensors"
    source = {
        "set": "train", "key": "bonafide", "checkpoint": fingerprint(folder), "seed": seed,
        "kind": name, "asked_for": str(options.baseline_utterances),
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


def explained(experiment: Experiment) -> pd.DataFrame:
    """The utterances that every detector of the experiment explains."""
    utterances = protocol.load_set(corpus(experiment), EXPLAINED_SET)
    return stratified(utterances, experiment.attribution.utterances, experiment.corpus.seed)


def attributions(experiment: Experiment, detector: str, seed: int) -> pd.DataFrame:
    """The attributions of one trained detector for the `explained` utterances, in ``attributions.parquet``."""
    options = experiment.attribution
    return _attributions(experiment, detector, seed, "attributions", options, explained(experiment))


def free_attributions(experiment: Experiment, detector: str, seed: int) -> pd.DataFrame:
    """The attributions of the first `COMPARED` explained utterances with the free selection, to compare."""
    options = dataclasses.replace(experiment.attribution, freeze_selection=False)
    utterances = explained(experiment).head(COMPARED)
    return _attributions(experiment, detector, seed, "attributions_free", options, utterances)


def _attributions(
    experiment: Experiment, detector: str, seed: int, name: str, options: Attribution, utterances: pd.DataFrame
) -> pd.DataFrame:
    folder, run = checkpoint(experiment, detector, seed), experiment.run(detector, seed)
    path, record = run / f"{name}.parquet", run / f"{name}.json"
    values = dataclasses.asdict(options)
    contents = _contents(experiment, EXPLAINED_SET)
    key = _hash(fingerprint(folder), values, experiment.scoring.crop_s, utterances["utterance"].tolist(), contents)
    if _stored_key(record) == key:
        return table.read(path)
    record.unlink(missing_ok=True)
    start = baseline(experiment, detector, seed)
    model, device = Detector.from_pretrained(folder), select_device(experiment.device)
    result, left_out = table.attribute(model, utterances, start, options, experiment.scoring, device)
    write_tsv(run / f"left_out_{name}.tsv", left_out)
    table.write(path, result.assign(detector=detector, seed=seed, checkpoint=fingerprint(folder)))
    write_json(record, {"key": key, "baseline": start.source, "options": values})
    return table.read(path)


def _training_key(experiment: Experiment, detector: str, seed: int) -> str:
    """A short hash of all that decides what training gives: corpus, backbone, detector, recipe, dev scoring, seed."""
    recipe = dataclasses.asdict(experiment.training)
    del recipe["workers"]
    contents = _contents(experiment, "train"), _contents(experiment, "dev")
    return _hash(contents, experiment.backbone, experiment.detector(detector), recipe, _how(experiment), seed)


def _contents(experiment: Experiment, set_name: str) -> list[str]:
    """Hashes of what a set consists of: its protocol, and what a corpus built here was made from and how."""
    root = experiment.corpus_root
    made = json.loads(path.read_text(encoding="utf-8")) if (path := root / corpora.SUMMARY).is_file() else {}
    return [_hash_of_file(root / protocol.SETS[set_name][0]), _hash(made.get("fingerprint"), made.get("asked_for"))]


def _how(experiment: Experiment) -> dict[str, Any]:
    """The options of scoring that decide scores."""
    return {name: value for name, value in dataclasses.asdict(experiment.scoring).items() if name not in SPEED}


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stored_key(record: Path) -> str | None:
    return json.loads(record.read_text(encoding="utf-8"))["key"] if record.is_file() else None


def score(experiment: Experiment, detector: str, seed: int) -> None:
    """Score both sets that scores are needed of."""
    for set_name in SCORED_SETS:
        set_scores(experiment, detector, seed, set_name)


def attribute(experiment: Experiment, detector: str, seed: int) -> None:
    """Explain the chosen utterances, and where the head selects nodes, some of them with the free selection too."""
    found = attributions(experiment, detector, seed)
    if set(found["selection"]) == {FROZEN}:
        free_attributions(experiment, detector, seed)


def main() -> None:
    """Do one stage from the command line, and say so in a line."""
    steps = {"train": epochs, "score": score, "baseline": baseline, "attribute": attribute}
    parser = argparse.ArgumentParser(description="Do one stage of a study, and those before it that are not done.")
    parser.add_argument("stage", choices=["corpus", *steps])
    parser.add_argument("experiment")
    parser.add_argument("--detector")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=int, default=2, help="processes that build a corpus")
    arguments = parser.parse_args()
    start, name, seed = time.monotonic(), arguments.detector, arguments.seed
    try:
        experiment = load(arguments.experiment)
        if arguments.stage == "corpus":
            corpus(experiment, arguments.workers)
        else:
            name, seed = name or next(iter(experiment.detectors)), experiment.seeds[0] if seed is None else seed
            steps[arguments.stage](experiment, name, seed)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    what = "" if arguments.stage == "corpus" else f" {name} seed {seed}"
    print(f"{arguments.stage}{what}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
