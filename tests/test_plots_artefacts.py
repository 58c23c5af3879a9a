"""Figures of artefacts: what is drawn is what was given, and nothing overlaps."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sslig.cues import artefacts
from sslig.plots import style
from sslig.plots.artefacts import contributions, measure_eers, score_heatmap, time_correlations
from sslig.report.artefact_evidence import KINDS, SEGMENTS

DETECTORS = ("aasist", "camhfa", "sls")
KEYS = ("bonafide", "spoof")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    assert not plt.get_fignums()


def assert_readable(figure):
    """Draws the figure; no tick label may overlap its neighbour, and it fits the page."""
    figure.canvas.draw()
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_visible() and tick.get_text()]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert figure.get_size_inches()[0] <= style.WIDTH_IN


def crossed(**columns):
    """A row for each combination of detector, class and the values of `columns`."""
    names = ["detector", "key", *columns]
    return pd.DataFrame(list(itertools.product(DETECTORS, KEYS, *columns.values())), columns=names)


@pytest.fixture
def eers():
    """Three measures: beyond doubt and larger in spoofs, in doubt, and without any difference; one has no EER."""
    return pd.DataFrame({
        "measure": ["level_dbfs", "snr_db", "pauses", "f0_mean_hz"], "eer": [0.4, 0.3, 0.5, np.nan],
        "low": [0.3, 0.25, 0.5, np.nan], "high": [0.55, 0.35, 0.5, np.nan],
        "larger_in": ["bonafide", "spoof", "neither", np.nan], "p_holm": [0.4, 0.01, 1, np.nan],
    })  # fmt: skip


def points(axis):
    return [line for line in axis.lines if line.get_marker() not in ("None", None, "")]


def test_measures_are_sorted_and_coloured_by_the_class_they_are_larger_in(eers):
    figure = measure_eers(eers)
    assert_readable(figure)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["snr_db", "level_dbfs", "pauses"]
    found = points(axis)
    assert [point.get_xdata()[0] for point in found] == [0.3, 0.4, 0.5]
    assert [to_hex(point.get_color()).upper() for point in found] == [style.VERMILLION, style.BLUE, style.GREY]
    assert [point.get_markerfacecolor() for point in found] == [style.VERMILLION, "white", "white"]


def test_all_measures_fit():
    names = list(artefacts.MEASURES)
    table = pd.DataFrame({"measure": names, "eer": 0.4, "low": 0.3, "high": 0.45, "larger_in": "spoof", "p_holm": 0.01})
    assert_readable(measure_eers(table))


def test_the_heatmap_writes_each_correlation_and_marks_what_is_beyond_doubt():
    table = crossed(measure=["snr_db", "pauses", "clipping_share"]).assign(spearman=0.25, p_holm=0.5)
    table.loc[table["measure"] == "clipping_share", ["spearman", "p_holm"]] = np.nan
    sure = (table["detector"] == "sls") & (table["measure"] == "pauses") & (table["key"] == "spoof")
    table.loc[sure, ["spearman", "p_holm"]] = -0.5, 0.01
    figure = score_heatmap(table)
    assert_readable(figure)
    assert [axis.get_title() for axis in figure.axes] == ["bona fide", "spoof"]
    texts = [(text.get_text(), text.get_fontweight()) for text in figure.axes[1].texts]
    assert sorted(texts) == sorted([("+0.25", "normal")] * 5 + [("-0.50", "bold")])


def test_correlations_over_time_lie_on_what_chance_gives():
    table = crossed(track=["loudness", "voicing"], evidence=list(KINDS)).assign(
        r=0.2, low=0.1, high=0.3, null_low=-0.1, null_high=0.1, p_holm=0.01
    )
    table.loc[0, ["r", "p_holm"]] = np.nan
    figure = time_correlations(table, KINDS)
    assert_readable(figure)
    assert [axis.get_title() for axis in figure.axes] == ["loudness", "voicing"]
    assert len(points(figure.axes[0])) == 11
    assert len(points(figure.axes[1])) == 12
    chance = [line.get_xdata() for line in figure.axes[1].lines if line.get_linewidth() == 6]
    np.testing.assert_array_equal(chance, [[-0.1, 0.1]] * 12)


def test_contributions_are_around_one_on_a_logarithmic_axis():
    table = crossed(segment=list(SEGMENTS)).assign(relative=1.0, low=0.0, high=9.0, p_holm=1.0)
    table.loc[table["segment"] == "non_speech", "relative"] = 0.3
    table.loc[table["segment"] == "onsets", "relative"] = np.nan
    figure = contributions(table, SEGMENTS)
    assert_readable(figure)
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    assert axis.get_xlim() == (1 / 8, 2)  # the least point is 0.3, and no interval reaches beyond twice as far
    assert len(points(axis)) == 3 * (len(SEGMENTS) - 1)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2"]


def test_a_class_that_is_not_there_has_no_panel():
    table = crossed(segment=list(SEGMENTS)).assign(relative=1.0, low=0.9, high=1.1, p_holm=1.0)
    figure = contributions(table[table["key"] == "spoof"], SEGMENTS)
    assert [axis.get_title() for axis in figure.axes] == ["spoof"]
