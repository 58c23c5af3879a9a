"""Figures of masks: points are the tested effects, filled where supported, and nothing overlaps."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba

from sslig.cues.effects import STATISTICS
from sslig.plots import style
from sslig.plots.masks import SCALES, WIDTH_IN, dose_response, mask_effects

DETECTORS = ("aasist", "camhfa", "sls")
LONG = ("time:non_speech(fill=silence)", "bottom_attribution(percent=10)")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory kept."""
    yield
    assert not plt.get_fignums()


def effects_table(masks, *, detectors=DETECTORS, seeds=(0,), logit=1.0):
    """Effects of 0.01, 0.02 ... for each row of a statistic; the last mask has no control; every other is supported."""
    rows = []
    for statistic in STATISTICS:
        for number, (detector, seed, mask) in enumerate(itertools.product(detectors, seeds, masks)):
            effect, has_control = 0.01 * (number + 1) * logit, mask != masks[-1]
            of_effect = {end: effect * share for end, share in (("", 1), ("_low", 0.5), ("_high", 2))}
            rows.append(
                {"detector": detector, "seed": seed, "mask": mask, "statistic": statistic}
                | {f"excess{end}": value if has_control else np.nan for end, value in of_effect.items()}
                | {f"change{end}": 3 * value for end, value in of_effect.items()}
                | {"unmasked": 2.0, "control": 2.0 + 2 * effect if has_control else np.nan}
                | {"tested": "excess" if has_control else "change", "supported": number % 2 == 0}
            )
    return pd.DataFrame(rows)


def tick_labels(along):
    """Those within the limits of the axis."""
    low, high = sorted(along.get_view_interval())
    coordinate = {"x": 0, "y": 1}[along.axis_name]
    return [label for label in along.get_majorticklabels() if low <= label.get_position()[coordinate] <= high]


def assert_nothing_overlaps(figure, width_in):
    """Lays the figure out; no tick label, title or legend text may overlap another."""
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == width_in <= style.WIDTH_IN
    shown = [axis for axis in figure.axes if axis.get_visible()]
    texts = [axis.title for axis in shown] + list(figure.legends[0].get_texts())
    texts += [figure._supxlabel] if figure._supxlabel else []
    for axis in shown:
        texts += [axis.xaxis.label, axis.yaxis.label, *tick_labels(axis.xaxis), *tick_labels(axis.yaxis)]
    boxes = [(text.get_window_extent(), text.get_text()) for text in texts if text.get_visible() and text.get_text()]
    overlapping = [(a, b) for (one, a), (other, b) in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert overlapping == []


def points(axis):
    """(x, y) of the marks of an axis in the order of y, and whether each is filled."""
    marks = [line for line in axis.lines if line.get_marker() in "oD"]
    found = [
        (y, x, line.get_marker(), to_rgba(line.get_markerfacecolor()) != to_rgba("white"))
        for line in marks
        for x, y in zip(*line.get_data(), strict=True)
    ]
    return sorted(found)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_effects_of_25_masks_and_3_detectors_do_not_overlap(statistic):
    masks = [*LONG, *(f"phone:approximant{number}" for number in range(23))]
    table = effects_table(masks, logit=0.05)
    table["space"] = np.where(table["mask"].isin(masks[:12]), "feature", "waveform")
    assert_nothing_overlaps(mask_effects(table, statistic), WIDTH_IN)


@pytest.mark.parametrize("n_masks", [1, 2, 5])
def test_few_masks_of_one_detector_do_not_overlap(n_masks):
    table = effects_table([f"m{number}" for number in range(n_masks)], detectors=("sls",))
    assert_nothing_overlaps(mask_effects(table, "eer"), WIDTH_IN)


def test_points_are_the_tested_effects():
    figure = mask_effects(effects_table(["noise", "onsets", "volume"]), "separation")
    assert [axis.get_title() for axis in figure.axes] == list(DETECTORS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["noise", "onsets", "volume"]
    places, values, markers, filled = zip(*points(figure.axes[1]), strict=True)
    assert places == (0, 1, 2)
    assert values == pytest.approx((0.04, 0.05, 3 * 0.06))
    assert markers == ("o", "o", "D")
    assert filled == (False, True, False)
    intervals = figure.axes[1].collections[-1]
    assert [segment[:, 0].tolist() for segment in intervals.get_segments()] == [
        pytest.approx([0.02, 0.08]),
        pytest.approx([0.025, 0.1]),
        pytest.approx([0.09, 0.36]),
    ]
    assert to_hex(intervals.get_color()[0]).upper() == style.PURPLE
    assert figure._supxlabel.get_text() == "effect on separation (SD), right: classes further apart"


def test_the_legend_names_what_is_drawn():
    table = effects_table(["noise", "volume"])
    texts = [text.get_text() for text in mask_effects(table, "eer").legends[0].get_texts()]
    assert texts == ["beyond the control", "against unmasked (no control)", "supported after Holm", "not supported"]
    one = table[(table["mask"] == "noise") & table["supported"]]
    texts = [text.get_text() for text in mask_effects(one, "eer").legends[0].get_texts()]
    assert texts == ["beyond the control", "supported after Holm"]


def test_masks_are_grouped_by_space():
    table = effects_table(["volume", "noise", "codec:opus"])
    table["space"] = table["mask"].map({"volume": "waveform", "noise": "feature", "codec:opus": "waveform"})
    labels = mask_effects(table, "eer").axes[0].get_yticklabels()
    texts = ["in the waveform", "volume", "codec:opus", "in feature space", "noise"]
    assert [label.get_text() for label in labels] == texts
    assert [label.get_fontweight() == "bold" for label in labels] == [True, False, False, True, False]


def test_long_labels_have_their_parameters_on_a_line_of_their_own():
    long = "time:top_attribution(fill=interpolation, percent=10)"
    figure = mask_effects(effects_table(["noise", long, "band(lo_hz=0, hi_hz=300)", long + "2"]), "separation")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    broken = "time:top_attribution\n(fill=interpolation, percent=10)"
    assert labels == ["noise", broken, "band(lo_hz=0, hi_hz=300)", broken + "2"]
    assert [place for place, *_ in points(figure.axes[0])] == [0, 1.5, 3, 4.5]
    assert figure.axes[0].get_ylim() == (5.5, -0.5)
    assert_nothing_overlaps(figure, WIDTH_IN)
    assert figure.axes[0].get_position().x0 < 0.4


def test_seeds_stand_below_one_another_and_rows_of_three_panels():
    table = effects_table(["noise", "volume"], detectors=(*DETECTORS, "lcnn"), seeds=(0, 1, 2))
    figure = mask_effects(table, "eer")
    assert_nothing_overlaps(figure, WIDTH_IN)
    assert [axis.get_title() for axis in figure.axes if axis.get_visible()] == sorted([*DETECTORS, "lcnn"])
    assert [place for place, *_ in points(figure.axes[0])] == pytest.approx([-0.2, 0, 0.2, 0.8, 1, 1.2])


def test_only_logits_have_axes_of_their_own():
    table = effects_table(["noise", "volume"])
    for statistic, is_own in (("spoof_change", True), ("separation", False), ("eer", False)):
        limits = {axis.get_xlim() for axis in mask_effects(table, statistic).axes}
        assert (len(limits) == 3) == is_own
    ticks = mask_effects(table, "eer")
    ticks.draw_without_rendering()
    assert [label.get_text() for label in tick_labels(ticks.axes[0].xaxis)] == ["0", "15", "30"]


def test_dose_response_draws_change_interval_and_control():
    masks = [f"m{number}" for number in range(4)]
    table = effects_table(masks)
    table["value"] = table["mask"].map(dict(zip(masks, (50, 10, 100, 1), strict=True)))
    table = table.assign(
        family=np.where(table["mask"] == "m3", "noise", "top"),
        parameter=np.where(table["mask"] == "m3", "alpha", "share (%)"),
    )
    figure = dose_response(table)
    assert_nothing_overlaps(figure, WIDTH_IN)
    assert [axis.get_title() for axis in figure.axes] == ["top", "noise"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["share (%)", "alpha"]
    line, control = figure.axes[0].lines[1], figure.axes[0].lines[4]
    np.testing.assert_allclose(line.get_data(), [[10, 50, 100], [0.06, 0.03, 0.09]])
    np.testing.assert_allclose(control.get_data(), [[10, 50, 100], [0.04, 0.02, 0.06]])
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.015, 0.18))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*DETECTORS, "control"]


def test_one_family_that_is_swept_in_two_ways_has_two_panels():
    table = effects_table(["a", "b", "c", "d"]).assign(family="compressor")
    table["parameter"] = np.where(table["mask"].isin(["a", "b"]), "ratio", "threshold_db")
    table["value"] = table["mask"].map({"a": 2, "b": 8, "c": -30, "d": -40})
    axes = dose_response(table).axes
    assert [(axis.get_title(), axis.get_xlabel()) for axis in axes] == [
        ("compressor", "ratio"),
        ("compressor", "threshold_db"),
    ]
    assert axes[1].lines[1].get_xdata().tolist() == [-40, -30]


def test_dose_response_without_control_names_none():
    table = effects_table(["m"]).assign(family="gain", parameter="gain", value=0.1)
    texts = [text.get_text() for text in dose_response(table, "eer").legends[0].get_texts()]
    assert texts == list(DETECTORS)


@pytest.mark.parametrize("draw", [mask_effects, dose_response])
def test_unknown_statistics_are_refused(draw):
    table = effects_table(["noise"])
    with pytest.raises(ValueError, match="no statistic 'err'; accepted: bonafide_change"):
        draw(table, "err")
    with pytest.raises(ValueError, match="no rows of 'eer'; it has far"):
        draw(table[table["statistic"] == "far"], "eer")


def test_every_statistic_has_a_scale():
    assert tuple(SCALES) == STATISTICS
