import numpy as np
import pytest

from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.plots.explored import explored

N_FRAMES = 99


@pytest.fixture
def waveform(rng):
    return rng.standard_normal(SSL_CLOCK.n_samples(N_FRAMES)).astype(np.float32)


@pytest.fixture
def evidence(rng):
    return {"sls": rng.standard_normal(N_FRAMES), "aasist": 0.1 * rng.standard_normal(N_FRAMES)}


@pytest.fixture
def tiers():
    return {"words": Tier("words", [0.1, 1.0], [0.9, 1.05], ("fits", "far too long"), 2.0, {})}


def test_all_share_one_time_axis(waveform, evidence, tiers):
    layers = {"sls": np.zeros((3, N_FRAMES))}
    figure = explored(waveform, evidence, SSL_CLOCK, tiers, layers=layers, region_s=(0.2, 0.4), title="E_1")
    assert len(figure.axes) == 5  # spectrogram, two detectors, the layers of one, words
    assert {axis.get_xlim() for axis in figure.axes} == {(0, len(waveform) / 16_000)}
    assert figure.get_suptitle() == "E_1"


def test_labels_that_do_not_fit_are_left_out(waveform, evidence, tiers):
    words = explored(waveform, evidence, SSL_CLOCK, tiers).axes[-1]
    assert [text.get_text() for text in words.texts] == ["fits"]


@pytest.mark.parametrize("common", [False, True])
def test_scales_are_each_detectors_own_or_one(waveform, evidence, common):
    axes = explored(waveform, evidence, SSL_CLOCK, {}, common_scale=common).axes[1:]
    largest = [np.abs(frames).max() for frames in evidence.values()]
    expected = [max(largest)] * 2 if common else largest
    assert [axis.get_ylim()[1] for axis in axes] == pytest.approx([1.05 * limit for limit in expected])


def test_smoothed_evidence_is_the_running_median(waveform, tiers):
    spike = {"sls": np.where(np.arange(N_FRAMES) == 50, 1.0, 0.0)}
    raw, smooth = (explored(waveform, spike, SSL_CLOCK, tiers, smooth=one).axes[1] for one in (False, True))
    assert raw.get_ylim()[1] == pytest.approx(1.05)
    assert smooth.collections[0].get_paths()[0].vertices[:, 1].max() == 0
