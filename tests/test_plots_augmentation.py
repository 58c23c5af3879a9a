"""The figure of versions: one scale for all, times and ends where they belong, no empty panel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sslig.plots import style
from sslig.plots.augmentation import N_MELS, RANGE_DB, mel_power, spectrograms


@pytest.fixture
def versions(tone):
    return {"original": tone, "gain": 2 * tone, "trimmed": tone[4_000:], "noise": tone + np.float32(0.01)}


def panels(figure):
    """Title -> its spectrogram's axis; and all axes with a waveform, in the order they were drawn."""
    figure.canvas.draw()
    upper = {axis.get_title(): axis for axis in figure.axes if axis.images and axis.get_title()}
    return upper, [axis for axis in figure.axes if axis.lines]


def test_each_version_has_a_panel_and_no_panel_is_empty(versions):
    figure = spectrograms(versions, columns=3)
    upper, lower = panels(figure)
    assert list(upper) == list(versions)
    assert len(figure.axes) == 2 * len(versions) + 1  # and the colour bar
    assert figure.get_size_inches()[0] <= style.WIDTH_IN
    assert not plt.get_fignums()
    for axis, samples in zip(lower, versions.values(), strict=True):
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), samples)
        assert axis.get_xlim() == (0, 1)
        assert axis.get_ylim() == pytest.approx((-1.05, 1.05), rel=1e-4)


def test_levels_are_relative_to_the_first_on_one_scale(versions):
    upper, _ = panels(spectrograms(versions))
    loudest = {title: axis.images[0].get_array().max() for title, axis in upper.items()}
    assert loudest["original"] == pytest.approx(0, abs=1e-4)
    assert loudest["gain"] == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert {axis.images[0].get_clim() for axis in upper.values()} == {RANGE_DB}


def test_what_lies_after_the_end_is_shaded(versions):
    _, lower = panels(spectrograms(versions))
    shaded_s = [axis.patches[0].get_width() for axis in lower]
    assert shaded_s == pytest.approx([0, 0, 0.25, 0])


def test_times_stand_below_the_last_panel_of_each_column(versions):
    _, lower = panels(spectrograms(versions, columns=3))
    told = [any(tick.get_visible() and tick.get_text() for tick in axis.get_xticklabels()) for axis in lower]
    assert told == [False, True, True, True]


def test_a_frame_stands_at_its_time():
    """A click 0.5 s in is loudest in the frame whose centre is 0.5 s, at 25 hops of 20 ms."""
    samples = np.zeros(16_000, dtype=np.float32)
    samples[8_000] = 1
    power = mel_power(samples)
    assert power.shape == (N_MELS, 51)
    assert power.sum(axis=0).argmax() == 25


@pytest.mark.parametrize("waveforms", [{}, {"original": np.zeros(800, dtype=np.float32)}])
def test_nothing_to_be_relative_to_is_refused(waveforms):
    with pytest.raises(ValueError, match=f"{len(waveforms)} waveforms, the first without sound"):
        spectrograms(waveforms)
