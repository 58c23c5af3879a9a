"""Check of a corpus: what it holds, what is missing, what its sets share, and what separates its classes."""

import hashlib
from pathlib import Path

import pandas as pd

from sslig.corpora import protocol, readers
from sslig.cues import artefacts, shortcuts
from sslig.labels import KEYS

FLAC_SUM = slice(26, 42)
"""Bytes of a FLAC file that hold the MD5 sum of its samples, however they are compressed."""


def check(
    root: Path, source: str | None = None, *, utterances: int = 200, seed: int = 0, workers: int = 1
) -> dict[str, pd.DataFrame]:
    """Check the corpus at `root`, a folder or a manifest, before anything is trained or scored on it.

    Parameters
    ----------
    source
        One of `sslig.corpora.readers.READERS`; none: the one whose files are there.
    utterances
        Drawn from each set for the artefact measures, half of them bona fide; 0: no measures.

    Returns
    -------
    dict
        ``counts``: a row for each set and class with ``utterances``, ``speakers``, ``attacks``, ``codecs`` and
        ``missing`` files. ``missing``: ``set``, ``utterance`` of these. ``shared``: what several sets share, one row
        for each ``speaker``, ``recording`` or ``samples`` (``kind``, ``name``, ``sets``, ``utterances``); ``samples``
        that occur twice with different keys are listed too, within one set as well. ``separation``: how well each
        measure alone separates the classes of a set (`sslig.cues.shortcuts.separation`).

    Raises
    ------
    CorpusError
        The layout is unknown, or its tables cannot be read.
    """
    table = readers.read(source or readers.guess(root), root).table
    there = table["path"] != ""
    parts = {"counts": counts(table), "missing": table.loc[~there, ["set", "utterance"]].reset_index(drop=True)}
    parts["shared"] = shared(root, table[there])
    drawn = table[there] if utterances else table.head(0)
    return parts | {"separation": _separation(drawn, utterances, seed, workers)}


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """The table ``counts`` of `check`: every set with both classes, whether there are utterances or not."""
    named = table.assign(
        missing=table["path"] == "",
        **{name: table[name].where(table[name] != protocol.NONE) for name in ("attack", "codec")},
    )
    grouped = named.groupby(["set", "key"])
    rows = grouped.agg(
        utterances=("utterance", "size"),
        speakers=("speaker", "nunique"),
        attacks=("attack", "nunique"),
        codecs=("codec", "nunique"),
        missing=("missing", "sum"),
    )
    sets = [name for name in protocol.SETS if name in set(table["set"])]
    whole = pd.MultiIndex.from_product([sets, KEYS], names=["set", "key"])
    return rows.reindex(whole, fill_value=0).reset_index()


def shared(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table ``shared`` of `check`, from rows whose files are there."""
    table = protocol.with_recordings(root if root.is_dir() else root.parent, table)
    table = table.assign(samples=samples_sums(table["path"]))
    parts = []
    for kind in ("speaker", "recording", "samples"):
        groups = table[table[kind].notna()].groupby(kind)
        grouped = groups.agg(sets=("set", "unique"), utterances=("utterance", list), keys=("key", "nunique"))
        several = grouped["sets"].map(len) > 1
        if kind == "samples":
            several |= grouped["keys"] > 1
        rows = grouped[several].reset_index(names="name").assign(kind=kind)
        rows["utterances"] = rows["utterances"].map(
            lambda names: ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        )
        parts.append(rows.assign(sets=rows["sets"].map(", ".join)))
    return pd.concat(parts, ignore_index=True)[["kind", "name", "sets", "utterances"]]


def samples_sums(paths: pd.Series) -> list[str | None]:
    """A sum of the samples of each file; none where no other file can have the same.

    It is the one in the header of a FLAC file. Other files are read, but only those that are as long as another.
    """
    headers, sizes = [], []
    for path in map(Path, paths):
        with path.open("rb") as file:
            headers.append(file.read(FLAC_SUM.stop))
        sizes.append(path.stat().st_size)
    twins = pd.Series(sizes).duplicated(keep=False)
    return [_sum(Path(path), header, twin) for path, header, twin in zip(paths, headers, twins, strict=True)]


def _sum(path: Path, header: bytes, twin: bool) -> str | None:
    if header[:4] == b"fLaC" and any(header[FLAC_SUM]):
        return header[FLAC_SUM].hex()
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if twin else None


def _separation(table: pd.DataFrame, utterances: int, seed: int, workers: int) -> pd.DataFrame:
    parts = []
    for name, part in table.groupby("set", sort=False):
        drawn = protocol.stratified(part, utterances, seed)
        if drawn["key"].nunique() == len(KEYS):
            measured = artefacts.table(drawn, workers=workers)[0].merge(drawn, on="utterance")
            rows = shortcuts.separation(measured, list(artefacts.PLAIN), recordings=False, seed=seed, rounds=200)
            parts.append(rows.sort_values("eer").assign(set=name))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["measure", "eer", "set"])
