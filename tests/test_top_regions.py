import numpy as np
import pytest

from sslig.cues.tiers import Tier
from sslig.cues.top_regions import Region, RegionError, described, frame_classes, top_regions
from sslig.frames import SSL_CLOCK

AS_IT_IS = {"smooth_frames": 1, "gap_frames": 0}


def tier(name, *stretches):
    start_s, end_s, labels = zip(*stretches, strict=True)
    return Tier(name, np.array(start_s), np.array(end_s), labels, end_s[-1], {})


def test_a_spike_is_one_region_that_holds_its_share():
    frames = np.array([0.0, 0, 6, 0, 0, -2, 0, 0])
    assert top_regions(frames, level=0.5, **AS_IT_IS) == [Region(2, 3, 0.75, 1)]
    assert top_regions(frames, level=1.0, **AS_IT_IS) == [Region(2, 3, 0.75, 1), Region(5, 6, 0.25, -1)]


def test_no_more_regions_are_given_than_asked_for():
    frames = np.array([1.0, 0, 0, 3, 0, 0, 2])
    assert [region.start for region in top_regions(frames, n=2, level=1.0, **AS_IT_IS)] == [3, 6]
    assert [region.start for region in top_regions(frames, n=None, level=1.0, **AS_IT_IS)] == [3, 6, 0]


def test_short_gaps_are_bridged_but_not_over_the_other_sign():
    frames = np.array([3.0, 0, 3, 0, 0, 0, 3, -3, 3])
    found = top_regions(frames, level=1.0, smooth_frames=1, gap_frames=2)
    assert sorted((one.start, one.stop, one.sign) for one in found) == [(0, 3, 1), (6, 7, 1), (7, 8, -1), (8, 9, 1)]


def test_what_is_not_part_of_a_region_by_itself_counts_where_it_is_bridged():
    (found,) = top_regions(np.array([0.0, 4, 1, 4, 0, 1]), level=0.8, smooth_frames=1, gap_frames=1)
    assert found == Region(1, 4, 0.9, 1)


def test_a_flat_map_is_one_region():
    assert top_regions(np.full(50, -0.2)) == [Region(0, 50, pytest.approx(1.0), -1)]


def test_smoothing_lets_evidence_of_both_signs_cancel():
    in_turns = np.where(np.arange(30) % 2, 1.0, -1.0)
    frames = np.concatenate([in_turns, np.full(10, 0.8), in_turns])
    (found, *_) = top_regions(frames, smooth_frames=5, level=0.3)
    assert found.sign == 1
    assert 28 <= found.start < found.stop <= 42


@pytest.mark.parametrize("frames", [[1.0, -1.0], [0.0, 1.0, -2.0, 1.0, 0.0], [1e-300, 0, 0], [0, 0, -5.0]])
def test_there_is_a_region_wherever_there_is_evidence(frames):
    assert top_regions(np.array(frames))


def test_without_evidence_there_is_none():
    assert top_regions(np.zeros(20)) == []
    assert described([], SSL_CLOCK, None).empty


def test_shares_of_regions_are_of_frames_that_they_do_not_share(rng):
    frames = rng.standard_normal(400)
    found = top_regions(frames, n=None)
    assert sum(region.share for region in found) <= 1
    assert [region.share for region in found] == sorted((region.share for region in found), reverse=True)
    held = np.zeros(400, dtype=int)
    for region in found:
        held[region.start : region.stop] += 1
        assert region.share == pytest.approx(np.abs(frames[region.start : region.stop]).sum() / np.abs(frames).sum())
    assert held.max() == 1


def test_regions_do_not_depend_on_the_unit_of_evidence_and_turn_with_its_sign(rng):
    frames = rng.standard_normal(300)
    found = top_regions(frames)
    assert [(one.start, one.stop) for one in top_regions(-1e-6 * frames)] == [(one.start, one.stop) for one in found]
    assert [one.sign for one in top_regions(-frames)] == [-one.sign for one in found]


@pytest.mark.parametrize(
    ("frames", "values", "message"),
    [
        (np.zeros((2, 3)), {}, r"shape \(2, 3\)"),
        (np.zeros(0), {}, r"shape \(0,\)"),
        (np.array([0, np.nan]), {}, "1 values that are not finite"),
        (np.ones(3), {"n": 0}, "0 regions"),
        (np.ones(3), {"smooth_frames": 4}, "4 frames smoothed"),
        (np.ones(3), {"level": 0}, "level 0"),
        (np.ones(3), {"gap_frames": -1}, "gaps of -1 frames"),
    ],
)
def test_what_cannot_be_used_is_refused(frames, values, message):
    with pytest.raises(RegionError, match=message):
        top_regions(frames, **values)


def test_a_frame_lasts_a_hop_around_its_centre():
    told = described([Region(2, 5, 0.5, 1)], SSL_CLOCK, None).iloc[0]
    assert (told["rank"], told["share"], told["sign"], told["segment_class"]) == (1, 0.5, 1, "unknown")
    assert told["start_s"] == pytest.approx(SSL_CLOCK.centre_s(3)[2] - 0.01)
    assert told["end_s"] == pytest.approx(SSL_CLOCK.centre_s(5)[4] + 0.01)
    assert told["duration_s"] == pytest.approx(0.06)


def test_a_region_is_of_the_class_of_most_of_its_frames():
    tiers = {
        "speech": tier("speech", (0, 0.1, "leading"), (0.1, 0.5, "speech"), (0.5, 0.7, "trailing")),
        "phones": tier("phones", (0, 0.1, "SIL"), (0.1, 0.3, "AA1"), (0.3, 0.5, "S"), (0.5, 0.7, "+NSN+")),
    }
    regions = [Region(0, 4, 0.1, 1), Region(10, 17, 0.2, 1), Region(14, 18, 0.2, 1), Region(24, 30, 0.1, -1)]
    told = described(regions, SSL_CLOCK, tiers)
    assert told["segment_class"].tolist() == ["leading", "vowel", "fricative", "trailing"]
    assert told["rank"].tolist() == [1, 2, 3, 4]


def test_classes_are_as_fine_as_what_was_decoded():
    speech = tier("speech", (0, 0.1, "leading"), (0.1, 0.3, "speech"))
    heard = tier("phones", (0, 0.15, "AA"), (0.15, 0.2, "??"))
    assert set(frame_classes({"speech": speech}, SSL_CLOCK, 14)) == {"leading", "speech"}
    assert set(frame_classes({"phones": heard}, SSL_CLOCK, 14)) == {"vowel", "unknown"}
    assert set(frame_classes(None, SSL_CLOCK, 14)) == {"unknown"}
