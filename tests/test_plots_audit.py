"""Figures of the audit: what is drawn where, and that labels stay apart."""

import numpy as np
import pandas as pd

from sslig.frames import SSL_CLOCK
from sslig.plots import audit


def test_cues_are_ordered_by_their_mean_share():
    rows = [("AASIST", "noise", 0.1, 0.0, 0.2), ("SLS", "noise", 0.3, 0.2, 0.4),
            ("AASIST", "phoneme", 0.5, 0.4, 0.6), ("SLS", "phoneme", 0.0, np.nan, np.nan)]  # fmt: skip
    figure = audit.cue_shares(pd.DataFrame(rows, columns=["detector", "group", "share", "low", "high"]))
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["phoneme", "noise"]
    assert [line.get_label() for line in axis.lines] == ["AASIST", "SLS"]
    aasist, sls = (line.get_xydata() for line in axis.lines)
    np.testing.assert_allclose(sorted(aasist[:, 0]), [0.1, 0.5])
    assert (np.abs(aasist[:, 1] - sls[:, 1]) > 0.2).all()  # points of detectors do not cover each other
    figure.canvas.draw()


def test_marks_end_at_the_limit():
    figure = audit.mark_ends([0, 1, 2], {"AASIST": [0, 0.5, 1], "SLS": [0, 1, 1]}, limit_s=1.5)
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["AASIST", "SLS", "SLS stops at 1.50 s"]
    assert axis.lines[-1].get_xdata()[0] == 1.5
    figure.canvas.draw()


def test_each_profile_is_divided_by_its_maximum():
    frames = np.array([0.0, 2.0, -4.0, 1.0])
    figure = audit.orders({"sls": (frames, 10 * frames), "aasist": (frames, 0 * frames)}, SSL_CLOCK, trend_frames=1)
    first, second = figure.axes
    batch_first, layers_first = first.lines[:2]
    np.testing.assert_allclose(batch_first.get_ydata(), frames / 4)
    np.testing.assert_allclose(layers_first.get_ydata(), frames / 4)
    np.testing.assert_allclose(batch_first.get_xdata(), SSL_CLOCK.centre_s(4))
    assert not second.lines[1].get_ydata().any()
    figure.canvas.draw()
