"""Alignment: when the words and phones of a transcript are spoken, and stretches of speech where there is none."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np

from sslig import audio
from sslig.cues import phones, voice
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ

LATIN = (
    "a:AA b:B c:K ch:CH d:D e:EH f:F g:G h:HH i:IY j:ZH k:K l:L m:M n:N o:AO p:P q:K qu:K r:R s:S sh:SH t:T u:UW v:V "
    "w:W x:K,S y:IY z:Z"
)
CYRILLIC = (
    "а:AA б:B в:V г:G д:D е:EH ё:AO ж:ZH з:Z и:IY й:Y к:K л:L м:M н:N о:AO п:P р:R с:S т:T у:UW ф:F х:HH ц:T,S ч:CH "
    "ш:SH щ:SH ъ: ы:IH ь: э:EH ю:UW я:AA"
)
SPELLINGS: Mapping[str, str] = {
    "de": LATIN
    + " ä:EH ö:ER ü:UW ß:S ie:IY ei:AY eu:OY äu:OY au:AW ch:HH sch:SH sp:SH,P st:S,T ph:F v:F w:V z:T,S j:Y",
    "en": LATIN + " ch:CH ck:K ee:IY ea:IY igh:AY j:JH oo:UW ou:AW ph:F th:TH wh:W",
    "es": LATIN
    + " á:AA é:EH í:IY ó:AO ú:UW ü:W ñ:N,Y h: j:HH ll:Y ce:S,EH ci:S,IY ge:HH,EH gi:HH,IY gue:G,EH gui:G,IY "
    "rr:R v:B z:S",
    "fr": LATIN + " à:AA â:AA ç:S é:EY è:EH ê:EH ë:EH î:IY ï:IY ô:OW ù:UW û:UW h: ai:EH an:AA,N au:OW eau:OW ce:S,EH "
    "ci:S,IY ch:SH en:AA,N eu:ER ge:ZH,EH gi:ZH,IY gn:N,Y in:AE,N oi:W,AA on:AO,N ou:UW ph:F th:T un:AH,N y:IY",
    "it": LATIN
    + " à:AA è:EH é:EH ì:IY ò:AO ù:UW h: cc:K ce:CH,EH ci:CH,IY cia:CH,AA cio:CH,AO ciu:CH,UW ch:K ge:JH,EH "
    "gi:JH,IY gia:JH,AA gio:JH,AO giu:JH,UW gh:G gli:L,IY gn:N,Y j:Y qu:K,W sc:S,K sce:SH,EH sci:SH,IY sch:S,K z:T,S "
    "zz:T,S",
    "ru": CYRILLIC,
}
"""Language -> letters and the nearest phones of US English (ARPAbet), for which pocketsphinx has acoustic models.

Longer spellings go first. Silent letters have no phone. The rules give the class of a phone, not its exact quality."""

BEAMS = {"beam": 1e-120, "wbeam": 1e-100, "pbeam": 1e-120}
"""Wide, because the words are known: with pocketsphinx's defaults every tenth recording loses its path."""

STRETCH, DIP_DB, SHORTEST_S = "stretch", 9.0, 0.08
"""Label of speech between two dips of the level, how deep a dip is, and the least distance between two."""

ENGLISH = "en"
"""The language of the dictionary of pocketsphinx."""

_lock = Lock()


def words_of(transcript: str, language: str) -> list[str]:
    """The words of a transcript in lower case; numbers are spelled out where the language is known."""
    from num2words import num2words

    try:
        spoken = re.sub(r"\d+", lambda number: f" {num2words(int(number[0]), lang=language)} ", transcript)
    except NotImplementedError:
        spoken = transcript
    return re.findall(r"[^\W\d_]+", spoken.lower())


def pronunciation(word: str, language: str) -> list[str]:
    """The ARPAbet phones of a word by the letters of `SPELLINGS`.

    Raises
    ------
    InputError
        There are no rules for the language, or a letter has none.
    """
    if language not in SPELLINGS:
        raise InputError(f"language {language!r} has no rules of pronunciation; accepted: {', '.join(SPELLINGS)}")
    rules = _rules(language)
    parts = re.findall("|".join(sorted(map(re.escape, rules), key=len, reverse=True)) + "|.", word)
    unknown = [part for part in parts if part not in rules]
    if unknown:
        raise InputError(f"word {word!r}: no rule of {language!r} for {unknown[0]!r}; known: {' '.join(rules)}")
    return [phone for part in parts for phone in rules[part]]


def align(samples: np.ndarray, transcript: str, language: str) -> tuple[Tier, Tier]:
    """The tiers ``words`` and ``phones`` of (samples,) at 16 kHz that speak a known transcript, by forced alignment.

    English words come from the dictionary of pocketsphinx, all others from their letters (`SPELLINGS`).

    Raises
    ------
    InputError
        The transcript has no words, its language no rules, or no path through the recording speaks it.

    References
    ----------
    Moreno et al., "A recursive algorithm for the forced alignment of very long audio segments", ICSLP 1998; here
    without the recursion.
    """
    words = [word for word in words_of(transcript, language) if language == ENGLISH or pronunciation(word, language)]
    if not words or not len(samples):
        raise InputError(f"{len(samples)} samples and transcript {transcript!r}: no words to align")
    with _lock:  # the decoder holds a state
        decoder = _decoder()
        entries = [_entry(decoder, word, language) for word in words]
        decoder.set_align_text(" ".join(entries))
        sound = phones.sixteen_bit(samples)
        _decode(decoder, sound)
        spoken = [part.word.split("(")[0] for part in decoder.seg() or () if part.word[0] not in "<["]
        if spoken != entries:
            raise InputError(f"no path through {len(samples) / SAMPLE_RATE_HZ:.2f} s speaks {transcript!r}")
        decoder.set_alignment()
        _decode(decoder, sound)
        spans, parts = [], []
        alignment = decoder.get_alignment()
        for word in alignment:  # its items are valid only while the loop stands at them
            if word.name[0] not in "<[":
                spans.append((word.start, word.start + word.duration))
                parts += [(phone.name, phone.start, phone.start + phone.duration) for phone in word]
    about = {"tool": "pocketsphinx", "version": version("pocketsphinx"), "model": "en-us, aligned to the transcript"}
    duration_s, source = len(samples) / SAMPLE_RATE_HZ, {**about, "language": language, **BEAMS}
    word_s, phone_s = (phones.bounds_s(rows, duration_s) for rows in (spans, [part[1:] for part in parts]))
    names = tuple(part[0] for part in parts)
    return Tier("words", *word_s.T, tuple(words), duration_s, source), Tier(
        "phones", *phone_s.T, names, duration_s, source
    )


def stretches(samples: np.ndarray) -> Tier:
    """The tier ``words`` of a recording without transcript: stretches of speech between dips of the level.

    Speech is where `sslig.cues.voice.speech` hears it; it is cut where the level falls by `DIP_DB` and rises again.
    A stretch is about a syllable or a short word, so its boundaries are candidates for those of words.

    References
    ----------
    Mermelstein, "Automatic segmentation of speech into syllabic units", JASA 58, 1975.
    """
    from scipy.signal import find_peaks

    duration_s, speech = len(samples) / SAMPLE_RATE_HZ, voice.speech(samples)
    spoken = speech.has([voice.SPEECH])
    hop_s = audio.LEVEL_HOP_SAMPLES / SAMPLE_RATE_HZ
    level_db = np.convolve(audio.frame_levels_db(samples), np.ones(3) / 3, mode="same") if spoken.any() else np.zeros(0)
    dips, _ = find_peaks(-level_db, prominence=DIP_DB, distance=max(1, round(SHORTEST_S / hop_s)))
    cut_s = dips * hop_s + audio.LEVEL_FRAME_SAMPLES / 2 / SAMPLE_RATE_HZ
    bounds_s = []
    for start_s, end_s in zip(speech.start_s[spoken], speech.end_s[spoken], strict=True):
        edges = [start_s, *cut_s[(cut_s > start_s + SHORTEST_S) & (cut_s < end_s - SHORTEST_S)], end_s]
        bounds_s += pairwise(edges)
    start_s, end_s = np.array(bounds_s).reshape(-1, 2).T
    source = {**speech.source, "tool": "level and silero-vad", "dip_db": DIP_DB, "shortest_s": SHORTEST_S}
    return Tier("words", start_s, end_s, (STRETCH,) * len(start_s), duration_s, source)


@cache
def _rules(language: str) -> dict[str, list[str]]:
    pairs = (rule.split(":") for rule in SPELLINGS[language].split())
    return {letters: spelled.split(",") if spelled else [] for letters, spelled in pairs}


@cache
def _decoder() -> Any:
    from pocketsphinx import Decoder

    # Without the best path through its lattice, which loses the end of one recording in ten.
    return Decoder(lm=None, bestpath=False, loglevel="FATAL", **BEAMS)


def _entry(decoder: Any, word: str, language: str) -> str:
    """The name of a word in the dictionary of the decoder, which gets it where it lacks it."""
    if language == ENGLISH and decoder.lookup_word(word) is not None:
        return word
    entry = f"{language}:{word}"
    if decoder.lookup_word(entry) is None:
        decoder.add_word(entry, " ".join(pronunciation(word, language)), True)
    return entry


def _decode(decoder: Any, sound: bytes) -> None:
    decoder.reinit_feat()  # otherwise the recording before has a say
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
