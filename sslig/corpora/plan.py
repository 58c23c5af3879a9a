"""Plans a corpus: which utterances it has, made from which recording by which attack and codec, under which name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sslig.corpora.codecs import CODECS
from sslig.corpora.protocol import COLUMNS, SETS
from sslig.corpora.recordings import Recording
from sslig.corpora.spoofs import ATTACKS

PREFIX = {"train": "T", "dev": "D", "eval": "E"}
"""First letter of the utterances and speakers of each set."""

ATTACKS_OF_SET = {
    "train": ("griffin_lim", "lpc_vocoder", "pitch_shift"),
    "dev": ("griffin_lim", "lpc_vocoder", "pitch_shift"),
    "eval": ("griffin_lim", "lpc_vocoder", "time_stretch", "channel_vocoder", "neural_tts"),
}
"""The attacks of each set: two of eval are known from training, three are not."""


class PlanError(ValueError):
    """Options or recordings of which no corpus can be made; the message says what was found and what is accepted."""


@dataclass(frozen=True)
class Options:
    """What a corpus is made of, besides its recordings.

    Parameters
    ----------
    seed
        Decides every choice and every random sample.
    attacks
        Attack names by set.
    attacks_per_recording
        Spoofs made of each recording, by set; the attacks take turns so that their counts are balanced.
    recordings
        Recordings used at most, by set; None: all.
    coded_share
        Part of the originals of eval, of each attack and of the bona fide, that have a coded trial besides.
    """

    seed: int = 0
    attacks: Mapping[str, Sequence[str]] = field(default_factory=lambda: ATTACKS_OF_SET)
    attacks_per_recording: Mapping[str, int] = field(default_factory=lambda: {"train": 2, "dev": 2, "eval": 2})
    recordings: Mapping[str, int | None] = field(default_factory=lambda: {"train": None, "dev": 90, "eval": None})
    coded_share: float = 1 / 3


@dataclass(frozen=True)
class Trial:
    """One utterance to make: a recording as it is (`attack` None) or spoofed; `coded` trials are made from it."""

    set: str
    utterance: str
    speaker: str
    recording: Recording
    attack: str | None = None
    codec: str | None = None
    codec_q: int = 0
    original: str | None = None


def plan(recordings: Sequence[Recording], sets: Mapping[str, str], options: Options) -> list[Trial]:
    """Every trial of the corpus, by set and name; the same arguments give the same plan.

    Parameters
    ----------
    recordings
        In any order.
    sets
        The set (``train``, ``dev`` or ``eval``) of each speaker; one set a speaker, so the sets share none.
    options
        What to make of them.

    Raises
    ------
    PlanError
        A set has no recording, a speaker has no set, a name is unknown or stands twice.
    """
    _check(recordings, sets, options)
    return [
        trial
        for name in SETS
        for trial in _set(name, [one for one in recordings if sets[one.speaker] == name], options)
    ]


def protocol_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """The rows of `trials` with the columns of an ASVspoof 5 protocol."""
    rows = [
        {
            "speaker": trial.speaker,
            "utterance": trial.utterance,
            "gender": trial.recording.gender,
            "codec": trial.codec or "-",
            "codec_q": str(trial.codec_q) if trial.codec else "-",
            "codec_seed": trial.original or "-",
            "attack_tag": ATTACKS[trial.attack].tag if trial.attack else "-",
            "attack": ATTACKS[trial.attack].code if trial.attack else "-",
            "key": "spoof" if trial.attack else "bonafide",
            "unused": "-",
        }
        for trial in trials
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def recordings_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """One row a trial: the recording behind it, and the language and words that are heard in it."""
    rows = []
    for trial in trials:
        one = trial.recording
        spoken_anew = trial.attack is not None and ATTACKS[trial.attack].needs_transcript
        rows.append(
            {
                "utterance": trial.utterance,
                "recording": one.id,
                "language": "en" if spoken_anew else one.language,
                "speaker": one.speaker,
                "licence": one.licence,
                "source": one.source,
                "transcript": (one.english if spoken_anew else one.transcript) or "-",
            }
        )
    return pd.DataFrame(rows)


def _set(name: str, recordings: list[Recording], options: Options) -> list[Trial]:
    generator = np.random.default_rng([options.seed, list(SETS).index(name)])
    chosen = _choose(recordings, options.recordings.get(name), generator)
    speakers = sorted({one.speaker for one in chosen})
    drafts = [(one, None) for one in chosen]
    drafts += _spoofs(chosen, options.attacks[name], options.attacks_per_recording[name])
    coded = _coded(drafts, options.coded_share, generator) if name == "eval" else []
    # One shuffle over all, so that a name tells neither class nor attack nor codec.
    names = [f"{PREFIX[name]}_{number + 1:010d}" for number in generator.permutation(len(drafts) + len(coded))]
    label = {speaker: f"{PREFIX[name]}_{place:04d}" for place, speaker in enumerate(speakers, start=1)}
    trials = [
        Trial(name, utterance, label[one.speaker], one, attack)
        for utterance, (one, attack) in zip(names, drafts, strict=False)
    ]
    for utterance, (draft, codec, quality) in zip(names[len(drafts) :], coded, strict=True):
        of = trials[draft]
        trials.append(Trial(name, utterance, of.speaker, of.recording, of.attack, codec, quality, of.utterance))
    return sorted(trials, key=lambda trial: trial.utterance)


def _choose(recordings: list[Recording], at_most: int | None, generator: np.random.Generator) -> list[Recording]:
    """A random part of the recordings in which the speakers take turns."""
    ordered = sorted(recordings, key=lambda one: one.id)
    taken: dict[str, int] = {}
    ranked = []
    for place in generator.permutation(len(ordered)):
        one = ordered[place]
        taken[one.speaker] = taken.get(one.speaker, 0) + 1
        ranked.append((taken[one.speaker], one.speaker, one))
    return [one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])][:at_most]


def _spoofs(recordings: Iterable[Recording], attacks: Sequence[str], each: int) -> list[tuple[Recording, str]]:
    """The `each` attacks of every recording: those that its speaker has had least often so far."""
    made: dict[tuple[str, str], int] = {}
    spoofs = []
    for one in recordings:
        possible = [attack for attack in attacks if one.english or not ATTACKS[attack].needs_transcript]
        possible.sort(key=lambda attack, speaker=one.speaker: made.get((speaker, attack), 0))
        for attack in possible[:each]:
            made[one.speaker, attack] = made.get((one.speaker, attack), 0) + 1
            spoofs.append((one, attack))
    return spoofs


def _coded(
    drafts: list[tuple[Recording, str | None]], share: float, generator: np.random.Generator
) -> list[tuple[int, str, int]]:
    """(place of the original, codec, codec_q): the same share of every attack and of the bona fide."""
    turns = [(code, quality) for quality in (1, 2, 3) for code in CODECS]
    coded = []
    for attack in [None, *ATTACKS]:
        places = [place for place, draft in enumerate(drafts) if draft[1] == attack]
        for place in generator.permutation(places)[: round(share * len(places))]:
            coded.append((int(place), *turns[len(coded) % len(turns)]))
    return coded


def _check(recordings: Sequence[Recording], sets: Mapping[str, str], options: Options) -> None:
    for what, got, accepted in (
        ("set", set(sets.values()), SETS),
        ("set", {*options.recordings, *options.attacks, *options.attacks_per_recording}, SETS),
        ("attack", {attack for attacks in options.attacks.values() for attack in attacks}, ATTACKS),
    ):
        if unknown := sorted(got - set(accepted)):
            raise PlanError(f"unknown {what} {', '.join(unknown)}; accepted: {', '.join(accepted)}")
    if lost := sorted({one.speaker for one in recordings} - set(sets)):
        raise PlanError(f"no set for the speakers {', '.join(lost)}; every speaker needs one of {', '.join(SETS)}")
    for name in SETS:
        if options.recordings.get(name) == 0 or not any(sets[one.speaker] == name for one in recordings):
            raise PlanError(f"set {name} has no recordings; each of {', '.join(SETS)} needs one speaker or more")
    ids = [one.id for one in recordings]
    if len(set(ids)) < len(ids):
        twice = sorted(name for name in set(ids) if ids.count(name) > 1)
        raise PlanError(f"recording {twice[0]} stands {ids.count(twice[0])} times; the id of a recording is unique")
