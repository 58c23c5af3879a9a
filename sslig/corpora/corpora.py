"""Builds a corpus in the ASVspoof 5 layout from recordings; `python -m sslig.corpora.corpora --help`."""

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sslig import audio, files
from sslig.corpora import building, codecs, prompts, protocol, synthetic
from sslig.corpora import recordings as own
from sslig.corpora.building import ASKED_FOR, SUMMARY, CorpusError
from sslig.corpora.conditioning import LEAD_S, finish, trim
from sslig.corpora.plan import Options, PlanError, Trial, plan, protocol_table, recordings_table
from sslig.corpora.recordings import Recording
from sslig.corpora.spoofs import ATTACKS

VERSION = 1
"""Raised with every change of a method that changes samples, so that no corpus mixes two of them."""
NAMED = ("prompts", "synthetic")
"""Sources by name; any other is a folder."""


def build(
    recordings: Sequence[Recording],
    root: str | os.PathLike,
    sets: Mapping[str, str],
    options: Options | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict:
    """Write the corpus at `root`, or what of it is missing there; what is in ``corpus.json``.

    Sound files of the same recordings and options are kept, those of others are removed first. The protocols,
    ``recordings.tsv`` and ``corpus.json`` are written when every sound file is there. The samples do not depend on
    `workers` or on where a build was killed: each utterance has its own generator, from the seed and its name.

    Parameters
    ----------
    recordings
        What to build from (`sslig.corpora.prompts`, `recordings`, `synthetic`).
    root
        The folder of the corpus.
    sets
        The set of each speaker.
    options
        What to make; the defaults of `Options`.
    workers
        Processes; 1: none but this one.
    progress
        Called with the number of finished utterances and of all.

    Raises
    ------
    PlanError
        No corpus can be made of these recordings and options.
    CorpusError
        `root` holds sound files that this builder did not make, or an utterance could not be made.
    """
    root, options = Path(root), options or Options()
    trials = plan(recordings, sets, options)
    mark = fingerprint(trials, options)
    building.claim(root, mark)
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.original or trial.utterance, []).append(trial)
    todo = [group for group in groups.values() if not all(sound_path(root, trial).is_file() for trial in group)]
    done = len(trials) - sum(map(len, todo))
    progress(done, len(trials))
    for made in building.each(_Maker(root, options.seed), todo, workers):
        done += made
        progress(done, len(trials))
    return _finish(root, trials, options, mark)


def sound_path(root: Path, trial: Trial) -> Path:
    """Where the sound file of `trial` lies in the corpus at `root`."""
    return building.sound_path(root, trial.set, trial.utterance)


def fingerprint(trials: Sequence[Trial], options: Options) -> str:
    """Sixteen hex digits that change with anything that changes a sample or a row of the corpus."""
    told = [repr(trial) for trial in trials] + [json.dumps(asdict(options), sort_keys=True), str(VERSION)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def make(trial: Trial, seed: int) -> np.ndarray:
    """(samples,) float32 An uncoded utterance, from its recording to the last channel."""
    generator = np.random.default_rng([seed, int(trial.utterance.rpartition("_")[2]), ord(trial.set[0])])
    samples = trim(trial.recording.sound(), *([LEAD_S[1]] * 2))
    if trial.attack is not None:
        samples = ATTACKS[trial.attack](samples, generator, trial.recording.english)
    return finish(samples, generator)


class _Maker:
    """Makes the sound files of one original and of its coded trials; sent to the workers."""

    def __init__(self, root: Path, seed: int):
        self.root, self.seed = root, seed

    def __call__(self, group: list[Trial]) -> int:
        for trial in sorted(group, key=lambda trial: trial.original is not None):
            path = sound_path(self.root, trial)
            if not path.is_file():
                audio.write_flac(path, self._samples(trial))
        return len(group)

    def _samples(self, trial: Trial) -> np.ndarray:
        if trial.codec is None:
            try:
                return make(trial, self.seed)
            except (ValueError, RuntimeError, ImportError, OSError) as error:
                what = trial.attack or "bona fide"
                said = f"{type(error).__name__}: {error}"
                raise CorpusError(f"{trial.utterance} ({what} of recording {trial.recording.id}): {said}") from error
        # From the written file, so that a resumed build codes the same samples.
        original = audio.read(building.sound_path(self.root, trial.set, trial.original))
        return codecs.apply(original, codecs.CODECS[trial.codec], trial.codec_q)


def _finish(root: Path, trials: Sequence[Trial], options: Options, mark: str) -> dict:
    table = protocol_table(trials).assign(set=[trial.set for trial in trials])
    for name, (file, _) in protocol.SETS.items():
        protocol.write(root / file, table[table["set"] == name])
    files.write_tsv(root / protocol.RECORDINGS, recordings_table(trials))
    summary = {
        "fingerprint": mark,
        "options": asdict(options),
        "counts": {name: dict(sorted(Counter(part["key"]).items())) for name, part in table.groupby("set")},
        "attacks": {name: dict(sorted(Counter(part["attack"]).items())) for name, part in table.groupby("set")},
        "codecs": {name: dict(sorted(Counter(part["codec"]).items())) for name, part in table.groupby("set")},
        "attack_names": {attack.code: f"{name}: {attack.description}" for name, attack in ATTACKS.items()},
        "codec_names": {code: codec.name for code, codec in codecs.CODECS.items()},
        "speakers": {trial.speaker: trial.recording.speaker for trial in trials},
        "licences": sorted({f"{trial.recording.speaker}: {trial.recording.licence}" for trial in trials}),
        "without_text_to_speech": len({trial.recording.id for trial in trials if not trial.recording.english}),
    }
    return building.finish(root, summary)


def ensure(
    source: str, root: str | os.PathLike, seed: int = 0, recordings: Mapping[str, int | None] | None = None,
    workers: int = 2,
) -> dict:  # fmt: skip
    """The corpus at `root` made from a source by name; read where it is finished, else built. What is in its summary.

    Parameters
    ----------
    source
        ``prompts``, ``synthetic``, or a folder with a sub-folder of recordings a speaker.
    root, workers
        As for `build`.
    seed, recordings
        Of `Options`; sets that `recordings` does not name keep their default.

    Raises
    ------
    CorpusError
        The recordings cannot be had, or no corpus can be made of them.
    """
    root, options = Path(root), Options(seed=seed, recordings={**Options().recordings, **(recordings or {})})
    asked = {"source": listing(source), "seed": seed, "recordings": dict(options.recordings), "version": VERSION}
    if made := building.finished(root, asked):
        return made
    try:
        found, sets = _source(source, root, seed)
        made = build(found, root, sets, options, workers, building.progress())
    except (prompts.PromptsError, own.RecordingError, audio.AudioError, PlanError) as error:
        raise CorpusError(str(error)) from error
    made[ASKED_FOR] = asked
    files.write_json(root / SUMMARY, made)
    return made


def listing(source: str) -> str:
    """What tells a source from another and from itself with other files: its name and a hash of names, sizes, times."""
    if source in NAMED:
        return source
    folder = Path(source).expanduser().resolve()
    entries = [(str(path.relative_to(folder)), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    told = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in entries])
    return f"{folder} {hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _source(name: str, root: Path, seed: int) -> tuple[list[Recording], dict[str, str]]:
    """The recordings of the source `name` and the set of each speaker."""
    if name == "prompts":
        return prompts.recordings(prompts.fetch(root / "sources")), prompts.SETS
    found = synthetic.recordings(seed=seed) if name == "synthetic" else own.folder(name)
    return found, own.deal(found)


def _counts(text: str) -> dict[str, int | None]:
    """``train=100,dev=all`` as a table of numbers by set; ``all`` is None."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name: None if value == "all" else int(value) for name, value in pairs}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; expected for example train=100,dev=90,eval=all") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sslig.corpora.corpora", description=__doc__.split(";")[0])
    parser.add_argument("source", help="prompts, synthetic, or a folder with a sub-folder of recordings per speaker")
    parser.add_argument("root", type=Path, help="folder of the corpus")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--recordings", type=_counts, default={}, help="at most, by set: train=100,dev=90,eval=all")
    given = parser.parse_args(arguments)
    start = time.monotonic()
    try:
        made = ensure(given.source, given.root, given.seed, given.recordings, given.workers)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    counts = "; ".join(f"{name} {n['bonafide']} bona fide, {n['spoof']} spoof" for name, n in made["counts"].items())
    print(f"\rcorpus: {given.root}: {counts}; {time.monotonic() - start:.0f} s", file=sys.stderr)
    if made["without_text_to_speech"]:
        print(f"corpus: {made['without_text_to_speech']} recordings have no English text, hence no text-to-speech")
    return 0


if __name__ == "__main__":
    sys.exit(main())
