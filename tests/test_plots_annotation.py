"""Figures of annotations: every answer has its place, and labels stay apart and as they were typed."""

import itertools

import numpy as np
import pandas as pd

from sslig.annotation.vocabulary import CUES
from sslig.plots import annotation as figures


def assert_apart(figure):
    figure.canvas.draw()
    for axis in figure.axes:
        boxes = [tick.get_window_extent() for tick in axis.get_yticklabels() if tick.get_text()]
        assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def shares(detectors):
    rows = [(detector, key, cue, 0.1 + 0.2 * place, 0.0, 0.5) for detector in detectors
            for place, key in enumerate(("bonafide", "spoof")) for cue in CUES]  # fmt: skip
    return pd.DataFrame(rows, columns=["detector", "key", "cue", "share", "low", "high"])


def test_each_detector_has_a_panel_and_each_class_its_points():
    figure = figures.class_cues(shares(["AASIST", "CA-MHFA", "SLS", "own"]))
    assert_apart(figure)
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["AASIST", "CA-MHFA", "SLS", "own"]
    bonafide, spoof = (line.get_xydata() for line in panels[0].lines)
    np.testing.assert_allclose(bonafide[:, 0], 0.1)
    np.testing.assert_allclose(spoof[:, 0], 0.3)
    assert (np.abs(bonafide[:, 1] - spoof[:, 1]) > 0.2).all()


def test_counts_are_written_and_agreement_is_framed():
    counts = pd.DataFrame(0, index=list(CUES), columns=list(CUES))
    counts.loc["noise", "glitch"], counts.loc["noise", "noise"] = 3, 1200
    figure = figures.count_matrix(counts, "cue named by $\\frac{A$ <b>", "cue named by " + "x" * 80)
    assert_apart(figure)
    (axis,) = figure.axes
    texts = {tuple(text.get_position()): text.get_text() for text in axis.texts}
    assert texts[(0, 5)] == "3"
    assert texts[(5, 5)] == "1,200"
    assert len(texts) == 9  # the diagonal and one other
    assert len(axis.patches) == 8
    assert axis.get_xlabel().endswith("…")
    figures.count_matrix(counts.iloc[:2], "class", "cue").canvas.draw()


def test_each_pair_has_a_point_a_measure():
    rows = [("cue", "Cohen's kappa", 0.1 * pair, -0.1, 0.9) for pair in range(3)] + [
        ("region", "F1", np.nan, np.nan, np.nan)
    ]
    figure = figures.agreements(pd.DataFrame(rows, columns=["what", "statistic", "value", "low", "high"]))
    assert_apart(figure)
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["cue: Cohen's kappa", "region: F1"]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [0, 0.1, 0.2])
