"""The source "prompts": telephone prompts of Asterisk in five languages by four speakers, from Debian packages.

All languages use the same prompt names, so text-to-speech can speak the English counterpart of each prompt.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sslig.corpora import debian
from sslig.corpora.recordings import LONGEST_S, SHORTEST_S, Recording
from sslig.errors import CorpusError

BYTES_PER_S = 8000
"""Rate of G.722 at 64 kbit/s, the format of the packages."""
SHORT_FOLDERS = frozenset({"silence", "letters", "digits", "phonetic"})
"""Folders of single letters, digits and silence, which are no sentences."""
NO_SPEECH = frozenset({"beep", "beeperr", "ascending-2tone", "descending-2tone", "tt-monkeys", "tt-weasels"})


@dataclass(frozen=True)
class Package:
    """The prompts of one language: folder in the package, speaker and licence."""

    folder: str
    speaker: str
    gender: str
    licence: str


# Allison Smith speaks English and Spanish, by the copyright files of both packages: one speaker, one set.
PACKAGES = {
    "en": Package("en_US_f_Allison", "Allison Smith", "F", "CC BY-SA 3.0"),
    "es": Package("es_MX_f_Allison", "Allison Smith", "F", "CC BY-SA 3.0"),
    "fr": Package("fr_CA_f_June", "June Wallack", "F", "CC BY-SA 3.0"),
    "it": Package("it_IT_m_Carlo", "Carlo Flora", "M", "CC BY 3.0"),
    "ru": Package("ru_RU_f_IvrvoiceRU", "ivrvoice.ru", "F", "CC BY 3.0"),
}
SETS = {"Allison Smith": "train", "June Wallack": "dev", "Carlo Flora": "eval", "ivrvoice.ru": "eval"}
"""The set of each speaker."""


@dataclass(frozen=True)
class Prompt:
    """One raw G.722 file, decoded when called; `digest` identifies its content."""

    path: Path
    digest: str

    def __call__(self) -> np.ndarray:
        """(samples,) float32 at 16 kHz."""
        import av

        with av.open(str(self.path), format="g722") as container:
            frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        return np.concatenate(frames).astype(np.float32) / 32768

    def __repr__(self) -> str:
        return f"Prompt({self.digest})"


def recordings(tree: Path) -> list[Recording]:
    """The spoken prompts of 1.5 to 8 s in the unpacked packages `tree`.

    Letters, digits, silence, tones, prompts whose transcript stands in [brackets], and repeated sounds are left out.

    Raises
    ------
    CorpusError
        A package is missing from `tree`, or `tree` has no prompt of that duration.
    """
    english = _transcripts(tree, "en")
    prompts = [prompt for language in PACKAGES for prompt in _prompts(tree, language, english)]
    if not prompts:
        raise CorpusError(f"{tree}: no prompt lasts from {SHORTEST_S} to {LONGEST_S} s. {debian.ALTERNATIVES}")
    return prompts


def fetch(cache: Path) -> Path:
    """The folder of the unpacked packages under `cache`, downloaded (60 MB) unless it exists (`debian.fetch`)."""
    names = [f"asterisk-core-sounds-{language}{kind}" for language in PACKAGES for kind in ("", "-g722")]
    return debian.fetch(cache / "asterisk-core-sounds", names)


def _prompts(tree: Path, language: str, english: dict[str, str]) -> list[Recording]:
    package = PACKAGES[language]
    folder = tree / "usr/share/asterisk/sounds" / package.folder
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; the package asterisk-core-sounds-{language}-g722 is missing")
    texts, prompts = _transcripts(tree, language), {}
    for path in sorted(folder.rglob("*.g722")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        text = texts.get(name, "") + english.get(name, "")
        speech = name.split("/")[0] not in SHORT_FOLDERS and name not in NO_SPEECH and "[" not in text
        if speech and SHORTEST_S <= path.stat().st_size / BYTES_PER_S <= LONGEST_S:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            about = (f"{language}/{name}", package.speaker, package.gender, language, Prompt(path, digest))
            origin = (package.licence, f"asterisk-core-sounds-{language}-g722: {name}.g722")
            # The first of several equal sounds counts.
            prompts.setdefault(digest, Recording(*about, *origin, texts.get(name), english.get(name)))
    return list(prompts.values())


def _transcripts(tree: Path, language: str) -> dict[str, str]:
    """Text of each prompt by name, from the lines ``name: text`` of the package; ``;`` starts a comment."""
    package = f"asterisk-core-sounds-{language}"
    path = tree / "usr/share/doc" / package / f"core-sounds-{language}.txt.gz"
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; the package {package} is missing")
    lines = gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines()
    pairs = [line.split(":", 1) for line in lines if ":" in line and not line.startswith(";")]
    return {name.strip(): " ".join(text.split()) for name, text in pairs if text.strip()}
