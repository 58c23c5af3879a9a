"""Figures of consensus and selection: every group and every reason has its row."""

import itertools

import pandas as pd

from sslig.plots.selection import chosen_ranks, group_bars
from sslig.stats.consensus import GROUPS, MIXED


def assert_apart(figure):
    figure.canvas.draw()
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_text()]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_groups_are_counted_by_class():
    figure = group_bars(
        pd.DataFrame({"group": [MIXED] * 3 + [GROUPS[0]], "key": ["spoof", "spoof", "bonafide", "spoof"]})
    )
    assert_apart(figure)
    bonafide, spoof = figure.axes[0].containers
    assert [bar.get_width() for bar in bonafide] == [0, 0, 0, 0, 1]
    assert [bar.get_width() for bar in spoof] == [1, 0, 0, 0, 2]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(GROUPS)


def test_each_reason_has_a_row_even_an_empty_one():
    chosen = pd.DataFrame(
        {"reason": ["b", "a", "b"], "key": ["spoof", "bonafide", "spoof"], "spoof_rank": [1, 0.2, 0.5]}
    )
    figure = chosen_ranks(chosen, ["a", "b", "c"])
    assert_apart(figure)
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["a (1)", "b (2)", "c (0)"]
    assert [marks.get_offsets().tolist() for marks in axis.collections] == [[[20, 0]], [[100, 1], [50, 1]]]


def test_nothing_chosen_can_be_drawn():
    chosen = pd.DataFrame({"reason": [], "key": [], "spoof_rank": []}).astype({"reason": str, "key": str})
    assert_apart(chosen_ranks(chosen, ["a"]))
