"""Builds a corpus in the ASVspoof 5 layout from recordings: spoofs by several attacks, coded trials, and tables."""

import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import butter, sosfiltfilt

from sslig import audio, files, processes
from sslig.corpora import codecs, dialogues, prompts, protocol, recordings
from sslig.corpora.protocol import NONE, SETS, sound_path
from sslig.corpora.recordings import Recording
from sslig.corpora.spoofs import ATTACKS
from sslig.errors import CorpusError
from sslig.frames import SAMPLE_RATE_HZ

VERSION = 1
"""Raised with every change of a method that changes samples, so that no corpus mixes two versions."""

SUMMARY, FINGERPRINT = "corpus.json", "fingerprint.json"

PREFIX = {"train": "T", "dev": "D", "eval": "E"}
"""First letter of the utterances and speakers of each set."""

ATTACKS_OF_SET = {
    "train": ("griffin_lim", "lpc_vocoder", "pitch_shift"),
    "dev": ("griffin_lim", "lpc_vocoder", "pitch_shift"),
    "eval": ("griffin_lim", "lpc_vocoder", "time_stretch", "channel_vocoder", "neural_tts"),
}
"""The attacks of each set unless the study says otherwise: eval has two that training knows, and three new ones."""

ATTACKS_PER_RECORDING = 2
"""Spoofs made from each recording; the attacks take turns, so that their counts are balanced."""

AT_MOST = {"train": None, "dev": 90, "eval": None}
"""Recordings used at most, by set, unless the study says otherwise; None: all."""

CODED_SHARE = 1 / 3
"""Share of the originals of eval, in each attack and in the bona fide, that also have a coded trial."""

MARGIN_S = (0.03, audio.MARGIN_S)
"""Range of the silence before and after the speech; each end of each utterance draws its own."""
LEVEL_DBFS = (-32.0, -22.0)
"""Range of the RMS level of an utterance."""
FLOOR_DB = (-48.0, -38.0)
"""Range of the level of the noise floor, relative to the RMS level."""
PEAK = 0.98
BAND_HZ = (80.0, 7000.0)
"""Band of every utterance: vocoders leave an offset below it, and resampling leaves a gap above it."""


@dataclass(frozen=True)
class Trial:
    """An utterance to make from a recording, by an `attack` or as it is; a coded trial is made from its `original`."""

    set: str
    utterance: str
    speaker: str
    recording: Recording
    attack: str | None = None
    codec: str | None = None
    codec_q: int = 0
    original: str | None = None


def source(name: str, root: Path, seed: int) -> tuple[list[Recording], dict[str, str]]:
    """The recordings of a source (``prompts``, ``voices``, ``synthetic`` or a folder) and the set of each speaker.

    ``voices`` are prompts and dialogues. Both are downloaded into `root`, the folder of the corpus; `seed` is that of
    synthetic recordings.

    Raises
    ------
    CorpusError
        The recordings cannot be downloaded or used.
    """
    packaged = {"prompts": [prompts], "voices": [prompts, dialogues]}.get(name, [])
    if packaged:
        spoken = [recording for part in packaged for recording in part.recordings(part.fetch(root / "sources"))]
        return spoken, {speaker: of_speaker for part in packaged for speaker, of_speaker in part.SETS.items()}
    utterances = recordings.synthetic(seed=seed) if name == "synthetic" else recordings.folder(Path(name))
    return utterances, recordings.deal(utterances)


def build(
    utterances: Sequence[Recording],
    sets: Mapping[str, str],
    root: Path,
    *,
    seed: int,
    at_most: Mapping[str, int | None],
    attacks: Mapping[str, Sequence[str]] | None = None,
    workers: int = 2,
) -> None:
    """Write FLAC files, protocols, ``recordings.tsv`` and ``corpus.json`` to `root`, or those that are missing there.

    Sound files of the same recordings and values are reused and others removed. Each utterance has its own generator,
    from the seed and its name, so the samples depend neither on `workers` nor on where an earlier build was killed.

    `utterances` come in any order, `sets` names the set of each speaker, and `at_most` and `attacks` replace values
    of `AT_MOST` and `ATTACKS_OF_SET`.

    Raises
    ------
    CorpusError
        No corpus can be made from these recordings, `root` contains sound files from elsewhere, or an utterance
        cannot be made.
    """
    limits = {**AT_MOST, **at_most}
    chosen = {**ATTACKS_OF_SET, **(attacks or {})}
    trials = plan(utterances, sets, seed, limits, chosen)
    options = {
        "seed": seed,
        "recordings": limits,
        "attacks": chosen,
        "attacks_per_recording": dict.fromkeys(SETS, ATTACKS_PER_RECORDING),
        "coded_share": CODED_SHARE,
    }
    content = [*map(repr, trials), json.dumps(options, sort_keys=True), str(VERSION)]
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.original or trial.utterance, []).append(trial)
    write_sounds(root, "\n".join(content), list(groups.values()), partial(_write, root, seed), workers)
    table = protocol_table(trials)
    write_tables(root, table, recordings_table(trials), {"options": options} | _summary(table, trials))


def plan(
    utterances: Sequence[Recording],
    sets: Mapping[str, str],
    seed: int,
    at_most: Mapping[str, int | None],
    attacks: Mapping[str, Sequence[str]] = ATTACKS_OF_SET,
) -> list[Trial]:
    """Every trial of the corpus, by set and name; the same arguments give the same plan.

    Raises
    ------
    CorpusError
        A set has no recording, a speaker has no set or an unknown one, an attack is unknown, or the id of a recording
        is not unique.
    """
    _check(utterances, sets, at_most)
    if unknown := sorted({attack for of_set in attacks.values() for attack in of_set} - set(ATTACKS)):
        raise CorpusError(f"unknown attack {', '.join(unknown)}; accepted: {', '.join(ATTACKS)}")
    trials = []
    for name in SETS:
        of_set = [recording for recording in utterances if sets[recording.speaker] == name]
        trials += _plan(name, of_set, seed, at_most.get(name), attacks[name])
    return trials


def condition(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) The utterance within `BAND_HZ`, with drawn margins, level and noise floor, after G.722.

    Bona fide and spoofs go through the same steps and draws. The noise floor covers digital silence, the residue of
    attacks in pauses, and everything outside the band; G.722 gives both classes the same last channel.
    """
    lead_s, trail_s = generator.uniform(*MARGIN_S, size=2)
    level_dbfs, floor_db = generator.uniform(*LEVEL_DBFS), generator.uniform(*FLOOR_DB)
    band_pass = butter(6, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    speech = audio.trim(sosfiltfilt(band_pass, samples), lead_s, trail_s)
    noise = audio.rms(speech) * 10 ** (floor_db / 20) * generator.standard_normal(len(speech))
    mixed = speech + noise
    # At the drawn level, or below it where the peak would clip.
    factor = min(10 ** (level_dbfs / 20) / audio.rms(mixed), PEAK / np.abs(mixed).max())
    coded = codecs.apply((factor * mixed).astype(np.float32), codecs.G722)
    # Again, because G.722 responds to the peaks of pulse-like signals with an offset.
    high_pass = butter(6, BAND_HZ[0], "highpass", fs=SAMPLE_RATE_HZ, output="sos")
    return sosfiltfilt(high_pass, coded).astype(np.float32)


def protocol_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """The rows of `trials` with the columns of an ASVspoof 5 protocol and ``set``."""
    rows = []
    for trial in trials:
        codec = (trial.codec, str(trial.codec_q), trial.original) if trial.codec else (NONE, NONE, NONE)
        attack = (NONE, NONE, "bonafide")
        if trial.attack:
            attack = (ATTACKS[trial.attack].tag, ATTACKS[trial.attack].code, "spoof")
        rows.append((trial.speaker, trial.utterance, trial.recording.gender, *codec, *attack, NONE, trial.set))
    return pd.DataFrame(rows, columns=[*protocol.COLUMNS, "set"])


def recordings_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """One row per trial: its recording, and the language and words that are heard in it."""
    rows = []
    for trial in trials:
        spoken = trial.recording
        language, words = spoken.language, spoken.transcript
        if trial.attack and ATTACKS[trial.attack].needs_transcript:
            language, words = "en", spoken.english
        origin = (spoken.speaker, spoken.licence, spoken.source)
        rows.append((trial.utterance, spoken.id, language, *origin, words or NONE))
    columns = ["utterance", "recording", "language", "speaker", "licence", "source", "transcript"]
    return pd.DataFrame(rows, columns=columns)


def write_sounds(
    root: Path, content: str, groups: Sequence[Sequence[Any]], write: Callable[[Sequence[Any]], None], workers: int
) -> None:
    """Call `write` for every group of trials that lacks a sound file, in parallel processes.

    Trials have a `set` and an `utterance`. Sound files in `root` are reused if an earlier build wrote them for the same
    `content`, all that decides the sound files of the corpus.

    Raises
    ------
    CorpusError
        `root` contains sound files that this package did not write.
    """
    from tqdm import tqdm

    _claim(root, hashlib.sha256(content.encode()).hexdigest()[:16])
    todo = [group for group in groups if not all(sound_path(root, t.set, t.utterance).is_file() for t in group)]
    interval_s = 0.5 if sys.stderr.isatty() else 10
    jobs = processes.each(write, ((group,) for group in todo), workers)
    for _ in tqdm(jobs, f"corpus {root.name}", len(todo), unit="recording", mininterval=interval_s):
        pass


def write_tables(root: Path, table: pd.DataFrame, sources: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    """Write the protocols of `table`, which has a column ``set``, ``recordings.tsv`` and ``corpus.json``."""
    for name, (file, _) in SETS.items():
        protocol.write(root / file, table[table["set"] == name])
    files.write_tsv(root / protocol.RECORDINGS, sources)
    files.write_json(root / SUMMARY, summary)


def counts(table: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """How often each value of `column` occurs in each set of a protocol table with ``set``."""
    return {name: part[column].value_counts().sort_index().to_dict() for name, part in table.groupby("set")}


def _claim(root: Path, mark: str) -> None:
    """Reserve `root` for the corpus `mark`: remove the files of another, refuse files from elsewhere."""
    folders = [root / folder for _, folder in SETS.values()]
    marked = [path for path in (root / FINGERPRINT, root / SUMMARY) if path.is_file()]
    marks = {json.loads(path.read_text(encoding="utf-8")).get("fingerprint") for path in marked} - {None}
    if not marks and any(folder.exists() for folder in folders):
        raise CorpusError(f"{root}: contains sound files but no {FINGERPRINT} of an earlier build; give another folder")
    if marks - {mark}:
        for name in (SUMMARY, protocol.RECORDINGS, *(file for file, _ in SETS.values())):
            (root / name).unlink(missing_ok=True)
        for folder in filter(Path.is_dir, folders):
            shutil.rmtree(folder)
    files.write_json(root / FINGERPRINT, {"fingerprint": mark})
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for partial_file in folder.glob(".*.part*"):
            partial_file.unlink()


def _write(root: Path, seed: int, group: Sequence[Trial]) -> None:
    """Write the missing sound files of an original and of its coded trials."""
    for trial in sorted(group, key=lambda trial: trial.original is not None):
        path = sound_path(root, trial.set, trial.utterance)
        if not path.is_file():
            audio.write_flac(path, _samples(root, seed, trial))


def _samples(root: Path, seed: int, trial: Trial) -> np.ndarray:
    if trial.codec is not None:
        # From the written file, so that a resumed build codes the same samples.
        original = audio.read(sound_path(root, trial.set, trial.original))
        return codecs.apply(original, codecs.CODECS[trial.codec], trial.codec_q)
    generator = np.random.default_rng([seed, int(trial.utterance.rpartition("_")[2]), ord(trial.set[0])])
    try:
        samples = audio.trim(trial.recording.sound())
        if trial.attack is not None:
            samples = ATTACKS[trial.attack](samples, generator, trial.recording.english)
        return condition(samples, generator)
    except (ValueError, RuntimeError, ImportError, OSError) as error:
        what = f"{trial.attack or 'bona fide'} of recording {trial.recording.id}"
        raise CorpusError(f"{trial.utterance} ({what}): {type(error).__name__}: {error}") from error


def _summary(table: pd.DataFrame, trials: Sequence[Trial]) -> dict[str, Any]:
    return {
        "counts": counts(table, "key"),
        "attacks": counts(table, "attack"),
        "codecs": counts(table, "codec"),
        "attack_names": {attack.code: f"{name}: {attack.description}" for name, attack in ATTACKS.items()},
        "codec_names": {code: codec.name for code, codec in codecs.CODECS.items()},
        "speakers": {trial.speaker: trial.recording.speaker for trial in trials},
        "licences": sorted({f"{trial.recording.speaker}: {trial.recording.licence}" for trial in trials}),
        "without_text_to_speech": len({trial.recording.id for trial in trials if not trial.recording.english}),
    }


def _plan(
    name: str, utterances: list[Recording], seed: int, at_most: int | None, attacks: Sequence[str]
) -> list[Trial]:
    generator = np.random.default_rng([seed, list(SETS).index(name)])
    chosen = _choose(utterances, at_most, generator)
    drafts: list[tuple[Recording, str | None]] = [(recording, None) for recording in chosen]
    drafts += _spoofs(chosen, attacks)
    coded = _coded(drafts, generator) if name == "eval" else []
    # One shuffle over all trials, so that names reveal neither class nor attack nor codec.
    names = [f"{PREFIX[name]}_{number + 1:010d}" for number in generator.permutation(len(drafts) + len(coded))]
    speakers = sorted({recording.speaker for recording in chosen})
    labels = {speaker: f"{PREFIX[name]}_{number:04d}" for number, speaker in enumerate(speakers, start=1)}
    trials = [
        Trial(name, utterance, labels[recording.speaker], recording, attack)
        for utterance, (recording, attack) in zip(names, drafts, strict=False)
    ]
    for utterance, (draft, codec, quality) in zip(names[len(drafts) :], coded, strict=True):
        original = trials[draft]
        source = (original.recording, original.attack)
        trials.append(Trial(name, utterance, original.speaker, *source, codec, quality, original.utterance))
    return sorted(trials, key=lambda trial: trial.utterance)


def _choose(utterances: list[Recording], at_most: int | None, generator: np.random.Generator) -> list[Recording]:
    """A random part of the recordings in which the speakers take turns."""
    ordered = sorted(utterances, key=lambda recording: recording.id)
    turns, ranked = Counter(), []
    for index in generator.permutation(len(ordered)):
        recording = ordered[index]
        turns[recording.speaker] += 1
        ranked.append((turns[recording.speaker], recording.speaker, recording))
    return [recording for _, _, recording in sorted(ranked, key=lambda entry: entry[:2])][:at_most]


def _spoofs(utterances: Sequence[Recording], attacks: Sequence[str]) -> list[tuple[Recording, str]]:
    """The attacks on every recording: those that its speaker has had least often so far."""
    turns: Counter[tuple[str, str]] = Counter()
    spoofs = []
    for recording in utterances:
        possible = [attack for attack in attacks if recording.english or not ATTACKS[attack].needs_transcript]
        possible.sort(key=lambda attack, speaker=recording.speaker: turns[speaker, attack])
        for attack in possible[:ATTACKS_PER_RECORDING]:
            turns[recording.speaker, attack] += 1
            spoofs.append((recording, attack))
    return spoofs


def _coded(drafts: list[tuple[Recording, str | None]], generator: np.random.Generator) -> list[tuple[int, str, int]]:
    """(index of the original, codec, codec_q): the same share of every attack and of the bona fide."""
    turns = [(code, quality) for quality in (1, 2, 3) for code in codecs.CODECS]
    coded = []
    for attack in [None, *ATTACKS]:
        originals = [index for index, draft in enumerate(drafts) if draft[1] == attack]
        for index in generator.permutation(originals)[: round(CODED_SHARE * len(originals))]:
            coded.append((int(index), *turns[len(coded) % len(turns)]))
    return coded


def _check(utterances: Sequence[Recording], sets: Mapping[str, str], at_most: Mapping[str, int | None]) -> None:
    if unknown := sorted({*sets.values(), *at_most} - set(SETS)):
        raise CorpusError(f"unknown set {', '.join(unknown)}; accepted: {', '.join(SETS)}")
    if missing := sorted({recording.speaker for recording in utterances} - set(sets)):
        raise CorpusError(f"no set for the speakers {', '.join(missing)}; every speaker needs one of {', '.join(SETS)}")
    for name in SETS:
        if at_most.get(name) == 0 or not any(sets[recording.speaker] == name for recording in utterances):
            raise CorpusError(f"set {name} has no recordings; each of {', '.join(SETS)} needs one speaker or more")
    if repeated := [name for name, n in Counter(recording.id for recording in utterances).items() if n > 1]:
        raise CorpusError(f"recording {min(repeated)} occurs more than once; the id of a recording is unique")
