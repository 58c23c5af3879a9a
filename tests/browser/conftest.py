"""A small finished study, a server of its pages as a process, and a real browser."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from sslig.pipeline.outputs import IN_RULE
from sslig.study import Study

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSERS = [os.environ.get("SSLIG_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
STARTED_S = 120
HERE = ("127.0.0.1", "localhost", "")
"""Hosts of requests that stay on the machine; data and blobs have none."""

VALUES = {"seeds": [0], "attribution": {"utterances": 8}}
MASKING = {"utterances": 8, "draws": 3, "workers": 1, "nonspeech_utterances": 4, "masks": ["volume"], "sweeps": []}
MASKING["segments"] = ["vad", "pocketsphinx:phones"]


@pytest.fixture(scope="session")
def speech(tmp_path_factory, write_corpus) -> Path:
    """A corpus with sounds of about two seconds: syllables, with a click in each spoof."""

    def sound(number: int, time_s: np.ndarray, spoof: bool, generator: np.random.Generator) -> np.ndarray:
        syllables = np.clip(np.sin(2 * np.pi * 3 * time_s), 0, 1)
        voice = sum(np.sin(2 * np.pi * (120 + 9 * number) * k * time_s) / k for k in range(1, 20))
        samples = 0.1 * syllables * voice + 0.002 * generator.standard_normal(len(time_s))
        if spoof:
            samples[9_000:9_400] += 0.3 * generator.standard_normal(400)
        return samples

    return write_corpus(tmp_path_factory.mktemp("speech"), sound, (32_000, 28_800, 35_200, 40_000), 3)


@pytest.fixture(scope="session")
def copied(tmp_path_factory, write_experiment, speech, run_pipeline) -> Callable[..., Study]:
    """Makes a copy of a finished study of `speech`, with other values in its file."""
    values = VALUES | {"corpus": {"root": str(speech)}, "masking": MASKING}
    finished = run_pipeline(write_experiment(tmp_path_factory.mktemp("finished"), **values))
    for notebook in ("annotate", "explore"):
        (finished.root / "notebooks").mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "notebooks" / f"{notebook}.ipynb", finished.root / "notebooks")

    def make(**changed) -> Study:
        folder = tmp_path_factory.mktemp("copied") / "study"
        shutil.copytree(finished.root, folder)
        return write_experiment(folder, **values | changed)

    return make


@dataclass
class Server:
    """A server of one page of a study."""

    study: Study
    port: int
    log: Path
    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def kill(self) -> None:
        """End it without notice, kernels and all, like a crash of the machine."""
        os.killpg(self.process.pid, 9)
        self.process.wait(20)


@pytest.fixture(scope="session")
def serving(free_port) -> Callable:
    """Serves a page of a study by ``python -m sslig.widgets.serve`` within a block."""

    @contextmanager
    def serve(study: Study, page: str = "annotate", port: int | None = None) -> Iterator[Server]:
        port = port or free_port()
        log = study.root / f"{page}-{port}.log"
        command = [sys.executable, "-m", "sslig.widgets.serve", str(study.path), "--page", page, "--port", str(port)]
        environment = os.environ | {IN_RULE: "1"}
        with log.open("a") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=environment)
        server = Server(study, port, log, process)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()

    return serve


def _wait(server: Server) -> None:
    """Wait for an answer; a request of the page would start a kernel, so this asks for a refused file."""
    for _ in range(10 * STARTED_S):
        try:
            urllib.request.urlopen(f"{server.url}voila/files/none", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            assert server.process.poll() is None, server.log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"no answer within {STARTED_S} s: {server.log.read_text()}")


@pytest.fixture(scope="session")
def chromium():
    """A running browser; skips where there is none, or nothing to drive it with."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    installed = [path for name in BROWSERS if name and (path := shutil.which(name))]
    if not installed:
        pytest.skip("no chromium: apt-get install chromium, or set SSLIG_CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
        browser = driver.chromium.launch(executable_path=installed[0], args=options)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A window of a browser, the errors in it, and its requests to other machines."""

    context: object
    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        for kind in ("request", "websocket"):
            self.page.on(kind, lambda asked: self._asked(asked.url))

    def _asked(self, url: str) -> None:
        if (urlsplit(url).hostname or "") not in HERE:
            self.requests.append(url)


@pytest.fixture
def visit(chromium):
    """Opens windows that share no storage; none may show an error or ask another machine, unless ``checked=False``."""
    visits = []

    def open_(url: str, width: int = 1400, height: int = 1000, checked: bool = True, **options) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(60_000)
        window = Visit(context, context.new_page())
        window.watch()
        visits.append((window, checked))
        window.page.goto(url)
        return window

    yield open_
    for window, _ in visits:
        window.context.close()
    for window, checked in visits:
        assert not checked or (window.errors, window.requests) == ([], [])
