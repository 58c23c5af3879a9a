"""CA-MHFA: context-aware multi-head factorized attentive pooling over layers and frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sslig.errors import DetectorError
from sslig.models.lines import AffineLine


class CAMHFA(nn.Module):
    """Attentive pooling over frames, with keys and values that are mixed from all layers separately.

    Parameters
    ----------
    compression
        Size C of the compressed keys and values.
    context
        Odd number of frames that an attention head sees: 1 in the published release, 5 in the paper.

    References
    ----------
    Peng et al., "CA-MHFA: A Context-Aware Multi-Head Factorized Attentive Pooling for SSL-Based Speaker
    Verification", ICASSP 2025.
    """

    MIN_FRAMES = 1

    def __init__(
        self, n_layers: int, feature_size: int, compression: int = 128, n_heads: int = 64, context: int = 1
    ) -> None:
        super().__init__()
        if context < 1 or context % 2 == 0:
            raise DetectorError(f"context is {context} frames; accepted: odd numbers, which do not shift the frames")
        self.weights_k = nn.Parameter(torch.ones(n_layers))
        self.weights_v = nn.Parameter(torch.ones(n_layers))
        self.cmp_linear_k = nn.Linear(feature_size, compression)
        self.cmp_linear_v = nn.Linear(feature_size, compression)
        self.att_head = nn.Conv2d(1, n_heads, (context, compression), padding=(context // 2, 0), bias=False)
        self.pooling_fc = nn.Linear(n_heads * compression, 1)

    @staticmethod
    def config_of(state: dict[str, Tensor]) -> dict[str, int]:
        """The arguments of the constructor for a state dict of this head."""
        n_heads, _, context, compression = state["att_head.weight"].shape
        return {
            "n_layers": len(state["weights_k"]),
            "feature_size": state["cmp_linear_k.weight"].shape[1],
            "compression": compression,
            "n_heads": n_heads,
            "context": context,
        }

    def forward(self, features: Tensor) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features."""
        return self.decide(self.project(features))

    def project(self, features: Tensor) -> Tensor:
        """(batch, 2, frame, C) Keys and values, each frame through one affine map: the input of `decide`."""
        mixing = torch.stack([self.weights_k, self.weights_v]).softmax(dim=1)  # (2, layer)
        mixed = (mixing @ features.flatten(2)).unflatten(2, features.shape[2:])  # (batch, 2, frame, feature)
        return torch.stack([self.cmp_linear_k(mixed[:, 0]), self.cmp_linear_v(mixed[:, 1])], dim=1)

    def line(self, start: Tensor, end: Tensor, nodes: None = None) -> AffineLine:
        """The way of keys and values from features to features (`sslig.models.lines.Line`)."""
        return AffineLine(self.decide, start, end, self.project)

    def decide(self, projected: Tensor) -> Tensor:
        """(batch,) Spoof logits of the output of `project`."""
        keys, values = projected.unbind(dim=1)
        pooled = self._weights(keys) @ values  # (batch, head, C)
        return self.pooling_fc(pooled.flatten(1)).squeeze(-1)

    def attention(self, features: Tensor) -> Tensor:
        """(batch, head, frame) Attention weights for (batch, layer, frame, feature) features; frames sum to 1."""
        return self._weights(self.project(features)[:, 0])

    def _weights(self, keys: Tensor) -> Tensor:
        # A convolution over all of C is one over frames with C channels, which is faster.
        kernel = self.att_head.weight.squeeze(1).transpose(1, 2)  # (head, C, context)
        scores = functional.conv1d(keys.transpose(1, 2), kernel, padding=kernel.shape[2] // 2)
        return scores.softmax(dim=-1)  # (batch, head, frame)
