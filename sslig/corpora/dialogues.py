"""Dialogues of the game Fish Fillets NG, spoken by two actors in Czech and two in Dutch, from Debian packages.

The copyright files put everything in the packages under version 2 of the GNU General Public License. They name no
actors, so a speaker is called after the role. Only the two fish are used, because one actor may speak several of the
other roles.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sslig import audio
from sslig.corpora import debian
from sslig.corpora.recordings import LONGEST_S, SHORTEST_S, Recording, SoundFile
from sslig.errors import CorpusError
from sslig.frames import SAMPLE_RATE_HZ

LICENCE = "GPL-2"
LANGUAGES = {"cs": "Czech", "nl": "Dutch"}
SETS_OF_LANGUAGE = {"cs": "train", "nl": "eval"}
HEADER_BYTES = 4096
"""A file up to this size holds a header and no sound: some lines were never recorded."""


@dataclass(frozen=True)
class Role:
    """A fish: the letter between the hyphens of its file names, its name, and the gender of its actors."""

    letter: str
    name: str
    gender: str


ROLES = (Role("m", "small fish", "F"), Role("v", "big fish", "M"))


def speaker(language: str, role: Role) -> str:
    """The name of a speaker, such as ``small fish in Czech``."""
    return f"{role.name} in {LANGUAGES[language]}"


SETS = {speaker(language, role): name for language, name in SETS_OF_LANGUAGE.items() for role in ROLES}
"""The set of each speaker."""


def fetch(cache: Path) -> Path:
    """The folder of the unpacked packages under `cache`, downloaded (72 MB) unless it exists (`debian.fetch`)."""
    return debian.fetch(cache / "fillets-ng", [f"fillets-ng-data-{language}" for language in LANGUAGES])


def recordings(tree: Path) -> list[Recording]:
    """The lines of 1.5 to 8 s of both fish in the unpacked packages `tree`; of equal sounds, the first.

    Raises
    ------
    CorpusError
        A package is missing from `tree`.
    """
    return [line for language in LANGUAGES for role in ROLES for line in _lines(tree, language, role)]


def _lines(tree: Path, language: str, role: Role) -> list[Recording]:
    folder = tree / "usr/share/games/fillets-ng/sound"
    paths = sorted(folder.glob(f"**/{language}/*-{role.letter}-*.ogg"))
    if not paths:
        raise CorpusError(f"{folder}: no sound of the {speaker(language, role)}; fillets-ng-data-{language} is missing")
    lines = {}
    for path in (path for path in paths if path.stat().st_size > HEADER_BYTES):
        if SHORTEST_S <= audio.n_samples(path) / SAMPLE_RATE_HZ <= LONGEST_S:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            name, file = f"{path.parents[1].name}/{path.stem}", path.relative_to(folder).as_posix()
            about = (f"{language}/{name}", speaker(language, role), role.gender, language, SoundFile(path))
            lines.setdefault(digest, Recording(*about, LICENCE, f"fillets-ng-data-{language}: {file}"))
    return list(lines.values())
