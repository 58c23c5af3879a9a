from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np
import pytest
from scipy.signal import lfilter

from sslig.cues import phones
from sslig.cues.phones import CLASSES, PhoneError, class_of, pocketsphinx_phones, pocketsphinx_words


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """(samples,) One second: silence, a vowel (pulses through two resonances), hiss like an "s", the vowel, silence."""
    vowel = (np.arange(3_200) % 130 == 0).astype(float)
    for formant_hz in (700, 1200):
        angle = 2 * np.pi * formant_hz / 16_000
        vowel = lfilter([1], [1, -1.97 * np.cos(angle), 0.97], vowel)
    hiss = np.diff(np.random.default_rng(0).standard_normal(3_201))
    quiet, vowel = np.zeros(3_200), 0.3 * vowel / np.abs(vowel).max()
    sound = np.concatenate([quiet, vowel, 0.05 * hiss, vowel, quiet])
    return (sound + 1e-4 * np.random.default_rng(1).standard_normal(16_000)).astype(np.float32)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("AA IY0 ER1 a iː ɑ̃ aɪ ɛʊ əl ɚ ᵻ uə5 ä", "vowel"),
        ("M NG n̩ ɲ ŋ nʲ", "nasal"),
        ("B K kʰ th ph ʔ t[ ɡ t̪", "plosive"),
        ("DH HH S SH f ç ʃ h ħ ɬ sʲ", "fricative"),
        ("CH JH tʃ t͡s ts. dʒʲ tɕh pf tS", "affricate"),
        ("L R W Y ɹ j ɾ ɫ r̩", "approximant"),
        ("SIL sil sp <sil> H#", "silence"),
        ("+NSN+ +SPN+ spn [NOISE] [SPEECH]", "noise"),
    ],
)
def test_classes(names, expected):
    assert {phone: class_of(phone) for phone in names.split()} == dict.fromkeys(names.split(), expected)
    assert expected in CLASSES


@pytest.mark.parametrize("phone", ["", "A", "E", "|", "5", "ʲ", "я", "'"])
def test_what_is_no_phone_is_refused(phone):
    with pytest.raises(PhoneError, match="has no class; accepted: ARPAbet"):
        class_of(phone)


def test_every_phone_of_pocketsphinx_has_a_class():
    folder = resources.files("pocketsphinx") / "model" / "en-us"
    lines = (folder / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()
    found = {phone for line in lines for phone in line.split()[1:]}
    assert len(found) == 39
    assert {class_of(phone) for phone in found} == set(CLASSES) - {"silence", "noise"}


def test_phones_cover_the_recording(speech):
    tier = pocketsphinx_phones(speech)
    assert (tier.name, tier.start_s[0], tier.end_s[-1], tier.duration_s) == ("phones", 0, 1, 1)
    assert len(tier) > 2
    np.testing.assert_array_equal(tier.start_s[1:], tier.end_s[:-1])
    # A window has its centre 12.8125 ms behind its start, and the 10 ms it stands for begin 5 ms before that.
    windows = (tier.start_s[1:] - 0.0078125) / 0.01
    np.testing.assert_allclose(windows, windows.round(), atol=1e-9)
    assert {class_of(label) for label in tier.labels} <= set(CLASSES)
    assert tier.source["tool"] == "pocketsphinx"
    assert tier.source["lw"] == 2.0


def test_digital_silence_is_silence():
    tier = pocketsphinx_phones(np.zeros(16_000))
    assert (tier.labels, tier.start_s, tier.end_s) == (("SIL",), 0, 1)
    assert len(pocketsphinx_words(np.zeros(16_000))) == 0


@pytest.mark.parametrize("decode", [pocketsphinx_phones, pocketsphinx_words])
@pytest.mark.parametrize("length", [0, 1, 399, 410, 800])
def test_short_recordings_have_no_or_few_phones(decode, length):
    tier = decode(0.1 * np.random.default_rng(0).standard_normal(length))
    assert tier.duration_s == length / 16_000
    assert len(tier) <= 1


def test_decoding_does_not_depend_on_company(speech):
    """Neither on what was decoded before, nor on other threads."""
    parts = [speech, speech[::-1], 0.1 * speech, speech[4_000:]]
    alone = [phones._Pocketsphinx("phones").tier(part).labels for part in parts]
    with ThreadPoolExecutor(4) as pool:
        assert [tier.labels for tier in pool.map(pocketsphinx_phones, parts[::-1])] == alone[::-1]


def test_decoding_is_quiet(speech, capfd):
    phones._Pocketsphinx("phones").tier(speech)
    phones._Pocketsphinx("words").tier(speech)
    assert capfd.readouterr() == ("", "")


def test_words_lose_what_is_between_them_and_their_variants(monkeypatch):
    words = phones._Pocketsphinx("words")
    found = [("<s>", 0, 9), ("the(2)", 10, 29), ("<sil>", 30, 39), ("[SPEECH]", 40, 49), ("end", 50, 98)]
    monkeypatch.setattr(words, "segments", lambda samples: found)
    tier = words.tier(np.zeros(16_000))
    assert (tier.name, tier.labels) == ("words", ("the", "end"))
    np.testing.assert_allclose(tier.start_s, [0.1078125, 0.5078125])
    np.testing.assert_allclose(tier.end_s, [0.3078125, 1.0])
