"""Phones and words: their classes, and when pocketsphinx or a CTC model of Hugging Face hears them."""

import os
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from sslig.cues.tiers import Tier, runs
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock

CLASSES = ("vowel", "nasal", "plosive", "fricative", "affricate", "approximant", "silence", "noise")
"""Broad classes of phones; taps and trills count as approximants, ``noise`` is breath and other non-speech sounds."""

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

SEARCH = {
    "phones": {"lw": 2.0, "beam": 1e-20, "pbeam": 1e-20},
    "words": {"maxhmmpf": 3000, "fwdflat": False},
}
"""Parameters of pocketsphinx: as CMUSphinx recommends for phones; for words narrower than by default, which takes
several times as long on speech that is not English."""

LANGUAGE = {"phones": "en-us-phone.lm.bin", "words": "en-us.lm.bin"}
DITHER_SEED = 0
_lock = Lock()

SPHINX_HOP_S, SPHINX_WINDOW_S = 0.01, 0.025625
"""Distance between the frames of pocketsphinx, and what each of them sees."""

REACH_S = 0.1
"""How far a CTC token reaches beyond the frames that emit it."""

BLANK, DELIMITER = "<blank>", "<delimiter>"


def class_of(phone: str) -> str:
    """The class of a phone, one of `CLASSES`; an InputError says that it has none.

    Capitals are read as ARPAbet (with or without stress), everything else as IPA: the first letter decides, except
    that a plosive followed by a fricative other than h is an affricate. Marks of length, stress and tone are ignored.

    References
    ----------
    International Phonetic Association, "Handbook of the International Phonetic Association", 1999.
    """
    name = known_class(phone)
    if name is None:
        raise InputError(
            f"phone {phone!r} has no class; accepted: ARPAbet ({' '.join(_OF_ARPABET)}), IPA "
            f"({''.join(_OF_LETTER)}) and {', '.join(_OF_UNSPOKEN)}"
        )
    return name


def known_class(phone: str) -> str | None:
    """`class_of` a phone, or None where it has no class."""
    name = phone.strip("+<>[]")
    arpabet = _OF_ARPABET.get(name.rstrip("012")) or _OF_UNSPOKEN.get(name.upper())
    spelling = letters(phone)
    if arpabet or not spelling:
        return arpabet
    first, second = _OF_LETTER.get(spelling[0]), spelling[1:2]
    aspirated = second in (["h"], ["ɦ"])
    is_affricate = first == "plosive" and second and _OF_LETTER.get(second[0]) == "fricative" and not aspirated
    return "affricate" if is_affricate else first


def letters(phone: str) -> list[str]:
    """The letters of a phone without marks, tones and modifiers."""
    composed = unicodedata.normalize("NFC", phone)
    plain = [letter if letter in _OF_LETTER else unicodedata.normalize("NFD", letter)[0] for letter in composed]
    return [letter for letter in plain if unicodedata.category(letter) in {"Ll", "Lu", "Lo"}]


def pocketsphinx(tier: str, samples: np.ndarray) -> Tier:
    """The tier ``phones`` (ARPAbet, ``SIL``, ``+NSN+``, ``+SPN+``) or ``words`` that pocketsphinx hears in (samples,).

    The model is of US English, and a phone of another language becomes its nearest English one: read classes of phones
    rather than phones. No phone is decoded in fewer than 26 ms. What is no word is a gap.
    """
    duration_s = len(samples) / SAMPLE_RATE_HZ
    segments = _segments(tier, samples) if len(samples) else []
    times_s = bounds_s([(first, last + 1) for _, first, last in segments], duration_s)
    times_s[:1, 0], times_s[-1:, 1] = 0, duration_s
    chosen = np.array([tier == "phones" or label[0] not in "<[+" for label, *_ in segments], dtype=bool)
    labels = np.array([label.split("(")[0] for label, *_ in segments])[chosen]
    about = {"tool": "pocketsphinx", "version": version("pocketsphinx"), "model": f"en-us, {LANGUAGE[tier]}"}
    source = {**about, "language": "en", **SEARCH[tier], "dither_seed": DITHER_SEED}
    return Tier(tier, *times_s[chosen].T, tuple(labels.tolist()), duration_s, source)


def bounds_s(frames: Sequence[tuple[int, int]], duration_s: float) -> np.ndarray:
    """(stretch, 2) Start and end in seconds of (first, one past the last) frames of pocketsphinx.

    Boundaries lie halfway between the centres of two windows.
    """
    times_s = np.array(frames, dtype=float).reshape(-1, 2) * SPHINX_HOP_S + (SPHINX_WINDOW_S - SPHINX_HOP_S) / 2
    return times_s.clip(0, duration_s)


def sixteen_bit(samples: np.ndarray) -> bytes:
    """Samples as pocketsphinx reads them, with one bit of noise, the same for every recording.

    Digital silence has no cepstrum, and would be decoded as anything.
    """
    noise = np.random.default_rng(DITHER_SEED).integers(-1, 2, len(samples))
    return (np.clip(samples, -1, 1) * (np.iinfo(np.int16).max - 1) + noise).round().astype("<i2").tobytes()


def _segments(tier: str, samples: np.ndarray) -> list[tuple[str, int, int]]:
    """Label, first frame and last frame of each stretch."""
    with _lock:  # the decoder holds a state
        decoder = _decoder(tier)
        decoder.reinit_feat()  # otherwise the recording before has a say
        decoder.start_utt()
        decoder.process_raw(sixteen_bit(samples), full_utt=True)
        decoder.end_utt()
        return [(part.word, part.start_frame, part.end_frame) for part in decoder.seg() or ()]


@cache
def _decoder(tier: str) -> Any:
    from pocketsphinx import Decoder, get_model_path

    search = {"allphone" if tier == "phones" else "lm": get_model_path(f"en-us/{LANGUAGE[tier]}")}
    return Decoder(**search, **SEARCH[tier], loglevel="FATAL")


class CTC:
    """A CTC model of phones or characters on a stack of convolutions, with its feature extractor and vocabulary.

    A CTC model says in which order tokens come, and roughly when: it emits each in a few frames and a blank between
    them, in the middle of speech. A token therefore reaches halfway to its neighbours, at most `REACH_S` beyond the
    frames that emit it.
    """

    def __init__(self, model: Any, extractor: Any, tokenizer: Any, name: str) -> None:
        try:
            self.clock = FrameClock.from_convolutions(model.config.conv_kernel, model.config.conv_stride)
        except AttributeError as error:
            raise InputError(f"{name}: {model.config.model_type!r} is no encoder on convolutions: {error}") from error
        self.model, self.extractor, self.name = model.eval(), extractor, name
        # The tokenizer adds special tokens behind the last one that the model knows.
        known = {token: i for token, i in tokenizer.get_vocab().items() if i < model.config.vocab_size}
        self.delimiter = tokenizer.word_delimiter_token if tokenizer.word_delimiter_token in known else None
        silent = set(tokenizer.all_special_tokens) - {self.delimiter}
        self.vocabulary = {i: token for token, i in known.items() if token not in silent}

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike) -> "CTC":
        """Load a pretrained model, by its name on the Hugging Face Hub or from a folder.

        An InputError says that there is none, or that weights are missing, as where it was never trained for CTC.
        """
        from transformers import AutoFeatureExtractor, AutoModelForCTC, Wav2Vec2CTCTokenizer

        try:
            model, report = AutoModelForCTC.from_pretrained(name, output_loading_info=True)
            extractor = AutoFeatureExtractor.from_pretrained(name)
            # Also for models of phones, whose own tokenizer asks for a phonemizer that only text needs.
            tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"CTC model {str(name)!r} cannot be loaded: {error}") from error
        missing = sorted(key for key in report["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise InputError(f"CTC model {str(name)!r} lacks {len(missing)} weights: {', '.join(missing[:5])}")
        return cls(model, extractor, tokenizer, Path(name).name if Path(name).is_dir() else str(name))

    def emissions(self, samples: np.ndarray) -> Tier:
        """The tier ``emissions``: the most likely token of each frame, runs of one token joined.

        `BLANK` stands for whatever is no token of the vocabulary, `DELIMITER` for the word delimiter. The release of
        arXiv 2606.10912 masks by these.
        """
        ids, bounds_s, duration_s = self._runs(samples)
        names = self.vocabulary | {i: DELIMITER for i, token in self.vocabulary.items() if token == self.delimiter}
        labels = [names.get(i, BLANK) for i in ids]
        return self._tier("emissions", *bounds_s.clip(0, duration_s).T, labels, duration_s)

    def tokens(self, samples: np.ndarray) -> Tier:
        """The tier ``tokens``: what the model emits for (samples,) at 16 kHz, word delimiters too, blanks not."""
        ids, bounds_s, duration_s = self._runs(samples)
        is_token = np.isin(ids, list(self.vocabulary))
        start_s, end_s = bounds_s[is_token].T  # (token,)
        limit_s = np.concatenate([[0.0], (end_s[:-1] + start_s[1:]) / 2, [duration_s]])  # (token + 1,)
        start_s, end_s = np.maximum(start_s - REACH_S, limit_s[:-1]), np.minimum(end_s + REACH_S, limit_s[1:])
        return self._tier("tokens", start_s, end_s, [self.vocabulary[i] for i in ids[is_token]], duration_s)

    def phones(self, samples: np.ndarray) -> Tier:
        """The tier ``phones``: `tokens` that are phones; tokens without a letter (tones, marks) are left out.

        An InputError refuses a vocabulary with letters of no class, such as that of a model of characters. Lower-case
        characters look like IPA, so a model of these passes.
        """
        phones = {token for token in self.vocabulary.values() if letters(token)}
        unknown = sorted(token for token in phones if known_class(token) is None)
        if unknown:
            raise InputError(
                f"CTC model {self.name!r} has {len(unknown)} tokens that are no phones, such as "
                f"{' '.join(unknown[:8])}; a model of ARPAbet or IPA phones is needed"
            )
        tier = self.tokens(samples)
        chosen = tier.has(phones)
        labels = [label for label in tier.labels if label in phones]
        return self._tier("phones", tier.start_s[chosen], tier.end_s[chosen], labels, tier.duration_s)

    def words(self, samples: np.ndarray) -> Tier:
        """The tier ``words``: `tokens` between word delimiters, joined; a model without them has none (InputError)."""
        if self.delimiter is None:
            raise InputError(f"CTC model {self.name!r} has no word delimiter, so it does not say where words end")
        tier = self.tokens(samples)
        bounds = runs(~tier.has([self.delimiter]))  # (word, 2)
        labels = ["".join(tier.labels[first:stop]) for first, stop in bounds]
        return self._tier("words", tier.start_s[bounds[:, 0]], tier.end_s[bounds[:, 1] - 1], labels, tier.duration_s)

    def _runs(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """(run,) token numbers, (run, 2) start and end in seconds of the frames that emit them, and the duration."""
        ids = self._ids(samples)
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        bounds = np.stack([first, np.append(first, len(ids))[1:]], axis=1)  # (run, 2)
        bounds_s = self.clock.centre_s(1) - self.clock.hop_s / 2 + bounds * self.clock.hop_s
        return ids[first], bounds_s, len(samples) / SAMPLE_RATE_HZ

    def _ids(self, samples: np.ndarray) -> np.ndarray:
        """(frame,) The most likely token of each frame."""
        import torch

        if self.clock.n_frames(len(samples)) == 0:
            return np.zeros(0, dtype=np.int64)
        values = self.extractor(np.asarray(samples), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_values
        with torch.inference_mode():
            return self.model(values.to(self.model.device)).logits[0].argmax(dim=-1).cpu().numpy()  # (frame,)

    def _tier(self, name: str, start_s: np.ndarray, end_s: np.ndarray, labels: list[str], duration_s: float) -> Tier:
        source = {"tool": "transformers", "version": version("transformers"), "model": self.name, "reach_s": REACH_S}
        return Tier(name, start_s, end_s, tuple(labels), duration_s, source)
