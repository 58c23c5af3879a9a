import numpy as np
import pytest

from sslig.attribution.explanation import Explanation
from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.widgets import opened
from sslig.widgets.opened import Opened

ABOUT = {"key": "spoof", "attack": "A07", "codec": "C02", "speaker": "S9", "group": "middle wrong"}


@pytest.fixture
def one(tone):
    """A second in which one frame speaks for spoof, with three of four logits, and one for bona fide."""
    waveform = tone[: SSL_CLOCK.n_samples(49)]
    frames = np.zeros(49)
    frames[10], frames[40] = 3.0, -1.0
    made = Explanation(np.stack([frames, 0 * frames]), 2.5, 0.25, -0.25, 32, "jump", "frozen", 0.5)
    speech = Tier("speech", [0.1], [0.6], ("speech",), 1.0, {})
    voicing = Tier("voicing", [0.1], [0.6], ("voiced",), 1.0, {})
    return Opened(
        "E_1", ABOUT, waveform, SSL_CLOCK, {"sls": made}, {"sls": -0.5}, {"voicing": voicing, "speech": speech}
    )


def test_scores_come_with_how_far_they_add_up(one):
    (row,) = one.scores().to_dict("records")
    assert (row["spoof_score"], row["spoof_llr"], row["baseline_score"]) == (2.5, -0.5, 0.25)
    assert row["relative_residual"] == pytest.approx(0.25 / 2.25)
    assert (row["status"], row["steps"], row["selection"]) == ("jump", 32, "frozen")


def test_the_strongest_region_is_where_the_evidence_is(one):
    first = one.top_segments().iloc[0]
    assert (first["detector"], first["rank"], first["sign"], first["segment_class"]) == ("sls", 1, 1, "speech")
    # Frame 10 is drawn from 0.2025 to 0.2225 s.
    assert first["start_s"] <= 0.2026 < 0.2224 <= first["end_s"]
    assert first["share"] == pytest.approx(0.75)
    assert len(one.top_segments(1)) == 1


def test_it_is_told_in_a_sentence(one):
    assert one.title() == "E_1: spoof by A07, coded with C02, speaker S9, middle wrong"
    assert one.answer().startswith("In E_1, sls finds 75 % of its evidence from 0.")
    assert one.answer().endswith("for spoof (speech).")
    quiet = Explanation(np.zeros((2, 49)), 0.0, 0.0, 0.0, 16, "complete", "free", 0.0)
    own = Opened("voice.wav", {}, one.waveform, SSL_CLOCK, {"sls": quiet}, {"sls": 0.0})
    assert own.title() == "voice.wav: a file of your own"
    assert own.answer() == "In voice.wav, no detector finds evidence."


def test_what_is_drawn_has_its_tiers_in_their_order(one):
    recording = one.recording()
    assert list(recording.tiers) == ["speech"]  # voicing decides places of masks only
    assert [(lane.name, lane.note) for lane in recording.lanes] == [("sls", "score +2.50")]


def test_segments_are_decoded_from_samples_and_progress_is_told(tone):
    told = []
    tiers = opened.decoded(tone, ["vad", "voicing"], lambda what, share: told.append((what, share)))
    assert set(tiers) == {"speech", "voicing"}
    assert told == [("segments by vad", 0.0), ("segments by voicing", 0.5)]


def test_the_same_may_have_other_tiers(one):
    assert one.with_tiers({}).tiers == {}
    assert one.with_tiers({}).waveform is one.waveform
