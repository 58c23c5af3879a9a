"""Gradients at single points, on logits whose gradients are known."""

import numpy as np
import torch

from sslig.attribution.context import Context
from sslig.attribution.gradients import grad_cam, gradient_x_input
from sslig.attribution.target import Heard, of_head
from sslig.frames import SSL_CLOCK


class Weighted(torch.nn.Module):
    """F = w . x over samples."""

    clock = SSL_CLOCK

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, waveforms):
        return (self.weights * waveforms).sum(dim=1)


def test_samples_count_for_the_frame_with_the_nearest_centre():
    """F = w . x over samples: w x is summed over the samples of a frame, and the ends take what lies beyond."""
    generator = torch.Generator().manual_seed(0)
    waveform, weights = torch.randn(2, 1, SSL_CLOCK.n_samples(5), generator=generator)
    heard = Heard(Weighted(weights), waveform.shape[1])
    assert torch.equal(heard.waveforms(heard.cells(waveform)), waveform)
    result = gradient_x_input(of_head(heard, heard.cells(waveform), None, freeze=False), Context({}))
    product = (weights * waveform)[0].double().numpy()
    expected = [part.sum() for part in np.split(product, [360, 680, 1000, 1320])]
    np.testing.assert_allclose(result.by_frame, expected, rtol=1e-5)
    sizes = [np.sqrt((part**2).sum()) for part in np.split(product, [360, 680, 1000, 1320])]
    np.testing.assert_allclose(result.frames("l2"), sizes, rtol=1e-5)
    np.testing.assert_allclose(result.frames("absolute").sum(), np.abs(product).sum(), rtol=1e-5)


def test_grad_cam_weights_features_by_their_mean_gradient():
    """F = 2 x_1 - x_2 in all frames: the map is (2 x_1 - x_2)+."""
    x = torch.tensor([[[[1.0, 1.0], [3.0, 0.5], [0.0, 4.0]]]])
    target = of_head(lambda x: (2 * x[..., 0] - x[..., 1]).sum(dim=(1, 2)), x, None, freeze=False)
    result = grad_cam(target, Context({}))
    assert result.by_frame.tolist() == [1.0, 5.5, 0.0]
