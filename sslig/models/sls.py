"""SLS: sensitive layer selection, with one gate for each layer and a classifier over a fixed number of frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sslig.models.lines import once, times_way


class SLS(nn.Module):
    """A gated sum of layers, max-pooled and classified; frames beyond `n_frames` cannot influence the score.

    Parameters
    ----------
    n_layers
        Not needed, because all layers share the gate.
    n_frames
        Frames that the classifier reads: longer input is cut, shorter input is padded with zeros. The published
        201 frames are 4.02 s.

    References
    ----------
    Zhang et al., "Audio Deepfake Detection with Self-Supervised XLS-R and SLS Classifier", ACM MM 2024.
    """

    MIN_FRAMES = 1

    def __init__(self, n_layers: int, feature_size: int, n_frames: int = 201) -> None:
        super().__init__()
        self.n_frames = n_frames
        self.first_bn = nn.BatchNorm2d(1)
        self.fc0 = nn.Linear(feature_size, 1)
        self.fc1 = nn.Linear((n_frames // 3) * (feature_size // 3), feature_size)
        self.fc3 = nn.Linear(feature_size, 1)

    @staticmethod
    def config_of(state: dict[str, Tensor]) -> dict[str, int]:
        """The arguments of the constructor for a state dict of this head, without `n_layers`."""
        feature_size = state["fc0.weight"].shape[1]
        pooled_frames = state["fc1.weight"].shape[1] // (feature_size // 3)  # pooling by 3 hides up to two frames
        return {"feature_size": feature_size, "n_frames": 3 * pooled_frames}

    def forward(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features."""
        return self.decide(self.project(features))

    def project(self, features: Tensor) -> Tensor:
        """The features, unchanged: the gates depend on all frames of every layer, so no map of single frames fits."""
        return features

    def decide(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of the output of `project`."""
        x = features[:, :, : self.n_frames]
        gates = torch.sigmoid(self.gate_logits(x))  # (batch, layer)
        return self.classify((gates.unsqueeze(1) @ x.flatten(2)).view(len(x), *x.shape[2:]))

    def gate_logits(self, features: Tensor) -> Tensor:
        """(batch, layer) Logits of the gates of (batch, layer, frame, feature), which padding would not change."""
        return self.fc0(features.sum(dim=2) / self.n_frames).squeeze(-1)

    def classify(self, mixed: Tensor) -> Tensor:
        """(batch,) Spoof logits of the gated sum of layers, (batch, frame, feature)."""
        mixed = functional.pad(mixed, (0, 0, 0, self.n_frames - mixed.shape[1]))
        image = functional.selu(self.first_bn(mixed.unsqueeze(1)))  # (batch, 1, n_frames, feature)
        pooled = functional.max_pool2d(image, 3).flatten(1)  # (batch, n_frames // 3 * feature // 3)
        return self.fc3(functional.selu(self.fc1(pooled))).squeeze(-1)

    def line(self, start: Tensor, end: Tensor, nodes: None = None) -> "GatedLine":
        """The way of the gated sum from features to features (`sslig.models.lines.Line`)."""
        return GatedLine(self, start, end)


class GatedLine:
    """A line of SLS: gate logits are affine in alpha, so the sum of layers takes two products for all points.

    With m = sum over l of gate_l x_l and g the gradient of the logit with respect to m, a feature of layer l counts by
    gate_l g, and by the gate: sigmoid'(l) <g, x_l> w / n_frames, w the weights of the gate.
    """

    def __init__(self, head: SLS, start: Tensor, end: Tensor) -> None:
        self.head, self.n_frames, self.logit = head, end.shape[2], head.classify
        start, end = start[:, :, : head.n_frames], end[:, :, : head.n_frames]
        with torch.no_grad():
            self.start_logits, self.end_logits = head.gate_logits(start), head.gate_logits(end)  # (line, layer)
        self.start, self.end = once(start), end

    def views(self, points: Tensor) -> Tensor:
        """(point, line, frame, feature) The gated sum of layers at (point,) values of alpha."""
        gates, alpha = self._gates(points), points.view(-1, 1, 1, 1)
        return torch.lerp(*torch.broadcast_tensors(mix(gates, self.start), mix(gates, self.end), alpha))

    def by_frame(self, points: Tensor, gradients: Tensor) -> Tensor:
        """(point, line, frame) What Integrated Gradients over layers and features integrate."""
        gates = self._gates(points)
        by_sum = ((mix(gates, self.end) - mix(gates, self.start)) * gradients).sum(dim=3)
        way = (self.end @ self._gate_weights - self.start @ self._gate_weights) / self.head.n_frames
        by_gate = mix(self._gate_gradients(points, gradients), way.unsqueeze(3)).squeeze(3)
        return self._padded(by_sum + by_gate, 2)

    def by_feature(self, points: Tensor, weights: Tensor, gradients: Tensor) -> Tensor:
        """(line, layer, frame, feature) Integrated Gradients of single features."""
        weighted = weights.view(-1, 1, 1) * self._gates(points)  # (point, line, layer)
        gradient = (weighted.permute(1, 2, 0) @ gradients.transpose(0, 1).flatten(2)).view_as(self.end)
        by_gate = torch.tensordot(weights, self._gate_gradients(points, gradients), dims=1)  # (line, layer)
        gradient += (by_gate[..., None] * self._gate_weights / self.head.n_frames).unsqueeze(2)
        return self._padded(times_way(gradient, self.start.expand_as(self.end), self.end), 2)

    @property
    def _gate_weights(self) -> Tensor:
        return self.head.fc0.weight.detach()[0]  # (feature,)

    def _gates(self, points: Tensor) -> Tensor:
        """(point, line, layer) Gates at (point,) values of alpha."""
        return torch.sigmoid(torch.lerp(self.start_logits, self.end_logits, points.view(-1, 1, 1)))

    def _gate_gradients(self, points: Tensor, gradients: Tensor) -> Tensor:
        """(point, line, layer) Gradients with respect to the logits of the gates."""
        gates, alpha, by_line = self._gates(points), points.view(-1, 1, 1), gradients.transpose(0, 1)
        at_end = by_line.flatten(2) @ self.end.flatten(2).mT  # (line, point, layer)
        few = by_line if self.start.shape[2] > 1 else by_line.sum(dim=2)
        at_start = few.flatten(2) @ self.start.flatten(2).mT
        along = torch.lerp(at_start.transpose(0, 1), at_end.transpose(0, 1), alpha)
        return gates * (1 - gates) * along

    def _padded(self, values: Tensor, dim: int) -> Tensor:
        """The values with zeros for the frames, along `dim`, that the head does not read."""
        shape = [*values.shape[:dim], self.n_frames - values.shape[dim], *values.shape[dim + 1 :]]
        return torch.cat([values, values.new_zeros(shape)], dim=dim) if shape[dim] else values


def mix(gates: Tensor, features: Tensor) -> Tensor:
    """(point, line, frame, feature) The sum of (line, layer, frame, feature) over layers, by (point, line, layer)."""
    mixed = gates.transpose(0, 1) @ features.flatten(2)  # (line, point, frame * feature)
    return mixed.unflatten(2, features.shape[2:]).transpose(0, 1)
