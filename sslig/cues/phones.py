"""Classes of phones, and which phones and words pocketsphinx hears when."""

import unicodedata
from functools import cache
from importlib.metadata import version
from threading import Lock

import numpy as np

from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ

CLASSES = ("vowel", "nasal", "plosive", "fricative", "affricate", "approximant", "silence", "noise")
"""Broad classes of phones; taps and trills count as approximants, ``noise`` is breath and other sounds of no phone."""

ARPABET = {
    "vowel": "AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX",
    "nasal": "EM EN ENG M N NG NX",
    "plosive": "B D G K P Q T",
    "fricative": "DH F HH HV S SH TH V Z ZH",
    "affricate": "CH JH",
    "approximant": "DX EL L R W WH Y",
}
"""Phones of US English, in capitals."""

UNSPOKEN = {"silence": "SIL SP PAU EPI H#", "noise": "NSN SPN NOISE SPEECH BREATH COUGH LAUGH"}
"""Names that decoders give to what is no phone, in any case."""

IPA = {
    "vowel": "aeiouyæøœɐɑɒɔɘəɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻ",
    "nasal": "mnɱɲɳŋɴN",
    "plosive": "pbtdʈɖcɟkɡgqɢʔʡɓɗʄɠʛʘǀǃǂǁ",
    "fricative": "ɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮɕʑɧʜʢSZX",
    "approximant": "ʋɹɻjɰlɭʎʟɫwʍɥrɾɽʀⱱɺ",
}
"""Letters of the IPA, and the capitals that espeak has for some; affricates are written with two of them."""

_OF_ARPABET = {phone: name for name, phones in ARPABET.items() for phone in phones.split()}
_OF_UNSPOKEN = {phone: name for name, phones in UNSPOKEN.items() for phone in phones.split()}
_OF_LETTER = {letter: name for name, letters in IPA.items() for letter in letters}

POCKETSPHINX = {
    "phones": {"lw": 2.0, "beam": 1e-20, "pbeam": 1e-20},
    "words": {"maxhmmpf": 3000, "fwdflat": False},
}
"""The search: for phones as CMUSphinx recommends it, for words narrower than by default, which takes several times as
long on speech that is not English."""

DITHER_SEED = 0

SPHINX_HOP_S, SPHINX_WINDOW_S = 0.01, 0.025625
"""Distance of the frames of pocketsphinx, and what each of them sees."""


class PhoneError(ValueError):
    """A phone or a model that cannot be used; the message says which, and what is accepted."""


def class_of(phone: str) -> str:
    """The class of a phone, one of `CLASSES`.

    Capitals are read as ARPAbet (with or without stress), all else as IPA: the first letter decides, but a plosive
    with a fricative other than h after it is an affricate; marks of length, stress, tone and the like are passed over.

    Raises
    ------
    PhoneError
        The phone is neither.

    References
    ----------
    International Phonetic Association, "Handbook of the International Phonetic Association", 1999.
    """
    found = known_class(phone)
    if found is None:
        raise PhoneError(f"phone {phone!r} has no class; accepted: ARPAbet ({' '.join(_OF_ARPABET)}), IPA "
                         f"({''.join(_OF_LETTER)}) and {', '.join(_OF_UNSPOKEN)}")  # fmt: skip
    return found


def pocketsphinx_phones(samples: np.ndarray) -> Tier:
    """The tier ``phones`` (ARPAbet, ``SIL``, ``+NSN+``, ``+SPN+``) as pocketsphinx decodes it with its phone model.

    The model is of US English; a phone of another language is given the nearest one of that, so read classes of
    phones rather than phones. The models ship in the wheel and are loaded once a process.

    Parameters
    ----------
    samples
        (samples,) at 16 kHz, from -1 to 1; of fewer than 26 ms no phone is decoded.
    """
    return _pocketsphinx("phones").tier(samples)


def pocketsphinx_words(samples: np.ndarray) -> Tier:
    """The tier ``words`` as pocketsphinx recognises them, US English only; silence and noise between words are gaps.

    Parameters
    ----------
    samples
        (samples,) at 16 kHz, from -1 to 1.
    """
    return _pocketsphinx("words").tier(samples)


class _Pocketsphinx:
    """A decoder of phones or words, held by one thread at a time because it holds a state."""

    def __init__(self, tier: str) -> None:
        from pocketsphinx import Decoder, get_model_path

        model = "en-us-phone.lm.bin" if tier == "phones" else "en-us.lm.bin"
        values = POCKETSPHINX[tier]
        search = {"allphone" if tier == "phones" else "lm": get_model_path(f"en-us/{model}")}
        self.decoder = Decoder(**search, **values, loglevel="FATAL")
        about = {"tool": "pocketsphinx", "version": version("pocketsphinx"), "model": f"en-us, {model}"}
        self.source = {**about, **values, "dither_seed": DITHER_SEED}
        self.name, self.lock = tier, Lock()

    def tier(self, samples: np.ndarray) -> Tier:
        """What is decoded in (samples,) as stretches; words without silence and noise between them."""
        duration_s = len(samples) / SAMPLE_RATE_HZ
        found = self.segments(samples) if len(samples) else []
        frames = np.array([bounds for _, *bounds in found]).reshape(-1, 2) + (0, 1)  # (stretch, 2)
        # Boundaries lie halfway between the centres of two windows, the first and the last at the recording's ends.
        times_s = frames * SPHINX_HOP_S + (SPHINX_WINDOW_S - SPHINX_HOP_S) / 2
        times_s[:1, 0], times_s[-1:, 1] = 0, duration_s
        kept = np.array([self.name == "phones" or label[0] not in "<[+" for label, *_ in found], dtype=bool)
        labels = [label.split("(")[0] for label, *_ in found]
        return Tier(self.name, *times_s[kept].T, tuple(np.array(labels)[kept].tolist()), duration_s, self.source)

    def segments(self, samples: np.ndarray) -> list[tuple[str, int, int]]:
        """Label, first frame and last frame of each stretch."""
        # One bit of noise, the same for every recording: digital silence has no cepstrum, and is decoded as anything.
        noise = np.random.default_rng(DITHER_SEED).integers(-1, 2, len(samples))
        words = (np.clip(samples, -1, 1) * (np.iinfo(np.int16).max - 1) + noise).round().astype("<i2")
        with self.lock:
            self.decoder.reinit_feat()  # else what was decoded before decides with
            self.decoder.start_utt()
            self.decoder.process_raw(words.tobytes(), full_utt=True)
            self.decoder.end_utt()
            return [(one.word, one.start_frame, one.end_frame) for one in self.decoder.seg() or ()]


@cache
def _pocketsphinx(tier: str) -> _Pocketsphinx:
    return _Pocketsphinx(tier)


def letters(phone: str) -> list[str]:
    """The letters of a phone without marks, tones and modifiers."""
    plain = [letter if letter in _OF_LETTER else unicodedata.normalize("NFD", letter)[0] for letter in
             unicodedata.normalize("NFC", phone)]  # fmt: skip
    return [letter for letter in plain if unicodedata.category(letter) in {"Ll", "Lu", "Lo"}]


def known_class(phone: str) -> str | None:
    """As `class_of`, but None for what has no class."""
    name = phone.strip("+<>[]")
    arpabet = _OF_ARPABET.get(name.rstrip("012")) or _OF_UNSPOKEN.get(name.upper())
    said = letters(phone)
    if arpabet or not said:
        return arpabet
    first, second = _OF_LETTER.get(said[0]), said[1:2]
    aspirated = second in (["h"], ["ɦ"])
    is_affricate = first == "plosive" and second and _OF_LETTER.get(second[0]) == "fricative" and not aspirated
    return "affricate" if is_affricate else first
