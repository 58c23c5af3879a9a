"""Figures of validation: values in cells, places where they are, curves of every method, and nothing overlaps."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from sslig.frames import SSL_CLOCK
from sslig.plots import validation as plots
from sslig.plots.faithfulness import method_curves, method_styles
from sslig.plots.profile import class_ratios
from sslig.plots.style import WIDTH_IN, YELLOW

GROUPS = {"ig": "explanation", "occlusion": "explanation", "random": "noise", "energy": "plain map",
          "feature_change": "limit"}  # fmt: skip


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory kept."""
    yield
    assert not plt.get_fignums()


def measured(detectors=("camhfa", "sls"), kinds=("noise_floor", "band")):
    rows = []
    for place, (detector, kind, method) in enumerate(itertools.product(detectors, kinds, GROUPS)):
        rows.append({
            "detector": detector, "kind": kind, "method": method, "statistic": "roc_auc", "group": GROUPS[method],
            "decided": kind != "band", "n": 7, "value": 0.5 + 0.01 * place, "control": 0.5, "better": 1,
            "supported": place % 2 == 1,
        })  # fmt: skip
    return pd.DataFrame(rows)


def assert_no_labels_overlap(figure):
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= WIDTH_IN
    for axis in figure.axes:
        for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels if label.get_text() and label.get_visible()]
            assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_cells_hold_values_bold_where_they_are_beyond_chance():
    figure = plots.localisation_heatmap(measured(), "roc_auc", label="ROC-AUC")
    first = figure.axes[0]
    assert [text.get_text() for text in first.texts[:4]] == ["0.50", "0.55", "0.51", "0.56"]
    assert [text.get_fontweight() for text in first.texts[:4]] == ["normal", "bold", "bold", "normal"]
    assert [label.get_text() for label in first.get_yticklabels()] == list(GROUPS)
    assert [label.get_text() for label in first.get_xticklabels()] == ["noise\nfloor\nn = 7", "(band)\nn = 7"]
    (lines,) = [one for one in first.collections if len(one.get_paths()) == 3 and one.get_linewidth()[0] == 1.2]
    assert [segment[0][1] for segment in lines.get_segments()] == [2, 3, 4]


def test_colours_are_the_distance_from_chance_turned_where_less_is_better():
    table = measured().assign(better=-1)
    mesh = plots.localisation_heatmap(table, "roc_auc", label="ROC-AUC").axes[1].collections[0]
    assert mesh.get_array().min() == pytest.approx(-0.19)
    assert mesh.get_clim() == pytest.approx((-0.19, 0.19))


@pytest.mark.parametrize("kinds", [("band",), ("noise_floor", "phone_glitch", "boundary", "band", "splice")])
@pytest.mark.parametrize("detectors", [("sls",), ("aasist", "camhfa", "sls")])
def test_labels_of_a_heat_map_do_not_overlap(detectors, kinds):
    assert_no_labels_overlap(plots.localisation_heatmap(measured(detectors, kinds), "roc_auc", label="ROC-AUC"))


def test_a_map_that_was_not_measured_leaves_its_cell_empty():
    table = measured()
    table = table[(table["method"] != "energy") | (table["kind"] == "band")]
    figure = plots.localisation_heatmap(table, "roc_auc", label="ROC-AUC")
    assert len(figure.axes[0].texts) == 2 * len(GROUPS) - 1


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="no rows of 'mass'; it has roc_auc"):
        plots.localisation_heatmap(measured(), "mass", label="mass")


def test_places_are_shaded_where_they_are_and_what_is_not_read_is_hatched(rng):
    waveform = rng.standard_normal(32_000).astype(np.float32)
    frames = rng.standard_normal(SSL_CLOCK.n_frames(len(waveform)))
    figure = plots.planted_cue(
        waveform, {"camhfa": frames, "sls": frames}, [(0.5, 0.7), (1.0, 1.2)], SSL_CLOCK, read_s={"sls": 1.4}
    )
    for axis in figure.axes:
        shaded = [patch for patch in axis.patches if to_rgba(patch.get_facecolor())[:3] == to_rgba(YELLOW)[:3]]
        assert [patch.get_x() for patch in shaded] == [0.5, 1.0]
        assert [patch.get_width() for patch in shaded] == pytest.approx([0.2, 0.2])
    assert [bool([p for p in axis.patches if p.get_hatch()]) for axis in figure.axes] == [False, False, True]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "not read"
    assert_no_labels_overlap(figure)


def points(methods=("ig", "occlusion", "random"), detectors=("camhfa", "sls")):
    rows = []
    for detector, method, statistic, x in itertools.product(detectors, methods, ("deletion", "insertion"), (1, 10)):
        value = {"ig": 2.0, "random": 0.1}.get(method, 1.0) * x
        rows.append({"detector": detector, "method": method, "statistic": statistic, "x": x, "value": value,
                     "control": 0.2, "band_low": 0.1 if method == "ig" else np.nan, "band_high": 0.3,
                     "supported": method == "ig"})  # fmt: skip
    return pd.DataFrame(rows)


TITLES = {"deletion": "taken away", "insertion": "given back"}


def test_every_method_has_a_line_over_the_band_of_the_controls():
    figure = method_curves(points(), TITLES, x="frames (%)", y="logits", log=True, chance="shifted maps")
    assert [axis.get_title() for axis in figure.axes] == [
        "camhfa: taken away", "camhfa: given back", "sls: taken away", "sls: given back",
    ]  # fmt: skip
    first = figure.axes[0]
    lines = [line for line in first.lines if line.get_linestyle() != "None" and len(line.get_xdata()) == 2][1:]
    assert [line.get_ydata().tolist() for line in lines] == [[2, 20], [1, 10], pytest.approx([0.1, 1])]
    marks = [line for line in first.lines if line.get_linestyle() == "None"]
    assert [line.get_markerfacecolor() != "white" for line in marks] == [True, False, False]
    band = first.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.1, 0.3))
    assert_no_labels_overlap(figure)


def test_one_statistic_of_one_detector_is_drawn_alone():
    table = points(detectors=("sls",))
    figure = method_curves(table[table["statistic"] == "deletion"], TITLES, x="x", y="y", chance="shifted maps")
    assert [axis.get_title() for axis in figure.axes] == ["sls: taken away"]
    with pytest.raises(ValueError, match="no rows of deletion, insertion"):
        method_curves(table.assign(statistic="steps"), TITLES, x="x", y="y", chance="c")


def test_methods_differ_in_colour_line_or_marker():
    looks = method_styles([f"m{n}" for n in range(7)] + ["random"])
    assert len({tuple(map(str, look.values())) for look in looks.values()}) == 8


def test_ratios_stand_in_their_rows_and_ends_are_told():
    table = pd.DataFrame([
        ("camhfa", "vowel", 1.0, 0.8, 1.2), ("camhfa", "pause", 3.0, 2.0, 5.0), ("camhfa", "nasal", 0.0, 0.0, 0.0),
    ], columns=["detector", "segment_class", "value", "low", "high"])  # fmt: skip
    (axis,) = class_ratios(table).axes
    marks = [line for line in axis.lines if line.get_linestyle() == "None"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in marks] == [1.0, 3.0, 1 / 16]
    assert [line.get_markerfacecolor() != "white" for line in marks] == [False, True, False]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["vowel", "pause", "nasal"]
    assert axis.xaxis.get_major_formatter()(1 / 16) == "≤ 1/16"
    assert axis.xaxis.get_major_formatter()(2.0) == "2"
    with pytest.raises(ValueError, match="no classes"):
        class_ratios(table.iloc[:0])
