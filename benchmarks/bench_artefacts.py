"""Measure how many times faster than real time the artefact measures run on one core, with voice activity and F0.

Run it from the repository: ``python benchmarks/bench_artefacts.py CORPUS [SET] [UTTERANCES]``, with a corpus in the
ASVspoof 5 layout. Times are processor times; rows with "read" include reading and decoding of the files.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from sslig import audio
from sslig.corpora.protocol import draw, load_set
from sslig.cues import artefacts, voice
from sslig.frames import SAMPLE_RATE_HZ


def cpu_s(function: Callable[[np.ndarray], object], recordings: list) -> float:
    """Processor time of one call per recording, after a first call that is not counted."""
    function(recordings[0])
    start = time.process_time()
    for recording in recordings:
        function(recording)
    return time.process_time() - start


def main(corpus: Path, set_name: str, n: int) -> None:
    """Print the table."""
    paths = draw(load_set(corpus, set_name), n, seed=0)["path"].tolist()
    recordings = [audio.read(path) for path in paths]
    total_s = sum(map(len, recordings)) / SAMPLE_RATE_HZ
    with threadpool_limits(1):
        times_s = {
            "reading": cpu_s(audio.read, paths),
            "measures": cpu_s(artefacts.measure, recordings),
            "F0, jitter, shimmer": cpu_s(voice.measure, recordings),
            "voice activity (Silero)": cpu_s(voice.speech, recordings),
        }
    sums = {
        "read + measures": ("reading", "measures"),
        "read + measures + F0": ("reading", "measures", "F0, jitter, shimmer"),
        "read + measures + voice activity": ("reading", "measures", "voice activity (Silero)"),
        "all": tuple(times_s),
    }
    print(f"{len(recordings)} utterances, {total_s:.0f} s; times real time on one core")
    for name, parts in {**{name: (name,) for name in times_s}, **sums}.items():
        print(f"{name:35s} {total_s / sum(times_s[part] for part in parts):8,.0f}")


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(Path(given[0]), given.get(1, "eval"), int(given.get(2, 60)))
