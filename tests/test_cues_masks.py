"""The registry: every line of text names one frames, and each does what its line says."""

import pickle

import pytest
import torch
from safetensors.torch import load_file

from sslig.cues import feature_masks, waveform_masks
from sslig.cues.masks import MASKS, PAPER, PLACES, REGISTRY, SWEEPS, of_study, parse
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK

REQUIRED = {"percent": "10", "fill": "noise", "lo_hz": "600", "hi_hz": "1200", "cutoff_hz": "4000"}
N_FRAMES = 30
N_SAMPLES = SSL_CLOCK.n_samples(N_FRAMES)


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


@pytest.mark.parametrize("name", [name for name in REGISTRY if REGISTRY[name].place])
def test_empty_masks_change_nothing(name, features, waveforms, frames):
    mask, empty = shortest(name), torch.zeros_like(frames)
    if mask.space == "feature":
        assert torch.equal(mask.features(features, empty, torch.zeros(2, 3)), features)
    else:
        assert torch.equal(mask.waveforms(waveforms, empty, SSL_CLOCK, generator()), waveforms)


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("noise", "noise"),
        (" noise( alpha = 0.90 ) ", "noise"),
        ("noise(alpha=0.5)", "noise(alpha=0.5)"),
        ("noise(published=true,alpha=1)", "noise(alpha=1, published=true)"),
        ("band(hi_hz=1200.0, lo_hz=600)", "band(lo_hz=600, hi_hz=1200)"),
        ("time:phone:vowel(fill=silence)", "time:phone:vowel(fill=silence)"),
        ("codec:opus(quality=2)", "codec:opus(quality=2)"),
        ("codec:g722()", "codec:g722"),
    ],
)
def test_one_mask_has_one_text(written, spec):
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
        "published:word_boundaries": feature_masks.published_word_boundaries(tokens == 0, tokens == 1),
        "energy": feature_masks.high_energy(waveforms, SSL_CLOCK, 0.75),
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
    expected = waveform_masks.band_gain(waveforms, 2000, 3000, 0.5)
    masked = parse("band(lo_hz=2000, hi_hz=3000, gain=0.5)").waveforms(waveforms, None, SSL_CLOCK, generator())
    assert torch.equal(masked, expected)
    expected = waveform_masks.replaced(waveforms, frames, SSL_CLOCK, "interpolation", generator())
    spec = "time:energy(fill=interpolation, quantile=0.5)"
    assert torch.equal(parse(spec).waveforms(waveforms, frames, SSL_CLOCK, generator()), expected)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("loudness", "'loudness'; accepted: noise, phonemes"),
        ("codec:vorbis", r"codec:opus, codec:mp3"),
        ("noise(beta=1)", r"alpha \(a number from 0 to 1\), published \(false or true\)"),
        ("onsets(alpha=0.5)", "accepted, each once, as parameter=value: none"),
        ("codec:opus(quality=1.5)", "accepted: a whole number from 1 to 3"),
        ("top_attribution", r"percent \(a number from 0 to 99\) must be given"),
        ("time:onsets(fill=zeros)", "accepted: silence or noise or interpolation"),
        ("band(lo_hz=1200, hi_hz=600)", "lo_hz below hi_hz"),
    ],
)
def test_what_is_not_accepted_is_refused(spec, says):
    with pytest.raises(InputError, match=says):
        parse(spec)


def test_what_cannot_be_applied_is_refused(features, waveforms, frames):
    with pytest.raises(InputError, match="volume works on waveforms and was given features"):
        parse("volume").features(features, frames)
    with pytest.raises(InputError, match="noise works on features and was given waveforms"):
        parse("noise").waveforms(waveforms, frames, SSL_CLOCK, generator())
    with pytest.raises(InputError, match=r"no mask was given; a .* mask of edge_silence"):
        parse("trim_silence").waveforms(waveforms, None, SSL_CLOCK, generator())
    with pytest.raises(InputError, match="no profile"):
        parse("noise").features(features, frames)


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
            ["compressor"],
            ["compressor(ratio=2)", "compressor(ratio=8)"],
            {
                "compressor": ("compressor", "ratio", 4),
                "compressor(ratio=2)": ("compressor", "ratio", 2),
                "compressor(ratio=8)": ("compressor", "ratio", 8),
            },
        ),
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
            "compressor stands in two curves, by ratio and by threshold_db; accepted: one parameter",
        ),
    ],
)
def test_sweeps_that_form_no_family_are_refused(masks, sweeps, says):
    with pytest.raises(InputError, match=says):
        of_study(masks, sweeps)
