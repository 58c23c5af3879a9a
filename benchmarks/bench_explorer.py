"""Time that the explorer takes to open an utterance, to explain a file, and to answer "what if?".

    python benchmarks/bench_explorer.py experiments/demo.yaml [--browser]

It prints wall seconds and CPU seconds over all threads; the latter depend less on other work on the machine. With
``--browser`` it serves the page, and an utterance counts as open when its last lane is drawn.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sslig.study import load
from sslig.widgets.bench import Bench, without_region
from sslig.widgets.catalogue import Filter
from sslig.widgets.recording import ExplainedRecording

FILE_S = 4.0
PORT = 8937
PRESSED = 15


def timed(what: str, run: Callable[[], Any]) -> Any:
    """Print the time that `run()` takes, and return its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    print(f"{what}: {time.perf_counter() - wall:.3f} s, CPU {time.process_time() - cpu:.3f} s")
    return result


def opening(bench: Bench) -> None:
    """Open every explained utterance: read it, and make the message for the browser."""
    seconds = []
    for name in bench.catalogue.find(Filter())["utterance"]:
        start = time.perf_counter()
        recording = bench.open(name)
        message = recording.view()
        recording.numbers()
        seconds.append(time.perf_counter() - start)
    size = sum(len(value) for value in message.values() if isinstance(value, bytes))
    print(
        f"open {len(seconds)} utterances: median {np.median(seconds):.3f} s, longest {max(seconds):.3f} s "
        f"(the last one: {size / 1024:.0f} KiB of sound and waveform)"
    )


def explaining(bench: Bench) -> ExplainedRecording:
    """Explain four seconds of speech as an uploaded file, after a first one that warms up."""
    names = bench.catalogue.find(Filter())["utterance"]
    longest = max((bench.open(name).waveform for name in names), key=len)
    samples = np.resize(longest, bench.clock.n_samples(bench.clock.n_frames(int(16_000 * FILE_S))))
    bench.explained("warm", samples, {})
    what = f"explain a file of {FILE_S:g} s with {len(bench.names)} detectors"
    recording = timed(what, lambda: bench.explained("file", samples, {}))
    for name in bench.names:
        timed(f"  {name}", lambda name=name: bench.explain(name, samples))
    return timed("decode its segments", lambda: bench.decoded(recording))


def what_if(bench: Bench, recording: ExplainedRecording) -> None:
    """Remove a region of 0.3 s, with the controls of the study."""
    for what, n_spaces in (("both spaces", 2), ("features alone", 1)):
        trials = without_region(1.0, 1.3)[:n_spaces]
        timed(f"what if, {what}", lambda trials=trials: list(bench.changes(recording, trials)))


def in_browser(experiment: str) -> None:
    """Serve the page, and press the key of the next utterance again and again, until its last lane is drawn."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "sslig.widgets.serve", experiment, "--page", "explore", "--port", str(PORT)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    drawn = "(old) => ((d) => d && d !== old)(document.querySelector('.sslig-explorer').dataset.drawn)"
    try:
        with sync_playwright() as driver:
            chromium = os.environ.get("SSLIG_CHROMIUM", "/usr/bin/chromium")
            page = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
            start = _visit(page)
            page.wait_for_selector(".sslig-explorer[data-drawn]", timeout=300_000)
            print(f"page from nothing to drawn (a kernel starts): {time.perf_counter() - start:.1f} s")
            seconds, root = [], page.locator(".sslig-explorer")
            root.focus()
            for _ in range(PRESSED):
                old, start = root.get_attribute("data-drawn"), time.perf_counter()
                page.keyboard.press("n")
                page.wait_for_function(drawn, arg=old)
                seconds.append(time.perf_counter() - start)
            print(
                f"key to drawn, {PRESSED} utterances: median {np.median(seconds):.3f} s, longest {max(seconds):.3f} s"
            )
    finally:
        server.terminate()


def _visit(page: Any) -> float:
    """Load the page once the server answers, and return the start time of the load."""
    from playwright.sync_api import Error

    for _ in range(60):
        start = time.perf_counter()
        try:
            page.goto(f"http://127.0.0.1:{PORT}/", timeout=300_000)
        except Error:
            time.sleep(1)
        else:
            return start
    raise SystemExit("error: the server does not answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--browser", action="store_true", help="measure in Chromium too")
    parser.add_argument("--threads", type=int, default=1, help="threads of the detectors; the served page uses 1")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    bench = timed("read the tables of the study", lambda: Bench(load(arguments.experiment)))
    first = bench.catalogue.find(Filter())["utterance"][0]
    timed("open the first utterance", lambda: bench.open(first).view())
    opening(bench)
    what_if(bench, explaining(bench))
    if arguments.browser:
        in_browser(arguments.experiment)


if __name__ == "__main__":
    main()
