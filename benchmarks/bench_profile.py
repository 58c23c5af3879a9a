"""Measures cue profiles: utterances a second and core, and memory against the number of utterances.

Run it from the repository: ``python benchmarks/bench_profile.py [--geometry demo|wavlm-base] [--utterances N ...]``,
with ``--audio`` and a folder of FLAC files to profile those over and over, and ``--write`` to store the result. Weights
are random and the sound is noise unless files are given. Each number of utterances is profiled by a separate process,
shard after shard as the rule does it. Time is processor time on one thread. Decoding what is said is measured apart:
it is done once for all detectors.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch

from sslig import audio, files
from sslig.attribution.context import Context
from sslig.cues import segments
from sslig.cues.cue_profile import profiles
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import HEADS, Detector
from sslig.study import Attribution, load

DURATION_S = 3.3
FILES = 8
SHARD = 50
SOURCES = ("vad", "pocketsphinx:phones")
RESULTS = Path(__file__).parent / "results"
DEMO = Path(__file__).parents[1] / "experiments" / "demo.yaml"


def backbone(geometry: str) -> dict:
    """Values of the encoder: the demo's, or those of WavLM Base."""
    return dict(load(DEMO).backbone) if geometry == "demo" else {"model_type": "wavlm"}


def sounds(folder: Path) -> list[Path]:
    """Files of noise."""
    paths = [folder / f"{number}.flac" for number in range(FILES)]
    for number, path in enumerate(paths):
        noise = np.random.default_rng(number).standard_normal(int(DURATION_S * SAMPLE_RATE_HZ))
        audio.write_flac(path, (0.1 * noise).astype(np.float32))
    return paths


def utterances(paths: list[Path], n: int) -> pd.DataFrame:
    """`n` utterances of a few files, with the columns that profiles need."""
    rows = {
        "utterance": [f"{number:07d}" for number in range(n)],
        "path": [str(paths[i % len(paths)]) for i in range(n)],
    }
    return pd.DataFrame(rows).assign(key="spoof", attack="-", codec="-", speaker="S", recording="R")


def profiled(head: str, geometry: str, paths: list[Path], n: int) -> dict[str, float]:
    """Processor seconds an utterance, and the most memory of this process in MiB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    detector = Detector(backbone(geometry), head).eval()
    study = load(DEMO).model_copy(update={"attribution": Attribution(baseline="zero"), "device": "cpu"})
    context, table = Context({}, options=study.attribution), utterances(paths, n)
    with tempfile.TemporaryDirectory() as folder:
        profiles(study, detector, table.head(2), context, {})  # the first pass warms up
        before = time.process_time()
        for first in range(0, n, SHARD):
            part = table.iloc[first : first + SHARD].reset_index(drop=True)
            regions, rows, _ = profiles(study, detector, part, context, {})
            files.write_parquet(Path(folder) / f"regions-{first}.parquet", regions)
            files.write_parquet(Path(folder) / f"utterances-{first}.parquet", rows)
        seconds = (time.process_time() - before) / n
    return {"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_own_process(head: str, geometry: str, folder: Path, n: int) -> dict[str, float]:
    """`profiled` in a separate process, whose memory holds nothing else."""
    command = [sys.executable, __file__, "--geometry", geometry, "--audio", str(folder), "--child", head, str(n)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def decoded(paths: list[Path]) -> float:
    """Processor seconds an utterance of decoding what is said."""
    table = utterances(paths, len(paths))
    segments.decode(table.head(1), SOURCES)
    before = time.process_time()
    segments.decode(table, SOURCES)
    return (time.process_time() - before) / len(table)


def main() -> None:
    """Print a table, and write it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--geometry", choices=["demo", "wavlm-base"], default="demo")
    parser.add_argument("--utterances", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--audio", type=Path, help="folder of FLAC files; by default noise")
    parser.add_argument("--heads", nargs="+", choices=list(HEADS), default=list(HEADS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.audio or Path(temporary)
        paths = sorted(folder.glob("*.flac"))[:FILES] if arguments.audio else sounds(folder)
        if arguments.child:
            head, n = arguments.child
            print(json.dumps(profiled(head, arguments.geometry, paths, int(n))))
            return
        rows = [{"head": head, "utterances": n} | in_own_process(head, arguments.geometry, folder, n)
                for head in arguments.heads for n in arguments.utterances]  # fmt: skip
        decoding_s = decoded(paths)
    table = pd.DataFrame(rows).assign(per_core_second=lambda rows: 1 / rows["seconds"])
    print(f"{arguments.geometry}, shards of {SHARD}; decoding: {decoding_s:.3f} s an utterance and core")
    print(table.round(3).to_string(index=False))
    if arguments.write:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
        figures = {"decoding_s": round(decoding_s, 3), "figures": table.round(4).to_dict("records")}
        files.write_json(RESULTS / f"profile_{arguments.geometry}.json", about | figures)


if __name__ == "__main__":
    main()
