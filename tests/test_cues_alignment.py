import numpy as np
import pytest

from sslig import audio
from sslig.cues import alignment
from sslig.cues.alignment import SPELLINGS, align, pronunciation, stretches, words_of
from sslig.cues.phones import class_of
from sslig.errors import InputError


@pytest.mark.parametrize(
    ("word", "language", "phones"),
    [
        ("chiave", "it", "K IY AA V EH"),
        ("cielo", "it", "CH IY EH L AO"),
        ("ciao", "it", "CH AA AO"),
        ("gnocchi", "it", "N Y AO K IY"),
        ("guerra", "es", "G EH R AA"),
        ("niño", "es", "N IY N Y AO"),
        ("chateau", "fr", "SH AA T OW"),
        ("schule", "de", "SH UW L EH"),
        ("нажмите", "ru", "N AA ZH M IY T EH"),
        ("ь", "ru", ""),
    ],
)
def test_letters_become_phones(word, language, phones):
    assert " ".join(pronunciation(word, language)) == phones


def test_every_rule_gives_phones_of_a_class():
    for language in SPELLINGS:
        for spelled in alignment._rules(language).values():
            assert all(class_of(phone) not in {"silence", "noise"} for phone in spelled)


@pytest.mark.parametrize(("word", "language"), [("漢", "it"), ("word", "zh")])
def test_what_has_no_rule_is_refused(word, language):
    with pytest.raises(InputError, match=r"no rules? of"):
        pronunciation(word, language)


def test_words_of_a_transcript():
    assert words_of("Premere 7, per l'ufficio!", "it") == ["premere", "sette", "per", "l", "ufficio"]
    assert words_of("7 - 漢", "xx") == ["漢"]


def spoken(golden, name: str) -> np.ndarray:
    return audio.read(golden / "corpus" / "flac_E_eval" / f"{name}.flac")


def test_words_and_phones_lie_where_they_are_spoken(golden):
    samples = spoken(golden, "E_0000000022")
    words, phones = align(samples, "altri partecipanti alla conferenza", "it")
    assert words.labels == ("altri", "partecipanti", "alla", "conferenza")
    assert " ".join(phones.labels).startswith("AA L T R IY P AA R T EH CH IY P AA N T IY")
    loud = np.flatnonzero(audio.frame_levels_db(samples) > audio.SILENCE_DB) * 0.01
    assert abs(words.start_s[0] - loud[0]) < 0.1
    assert abs(words.end_s[-1] - loud[-1]) < 0.15
    assert set(words.start_s) <= set(phones.start_s)
    later, _ = align(np.concatenate([np.zeros(8000, np.float32), samples]), " ".join(words.labels), "it")
    np.testing.assert_allclose(later.start_s[1:], words.start_s[1:] + 0.5, atol=0.05)


@pytest.mark.parametrize(
    "transcript", ["", "...", "a text of many more words than fit into a recording as short as this is"]
)
def test_what_cannot_be_aligned_is_refused(golden, transcript):
    with pytest.raises(InputError, match=r"no words to align|no path through 0.50 s"):
        align(spoken(golden, "E_0000000022")[4000:12000], transcript, "en")


def test_stretches_end_at_dips(tone):
    """Two bursts in one stretch of speech, with a dip of 20 dB between them."""
    dipped = np.tile(tone[:8000], 2)
    assert set(stretches(dipped).labels) <= {"stretch"}
    assert len(stretches(np.zeros(16_000, np.float32))) == 0


def test_a_dip_cuts_speech(golden):
    samples = spoken(golden, "E_0000000022").copy()
    before = stretches(samples)
    samples[16_000:17_600] *= 0.01
    cut_s = stretches(samples).changes_s()
    assert np.abs(cut_s - 1.05).min() < 0.05
    assert before.duration_s == len(samples) / 16_000
