"""Figures: what is drawn is what was given, labelled with units, in the colours of the project."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.special import ndtri

from sslig import plots
from sslig.frames import SSL_CLOCK
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots import style, timeline
from sslig.plots.errors import error_rates, error_regions
from sslig.stats import metrics

DETECTORS = ("aasist", "camhfa", "sls")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory kept."""
    yield
    assert not plt.get_fignums()


@pytest.fixture
def attributions(rng):
    """(frame,) by detector, for one second."""
    return {name: rng.normal(size=SSL_CLOCK.n_frames(16_000)) for name in DETECTORS}


def assert_labelled(figure):
    """Draws the figure; no axis may lack its label, no tick label may overlap its neighbour."""
    figure.canvas.draw()
    for axis in figure.axes:
        assert axis.get_ylabel() or axis.get_title() or axis.get_xlabel()
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks if tick.get_visible() and tick.get_text()]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert figure.get_size_inches()[0] <= style.WIDTH_IN


@pytest.mark.parametrize("spectrogram", [True, False])
def test_attribution_shows_each_detector_on_the_time_axis(tone, attributions, spectrogram):
    figure = plots.attribution(tone, attributions, SSL_CLOCK, spectrogram=spectrogram, title="E_1")
    assert_labelled(figure)
    assert [axis.get_ylabel() for axis in figure.axes[1:]] == [f"{name}\n(logit)" for name in DETECTORS]
    assert figure.axes[-1].get_xlabel() == "time (s)"
    assert figure.axes[-1].get_xlim() == (0, 1)
    trend = figure.axes[1].lines[0]
    np.testing.assert_allclose(trend.get_xdata(), SSL_CLOCK.centre_s(49))
    np.testing.assert_allclose(trend.get_ydata(), timeline.trend(attributions["aasist"], 15))


def test_evidence_for_spoof_is_vermillion_and_above(tone):
    frames = np.linspace(-1, 1, 49)
    for_spoof, for_bonafide = plots.attribution(tone, {"sls": frames}, SSL_CLOCK).axes[1].collections
    assert to_hex(for_spoof.get_facecolor()[0]).upper() == style.VERMILLION == style.EVIDENCE[SPOOF]
    assert to_hex(for_bonafide.get_facecolor()[0]).upper() == style.BLUE == style.EVIDENCE[BONAFIDE]
    assert for_spoof.get_paths()[0].vertices[:, 1].min() >= 0
    assert for_bonafide.get_paths()[0].vertices[:, 1].max() <= 0


def test_a_common_scale_is_that_of_the_largest(tone):
    attributions = {"aasist": np.full(49, 0.1), "sls": np.full(49, -4.0)}
    own = plots.attribution(tone, attributions, SSL_CLOCK)
    common = plots.attribution(tone, attributions, SSL_CLOCK, common_scale=True)
    assert [axis.get_ylim()[1] for axis in own.axes[1:]] == pytest.approx([0.105, 4.2])
    assert [axis.get_ylim()[1] for axis in common.axes[1:]] == pytest.approx([4.2, 4.2])


def test_attributions_of_another_recording_are_refused(tone):
    with pytest.raises(ValueError, match=r"\['sls'\]: 16000 samples are 49 frames"):
        plots.attribution(tone, {"sls": np.zeros(50)}, SSL_CLOCK)


def test_the_spectrogram_is_on_the_frame_clock(tone):
    click = np.zeros_like(tone)
    click[320 * 20 + 200] = 1  # the centre of frame 20
    image = plots.attribution(click, {"sls": np.zeros(49)}, SSL_CLOCK).axes[0].images[0]
    assert image.get_array().shape == (80, 49)
    assert image.get_array().sum(axis=0).argmax() == 20
    assert image.get_extent()[:2] == pytest.approx((0.0125 - 0.01, SSL_CLOCK.centre_s(49)[-1] + 0.01))


def test_common_axis_divides_by_the_largest_magnitude(attributions):
    figure = plots.attribution_common_axis(attributions, SSL_CLOCK)
    assert_labelled(figure)
    for line in figure.axes[0].lines[:3]:
        assert np.abs(line.get_ydata()).max() == 1


def test_layer_map_is_white_at_zero():
    figure = plots.layer_map(np.array([[0.0, -1.0], [3.0, 0.5]]), SSL_CLOCK)
    assert_labelled(figure)
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-3, 3)
    np.testing.assert_allclose(image.cmap(image.norm(0.0)), 1, atol=0.01)


def test_det_of_normal_scores_is_a_line_of_slope_minus_1(rng):
    curves, eers = {}, {}
    for name, distance in zip(DETECTORS, (1, 2, 4), strict=True):
        trials = rng.normal(size=20_000), rng.normal(distance, 1, size=20_000)
        curves[name], eers[name] = metrics.det_points(*trials), metrics.eer(*trials)
    figure = plots.det(curves, eers)
    assert_labelled(figure)
    line = figure.axes[0].lines[0]
    middle = np.abs(line.get_xdata()) < 1
    slope, level = np.polyfit(line.get_xdata()[middle], line.get_ydata()[middle], 1)
    assert (slope, level) == pytest.approx((-1, -1), abs=0.1)
    assert figure.axes[0].lines[1].get_xdata()[0] == pytest.approx(ndtri(eers["aasist"]))
    assert figure.axes[0].get_legend().get_texts()[0].get_text().startswith("aasist (EER 3")


@pytest.mark.parametrize("curve", [([1, 0, 0], [0, 0, 1]), ([1, 1, 0], [0, 1, 1]), ([1, 0], [0, 1])])
def test_det_of_the_extremes_can_be_drawn(curve):
    assert_labelled(plots.det({"sls": curve}, {"sls": 0.0}))


def test_eer_bars_are_as_long_as_the_rates():
    rows = [(name, f"A{attack}", 0.01 * attack, 0.005 * attack, 0.02 * attack, 1000) for attack in range(17, 33)
            for name in DETECTORS]  # fmt: skip
    table = pd.DataFrame(rows, columns=["detector", "group", "eer", "low", "high", "n"])
    figure = plots.eer_bars(table, group="attack")
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
    figure = plots.training_curves(table)
    assert_labelled(figure)
    assert [line.get_ydata()[0] for line in figure.axes[0].lines[:3]] == [1, 3, 2]
    assert len(figure.axes) == len(plots.training_curves(table, pd.DataFrame()).axes) == 3


def test_steps_stand_below_epochs():
    epochs = pd.DataFrame({"detector": "sls", "seed": 0, "epoch": [0, 1], "train_loss": 0.5, "dev_eer": 0.1,
                           "dev_min_dcf": 0.2})  # fmt: skip
    rows = [("sls", seed, step, 0.7 - 0.01 * step, 1e-4 / step, 1e-5 / step) for seed in (0, 1) for step in (10, 20)]
    steps = pd.DataFrame(rows, columns=["detector", "seed", "step", "loss", "lr_head", "lr_backbone"])
    figure = plots.training_curves(epochs, steps)
    assert_labelled(figure)
    *_, loss, head, backbone = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [pytest.approx([0.6, 0.5])] * 2
    assert head.lines[0].get_ydata().tolist() == [1e-5, 5e-6]
    assert backbone.lines[0].get_xdata().tolist() == [10, 20]


def test_score_distributions_have_area_1(rng):
    table = pd.DataFrame({"spoof_score": rng.normal(size=400), "key": ["bonafide", "spoof"] * 200})
    assert_labelled(plots.score_distributions(table))
    figure = plots.score_distributions(pd.concat([table.assign(detector=name) for name in DETECTORS]))
    assert_labelled(figure)
    assert [axis.get_title() for axis in figure.axes] == list(DETECTORS)


def test_a_detector_looks_the_same_in_any_company():
    alone = style.detector_styles(["CA-MHFA"])["CA-MHFA"]
    among = style.detector_styles([*DETECTORS, "lcnn", "rawnet"])
    assert among["camhfa"] == alone
    assert len({look["color"] for look in among.values()}) == 5


def test_style_leaves_no_trace():
    before = plt.rcParams["axes.spines.top"]
    with style.style():
        assert not plt.rcParams["axes.spines.top"]
    assert plt.rcParams["axes.spines.top"] == before
