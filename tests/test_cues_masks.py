"""The registry: every line of text names one mask, and each does what its line says, where it says."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sslig.cues import edits
from sslig.cues.masks import MASKS, PAPER, PLACES, REGISTRY, SWEEPS, Places, frame_mask, of_study, parse
from sslig.cues.phones import BLANK, CLASSES, DELIMITER
from sslig.cues.tiers import Tier
from sslig.data import fills
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK

REQUIRED = {"percent": "10", "fill": "noise", "lo_hz": "600", "hi_hz": "1200", "cutoff_hz": "4000"}
N_FRAMES = 30
N_SAMPLES = SSL_CLOCK.n_samples(N_FRAMES)

NAME = "E_1"
SOURCE = {"tool": "hand"}
DURATION_S, DECODED_FRAMES = 0.65, 32
"""Centres of frames lie at 12.5, 32.5 ... 632.5 ms."""
IN_TIERS = [name for name, place in PLACES.items() if place.tier]


def shortest(name):
    """The entry of that name with the parameters that must be given."""
    needed = [f"{key}={REQUIRED[key]}" for key, value in REGISTRY[name].parameters.items() if value.default is None]
    return parse(f"{name}({','.join(needed)})")


def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features():
    return torch.randn(1, 2, N_FRAMES, 3, generator=generator())


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(1, N_SAMPLES, generator=generator())


@pytest.fixture
def frames():
    frames = torch.zeros(1, N_FRAMES, dtype=torch.bool)
    frames[:, [0, 1, 12, 13]] = True
    return frames


def test_the_registry_holds_what_the_book_names():
    assert set(PAPER) <= set(REGISTRY)
    assert {f"time:{place}" for place in PLACES} <= set(REGISTRY)
    assert {f"codec:{name}" for name in ("opus", "mp3", "aac", "g722")} <= set(REGISTRY)
    assert {definition.place for definition in REGISTRY.values()} == {None, "edge_silence", *PLACES}
    assert {"onsets", "top_attribution", "bottom_attribution", "band", "lowpass", "trim_silence"} <= set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_canonical_text_is_read_back(name):
    mask = shortest(name)
    assert parse(mask.spec) == mask
    assert hash(parse(mask.spec)) == hash(mask)
    assert pickle.loads(pickle.dumps(mask)) == mask
    assert mask.control in {"shift", "band", "cut", None}
    assert (mask.place is None) == (mask.control in {"band", None})
    assert mask.description.endswith(".")
    assert "{" not in mask.description


@pytest.mark.parametrize("name", REGISTRY)
def test_every_mask_changes_something_and_nothing_it_was_given(name, features, waveforms, frames):
    mask = shortest(name)
    original = (features if mask.space == "feature" else waveforms).clone()
    if mask.space == "feature":
        result = mask.features(features, frames, torch.zeros(2, 3))
        assert torch.equal(result[:, :, ~frames[0]], original[:, :, ~frames[0]])
    else:
        result = mask.waveforms(waveforms, frames if mask.place else None, SSL_CLOCK, generator())
    assert result.shape != original.shape or not torch.equal(result, original)
    assert torch.equal(features if mask.space == "feature" else waveforms, original)


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("noise(published=true,alpha=1)", "noise(alpha=1, published=true)"),
        ("band(hi_hz=1200.0, lo_hz=600)", "band(lo_hz=600, hi_hz=1200)"),
        ("time:phone:vowel(fill=silence)", "time:phone:vowel(fill=silence)"),
        ("codec:g722()", "codec:g722"),
    ],
)
def test_each_mask_has_a_single_text(written, spec):
    assert parse(written).spec == spec


def test_defaults_are_the_published_values():
    assert {name: dict(parse(name).parameters) for name in PAPER} == {
        "noise": {"alpha": 0.9, "published": False},
        "phonemes": {"quantile": 0.75},
        "word_boundaries": {"published": False},
        "spectral": {"lo_hz": 600, "hi_hz": 1200, "gain": 0.1},
        "volume": {"gain": 0.1},
        "compressor": {"threshold_db": -20, "ratio": 4, "makeup_db": 10, "attack_ms": 0, "release_ms": 0},
    }


def test_a_published_place_is_another_place():
    assert parse("noise").place == "non_speech"
    assert parse("noise(published=true)").place == "published:non_speech"
    assert parse("word_boundaries(published=true)").place == "published:word_boundaries"
    assert parse("word_boundaries(published=true)").description.endswith("as the released code finds them.")


def test_the_papers_masks_give_the_published_results(reference):
    released = load_file(reference / "interventions.safetensors")
    tokens, waveforms = released["tokens"], released["waveform"]
    places = {
        "published:non_speech": tokens == 0,
        "published:word_boundaries": edits.published_word_boundaries(tokens == 0, tokens == 1),
        "energy": edits.high_energy(waveforms, SSL_CLOCK, 0.75),
    }
    results = {
        "noise(published=true)": "noise_alpha0.9",
        "phonemes": "phonemes_q0.75",
        "word_boundaries(published=true)": "word_boundaries",
        "spectral": "spectral_600_1200_0.1",
        "volume": "volume_0.1",
        "compressor": "compressor_-20dB_4_makeup10dB",
    }
    for spec, result in results.items():
        mask = parse(spec)
        if mask.space == "feature":
            masked = mask.features(released["features"], places[mask.place], released["silence_profile"])
        else:
            masked = mask.waveforms(waveforms, None, SSL_CLOCK, generator())
        torch.testing.assert_close(masked, released[result], atol=1e-5, rtol=0)


def test_parameters_reach_the_function(waveforms, frames):
    expected = edits.band_gain(waveforms, 2000, 3000, 0.5)
    masked = parse("band(lo_hz=2000, hi_hz=3000, gain=0.5)").waveforms(waveforms, None, SSL_CLOCK, generator())
    assert torch.equal(masked, expected)
    expected = fills.replaced(waveforms, frames, SSL_CLOCK, "interpolation", generator())
    spec = "time:energy(fill=interpolation, quantile=0.5)"
    assert torch.equal(parse(spec).waveforms(waveforms, frames, SSL_CLOCK, generator()), expected)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("loudness", "'loudness'; accepted: noise, phonemes"),
        ("time:onsets(fill=zeros)", "accepted: silence or noise or interpolation"),
        ("band(lo_hz=1200, hi_hz=600)", "lo_hz below hi_hz"),
    ],
)
def test_what_is_not_accepted_is_refused(spec, says):
    with pytest.raises(InputError, match=says):
        parse(spec)


def test_a_study_without_masks_has_those_of_the_paper_first():
    assert tuple(MASKS[: len(PAPER)]) == PAPER
    rows = of_study(None, None)
    assert len(rows) == len(MASKS) + len(SWEEPS)
    assert [row["mask"] for row in rows.values() if row["chosen"]] == [parse(spec).spec for spec in MASKS]
    assert [row["mask"] for row in rows.values() if row["paper"]] == list(PAPER)
    assert of_study([], []) == {}


def family(masks, sweeps):
    """Mask -> family, parameter and value of the masks that are in a family."""
    rows = of_study(masks, sweeps).values()
    return {row["mask"]: (row["family"], row["parameter"], row["value"]) for row in rows if row["family"]}


@pytest.mark.parametrize(
    ("masks", "sweeps", "expected"),
    [
        (
            ["band(lo_hz=0, hi_hz=300)", "band(lo_hz=0, hi_hz=600)"],
            ["band(lo_hz=0, hi_hz=300, gain=0)"],
            {
                "band(lo_hz=0, hi_hz=300)": ("band(lo_hz=0, hi_hz=300)", "gain", 0.1),
                "band(lo_hz=0, hi_hz=300, gain=0)": ("band(lo_hz=0, hi_hz=300)", "gain", 0),
            },
        ),
        (
            ["noise", "noise(published=true)"],
            ["noise(alpha=0.5)", "noise(alpha=0.5, published=true)"],
            {
                "noise": ("noise", "alpha", 0.9),
                "noise(published=true)": ("noise(published=true)", "alpha", 0.9),
                "noise(alpha=0.5)": ("noise", "alpha", 0.5),
                "noise(alpha=0.5, published=true)": ("noise(published=true)", "alpha", 0.5),
            },
        ),
        (["noise", "volume"], [], {}),
    ],
)
def test_a_family_differs_in_one_number(masks, sweeps, expected):
    assert family(masks, sweeps) == expected


@pytest.mark.parametrize(
    ("masks", "sweeps", "says"),
    [
        (["noise"], ["noise(published=true)"], r"noise\(published=true\) differs from no other .* equal but for alpha"),
        ([], ["codec:g722"], "masking.sweeps: codec:g722 .* it has none"),
        (
            ["compressor"],
            ["compressor(ratio=2)", "compressor(threshold_db=-30)"],
            "compressor stands in two curves, by threshold_db and by ratio; accepted: one parameter",
        ),
    ],
)
def test_sweeps_that_form_no_family_are_refused(masks, sweeps, says):
    with pytest.raises(InputError, match=says):
        of_study(masks, sweeps)


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


def acted_on(places, spec, waveform, n_read=20, utterance=NAME):
    mask = places.mask(parse(spec), utterance, waveform, SSL_CLOCK, n_read)
    return None if mask is None else mask[0].nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("spec", "n_read", "expected"),
    [
        ("noise", 20, [0, 1, 2, 3, 4, 10, 11, 18, 19]),
        ("pauses", 20, [10, 11]),
        ("trim_silence", 20, [0, 1, 2, 3, 4, 18, 19]),
        ("top_attribution(percent=20)", 20, [16, 17, 18, 19]),
        ("bottom_attribution(percent=20)", 20, [0, 1, 2, 3]),
        ("top_attribution(percent=20)", 10, [8, 9]),
        ("volume", 20, list(range(20))),
    ],
)
def test_masks_act_in_tiers_by_attribution_among_the_frames_read_or_everywhere(
    places, waveform, spec, n_read, expected
):
    assert acted_on(places, spec, waveform, n_read) == expected


def test_energy_is_above_its_quantile(places, waveform):
    loud = acted_on(places, "phonemes(quantile=0.75)", waveform)
    assert len(loud) == 5
    assert min(loud) >= 10
    assert set(acted_on(places, "phonemes(quantile=0.9)", waveform)) < set(loud)


def test_what_is_not_known_of_an_utterance_is_none(places, waveform):
    assert acted_on(places, "noise", waveform, utterance="E_2") is None
    assert acted_on(places, "top_attribution(percent=20)", waveform, utterance="E_2") is None


def test_an_attribution_of_another_length_is_refused(places, waveform):
    with pytest.raises(InputError, match="E_1: an attribution of 20 frames for 10 frames"):
        acted_on(places, "top_attribution(percent=20)", waveform[:, : SSL_CLOCK.n_samples(10)])


def test_released_places_go_by_ctc_tokens_and_wrap_around(places, waveform):
    """The blank fires inside speech, and a frame at one end is the neighbour of the one at the other."""
    edges_s = SSL_CLOCK.centre_s(21) - SSL_CLOCK.hop_s / 2
    labels = ("A", BLANK, "B", DELIMITER, "C")
    first = np.array([0, 5, 7, 12, 13])
    tier = Tier("emissions", edges_s[first], edges_s[[5, 7, 12, 13, 20]], labels, 0.5, {"tool": "given"})
    emitted = Places({NAME: {"emissions": tier}})
    assert acted_on(emitted, "noise(published=true)", waveform) == [5, 6]
    assert acted_on(emitted, "word_boundaries(published=true)", waveform) == [4, 7, 12]
    with pytest.raises(InputError, match="E_1 has none; add ctc:emissions:<model> to"):
        acted_on(places, "noise(published=true)", waveform)


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
    assert np.flatnonzero(frame_mask(name, tiers, SSL_CLOCK, DECODED_FRAMES)).tolist() == expected


@pytest.mark.parametrize("n_frames", [0, 1, 32])
@pytest.mark.parametrize("name", IN_TIERS)
def test_places_in_nothing_are_empty(name, n_frames):
    tiers = {tier: Tier(tier, [], [], (), DURATION_S, SOURCE) for tier in ("speech", "phones", "words", "voicing")}
    mask = frame_mask(name, tiers, SSL_CLOCK, n_frames)
    assert (mask.dtype, mask.tolist()) == (bool, [False] * n_frames)


def test_places_that_no_tier_gives_say_why(tiers):
    assert {name for name in PLACES if name.startswith("phone:")} == {f"phone:{name}" for name in CLASSES}
    with pytest.raises(InputError, match=r"unknown place 'vowels' of a tier; accepted: non_speech, .*phone:vowel"):
        frame_mask("vowels", tiers, SSL_CLOCK, DECODED_FRAMES)
    with pytest.raises(InputError, match="place 'pauses' is in the tier 'speech'; there are words"):
        frame_mask("pauses", {"words": tiers["words"]}, SSL_CLOCK, DECODED_FRAMES)
    with pytest.raises(InputError, match="'EE' has no class"):
        frame_mask("phone:vowel", {"phones": Tier("phones", [0], [0.5], ("EE",), 0.5, SOURCE)}, SSL_CLOCK, 5)
