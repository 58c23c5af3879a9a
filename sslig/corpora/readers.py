"""Readers of published corpora: from the files of a release to one table of utterances."""

import io
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sslig import audio
from sslig.corpora import protocol
from sslig.corpora.protocol import NONE, SETS, complete
from sslig.errors import CorpusError
from sslig.files import write_tsv
from sslig.sources import Corpus

PLACES = "places.tsv"
"""Table of the spoofed stretches of a corpus: ``utterance``, ``start_s``, ``end_s``."""

FEW_SPEAKERS = 10
"""With fewer speakers, sets are made of recordings, because a set of one or two speakers says little."""

SAFE = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer", "encode"}
"""What a pickle of NumPy arrays may name; anything else could run code."""


class Utterances(NamedTuple):
    """A corpus as it was read.

    `table` has the columns of `sslig.corpora.protocol.complete` and ``set``; the path of a file that is not there is
    empty. `places` are the spoofed stretches (`PLACES`) of corpora that label them.
    """

    table: pd.DataFrame
    places: pd.DataFrame | None = None


def read(source: str, root: Path) -> Utterances:
    """Read the corpus at `root` in the layout `source`, one of `READERS`.

    Raises
    ------
    CorpusError
        The layout is unknown, its tables are missing or faulty, or there is no utterance.
    """
    if source not in READERS:
        raise CorpusError(f"no layout {source!r}; accepted: {', '.join(READERS)}")
    if not Path(root).exists():
        raise CorpusError(f"{root}: no such folder; corpus.root names that of {source}")
    corpus = READERS[source](Path(root))
    if corpus.table.empty:
        raise CorpusError(f"{root}: no utterance of {source}; see the page on own data for what a release looks like")
    return corpus


def guess(root: Path) -> str:
    """The layout of the folder or manifest at `root`, by the files that only it has; `CorpusError` where none fits."""
    if root.is_file():
        return "manifest"
    marks = {
        "asvspoof5": [SETS["eval"][0], f"{protocol.PROTOCOLS}/{SETS['eval'][0]}", SETS["train"][0]],
        "asvspoof2019_la": ["**/ASVspoof2019.LA.cm.*.txt"],
        "partialspoof": ["**/PartialSpoof.LA.cm.*.txt"],
        "had": ["**/HAD_*label*.txt"],
        "asvspoof2021_la": ["**/LA/CM/trial_metadata.txt"],
        "asvspoof2021_df": ["**/DF/CM/trial_metadata.txt"],
        "in_the_wild": ["meta.csv"],
        "mlaad": ["**/fake/*/*/meta.csv"],
        "wavefake": ["**/ljspeech_*/"],
        "fake_or_real": ["**/training/fake/"],
    }
    for source, patterns in marks.items():
        if any(next(root.glob(pattern), None) is not None for pattern in patterns):
            return source
    raise CorpusError(f"{root}: no known layout; accepted: {', '.join(READERS)}")


def write(corpus: Corpus, root: Path, output: Path, path: Path) -> None:
    """Write the manifests ``<set>.tsv`` of the corpus at `root`, and its `PLACES`, to the folder `output`.

    `path` is the experiment file, for messages.

    Raises
    ------
    CorpusError
        The corpus cannot be read, sound files are missing, or a set that the study uses has no utterance.
    """
    utterances, places = read(corpus.source, root)
    table = dealt(utterances, corpus.shares, corpus.seed) if corpus.shares else utterances
    if (missing := table["path"] == "").any():
        first = table.loc[missing, "utterance"].iloc[0]
        raise CorpusError(f"{root}: {missing.sum()} of {len(table)} sound files are missing; the first is {first}")
    for name in corpus.available:
        part = table[table["set"] == name]
        if part.empty:
            raise CorpusError(f"{root}: no utterance in {name}; set corpus.sets in {path} to those that are there")
        at_most = corpus.recordings.get(name)
        part = part if at_most is None else protocol.stratified(part, at_most, corpus.seed)
        protocol.write_manifest(output / f"{name}.tsv", part)
    if places is not None:
        write_tsv(output / PLACES, places)


def dealt(table: pd.DataFrame, shares: dict[str, float], seed: int) -> pd.DataFrame:
    """`table` with its speakers, or its recordings where speakers are few, dealt to sets; the rest is *eval*."""
    few = table["speaker"].nunique() < FEW_SPEAKERS
    group = protocol.with_recordings(Path(), table)["recording"] if few else table["speaker"]
    names = np.random.default_rng(seed).permutation(sorted(group.unique()))
    reached = group.value_counts().reindex(names).cumsum() / len(table)  # share of the utterances up to each group
    sets, low = pd.Series("eval", index=names), 0.0
    for name, share in shares.items():
        sets[(reached > low) & (reached <= low + share)] = name
        low += share
    return table.assign(set=group.map(sets))


def asvspoof5(root: Path) -> Utterances:
    """ASVspoof 5: protocols at `root` or in ``ASVspoof5_protocols``, and ``flac_T``, ``flac_D``, ``flac_E_eval``."""
    names = [name for name in SETS if protocol.table_path(root, name).is_file()]
    if not names:
        raise CorpusError(f"{root}: no {SETS['train'][0]} there or in {protocol.PROTOCOLS}")
    table = pd.concat([protocol.table_of(root, name).assign(set=name) for name in names], ignore_index=True)
    return Utterances(table.assign(path=table["path"].where(protocol.present(table["path"]), "")))


def asvspoof2019(root: Path, prefix: str = "ASVspoof2019") -> Utterances:
    """ASVspoof 2019 LA: ``ASVspoof2019.LA.cm.<set>.tr?.txt`` with speaker, utterance, -, attack, key."""
    columns = ["speaker", "utterance", "codec", "attack", "key"]
    tables = []
    for name in SETS:
        for path in sorted(root.glob(f"**/{prefix}.LA.cm.{name}.tr?.txt"))[:1]:
            tables.append(_words(path, columns).assign(set=name))
    return Utterances(_named(root, _joined(root, tables, f"{prefix}.LA.cm.<set>.trl.txt")))


def asvspoof2021(root: Path, track: str) -> Utterances:
    """ASVspoof 2021: ``keys/<track>/CM/trial_metadata.txt``; *progress* is dev, *eval* eval, *hidden* left out."""
    columns = ["speaker", "utterance", "codec", "source", "attack", "key", "trim", "phase", "vocoder"]
    paths = [path for path in sorted(root.glob("**/trial_metadata.txt")) if "CM" in path.parts]
    paths = [path for path in paths if track in path.parts] or paths
    tables = [_words(path, columns) for path in paths[:1]]
    table = _joined(root, tables, f"keys/{track}/CM/trial_metadata.txt")
    table = table.assign(set=table["phase"].map({"progress": "dev", "eval": "eval"}))
    table["codec"] = table["codec"].replace(["none", "nocodec"], NONE)
    return Utterances(_named(root, table[table["set"].notna()].reset_index(drop=True)))


def in_the_wild(root: Path) -> Utterances:
    """In-the-Wild: ``meta.csv`` with file, speaker, label, beside the sound files."""
    table = _csv(root / "meta.csv", ["file", "speaker", "label"])
    table = table.rename(columns={"label": "key"}).assign(set="eval", utterance=table["file"].map(_stem))
    return Utterances(_named(root, table))


def mlaad(root: Path) -> Utterances:
    """MLAAD and M-AILABS below one folder: ``fake/<language>/<model>/`` and ``<language>/by_book/<gender>/<speaker>/``.

    ``meta.csv`` of a model names the recording of M-AILABS whose text was spoken, which both then share.
    """
    originals = {}
    for path in sorted(root.glob("**/fake/*/*/meta.csv")):
        rows = _csv(path, ["path", "original_file"], "|")
        originals |= {_stem(name): _of_book(original) for name, original in rows[["path", "original_file"]].to_numpy()}
    rows = []
    for path in _sounds(root):
        parts = path.parts
        about = {"path": str(root / path), "utterance": _plain(path), "set": "eval"}
        if "fake" in parts[:-3]:
            language, model = parts[parts.index("fake") + 1 :][:2]
            recording = originals.get(path.stem, "")
            rows.append(about | {"key": "spoof", "attack": model, "language": language, "recording": recording})
        elif "by_book" in parts[:-3]:
            at = parts.index("by_book")
            gender, speaker = {"female": "F", "male": "M"}.get(parts[at + 1], NONE), parts[at + 2]
            about |= {"language": parts[at - 1].split("_")[0], "recording": _of_book(path.as_posix())}
            rows.append(about | {"key": "bonafide", "speaker": speaker, "gender": gender})
    return Utterances(complete(_frame(rows), root))


def wavefake(root: Path) -> Utterances:
    """WaveFake: folders ``<corpus>_<vocoder>``, and the originals LJSpeech (``wavs``) and JSUT below the same folder.

    Utterances of one sentence share the recording, so that no two sets share a sentence.
    """
    rows = []
    for path in _sounds(root):
        folder = next((part for part in reversed(path.parts[:-1]) if part.startswith(("ljspeech_", "jsut_"))), "")
        recording = path.stem.removesuffix("_generated").removesuffix("_gen")
        about = {"path": str(root / path), "utterance": _plain(path), "set": "eval", "recording": recording}
        speaker = "JSUT" if "jsut" in str(path).lower() else "LJSpeech"
        language = {"JSUT": "ja", "LJSpeech": "en"}[speaker]
        about |= {"speaker": speaker, "language": language, "attack": folder.partition("_")[2] or NONE}
        rows.append(about | {"key": "spoof" if folder else "bonafide"})
    return Utterances(complete(_frame(rows), root))


def fake_or_real(root: Path) -> Utterances:
    """FakeOrReal: ``training``, ``validation`` and ``testing``, each with ``real`` and ``fake``, of one version."""
    sets, rows, versions = {"training": "train", "validation": "dev", "testing": "eval"}, [], set()
    for path in _sounds(root):
        *above, name, key = ("", *path.parts[:-1]) if len(path.parts) > 2 else ("", "")
        if name in sets and key in ("real", "fake"):
            versions.add("/".join(filter(None, above)))
            rows.append(
                {"path": str(root / path), "key": key, "set": sets[name], "utterance": f"{name}_{key}_{path.stem}"}
            )
    if len(versions) > 1:
        raise CorpusError(f"{root}: versions {', '.join(sorted(versions))}; corpus.root names one of them")
    return Utterances(complete(_frame(rows), root))


def partialspoof(root: Path) -> Utterances:
    """PartialSpoof: protocols in the form of 2019, ``<set>/con_wav``, and ``segment_labels/<set>_seglab_<step>.npy``.

    The finest labels give the places; ``1`` is bona fide and ``0`` spoof.
    """
    table, places = asvspoof2019(root, "PartialSpoof").table, []
    for name in table["set"].unique():
        labels = sorted(root.glob(f"**/segment_labels/{name}_seglab_*.npy"))
        if not labels:
            raise CorpusError(f"{root}: no segment_labels/{name}_seglab_0.01.npy")
        step_s = float(labels[0].stem.rpartition("_")[2])
        by_utterance = _arrays(labels[0])
        for utterance in table.loc[table["set"] == name, "utterance"]:
            spoofed = np.asarray(by_utterance.get(utterance, [])).astype(str) == "0"  # (segment,)
            places += [(utterance, start * step_s, stop * step_s) for start, stop in _runs(spoofed)]
    return Utterances(table, pd.DataFrame(places, columns=["utterance", "start_s", "end_s"]))


def had(root: Path) -> Utterances:
    """HAD: ``HAD_<set>_label.txt`` with utterance, stretches as ``0.00-3.16-T/3.16-3.84-F``, and 1 for bona fide."""
    tables, places = [], []
    for name, word in {"train": "train", "dev": "dev", "eval": "test"}.items():
        for path in sorted(root.glob(f"**/HAD_{word}*label*.txt"))[:1]:
            table = _words(path, ["utterance", "stretches", "label"]).assign(set=name)
            tables.append(table.assign(key=table["label"].map({"1": "bonafide", "0": "spoof"}).fillna(table["label"])))
    table = _joined(root, tables, "HAD_<set>_label.txt")
    for utterance, stretches in table[["utterance", "stretches"]].to_numpy():
        parts = [part.split("-") for part in stretches.split("/")]
        if any(len(part) != 3 or part[2] not in ("T", "F") for part in parts):
            raise CorpusError(f"{root}: stretches {stretches!r} of {utterance}; needed are such as 0.00-3.16-T")
        places += [(utterance, float(start), float(end)) for start, end, truth in parts if truth == "F"]
    table = _named(root, table.assign(attack="partly fake").drop(columns="stretches"))
    return Utterances(table, pd.DataFrame(places, columns=["utterance", "start_s", "end_s"]))


def manifest(path: Path) -> Utterances:
    """A table of one's own (`sslig.corpora.protocol.read_manifest`), with its sets in ``split`` or ``set``."""
    table = protocol.read_manifest(path)
    words = {"validation": "dev", "valid": "dev", "development": "dev", "test": "eval", "evaluation": "eval"}
    name = table.get("set", table.get("split", pd.Series("eval", index=table.index))).str.lower()
    sets = name.replace(words).replace({"training": "train"})
    if not sets.isin(SETS).all():
        at = int(np.flatnonzero(~sets.isin(SETS))[0])
        raise CorpusError(f"{path}, row {at + 1}: split {name.iloc[at]!r}; accepted: {', '.join((*SETS, *words))}")
    table = table.assign(set=sets, path=table["path"].where(protocol.present(table["path"]), ""))
    return Utterances(table, _places_of(table, path) if "segments" in table else None)


READERS: dict[str, Callable[[Path], Utterances]] = {
    "asvspoof5": asvspoof5,
    "asvspoof2019_la": asvspoof2019,
    "asvspoof2021_la": partial(asvspoof2021, track="LA"),
    "asvspoof2021_df": partial(asvspoof2021, track="DF"),
    "in_the_wild": in_the_wild,
    "mlaad": mlaad,
    "wavefake": wavefake,
    "fake_or_real": fake_or_real,
    "partialspoof": partialspoof,
    "had": had,
    "manifest": manifest,
}
"""Layout -> its reader."""


def _sounds(root: Path) -> list[Path]:
    """The sound files below `root`, relative to it, in the order of their names."""
    files = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        place = Path(folder).relative_to(root)
        files += [place / name for name in sorted(names) if name.lower().endswith(audio.ENDINGS) and name[0] != "."]
    return files


def _named(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A complete table whose utterances are names of sound files anywhere below `root`; no path where there is none."""
    paths = {path.stem: str(root / path) for path in _sounds(root)}
    return complete(table.assign(path=table["utterance"].map(paths).fillna("")), root)


def _words(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of words in lines, of which the first ones have names."""
    lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    needed = [name for name in columns if name != "vocoder"]
    for number, line in enumerate(lines, start=1):
        if len(line) < len(needed):
            raise CorpusError(f"{path}, line {number}: {len(line)} columns; needed are {', '.join(needed)}")
    return pd.DataFrame([line[: len(columns)] + [""] * (len(columns) - len(line)) for line in lines], columns=columns)


def _csv(path: Path, needed: list[str], separator: str = ",") -> pd.DataFrame:
    if not path.is_file():
        raise CorpusError(f"{path}: no such table")
    table = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        quoting=3 if separator == "|" else 0,
    )
    if missing := [name for name in needed if name not in table]:
        raise CorpusError(f"{path}: no column {missing[0]!r}; needed are {', '.join(needed)}")
    return table


def _joined(root: Path, tables: list[pd.DataFrame], name: str) -> pd.DataFrame:
    if not tables:
        raise CorpusError(f"{root}: no {name} below it")
    return pd.concat(tables, ignore_index=True)


def _frame(rows: list[dict[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "key"]) if not rows else pd.DataFrame(rows).fillna("")


def _stem(name: str) -> str:
    return Path(name.replace("\\", "/")).stem


def _plain(path: Path) -> str:
    """A name for the file at a relative path: all of it, because files in several folders may have one name."""
    return "__".join(path.with_suffix("").parts)


def _of_book(path: str) -> str:
    """The part of a path of M-AILABS that names a recording, from its language on."""
    parts = path.split("/")
    return "/".join(parts[max(0, parts.index("by_book") - 1) :]) if "by_book" in parts else ""


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First index, and one past the last, of each run of true values in (segment,)."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _places_of(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The spoofed stretches of a manifest, written as ``0.5-1.2 2.0-2.4`` in seconds."""
    places = []
    for utterance, segments in table[["utterance", "segments"]].to_numpy():
        for part in segments.replace(";", " ").split():
            start, _, end = part.partition("-")
            try:
                places.append((utterance, float(start), float(end)))
            except ValueError as error:
                raise CorpusError(
                    f"{path}: segments {segments!r} of {utterance}; needed are such as 0.5-1.2"
                ) from error
    return pd.DataFrame(places, columns=["utterance", "start_s", "end_s"])


class _Arrays(pickle.Unpickler):
    """Reads a pickle of NumPy arrays, and refuses anything that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if module.split(".")[0] in ("numpy", "_codecs") and name in SAFE:
            return super().find_class(module, name)
        raise CorpusError(f"a pickle that names {module}.{name}; only NumPy arrays are read")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Utterance -> array of an ``.npy`` file that holds a dictionary, without running what else a pickle may hold."""
    with path.open("rb") as file:
        major, _ = np.lib.format.read_magic(file)
        file.seek(int.from_bytes(file.read(2 if major == 1 else 4), "little"), os.SEEK_CUR)
        try:
            return _Arrays(io.BytesIO(file.read())).load().item()
        except (CorpusError, pickle.UnpicklingError) as error:
            raise CorpusError(f"{path}: {error}") from error
