"""Lines through feature space: what a head reads of a point, and the way back to features."""

import pytest
import torch

from sslig.models.lines import AffineLine, once, times_way


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
@pytest.mark.parametrize("constant", [True, False])
@torch.no_grad()
def test_views_of_a_line_are_what_the_head_reads_of_its_points(tiny_detector, name, constant):
    """Two lines, three points: the logits are those of the features there."""
    head, end = tiny_detector(name).head, 3 * normal(2, 3, 40, 16, seed=1)
    start = normal(2, 3, 1, 16, seed=2).expand_as(end) if constant else normal(*end.shape, seed=2)
    points = torch.tensor([0.0, 0.3, 1.0])
    views = head.line(start, end).views(points)
    logits = head.line(start, end).logit(views.flatten(0, 1)).view(3, 2)
    for alpha, row in zip(points, logits, strict=True):
        torch.testing.assert_close(row, head(start + alpha * (end - start)), atol=1e-5, rtol=1e-4)


def test_the_gradient_goes_back_through_the_map_once():
    """F = sum of (W x) ** 2 at two points of a line from 0 to x: a = x * W' W x, as the mean point is 1/2."""
    weights, end = normal(2, 3, seed=1), normal(1, 1, 4, 3, seed=2)
    line = AffineLine(lambda view: (view**2).sum(dim=(1, 2, 3)), torch.zeros_like(end), end, lambda x: x @ weights.T)
    points, shares = torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.5])
    gradients = 2 * line.views(points)
    expected = end * (end @ weights.T @ weights)
    torch.testing.assert_close(line.by_feature(points, shares, gradients), expected)
    rates = line.by_frame(points, gradients)  # (point, line, frame)
    torch.testing.assert_close(torch.tensordot(shares, rates, dims=1)[0], expected.sum(dim=3)[0, 0])


def test_frames_that_repeat_one_are_read_once():
    frame = normal(1, 2, 1, 3, seed=1)
    assert once(frame.expand(-1, -1, 5, -1)).shape == (1, 2, 1, 3)
    assert once(frame.repeat(1, 1, 5, 1)).shape == (1, 2, 5, 3)


def test_the_way_is_multiplied_in_place():
    gradients, start, end = (normal(1, 2, 3, 4, seed=seed) for seed in range(3))
    expected = gradients * (end - start)
    assert times_way(gradients, start, end).data_ptr() == gradients.data_ptr()
    torch.testing.assert_close(gradients, expected)
