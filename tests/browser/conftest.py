"""What the tests of pages share: a small finished study, a server of its pages as a process, and a real browser."""

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
import pandas as pd
import pytest
import torch

from sslig import audio, stages
from sslig.corpora import protocol
from sslig.study import Study
from sslig.widgets import annotator_sheet

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSERS = [os.environ.get("SSLIG_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
"""Where a browser may be, first found first."""

STARTED_S = 60
SAMPLES = (32_000, 28_800, 35_200, 40_000)
HERE = ("127.0.0.1", "localhost", "")
"""Hosts of requests that stay on the machine; data and blobs have none."""


@pytest.fixture(scope="session")
def speech(tmp_path_factory) -> Path:
    """A corpus in the ASVspoof 5 layout with sounds of about two seconds: syllables, with a click in each spoof."""
    root, generator = tmp_path_factory.mktemp("speech"), np.random.default_rng(3)
    for name, (file, folder) in protocol.SETS.items():
        rows = [_trial(name, number, root / folder, generator) for number in range(8)]
        protocol.write(root / file, pd.DataFrame(rows, columns=protocol.COLUMNS))
    return root


def _trial(set_name: str, number: int, folder: Path, generator: np.random.Generator) -> list[str]:
    initial, spoof = set_name[0].upper(), number % 2 == 1
    time_s = np.arange(SAMPLES[number // 2]) / 16_000
    syllables = np.clip(np.sin(2 * np.pi * 3 * time_s), 0, 1)
    sound = syllables * sum(np.sin(2 * np.pi * (120 + 9 * number) * k * time_s) / k for k in range(1, 20))
    sound = 0.1 * sound + 0.002 * generator.standard_normal(len(time_s))
    if spoof:
        sound[9_000:9_400] += 0.3 * generator.standard_normal(400)
    utterance = f"{initial}_{number:04d}"
    audio.write_flac(folder / f"{utterance}.flac", sound.astype(np.float32))
    attack = f"A{(3 if set_name == 'eval' else 1) + number // 4:02d}" if spoof else "-"
    return [f"{initial}_S{number // 4}", utterance, "F", "-", "-", "-", "-", attack,
            "spoof" if spoof else "bonafide", "-"]  # fmt: skip


@pytest.fixture(scope="session")
def finished(tmp_path_factory, write_experiment, speech) -> Study:
    """A study of `speech` with three tiny detectors, trained for two steps, scored and explained. Not to be changed."""
    folder, threads = tmp_path_factory.mktemp("finished"), torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model is slowed by more, most of all beside a browser on two cores
    study = write_experiment(folder, corpus={"root": str(speech)}, seeds=[0], attribution={"utterances": 8})
    for name in study.detectors:
        stages.score(study, name, 0)
        stages.attribute(study, name, 0)
    annotator_sheet.make(study)
    torch.set_num_threads(threads)
    (folder / "notebooks").mkdir()
    for notebook in (REPOSITORY / "notebooks").glob("[ae]*.ipynb"):
        shutil.copy(notebook, folder / "notebooks")
    return study


@pytest.fixture(scope="session")
def copied(finished, write_experiment, speech, tmp_path_factory) -> Callable[..., Study]:
    """Makes a copy of the finished study with other values in its file, for a test that writes to it."""

    def make(**changed) -> Study:
        folder = tmp_path_factory.mktemp("copied") / "study"
        shutil.copytree(finished.root, folder)
        values = {"corpus": {"root": str(speech)}, "seeds": [0], "attribution": {"utterances": 8}} | changed
        return write_experiment(folder, **values)

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
        """End it without a word, kernels and all, as a crash of the machine would."""
        os.killpg(self.process.pid, 9)
        self.process.wait(20)


@pytest.fixture(scope="session")
def serving(free_port) -> Callable:
    """Serves a page of a study, as ``python -m sslig.widgets.serve`` does, while a block lasts."""

    @contextmanager
    def serve(study: Study, page: str = "annotate", port: int | None = None) -> Iterator[Server]:
        port = port or free_port()
        log = study.root / f"{page}-{port}.log"
        command = [sys.executable, "-m", "sslig.widgets.serve", str(study.path), "--page", page, "--port", str(port)]
        with log.open("a") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
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
    """Until the server answers; a page would start a kernel, so it is asked for something that it refuses."""
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
    found = [path for name in BROWSERS if name and (path := shutil.which(name))]
    if not found:
        pytest.skip("no chromium: apt-get install chromium, or set SSLIG_CHROMIUM to one")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
        browser = driver.chromium.launch(executable_path=found[0], args=options)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A window of a browser, and what went wrong in it or left the machine."""

    context: object
    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Record errors of the console and of scripts, and requests to other machines."""
        self.page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda one: self._asked(one.url))
        self.page.on("websocket", lambda one: self._asked(one.url))

    def _asked(self, url: str) -> None:
        if (urlsplit(url).hostname or "") not in HERE:
            self.requests.append(url)

    def check(self) -> None:
        """No error, and nothing left the machine."""
        assert self.errors == []
        assert self.requests == []


@pytest.fixture
def visit(chromium):
    """Opens windows; each is a browser of its own, without what others stored.

    At the end no window may have shown an error or asked another machine for anything, except those opened with
    ``checked=False``.
    """
    visits = []

    def open_(url: str, width: int = 1400, height: int = 1000, checked: bool = True, **options) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        one = Visit(context, context.new_page())
        one.watch()
        visits.append((one, checked))
        one.page.goto(url)
        return one

    yield open_
    for one, _ in visits:
        one.context.close()
    for one, checked in visits:
        if checked:
            one.check()
