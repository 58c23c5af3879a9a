"""Publish a trained detector: a folder with weights, calibration, starts of attributions and a model card."""

import argparse
import json
import shutil
import sys
from typing import Any

import pandas as pd

from sslig.cli import loaded, main, starts
from sslig.cli.loaded import BASELINE, CALIBRATION, SCORES_DEV, Calibration, Loaded
from sslig.errors import InputError
from sslig.files import write_json, write_text
from sslig.models.detector import Detector
from sslig.models.named import describe
from sslig.stats import metrics

CARD, TRAINING = "README.md", "training.json"
SETS = {"dev": SCORES_DEV, "eval": "scores_eval.parquet"}


def run(options: argparse.Namespace) -> int:
    """Write the folder, and upload it where that is asked for."""
    loaded.refuse_existing(options.out, options.overwrite)
    detector = loaded.load("", str(options.run_folder))
    if type(detector.model) is not Detector or detector.calibration is None:
        raise InputError(f"{options.run_folder}: a run with detector/ and {SCORES_DEV} is needed")
    values = card_values(detector, options)
    detector.model.save_pretrained(options.out)
    write_json(options.out / CALIBRATION, detector.calibration.record())
    baseline = detector.place.parent / BASELINE
    if baseline.is_file():
        shutil.copy(baseline, options.out / BASELINE)
    if draws := starts.draws(detector.model, detector.place, None, "cpu"):
        starts.write(options.out / starts.STARTS, draws)
    write_text(options.out / CARD, card(values))
    print(f"published: {options.out}", file=sys.stderr)
    if options.push:
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(options.push, exist_ok=True)
        api.upload_folder(repo_id=options.push, folder_path=options.out)
        print(f"uploaded: {options.push}", file=sys.stderr)
    if options.json:
        main.print_json(values)
    return main.DONE


def card_values(detector: Loaded, options: argparse.Namespace) -> dict[str, Any]:
    """Metrics by set, direction, corpus and calibration of a detector."""
    run = detector.place.parent
    scored = {name: run / file for name, file in SETS.items() if (run / file).is_file()}
    record = json.loads((run / TRAINING).read_text(encoding="utf-8")) if (run / TRAINING).is_file() else {}
    corpus = options.corpus or record.get("values", {}).get("corpus", {}).get("source", "unknown")
    facts = describe(detector.model)
    return {
        "name": detector.name,
        "licence": options.licence,
        "corpus": corpus,
        "facts": {name: facts[name] for name in ("encoder", "layers", "features", "head", "parameters", "normalises")},
        "metrics": {name: measured(pd.read_parquet(path), detector.calibration) for name, path in scored.items()},
        "calibration": detector.calibration.record(),
    }


def measured(scores: pd.DataFrame, calibration: Calibration) -> dict[str, float]:
    """Trials of each class, EER and minDCF of scores, actDCF and Cllr of their LLRs."""
    bonafide, spoof = (scores.loc[scores["key"] == key, "spoof_score"] for key in ("bonafide", "spoof"))
    ratios = calibration.llr(bonafide), calibration.llr(spoof)
    values = {"bonafide": len(bonafide), "spoof": len(spoof), "eer": metrics.eer(bonafide, spoof)}
    values |= {"min_dcf": metrics.min_dcf(bonafide, spoof), "act_dcf": metrics.act_dcf(*ratios)}
    return values | {"cllr": metrics.cllr(*ratios)}


def card(values: dict[str, Any]) -> str:
    """The model card in Markdown, with the metadata that the Hub reads."""
    name, calibration = values["name"], values["calibration"]
    rows = [
        f"| {set_name} | {part['bonafide']} | {part['spoof']} | {100 * part['eer']:.1f} | {part['min_dcf']:.3f} | "
        f"{part['act_dcf']:.3f} | {part['cllr']:.3f} |"
        for set_name, part in values["metrics"].items()
    ]
    facts = "\n".join(f"- {key}: {value}" for key, value in values["facts"].items())
    return f"""---
library_name: sslig
license: {values["licence"]}
pipeline_tag: audio-classification
tags: [audio, deepfake-detection, anti-spoofing]
---

# {name}

A detector of speech deepfakes: from a recording at 16 kHz to one spoof logit.

**Direction.** A higher score means more likely spoof. The official files of ASVspoof have the opposite direction.

**Training corpus.** {values["corpus"]}

{facts}

## Metrics

EER in percent; minDCF and actDCF at 5 % spoofs, with a missed spoof ten times as dear as a false alarm; Cllr in bits.
LLRs are calibrated on dev, so actDCF and Cllr of dev are optimistic.

| set | bona fide | spoof | EER | minDCF | actDCF | Cllr |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

## Calibration

log p(score | spoof) / p(score | bona fide) = {calibration["weight"]:.6g} score {calibration["offset"]:+.6g}, fitted on
{calibration["n_bonafide"]} bona fide and {calibration["n_spoof"]} spoofed utterances of dev ({CALIBRATION}).

## Use

    sslig score recording.wav --detector FOLDER_OR_REPOSITORY
    sslig explain recording.wav --detector FOLDER_OR_REPOSITORY --out explained
"""
