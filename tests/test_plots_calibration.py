"""The reliability figure: what is drawn is what was given."""

import pandas as pd
import pytest

from sslig.plots import style
from sslig.plots.calibration import reliability


@pytest.mark.parametrize("names", [["sls"], ["sls", "aasist"], ["sls", "aasist", "camhfa"]])
def test_a_panel_a_detector_in_percent(names):
    rows = [(name, claimed, 0.5, 0.25, 0.75) for name in names for claimed in (0.9, 0.1)]
    figure = reliability(pd.DataFrame(rows, columns=["detector", "claimed", "observed", "low", "high"]))
    figure.canvas.draw()
    assert [axis.get_title() for axis in figure.axes] == names
    assert figure.get_size_inches()[0] <= style.WIDTH_IN
    for axis in figure.axes:
        diagonal, points = axis.lines
        assert diagonal.get_xdata().tolist() == diagonal.get_ydata().tolist()
        assert points.get_xdata().tolist() == pytest.approx([10, 90])
        assert points.get_ydata().tolist() == [50, 50]
        assert [segment[:, 1].tolist() for segment in axis.collections[0].get_segments()] == [[25, 75]] * 2
