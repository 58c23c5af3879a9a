"""Strata draw what they say from a fixed seed, none twice, and name what they lack."""

import numpy as np
import pandas as pd
import pytest

from sslig.errors import StudyError
from sslig.stats.selection import PAPER, Stratum, select, strata


def counts(chosen):
    return chosen["attack"].value_counts().to_dict()


GROUPS = {"right": "confidently right", "wrong": "confidently wrong", "middle": "middle right"}


@pytest.fixture
def groups():
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
            "group": [list(GROUPS.values())[n // 3 % 3] for n in range(150)],
            "spoof_rank": [(1 + number) / 150 for number in range(150)],
        }
    )


def only(groups, *strata, seed=0):
    chosen, shortages = select(groups, strata, seed=seed)
    return chosen, shortages.to_dict("records")


class TestSelect:
    def test_a_number_of_each_attack(self, groups):
        chosen, shortages = only(groups, Stratum(name="two", key="spoof", group=GROUPS["right"], per_attack=2))
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
    def test_best_is_the_end_where_the_class_belongs(self, groups, key, order, expected):
        chosen, _ = only(groups, Stratum(name="ends", key=key, n=3, order=order))
        assert chosen["utterance"].tolist() == expected

    def test_a_number_is_spread_over_attacks_and_the_others_fill_in(self, groups):
        few = groups[(groups["attack"] != "A03") | (groups["utterance"] >= "E_0147")]
        chosen, _ = only(few, Stratum(name="ten", key="spoof", n=10))
        assert counts(chosen)["A03"] == 1
        assert sorted(counts(chosen).values()) == [1, 4, 5]

    def test_distinct_speakers_stand_once_and_what_lacks_is_said(self, groups):
        chosen, shortages = only(groups, Stratum(name="voices", key="bonafide", n=28, distinct="speaker"))
        assert chosen["speaker"].is_unique
        assert shortages == [{"stratum": "voices", "attack": "all", "asked": 28, "found": 20}]

    def test_a_speaker_of_one_attack_is_passed_over_in_the_next(self, groups):
        chosen, _ = only(groups, Stratum(name="voices", key="spoof", per_attack=5, distinct="speaker"))
        assert chosen["speaker"].is_unique
        assert counts(chosen) == {"A01": 5, "A02": 5, "A03": 5}

    def test_a_short_attack_is_named_even_if_none_of_the_group_is_there(self, groups):
        gone = groups[~((groups["attack"] == "A02") & (groups["group"] == GROUPS["wrong"]))]
        chosen, shortages = only(gone, Stratum(name="two", key="spoof", group=GROUPS["wrong"], per_attack=11))
        assert shortages == [
            {"stratum": "two", "attack": "A01", "asked": 11, "found": 10},
            {"stratum": "two", "attack": "A02", "asked": 11, "found": 0},
            {"stratum": "two", "attack": "A03", "asked": 11, "found": 10},
        ]
        assert len(chosen) == 20

    def test_a_group_that_nobody_is_in_gives_none(self, groups):
        chosen, shortages = only(
            groups, Stratum(name="none", key="spoof", group="mixed", n=4), Stratum(name="some", key="spoof", n=1)
        )
        assert chosen["reason"].tolist() == ["some"]
        assert shortages == [{"stratum": "none", "attack": "all", "asked": 4, "found": 0}]

    def test_no_utterance_stands_in_two_strata(self, groups):
        first, second = Stratum(name="first", key="spoof", n=50), Stratum(name="second", key="spoof", n=50)
        chosen, shortages = only(groups, first, second)
        assert chosen["utterance"].is_unique
        assert shortages == [{"stratum": "second", "attack": "all", "asked": 50, "found": 40}]

    def test_the_seed_decides_and_the_order_of_the_rows_and_later_strata_do_not(self, groups):
        strata = [Stratum(name="a", key="spoof", n=9), Stratum(name="b", key="bonafide", n=9)]
        chosen, _ = select(groups, strata, seed=0)
        shuffled, _ = select(groups.sample(frac=1, random_state=1), strata, seed=0)
        pd.testing.assert_frame_equal(shuffled, chosen)
        first, _ = select(groups, strata[:1], seed=0)
        assert first["utterance"].tolist() == chosen.loc[chosen["reason"] == "a", "utterance"].tolist()
        assert not select(groups, strata, seed=1)[0].equals(chosen)

    def test_each_stratum_draws_from_the_seed_and_its_position(self, groups):
        bonafide = groups[groups["key"] == "bonafide"]
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

    def test_every_utterance_has_a_reason_and_what_is_short_is_listed(self, groups):
        chosen, shortages = select(groups, seed=0)
        assert chosen["utterance"].is_unique
        assert chosen["reason"].value_counts().to_dict() == {
            "confidently right bona fide": 7,
            "confidently wrong bona fide": 10,
            "confidently wrong spoof": 10,
            "best-scored spoof of its attack": 6,
            "confidently right spoof": 6,
            "middle right bona fide": 5,
            "middle right spoof": 5,
        }
        assert shortages["stratum"].tolist() == [
            "confidently right bona fide",
            "middle wrong bona fide",
            "middle wrong spoof",
        ]
        assert shortages[["asked", "found"]].to_numpy().tolist() == [[28, 7], [5, 0], [5, 0]]


class TestStrata:
    def test_rows_of_an_experiment_file_become_strata_and_none_becomes_the_papers(self):
        rows = [{"name": "a", "key": "spoof", "group": "middle wrong", "per_attack": 2, "order": "worst"}]
        assert strata(rows) == (Stratum(name="a", key="spoof", group="middle wrong", per_attack=2, order="worst"),)
        assert strata(None) == PAPER
        assert strata([stratum.model_dump() for stratum in PAPER]) == PAPER

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("two spoofs", "row 2.*'two spoofs': Input should be a valid dictionary"),
            ({"name": "b", "key": "spoof", "n": 3, "size": 3}, "row 2: size is 3: Extra inputs are not permitted"),
            ({"key": "spoof", "n": 3}, "row 2: name .*Field required"),
            ({"name": "b", "key": "fake", "n": 3}, "key is 'fake': Input should be 'bonafide' or 'spoof'"),
            ({"name": "b", "key": "spoof", "group": "right", "n": 3}, "group is 'right': .* 'confidently right'"),
            ({"name": "b", "key": "spoof", "n": 3, "order": "top"}, "order is 'top': .*'random', 'best' or 'worst'"),
            ({"name": "b", "key": "spoof", "n": 3, "distinct": "codec"}, "distinct is 'codec': .*'speaker'"),
            ({"name": "b", "key": "spoof"}, "n is None and per_attack is None; exactly one"),
            ({"name": "b", "key": "spoof", "n": 3, "per_attack": 1}, "n is 3 and per_attack is 1; exactly one"),
            ({"name": "b", "key": "spoof", "n": 0}, "n is 0: Input should be greater than 0"),
            ({"name": "b", "key": "spoof", "n": True}, "n is True: Input should be a valid integer"),
            ({"name": "b", "key": "spoof", "per_attack": 1.5}, r"per_attack is 1\.5: Input should be a valid integer"),
            ({"name": "b", "key": "bonafide", "per_attack": 2}, "bona fide utterances have no attack"),
            ({"name": "a", "key": "spoof", "n": 3}, "several strata 'a'"),
        ],
    )
    def test_what_is_wrong_in_a_row_is_said(self, row, message):
        with pytest.raises(StudyError, match=message):
            strata([{"name": "a", "key": "spoof", "n": 1}, row])

    def test_an_empty_table_is_refused(self):
        with pytest.raises(StudyError, match="no stratum"):
            strata([])
