import numpy as np
import pandas as pd
import pytest

from sslig.cues import shortcuts
from sslig.cues.masked_trials import two_sided_p
from sslig.cues.shortcuts import between_groups, describe, score_correlation, single_feature_eer
from sslig.stats import metrics
from sslig.stats.metrics import MetricError

FEW = {"seed": 0, "rounds": 200}
LABELS = np.array([0] * 4 + [1] * 4)
SPEAKERS = np.array(list("abcdabcd"))
MEASURES = pd.DataFrame({
    "duration_s": [1.0, 1.1, 1.2, 2.5, 2.0, 2.1, 2.2, 1.05],
    "level_dbfs": [-10.0, -11, -12, -13, -20, -21, -22, -23],
})  # fmt: skip


def p_of(rounds, n_units):
    """The p-value of an effect that all rounds agree on."""
    return float(two_sided_p(np.ones(rounds), n_units))


def test_each_measure_is_a_detector_in_its_better_direction():
    """Duration: spoofs are longer, one error of four each; 10 of 16 pairs say so. Level: bona fide are louder."""
    found = single_feature_eer(MEASURES, LABELS, SPEAKERS, **FEW).set_index("measure")
    duration, level = found.loc["duration_s"], found.loc["level_dbfs"]
    assert (duration["eer"], duration["larger_in"]) == (0.25, "spoof")
    assert duration["delta"] == pytest.approx((10 - 6) / 16)
    assert duration["low"] <= 0.25 <= duration["high"]
    assert duration["delta_low"] <= duration["delta"] <= duration["delta_high"]
    assert (level["eer"], level["low"], level["high"], level["larger_in"]) == (0, 0, 0, "bonafide")
    # No round is on the other side of 0; Holm's correction doubles the smaller of the two.
    assert tuple(level[["delta", "p", "p_holm"]]) == (-1, p_of(200, 4), 2 * p_of(200, 4))
    assert found[["n_bonafide", "n_spoof", "n_missing"]].to_numpy().tolist() == [[4, 4, 0]] * 2


def test_a_turned_measure_turns_its_direction_and_nothing_else():
    found = single_feature_eer(MEASURES, LABELS, SPEAKERS, **FEW)
    turned = single_feature_eer(-MEASURES, LABELS, SPEAKERS, **FEW)
    assert turned["larger_in"].tolist() == ["bonafide", "spoof"]
    for name in ("eer", "low", "high", "p"):
        np.testing.assert_allclose(turned[name], found[name])
    np.testing.assert_allclose(turned["delta"], -found["delta"])


def test_a_measure_that_tells_nothing():
    (row,) = single_feature_eer(pd.DataFrame({"level_dbfs": [0.0] * 8}), LABELS, SPEAKERS, **FEW).to_dict("records")
    assert (row["eer"], row["delta"], row["p"], row["larger_in"]) == (0.5, 0, 1, shortcuts.NEITHER)


def test_missing_values_are_left_out_and_counted():
    measures = MEASURES.assign(snr_db=[np.nan, 1, 2, 3, np.nan, 4, 5, 6], f0_mean_hz=[100.0] * 4 + [np.nan] * 4)
    found = single_feature_eer(measures, LABELS, SPEAKERS, **FEW).set_index("measure")
    assert found.loc["snr_db", ["n_bonafide", "n_spoof", "n_missing", "eer"]].tolist() == [3, 3, 2, 0]
    lacking = found.loc["f0_mean_hz"]
    assert lacking[["n_bonafide", "n_spoof", "n_missing"]].tolist() == [4, 0, 4]
    assert lacking[["eer", "low", "delta", "p", "p_holm"]].isna().all()


def test_the_eer_is_that_of_the_metrics(rng):
    values, labels = rng.standard_normal(300), rng.integers(2, size=300)
    speakers = rng.integers(40, size=300)
    found = single_feature_eer(pd.DataFrame({"x": values + labels}), labels, speakers, **FEW)
    assert found["eer"][0] == metrics.eer((values + labels)[labels == 0], (values + labels)[labels == 1])
    assert found["p"][0] == p_of(200, len(np.unique(speakers)))


def test_values_of_one_speaker_tell_nothing_but_their_counts():
    measures = MEASURES.assign(f0_mean_hz=np.where(SPEAKERS == "a", 100.0, np.nan))
    found = single_feature_eer(measures, LABELS, SPEAKERS, **FEW).set_index("measure")
    lacking = found.loc["f0_mean_hz"]
    assert lacking[["n_bonafide", "n_spoof", "n_missing"]].tolist() == [1, 1, 6]
    assert lacking[["eer", "low", "larger_in", "delta", "p", "p_holm"]].isna().all()
    assert found.loc["level_dbfs", "eer"] == 0
    alone = single_feature_eer(MEASURES, LABELS, ["a"] * 8, **FEW)
    assert alone["eer"].isna().all()
    assert alone[["n_bonafide", "n_spoof"]].to_numpy().tolist() == [[4, 4]] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": LABELS + 1}, r"labels are 0 \(bona fide\) and 1 \(spoof\), got \[1 2\]"),
        ({"labels": LABELS[:3]}, "labels of shape .3,. for 8 utterances"),
        ({"speakers": SPEAKERS[:3]}, "speakers of shape .3,. for 8 utterances"),
        ({"recordings": SPEAKERS[:3]}, "recordings of shape .3,. for 8 utterances"),
        ({"measures": MEASURES.replace(1.0, np.inf)}, "duration_s: row 0 is infinite"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(MetricError, match=message):
        single_feature_eer(**({"measures": MEASURES, "labels": LABELS, "speakers": SPEAKERS} | FEW | change))


def test_groups_are_compared_in_pairs():
    groups = np.array(["right"] * 3 + ["wrong"] * 3 + ["middle"] * 2)
    found = between_groups(MEASURES, groups, np.arange(8), **FEW)
    assert len(found) == 3 * 2
    assert found[["group_a", "group_b"]].drop_duplicates().to_numpy().tolist() == [
        ["middle", "right"], ["middle", "wrong"], ["right", "wrong"]]  # fmt: skip
    level = found.set_index(["group_a", "group_b", "measure"]).loc[("right", "wrong", "level_dbfs")]
    assert level[["eer", "larger_in", "delta", "n_a", "n_b"]].tolist() == [0, "right", -1, 3, 3]
    assert (found["p_holm"] >= found["p"]).all()
    chosen = between_groups(MEASURES, groups, np.arange(8), pairs=[("wrong", "right")], **FEW)
    assert chosen["delta"].tolist()[1] == 1
    assert chosen["larger_in"].tolist()[1] == "right"


@pytest.mark.parametrize(("pairs", "message"), [([("right", "left")], r"groups \['left'\]"), ([], "of 0 pairs")])
def test_unknown_groups_are_refused(pairs, message):
    with pytest.raises(MetricError, match=message):
        between_groups(MEASURES, ["right"] * 8, SPEAKERS, pairs=pairs, **FEW)


def test_groups_are_described():
    measures = pd.DataFrame({"x": [1.0, 3.0, 5.0, np.nan]})
    by = pd.DataFrame({"key": ["bonafide", "bonafide", "spoof", "spoof"], "reason": ["a"] * 4})
    found = describe(measures, by)
    assert list(found.columns) == ["key", "reason", "measure", "mean", "sd", "n", "n_missing"]
    assert found.iloc[0].tolist() == ["bonafide", "a", "x", 2.0, pytest.approx(np.sqrt(2)), 2, 0]
    assert found.iloc[1][["mean", "n", "n_missing"]].tolist() == [5.0, 1, 1]
    assert np.isnan(found["sd"][1])
    assert describe(measures, by["key"])["n"].tolist() == [2, 1]
    with pytest.raises(MetricError, match=r"groups of shape \(3,\) for 4 utterances"):
        describe(measures, by["key"][:3])


@pytest.fixture
def scores(rng):
    """Scores of two detectors of 60 utterances: the first's follow `x` within each class and `y` never."""
    n = 60
    measures = pd.DataFrame({"utterance": [f"u{i}" for i in range(n)], "x": rng.standard_normal(n),
                             "y": rng.standard_normal(n), "flat": 1.0})  # fmt: skip
    key = np.where(np.arange(n) % 2, "spoof", "bonafide")
    common = {"utterance": measures["utterance"], "key": key, "speaker": np.arange(n) % 20, "recording": np.arange(n)}
    first = 10.0 * (key == "spoof") + np.exp(measures["x"])
    tables = [pd.DataFrame(common | {"detector": name, "spoof_score": score})
              for name, score in (("first", first), ("second", rng.standard_normal(n)))]  # fmt: skip
    return measures, pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("resample_recordings", [False, True])
def test_scores_are_correlated_with_measures_within_each_class(scores, resample_recordings):
    found = score_correlation(*scores, seed=0, rounds=200, resample_recordings=resample_recordings)
    assert len(found) == 2 * 3 * 3
    found = found.set_index(["detector", "key", "measure"])
    for key in ("bonafide", "spoof"):
        follows = found.loc[("first", key, "x")]
        assert follows[["spearman", "low", "high", "n"]].tolist() == pytest.approx([1, 1, 1, 30])
        assert follows["pearson"] < 0.99
        n_units = 30 if resample_recordings else 10
        assert follows["p_holm"] == pytest.approx(2 * p_of(200, n_units))
    assert found.loc[("first", "all", "x"), "spearman"] < 0.8
    assert found.loc[("second", "all", "y"), "p_holm"] > 0.05
    assert found.xs("flat", level="measure")["spearman"].isna().all()


def test_an_order_of_rows_changes_nothing(scores):
    measures, table = scores
    options = {"seed": 0, "rounds": 20, "resample_recordings": True}
    shuffled = score_correlation(measures[::-1], table, **options)
    pd.testing.assert_frame_equal(shuffled, score_correlation(measures, table, **options))


def test_missing_measures_are_counted(scores):
    measures, table = scores
    measures.loc[:9, "x"] = np.nan
    found = score_correlation(measures, table, seed=0, rounds=20, resample_recordings=False)
    assert found[found["measure"] == "x"][["n", "n_missing"]].to_numpy().tolist() == [[50, 10], [25, 5], [25, 5]] * 2


def test_a_measure_that_only_one_speaker_has_is_not_correlated(scores):
    measures, table = scores
    measures["x"] = measures["x"].where(np.arange(60) % 20 == 1)
    found = score_correlation(measures, table, seed=0, rounds=20, resample_recordings=False)
    rows = found[found["measure"] == "x"]
    assert rows[["n", "n_missing"]].to_numpy().tolist() == [[3, 57], [0, 30], [3, 27]] * 2
    assert rows[["pearson", "spearman", "p", "p_holm"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, s: (m, s.drop(columns="recording")), r"columns \['recording'\] are missing"),
        (lambda m, s: (m.drop(columns="utterance"), s), r"columns \['utterance'\] are missing"),
        (lambda m, s: (m[5:], s), "5 utterances have no measures, first u0"),
        (lambda m, s: (m, pd.concat([s, s])), "an utterance stands twice"),
        (lambda m, s: (m, s.assign(spoof_score=np.nan)), "a spoof_score is NaN or infinite"),
        (lambda m, s: (m.replace(1.0, np.inf), s), "flat: row 0 is infinite"),
    ],
)
def test_tables_that_do_not_fit_are_refused(scores, change, message):
    with pytest.raises(MetricError, match=message):
        score_correlation(*change(*scores), seed=0, rounds=5, resample_recordings=True)


def test_sets_stand_side_by_side():
    names = ["duration_s", "level_dbfs"]
    alone = pd.DataFrame(
        [(set_name, measure, 0.1 * number if measure != "level_dbfs" or set_name == "eval" else np.nan, "spoof")
         for set_name in ("train", "eval") for number, measure in enumerate(names)],
        columns=["set", "measure", "eer", "larger_in"],
    )  # fmt: skip
    found = shortcuts.summary(alone, ["eval", "train"])
    assert list(found.columns) == ["measure", "eval", "train"]
    assert found["measure"].tolist() == names
    assert found["eval"].tolist() == ["0 % (spoof)", "10 % (spoof)"]
    assert found["train"].tolist() == ["0 % (spoof)", "no value"]
