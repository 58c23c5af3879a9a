import numpy as np
import pandas as pd
import pytest

from sslig.cues.contribution import contribution_table
from sslig.errors import DataError

FEW = {"seed": 0, "rounds": 50, "recordings": False}
PAUSES = {"a": {"pause": np.array([1, 0, 0], bool)}, "b": {"pause": np.array([1, 1, 0, 0, 0, 0], bool)}}


def explained(*rows):
    """Attributions of one detector from (utterance, key, speaker, by_frame)."""
    table = pd.DataFrame(rows, columns=["utterance", "key", "speaker", "by_frame"])
    frames = [np.array(frames, float) for frames in table["by_frame"]]
    return table.assign(detector="d", recording=table["utterance"], by_frame=frames)


@pytest.fixture
def table():
    return explained(("a", "spoof", "s", [4, 1, 1]), ("b", "spoof", "t", [100, 0, 100, 100, 0, -100]))


def test_a_quarter_of_time_with_half_of_the_evidence_counts_twice():
    table = explained(("a", "spoof", "s", [3.0, -1.0, 2.0, 0.0]))
    (row,) = contribution_table(table, {"a": {"pause": np.arange(4) < 1}}, **FEW).to_dict("records")
    assert (row["share_of_time"], row["share"], row["relative"]) == pytest.approx((1 / 4, 1 / 2, 2))


def test_frames_are_pooled_with_each_utterance_at_its_mean_size(table):
    """Scaled sizes are 2, .5, .5 and 1.5, 0, 1.5, 1.5, 0, 1.5: 3.5 of 9 in 3 of 9 frames."""
    row = contribution_table(table, PAUSES, **FEW).iloc[0]
    assert row[["share_of_time", "share", "relative"]].tolist() == pytest.approx([3 / 9, 3.5 / 9, 3.5 / 3])
    assert row[["n", "n_with"]].tolist() == [2, 2]


def test_a_segment_with_more_than_its_share_is_significant(rng):
    rows, segments = [], {}
    for number in range(48):
        pause = rng.random(200) < 0.3
        segments[f"u{number}"] = {"pause": pause, "rest": ~pause, "none": np.zeros(200, bool)}
        frames = rng.standard_normal(200) * np.where(pause, 2, 1)
        rows.append((f"u{number}", ("bonafide", "spoof")[number % 2], f"s{number // 2}", frames))
    result = contribution_table(explained(*rows), segments, seed=0, rounds=3000, recordings=True)
    assert result.groupby("key").size().to_dict() == {"bonafide": 3, "spoof": 3}
    result = result.set_index(["key", "segment"])
    for key in ("bonafide", "spoof"):
        pause, rest, none = (result.loc[(key, name)] for name in ("pause", "rest", "none"))
        assert pause["relative"] == pytest.approx(2 / 1.3, abs=0.12)
        assert 1 < pause["low"] < pause["relative"] < pause["high"]
        assert pause["p_holm"] < 0.05
        assert rest["relative"] == pytest.approx(1 / 1.3, abs=0.06)
        assert (none["share_of_time"], none["share"], none["n_with"]) == (0, 0, 0)
        assert none[["relative", "low", "high", "p", "p_holm"]].isna().all()


def test_utterances_without_evidence_or_segment_are_pooled():
    silent = explained(("a", "spoof", "s", [0, 0, 0]), ("b", "spoof", "t", [1, 0, 0, 0, 0, 1]))
    assert contribution_table(silent, PAUSES, **FEW)["relative"][0] == pytest.approx((1 / 2) / (3 / 9))
    without = PAUSES | {"a": {"pause": np.zeros(3, bool)}}
    assert contribution_table(silent, without, **FEW)[["n", "n_with"]].to_numpy().tolist() == [[2, 1]]


def test_frames_after_the_attribution_are_ignored(table):
    longer = {name: {"pause": np.append(of["pause"], [True, True])} for name, of in PAUSES.items()}
    pd.testing.assert_frame_equal(contribution_table(table, longer, **FEW), contribution_table(table, PAUSES, **FEW))


def test_one_speaker_has_no_interval(table):
    row = contribution_table(table.assign(speaker="s"), PAUSES, **FEW).iloc[0]
    assert row["relative"] == pytest.approx(3.5 / 3)
    assert row[["low", "high", "p", "p_holm"]].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, pauses: (table.drop(columns="speaker"), pauses), r"columns \['speaker'\] are missing"),
        (lambda table, pauses: (table, pauses | {"b": pauses["a"]}), r"shape \(6,\) and track of shape \(3,\)"),
        (lambda table, pauses: (table, pauses | {"b": {}}), r"b has tracks \[\], others have \['pause'\]"),
        (lambda table, pauses: (table, {name: {"pause": np.ones(6)} for name in pauses}), "holds float64; bool"),
    ],
)
def test_unfit_segments_are_refused(table, change, message):
    with pytest.raises(DataError, match=message):
        contribution_table(*change(table, PAUSES), **FEW)
