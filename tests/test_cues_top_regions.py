import numpy as np
import pytest

from sslig.cues.tiers import Tier
from sslig.cues.top_regions import Region, described, frame_classes, top_regions
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK


def tier(name, *stretches):
    start_s, end_s, labels = zip(*stretches, strict=True)
    return Tier(name, np.array(start_s), np.array(end_s), labels, end_s[-1], {})


def spikes(n_frames, **values):
    """(frame,) Zeros but for ``f3=1`` and the like."""
    frames = np.zeros(n_frames)
    for name, value in values.items():
        frames[int(name[1:])] = value
    return frames


def spans(frames, n=5):
    return [(region.start, region.stop, region.sign) for region in top_regions(frames, n)]


def test_a_spike_is_one_region_that_holds_its_share():
    """Means over three frames: 2, 2, 2 around the 6, and -2/3 around the -2."""
    assert top_regions(spikes(8, f2=6, f5=-2)) == [Region(1, 4, 0.75, 1)]


def test_a_flat_map_is_one_region():
    assert top_regions(np.full(50, -0.2)) == [Region(0, 50, pytest.approx(1.0), -1)]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (spikes(12, f2=3, f7=3), [(1, 9, 1)]),  # two frames without evidence between the means
        (spikes(12, f2=3, f8=3), [(1, 4, 1), (7, 10, 1)]),  # three
        (spikes(12, f2=3, f5=-3, f8=3), [(1, 4, 1), (4, 7, -1), (7, 10, 1)]),  # equal shares: in order of time
    ],
)
def test_short_gaps_are_bridged_but_not_over_the_other_sign(frames, expected):
    assert spans(frames) == expected


def test_no_more_regions_are_given_than_asked_for():
    """The means of 1.5 and 2 are taken for half of the evidence, those of 1 are not needed."""
    frames = spikes(17, f1=3, f8=6, f15=4.5)
    assert spans(frames) == [(7, 10, 1), (14, 17, 1)] == spans(frames, n=None)
    assert spans(frames, n=1) == [(7, 10, 1)]


def test_smoothing_lets_evidence_of_both_signs_cancel():
    """Means of alternating signs are a third, those of the plateau 0.8."""
    in_turns = np.where(np.arange(9) % 2, 1.0, -1.0)
    ((start, stop, sign),) = spans(np.concatenate([in_turns, np.full(10, 0.8), in_turns]))
    assert sign == 1
    assert 8 <= start < stop <= 20


@pytest.mark.parametrize("frames", [[1.0, -1.0], [0.0, 1.0, -2.0, 1.0, 0.0], [1e-300, 0, 0], [0, 0, -5.0]])
def test_there_is_a_region_wherever_there_is_evidence(frames):
    assert top_regions(np.array(frames))


def test_without_evidence_there_is_none():
    assert top_regions(np.zeros(20)) == []
    assert described([], SSL_CLOCK, None).empty


def test_regions_do_not_overlap_nor_depend_on_unit_and_sign(rng):
    frames = rng.standard_normal(400)
    regions = top_regions(frames, n=None)
    counts = np.zeros(400, dtype=int)
    for region in regions:
        counts[region.start : region.stop] += 1
        assert region.share == pytest.approx(np.abs(frames[region.start : region.stop]).sum() / np.abs(frames).sum())
    assert counts.max() == 1
    assert [region.share for region in regions] == sorted((region.share for region in regions), reverse=True)
    assert spans(-1e-6 * frames) == [(start, stop, -sign) for start, stop, sign in spans(frames)]


@pytest.mark.parametrize(
    ("frames", "n", "message"),
    [
        (np.zeros((2, 3)), 5, r"shape \(2, 3\)"),
        (np.zeros(0), 5, r"shape \(0,\)"),
        (np.array([0, np.nan]), 5, "1 values that are not finite"),
        (np.ones(3), 0, "0 regions"),
    ],
)
def test_what_cannot_be_used_is_refused(frames, n, message):
    with pytest.raises(InputError, match=message):
        top_regions(frames, n)


def test_a_region_has_times_and_the_class_of_most_of_its_frames():
    tiers = {
        "speech": tier("speech", (0, 0.1, "leading"), (0.1, 0.5, "speech"), (0.5, 0.7, "trailing")),
        "phones": tier("phones", (0, 0.1, "SIL"), (0.1, 0.3, "AA1"), (0.3, 0.5, "S"), (0.5, 0.7, "+NSN+")),
    }
    regions = [Region(2, 5, 0.1, 1), Region(10, 17, 0.2, 1), Region(14, 18, 0.2, 1), Region(24, 30, 0.1, -1)]
    table = described(regions, SSL_CLOCK, tiers)
    assert table["segment_class"].tolist() == ["leading", "vowel", "fricative", "trailing"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    times = (SSL_CLOCK.centre_s(3)[2] - 0.01, SSL_CLOCK.centre_s(5)[4] + 0.01, 0.06)
    assert tuple(table.loc[0, ["start_s", "end_s", "duration_s"]]) == pytest.approx(times)


def test_classes_are_as_fine_as_what_was_decoded():
    speech = tier("speech", (0, 0.1, "leading"), (0.1, 0.3, "speech"))
    phones = tier("phones", (0, 0.15, "AA"), (0.15, 0.2, "??"))
    assert set(frame_classes({"speech": speech}, SSL_CLOCK, 14)) == {"leading", "speech"}
    assert set(frame_classes({"phones": phones}, SSL_CLOCK, 14)) == {"vowel", "unknown"}
    assert set(frame_classes(None, SSL_CLOCK, 14)) == {"unknown"}
