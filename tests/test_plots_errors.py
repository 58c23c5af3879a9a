"""Figures of errors draw the rates of the scores they are given, labelled with units."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from sslig.plots import style
from sslig.plots.errors import det, eer_bars, error_rates, reliability
from sslig.stats import metrics

DETECTORS = ("aasist", "camhfa", "sls")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory would not be freed."""
    yield
    assert not plt.get_fignums()


def assert_labelled(figure):
    """Draws the figure; no axis may lack its label, no tick label may overlap its neighbour."""
    figure.canvas.draw()
    for axis in figure.axes:
        assert axis.get_ylabel() or axis.get_title() or axis.get_xlabel()
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_visible() and tick.get_text()]
            assert not any(box.overlaps(other) for box, other in itertools.pairwise(boxes))
    assert figure.get_size_inches()[0] <= style.WIDTH_IN


def test_det_of_normal_scores_is_a_line_of_slope_minus_1(rng):
    scores = {
        name: (rng.normal(size=20_000), rng.normal(distance, 1, size=20_000))
        for name, distance in zip(DETECTORS, (1, 2, 4), strict=True)
    }
    figure = det(scores)
    assert_labelled(figure)
    line = figure.axes[0].lines[0]
    middle = np.abs(line.get_xdata()) < 1
    slope, level = np.polyfit(line.get_xdata()[middle], line.get_ydata()[middle], 1)
    assert (slope, level) == pytest.approx((-1, -1), abs=0.1)
    assert figure.axes[0].lines[1].get_xdata()[0] == pytest.approx(ndtri(metrics.eer(*scores["aasist"])))
    assert figure.axes[0].get_legend().get_texts()[0].get_text().startswith("aasist (EER 3")


@pytest.mark.parametrize("classes", [([0.0], [1.0]), ([1.0], [0.0]), ([0.0], [0.0])])
def test_det_of_the_extremes_can_be_drawn(classes):
    assert_labelled(det({"sls": classes}))


def test_error_rates_meet_at_the_eer():
    """Uniform scores 0 to 100 and 50 to 150: both rates are 25 % at 75."""
    scores = np.arange(0, 100, 0.01), np.arange(50, 150, 0.01)
    rows = [("EER", 75.0, 0.25, 0.25), ("BPCER at APCER 1 %", 50.0, 0.5, 0.0), ("APCER at BPCER 1 %", np.inf, 0.0, 1.0)]
    points = pd.DataFrame(rows, columns=["point", "threshold", "fnmr", "fmr"]).assign(detector="sls")
    figure = error_rates({"sls": scores, "aasist": scores}, points)
    assert_labelled(figure)
    fnmr, fmr, eer, bpcer = figure.axes[0].lines
    assert np.interp(75, fnmr.get_xdata(), fnmr.get_ydata()) == pytest.approx(0.25, abs=0.002)
    assert np.interp(75, fmr.get_xdata(), fmr.get_ydata()) == pytest.approx(0.25, abs=0.002)
    assert (eer.get_xdata()[0], eer.get_ydata()[0]) == (75, 0.25)
    assert bpcer.get_ydata()[0] == figure.axes[0].get_ylim()[0]  # a rate of 0 lies on the lower edge
    assert len(figure.axes[1].lines) == 2


def test_eer_bars_are_as_long_as_the_rates():
    rows = [
        (name, f"A{attack}", 0.01 * attack, 0.005 * attack, 0.02 * attack, 1000)
        for attack in range(17, 33)
        for name in DETECTORS
    ]
    table = pd.DataFrame(rows, columns=["detector", "attack", "value", "low", "high", "n_spoof"])
    figure = eer_bars(table, "attack")
    assert_labelled(figure)
    assert [bar.get_width() for bar in figure.axes[0].containers[0]] == pytest.approx(0.01 * np.arange(17, 33))
    assert figure.axes[0].get_xlim()[1] >= table["high"].max()  # no bar and no interval is cut off
    assert figure.axes[0].get_yticklabels()[0].get_text() == "A17 (n = 1,000)"


def test_points_of_reliability_lie_where_claim_and_observation_meet():
    table = pd.DataFrame({"claimed": [0.8, 0.2], "observed": [0.7, 0.3], "low": [0.6, np.nan], "high": [0.75, np.nan]})
    figure = reliability(pd.concat([table.assign(detector=name) for name in DETECTORS]))
    assert_labelled(figure)
    assert [axis.get_title() for axis in figure.axes] == list(DETECTORS)
    diagonal, points = figure.axes[0].lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert (points.get_xdata().tolist(), points.get_ydata().tolist()) == ([0.2, 0.8], [0.3, 0.7])
