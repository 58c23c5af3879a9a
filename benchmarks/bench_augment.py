"""Measure augmentation on 4 s of speech: each step, and the published pipeline beside two plain implementations.

Run it from the repository: ``python benchmarks/bench_augment.py [--utterances N] [--write]``. Time is processor time,
so it is time per core. Both plain implementations draw from the same distribution and replace the costly steps
only. "Loop" computes mu-law, each output sample of a filter and each impulse in a Python loop. "One by one" is how such
code is commonly written with the libraries: 25 calls of firwin, their convolution, one lfilter for each power, all
samples permuted to choose a few.
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

os.environ["OMP_NUM_THREADS"] = "1"

import librosa
import numpy as np
from scipy.signal import firwin, freqz, lfilter

from sslig import files
from sslig.corpora import recordings
from sslig.data import augment, rawboost
from sslig.data.distortions import STEPS
from sslig.frames import SAMPLE_RATE_HZ

CROP_SAMPLES = 4 * SAMPLE_RATE_HZ
LOOP_SHARE = 10
"""The loop is measured on one in so many utterances."""
REPEATS = 20
RESULT = Path(__file__).parent / "results" / "augment.json"

Filter = Callable[[np.ndarray, np.ndarray], np.ndarray]


def loop_filter(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The signal through a symmetric filter, one output sample at a time."""
    padded, backward = np.pad(signal, len(taps) // 2), taps[::-1]
    return np.array([padded[at : at + len(taps)] @ backward for at in range(len(signal))])


def library_filter(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The signal through a symmetric filter by SciPy."""
    return lfilter(taps, 1, np.pad(signal, (0, len(taps) // 2)))[len(taps) // 2 :]


def stop_bands(generator: np.random.Generator, gain_db: float) -> np.ndarray:
    """Taps of five stop bands with the published ranges, designed one after the other."""
    cascade = np.ones(1)
    for _ in range(5):
        centre, width = generator.uniform(20, 8000), generator.uniform(100, 1000)
        edges = [max(centre - width / 2, 1e-3), min(centre + width / 2, 8000 - 1e-3)]
        cascade = np.convolve(firwin(int(generator.uniform(10, 100)) | 1, edges, fs=SAMPLE_RATE_HZ), cascade)
    return 10 ** (gain_db / 20) * cascade / np.abs(freqz(cascade)[1]).max()


def convolutive(samples: np.ndarray, generator: np.random.Generator, through: Filter) -> np.ndarray:
    """Linear and non-linear convolutive noise, one power at a time."""
    total = through(samples, stop_bands(generator, 0))
    for order in range(2, 6):
        total = total + through(samples**order, stop_bands(generator, -generator.uniform(5, 20)))
    total = total - total.mean()
    return total / max(1, np.abs(total).max())


def loop_rawboost(samples: np.ndarray, generator: np.random.Generator, algorithm: int) -> np.ndarray:
    """Algorithm 5, one sample at a time."""
    noisy = convolutive(samples, generator, loop_filter)
    for at in generator.permutation(len(noisy))[: int(len(noisy) * generator.uniform(0, 0.1))]:
        noisy[at] += 2 * noisy[at] * generator.uniform(-1, 1) * generator.uniform(-1, 1)
    return (noisy / max(1, np.abs(noisy).max())).astype(np.float32)


def library_rawboost(samples: np.ndarray, generator: np.random.Generator, algorithm: int) -> np.ndarray:
    """Algorithm 5, one library call at a time."""
    noisy = convolutive(samples, generator, library_filter)
    hit = generator.permutation(len(noisy))[: int(len(noisy) * generator.uniform(0, 0.1))]
    noisy[hit] += 2 * noisy[hit] * generator.uniform(-1, 1, len(hit)) * generator.uniform(-1, 1, len(hit))
    return (noisy / max(1, np.abs(noisy).max())).astype(np.float32)


def loop_mu_law(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mu-law, one sample at a time."""
    companded = np.empty_like(samples)
    for at, sample in enumerate(samples.tolist()):
        curve = math.copysign(math.log1p(255 * min(1.0, abs(sample))) / math.log(256), sample)
        level = 2 * (math.ceil((curve + 1) * 127.5) - 128) / 256
        companded[at] = math.copysign((256 ** abs(level) - 1) / 255, level)
    return companded


def library_mu_law(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mu-law by librosa."""
    levels = librosa.mu_compress(np.clip(samples, -1, 1), mu=255, quantize=True)
    return librosa.mu_expand(levels, mu=255, quantize=True).astype(np.float32)


LOOP = {"mu_law": loop_mu_law, "rawboost": loop_rawboost}
LIBRARY = {"mu_law": library_mu_law, "rawboost": library_rawboost}


def milliseconds(function: Callable[[int], object], times: int) -> float:
    """Mean processor time of one call."""
    function(0)
    start = time.process_time()
    for number in range(times):
        function(number)
    return (time.process_time() - start) / times * 1e3


def crops(count: int) -> list[np.ndarray]:
    """`count` signals of 4 s: recordings of synthetic speech, repeated to that length."""
    spoken = recordings.synthetic(4, -(-count // 4))[:count]
    return [np.resize(0.5 * recording.sound(), CROP_SAMPLES).astype(np.float32) for recording in spoken]


def measure(utterances: int) -> dict[str, dict]:
    """Milliseconds per utterance of every step, every RawBoost algorithm and the three pipelines.

    The pipelines are compared on the same utterances, of which they change the same ones.
    """
    sounds, published = crops(32), augment.build("published")

    def on_sounds(step: Callable[..., np.ndarray]) -> Callable[[int], np.ndarray]:
        return lambda number: step(sounds[number % len(sounds)], np.random.default_rng(number))

    def pipeline(number: int) -> np.ndarray:
        return published(sounds[number % len(sounds)], 0, str(number), 0)

    steps = {name: milliseconds(on_sounds(step), REPEATS) for name, step in STEPS.items()}
    for number in rawboost.ALGORITHMS:
        boost = partial(rawboost.apply, algorithm=number)
        steps[f"rawboost {number}"] = milliseconds(on_sounds(boost), REPEATS)
    pipelines = {"published": {"ms": milliseconds(pipeline, utterances), "times_slower": 1.0}}
    for name, replaced, count in (("one by one", LIBRARY, utterances), ("loop", LOOP, utterances // LOOP_SHARE)):
        ours = milliseconds(pipeline, count)
        with patch.dict(STEPS, replaced):
            plain = milliseconds(pipeline, count)
        pipelines[name] = {"ms": plain, "times_slower": plain / ours}
    return {"steps_ms": steps, "pipelines": pipelines}


def main() -> None:
    """Print the table; with ``--write``, also keep it in `RESULT`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=1000, help="utterances that go through the pipelines")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} beside this script")
    arguments = parser.parse_args()
    figures = measure(arguments.utterances)
    print(f"{'':24s}{'ms':>8s}{'utterances / s / core':>24s}")
    for name, value in figures["steps_ms"].items():
        print(f"{name:24s}{value:8.2f}{1000 / value:24.0f}")
    for name, speed in figures["pipelines"].items():
        print(f"{'pipeline, ' + name:24s}{speed['ms']:8.2f}{1000 / speed['ms']:24.0f}   x {speed['times_slower']:.1f}")
    if arguments.write:
        machine = {"processor": platform.machine(), "python": platform.python_version(), "numpy": np.__version__}
        files.write_json(RESULT, {"crop_s": 4, "utterances": arguments.utterances, "machine": machine, **figures})


if __name__ == "__main__":
    main()
