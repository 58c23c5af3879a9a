import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from sslig.corpora import prompts
from sslig.corpora.protocol import SETS
from sslig.errors import CorpusError

SECONDS = prompts.BYTES_PER_S
TEXTS = {
    "en": "; comment\nhello: Hello there.\nbeep: [a tone]\nshort: Hi.\nletters/a: a\nagain: Hello there.\n",
    "it": "﻿; commento\nhello: Buongiorno a tutti.\n",
}


@pytest.fixture
def tree(tmp_path):
    """The packages of five languages, each with the same five prompts of noise."""
    generator = np.random.default_rng(0)
    for language, package in prompts.PACKAGES.items():
        name = f"asterisk-core-sounds-{language}"
        sounds = tmp_path / "usr/share/asterisk/sounds" / package.folder
        (sounds / "letters").mkdir(parents=True)
        document = tmp_path / "usr/share/doc" / name / f"core-sounds-{language}.txt.gz"
        document.parent.mkdir(parents=True)
        document.write_bytes(gzip.compress(TEXTS.get(language, "hello: ...\n").encode()))
        for prompt, seconds in {"hello": 2, "beep": 2, "short": 1, "letters/a": 2}.items():
            (sounds / f"{prompt}.g722").write_bytes(generator.bytes(seconds * SECONDS))
        (sounds / "zz-again.g722").write_bytes((sounds / "hello.g722").read_bytes())
    return tmp_path


def test_only_speech_of_the_right_length_is_taken_and_only_once(tree):
    spoken = prompts.recordings(tree)
    assert [prompt.id for prompt in spoken] == ["en/hello", "es/hello", "fr/hello", "it/hello", "ru/hello"]
    assert len(spoken[0].sound()) == 2 * 16_000
    assert spoken[0].sound().dtype == np.float32


def test_transcripts_are_of_the_language_and_english_is_beside_them(tree):
    italian = next(prompt for prompt in prompts.recordings(tree) if prompt.language == "it")
    assert italian.transcript == "Buongiorno a tutti."
    assert italian.english == "Hello there."
    assert italian.licence == "CC BY 3.0"


def test_english_and_spanish_are_one_speaker(tree):
    assert len({prompt.speaker for prompt in prompts.recordings(tree)}) == 4
    assert prompts.PACKAGES["en"].speaker == prompts.PACKAGES["es"].speaker


def test_every_speaker_has_a_set_and_every_set_a_speaker():
    assert set(prompts.SETS) == {package.speaker for package in prompts.PACKAGES.values()}
    assert set(prompts.SETS.values()) == set(SETS)


def test_packages_without_a_prompt_of_that_length_are_refused(tree):
    for path in tree.rglob("*.g722"):
        path.write_bytes(bytes(SECONDS))
    with pytest.raises(CorpusError, match=r"no prompt lasts from 1\.5 to 8\.0 s"):
        prompts.recordings(tree)


def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(CorpusError, match="the package asterisk-core-sounds-en is missing"):
        prompts.recordings(tmp_path)


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
    tree = prompts.fetch(tmp_path / "cache")
    assert (tree / "unpacked").read_text().strip().endswith("core.deb")
    fake(tools, "apt-get", "exit 9")
    assert prompts.fetch(tmp_path / "cache") == tree
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [tree.name]


def test_a_failed_download_names_alternatives(tools, tmp_path):
    fake(tools, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(CorpusError, match=r"apt-get update ended with 100: E: Unable .*CORPUS=synthetic"):
        prompts.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_apt_get_names_alternatives(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match=r"apt-get is not on this machine.*CORPUS=synthetic.*your recordings"):
        prompts.fetch(tmp_path / "cache")
