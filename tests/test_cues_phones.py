import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Model

from sslig.cues import phones
from sslig.cues.phones import BLANK, CLASSES, CTC, DELIMITER, class_of, pocketsphinx
from sslig.errors import InputError

CHARACTERS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "E", "T")
IPA = ("<pad>", "<s>", "</s>", "<unk>", "n", "tʃ", "aɪ", "ʲ", "5")
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "pad_token_id": 0}
TINY |= {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}


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
    with pytest.raises(InputError, match="has no class; accepted: ARPAbet"):
        class_of(phone)


def test_every_phone_of_pocketsphinx_has_a_class():
    folder = resources.files("pocketsphinx") / "model" / "en-us"
    lines = (folder / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()
    used = {phone for line in lines for phone in line.split()[1:]}
    assert len(used) == 39
    assert {class_of(phone) for phone in used} == set(CLASSES) - {"silence", "noise"}


def test_phones_cover_the_recording(speech):
    tier = pocketsphinx("phones", speech)
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
    tier = pocketsphinx("phones", np.zeros(16_000))
    assert (tier.labels, tier.start_s, tier.end_s) == (("SIL",), 0, 1)
    assert len(pocketsphinx("words", np.zeros(16_000))) == 0


@pytest.mark.parametrize("name", ["phones", "words"])
@pytest.mark.parametrize("length", [0, 1, 399, 410, 800])
def test_short_recordings_have_no_or_few_phones(name, length):
    tier = pocketsphinx(name, 0.1 * np.random.default_rng(0).standard_normal(length))
    assert tier.duration_s == length / 16_000
    assert len(tier) <= 1


def test_decoding_does_not_depend_on_company(speech):
    """Neither on what was decoded before, nor on other threads."""
    parts = [speech, speech[::-1], 0.1 * speech, speech[4_000:]]
    alone = [pocketsphinx("phones", part).labels for part in parts]
    with ThreadPoolExecutor(4) as pool:
        assert [tier.labels for tier in pool.map(partial(pocketsphinx, "phones"), parts[::-1])] == alone[::-1]


def test_decoding_is_quiet(speech, capfd):
    phones._decoder.cache_clear()
    pocketsphinx("phones", speech)
    pocketsphinx("words", speech)
    assert capfd.readouterr() == ("", "")


def test_words_lose_what_is_between_them_and_their_variants(monkeypatch):
    segments = [("<s>", 0, 9), ("the(2)", 10, 29), ("<sil>", 30, 39), ("[SPEECH]", 40, 49), ("end", 50, 98)]
    monkeypatch.setattr(phones, "_segments", lambda tier, samples: segments)
    tier = pocketsphinx("words", np.zeros(16_000))
    assert (tier.name, tier.labels) == ("words", ("the", "end"))
    np.testing.assert_allclose(tier.start_s, [0.1078125, 0.5078125])
    np.testing.assert_allclose(tier.end_s, [0.3078125, 1.0])


@pytest.fixture
def saved(tmp_path):
    """Saves a tiny wav2vec 2.0 with random weights and the given vocabulary as a folder."""

    def save(vocabulary: tuple[str, ...], model_class=Wav2Vec2ForCTC, **values):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model_class(Wav2Vec2Config(vocab_size=len(vocabulary), **TINY)).save_pretrained(tmp_path / "tiny")
        about = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", **values}
        (tmp_path / "tiny" / "tokenizer_config.json").write_text(json.dumps(about))
        (tmp_path / "tiny" / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
        Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "tiny")
        return tmp_path / "tiny"

    return save


@pytest.fixture
def says(saved, monkeypatch):
    """A tiny CTC model that emits the given tokens, one a frame, whatever it hears; and the samples for that."""

    def make(vocabulary: tuple[str, ...], *emitted: str) -> tuple[CTC, np.ndarray]:
        ctc = CTC.from_pretrained(saved(vocabulary))
        ids = np.array([vocabulary.index(token) for token in emitted])
        monkeypatch.setattr(ctc, "_ids", lambda samples: ids)
        return ctc, np.zeros(ctc.clock.n_samples(len(ids)), dtype=np.float32)

    return make


def test_tokens_reach_halfway_to_their_neighbours(says):
    """Frames are 20 ms wide from 2.5 ms on; blanks and special tokens are silent, and repeats are one token."""
    ctc, samples = says(IPA, *["n", "n", "<pad>", "<pad>", "tʃ", "<s>", "tʃ", *["<pad>"] * 20, "aɪ"])
    tier = ctc.tokens(samples)
    assert tier.labels == ("n", "tʃ", "tʃ", "aɪ")
    np.testing.assert_allclose(tier.start_s, [0, 0.0625, 0.1125, 0.4425])
    np.testing.assert_allclose(tier.end_s, [0.0625, 0.1125, 0.2425, len(samples) / 16_000])
    assert tier.source["model"] == "tiny"
    assert tier.source["reach_s"] == 0.1


def test_phones_are_tokens_with_a_letter(says):
    ctc, samples = says(IPA, "n", "ʲ", "<pad>", "aɪ", "5")
    tier = ctc.phones(samples)
    assert (tier.name, tier.labels) == ("phones", ("n", "aɪ"))


def test_words_stand_between_delimiters(says):
    ctc, samples = says(CHARACTERS, "|", "T", "<pad>", "E", "A", "|", "|", "<pad>", "|", "A", "T")
    tokens, words = ctc.tokens(samples), ctc.words(samples)
    assert tokens.labels == ("|", "T", "E", "A", "|", "|", "A", "T")
    assert (words.name, words.labels) == ("words", ("TEA", "AT"))
    np.testing.assert_array_equal(words.start_s, tokens.start_s[[1, 6]])
    np.testing.assert_array_equal(words.end_s, tokens.end_s[[3, 7]])


def test_models_of_characters_have_no_phones_and_models_of_phones_no_words(says):
    ctc, samples = says(CHARACTERS, "A")
    with pytest.raises(InputError, match=r"'tiny' has 2 tokens that are no phones, such as A E;"):
        ctc.phones(samples)
    ctc, samples = says(IPA, "n")
    with pytest.raises(InputError, match="'tiny' has no word delimiter"):
        ctc.words(samples)


def test_emissions_are_the_tokens_of_frames_as_they_are(says):
    ctc, samples = says(CHARACTERS, "|", "T", "T", "<pad>", "<s>", "E", "|")
    tier = ctc.emissions(samples)
    assert (tier.name, tier.labels) == ("emissions", (DELIMITER, "T", BLANK, BLANK, "E", DELIMITER))
    np.testing.assert_array_equal(tier.mask(ctc.clock, 7, {BLANK}), [0, 0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(tier.mask(ctc.clock, 7, {"T"}), [0, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("emitted", [(), ("<pad>", "<pad>")])
def test_silent_models_give_empty_tiers(says, emitted):
    ctc, samples = says(CHARACTERS, *emitted)
    assert len(ctc.tokens(samples)) == len(ctc.words(samples)) == 0


def test_a_saved_model_decodes(saved, speech):
    """Of random weights nothing sensible comes, but always the same; a model of phones asks for no phonemizer."""
    folder = saved(IPA, tokenizer_class="Wav2Vec2PhonemeCTCTokenizer", phonemizer_backend="espeak")
    ctc = CTC.from_pretrained(folder)
    assert ctc.vocabulary == {4: "n", 5: "tʃ", 6: "aɪ", 7: "ʲ", 8: "5"}
    assert (ctc.delimiter, ctc.clock.hop_samples) == (None, 320)
    again = CTC.from_pretrained(str(folder)).tokens(speech)
    assert ctc.tokens(speech).labels == again.labels
    assert len(ctc.tokens(speech[:399])) == 0


def test_the_most_likely_token_of_each_frame_counts(saved, speech):
    ctc = CTC.from_pretrained(saved(CHARACTERS))
    with torch.no_grad():
        ctc.model.lm_head.bias[CHARACTERS.index("T")] = 1e3
    tier = ctc.tokens(speech)
    assert tier.labels == ("T",)
    assert (tier.start_s, tier.end_s) == (0, 1)


def test_models_that_cannot_be_used_are_named(saved, tmp_path):
    with pytest.raises(InputError, match=r"CTC model .*none' cannot be loaded"):
        CTC.from_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match=r"lacks 2 weights: lm_head\.bias, lm_head\.weight"):
        CTC.from_pretrained(saved(CHARACTERS, Wav2Vec2Model))
