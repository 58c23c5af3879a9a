"""Packages of Debian with recordings, downloaded and unpacked without root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sslig.errors import CorpusError

ALTERNATIVES = "Alternatives: `make demo CORPUS=synthetic`, or `make demo CORPUS=<folder of your recordings>`."


def fetch(tree: Path, packages: Sequence[str]) -> Path:
    """The folder `tree` with the unpacked packages, which are downloaded unless it exists.

    `apt-get` runs with a private state folder: it needs no root and leaves the package lists of the machine alone.

    Raises
    ------
    CorpusError
        `apt-get` or `dpkg-deb` is missing or fails.
    """
    if tree.is_dir():
        return tree
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise CorpusError(
                f"the recordings come in Debian packages, and {tool} is not on this machine. {ALTERNATIVES}"
            )
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".fetch-") as scratch:
        unpacked = Path(scratch) / "unpacked"
        for package in _download(Path(scratch), packages):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)], Path(scratch))
        # One rename at the end: a killed download leaves no partial tree.
        os.replace(unpacked, tree)
    return tree


def _download(scratch: Path, packages: Sequence[str]) -> list[Path]:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "state" / "status").touch()
    options = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "state" / "status",
        "Dir::Cache": scratch / "cache",
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 20,
        "Acquire::Languages": "none",
        # Without these two, apt-get warns that its user _apt cannot write here, and calls a failed update a success.
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "-q", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    _run([*apt, "update"], scratch)
    _run([*apt, "download", *packages], scratch)
    return sorted(scratch.glob("*.deb"))


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        output = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:]) or "no message"
        step = f"{Path(command[0]).name} {'update' if 'update' in command else command[-1]}"
        raise CorpusError(f"{step} ended with {done.returncode}: {output}. {ALTERNATIVES}")
