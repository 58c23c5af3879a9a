"""The table of utterances of a corpus, from protocols or manifests, and the utterances that a step works on."""

import csv
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from sslig.errors import CorpusError, InputError
from sslig.files import atomic
from sslig.labels import KEYS
from sslig.study import Study

COLUMNS = ["speaker", "utterance", "gender", "codec", "codec_q", "codec_seed", "attack_tag", "attack", "key", "unused"]

SETS = {
    "train": ("ASVspoof5.train.tsv", "flac_T"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "flac_D"),
    "eval": ("ASVspoof5.eval.track_1.tsv", "flac_E_eval"),
}
"""Each set of a corpus: its protocol file and its folder of FLAC files."""

PROTOCOLS = "ASVspoof5_protocols"
"""Folder in which the release of ASVspoof 5 keeps its protocols."""

NEEDED = ("path", "key")
"""Columns of a manifest that must be there; others of `COLUMNS`, and any further ones, are optional."""

WORDS = {
    **dict.fromkeys(("bonafide", "bona-fide", "bona fide", "bona_fide", "genuine", "real", "human"), "bonafide"),
    **dict.fromkeys(("spoof", "spoofed", "fake", "deepfake", "synthetic"), "spoof"),
}
"""Words for the two classes in manifests and tables of other corpora, in any case."""

UNKNOWN = "unknown"
"""Attack of a spoof whose corpus does not name it."""

NONE = "-"
"""Marks an empty value in a protocol: no codec, no attack."""

RECORDINGS = "recordings.tsv"
"""Names the source recording of each utterance, in corpora that know it."""


def sound_path(root: Path, set_name: str, utterance: str) -> Path:
    """Path of the sound file of an utterance in the corpus at `root`."""
    return root / SETS[set_name][1] / f"{utterance}.flac"


def table_path(root: Path, set_name: str) -> Path:
    """The table of a set: a manifest ``<set>.tsv``, else the protocol of ASVspoof 5, at `root` or in `PROTOCOLS`."""
    manifest = root / f"{set_name}.tsv"
    if manifest.is_file() or set_name not in SETS:
        return manifest
    apart = root / PROTOCOLS / SETS[set_name][0]
    return apart if apart.is_file() else root / SETS[set_name][0]


def tables(study: Study) -> dict[str, Path]:
    """Set -> table, of the sets that a study uses; tables of a corpus that is read need not be there yet."""
    root, corpus = study.corpus_root, study.corpus
    return {name: root / f"{name}.tsv" if corpus.is_read else table_path(root, name) for name in corpus.available}


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The protocol at `path` as a table with the columns `COLUMNS`, all of them text, and ``label``.

    ``-`` means "none", as in the file, and is also the attack of bona fide utterances, which releases write in two
    ways; ``label`` is 0 or 1 (`sslig.labels`).

    Raises
    ------
    CorpusError
        The file is missing or empty, or a line has a wrong number of columns, an unknown key, a repeated utterance,
        or an utterance name that is not a plain file name.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"{path}: no such protocol file")
    table = _parsed(path)
    faulty = table is None or not table["key"].isin(KEYS).all() or table["utterance"].duplicated().any()
    if faulty or table["utterance"].str.contains(r"[/\\\x00]|^\.{1,2}$").any():
        raise CorpusError(f"{path}{_first_fault(path)}")
    return _labelled(table)


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with ``label``, and with the same word for the missing attack of every bona fide utterance."""
    attack = table["attack"].mask(table["key"] == "bonafide", NONE)
    return table.assign(attack=attack, label=table["key"].map(KEYS))


def _parsed(path: Path) -> pd.DataFrame | None:
    """The columns of a protocol as text, quickly; none where a line has another number of columns."""
    # Categories, because a column has few values: a protocol of 680,774 lines otherwise needs a gigabyte.
    types = {name: str if name == "utterance" else "category" for name in COLUMNS}
    options = {
        "header": None,
        "names": [*COLUMNS, "more"],
        "dtype": types | {"more": "category"},
        "quoting": csv.QUOTE_NONE,
    }
    try:
        table = pd.read_csv(path, sep=r"\s+", encoding="utf-8-sig", keep_default_na=False, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        return None
    if table.empty or table["more"].ne("").any() or table["unused"].isna().any() or table["unused"].eq("").any():
        return None
    return table[COLUMNS].astype(object)


def _first_fault(path: Path) -> str:
    """Line and fault of the first faulty line of a protocol."""
    try:
        # Only line feeds end a line, as in an editor. Some editors write a byte order mark, which is skipped.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        return f", line {number}: not UTF-8 ({error.reason})"
    rows = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    rows = [(number, re.split(r"[ \t]+", line)) for number, line in rows]
    first_line: dict[str, int] = {}
    for number, row in rows:
        if fault := _fault(row, first_line):
            return f", line {number}: {fault}"
        first_line[row[COLUMNS.index("utterance")]] = number
    return ": the protocol is empty"


def read_manifest(path: str | os.PathLike) -> pd.DataFrame:
    """The manifest at `path` as a table with `COLUMNS`, ``path``, ``label`` and its own further columns.

    A manifest has a header and commas, tabs or semicolons. It needs `NEEDED`; paths are absolute or relative to it.
    Without names, an utterance is called as its file. A speaker who is not named counts as one of each recording.

    Raises
    ------
    CorpusError
        The file is missing or empty, lacks a column, or has an unknown key, an empty path or a repeated utterance.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"{path}: no such table of utterances")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    separator = next((mark for mark in "\t;," if lines and mark in lines[0]), ",")
    table = pd.DataFrame(csv.DictReader(lines, delimiter=separator, restval=""), dtype=str)
    if missing := [name for name in NEEDED if name not in table]:
        header = lines[0] if lines else "nothing"
        raise CorpusError(f"{path}: no column {missing[0]!r} in {header}; a manifest has at least {', '.join(NEEDED)}")
    table["path"] = [str(path.parent / name) for name in table["path"].where(table["path"] != "", "\0")]
    return complete(table.fillna(""), path)


def complete(table: pd.DataFrame, origin: Path) -> pd.DataFrame:
    """Rows with ``path`` and ``key`` as a table with all `COLUMNS`; `origin` goes into messages (`read_manifest`)."""
    empty = pd.Series("", index=table.index)
    key = table["key"].str.strip().str.lower().map(WORDS)
    name = table.get("utterance", empty)
    table = table.assign(utterance=name.where(name != "", table["path"].map(lambda path: Path(path).stem)))
    faults = {
        f"key {{key!r}} of {{utterance}}; accepted: {', '.join(WORDS)}": key.isna(),
        "no path of {utterance}": table["path"].str.endswith("\0"),
        "utterance {utterance} stands before; give each its own name": table["utterance"].duplicated(),
        "utterance {utterance!r} is not a plain name": table["utterance"].str.contains(r"[/\\\x00]|^\.{1,2}$"),
    }
    for fault, faulty in faults.items():
        if faulty.any():
            at = int(np.flatnonzero(faulty)[0])
            raise CorpusError(f"{origin}, row {at + 1}: {fault.format(**table.iloc[at])}")
    for column in COLUMNS:
        values = table.get(column, empty)
        table[column] = values.where(values != "", NONE)
    unnamed = (key == "spoof") & table["attack"].isin([NONE, "bonafide"])
    recording = table.get("recording", table["utterance"])
    speaker = table["speaker"].where(table["speaker"] != NONE, recording)
    return _labelled(table.assign(key=key, attack=table["attack"].mask(unnamed, UNKNOWN), speaker=speaker))


def write_manifest(path: str | os.PathLike, table: pd.DataFrame) -> None:
    """Write a table of utterances with ``path`` as a manifest, tab-separated."""
    columns = [name for name in table if name not in ("label", "unused", "set")]
    with atomic(path) as part:
        table[columns].to_csv(part, sep="\t", index=False)


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
    """The utterances of set `name` of the corpus at `root`: `COLUMNS`, ``label``, ``path`` and what a manifest adds.

    Raises
    ------
    CorpusError
        The corpus has no such set, its table is faulty, or sound files are missing; the message counts them and lists
        the first five.
    """
    root = Path(root)
    table = table_of(root, name)
    if len(missing := table.loc[~present(table["path"]), "path"]):
        folder = Path(missing.iloc[0]).parent
        shown = ", ".join(Path(path).name for path in missing[:5]) + (" ..." if len(missing) > 5 else "")
        file = table_path(root, name).name
        raise CorpusError(f"{folder}: {len(missing)} of {len(table)} sound files of {file} are missing: {shown}")
    return table


def table_of(root: Path, name: str) -> pd.DataFrame:
    """`load_set`, whether the sound files are there or not."""
    file = table_path(root, name)
    if name not in SETS and not file.is_file():
        raise CorpusError(f"unknown set {name!r}; a corpus has {', '.join(SETS)}")
    if file.name == f"{name}.tsv":
        return read_manifest(file)
    table = read(file)
    folder = root / SETS[name][1]
    return table.assign(path=[f"{folder}/{utterance}.flac" for utterance in table["utterance"]])


def present(paths: pd.Series) -> np.ndarray:
    """(utterance,) bool: the file is there. Each folder is listed once, which is quicker than asking for each file."""
    listed: dict[str, set[str]] = {}

    def there(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = set(os.listdir(folder or ".")) if Path(folder or ".").is_dir() else set()
        return name in listed[folder]

    return np.array([there(path) for path in paths], dtype=bool)


def with_recordings(root: str | os.PathLike, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column ``recording``, which dependent trials share.

    It is the source recording where the table or ``recordings.tsv`` names it, else the original that a coded variant
    was made from (``codec_seed``), else the utterance itself.

    Raises
    ------
    CorpusError
        ``recordings.tsv`` lacks utterances of `table`.
    """
    path = Path(root) / RECORDINGS
    if "recording" in table:
        return table.assign(recording=table["recording"].where(table["recording"] != "", table["utterance"]))
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
    names = [name for name in SETS if table_path(Path(root), name).is_file()]
    tables = [table_of(Path(root), name)[["utterance", "codec_seed"]] for name in names]
    return {name: original for table in tables for name, original in table.to_numpy()}


def _fault(row: list[str], first_line: dict[str, int]) -> str | None:
    if len(row) != len(COLUMNS):
        return f"{len(row)} columns; an ASVspoof 5 protocol has {len(COLUMNS)}"
    utterance, key = row[COLUMNS.index("utterance")], row[COLUMNS.index("key")]
    if key not in KEYS:
        return f"key {key!r} of {utterance}; accepted: {', '.join(KEYS)}"
    if utterance in {".", ".."} or re.search(r"[/\\\x00]", utterance):
        return f"utterance {utterance!r} is not a plain file name"
    if utterance in first_line:
        return f"utterance {utterance} already stands in line {first_line[utterance]}"
    return None
