"""Effects of masks: values are those of the metrics, rounds are paired draws, and the tests keep their level."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from statsmodels.stats.multitest import multipletests

from sslig.cues.effects import STATISTICS, TESTED, MaskedTrials, effects
from sslig.errors import DataError
from sslig.stats import metrics
from sslig.stats.tests import ALPHA

N_SPEAKERS, N_EACH = 10, 4
OPTIONS = {"seed": 1, "rounds": 100, "recordings": False}


@pytest.fixture
def trials(rng):
    """Utterances of both classes, with the unmasked scores of a detector; each two share a recording."""
    n = 2 * N_SPEAKERS * N_EACH
    key = np.tile(["bonafide", "spoof"], n // 2)
    return pd.DataFrame(
        {
            "utterance": [f"E_{number:04d}" for number in range(n)],
            "speaker": np.repeat([f"S{number}" for number in range(N_SPEAKERS)], 2 * N_EACH),
            "recording": [f"R{number // 2:03d}" for number in range(n)],
            "key": key,
            "spoof_score": np.where(key == "spoof", 2.0, 0.0) + rng.normal(size=n),
        }
    )


def under(trials, masked_score, control_scores=None, *, mask="m", detector="sls", seed=0, status="applied"):
    """The rows of one mask: (trial,) masked scores and (draw, trial) control scores."""
    draws = np.empty((0, len(trials))) if control_scores is None else np.asarray(control_scores)
    names = {"detector": detector, "seed": seed, "mask": mask, "status": status}
    return trials.assign(masked_score=masked_score, control_scores=list(draws.T), **names)


def by_statistic(table):
    return table.set_index("statistic")


def split(trials, scores):
    is_spoof = (trials["key"] == "spoof").to_numpy()
    return np.asarray(scores)[~is_spoof], np.asarray(scores)[is_spoof]


def error_rates_at_eer(trials, scores):
    """FAR and FRR of scores at the EER threshold of the unmasked scores, halfway to the next lower score."""
    threshold = metrics.eer_threshold(*split(trials, trials["spoof_score"]))
    lower = trials["spoof_score"][trials["spoof_score"] < threshold].max()
    bonafide, spoof = split(trials, scores)
    return np.mean(spoof < (threshold + lower) / 2), np.mean(bonafide >= (threshold + lower) / 2)


def expected(trials, scores):
    """The statistics from their definitions, in the order of `STATISTICS`."""
    unmasked = split(trials, trials["spoof_score"])
    bonafide, spoof = split(trials, scores)
    pooled = np.sqrt(sum(np.sum((group - group.mean()) ** 2) for group in unmasked) / (len(scores) - 2))
    changes = bonafide.mean() - unmasked[0].mean(), spoof.mean() - unmasked[1].mean()
    curve = metrics.eer(bonafide, spoof), metrics.min_dcf(bonafide, spoof)
    return [*changes, (spoof.mean() - bonafide.mean()) / pooled, *curve, *error_rates_at_eer(trials, scores)]


def test_values_are_those_of_the_metrics(trials, rng):
    trials["spoof_score"] = trials["spoof_score"].round(1)  # with ties
    masked = (trials["spoof_score"] - rng.exponential(size=len(trials))).round(1)
    controls = (trials["spoof_score"].to_numpy() + rng.normal(size=(20, len(trials)))).round(1)
    rows = by_statistic(effects(under(trials, masked, controls), **OPTIONS))
    assert list(rows.index) == list(STATISTICS)
    of_draws = np.mean([expected(trials, draw) for draw in controls], axis=0)
    assert rows["unmasked"].tolist() == pytest.approx(expected(trials, trials["spoof_score"]))
    assert rows["masked"].tolist() == pytest.approx(expected(trials, masked))
    assert rows["control"].tolist() == pytest.approx(of_draws)
    assert rows["change"].tolist() == pytest.approx(rows["masked"] - rows["unmasked"])
    assert rows["excess"].tolist() == pytest.approx(rows["masked"] - rows["control"])
    counts = rows[["n_bonafide", "n_spoof", "n_speakers", "n_applied", "draws", "rounds"]].iloc[0].tolist()
    assert counts == [40, 40, 10, 80, 20, 100]
    assert (rows["tested"] == "excess").all()


def test_a_round_is_the_statistic_of_the_repeated_trials(rng):
    scores = np.concatenate([rng.normal(size=(4, 9)), rng.normal(1, 1, size=(4, 12))], axis=1).round(1)
    weights = rng.multinomial(21, np.full(21, 1 / 21), size=30)
    whole = MaskedTrials(9, scores[0], scores[1], scores[2:])
    rounds = whole(weights.astype(float))  # (round, 3, statistic)
    for row, weight in enumerate(weights):
        times = np.repeat(np.arange(21), weight)
        repeated_trials = MaskedTrials(weight[:9].sum(), scores[0, times], scores[1, times], scores[2:, times])
        repeated = repeated_trials(np.ones((1, 21)))[0]
        unit = np.ones(len(STATISTICS))
        unit[STATISTICS.index("separation")] = repeated_trials.spread / whole.spread
        np.testing.assert_allclose(rounds[row], unit * repeated)
        n_bonafide = weight[:9].sum()
        assert repeated[1, 3] == metrics.eer(scores[1, times][:n_bonafide], scores[1, times][n_bonafide:])


def test_the_order_of_the_rows_does_not_matter(trials, rng):
    table = under(trials, trials["spoof_score"] + rng.normal(size=len(trials)), rng.normal(size=(20, len(trials))))
    shuffled = table.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(effects(shuffled, **OPTIONS), effects(table, **OPTIONS))


def test_a_mask_that_removes_the_evidence_lowers_separation_and_raises_errors(trials, rng):
    removed = np.where(trials["key"] == "spoof", trials["spoof_score"] - 1.8, trials["spoof_score"])
    controls = trials["spoof_score"].to_numpy() + 0.1 * rng.normal(size=(20, len(trials)))
    rows = by_statistic(effects(under(trials, removed, controls), **(OPTIONS | {"rounds": 1000})))
    assert rows.loc["spoof_change", "change"] == pytest.approx(-1.8)
    assert rows.loc["bonafide_change", "change"] == 0
    assert (rows.loc[["spoof_change", "separation"], "excess_high"] < 0).all()
    assert (rows.loc[["eer", "min_dcf", "far"], "excess_low"] > 0).all()
    assert rows["verdict"].to_dict() == dict.fromkeys(STATISTICS, "") | {
        "bonafide_change": "not shown",
        **dict.fromkeys(("spoof_change", "separation", "eer"), "supported"),
    }
    assert (rows["family"] == 4).all()
    spoof = rows.loc["spoof_change"]
    multiple = t.isf(0.05 / 8, 9) + t.isf(0.2, 9)
    assert spoof["detectable"] == pytest.approx(multiple * spoof["error"])
    assert spoof["speakers_needed"] == 6
    assert rows.loc["frr", "change"] == 0


def test_separation_and_errors_do_not_depend_on_the_scale_of_the_logits(trials, rng):
    masked, controls = trials["spoof_score"] - rng.exponential(size=80), rng.normal(size=(20, 80))
    single = by_statistic(effects(under(trials, masked, controls), **OPTIONS))
    tenfold = trials.assign(spoof_score=10 * trials["spoof_score"])
    ten = by_statistic(effects(under(tenfold, 10 * masked, 10 * controls), **OPTIONS))
    np.testing.assert_allclose(ten.loc["separation":"eer", "p"], single.loc["separation":"eer", "p"])
    np.testing.assert_allclose(ten.loc["separation":, "excess"], single.loc["separation":, "excess"], atol=1e-12)
    assert ten.loc["spoof_change", "excess"] == pytest.approx(10 * single.loc["spoof_change", "excess"])


def test_a_mask_equal_to_its_control_has_no_excess(trials, rng):
    masked = trials["spoof_score"].to_numpy() - rng.exponential(size=len(trials))
    rows = effects(under(trials, masked, np.tile(masked, (20, 1))), **OPTIONS)
    assert (rows[["excess", "excess_low", "excess_high"]] == 0).all(axis=None)
    assert (rows.loc[rows["statistic"].isin(TESTED), "p"] == 1).all()
    assert (rows["change"].abs() > 0).sum() >= 3
    assert "supported" not in set(rows["verdict"])


def test_a_verdict_needs_change_and_excess_of_one_sign(trials, rng):
    """The mask lowers spoof scores by 0.5 and its control by 1: the excess is positive where the change is negative."""
    noise = 0.1 * rng.normal(size=80)
    controls = np.tile(trials["spoof_score"] - 1.0, (20, 1))
    rows = by_statistic(effects(under(trials, trials["spoof_score"] - 0.5 + noise, controls), **OPTIONS))
    assert rows.loc["spoof_change", "change"] < 0 < rows.loc["spoof_change", "excess"]
    assert rows.loc["spoof_change", "significant"]
    assert rows.loc["spoof_change", "verdict"] == "opposite signs"


def test_a_detector_at_chance_is_not_tested(trials, rng):
    blind = trials.assign(spoof_score=rng.normal(size=80))
    rows = effects(under(blind, blind["spoof_score"] - 1.0), **OPTIONS)
    assert rows["p"].isna().all()
    assert set(rows.loc[rows["statistic"].isin(TESTED), "verdict"]) == {"at chance"}
    assert (rows["family"] == 0).all()


def test_few_speakers_decide_nothing_and_the_table_says_how_many_it_takes(trials, rng):
    """Five speakers: no test of speakers at large; of these speakers, there is one."""
    few = trials[trials["speaker"].isin([f"S{i}" for i in range(5)])]
    table = under(few, few["spoof_score"] - 1.0 - 0.5 * rng.normal(size=40))
    at_large, these = (by_statistic(effects(table, **(OPTIONS | {"recordings": within}))) for within in (False, True))
    assert at_large[["p", "low", "high", "detectable"]].isna().all(axis=None)
    assert (at_large.loc[list(TESTED), "verdict"] == "undecided").all()
    assert at_large.loc["spoof_change", "speakers_needed"] >= 6
    assert these.loc["spoof_change", "verdict"] == "supported"
    assert set(these["about"]) == {"these speakers"}
    assert (these["dof"] == 20 - 5).all()


def test_attacks_at_large_have_the_degrees_of_freedom_of_attacks(trials):
    table = under(trials.assign(attack=[f"A{i % 8}" for i in range(80)]), trials["spoof_score"] - 1.0)
    rows = effects(table, **OPTIONS, attacks=True)
    assert (rows["dof"] == 3).all()  # spoofs stand in every second row: four attacks
    assert rows["p"].isna().all()


def test_without_control_the_change_is_tested(trials):
    rows = effects(under(trials, trials["spoof_score"] - 1.0), **OPTIONS)
    assert (rows["tested"] == "change").all()
    assert rows[["control", "excess", "excess_low", "excess_high"]].isna().all(axis=None)
    assert rows[["change", "change_low", "change_high"]].notna().all(axis=None)
    assert rows.loc[rows["statistic"].isin(TESTED), ["p", "p_holm"]].notna().all(axis=None)
    assert by_statistic(rows).loc[["bonafide_change", "spoof_change"], "change_low"].tolist() == pytest.approx([-1, -1])
    assert (rows["draws"] == 0).all()


@pytest.mark.parametrize("draws", [0, 20])
def test_a_mask_without_frames_changes_nothing(trials, draws):
    # Scores from another batch may differ in the last digit.
    scores = trials["spoof_score"].to_numpy() + 1e-7
    rows = effects(under(trials, scores, np.tile(scores, (draws, 1)), status="no frames"), **OPTIONS)
    columns = [f"{name}{end}" for name in ("change", "excess") for end in ("", "_low", "_high")]
    assert (rows[columns] == 0).all(axis=None)
    assert (rows.loc[rows["statistic"].isin(TESTED), ["p", "p_holm"]] == 1).all(axis=None)
    assert (rows["n_applied"] == 0).all()
    assert (rows["draws"] == draws).all()


def test_utterances_where_the_mask_cannot_move_stand_for_their_control(trials):
    table = under(trials, trials["spoof_score"] - 1.0, np.tile(trials["spoof_score"] - 0.5, (20, 1)))
    for row, status in ((1, "no frames"), (3, "all frames")):
        table.loc[row, "status"] = status
        table.at[row, "control_scores"] = np.empty(0)
    rows = by_statistic(effects(table, **OPTIONS))
    assert rows.loc["spoof_change", "change"] == pytest.approx(-39 / 40)
    assert rows.loc["spoof_change", "excess"] == pytest.approx(-38 * 0.5 / 40)
    assert rows.loc["spoof_change", "n_applied"] == 79


def test_a_change_in_the_last_digit_is_no_error(trials):
    rows = by_statistic(effects(under(trials, trials["spoof_score"] - 1e-9), **OPTIONS))
    assert rows.loc[["far", "frr"], "change_low"].tolist() == rows.loc[["far", "frr"], "change_high"].tolist() == [0, 0]
    assert rows.loc["eer", "p"] == 1


def test_holm_is_over_statistics_detectors_and_masks_of_each_seed(trials, rng):
    parts = [
        under(trials, trials["spoof_score"] - shift + rng.normal(size=80), detector=detector, mask=mask, seed=seed)
        for seed in (0, 1)
        for detector in ("sls", "aasist")
        for mask, shift in (("weak", 0.1), ("middle", 0.4), ("strong", 2.0))
    ]
    rows = effects(pd.concat(parts, ignore_index=True), **(OPTIONS | {"rounds": 500}))
    assert len(rows) == 2 * 2 * 3 * len(STATISTICS)
    for _, family in rows[rows["statistic"].isin(TESTED)].groupby("seed"):
        assert len(family) == family["family"].iloc[0] == 2 * 3 * len(TESTED)
        np.testing.assert_allclose(family["p_holm"], multipletests(family["p"], method="holm")[1])
        assert (family["significant"] == (family["p_holm"] < ALPHA)).all()


def test_masks_of_the_same_utterances_share_their_draws(trials):
    alone = effects(under(trials, trials["spoof_score"] - 1, mask="b"), **OPTIONS)
    alone = alone.drop(columns=["p_holm", "family", "significant", "detectable", "speakers_needed", "verdict"])
    fewer = under(trials[trials["speaker"] != "S0"], 0.0, mask="a")
    both = effects(pd.concat([fewer, under(trials, trials["spoof_score"] - 1, mask="b")]), **OPTIONS)
    of_b = both.loc[both["mask"] == "b", alone.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_b, alone)
    assert both["n_speakers"].tolist() == [9] * 7 + [10] * 7


def test_rounds_that_lack_a_class_are_left_out():
    few = pd.DataFrame({"utterance": list("abcdef"), "speaker": list("uvwxyz"), "spoof_score": np.arange(6.0) ** 2})
    few["key"] = ["bonafide"] * 2 + ["spoof"] * 4
    rows = effects(under(few, few["spoof_score"]), **OPTIONS)
    assert (rows["rounds"] < 100).all()
    assert rows["effect"].tolist() == [0] * 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"utterance": "E_0004"}, "row 5 repeats sls, 0, m, E_0004"),
        ({"masked_score": np.inf}, "sls, seed 0, m: masked_score of utterance E_0005 is NaN or infinite"),
        ({"spoof_score": np.nan}, "spoof_score of utterance E_0005 is NaN"),
        ({"control_scores": np.ones(3)}, "utterance E_0005 has 3 control scores, others have 20"),
        ({"control_scores": np.full(20, np.nan)}, "control_scores of utterance E_0005 is NaN"),
        ({"control_scores": np.empty(0)}, "utterance E_0005 has 0 control scores"),
        ({"speaker": None}, "speakers: 1 rows have none"),
    ],
)
def test_faulty_rows_are_named(trials, changed, message):
    table = under(trials, trials["spoof_score"], np.zeros((20, len(trials))))
    for column, value in changed.items():
        table.at[5, column] = value
    with pytest.raises(DataError, match=message):
        effects(table, **OPTIONS)


def test_tables_that_allow_no_statistics(trials):
    table = under(trials, 0.0)
    with pytest.raises(DataError, match="no bonafide utterances among 40; both classes are needed"):
        effects(table[table["key"] == "spoof"], **OPTIONS)
    with pytest.raises(DataError, match="spoof_score hardly varies within the classes of 80 utterances"):
        effects(table.assign(spoof_score=1.0), **OPTIONS)


def test_effects_of_golden_scores_are_those_of_the_metrics(golden):
    """Masked, unmasked and control EER of one golden mask, from `sslig.stats.metrics` alone."""
    table = pd.read_parquet(golden / "tables" / "camhfa" / "mask_phonemes.parquet").assign(detector="camhfa", seed=0)
    rows = by_statistic(effects(table, **OPTIONS)).loc["eer"]
    draws = np.stack(table["control_scores"]).T
    scores = {"unmasked": [table["spoof_score"]], "masked": [table["masked_score"]], "control": draws}
    for name, columns in scores.items():
        assert rows[name] == pytest.approx(np.mean([metrics.eer(*split(table, column)) for column in columns]))
