"""Straight lines through feature space, as a head reads them: what moves along, and the way back to the features."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


class Line(Protocol):
    """Features b + alpha (x - b) for alpha from 0 to 1, on several lines at once, in the numbers that a head reads.

    A head whose ``line(start, end, nodes)`` gives one lets paths run in few numbers a frame: no point of the path is
    built in feature space. What a head reads of a point is a *view*, its gradient that of the logit with respect to it.
    """

    def logit(self, views: Tensor) -> Tensor:
        """(row,) Spoof logits of (row, ...) views, rows in blocks of all lines."""

    def views(self, points: Tensor) -> Tensor:
        """(point, line, ...) What the head reads at (point,) values of alpha."""

    def by_frame(self, points: Tensor, gradients: Tensor) -> Tensor:
        """(point, line, frame) What Integrated Gradients over layers and features integrate, by (point, line, ...)."""

    def by_feature(self, points: Tensor, weights: Tensor, gradients: Tensor) -> Tensor:
        """(line, layer, frame, feature) Integrated Gradients of single features, by a quadrature."""


class AffineLine:
    """A line of a head that reads each frame through one affine map, `project`; by default the features themselves.

    With W the linear part of the map and g the mean gradient of the logit behind it, the attribution is
    (x - b) W' g, so the gradient goes back through the map once, whatever the number of points.

    Parameters
    ----------
    start, end
        (line, layer, frame, feature) b and x.
    project
        To (line, part, frame, size).
    """

    def __init__(
        self,
        logit: Callable[[Tensor], Tensor],
        start: Tensor,
        end: Tensor,
        project: Callable[[Tensor], Tensor] = lambda features: features,
    ) -> None:
        self.logit, self.start, self.end, self.project = logit, start, end, project

    @cached_property
    def start_view(self) -> Tensor:
        """(line, part, frame or 1, size) What the head reads at the start."""
        with torch.no_grad():
            return self.project(once(self.start))

    @cached_property
    def way(self) -> Tensor:
        """(line, part, frame, size) The change of the view from the start to the end."""
        with torch.no_grad():
            return self.project(self.end) - self.start_view

    def views(self, points: Tensor) -> Tensor:
        """(point, line, part, frame, size) Views at (point,) values of alpha."""
        return self.start_view + points.view(-1, 1, 1, 1, 1) * self.way

    def by_frame(self, points: Tensor, gradients: Tensor) -> Tensor:
        """(point, line, frame) What is integrated: the product with the way, since the map keeps frames apart."""
        return (gradients * self.way).sum(dim=(2, 4))

    def by_feature(self, points: Tensor, weights: Tensor, gradients: Tensor) -> Tensor:
        """(line, layer, frame, feature) Integrated Gradients of single features."""
        _, back = torch.func.vjp(self.project, self.end)
        return times_way(back(torch.tensordot(weights, gradients, dims=1))[0], self.start, self.end)


@torch.no_grad()
def times_way(gradients: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(line, layer, frame, feature) Gradients, changed in place to their product with the way, layer by layer."""
    gradients = gradients.detach()
    for gradient, origin, here in zip(gradients.unbind(1), start.unbind(1), end.unbind(1), strict=True):
        gradient.mul_(here - origin)
    return gradients


def once(features: Tensor) -> Tensor:
    """(line, layer, 1, feature) One frame of features that repeat it; other features as they are."""
    return features[:, :, :1] if features.stride(2) == 0 else features
