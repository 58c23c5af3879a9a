"""Measures masks: time of each mask with its controls, and all masks in feature space beside one scoring pass.

Run it from the repository: ``python benchmarks/bench_masking.py [--geometry demo|wavlm-base] [--utterances N]``, with
``--write`` to keep the result. Weights are random and the sound is noise; neither changes how long it takes. Time is
processor time on one thread.
"""

import argparse
import os
import platform
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch

from sslig import audio, files
from sslig.cues.masking import mask_scores
from sslig.cues.masks import FEATURE, MASKS, SWEEPS, Mask, Places, parse
from sslig.cues.phones import CLASSES
from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.models.detector import HEADS, Detector
from sslig.scoring import score
from sslig.study import Scoring, load

DURATION_S = 4.0
DRAWS = 20
RESULTS = Path(__file__).parent / "results"


def backbone(geometry: str) -> dict:
    """Values of the encoder: the demo's, or those of WavLM Base."""
    demo = Path(__file__).parents[1] / "experiments" / "demo.yaml"
    return dict(load(demo).backbone) if geometry == "demo" else {"model_type": "wavlm"}


def sound(folder: Path, n: int) -> pd.DataFrame:
    """Utterances of noise as files, with the columns that masks need."""
    rows = []
    for number in range(n):
        noise = np.random.default_rng(number).standard_normal(int(DURATION_S * SAMPLE_RATE_HZ))
        audio.write_flac(folder / f"{number}.flac", (0.1 * noise).astype(np.float32))
        rows.append(
            {
                "utterance": str(number),
                "key": "spoof",
                "attack": "-",
                "codec": "-",
                "speaker": "S",
                "path": str(folder / f"{number}.flac"),
            }
        )
    return pd.DataFrame(rows)


def tiers(seed: int) -> dict[str, Tier]:
    """Tiers as dense as those of speech: phones of 80 ms, words of 320 ms, one pause."""
    generator, about = np.random.default_rng(seed), {"tool": "made up"}

    def even(name: str, width_s: float, labels: tuple[str, ...]) -> Tier:
        edges_s = np.arange(0, DURATION_S, width_s)
        chosen = generator.choice(labels, len(edges_s) - 1).tolist()
        return Tier(name, edges_s[:-1], edges_s[1:], tuple(chosen), DURATION_S, about)

    bounds = np.array([0, 0.2, 2.0, 2.3, 3.7, DURATION_S])
    speech = Tier(
        "speech", bounds[:-1], bounds[1:], ("leading", "speech", "pause", "speech", "trailing"), DURATION_S, about
    )
    phones = ("AA", "N", "T", "S", "CH", "L", "SIL", "+NSN+")
    assert len(phones) == len(CLASSES)
    return {
        "speech": speech,
        "phones": even("phones", 0.08, phones),
        "words": even("words", 0.32, ("one", "two")),
        "voicing": even("voicing", 0.12, ("voiced", "unvoiced")),
    }


def seconds(call, repeats: int = 1) -> float:
    """Processor time of one call."""
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats


def measure(detector: Detector, utterances: pd.DataFrame, masks: list[Mask]) -> tuple[float, dict[str, float]]:
    """Seconds an utterance of one scoring pass, and of each mask with its controls, the pass itself taken off."""
    n_frames = SSL_CLOCK.n_frames(int(DURATION_S * SAMPLE_RATE_HZ))
    generator = np.random.default_rng(0)
    names = utterances["utterance"]
    places = Places(
        {name: tiers(int(name)) for name in names},
        {name: generator.standard_normal(n_frames).astype(np.float32) for name in names},
    )
    profile = torch.zeros(detector.backbone.n_layers, detector.backbone.feature_size)
    one_by_one = Scoring(batch_size=1)

    def run(chosen: list[Mask]) -> float:
        return seconds(
            lambda: mask_scores(detector, utterances, chosen, places, profile, one_by_one, draws=DRAWS, seed=0)
        )

    score(detector, utterances, one_by_one)  # the first pass warms up
    scoring_s = seconds(lambda: score(detector, utterances, one_by_one), repeats=3)
    alone_s = run([])
    by_mask = {mask.spec: (run([mask]) - alone_s) / len(utterances) for mask in masks}
    return scoring_s / len(utterances), by_mask


def main() -> None:
    """Print a table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--geometry", choices=["demo", "wavlm-base"], default="demo")
    parser.add_argument("--utterances", type=int, default=3)
    parser.add_argument("--space", choices=["feature", "all"], default="all", help="which masks")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"sslig-bench-{os.getpid()}"
    utterances = sound(folder, arguments.utterances)
    masks, rows = [mask for mask in map(parse, (*MASKS, *SWEEPS)) if arguments.space in ("all", mask.space)], {}
    for head in HEADS:
        torch.manual_seed(0)
        scoring_s, by_mask = measure(Detector(backbone(arguments.geometry), head).eval(), utterances, masks)
        in_features = sum(by_mask[mask.spec] for mask in masks if mask.space == FEATURE)
        each = {spec: 1000 * value for spec, value in by_mask.items()}
        together = {"feature space, all": 1000 * in_features, "ratio to scoring": in_features / scoring_s}
        rows[head] = {"scoring (ms)": 1000 * scoring_s, **each, **together}
    table = pd.DataFrame(rows)
    print(f"{arguments.geometry}: ms an utterance of {DURATION_S:g} s, each mask with {DRAWS} controls")
    print(table.round(1).to_string())
    if arguments.write:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
        files.write_json(RESULTS / f"masking_{arguments.geometry}.json", about | {"figures": table.round(2).to_dict()})


if __name__ == "__main__":
    main()
