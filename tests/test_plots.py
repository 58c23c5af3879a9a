"""Figures: what is drawn is what was given, labelled with units, in the colours of the project."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from sslig.plots import style
from sslig.plots.errors import det, eer_bars, error_rates, error_regions, score_distributions
from sslig.plots.training import training_curves
from sslig.stats import metrics

DETECTORS = ("aasist", "camhfa", "sls")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory kept."""
    yield
    assert not plt.get_fignums()


def assert_labelled(figure):
    """Draws the figure; no axis may lack its label, no tick label may overlap its neighbour."""
    figure.canvas.draw()
    for axis in figure.axes:
        assert axis.get_ylabel() or axis.get_title() or axis.get_xlabel()
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_visible() and tick.get_text()]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert figure.get_size_inches()[0] <= style.WIDTH_IN


def test_det_of_normal_scores_is_a_line_of_slope_minus_1(rng):
    curves, eers = {}, {}
    for name, distance in zip(DETECTORS, (1, 2, 4), strict=True):
        trials = rng.normal(size=20_000), rng.normal(distance, 1, size=20_000)
        curves[name], eers[name] = metrics.det_points(*trials), metrics.eer(*trials)
    figure = det(curves, eers)
    assert_labelled(figure)
    line = figure.axes[0].lines[0]
    middle = np.abs(line.get_xdata()) < 1
    slope, level = np.polyfit(line.get_xdata()[middle], line.get_ydata()[middle], 1)
    assert (slope, level) == pytest.approx((-1, -1), abs=0.1)
    assert figure.axes[0].lines[1].get_xdata()[0] == pytest.approx(ndtri(eers["aasist"]))
    assert figure.axes[0].get_legend().get_texts()[0].get_text().startswith("aasist (EER 3")


@pytest.mark.parametrize("curve", [([1, 0, 0], [0, 0, 1]), ([1, 1, 0], [0, 1, 1]), ([1, 0], [0, 1])])
def test_det_of_the_extremes_can_be_drawn(curve):
    assert_labelled(det({"sls": curve}, {"sls": 0.0}))


def test_eer_bars_are_as_long_as_the_rates():
    rows = [(name, f"A{attack}", 0.01 * attack, 0.005 * attack, 0.02 * attack, 1000) for attack in range(17, 33)
            for name in DETECTORS]  # fmt: skip
    table = pd.DataFrame(rows, columns=["detector", "group", "eer", "low", "high", "n"])
    figure = eer_bars(table, group="attack")
    assert_labelled(figure)
    assert [bar.get_width() for bar in figure.axes[0].containers[0]] == pytest.approx(0.01 * np.arange(17, 33))
    assert figure.axes[0].get_yticklabels()[0].get_text() == "A17 (n = 1,000)"
    assert figure.axes[0].get_ylabel() == "attack"


def test_error_rates_meet_at_the_eer():
    """Rates that halve and double per step meet at 25 %; a held rate of 0 lies on the lower edge."""
    curve = pd.DataFrame({"threshold": [-1.0, 0, 1, 2], "fnmr": [0.5, 0.25, 0.125, 0], "fmr": [0, 0.25, 0.5, 1]})
    rows = [("EER", 0.0, 0.25, 0.25), ("FNMR at FMR 1 %", -1.0, 0.5, 0.0), ("FMR at FNMR 1 %", np.inf, 0.0, 1.0)]
    points = pd.DataFrame(rows, columns=["point", "threshold", "fnmr", "fmr"]).assign(detector="sls")
    figure = error_rates({"sls": curve, "aasist": curve}, points)
    assert_labelled(figure)
    fnmr, fmr, eer, held = figure.axes[0].lines
    assert fnmr.get_ydata().tolist() == [0.5, 0.25, 0.125]
    assert fmr.get_xdata().tolist() == [0, 1, 2]
    assert (eer.get_xdata()[0], eer.get_ydata()[0]) == (0, 0.25)
    assert held.get_ydata()[0] == figure.axes[0].get_ylim()[0] == 0.001
    assert len(figure.axes[1].lines) == 2


def test_error_regions_show_what_is_and_what_independence_expects():
    regions = [("none", 0, 900, 880.0), ("aasist", 1, 3, 5.5), ("sls", 1, 1, 2.0), ("aasist + sls", 2, 40, 0.5)]
    rows = [(key, *region) for key in ("bonafide", "spoof") for region in regions]
    figure = error_regions(pd.DataFrame(rows, columns=["key", "wrong", "n_wrong", "observed", "expected"]))
    assert_labelled(figure)
    for axis in figure.axes:
        assert [bar.get_width() for bar in axis.patches] == [3, 1, 40]
        assert axis.lines[0].get_xdata().tolist() == [5.5, 2, 0.5]
        assert [tick.get_text() for tick in axis.get_yticklabels()] == ["aasist (3)", "sls (1)", "aasist + sls (40)"]


def test_of_many_regions_the_rarest_are_left_out():
    rows = [(key, f"d{i}", 1, i, 1.0) for key in ("bonafide", "spoof") for i in range(40)]
    figure = error_regions(pd.DataFrame(rows, columns=["key", "wrong", "n_wrong", "observed", "expected"]))
    assert_labelled(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == list(range(25, 40))


def test_training_curves_show_seeds_and_their_mean():
    rows = [(name, seed, epoch, 1.0 + seed, 0.1, 0.2) for name in DETECTORS for seed in (0, 2) for epoch in range(3)]
    table = pd.DataFrame(rows, columns=["detector", "seed", "epoch", "train_loss", "dev_eer", "dev_min_dcf"])
    figure = training_curves(table)
    assert_labelled(figure)
    assert [line.get_ydata()[0] for line in figure.axes[0].lines[:3]] == [1, 3, 2]
    assert len(figure.axes) == len(training_curves(table, pd.DataFrame()).axes) == 3


def test_steps_stand_below_epochs():
    epochs = pd.DataFrame({"detector": "sls", "seed": 0, "epoch": [0, 1], "train_loss": 0.5, "dev_eer": 0.1,
                           "dev_min_dcf": 0.2})  # fmt: skip
    rows = [("sls", seed, step, 0.7 - 0.01 * step, 1e-4 / step, 1e-5 / step) for seed in (0, 1) for step in (10, 20)]
    steps = pd.DataFrame(rows, columns=["detector", "seed", "step", "loss", "lr_head", "lr_backbone"])
    figure = training_curves(epochs, steps)
    assert_labelled(figure)
    *_, loss, head, backbone = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [pytest.approx([0.6, 0.5])] * 2
    assert head.lines[0].get_ydata().tolist() == [1e-5, 5e-6]
    assert backbone.lines[0].get_xdata().tolist() == [10, 20]


def test_score_distributions_have_area_1(rng):
    table = pd.DataFrame({"spoof_score": rng.normal(size=400), "key": ["bonafide", "spoof"] * 200})
    assert_labelled(score_distributions(table))
    figure = score_distributions(pd.concat([table.assign(detector=name) for name in DETECTORS]))
    assert_labelled(figure)
    assert [axis.get_title() for axis in figure.axes] == list(DETECTORS)
