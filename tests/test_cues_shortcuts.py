import numpy as np
import pandas as pd
import pytest

from sslig.cues import shortcuts
from sslig.cues.shortcuts import r2, score_correlation, score_models, separation
from sslig.stats import metrics
from sslig.stats.tests import two_sided_p

FEW = {"seed": 0, "rounds": 200, "recordings": False}


def p_of(rounds, n_units, dof):
    """The p-value of an effect on which all rounds agree."""
    return two_sided_p(np.ones(rounds), 1.0, n_units, dof)


class TestSeparation:
    @pytest.fixture
    def table(self):
        return pd.DataFrame(
            {
                "key": ["bonafide"] * 4 + ["spoof"] * 4,
                "speaker": list("abcdefgh"),
                "duration_s": [1.0, 1.1, 1.2, 2.5, 2.0, 2.1, 2.2, 1.05],
                "level_dbfs": [-10.0, -11, -12, -13, -20, -21, -22, -23],
            }
        )

    def test_each_measure_is_a_detector_in_its_better_direction(self, table):
        """Duration: one error of four in each class, and 10 of 16 pairs rise. Level: bona fide are louder."""
        result = separation(table, ["duration_s", "level_dbfs"], **FEW).set_index("measure")
        duration, level = result.loc["duration_s"], result.loc["level_dbfs"]
        assert (duration["eer"], duration["larger_in"]) == (0.25, "spoof")
        assert duration["delta"] == pytest.approx((10 - 6) / 16)
        assert duration["low"] <= 0.25 <= duration["high"]
        assert duration["delta_low"] <= duration["delta"] <= duration["delta_high"]
        assert (level["eer"], level["low"], level["high"], level["larger_in"]) == (0, 0, 0, "bonafide")
        p = level["p"]  # not all rounds draw both classes; those that do agree
        assert tuple(level[["delta", "p_holm", "family"]]) == (-1, 2 * p, 2)
        assert p == pytest.approx(p_of(200, 8, 7), rel=0.05)
        assert result[["n_first", "n_second", "n_missing"]].to_numpy().tolist() == [[4, 4, 0]] * 2

    def test_a_negated_measure_changes_only_its_direction(self, table):
        table = table.assign(negated=-table["duration_s"])
        first, second = separation(table, ["duration_s", "negated"], **FEW).to_dict("records")
        assert (first["larger_in"], second["larger_in"]) == ("spoof", "bonafide")
        for name in ("eer", "low", "high", "p"):
            assert first[name] == pytest.approx(second[name])
        assert first["delta"] == -second["delta"]

    def test_a_constant_measure_separates_nothing(self, table):
        (row,) = separation(table.assign(level_dbfs=0.0), ["level_dbfs"], **FEW).to_dict("records")
        assert (row["eer"], row["delta"], row["p"], row["larger_in"]) == (0.5, 0, 1, shortcuts.NEITHER)

    def test_missing_values_are_left_out_and_counted(self, table):
        table = table.assign(snr_db=[np.nan, 1, 2, 3, np.nan, 4, 5, 6], f0_mean_hz=[100.0] * 4 + [np.nan] * 4)
        result = separation(table, ["snr_db", "f0_mean_hz"], **FEW).set_index("measure")
        assert result.loc["snr_db", ["n_first", "n_second", "n_missing", "eer"]].tolist() == [3, 3, 2, 0]
        empty = result.loc["f0_mean_hz"]
        assert empty[["n_first", "n_second", "n_missing"]].tolist() == [4, 0, 4]
        assert empty[["eer", "low", "larger_in", "delta", "p", "p_holm"]].isna().all()

    def test_few_speakers_decide_nothing(self, table):
        result = separation(table.assign(speaker=list("abcdeabc")), ["level_dbfs"], **FEW)
        assert result["eer"].tolist() == [0]
        assert result[["low", "high", "delta_low", "p", "p_holm"]].isna().all(axis=None)

    def test_other_groups_are_ignored(self, table):
        table = table.assign(group=["right"] * 3 + ["wrong"] * 3 + ["mixed"] * 2)
        (row,) = separation(table, ["level_dbfs"], by="group", pair=("wrong", "right"), **FEW).to_dict("records")
        assert [row[name] for name in ("eer", "larger_in", "delta", "n_first", "n_second")] == [0, "right", 1, 3, 3]


class TestScoreCorrelation:
    @pytest.fixture
    def table(self, rng):
        """Scores of two detectors for 60 utterances: the first's follow `x` within each class, the second's nothing."""
        n = 60
        key = np.where(np.arange(n) % 2, "spoof", "bonafide")
        names = [f"u{i}" for i in range(n)]
        common = {"utterance": names, "key": key, "speaker": np.arange(n) % 20, "recording": np.arange(n)}
        common |= {"x": rng.standard_normal(n), "y": rng.standard_normal(n), "flat": 1.0}
        scores = {"first": 10.0 * (key == "spoof") + np.exp(common["x"]), "second": rng.standard_normal(n)}
        parts = [pd.DataFrame(common | {"detector": name, "spoof_score": score}) for name, score in scores.items()]
        return pd.concat(parts, ignore_index=True)

    @pytest.mark.parametrize(("recordings", "n_units", "dof"), [(False, 10, 9), (True, 30, 20)])
    def test_scores_are_correlated_with_measures_within_each_class(self, table, recordings, n_units, dof):
        options = {"seed": 0, "rounds": 200, "recordings": recordings}
        result = score_correlation(table, ["x", "y", "flat"], **options)
        assert (result["family"] == 12).all()  # two detectors, three groups, two measures that vary
        assert len(result) == 2 * 3 * 3
        result = result.set_index(["detector", "key", "measure"])
        for key in ("bonafide", "spoof"):
            row = result.loc[("first", key, "x")]
            assert row[["spearman", "low", "high", "n"]].tolist() == pytest.approx([1, 1, 1, 30])
            assert row["pearson"] < 0.99
            assert row["p"] == pytest.approx(p_of(200, n_units, dof))
        assert result.loc[("first", "all", "x"), "spearman"] < 0.8
        assert result.loc[("second", "all", "y"), "p_holm"] > 0.05
        assert result.xs("flat", level="measure")["spearman"].isna().all()

    def test_missing_measures_are_counted(self, table):
        table.loc[table["utterance"].isin([f"u{i}" for i in range(10)]), "x"] = np.nan
        result = score_correlation(table, ["x"], **(FEW | {"rounds": 20}))
        assert result[["n", "n_missing"]].to_numpy().tolist() == [[50, 10], [25, 5], [25, 5]] * 2


class TestScoreModels:
    @pytest.fixture
    def table(self, rng):
        """200 utterances of 20 speakers: a score that is 3 x plus noise of variance 1, and one that is noise."""
        n = 200
        number = np.arange(n)
        common = {"utterance": number, "key": np.where(number % 2, "spoof", "bonafide"), "speaker": number // 10}
        common |= {"recording": number // 2, "x": rng.standard_normal(n), "y": rng.standard_normal(n)}
        scores = {"follows": 3 * common["x"] + rng.standard_normal(n), "noise": rng.standard_normal(n)}
        parts = [pd.DataFrame(common | {"detector": name, "spoof_score": score}) for name, score in scores.items()]
        return pd.concat(parts, ignore_index=True)

    def test_a_score_that_follows_a_measure_is_predicted_and_noise_is_not(self, table):
        fits, importances = score_models(table, ["x", "y"], "speaker", **FEW)
        assert len(fits) == 2 * 3 * 2
        fits = fits.set_index(["detector", "key", "model"])
        ridge = fits.loc[("follows", "all", "ridge")]
        assert ridge["r2"] == pytest.approx(0.9, abs=0.04)
        assert ridge["low"] < ridge["r2"] < ridge["high"]
        assert ridge[["n", "n_groups", "folds"]].tolist() == [200, 20, 5]
        assert fits.loc[("follows", "all", "boosting"), "r2"] > 0.75
        assert (fits.loc["noise", "r2"] < 0.1).all()
        strongest = importances.groupby(["detector", "key"]).first().loc["follows"]
        assert (strongest["measure"] == "x").all()
        # Shuffling a measure that explains 0.9 of the variance doubles its part in the error.
        assert strongest.loc["all", "importance"] == pytest.approx(1.8, abs=0.3)

    def test_absence_of_a_value_is_informative(self, table):
        table = table[table["detector"] == "follows"].assign(spoof_score=lambda rows: (rows["x"] > 0) * 1.0)
        table["x"] = np.where(table["x"] > 0, np.nan, 1.0)
        fits, _ = score_models(table, ["x"], "recording", **FEW)
        assert (fits["r2"] > 0.9).all()
        assert fits["n_groups"].tolist() == [100] * 6

    def test_a_label_of_the_speaker_does_not_predict_unknown_speakers(self, rng):
        """The measure identifies the speaker, whose mean is the score: known in folds of recordings only."""
        speaker = np.repeat(np.arange(12), 10)
        names = dict.fromkeys(("utterance", "recording"), np.arange(120))
        key = np.where(np.arange(120) % 2, "spoof", "bonafide")
        score = rng.permutation(12)[speaker] * 1.0
        table = pd.DataFrame({"detector": "d", **names, "speaker": speaker, "key": key, "spoof_score": score})
        table["voice"] = speaker * 1.0
        fits = {of: score_models(table, ["voice"], of, **FEW)[0] for of in ("recording", "speaker")}
        values = {of: rows.set_index(["key", "model"]).loc[("all", "boosting"), "r2"] for of, rows in fits.items()}
        assert values["recording"] > 0.8
        assert values["speaker"] < 0.3

    def test_detectors_and_classes_without_two_groups_are_left_out(self, table):
        spoofs = table[table["key"] == "spoof"]
        assert set(score_models(spoofs, ["x"], "speaker", **FEW)[0]["key"]) == {"all", "spoof"}
        fits, importances = score_models(table.assign(speaker="s"), ["x"], "speaker", **FEW)
        assert fits.empty
        assert importances.empty

    def test_r2_of_perfect_mean_and_reversed_predictions(self):
        scores, once = np.array([1.0, 2.0, 3.0]), np.ones((1, 3))
        assert r2(scores, scores)(once) == [1]
        assert r2(scores, np.full(3, 2.0))(once) == [0]
        assert r2(scores, scores[::-1])(once) == pytest.approx([-3])
        assert np.isnan(r2(np.ones(3), scores)(once)).all()


class TestShortcutDetector:
    def test_it_detects_what_its_measures_tell_apart_and_nothing_else(self, rng):
        key = np.where(np.arange(400) % 2, "spoof", "bonafide")
        table = pd.DataFrame(
            {"key": key, "x": (key == "spoof") + 0.5 * rng.normal(size=400), "y": rng.normal(size=400)}
        )
        table.loc[::7, "x"] = np.nan
        train, test = table[:300], table[300:]
        for measures, low, high in ((["x", "y"], 0.0, 0.35), (["y"], 0.3, 0.7)):
            (scores,) = shortcuts.detector_scores(train, [test], measures, seed=0)
            spoof = (test["key"] == "spoof").to_numpy()
            assert low <= metrics.eer(scores[~spoof], scores[spoof]) <= high
