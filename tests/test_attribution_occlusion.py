"""Occlusion of features and of samples, on logits whose falls are known."""

import numpy as np
import pytest
import torch

from sslig.attribution.context import Context
from sslig.attribution.occlusion import occlusion, waveform_occlusion, windows
from sslig.attribution.target import Heard, of_head
from sslig.data.fills import FILLS
from sslig.frames import SSL_CLOCK

N_FRAMES = 20


class Loud(torch.nn.Module):
    """(batch,) The sum of squares of each waveform."""

    clock = SSL_CLOCK

    def forward(self, waveforms):
        return waveforms.square().sum(dim=1)


@pytest.fixture
def waveform():
    """(1, samples) of 20 frames: faint noise, and a tone in frames 8 to 11."""
    samples = 1e-3 * torch.randn(1, SSL_CLOCK.n_samples(N_FRAMES), generator=torch.Generator().manual_seed(0))
    time_s = torch.arange(4 * 320) / 16_000
    samples[:, 8 * 320 + 40 : 12 * 320 + 40] += torch.sin(2 * torch.pi * 500 * time_s)
    return samples


def target_of(waveform):
    heard = Heard(Loud(), waveform.shape[1])
    return of_head(heard, heard.cells(waveform), None, freeze=False)


def test_windows_cover_all_frames_read_and_the_last_is_cut():
    target = of_head(lambda x: x.sum(dim=(1, 2, 3)), torch.zeros(1, 1, 7, 2), torch.zeros(1, 1, 7, 2), freeze=False)
    masks = windows(target, 60, 40).int().tolist()
    assert masks == [[1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
    assert windows(target, 80, 60).int().tolist() == [[1, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]]
    assert windows(target, 1000, 1000).all()


def test_a_window_of_features_falls_by_what_it_holds():
    """F sums all features: without two frames of three features each it falls by 6."""
    target = of_head(lambda x: x.sum(dim=(1, 2, 3)), torch.ones(1, 1, 6, 3), torch.zeros(1, 1, 6, 3), freeze=False)
    result = occlusion(target, Context({}), width_ms=40, stride_ms=20, baseline="zero")
    assert result.by_frame.tolist() == [6] * 6
    assert (result.steps, result.status) == (5, "not promised")


@pytest.mark.parametrize("fill", FILLS)
def test_a_recording_falls_where_its_sound_is(waveform, fill):
    result = waveform_occlusion(target_of(waveform), Context({}), fill=fill, width_ms=40, stride_ms=20)
    assert result.by_layer.shape == (1, N_FRAMES)
    assert set(np.argsort(result.by_frame)[-2:]) <= {8, 9, 10, 11}
    assert np.abs(result.by_frame[[0, 1, 2, 17, 18, 19]]).max() < 0.01 * result.by_frame.max()
    again = waveform_occlusion(target_of(waveform), Context({}), fill=fill, width_ms=40, stride_ms=20)
    assert again.by_frame.tolist() == result.by_frame.tolist()
