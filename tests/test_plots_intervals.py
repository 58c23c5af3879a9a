"""Points with intervals: each point has its place, and labels stay apart and as they were typed."""

import itertools

import numpy as np
import pandas as pd

from sslig.plots.intervals import intervals

LOOKS = {"bonafide": {"color": "#0072B2", "marker": "o"}, "spoof": {"color": "#D55E00", "marker": "s"}}


def rows(detectors, cues=("glitch", "phoneme", "noise")):
    values = [
        (detector, key, cue, 0.1 + 0.2 * place, 0.0, 0.5 if cue != "noise" else np.nan)
        for detector in detectors
        for place, key in enumerate(LOOKS)
        for cue in cues
    ]
    return pd.DataFrame(values, columns=["detector", "key", "cue", "share", "low", "high"])


def test_each_panel_has_its_points_and_intervals():
    figure = intervals(rows(["a", "b", "c", "d"]), "share", "cue", "key", LOOKS, panel="detector", zero=True)
    figure.canvas.draw()
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["a", "b", "c", "d"]
    bonafide, spoof = (line.get_xydata() for line in panels[0].lines[:2])
    np.testing.assert_allclose(bonafide[:, 0], 0.1)
    np.testing.assert_allclose(spoof[:, 0], 0.3)
    assert (np.abs(bonafide[:, 1] - spoof[:, 1]) > 0.2).all()
    assert panels[0].lines[2].get_xdata()[0] == 0
    ends = np.array(panels[0].collections[0].get_segments()[:2])[:, :, 0]
    assert ends.tolist() == [[0.0, 0.5]] * 2


def test_groups_come_from_top_to_bottom_and_their_labels_stay_apart():
    cues = [f"cue {number}" for number in range(12)]
    figure = intervals(rows(["a"], cues), "share", "cue", "key", LOOKS, xlabel="share (%)")
    figure.canvas.draw()
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == cues
    assert axis.yaxis_inverted()
    boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert not any(upper.overlaps(lower) for upper, lower in itertools.pairwise(boxes))
    assert figure.get_supxlabel() == "share (%)"


def test_names_that_people_typed_are_no_formula():
    table = rows(["a"]).replace("spoof", r"$\frac{A$ <b>")
    looks = {"bonafide": LOOKS["bonafide"], r"$\frac{A$ <b>": LOOKS["spoof"]}
    figure = intervals(table, "share", "cue", "key", looks)
    figure.canvas.draw()
    assert figure.legends[0].get_texts()[1].get_text() == r"\$\frac{A\$ <b>"
