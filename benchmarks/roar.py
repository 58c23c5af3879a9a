"""Remove and retrain (ROAR): does a head that is trained anew need the frames that a map ranks highest?

    python benchmarks/roar.py experiments/demo.yaml camhfa [--seed 0]

Deletion asks the same detector about inputs that it has never met. Here the highest frames of a map are removed from
the training utterances and from the test utterances, and a head with new random weights is trained on the features of
the detector's encoder, which stays. Where it gets no worse than with as many random frames removed, the map does not
point at what the classes differ in. Writes ``benchmarks/results/roar.tsv``: ``detector``, ``method``, ``percent`` of
the frames removed, ``eer_percent`` on *eval* with ``low`` and ``high``, and ``difference`` to random frames (points)
with ``difference_low`` and ``difference_high``.

References
----------
S. Hooker, D. Erhan, P.-J. Kindermans and B. Kim, "A benchmark for interpretability methods in deep neural networks",
NeurIPS 2019.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import pipeline, scoring
from sslig.attribution import context
from sslig.attribution.methods import explain, parse
from sslig.corpora import protocol
from sslig.cues.edits import from_nearest, top_frames
from sslig.files import write_tsv
from sslig.models.detector import Detector, build_head
from sslig.stats import intervals
from sslig.study import Study, load

RESULTS = Path(__file__).parent / "results" / "roar.tsv"
METHODS = ("gradient_x_input(space=features)", "occlusion(space=features)", "random")
RANDOM = METHODS[-1]
PERCENTS = (10, 40)
UTTERANCES = {"train": 320, "eval": 200}
FRAMES = 99
"""Of each utterance, which is cut or repeated to them."""
STEPS, BATCH, RATE = 250, 16, 2e-3


def prepared(study: Study, name: str, seed: int) -> tuple[Detector, dict[str, pd.DataFrame], dict[str, dict]]:
    """The detector, utterances of both sets, and by set their features and their maps by method."""
    files = {key: pipeline.files(study, key)[name, seed] for key in ("detector", "baseline", "nonspeech", "scores_dev")}
    root, detector = pipeline.corpus_root(study), Detector.from_pretrained(files.pop("detector"))
    ready = context.load(study, seed, detector, root, **files)
    tables, data = {}, {}
    for set_name, n in UTTERANCES.items():
        chosen = protocol.stratified(protocol.load_set(root, set_name), n, seed)
        rows, _ = scoring.one_by_one(chosen, detector, study.scoring, "cpu")
        features, maps, kept = [], {method: [] for method in METHODS}, []
        for row, waveform in rows:
            with torch.no_grad():
                features.append(fitted(detector.features(waveform)[0]))
            for method in METHODS:
                frames = explain(parse(method), detector, waveform, ready.of(row["utterance"])).by_frame
                maps[method].append(fitted(torch.from_numpy(np.abs(frames))[None, :, None])[0, :, 0])
            kept.append(row)
        tables[set_name] = protocol.with_recordings(root, pd.DataFrame(kept).reset_index(drop=True))
        data[set_name] = {"features": torch.stack(features)} | {m: torch.stack(each) for m, each in maps.items()}
    return detector, tables, data


def fitted(values: Tensor) -> Tensor:
    """(layer, `FRAMES`, feature) Values of (layer, frame, feature), cut or repeated."""
    return values[:, torch.arange(FRAMES) % values.shape[1]]


def without(data: dict[str, Tensor], method: str, percent: float) -> Tensor:
    """(utterance, layer, frame, feature) Features whose highest frames are the mean of the nearest that stay."""
    return from_nearest(data["features"], top_frames(data[method], percent, FRAMES)) if percent else data["features"]


def retrained(study: Study, name: str, train: Tensor, labels: Tensor, seed: int) -> torch.nn.Module:
    """A head with new weights, trained on features."""
    values = {key: value for key, value in study.detectors[name].items() if key != "head"}
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = build_head(study.detectors[name]["head"], train.shape[1], train.shape[3], values).train()
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE)
    weight = torch.where(labels == 1, 0.5 / (labels == 1).float().mean(), 0.5 / (labels == 0).float().mean())
    for _ in range(STEPS):
        batch = torch.randint(len(train), (BATCH,), generator=generator)
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(train[batch]), labels[batch], weight[batch])
        loss.backward()
        optimiser.step()
    return head.eval()


def main() -> None:
    """Retrain for each method and share of frames, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment")
    parser.add_argument("detector")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study = load(options.experiment)
    _, tables, data = prepared(study, options.detector, options.seed)
    labels, trials = torch.from_numpy(tables["train"]["label"].to_numpy()).float(), []
    for method, percent in [("none", 0), *((method, percent) for percent in PERCENTS for method in METHODS)]:
        head = retrained(study, options.detector, without(data["train"], method, percent), labels, options.seed)
        with torch.inference_mode():
            scores = torch.cat([head(part) for part in without(data["eval"], method, percent).split(32)]).numpy()
        about = {"detector": f"{method} {percent}", "seed": options.seed, "spoof_score": scores}
        trials.append(tables["eval"].assign(**about))
    draws = {"recordings": study.evaluation.resample_recordings, "seed": 0, "rounds": 1000}
    eers = intervals.estimates(pd.concat(trials), {"eer": "spoof_score"}, **draws)
    rows = []
    for name, eer in eers.items():
        method, percent = name.rsplit(" ", 1)
        difference = eer - eers.get(f"{RANDOM} {percent}", eer)
        figures = [100 * getattr(each, end)[0] for each in (eer, difference) for end in ("value", "low", "high")]
        rows.append((options.detector, method, int(percent), *figures))
    columns = ["detector", "method", "percent", "eer_percent", "low", "high"]
    columns += ["difference", "difference_low", "difference_high"]
    write_tsv(RESULTS, pd.DataFrame(rows, columns=columns))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
