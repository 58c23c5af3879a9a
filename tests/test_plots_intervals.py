"""Points with intervals: each point has its place, labels stay as they were typed, significant effects are filled."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from sslig.cues.effects import NOT_SHOWN, STATISTICS, SUPPORTED
from sslig.errors import InputError
from sslig.plots.intervals import SCALES, dose_response, intervals, mask_effects

DETECTORS = ("aasist", "camhfa", "sls")
MASKS = ("noise", "time:non_speech(fill=silence)", "volume")
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


@pytest.fixture
def table():
    """Effects of 0.01, 0.02 ... of a statistic; the last mask has no control; every other effect is supported."""
    rows = []
    for statistic in STATISTICS:
        for number, (detector, mask) in enumerate(itertools.product(DETECTORS, MASKS)):
            effect, has_control = 0.01 * (number + 1), mask != MASKS[-1]
            rows.append(
                {
                    "detector": detector,
                    "mask": mask,
                    "statistic": statistic,
                    "verdict": SUPPORTED if number % 2 == 0 else NOT_SHOWN,
                }
                | {"effect": effect, "low": effect / 2, "high": 2 * effect}
                | {"tested": "excess" if has_control else "change"}
                | {"change": 3 * effect, "change_low": effect, "change_high": 4 * effect}
                | {"unmasked": 2.0, "control": 2.0 + 2 * effect if has_control else np.nan}
            )
    return pd.DataFrame(rows)


def points(axis):
    """(y, x, marker, whether it is filled) of the marks of an axis in the order of y."""
    marks = [line for line in axis.lines if line.get_marker() in ("o", "D")]
    return sorted(
        (y, pytest.approx(x), line.get_marker(), to_rgba(line.get_markerfacecolor()) != to_rgba("white"))
        for line in marks
        for x, y in zip(*line.get_data(), strict=True)
    )


def test_points_are_the_tested_effects_in_the_unit_of_the_statistic(table):
    figure = mask_effects(table, "separation")
    assert [axis.get_title() for axis in figure.axes] == list(DETECTORS)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["noise", "time:non_speech\n(fill=silence)", "volume"]
    assert points(figure.axes[1]) == [(0, 0.04, "o", False), (1, 0.05, "o", True), (2, 0.06, "D", False)]
    ends = [segment[:, 0].tolist() for segment in figure.axes[1].collections[-1].get_segments()]
    assert ends == [pytest.approx([0.02, 0.08]), pytest.approx([0.025, 0.1]), pytest.approx([0.03, 0.12])]
    assert points(mask_effects(table, "eer").axes[0])[0] == (0, 1.0, "o", True)


def test_only_logits_have_axes_of_their_own(table):
    for statistic, is_apart in (("spoof_change", True), ("separation", False), ("eer", False)):
        limits = {axis.get_xlim() for axis in mask_effects(table, statistic).axes}
        assert (len(limits) == 3) == is_apart


def test_dose_response_draws_change_interval_and_control(table):
    values = dict(zip(MASKS, (50, 10, 100), strict=True))
    table = table.assign(value=table["mask"].map(values), family="noise", parameter="alpha")
    figure = dose_response(table, "separation")
    assert [(axis.get_title(), axis.get_xlabel()) for axis in figure.axes] == [("noise", "alpha")]
    line, control = figure.axes[0].lines[1], figure.axes[0].lines[4]
    np.testing.assert_allclose(line.get_data(), [[10, 50, 100], [0.06, 0.03, 0.09]])
    np.testing.assert_allclose(control.get_data(), [[10, 50, 100], [0.04, 0.02, np.nan]])
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.01, 0.12))


@pytest.mark.parametrize("draw", [mask_effects, dose_response])
def test_statistics_that_are_not_there_are_refused(table, draw):
    assert tuple(SCALES) == STATISTICS
    with pytest.raises(InputError, match="no rows of the statistic 'err'; the table has bonafide_change"):
        draw(table, "err")
