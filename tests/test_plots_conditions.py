"""Heat maps: cells hold what was given, with counts, and nothing overlaps."""

import itertools

import numpy as np
import pandas as pd
import pytest

from sslig.plots import style
from sslig.plots.conditions import metric_heatmap


def cells(n_attacks, codecs, panels, **values):
    """A row for each attack, codec and combination of panels; metrics count up from 0 in steps of 0.01."""
    rows = itertools.product(*panels.values(), [f"A{i:02d}" for i in range(n_attacks)], codecs)
    table = pd.DataFrame(rows, columns=[*panels, "attack", "codec"])
    return table.assign(eer=0.01 * np.arange(len(table)), n_spoof=11_234, n_bonafide=27_345).assign(**values)


def assert_apart(figure):
    """Draws the figure; tick labels do not overlap, and texts of a cell stay within its column."""
    figure.canvas.draw()
    assert figure.get_size_inches()[0] <= style.WIDTH_IN
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_text()]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
        for text in axis.texts:
            left, right = axis.transData.transform([(text.get_position()[0] + shift, 0) for shift in (-0.5, 0.5)])[:, 0]
            assert text.get_window_extent().width < right - left


def test_genders_stand_side_by_side_in_the_order_of_the_detectors():
    table = cells(5, ["-", "C01", "C02", "C03"], {"gender": ["F", "M"], "detector": ["sls", "aasist"]})
    figure = metric_heatmap(table, "eer", panels=["detector", "gender"])
    assert_apart(figure)
    assert [axis.get_title() for axis in figure.axes[:4]] == ["sls F", "sls M", "aasist F", "aasist M"]
    assert [text.get_text() for text in figure.axes[0].texts[:3]] == ["0.0", "1.0", "2.0"]
    assert figure.axes[0].texts[-1].get_text() == "11,234"
    assert figure.axes[0].get_xticklabels()[1].get_text() == "C01\n27,345"


def test_many_codecs_stand_one_above_the_other():
    table = cells(16, ["-", *(f"C{i:02d}" for i in range(1, 13))], {"detector": ["sls"], "gender": ["F", "M"]})
    figure = metric_heatmap(table.assign(eer=0.455), "eer", panels=["detector", "gender"])
    assert_apart(figure)
    places = [axis.get_position() for axis in figure.axes[:2]]
    assert places[0].x0 == pytest.approx(places[1].x0)
    assert places[0].y0 > places[1].y1


def test_a_cell_without_metric_is_empty_but_counted():
    table = cells(
        2, ["-", "C01"], {"detector": ["sls"]}, n_bonafide=0, eer=[0.1, np.nan, 0.3, np.nan], n_spoof=[4, 5, 6, 0]
    )
    figure = metric_heatmap(table, "eer", panels=["detector"])
    assert_apart(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["10.0", "30.0", "4", "5", "6"]


@pytest.mark.parametrize(
    ("metric", "text"), [("min_dcf", "0.25"), ("act_dcf", "0.25"), ("cllr", "0.25"), ("eer", "25.0")]
)
def test_each_metric_has_its_unit(metric, text):
    table = cells(1, ["-"], {}).rename(columns={"eer": metric}).assign(**{metric: 0.25})
    figure = metric_heatmap(table, metric, title="all")
    assert figure.axes[0].texts[0].get_text() == text
    assert figure.axes[0].get_title() == "all"


def test_nothing_but_zeros_can_be_drawn():
    figure = metric_heatmap(cells(2, ["-"], {}, eer=0.0), "eer")
    assert_apart(figure)
    assert figure.axes[0].collections[0].get_clim() == (0, 1)
