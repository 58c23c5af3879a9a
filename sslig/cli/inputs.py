"""The recordings that a command works on: files, folders, and lists of names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from sslig import audio
from sslig.cli.arguments import LISTS, NAME_COLUMNS
from sslig.errors import InputError


def table(recordings: Sequence[Path], audio_root: Path | None = None) -> pd.DataFrame:
    """One row a recording: ``utterance``, a name that no other has, and ``path``.

    Raises
    ------
    InputError
        A file or a column is missing, or there is no recording at all.
    """
    paths = list(dict.fromkeys(path for source in recordings for path in _paths(source, audio_root)))
    if not paths:
        raise InputError(
            f"no sound file in {', '.join(map(str, recordings))}; accepted endings: {', '.join(audio.ENDINGS)}"
        )
    return pd.DataFrame({"utterance": _names(paths), "path": list(map(str, paths))})


def _paths(source: Path, audio_root: Path | None) -> Iterator[Path]:
    if source.is_dir():
        files = (path for path in sorted(source.rglob("*")) if path.is_file() and not path.name.startswith("."))
        yield from (path for path in files if audio.is_sound(path))
    elif source.suffix.lower() in LISTS and source.is_file():
        root = audio_root or source.parent
        yield from (_located(root, name, source) for name in _listed(source))
    else:
        yield source  # one that is missing or no sound file is listed as left out


def _listed(path: Path) -> list[str]:
    """The names in a list: the column of `NAME_COLUMNS` that it has, or its lines."""
    if path.suffix.lower() == ".parquet":
        rows = pd.read_parquet(path).astype(str)
    else:
        text = path.read_text(encoding="utf-8-sig")
        separator = "\t" if "\t" in text else ","
        lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
        if not lines:
            raise InputError(f"{path}: the list is empty")
        cells = [[cell.strip().strip('"') for cell in line.split(separator)] for line in lines]
        header = [cell.lower() for cell in cells[0]]
        if not set(header) & set(NAME_COLUMNS):
            if len(cells[0]) > 1:
                raise InputError(f"{path}: columns {', '.join(cells[0])}; one of {', '.join(NAME_COLUMNS)} is needed")
            return [row[0] for row in cells]
        rows = pd.DataFrame(cells[1:], columns=cells[0])
    by_name = {str(column).lower(): column for column in rows}
    column = next((by_name[name] for name in NAME_COLUMNS if name in by_name), None)
    if column is None:
        raise InputError(f"{path}: columns {', '.join(map(str, rows))}; one of {', '.join(NAME_COLUMNS)} is needed")
    return rows[column].tolist()


def _located(root: Path, name: str, source: Path) -> Path:
    """The file of a name, which may lack its ending."""
    path = Path(name) if Path(name).is_absolute() and Path(name).exists() else root / name.lstrip("/")
    if path.suffix or path.exists():
        return path
    matches = [path.with_name(path.name + ending) for ending in audio.ENDINGS]
    return next((match for match in matches if match.is_file()), path)


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of recordings: their stems, with as many folders before them as tell them apart."""
    parts = [(*path.parts[:-1], path.stem) for path in paths]
    names, depth = [part[-1] for part in parts], 1
    while len(set(names)) < len(names) and depth < max(map(len, parts)):
        depth += 1
        repeated = {name for name in names if names.count(name) > 1}
        names = ["/".join(part[-depth:]) if name in repeated else name for name, part in zip(names, parts, strict=True)]
    taken: dict[str, int] = {}
    for name in names:
        taken[name] = taken.get(name, 0) + 1
    return [path.name if taken[name] > 1 else name for name, path in zip(names, paths, strict=True)]
