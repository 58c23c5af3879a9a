"""Groups, draws, rank correlation and shared errors of detectors, against cases that can be counted."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sslig.errors import DataError
from sslig.stats import agreement
from sslig.stats.agreement import (
    CONFIDENTLY_RIGHT,
    CONFIDENTLY_WRONG,
    GROUPS,
    MIDDLE_RIGHT,
    MIDDLE_WRONG,
    MIXED,
    select,
)
from sslig.study import PAPER, Stratum

RATE = 0.1


def long(keys, **detectors):
    """Scores of detectors under each other; utterances are numbered, each tenth has a speaker to itself."""
    numbers = range(len(keys))
    about = pd.DataFrame(
        {
            "utterance": [f"U{number:04d}" for number in numbers],
            "key": keys,
            "attack": ["-" if key == "bonafide" else "A01" for key in keys],
            "speaker": [f"S{number % 10}" for number in numbers],
        }
    )
    parts = [about.assign(detector=name, spoof_score=values) for name, values in detectors.items()]
    return pd.concat(parts, ignore_index=True)


KEYS = ["bonafide"] * 10 + ["spoof"] * 10
SCORES = np.array([*range(10), *range(3, 13)], dtype=float)
"""Bona fide score 0 to 9, spoofs 3 to 12: at 4 one spoof is below, from 9 on one bona fide."""


def test_the_cuts_of_a_detector_counted_by_hand():
    cuts = agreement.thresholds(long(KEYS, sls=SCORES), RATE)
    # Below 4 lies one spoof of ten; from 9 on one bona fide of ten; at 6 four bona fide are missed, three spoofs
    # accepted, at 7 three and four: the higher of equals.
    assert cuts == [4.0, 9.0, 7.0]


def test_one_detector_has_four_groups_and_none_mixed():
    groups = agreement.groups(long(KEYS, sls=SCORES), RATE).set_index("utterance")["group"].to_numpy()
    assert groups[:10].tolist() == [CONFIDENTLY_RIGHT] * 4 + [MIDDLE_RIGHT] * 3 + [MIDDLE_WRONG] * 2 + [
        CONFIDENTLY_WRONG
    ]
    assert (
        groups[10:].tolist() == [CONFIDENTLY_WRONG] + [MIDDLE_WRONG] * 3 + [MIDDLE_RIGHT] * 2 + [CONFIDENTLY_RIGHT] * 4
    )


def test_detectors_that_agree_make_the_groups_of_one():
    single = agreement.groups(long(KEYS, sls=SCORES), RATE)
    three = agreement.groups(long(KEYS, sls=SCORES, scaled=7 * SCORES - 100, cubed=SCORES**3), RATE)
    assert three["group"].tolist() == single["group"].tolist()
    assert three["spoof_rank"].tolist() == pytest.approx(single["spoof_rank"].tolist())
    assert set(three["n_right"]) == {0, 3}


def test_what_detectors_do_not_say_alike_is_mixed_and_the_counts_tell_why():
    swapped = SCORES.copy()
    swapped[[0, 5]] = swapped[[5, 0]]  # one bona fide changes from confidently to just right, another the other way
    groups = agreement.groups(long(KEYS, sls=SCORES, two=swapped), RATE)
    assert groups.loc[groups["group"] == MIXED, "utterance"].tolist() == ["U0000", "U0005"]
    mixed = groups[groups["group"] == MIXED]
    assert mixed["n_right"].tolist() == [2, 2]
    assert mixed["n_confident"].tolist() == [1, 1]
    assert mixed["verdict_sls"].tolist() == [CONFIDENTLY_RIGHT, MIDDLE_RIGHT]
    assert mixed["verdict_two"].tolist() == [MIDDLE_RIGHT, CONFIDENTLY_RIGHT]


@pytest.fixture
def noisy(rng):
    """Five detectors that hear the same evidence, 1.5 deviations apart, and noise of their own."""
    keys = ["bonafide"] * 400 + ["spoof"] * 600
    evidence = rng.normal(size=1000) + 1.5 * (np.array(keys) == "spoof")
    return long(keys, **{f"d{number}": evidence + rng.normal(0, 0.5, 1000) for number in range(5)})


def test_one_more_detector_only_moves_utterances_to_mixed(noisy):
    before = None
    for count in range(1, 6):
        groups = agreement.groups(noisy[noisy["detector"] < f"d{count}"], 0.01)["group"]
        assert set(groups) <= set(GROUPS)
        if before is not None:
            shared = groups != MIXED
            assert (groups[shared] == before[shared]).all()
        before = groups


def test_of_a_perfect_detector_the_rate_of_each_class_that_is_nearest_the_other_is_in_the_middle():
    keys = ["bonafide"] * 500 + ["spoof"] * 500
    groups = agreement.groups(long(keys, sls=np.arange(1000.0)), 0.01).set_index("utterance")["group"]
    assert groups[groups != CONFIDENTLY_RIGHT].index.tolist() == [f"U{number:04d}" for number in range(495, 505)]
    assert set(groups) == {CONFIDENTLY_RIGHT, MIDDLE_RIGHT}


def test_cuts_that_cross_leave_what_both_claim_to_the_middle():
    keys = ["bonafide"] * 10 + ["spoof"] * 10
    # At most one in ten of each class may err: from 9 on for the bona fide, below 10 for the spoofs.
    scores = np.array([*range(9), 9.5, 9.4, *range(10, 19)], dtype=float)
    cuts = agreement.thresholds(long(keys, sls=scores), RATE)
    assert cuts[1] < cuts[0]
    groups = agreement.groups(long(keys, sls=scores), RATE).set_index("utterance")["group"]
    assert CONFIDENTLY_WRONG not in set(groups)
    assert groups["U0000"] == groups["U0019"] == CONFIDENTLY_RIGHT


def test_a_detector_that_says_one_thing_is_never_confident():
    groups = agreement.groups(long(KEYS, flat=np.zeros(20)), RATE)
    assert set(groups["group"]) == {MIDDLE_RIGHT, MIDDLE_WRONG}
    assert set(groups["n_confident"]) == {0}


def test_a_small_class_has_no_confident_errors(rng):
    groups = agreement.groups(long(KEYS, sls=rng.normal(size=20), two=rng.normal(size=20)))
    assert not groups["verdict_sls"].eq(CONFIDENTLY_WRONG).any()


def test_the_order_of_the_rows_does_not_matter_and_conditions_are_passed_on(noisy):
    noisy = noisy.assign(codec="C01", recording="x")
    groups = agreement.groups(noisy.sample(frac=1, random_state=0), 0.01)
    pd.testing.assert_frame_equal(groups, agreement.groups(noisy, 0.01))
    assert "codec" in groups
    assert "recording" not in groups
    assert groups["spoof_rank"].between(0, 1).all()


def counts(chosen):
    return chosen["attack"].value_counts().to_dict()


WORDS = {"right": "confidently right", "wrong": "confidently wrong", "middle": "middle right"}


@pytest.fixture
def population():
    """60 bona fide of 20 speakers and 30 spoofs of each of A01 to A03, a third of either in each of three groups.

    An utterance's number is its place on the way to spoof.
    """
    keys = ["bonafide"] * 60 + ["spoof"] * 90
    return pd.DataFrame(
        {
            "utterance": [f"E_{number:04d}" for number in range(150)],
            "key": keys,
            "attack": [f"A{1 + n % 3:02d}" if key == "spoof" else "-" for n, key in enumerate(keys)],
            "speaker": [f"S{n // 3 % 20:02d}" for n in range(150)],
            "group": [list(WORDS.values())[n // 3 % 3] for n in range(150)],
            "spoof_rank": [(1 + number) / 150 for number in range(150)],
        }
    )


def only(groups, *strata, seed=0):
    chosen, shortages = select(groups, strata, seed=seed)
    return chosen, shortages.to_dict("records")


class TestSelect:
    def test_a_number_of_each_attack(self, population):
        chosen, shortages = only(population, Stratum(name="two", key="spoof", group=WORDS["right"], per_attack=2))
        assert counts(chosen) == {"A01": 2, "A02": 2, "A03": 2}
        assert set(chosen["group"]) == {"confidently right"}
        assert set(chosen["reason"]) == {"two"}
        assert shortages == []

    @pytest.mark.parametrize(
        ("key", "order", "expected"),
        [
            ("spoof", "best", ["E_0147", "E_0148", "E_0149"]),
            ("spoof", "worst", ["E_0060", "E_0061", "E_0062"]),
            ("bonafide", "best", ["E_0000", "E_0001", "E_0002"]),
            ("bonafide", "worst", ["E_0057", "E_0058", "E_0059"]),
        ],
    )
    def test_best_is_the_end_where_the_class_belongs(self, population, key, order, expected):
        chosen, _ = only(population, Stratum(name="ends", key=key, n=3, order=order))
        assert chosen["utterance"].tolist() == expected

    def test_a_number_is_spread_over_attacks_and_the_others_fill_in(self, population):
        few = population[(population["attack"] != "A03") | (population["utterance"] >= "E_0147")]
        chosen, _ = only(few, Stratum(name="ten", key="spoof", n=10))
        assert counts(chosen)["A03"] == 1
        assert sorted(counts(chosen).values()) == [1, 4, 5]

    def test_distinct_speakers_stand_once_and_what_lacks_is_said(self, population):
        chosen, shortages = only(population, Stratum(name="voices", key="bonafide", n=28, distinct="speaker"))
        assert chosen["speaker"].is_unique
        assert shortages == [{"stratum": "voices", "attack": "all", "asked": 28, "found": 20}]

    def test_a_speaker_of_one_attack_is_passed_over_in_the_next(self, population):
        chosen, _ = only(population, Stratum(name="voices", key="spoof", per_attack=5, distinct="speaker"))
        assert chosen["speaker"].is_unique
        assert counts(chosen) == {"A01": 5, "A02": 5, "A03": 5}

    def test_a_short_attack_is_named_even_if_none_of_the_group_is_there(self, population):
        gone = population[~((population["attack"] == "A02") & (population["group"] == WORDS["wrong"]))]
        chosen, shortages = only(gone, Stratum(name="two", key="spoof", group=WORDS["wrong"], per_attack=11))
        assert shortages == [
            {"stratum": "two", "attack": "A01", "asked": 11, "found": 10},
            {"stratum": "two", "attack": "A02", "asked": 11, "found": 0},
            {"stratum": "two", "attack": "A03", "asked": 11, "found": 10},
        ]
        assert len(chosen) == 20

    def test_no_utterance_stands_in_two_strata(self, population):
        first, second = Stratum(name="first", key="spoof", n=50), Stratum(name="second", key="spoof", n=50)
        chosen, shortages = only(population, first, second)
        assert chosen["utterance"].is_unique
        assert shortages == [{"stratum": "second", "attack": "all", "asked": 50, "found": 40}]

    def test_the_seed_decides_and_the_order_of_the_rows_and_later_strata_do_not(self, population):
        strata = [Stratum(name="a", key="spoof", n=9), Stratum(name="b", key="bonafide", n=9)]
        chosen, _ = select(population, strata, seed=0)
        shuffled, _ = select(population.sample(frac=1, random_state=1), strata, seed=0)
        pd.testing.assert_frame_equal(shuffled, chosen)
        first, _ = select(population, strata[:1], seed=0)
        assert first["utterance"].tolist() == chosen.loc[chosen["reason"] == "a", "utterance"].tolist()
        assert not select(population, strata, seed=1)[0].equals(chosen)

    def test_each_stratum_draws_from_the_seed_and_its_position(self, population):
        bonafide = population[population["key"] == "bonafide"]
        first, second = (Stratum(name=name, key="bonafide", n=4) for name in "ab")
        chosen, _ = only(bonafide, first, second, seed=7)
        left = bonafide["utterance"].to_numpy()
        for position, name in enumerate("ab"):
            drawn = left[np.random.default_rng((7, position)).permutation(len(left))[:4]]
            assert chosen.loc[chosen["reason"] == name, "utterance"].tolist() == sorted(drawn)
            left = np.setdiff1d(left, drawn)


class TestPaper:
    def test_it_asks_for_as_many_of_each_kind_as_the_published_selection_has(self, reference):
        published = pd.read_csv(reference / "published_selection_132.csv")["SelectionReason"].value_counts()
        names = {
            "best-scored spoof of its attack": "Best-Scored Spoof (per attack)",
            "confidently right spoof": "Confidently Correct Spoof",
            "confidently right bona fide": "Confidently Correct Bonafide",
            "confidently wrong bona fide": "Confidently Wrong Bonafide",
            "confidently wrong spoof": "Confidently Wrong Spoof",
            "middle right bona fide": "Mid-Correct Bonafide",
            "middle right spoof": "Mid-Correct Spoof",
            "middle wrong bona fide": "Mid-Wrong Bonafide",
            "middle wrong spoof": "Mid-Wrong Spoof",
        }
        asked = {names[stratum.name]: stratum.n or 16 * stratum.per_attack for stratum in PAPER}
        assert asked == published.to_dict()

    def test_it_has_132_utterances_of_16_attacks_and_draws_at_random_last(self):
        assert sum(stratum.n or 16 * stratum.per_attack for stratum in PAPER) == 132
        assert [stratum.order for stratum in PAPER] == ["best", *["random"] * 8]


class TestRankCorrelation:
    def test_a_monotone_change_is_one_and_a_reversed_one_minus_one(self):
        scores = long(KEYS, a=SCORES, b=np.exp(SCORES), c=-SCORES)
        table = agreement.rank_correlation(scores, recordings=False, seed=0, rounds=30).set_index(
            ["first", "second", "scope"]
        )
        assert table["rho"].unstack().round(12).to_dict("list") == {
            scope: [1.0, -1.0, -1.0] for scope in ("all", "bona fide", "spoof")
        }
        np.testing.assert_allclose(table["low"], table["rho"])
        np.testing.assert_allclose(table["high"], table["rho"])

    def test_scipy_gives_the_same_ties_included(self, rng):
        a, b = rng.integers(0, 5, 200).astype(float), rng.integers(0, 5, 200).astype(float)
        scores = long(["bonafide"] * 80 + ["spoof"] * 120, a=a, b=b)
        table = agreement.rank_correlation(scores, recordings=False, seed=0, rounds=20).set_index("scope")
        expected = [spearmanr(a[part], b[part]).statistic for part in (slice(None), slice(80), slice(80, None))]
        assert table.loc[["all", "bona fide", "spoof"], "rho"].tolist() == pytest.approx(expected)
        assert table["n"].to_dict() == {"all": 200, "bona fide": 80, "spoof": 120}
        assert set(table["n_speakers"]) == {10}

    def test_a_constant_detector_has_none(self):
        table = agreement.rank_correlation(long(KEYS, a=SCORES, b=np.zeros(20)), recordings=False, seed=0, rounds=5)
        assert table[["rho", "low", "high"]].isna().all(axis=None)

    def test_one_detector_has_no_pair(self):
        assert agreement.rank_correlation(long(KEYS, sls=SCORES), recordings=False, seed=0).empty

    def test_recordings_are_resampled_within_speakers(self, rng):
        scores = long(KEYS, a=SCORES, b=rng.permutation(SCORES)).assign(speaker="S", recording=[*range(20)] * 2)
        table = agreement.rank_correlation(scores, recordings=True, seed=0, rounds=50)
        assert (table["low"] < table["high"]).all()


class TestSharedErrors:
    def test_regions_counted_by_hand(self):
        # At its threshold of 1 each detector errs on its own tenth of the bona fide and they share another tenth.
        bonafide_a, bonafide_b = [1, 1, *[0] * 8], [1, 0, 1, *[0] * 7]
        scores = long(KEYS, a=[*bonafide_a, *[1] * 8, 0, 0], b=[*bonafide_b, *[1] * 8, 0, 0])
        table = agreement.shared_errors(scores, recordings=False, seed=0, rounds=40).set_index(["key", "wrong"])
        assert table.loc["bonafide", "observed"].to_dict() == {"none": 7, "a": 1, "b": 1, "a + b": 1}
        assert table.loc["bonafide", "expected"].to_dict() == pytest.approx(
            {"none": 6.4, "a": 1.6, "b": 1.6, "a + b": 0.4}
        )
        assert table.loc[("spoof", "a + b"), ["observed", "ratio"]].tolist() == pytest.approx([2, 5])
        assert np.isfinite(table.loc[("bonafide", "a + b"), ["low", "high"]].astype(float)).all()

    def test_expected_sum_to_the_class_and_independent_errors_have_ratio_one(self, rng):
        keys = ["bonafide"] * 4000 + ["spoof"] * 4000
        scores = long(keys, **{name: rng.normal(size=8000) + (np.array(keys) == "spoof") for name in "abc"})
        table = agreement.shared_errors(scores, recordings=False, seed=0, rounds=100)
        assert table.groupby("key")[["observed", "expected"]].sum().to_numpy() == pytest.approx(4000)
        assert table["ratio"].between(0.8, 1.2).all()
        assert len(table) == 2 * 2**3

    def test_detectors_without_errors_expect_none(self):
        table = agreement.shared_errors(long(KEYS, a=[0] * 10 + [1] * 10), recordings=False, seed=0, rounds=10)
        assert table.loc[table["wrong"] == "a", "ratio"].isna().all()
        assert table.loc[table["wrong"] == "none", "ratio"].tolist() == [1, 1]

    def test_too_many_detectors_are_refused(self):
        with pytest.raises(DataError, match="9 detectors; at most 8"):
            agreement.shared_errors(long(KEYS, **{f"d{n}": SCORES for n in range(9)}), recordings=False, seed=0)


SOUND = long(KEYS, a=SCORES, b=SCORES)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (pd.concat([SOUND, SOUND.tail(1)]), "b scored U0019 twice; one score is needed"),
        (SOUND.iloc[:-1], "b has no finite score of U0019; every detector"),
        (SOUND.assign(spoof_score=SOUND["spoof_score"].where(SOUND.index != 3, np.inf)), "a has no finite .* U0003"),
        (SOUND.assign(attack=SOUND["attack"].where(SOUND.index != 15, "A02")), "disagree on key, .* of U0015"),
        (SOUND.replace("spoof", "fake"), "key 'fake' in row U0010"),
        (SOUND[SOUND["key"] == "spoof"], "no bona fide scores"),
    ],
)
def test_scores_that_do_not_fit_together_are_refused(scores, message):
    with pytest.raises(DataError, match=message):
        agreement.groups(scores)
