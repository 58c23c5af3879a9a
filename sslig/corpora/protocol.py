"""Protocols: the tables of utterances of a corpus in the ASVspoof 5 layout, and the utterances a step works on."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from sslig.errors import CorpusError, InputError
from sslig.files import atomic
from sslig.labels import KEYS

COLUMNS = ["speaker", "utterance", "gender", "codec", "codec_q", "codec_seed", "attack_tag", "attack", "key", "unused"]

SETS = {
    "train": ("ASVspoof5.train.tsv", "flac_T"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "flac_D"),
    "eval": ("ASVspoof5.eval.track_1.tsv", "flac_E_eval"),
}
"""Each set of a corpus: its protocol file and its folder of FLAC files."""

NONE = "-"
"""Marks an empty value in a protocol: no codec, no attack."""

RECORDINGS = "recordings.tsv"
"""Names the source recording of each utterance, in corpora that know it."""


def sound_path(root: Path, set_name: str, utterance: str) -> Path:
    """Path of the sound file of an utterance in the corpus at `root`."""
    return root / SETS[set_name][1] / f"{utterance}.flac"


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The protocol at `path` as a table with the columns `COLUMNS`, all of them text, and ``label``.

    ``-`` means "none", as in the file; ``label`` is 0 or 1 (`sslig.labels`).

    Raises
    ------
    CorpusError
        The file is missing or empty, or a line has a wrong number of columns, an unknown key, a repeated utterance,
        or an utterance name that is not a plain file name.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"{path}: no such protocol file")
    try:
        # Only line feeds end a line, as in an editor. Some editors write a byte order mark, which is skipped.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise CorpusError(f"{path}, line {number}: not UTF-8 ({error.reason})") from error
    rows = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise CorpusError(f"{path}: the protocol is empty")
    first_line: dict[str, int] = {}
    for number, row in rows:
        if fault := _fault(row, first_line):
            raise CorpusError(f"{path}, line {number}: {fault}")
        first_line[row[COLUMNS.index("utterance")]] = number
    table = pd.DataFrame([row for _, row in rows], columns=COLUMNS)
    return table.assign(label=table["key"].map(KEYS))


def write(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write `table` (columns `COLUMNS`) in the space-separated form of ASVspoof 5, without header.

    Raises
    ------
    CorpusError
        A value is empty or contains white space, which would shift the columns.
    """
    for column in COLUMNS:
        faulty = table.loc[table[column].isna() | ~table[column].astype(str).str.fullmatch(r"\S+"), column]
        if len(faulty):
            raise CorpusError(f"{path}: {column} {faulty.iloc[0]!r} in row {faulty.index[0]}; one word is needed")
    with atomic(path) as part:
        table[COLUMNS].to_csv(part, sep=" ", header=False, index=False)


def load_set(root: str | os.PathLike, name: str) -> pd.DataFrame:
    """The protocol of set `name` (``train``, ``dev`` or ``eval``) of the corpus at `root`, with a column ``path``.

    Raises
    ------
    CorpusError
        The set is unknown, its protocol is faulty, or sound files are missing; the message counts them and lists the
        first five.
    """
    if name not in SETS:
        raise CorpusError(f"unknown set {name!r}; a corpus has {', '.join(SETS)}")
    protocol, folder = SETS[name]
    table = read(Path(root) / protocol)
    flac = Path(root) / folder
    present = {entry.name for entry in os.scandir(flac)} if flac.is_dir() else set()
    files = table["utterance"] + ".flac"
    missing = [file for file in files if file not in present]
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise CorpusError(f"{flac}: {len(missing)} of {len(table)} sound files of {protocol} are missing: {shown}")
    return table.assign(path=[str(flac / file) for file in files])


def with_recordings(root: str | os.PathLike, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column ``recording``, which dependent trials share.

    It is the source recording where ``recordings.tsv`` names it, else the original that a coded variant was made from
    (``codec_seed``), else the utterance itself.

    Raises
    ------
    CorpusError
        ``recordings.tsv`` lacks utterances of `table`.
    """
    path = Path(root) / RECORDINGS
    if path.is_file():
        sources = pd.read_csv(path, sep="\t", dtype=str)[["utterance", "recording"]]
        joined = table.merge(sources, on="utterance", how="left", validate="many_to_one")
        missing = joined.loc[joined["recording"].isna(), "utterance"]
        if len(missing):
            raise CorpusError(f"{path}: no recording for {len(missing)} utterances, the first is {missing.iloc[0]}")
        return joined
    original = table["codec_seed"] if "codec_seed" in table else table["utterance"].map(_originals(root))
    return table.assign(recording=original.where(original.notna() & (original != NONE), table["utterance"]))


def draw(table: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """`n` utterances at random, in order of their names; all where `n` is none or there are no more."""
    ordered = table.sort_values("utterance")
    if n is None or n >= len(ordered):
        return ordered.reset_index(drop=True)
    rows = np.random.default_rng(seed).choice(len(ordered), n, replace=False)
    return ordered.iloc[np.sort(rows)].reset_index(drop=True)


def stratified(table: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Up to `n` utterances, half of them bona fide, the spoofs spread evenly over the attacks.

    An attack that is short gives all it has, and the other attacks fill in; a class that is short is taken whole. The
    order of the rows does not matter.
    """
    classes = []
    for key in sorted(KEYS):
        utterances = table[table["key"] == key].sort_values("utterance")
        generator = np.random.default_rng((seed, KEYS[key]))
        shuffled = utterances.iloc[generator.permutation(len(utterances))]
        turn = shuffled.groupby("attack").cumcount()  # the k-th of each attack comes before any k + 1-th
        classes.append(shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")].head(n // 2))
    return pd.concat(classes).sort_values("utterance").reset_index(drop=True)


def shard_of(table: pd.DataFrame, shard: str) -> pd.DataFrame:
    """The rows of one shard: with ``1of4``, every fourth row from the second on.

    Raises
    ------
    InputError
        `shard` is not ``<number>of<count>`` with the number below the count.
    """
    match = re.fullmatch(r"(\d+)of(\d+)", shard)
    if match is None or int(match[1]) >= int(match[2]):
        raise InputError(f"shard {shard!r}; accepted: 0of4, 1of4, ..., the number below the count")
    return table.iloc[int(match[1]) :: int(match[2])].reset_index(drop=True)


def _originals(root: str | os.PathLike) -> dict[str, str]:
    """``codec_seed`` of each utterance of the corpus."""
    paths = [Path(root) / file for file, _ in SETS.values()]
    tables = [read(path)[["utterance", "codec_seed"]] for path in paths if path.is_file()]
    return {name: original for table in tables for name, original in table.to_numpy()}


def _fault(row: list[str], first_line: dict[str, int]) -> str | None:
    if len(row) != len(COLUMNS):
        return f"{len(row)} columns; an ASVspoof 5 protocol has {len(COLUMNS)}"
    utterance, key = row[COLUMNS.index("utterance")], row[COLUMNS.index("key")]
    if key not in KEYS:
        return f"key {key!r} of {utterance}; accepted: {', '.join(KEYS)}"
    if utterance in {".", ".."} or "/" in utterance or "\\" in utterance:
        return f"utterance {utterance!r} is not a plain file name"
    if utterance in first_line:
        return f"utterance {utterance} already stands in line {first_line[utterance]}"
    return None
