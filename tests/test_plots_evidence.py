"""Figures over time: what is drawn is what was given, on the frame clock, in the colours of the project."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SSL_CLOCK
from sslig.labels import BONAFIDE, SPOOF
from sslig.plots import evidence, style
from sslig.plots.evidence import lanes, layer_map, spectrograms

N_FRAMES = 99
END_S = SSL_CLOCK.n_samples(N_FRAMES) / 16_000


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """A figure left to pyplot would be shown twice in a notebook, and its memory kept."""
    yield
    assert not plt.get_fignums()


@pytest.fixture
def waveform(rng):
    return rng.standard_normal(SSL_CLOCK.n_samples(N_FRAMES)).astype(np.float32)


@pytest.fixture
def maps(rng):
    return {"sls": rng.standard_normal(N_FRAMES), "aasist": 0.1 * rng.standard_normal(N_FRAMES)}


@pytest.fixture
def tiers():
    return {"words": Tier("words", [0.1, 1.0], [0.9, 1.05], ("fits", "far too long"), 2.0, {})}


def test_lanes_share_one_time_axis(waveform, maps, tiers):
    layers = {"sls": np.zeros((3, N_FRAMES))}
    figure = lanes(waveform, maps, SSL_CLOCK, tiers=tiers, layers=layers, region_s=(0.2, 0.4), title="E_1")
    labels = [axis.get_ylabel().split("\n")[0] for axis in figure.axes]
    assert labels == ["frequency", "sls", "layer", "aasist", ""]
    assert {axis.get_xlim() for axis in figure.axes} == {(0, END_S)}
    assert figure.axes[-1].get_xlabel() == "time (s)"
    assert figure.get_suptitle() == "E_1"
    line = figure.axes[1].lines[0]
    np.testing.assert_allclose(line.get_xdata(), SSL_CLOCK.centre_s(N_FRAMES))
    np.testing.assert_allclose(line.get_ydata(), evidence.trend(maps["sls"], 15))


def test_evidence_for_spoof_is_vermillion_and_above(waveform):
    frames = np.linspace(-1, 1, N_FRAMES)
    for_spoof, for_bonafide = lanes(waveform, {"sls": frames}, SSL_CLOCK).axes[1].collections
    assert to_hex(for_spoof.get_facecolor()[0]).upper() == style.VERMILLION == style.EVIDENCE[SPOOF]
    assert to_hex(for_bonafide.get_facecolor()[0]).upper() == style.BLUE == style.EVIDENCE[BONAFIDE]
    assert for_spoof.get_paths()[0].vertices[:, 1].min() >= 0
    assert for_bonafide.get_paths()[0].vertices[:, 1].max() <= 0


@pytest.mark.parametrize("common", [False, True])
def test_each_detector_has_a_scale_to_itself_unless_it_is_common(waveform, maps, common):
    axes = lanes(waveform, maps, SSL_CLOCK, common_scale=common).axes[1:]
    largest = [np.abs(frames).max() for frames in maps.values()]
    expected = [max(largest)] * 2 if common else largest
    assert [axis.get_ylim()[1] for axis in axes] == pytest.approx([1.05 * limit for limit in expected])


def test_smoothed_evidence_is_the_running_median(waveform):
    spike = {"sls": np.where(np.arange(N_FRAMES) == 50, 1.0, 0.0)}
    raw, smooth = (lanes(waveform, spike, SSL_CLOCK, smooth=smooth).axes[1] for smooth in (False, True))
    assert raw.get_ylim()[1] == pytest.approx(1.05)
    assert smooth.collections[0].get_paths()[0].vertices[:, 1].max() == 0


def test_labels_that_do_not_fit_are_left_out(waveform, maps, tiers):
    words = lanes(waveform, maps, SSL_CLOCK, tiers=tiers).axes[-1]
    assert [text.get_text() for text in words.texts] == ["fits"]


def test_places_and_unread_frames_are_marked(waveform, maps):
    figure = lanes(waveform, maps, SSL_CLOCK, places_s=[(0.3, 0.5)], read_s={"sls": 1.0})
    spectrogram, sls, aasist = figure.axes
    assert [len(axis.patches) for axis in (spectrogram, sls, aasist)] == [1, 2, 1]
    unread, place = sls.patches
    assert (unread.get_x(), unread.get_width()) == pytest.approx((1.0, END_S - 1.0))
    assert (place.get_x(), place.get_width()) == pytest.approx((0.3, 0.2))
    assert [text.get_text() for text in figure.legends[0].texts][-2:] == ["planted", "not read"]


def test_a_map_of_another_recording_is_refused(waveform):
    with pytest.raises(InputError, match=r"\['sls'\]: .* samples are 99 frames"):
        lanes(waveform, {"sls": np.zeros(50)}, SSL_CLOCK)


def test_the_spectrogram_is_on_the_frame_clock():
    click = np.zeros(16_000)
    click[320 * 20 + 200] = 1  # the centre of frame 20
    image = lanes(click, {"sls": np.zeros(49)}, SSL_CLOCK).axes[0].images[0]
    assert image.get_array().shape == (80, 49)
    assert image.get_array().sum(axis=0).argmax() == 20
    assert image.get_extent()[:2] == pytest.approx((0.0125 - 0.01, SSL_CLOCK.centre_s(49)[-1] + 0.01))


def test_layer_map_is_white_at_zero():
    figure = layer_map(np.array([[0.0, -1.0], [3.0, 0.5]]), SSL_CLOCK)
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-3, 3)
    np.testing.assert_allclose(image.cmap(image.norm(0.0)), 1, atol=0.01)


@pytest.fixture
def versions(tone):
    """Four versions in three columns: one twice as loud, one that lacks its first quarter."""
    made = spectrograms({"original": tone, "gain": 2 * tone, "trimmed": tone[4_000:], "noise": tone + np.float32(0.01)})
    made.canvas.draw()
    return made


def panels(versions):
    return {axis.get_title(): axis for axis in versions.axes if axis.get_title()}


def test_each_version_has_a_panel_and_no_panel_is_empty(versions):
    assert list(panels(versions)) == ["original", "gain", "trimmed", "noise"]
    assert len(versions.axes) == 5  # and the colour bar
    assert versions.get_size_inches()[0] <= style.WIDTH_IN


def test_levels_are_relative_to_the_first_version(versions):
    loudest = {title: axis.images[0].get_array().max() for title, axis in panels(versions).items()}
    assert loudest["original"] == pytest.approx(0, abs=1e-4)
    assert loudest["gain"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert len({axis.images[0].get_clim() for axis in panels(versions).values()}) == 1


def test_the_time_after_an_end_is_shaded(versions):
    ends = {title: axis.patches[0].get_x() for title, axis in panels(versions).items()}
    assert ends == pytest.approx({"original": 1.0, "gain": 1.0, "trimmed": 0.75, "noise": 1.0})
