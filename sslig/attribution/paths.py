"""Integrated Gradients along straight paths: a nested quadrature that stops by the map and by its sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslig.attribution.explanation import COMPLETE, JUMP, NOT_CONVERGED, Explanation, allowance, of_features, smoothed
from sslig.attribution.target import Target, same_rows
from sslig.models.lines import AffineLine, Line, once
from sslig.study import Attribution as Options

MOST_VALUES = 2**28
"""Numbers that the kept gradients may fill, 1 GiB: a path gets no more points than that."""


def integrate(target: Target, options: Options) -> Explanation:
    """Integrated Gradients along straight paths to `target.x`, averaged over the starts of the paths."""
    return integrate_all([target], options)[0]


def integrate_all(targets: Sequence[Target], options: Options) -> list[Explanation]:
    """Integrated Gradients of targets that share their head and the shapes of their inputs, in their order.

    A path of n steps has n - 1 points between its ends (`quadrature`). The steps are doubled, with all gradients kept,
    from `options.min_steps` up to `options.max_steps`, until the residual is within `options.tolerance` and the last
    doubling changed no frame by more than `options.map_tolerance` of the peak of the map. A head with a line
    (`sslig.models.lines.Line`) is followed in the numbers that it reads of the features. Targets share passes through
    the head, and none decides on the points of another.

    References
    ----------
    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1 and proposition 1.
    """
    results: dict[int, Explanation] = {}
    at_once = max(1, targets[0].rows_at_once // len(targets[0].starts)) if targets else 1
    for first in range(0, len(targets), at_once):
        part = range(first, min(first + at_once, len(targets)))
        results |= zip(part, _integrated([targets[index] for index in part], options), strict=True)
    return list(results.values())


def _integrated(targets: Sequence[Target], options: Options) -> list[Explanation]:
    results: dict[int, Explanation] = {}
    paths = Paths.between(targets)
    scores = dict(zip(map(id, targets), paths.scores(), strict=True))
    n_steps = max(2, 2 ** (min(options.min_steps, options.max_steps).bit_length() - 1))
    while paths.targets:
        paths = paths.refined(n_steps)
        last = 2 * n_steps > options.max_steps or not paths.may_grow
        certificates = paths.certificates([scores[id(target)] for target in paths.targets], options)
        ended = [last or certificate["status"] == COMPLETE for certificate in certificates]
        complete = paths.only(ended)
        for target, by_feature, k in zip(complete.targets, complete.by_feature(), np.flatnonzero(ended), strict=True):
            explanation = of_features(target, by_feature, **certificates[k] | scores[id(target)])
            residual = float(explanation.by_layer.sum() - explanation.difference)
            results[id(target)] = replace(explanation, residual=residual)
        paths, n_steps = paths.only([not end for end in ended]), 2 * n_steps
    return [results[id(target)] for target in targets]


def _difference(scores: Mapping[str, Any]) -> float:
    return scores["spoof_score"] - scores["baseline_score"]


@dataclass(frozen=True)
class Paths:
    """The paths to some targets, and the gradients at their points.

    Attributes
    ----------
    line
        All paths, those of one target, one a start, beside each other.
    gradients
        (point, line, ...) Gradients of the views of `line` at the points of ``quadrature(n_steps)``.
    by_frame
        (point, line, frame) What is integrated over these points, by frame.
    """

    targets: Sequence[Target]
    line: Line
    n_steps: int
    gradients: Tensor
    by_frame: Tensor

    @classmethod
    def between(cls, targets: Sequence[Target]) -> "Paths":
        """The paths to targets, without points."""
        line, none = _line(targets), targets[0].x.new_empty(0)
        views = line.views(none)
        return cls(targets, line, 1, views, line.by_frame(none, views))

    @property
    def n_starts(self) -> int:
        """Paths to each target."""
        return len(self.targets[0].starts)

    @property
    def may_grow(self) -> bool:
        """Whether twice as many gradients can be kept."""
        return 2 * self.gradients.numel() <= MOST_VALUES

    def refined(self, n_steps: int) -> "Paths":
        """The same with as many steps, a power of 2."""
        points, _ = quadrature(n_steps, like=self.targets[0].x)
        new = torch.ones(n_steps - 1, dtype=torch.bool)
        new[n_steps // self.n_steps - 1 :: n_steps // self.n_steps] = False
        gradients = self._gradients_at(points[new])
        with torch.no_grad():
            by_frame = self.line.by_frame(points[new], gradients)
        if self.n_steps > 1:
            gradients, by_frame = _merged(gradients, self.gradients, new), _merged(by_frame, self.by_frame, new)
        return Paths(self.targets, self.line, n_steps, gradients, by_frame)

    def only(self, chosen: Sequence[bool]) -> "Paths":
        """The paths to some of the targets."""
        if all(chosen):
            return self
        targets = [target for target, is_chosen in zip(self.targets, chosen, strict=True) if is_chosen]
        lines = torch.tensor(chosen).repeat_interleave(self.n_starts)
        line = _line(targets) if targets else self.line
        return Paths(targets, line, self.n_steps, self.gradients[:, lines], self.by_frame[:, lines])

    def scores(self) -> list[dict[str, float]]:
        """F(x) and the mean of F(b) of each target, also with the free selection; no other pass is needed for them."""
        start, end = self._logits(self.line)
        free = start if self.targets[0].nodes is None else self._logits(_line(self.targets, freely=True))[0]
        means = {"spoof_score": end, "baseline_score": start, "free_baseline_score": free}
        columns = {name: self._by_target(values) for name, values in means.items()}
        return [{name: values[k].item() for name, values in columns.items()} for k in range(len(self.targets))]

    @torch.no_grad()
    def _logits(self, line: Line) -> Tensor:
        """(2, line) F at both ends of each path."""
        rows, logit = self._rows_at_once, same_rows(line.logit)
        views = line.views(self.targets[0].x.new_tensor([0.0, 1.0]))  # (end, line, ...)
        return torch.cat([logit(part) for part in views.flatten(0, 1).split(rows)]).view(views.shape[:2]).double()

    @property
    def _rows_at_once(self) -> int:
        """Rows in one pass: one selection of nodes for all paths allows any number, else whole points are needed."""
        rows, n_lines = self.targets[0].rows_at_once, len(self.targets) * self.n_starts
        return rows if len(self.targets) == 1 else n_lines * max(1, rows // n_lines)

    def _gradients_at(self, points: Tensor) -> Tensor:
        """(point, line, ...) Gradients of the logit with respect to the views at some points."""
        rows, parts = self._rows_at_once, []
        for few in points.split(max(1, rows // (len(self.targets) * self.n_starts))):
            with torch.no_grad():
                views = self.line.views(few)  # (point, line, ...)
            parts.append(torch.cat([self._gradient(part) for part in views.flatten(0, 1).split(rows)]).view_as(views))
        return torch.cat(parts)

    def _gradient(self, views: Tensor) -> Tensor:
        views = views.detach().requires_grad_()
        return torch.autograd.grad(same_rows(self.line.logit)(views).sum(), views)[0]

    def certificates(self, scores: Sequence[Mapping[str, float]], options: Options) -> list[dict[str, Any]]:
        """How far the attribution to each target adds up, and what changes by the half of the points that is new."""
        width = self.targets[0].smooth_frames
        fine, coarse = ([_smoothed(frames, width) for frames in self._maps(every=every)] for every in (1, 2))
        maps = zip(map(_difference, scores), fine, coarse, strict=True)
        return [self._certificate(*each, options) for each in maps]

    def _certificate(self, difference: float, fine: Tensor, coarse: Tensor, options: Options) -> dict[str, Any]:
        peak = fine.abs().max().item()
        residual, change = fine.sum().item() - difference, (fine - coarse).sum().abs().item()
        map_error = (fine - coarse).abs().max().item() / peak if peak > 0 else 0.0
        allowed = allowance(difference, options.tolerance)
        if abs(residual) > allowed:
            status = JUMP if change <= allowed else NOT_CONVERGED
        else:
            status = COMPLETE if map_error <= options.map_tolerance else NOT_CONVERGED
        certificate = {"steps": self.n_steps, "residual": residual, "uncertainty": change}
        return certificate | {"map_error": map_error, "status": status}

    def _maps(self, every: int) -> list[Tensor]:
        """(frame,) The attribution to each target, by each `every`-th point of all."""
        _, weights = quadrature(self.n_steps // every, like=self.by_frame)
        return self._by_target(torch.tensordot(weights, self.by_frame[every - 1 :: every], dims=1).double())

    @torch.no_grad()
    def by_feature(self) -> list[Tensor]:
        """(layer, frame, feature) The attribution to each target."""
        if not self.targets:
            return []
        rule = quadrature(self.n_steps, like=self.targets[0].x)
        return self._by_target(self.line.by_feature(*rule, self.gradients))

    def _by_target(self, by_line: Tensor) -> list[Tensor]:
        """The (line, ...) values of each target, averaged over its starts."""
        by_starts = by_line.split(self.n_starts)
        return [target.mean(by_start) for target, by_start in zip(self.targets, by_starts, strict=True)]


def _merged(new: Tensor, kept: Tensor, is_new: Tensor) -> Tensor:
    """(point, ...) New values among those that there are."""
    merged = new.new_empty(len(is_new), *new.shape[1:])
    merged[is_new], merged[~is_new] = new, kept
    return merged


def _smoothed(frames: Tensor, n_frames: int) -> Tensor:
    """(frame,) A map as it will be shown, whose sum is the same."""
    return torch.from_numpy(smoothed(frames.cpu().numpy(), n_frames)) if n_frames > 1 else frames


def quadrature(n_steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(point,) Points between 0 and 1 and their weights, those of fewer steps among them: 1/2 by two steps.

    It is Fejér's second rule, which has the points of Clenshaw and Curtis without the ends: where a start is the same
    in all frames, a maximum over frames has no gradient there.

    References
    ----------
    Waldvogel, "Fast Construction of the Fejér and Clenshaw-Curtis Quadrature Rules", BIT Numerical Mathematics 46,
    2006, equation 2.4.
    """
    angles, orders = np.pi * np.arange(1, n_steps) / n_steps, np.arange(1, n_steps // 2 + 1) * 2 - 1
    weights = 2 * np.sin(angles) / n_steps * (np.sin(np.outer(angles, orders)) / orders).sum(axis=1)
    return like.new_tensor((1 - np.cos(angles)) / 2), like.new_tensor(weights)


def _line(targets: Sequence[Target], freely: bool = False) -> Line:
    """The paths to all targets: the line of their head, or where it has none, one of what they explain itself."""
    head, nodes = targets[0].head, None if freely else _nodes(targets)
    starts = _joined([target.starts for target in targets])
    ends = _joined([target.x.expand_as(target.starts) for target in targets])
    if hasattr(head, "line"):
        return head.line(starts, ends, nodes)
    if head is None:
        return AffineLine(targets[0].logit, starts, ends)
    return AffineLine(head if nodes is None else lambda x: head(x, nodes), starts, ends)


def _nodes(targets: Sequence[Target]) -> dict[str, Tensor] | None:
    """The frozen selections of all paths; one target has one selection for all."""
    first = targets[0].nodes
    if len(targets) == 1 or first is None:
        return first
    of_starts = [
        {name: each.expand(len(target.starts), -1) for name, each in target.nodes.items()} for target in targets
    ]
    return {name: torch.cat([nodes[name] for nodes in of_starts]) for name in first}


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The parts one after the other; frames that repeat one frame are not copied."""
    if len(parts) == 1:
        return parts[0]
    if all(part.ndim == 4 and part.stride(2) == 0 for part in parts):
        return torch.cat([once(part) for part in parts]).expand(-1, -1, parts[0].shape[2], -1)
    return torch.cat(list(parts))
