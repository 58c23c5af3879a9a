import numpy as np
import pytest

from sslig.validation.statistics import STATISTICS, measured, rolled, shifts


def test_a_value_stands_beside_its_control():
    row = measured("deletion", 2.0, [0.0, 1.0, 2.0, 3.0], at="5")
    assert row["control"] == pytest.approx(1.5)
    assert row["beaten"] == pytest.approx(2.5 / 4)  # a tie counts half
    assert (row["statistic"], row["at"], row["draws"]) == ("deletion", "5", 4)
    assert (row["control_low"], row["control_high"]) == pytest.approx((0.075, 2.925))


def test_what_is_better_lower_beats_what_is_higher():
    assert measured("infidelity", 0.1, [0.9, 0.8, 0.05])["beaten"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("value", "controls"), [(np.nan, [1.0]), (1.0, [np.nan, 1.0])])
def test_what_is_not_defined_has_no_control(value, controls):
    row = measured("deletion", value, controls)
    assert np.isnan([row["value"], row["control"], row["beaten"]]).all()


def test_every_statistic_says_which_way_is_better():
    assert {one.better for one in STATISTICS.values()} == {1, -1}
    assert all(one.meaning and one.control and one.unit for one in STATISTICS.values())


def test_no_shift_is_none_and_none_comes_twice_before_all_came_once():
    found = shifts(6, 7, np.random.default_rng(0))
    assert sorted(found[:5]) == [1, 2, 3, 4, 5]
    assert len(found) == 7
    assert shifts(1, 3, np.random.default_rng(0)).tolist() == [1, 1, 1]


def test_shifts_go_around_the_end():
    frames = np.array([[1, 2, 3], [4, 5, 6]])
    assert rolled(frames, np.array([1])).tolist() == [[[3, 1, 2], [6, 4, 5]]]
