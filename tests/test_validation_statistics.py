import numpy as np
import pytest

from sslig.validation.statistics import STATISTICS, measured, rolled, shifts


def test_a_value_stands_beside_chance():
    row = measured("deletion", 2.0, [0.0, 1.0, 2.0, 3.0], at="5")
    assert row["chance"] == pytest.approx(1.5)
    assert row["beaten"] == pytest.approx(2.5 / 4)  # a tie counts half
    assert (row["statistic"], row["at"], row["draws"]) == ("deletion", "5", 4)
    assert (row["chance_low"], row["chance_high"]) == pytest.approx((0.075, 2.925))


def test_where_lower_is_better_a_value_beats_higher_ones():
    assert measured("infidelity", 0.1, [0.9, 0.8, 0.05])["beaten"] == pytest.approx(2 / 3)
    assert set(STATISTICS.values()) == {1, -1}


@pytest.mark.parametrize(("value", "controls"), [(np.nan, [1.0]), (1.0, [np.nan, 1.0])])
def test_an_undefined_value_has_no_chance(value, controls):
    row = measured("deletion", value, controls)
    assert np.isnan([row["value"], row["chance"], row["beaten"]]).all()


def test_each_shift_comes_once_before_any_comes_twice():
    drawn = shifts(6, 7, np.random.default_rng(0))
    assert sorted(drawn[:5]) == [1, 2, 3, 4, 5]
    assert len(drawn) == 7
    assert shifts(1, 3, np.random.default_rng(0)).tolist() == [1, 1, 1]


def test_shifts_go_around_the_end():
    frames = np.array([[1, 2, 3], [4, 5, 6]])
    assert rolled(frames, np.array([1])).tolist() == [[[3, 1, 2], [6, 4, 5]]]
