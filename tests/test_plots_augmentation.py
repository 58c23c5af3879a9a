"""The figure of versions: one scale for all, ends where they belong, no empty panel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sslig.plots import style
from sslig.plots.augmentation import spectrograms


@pytest.fixture
def figure(tone):
    """Four versions in three columns: one twice as loud, one that lacks its first quarter."""
    made = spectrograms({"original": tone, "gain": 2 * tone, "trimmed": tone[4_000:], "noise": tone + np.float32(0.01)})
    made.canvas.draw()
    return made


def panels(figure):
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def test_each_version_has_a_panel_and_no_panel_is_empty(figure):
    assert list(panels(figure)) == ["original", "gain", "trimmed", "noise"]
    assert len(figure.axes) == 5  # and the colour bar
    assert figure.get_size_inches()[0] <= style.WIDTH_IN
    assert not plt.get_fignums()


def test_levels_are_relative_to_the_first_version(figure):
    loudest = {title: axis.images[0].get_array().max() for title, axis in panels(figure).items()}
    assert loudest["original"] == pytest.approx(0, abs=1e-4)
    assert loudest["gain"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert len({axis.images[0].get_clim() for axis in panels(figure).values()}) == 1


def test_the_time_after_an_end_is_shaded(figure):
    ends = {title: axis.patches[0].get_x() for title, axis in panels(figure).items()}
    assert ends == pytest.approx({"original": 1.0, "gain": 1.0, "trimmed": 0.75, "noise": 1.0})
