import numpy as np
import pandas as pd
import pytest

from sslig.cues.contribution import ContributionError, contribution_table, relative_contribution

MASK = np.array([True, False, False, False])


def test_a_quarter_of_time_with_half_of_the_evidence_counts_twice():
    """Sizes 3 + 1 + 2 + 0: half of 6 in one of four frames; for spoof 3 of 5; for bona fide 0 of 1."""
    found = relative_contribution(np.array([3.0, -1.0, 2.0, 0.0]), MASK)
    assert found == pytest.approx({
        "share_of_time": 1 / 4, "share_size": 3 / 6, "relative_size": 2, "share_for_spoof": 3 / 5,
        "relative_for_spoof": 12 / 5, "share_for_bonafide": 0, "relative_for_bonafide": 0,
    })  # fmt: skip


def test_even_evidence_is_relative_to_nothing():
    found = relative_contribution(np.full(4, -2.0), MASK)
    assert found["relative_size"] == found["relative_for_bonafide"] == 1
    assert np.isnan([found["share_for_spoof"], found["relative_for_spoof"]]).all()


def test_a_full_mask_has_all_and_an_empty_one_nothing(rng):
    attribution = rng.standard_normal(9)
    full, empty = (relative_contribution(attribution, np.full(9, whole)) for whole in (True, False))
    assert [full[f"{part}_size"] for part in ("share", "relative")] == [1, 1]
    assert (empty["share_of_time"], empty["share_size"]) == (0, 0)
    assert np.isnan(empty["relative_size"])


def test_no_evidence_has_no_shares():
    found = relative_contribution(np.zeros(4), MASK)
    assert found.pop("share_of_time") == 0.25
    assert np.isnan(list(found.values())).all()


@pytest.mark.parametrize(
    ("attribution", "mask", "message"),
    [
        (np.ones(4), np.ones(4), "the mask holds float64; bool is needed"),
        (np.ones(5), MASK, r"shape \(5,\) and track of shape \(4,\)"),
        (np.ones(0), np.ones(0, dtype=bool), "one axis of the same frames"),
        (np.array([1.0, np.nan, 0, 0]), MASK, "NaN or infinite"),
    ],
)
def test_what_does_not_fit_is_refused(attribution, mask, message):
    with pytest.raises(ContributionError, match=message):
        relative_contribution(attribution, mask)


def explained(*rows):
    """Attributions from (utterance, key, speaker, by_frame), all of one detector."""
    table = pd.DataFrame(rows, columns=["utterance", "key", "speaker", "by_frame"])
    return table.assign(
        detector="d", recording=table["utterance"], by_frame=[np.array(a, float) for a in table["by_frame"]]
    )


PAUSES = {"a": {"pause": np.array([1, 0, 0], bool)}, "b": {"pause": np.array([1, 1, 0, 0, 0, 0], bool)}}
TABLE = explained(("a", "spoof", "s", [4, 1, 1]), ("b", "spoof", "t", [100, 0, 100, 100, 0, -100]))


def only(table, masks=PAUSES, **options):
    """The row of the evidence's size."""
    found = contribution_table(table, masks, **{"seed": 0, "rounds": 50, "resample_recordings": False} | options)
    return found.set_index("evidence").loc["size"]


def test_frames_are_pooled_with_each_utterance_at_its_mean_size():
    """Scaled sizes are 2, .5, .5 and 1.5, 0, 1.5, 1.5, 0, 1.5: 3.5 of 9 in 3 of 9 frames."""
    row = only(TABLE)
    assert row[["share_of_time", "share", "relative"]].tolist() == pytest.approx([3 / 9, 3.5 / 9, 3.5 / 3])
    assert row[["n", "n_with"]].tolist() == [2, 2]


def test_the_published_quantity_pools_what_it_finds():
    """104 of 406 in a third of the frames: an RCQ of -23 %."""
    assert only(TABLE, scaled=False)["relative"] == pytest.approx(104 / 406 * 3)


def test_one_utterance_is_its_relative_contribution(rng):
    attribution, mask = rng.standard_normal(30), rng.random(30) < 0.4
    table = explained(("a", "spoof", "s", attribution), ("b", "spoof", "t", 5 * attribution))
    found = contribution_table(
        table, {name: {"vowel": mask} for name in "ab"}, seed=0, rounds=20, resample_recordings=True
    )
    alone = relative_contribution(attribution, mask)
    for row in found.itertuples():
        assert row.relative == pytest.approx(alone[f"relative_{row.evidence}"])
        assert (row.low, row.high) == pytest.approx((row.relative, row.relative))


def test_a_segment_with_more_than_its_share_is_supported(rng):
    rows, masks = [], {}
    for number in range(48):
        mask = rng.random(200) < 0.3
        masks[f"u{number}"] = {"pause": mask, "rest": ~mask, "none": np.zeros(200, bool)}
        rows.append((f"u{number}", ("bonafide", "spoof")[number % 2], f"s{number // 2}",
                     rng.standard_normal(200) * np.where(mask, 2, 1)))  # fmt: skip
    found = contribution_table(explained(*rows), masks, seed=0, rounds=3000, resample_recordings=True)
    assert found.groupby("key").size().to_dict() == {"bonafide": 9, "spoof": 9}
    found = found[found["evidence"] == "size"].set_index(["key", "segment"])
    for key in ("bonafide", "spoof"):
        pause, rest, none = (found.loc[(key, name)] for name in ("pause", "rest", "none"))
        assert pause["relative"] == pytest.approx(2 / 1.3, abs=0.12)
        assert 1 < pause["low"] < pause["relative"] < pause["high"]
        assert pause["p_holm"] < 0.05
        assert rest["relative"] == pytest.approx(1 / 1.3, abs=0.06)
        assert (none["share_of_time"], none["share"], none["n_with"]) == (0, 0, 0)
        assert none[["relative", "low", "high", "p", "p_holm"]].isna().all()


def test_utterances_without_evidence_or_segment_are_pooled():
    silent = explained(("a", "spoof", "s", [0, 0, 0]), ("b", "spoof", "t", [1, 0, 0, 0, 0, 1]))
    assert only(silent)["relative"] == pytest.approx((1 / 2) / (3 / 9))
    assert only(silent, PAUSES | {"a": {"pause": np.zeros(3, bool)}})[["n", "n_with"]].tolist() == [2, 1]


def test_faults_name_the_utterance():
    with pytest.raises(ContributionError, match=r"b, pause: attribution of shape \(6,\) and track of shape \(3,\)"):
        only(TABLE, PAUSES | {"b": PAUSES["a"]})


def test_utterances_of_one_speaker_have_counts_only():
    row = only(TABLE.assign(speaker="s"))
    assert row[["share_of_time", "share", "n", "n_with"]].tolist() == pytest.approx([3 / 9, 3.5 / 9, 2, 2])
    assert row[["relative", "low", "high", "p", "p_holm"]].isna().all()
