import numpy as np
import pytest
import torch

from sslig.cues.masks import PLACES, parse
from sslig.cues.phones import BLANK, CLASSES, DELIMITER
from sslig.cues.places import Places, frame_mask
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK

NAME = "E_1"
SOURCE = {"tool": "hand"}
DURATION_S, N_FRAMES = 0.65, 32
"""Centres of frames lie at 12.5, 32.5 ... 632.5 ms."""
IN_TIERS = [name for name, place in PLACES.items() if place.tier]


@pytest.fixture
def waveform(rng):
    """(1, samples) of 20 frames, louder from frame to frame."""
    n_samples = SSL_CLOCK.n_samples(20)
    return torch.from_numpy((np.linspace(0, 1, n_samples) * rng.standard_normal(n_samples)).astype(np.float32))[None]


@pytest.fixture
def places():
    """Frames 0 to 4 are leading silence, 10 and 11 a pause, and the last two trailing silence."""
    bounds = np.array([0.0, 0.11, 0.21, 0.25, 0.37, 0.41])
    labels = ("leading", "speech", "pause", "speech", "trailing")
    tier = Tier("speech", bounds[:-1], bounds[1:], labels, 0.41, {"tool": "given"})
    return Places({NAME: {"speech": tier}}, {NAME: np.arange(20, dtype=np.float32)})


def frames(places, spec, waveform, n_read=20, utterance=NAME):
    mask = places.mask(parse(spec), utterance, waveform, SSL_CLOCK, n_read)
    return None if mask is None else mask[0].nonzero()[:, 0].tolist()


def test_frames_without_speech_are_those_of_the_tier(places, waveform):
    assert frames(places, "noise", waveform) == [0, 1, 2, 3, 4, 10, 11, 18, 19]
    assert frames(places, "pauses", waveform) == [10, 11]


def test_silence_is_trimmed_at_the_ends_only(places, waveform):
    assert frames(places, "trim_silence", waveform) == [0, 1, 2, 3, 4, 18, 19]


def test_energy_is_above_its_quantile(places, waveform):
    loud = frames(places, "phonemes(quantile=0.75)", waveform)
    assert len(loud) == 5
    assert min(loud) >= 10
    assert set(frames(places, "phonemes(quantile=0.9)", waveform)) < set(loud)


def test_attribution_is_ranked_among_the_frames_that_are_read(places, waveform):
    assert frames(places, "top_attribution(percent=20)", waveform) == [16, 17, 18, 19]
    assert frames(places, "bottom_attribution(percent=20)", waveform) == [0, 1, 2, 3]
    assert frames(places, "top_attribution(percent=20)", waveform, n_read=10) == [8, 9]


def test_without_a_place_all_frames_are_masked(places, waveform):
    assert frames(places, "volume", waveform) == list(range(20))


def test_what_is_not_known_of_an_utterance_is_none(places, waveform):
    assert frames(places, "noise", waveform, utterance="E_2") is None
    assert frames(places, "top_attribution(percent=20)", waveform, utterance="E_2") is None


def test_an_attribution_of_another_length_is_refused(places, waveform):
    with pytest.raises(InputError, match="E_1: an attribution of 20 frames for 10 frames"):
        frames(places, "top_attribution(percent=20)", waveform[:, : SSL_CLOCK.n_samples(10)])


def test_released_places_go_by_ctc_tokens_and_wrap_around(places, waveform):
    """The blank fires inside speech, and a frame at one end is the neighbour of the one at the other."""
    edges_s = SSL_CLOCK.centre_s(21) - SSL_CLOCK.hop_s / 2
    labels = ("A", BLANK, "B", DELIMITER, "C")
    first = np.array([0, 5, 7, 12, 13])
    tier = Tier("emissions", edges_s[first], edges_s[[5, 7, 12, 13, 20]], labels, 0.5, {"tool": "given"})
    emitted = Places({NAME: {"emissions": tier}})
    assert frames(emitted, "noise(published=true)", waveform) == [5, 6]
    assert frames(emitted, "word_boundaries(published=true)", waveform) == [4, 7, 12]
    with pytest.raises(InputError, match="E_1 has none; add ctc:emissions:<model> to"):
        frames(places, "noise(published=true)", waveform)


@pytest.fixture
def tiers() -> dict[str, Tier]:
    """Silence to 0.1 s, "ma" to 0.3 s, a pause to 0.4 s, "to" to 0.6 s, silence."""
    cuts = {
        "speech": ([0, 0.1, 0.3, 0.4, 0.6, 0.65], ("leading", "speech", "pause", "speech", "trailing")),
        "voicing": ([0, 0.1, 0.3, 0.46, 0.6, 0.65], ("unvoiced", "voiced", "unvoiced", "voiced", "unvoiced")),
        "phones": ([0, 0.1, 0.2, 0.3, 0.4, 0.46, 0.6, 0.65], ("SIL", "M", "AA1", "SIL", "T", "UW", "+NSN+")),
    }
    made = {name: Tier(name, at[:-1], at[1:], labels, DURATION_S, SOURCE) for name, (at, labels) in cuts.items()}
    return made | {"words": Tier("words", [0.1, 0.4], [0.3, 0.6], ("ma", "to"), DURATION_S, SOURCE)}


@pytest.mark.parametrize(
    ("name", "first_and_last"),
    [
        ("non_speech", [(0, 4), (15, 19), (30, 31)]),
        ("pauses", [(15, 19)]),
        ("phone:vowel", [(10, 14), (23, 29)]),
        ("phone:nasal", [(5, 9)]),
        ("phone:plosive", [(20, 22)]),
        ("phone:fricative", []),
        ("phone:silence", [(0, 4), (15, 19)]),
        ("phone:noise", [(30, 31)]),
        ("word_boundaries", [(4, 5), (14, 15), (19, 20), (29, 30)]),
        ("speech_edges", [(4, 5), (14, 15), (19, 20), (29, 30)]),
        ("onsets", [(4, 5), (14, 15), (22, 23), (29, 30)]),
    ],
)
def test_masks_of_tiers(tiers, name, first_and_last):
    """Frame t has its centre at 12.5 + 20 t ms, so that the first frame of speech from 100 ms on is frame 5."""
    expected = [frame for first, last in first_and_last for frame in range(first, last + 1)]
    assert np.flatnonzero(frame_mask(name, tiers, SSL_CLOCK, N_FRAMES)).tolist() == expected


@pytest.mark.parametrize("n_frames", [0, 1, 32])
@pytest.mark.parametrize("name", IN_TIERS)
def test_places_in_nothing_are_empty(name, n_frames):
    tiers = {tier: Tier(tier, [], [], (), DURATION_S, SOURCE) for tier in ("speech", "phones", "words", "voicing")}
    mask = frame_mask(name, tiers, SSL_CLOCK, n_frames)
    assert (mask.dtype, mask.tolist()) == (bool, [False] * n_frames)


def test_places_that_no_tier_gives_say_why(tiers):
    assert {name for name in PLACES if name.startswith("phone:")} == {f"phone:{name}" for name in CLASSES}
    with pytest.raises(InputError, match=r"unknown place 'vowels' of a tier; accepted: non_speech, .*phone:vowel"):
        frame_mask("vowels", tiers, SSL_CLOCK, N_FRAMES)
    with pytest.raises(InputError, match="place 'pauses' is in the tier 'speech'; there are words"):
        frame_mask("pauses", {"words": tiers["words"]}, SSL_CLOCK, N_FRAMES)
    with pytest.raises(InputError, match="'EE' has no class"):
        frame_mask("phone:vowel", {"phones": Tier("phones", [0], [0.5], ("EE",), 0.5, SOURCE)}, SSL_CLOCK, 5)
