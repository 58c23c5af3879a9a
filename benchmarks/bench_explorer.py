"""How long the explorer takes: to open an utterance, to explain a file of one's own, to answer what if.

    python benchmarks/bench_explorer.py experiments/demo.yaml [--browser]

Wall seconds, and beside them seconds of CPU time over all threads, which other work on the machine changes less. With
``--browser`` the page is served and an utterance counts as open when the last of its lanes is drawn.
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
from sslig.widgets import opened, view, whatif
from sslig.widgets.archive import Archive
from sslig.widgets.catalogue import Filter

FILE_S = 4.0
PORT = 8937
PRESSED = 15


def timed(what: str, run: Callable[[], Any]) -> Any:
    """What `run()` gives; how long it took is printed."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    print(f"{what}: {time.perf_counter() - wall:.3f} s, CPU {time.process_time() - cpu:.3f} s")
    return result


def opening(archive: Archive) -> None:
    """Open every explained utterance: read, put together, and make the message for the browser."""
    seconds = []
    for name in archive.catalogue.find(Filter())["utterance"]:
        start = time.perf_counter()
        found = archive.open(name)
        message = view.message(found.recording())
        found.numbers()
        seconds.append(time.perf_counter() - start)
    size = sum(len(value) for value in message.values() if isinstance(value, bytes))
    print(f"open {len(seconds)} utterances: median {np.median(seconds):.3f} s, longest {max(seconds):.3f} s "
          f"(the last one: {size / 1024:.0f} KiB of sound and waveform)")  # fmt: skip


def own_file(archive: Archive) -> opened.Opened:
    """Explain four seconds of speech as if they were a file of one's own, after a first one that warms up."""
    bench = archive.bench
    longest = max(archive.catalogue.find(Filter())["utterance"], key=lambda name: len(archive.open(name).waveform))
    samples = np.resize(
        archive.open(longest).waveform, bench.clock.n_samples(bench.clock.n_frames(int(16_000 * FILE_S)))
    )
    opened.recording(bench, "warm", samples)
    found = timed(f"explain a file of {FILE_S:g} s with {len(bench.names)} detectors",
                  lambda: opened.recording(bench, "own", samples))  # fmt: skip
    for name in bench.names:
        timed(f"  {name}", lambda name=name: bench.explain(name, samples))
    tiers = timed("find its segments", lambda: opened.decoded(samples, bench.experiment.masking.segments))
    return found.with_tiers(tiers)


def what_if(archive: Archive, one: opened.Opened) -> None:
    """Take a region of 0.3 s away, in both spaces, with the controls of the study."""
    draws = archive.bench.experiment.masking.draws
    timed(f"what if, both spaces, {draws} controls", lambda: list(
        whatif.changes(archive.bench, one, whatif.of_region(1.0, 1.3), draws=draws)))  # fmt: skip
    timed(f"what if, features alone, {draws} controls", lambda: list(
        whatif.changes(archive.bench, one, whatif.of_region(1.0, 1.3)[:1], draws=draws)))  # fmt: skip


def in_browser(experiment: str) -> None:
    """Serve the page and press the key of the next utterance until the last lane is drawn, again and again."""
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
    """Load the page once the server answers, and return when that began."""
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
    parser.add_argument("--threads", type=int, default=1, help="of the detectors; 1 as on the served page")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    archive = timed("read the tables of the study", lambda: Archive(load(arguments.experiment)))
    timed(
        "open the first utterance",
        lambda: view.message(archive.open(archive.catalogue.find(Filter())["utterance"][0]).recording()),
    )
    opening(archive)
    what_if(archive, own_file(archive))
    if arguments.browser:
        in_browser(arguments.experiment)


if __name__ == "__main__":
    main()
