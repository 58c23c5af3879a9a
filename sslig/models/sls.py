"""SLS: sensitive layer selection, with one gate for each layer and a classifier over a fixed number of frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        missing = self.n_frames - features.shape[2]
        x = functional.pad(features, (0, 0, 0, missing))  # negative padding cuts: (batch, layer, n_frames, feature)
        gate = torch.sigmoid(self.fc0(x.mean(dim=2)))  # (batch, layer, 1)
        mixed = (gate.unsqueeze(-1) * x).sum(dim=1)  # (batch, n_frames, feature)
        image = functional.selu(self.first_bn(mixed.unsqueeze(1)))  # (batch, 1, n_frames, feature)
        pooled = functional.max_pool2d(image, 3).flatten(1)  # (batch, n_frames // 3 * feature // 3)
        return self.fc3(functional.selu(self.fc1(pooled))).squeeze(-1)
