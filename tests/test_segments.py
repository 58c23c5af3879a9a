import json

import numpy as np
import pandas as pd
import pytest

from sslig import audio, files
from sslig.cues import segments
from sslig.cues.phones import CLASSES, PhoneError
from sslig.cues.segments import COLUMNS, MASKS, SOURCES, SegmentError, decode, frame_mask, source_of, tiers_of
from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK

SOURCE = {"tool": "hand"}
DURATION_S, N_FRAMES = 0.65, 32
"""Centres of frames lie at 12.5, 32.5 ... 632.5 ms."""


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


@pytest.fixture
def recordings(tmp_path, tone) -> pd.DataFrame:
    """Two tones, between them a file that is none, and a recording shorter than a frame."""
    audio.write_flac(tmp_path / "one.flac", tone)
    (tmp_path / "broken.flac").write_bytes(b"no sound")
    audio.write_flac(tmp_path / "short.flac", tone[:200])
    audio.write_flac(tmp_path / "two.flac", tone[:8_000])
    names = ["one", "broken", "short", "two"]
    return pd.DataFrame({"utterance": names, "path": [str(tmp_path / f"{name}.flac") for name in names]})


@pytest.mark.parametrize(
    ("name", "first_and_last"),
    [
        ("non_speech", [(0, 4), (15, 19), (30, 31)]),
        ("leading_silence", [(0, 4)]),
        ("pauses", [(15, 19)]),
        ("trailing_silence", [(30, 31)]),
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
    assert np.flatnonzero(frame_mask(name, tiers, SSL_CLOCK, N_FRAMES, width_ms=30)).tolist() == expected


def test_the_width_of_edges(tiers):
    """Centres are 7.5 and 12.5 ms from each change, 27.5 and 32.5 ms the next: 40 ms take the nearest two."""
    shares = [
        frame_mask("speech_edges", tiers, SSL_CLOCK, N_FRAMES, width_ms=width).sum() for width in (10, 20, 40, 60)
    ]
    assert shares == [0, 4, 8, 12]
    np.testing.assert_array_equal(
        frame_mask("onsets", tiers, SSL_CLOCK, N_FRAMES), frame_mask("onsets", tiers, SSL_CLOCK, N_FRAMES, width_ms=40)
    )


def test_there_is_a_mask_for_every_class():
    assert {name for name in MASKS if name.startswith("phone:")} == {f"phone:{name}" for name in CLASSES}


@pytest.mark.parametrize("n_frames", [0, 1, 32])
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_nothing_are_empty(name, n_frames):
    tiers = {tier: Tier(tier, [], [], (), DURATION_S, SOURCE) for tier in ("speech", "phones", "words", "voicing")}
    mask = frame_mask(name, tiers, SSL_CLOCK, n_frames, samples=np.zeros(SSL_CLOCK.n_samples(n_frames)))
    assert (mask.dtype, mask.tolist()) == (bool, [False] * n_frames)


def test_a_recording_that_is_all_silence():
    tiers = {"speech": Tier("speech", [0], [DURATION_S], ("leading",), DURATION_S, SOURCE)}
    shares = {
        name: frame_mask(name, tiers, SSL_CLOCK, N_FRAMES).mean() for name in MASKS if MASKS[name].tier == "speech"
    }
    assert shares == {"non_speech": 1, "leading_silence": 1, "pauses": 0, "trailing_silence": 0, "speech_edges": 0}


def test_energy_is_above_a_quantile(rng):
    """The loudest quarter of the frames; each frame's power is the mean square of the 400 samples it sees."""
    samples = rng.standard_normal(SSL_CLOCK.n_samples(40)).astype(np.float32) * np.repeat([0.1, 1.0], 6_440)
    power = np.array([np.mean(np.square(samples[320 * t : 320 * t + 400], dtype=np.float64)) for t in range(40)])
    for quantile, n_masked in ((0.75, 10), (0.5, 20), (1.0, 0)):
        mask = frame_mask("energy", {}, SSL_CLOCK, 40, samples=samples, quantile=quantile)
        np.testing.assert_array_equal(mask, power > np.quantile(power, quantile))
        assert mask.sum() == n_masked


def test_energy_after_loud_sound_is_exact():
    """Digital silence has no energy at all, whatever was before it: of equal frames none is above the others."""
    samples = np.concatenate([np.full(3_200, 0.9), np.zeros(12_800)])
    mask = frame_mask("energy", {}, SSL_CLOCK, 49, samples=samples, quantile=0.5)
    assert np.flatnonzero(mask).tolist() == list(range(10))


def test_masks_that_cannot_be_made_say_why(tiers):
    with pytest.raises(SegmentError, match=r"unknown mask 'vowels'; accepted: non_speech, .*phone:vowel.*, energy"):
        frame_mask("vowels", tiers, SSL_CLOCK, N_FRAMES)
    with pytest.raises(SegmentError, match="mask 'pauses' is made of the tier 'speech'; there are words"):
        frame_mask("pauses", {"words": tiers["words"]}, SSL_CLOCK, N_FRAMES)
    with pytest.raises(SegmentError, match="'energy' is made of samples"):
        frame_mask("energy", tiers, SSL_CLOCK, N_FRAMES)
    with pytest.raises(SegmentError, match=r"2 frames of 719 samples; .* 720 samples are needed"):
        frame_mask("energy", {}, SSL_CLOCK, 2, samples=np.zeros(719))
    with pytest.raises(SegmentError, match=r"quantile 1\.5"):
        frame_mask("energy", {}, SSL_CLOCK, 1, samples=np.zeros(720), quantile=1.5)
    with pytest.raises(PhoneError, match="'EE' has no class"):
        frame_mask("phone:vowel", {"phones": Tier("phones", [0], [0.5], ("EE",), 0.5, SOURCE)}, SSL_CLOCK, 5)


def test_sources_are_named():
    assert [source_of(name) for name in SOURCES] == list(SOURCES.values())
    for name in ("whisper", "ctc", "ctc:phones", "ctc:phones:", "ctc:tones:some/model"):
        with pytest.raises(SegmentError, match=f"unknown source '{name}'; accepted: vad, .*ctc:<tier>:<model>"):
            source_of(name)


def test_a_ctc_model_is_a_source(monkeypatch):
    """It is loaded when first used; its folder or name on the Hub may hold a colon."""

    class Told:
        def __init__(self, name):
            self.name = name

        def words(self, samples):
            return Tier("words", [0], [1], (self.name,), len(samples), SOURCE)

    monkeypatch.setattr(segments, "_ctc", Told)
    assert source_of("ctc:words:some/model:1")(np.zeros(1)).labels == ("some/model:1",)


def test_recordings_are_decoded_in_order(recordings):
    found = decode(recordings, ["pocketsphinx:words", "voicing"])
    assert tuple(found.table.columns) == COLUMNS
    assert found.table["utterance"].drop_duplicates().tolist() == ["one", "short", "two"]
    assert found.left_out["utterance"].tolist() == ["broken"]
    assert "broken.flac: not a sound file" in found.left_out["reason"][0]
    assert found.sources["voicing"]["tool"] == "praat-parselmouth"
    assert found.sources["words"]["model"] == "en-us, en-us.lm.bin"
    assert json.loads(json.dumps(found.sources)) == found.sources


def test_the_number_of_workers_does_not_decide(recordings):
    one, two = (decode(recordings, ["pocketsphinx:phones", "voicing"], workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.left_out, two.left_out)
    assert one.sources == two.sources


def test_every_source_decodes(recordings):
    found = decode(recordings, list(SOURCES))
    assert set(found.table["tier"]) == set(found.sources) == {"speech", "phones", "words", "voicing"}


def test_tiers_come_back(recordings, tmp_path):
    """Through a file too; a tier without stretches is an empty tier, not a missing one."""
    found = decode(recordings, ["pocketsphinx:words", "voicing"])
    files.write_parquet(tmp_path / "tiers.parquet", found.table)
    back = tiers_of(pd.read_parquet(tmp_path / "tiers.parquet"), "one", found.sources)
    direct = SOURCES["voicing"](audio.read(recordings["path"][0]))
    assert back["voicing"].labels == direct.labels
    np.testing.assert_array_equal(back["voicing"].start_s, direct.start_s)
    np.testing.assert_array_equal(back["voicing"].end_s, direct.end_s)
    assert back["voicing"].source == direct.source
    short = tiers_of(found.table, "short")
    assert {name: len(tier) for name, tier in short.items()} == {"words": 0, "voicing": 1}
    assert {tier.duration_s for tier in short.values()} == {200 / 16_000}
    assert short["words"].source == {}
    with pytest.raises(SegmentError, match="'broken' is not among 3 decoded ones"):
        tiers_of(found.table, "broken")


def test_paths_name_utterances(recordings):
    found = decode(recordings["path"].tolist(), ["voicing"])
    assert found.table["utterance"].unique().tolist() == ["one", "short", "two"]


def test_what_cannot_be_read_is_all_left_out(recordings):
    found = decode(recordings[recordings["utterance"] == "broken"], ["voicing"])
    assert (len(found.table), len(found.left_out), found.sources) == (0, 1, {})
    assert tuple(found.table.columns) == COLUMNS


def test_faulty_requests_are_refused(recordings):
    with pytest.raises(SegmentError, match="unknown source 'praat'"):
        decode(recordings, ["praat"])
    with pytest.raises(SegmentError, match=r"'one' stands twice \(again in row 4\)"):
        decode(pd.concat([recordings, recordings.head(1)], ignore_index=True), ["voicing"])
    with pytest.raises(SegmentError, match="sources voicing, voicing give tiers voicing, voicing"):
        decode(recordings, ["voicing", "voicing"])
