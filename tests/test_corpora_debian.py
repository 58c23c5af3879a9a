import os
from pathlib import Path

import pytest

from sslig.corpora import debian
from sslig.errors import CorpusError


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """`apt-get` that downloads an empty package, and `dpkg-deb` that unpacks one file."""
    folder = tmp_path / "bin"
    fake(folder, "apt-get", 'for last; do :; done; [ "$last" = update ] || touch core.deb')
    fake(folder, "dpkg-deb", 'mkdir -p "$3"; echo "$2" > "$3/unpacked"')
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_packages_are_downloaded_and_unpacked_once(tools, tmp_path):
    tree = debian.fetch(tmp_path / "cache" / "core", ["core"])
    assert (tree / "unpacked").read_text().strip().endswith("core.deb")
    fake(tools, "apt-get", "exit 9")
    assert debian.fetch(tmp_path / "cache" / "core", ["core"]) == tree
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [tree.name]


def test_a_failed_download_names_alternatives(tools, tmp_path):
    fake(tools, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(CorpusError, match=r"apt-get update ended with 100: E: Unable .*CORPUS=synthetic"):
        debian.fetch(tmp_path / "cache" / "core", ["core"])
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_apt_get_names_alternatives(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match=r"apt-get is not on this machine.*CORPUS=synthetic.*your recordings"):
        debian.fetch(tmp_path / "cache" / "core", ["core"])
