import numpy as np
import pytest

from sslig.cues.tiers import Tier
from sslig.cues.top_regions import Region, described, frame_classes, top_regions
from sslig.frames import SSL_CLOCK


def tier(name, *stretches):
    start_s, end_s, labels = zip(*stretches, strict=True)
    return Tier(name, np.array(start_s), np.array(end_s), labels, end_s[-1], {})


def test_a_spike_is_one_region_that_holds_its_share():
    """Means over three frames: 2, 2, 2 around the 6, and -2/3 around the -2."""
    assert top_regions(np.array([0.0, 0, 6, 0, 0, -2, 0, 0])) == [Region(1, 4, 0.75, 1)]


def test_no_more_regions_are_given_than_asked_for():
    """Means of 1 and 4/3 in frames 0 to 2 and 14 to 16, of 2 in frames 7 to 9; 3 x 2 is less than half of their sum."""
    frames = np.zeros(17)
    frames[[1, 8, 15]] = 3, 6, 4
    assert [region.start for region in top_regions(frames)] == [7, 14]
    assert [region.start for region in top_regions(frames, n=1)] == [7]
    frames[0] = 1e-3
    assert len(top_regions(frames, n=None)) == 2


@pytest.mark.parametrize(("gap", "regions"), [(4, [(1, 8, 1)]), (5, [(1, 9, 1)])])
def test_short_gaps_are_bridged(gap, regions):
    frames = np.zeros(12)
    frames[[2, 2 + gap]] = 3
    assert [(region.start, region.stop, region.sign) for region in top_regions(frames)] == regions


def test_long_gaps_and_the_other_sign_part_regions():
    frames = np.zeros(20)
    frames[[2, 8]] = 3  # three frames between the means
    assert [(region.start, region.stop) for region in top_regions(frames)] == [(1, 4), (7, 10)]
    frames[5] = -3
    assert [(region.start, region.stop, region.sign) for region in sorted_by_time(frames)] == [
        (1, 4, 1),
        (4, 7, -1),
        (7, 10, 1),
    ]


def sorted_by_time(frames):
    return sorted(top_regions(frames), key=lambda region: region.start)


def test_a_flat_map_is_one_region():
    assert top_regions(np.full(50, -0.2)) == [Region(0, 50, pytest.approx(1.0), -1)]


def test_smoothing_lets_evidence_of_both_signs_cancel():
    """Means of alternating signs are a third, those of the plateau 0.8."""
    in_turns = np.where(np.arange(9) % 2, 1.0, -1.0)
    frames = np.concatenate([in_turns, np.full(10, 0.8), in_turns])
    (region,) = top_regions(frames)
    assert region.sign == 1
    assert 8 <= region.start < region.stop <= 20


@pytest.mark.parametrize("frames", [[1.0, -1.0], [0.0, 1.0, -2.0, 1.0, 0.0], [1e-300, 0, 0], [0, 0, -5.0]])
def test_there_is_a_region_wherever_there_is_evidence(frames):
    assert top_regions(np.array(frames))


def test_without_evidence_there_is_none():
    assert top_regions(np.zeros(20)) == []
    assert described([], SSL_CLOCK, None).empty


def test_shares_of_regions_are_of_frames_that_they_do_not_share(rng):
    frames = rng.standard_normal(400)
    regions = top_regions(frames, n=None)
    assert sum(region.share for region in regions) <= 1
    assert [region.share for region in regions] == sorted((region.share for region in regions), reverse=True)
    counts = np.zeros(400, dtype=int)
    for region in regions:
        counts[region.start : region.stop] += 1
        assert region.share == pytest.approx(np.abs(frames[region.start : region.stop]).sum() / np.abs(frames).sum())
    assert counts.max() == 1


def test_regions_do_not_depend_on_the_unit_of_evidence_and_turn_with_its_sign(rng):
    frames = rng.standard_normal(300)
    regions = top_regions(frames)
    assert [(region.start, region.stop) for region in top_regions(-1e-6 * frames)] == [
        (region.start, region.stop) for region in regions
    ]
    assert [region.sign for region in top_regions(-frames)] == [-region.sign for region in regions]


@pytest.mark.parametrize(
    ("frames", "values", "message"),
    [
        (np.zeros((2, 3)), {}, r"shape \(2, 3\)"),
        (np.zeros(0), {}, r"shape \(0,\)"),
        (np.array([0, np.nan]), {}, "1 values that are not finite"),
        (np.ones(3), {"n": 0}, "0 regions"),
    ],
)
def test_what_cannot_be_used_is_refused(frames, values, message):
    with pytest.raises(match=message):
        top_regions(frames, **values)


def test_a_frame_lasts_a_hop_around_its_centre():
    table = described([Region(2, 5, 0.5, 1)], SSL_CLOCK, None).iloc[0]
    assert (table["rank"], table["share"], table["sign"], table["segment_class"]) == (1, 0.5, 1, "unknown")
    assert table["start_s"] == pytest.approx(SSL_CLOCK.centre_s(3)[2] - 0.01)
    assert table["end_s"] == pytest.approx(SSL_CLOCK.centre_s(5)[4] + 0.01)
    assert table["duration_s"] == pytest.approx(0.06)


def test_a_region_is_of_the_class_of_most_of_its_frames():
    tiers = {
        "speech": tier("speech", (0, 0.1, "leading"), (0.1, 0.5, "speech"), (0.5, 0.7, "trailing")),
        "phones": tier("phones", (0, 0.1, "SIL"), (0.1, 0.3, "AA1"), (0.3, 0.5, "S"), (0.5, 0.7, "+NSN+")),
    }
    regions = [Region(0, 4, 0.1, 1), Region(10, 17, 0.2, 1), Region(14, 18, 0.2, 1), Region(24, 30, 0.1, -1)]
    table = described(regions, SSL_CLOCK, tiers)
    assert table["segment_class"].tolist() == ["leading", "vowel", "fricative", "trailing"]
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_classes_are_as_fine_as_what_was_decoded():
    speech = tier("speech", (0, 0.1, "leading"), (0.1, 0.3, "speech"))
    heard = tier("phones", (0, 0.15, "AA"), (0.15, 0.2, "??"))
    assert set(frame_classes({"speech": speech}, SSL_CLOCK, 14)) == {"leading", "speech"}
    assert set(frame_classes({"phones": heard}, SSL_CLOCK, 14)) == {"vowel", "unknown"}
    assert set(frame_classes(None, SSL_CLOCK, 14)) == {"unknown"}
