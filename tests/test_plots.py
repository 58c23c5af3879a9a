"""Figures: what is drawn is what was given, labelled with units, in the colours of the project."""

import itertools

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from sslig.plots import style
from sslig.plots.training import training_curves

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
