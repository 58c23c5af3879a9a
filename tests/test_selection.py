import pandas as pd
import pytest

from sslig.selection import draw, stratified


@pytest.fixture
def table():
    """20 bona fide and 40 spoofs: 30 by A01, 8 by A02, 2 by A03."""
    attacks = ["-"] * 20 + ["A01"] * 30 + ["A02"] * 8 + ["A03"] * 2
    keys = ["bonafide" if attack == "-" else "spoof" for attack in attacks]
    names = [f"E_{number:04d}" for number in range(60)]
    return pd.DataFrame({"utterance": names, "key": keys, "attack": attacks})


def counts(chosen):
    return chosen["attack"].value_counts().to_dict()


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (6, {"-": 3, "A01": 1, "A02": 1, "A03": 1}),
        (12, {"-": 6, "A01": 2, "A02": 2, "A03": 2}),
        (20, {"-": 10, "A01": 4, "A02": 4, "A03": 2}),
        (40, {"-": 20, "A01": 10, "A02": 8, "A03": 2}),
        (100, {"-": 20, "A01": 30, "A02": 8, "A03": 2}),
    ],
)
def test_classes_and_attacks_are_even_as_far_as_they_reach(table, n, expected):
    assert counts(stratified(table, n, seed=0)) == expected


def test_what_cannot_be_even_differs_by_one(table):
    found = counts(stratified(table, 8, seed=0))
    assert found.pop("-") == 4
    assert sorted(found.values()) == [1, 1, 2]


def test_a_class_that_is_short_gives_what_it_has(table):
    few = table[(table["key"] == "spoof") | (table["utterance"] < "E_0002")]
    assert counts(stratified(few, 12, seed=0)) == {"-": 2, "A01": 2, "A02": 2, "A03": 2}


def test_no_utterance_stands_twice_and_they_are_in_order(table):
    chosen = stratified(table, 30, seed=0)["utterance"].tolist()
    assert chosen == sorted(set(chosen))


def test_the_seed_decides_and_the_order_of_the_rows_does_not(table):
    chosen = stratified(table, 12, seed=0)
    pd.testing.assert_frame_equal(stratified(table.sample(frac=1, random_state=1), 12, seed=0), chosen)
    assert not stratified(table, 12, seed=1).equals(chosen)


def test_a_draw_is_without_replacement_and_in_order(table):
    drawn = draw(table.sample(frac=1, random_state=1), 10, seed=0)
    assert len(drawn) == 10
    assert drawn["utterance"].tolist() == sorted(set(drawn["utterance"]))
    pd.testing.assert_frame_equal(drawn, draw(table, 10, seed=0))
    assert not draw(table, 10, seed=1).equals(drawn)


@pytest.mark.parametrize("n", [None, 60, 1_000])
def test_all_are_drawn_where_there_are_no_more(table, n):
    pd.testing.assert_frame_equal(draw(table.iloc[::-1], n, seed=0), table)
