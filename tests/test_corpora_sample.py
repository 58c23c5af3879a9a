import pandas as pd
import pytest

from sslig.corpora.sample import draw, shard_of, stratified
from sslig.errors import InputError


@pytest.fixture
def table():
    """20 bona fide and 40 spoofs: 30 by A01, 8 by A02, 2 by A03."""
    attacks = ["-"] * 20 + ["A01"] * 30 + ["A02"] * 8 + ["A03"] * 2
    keys = ["bonafide" if attack == "-" else "spoof" for attack in attacks]
    names = [f"E_{number:04d}" for number in range(60)]
    return pd.DataFrame({"utterance": names, "key": keys, "attack": attacks})


def counts(table):
    return table["attack"].value_counts().to_dict()


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


def test_a_class_that_is_short_is_taken_whole(table):
    few = table[(table["key"] == "spoof") | (table["utterance"] < "E_0002")]
    assert counts(stratified(few, 12, seed=0)) == {"-": 2, "A01": 2, "A02": 2, "A03": 2}


@pytest.mark.parametrize("sample", [draw, stratified])
def test_the_seed_decides_and_the_order_of_the_rows_does_not(table, sample):
    drawn = sample(table, 12, seed=0)
    assert drawn["utterance"].tolist() == sorted(set(drawn["utterance"]))
    assert len(drawn) == 12
    pd.testing.assert_frame_equal(sample(table.sample(frac=1, random_state=1), 12, seed=0), drawn)
    assert not sample(table, 12, seed=1).equals(drawn)


def test_draws_stay_the_same_from_release_to_release(table):
    assert draw(table, 4, seed=0)["utterance"].tolist() == ["E_0016", "E_0030", "E_0036", "E_0048"]
    even = ["E_0004", "E_0006", "E_0019", "E_0042", "E_0053", "E_0058"]
    assert stratified(table, 6, seed=0)["utterance"].tolist() == even


@pytest.mark.parametrize("n", [None, 60, 1_000])
def test_all_are_drawn_where_there_are_no_more(table, n):
    pd.testing.assert_frame_equal(draw(table.iloc[::-1], n, seed=0), table)


def test_shards_share_no_row_and_lack_none(table):
    shards = [shard_of(table, f"{number}of4") for number in range(4)]
    assert shards[1]["utterance"].tolist()[:2] == ["E_0001", "E_0005"]
    whole = pd.concat(shards).sort_values("utterance").reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, table)
    pd.testing.assert_frame_equal(shard_of(table, "0of1"), table)


@pytest.mark.parametrize("shard", ["4of4", "1", "-1of4", "0of0"])
def test_a_faulty_shard_is_refused(table, shard):
    with pytest.raises(InputError, match="accepted: 0of4"):
        shard_of(table, shard)
