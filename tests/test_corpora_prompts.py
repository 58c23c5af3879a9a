import gzip

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
