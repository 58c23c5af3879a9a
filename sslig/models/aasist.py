"""AASIST: graph attention over spectral and temporal nodes of the last SSL layer, with a selection to replay."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sslig.errors import DetectorError
from sslig.models.lines import AffineLine

CHANNELS = ((1, 32), (32, 32), (32, 64), (64, 64), (64, 64), (64, 64))
NODE_SIZE = 64
BRANCH_SIZE = 32
GRAPH_TEMPERATURE = 2.0
BRANCH_TEMPERATURE = 100.0
NODE_DROPOUT = 0.2
POOL_DROPOUT = 0.3

Selection = dict[str, Tensor]
"""The nodes that each graph pool selects, by the name of the pool: (batch, selected) indices."""


class ResidualBlock(nn.Module):
    """Two convolutions over (spectral row, frame) and a skip connection; the first block has no input norm."""

    def __init__(self, in_channels: int, out_channels: int, first: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, (2, 3), padding=(0, 1))
        if in_channels != out_channels:
            self.conv_downsample = nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1))
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, row, frame) -> (batch, out, row, frame)."""
        y = x if self.first else functional.selu(self.bn1(x))
        y = functional.selu(self.bn2(self.conv1(y)))  # one more row, which conv2 removes
        skip = self.conv_downsample(x) if hasattr(self, "conv_downsample") else x
        return self.conv2(y) + skip


def attention_weight(size: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(size, 1)))


def normalise_nodes(bn: nn.BatchNorm1d, nodes: Tensor) -> Tensor:
    """(batch, node, feature) The nodes, batch-normalised over all nodes of the batch."""
    return bn(nodes.flatten(0, 1)).view_as(nodes)


class GraphAttention(nn.Module):
    """Attention among all nodes of one graph (Jung et al., ICASSP 2022, section 2)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.att_proj = nn.Linear(size, size)
        self.att_weight = attention_weight(size)
        self.proj_with_att = nn.Linear(size, size)
        self.proj_without_att = nn.Linear(size, size)
        self.bn = nn.BatchNorm1d(size)
        self.input_drop = nn.Dropout(NODE_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        """(batch, node, size) -> (batch, node, size)."""
        x = self.input_drop(nodes)
        pairs = torch.tanh(self.att_proj(x.unsqueeze(2) * x.unsqueeze(1)))  # (batch, node, node, size)
        scores = (pairs @ self.att_weight).squeeze(-1) / GRAPH_TEMPERATURE  # (batch, node, node)
        attended = scores.softmax(dim=-1) @ x  # (batch, node, size)
        out = self.proj_with_att(attended) + self.proj_without_att(x)
        return functional.selu(normalise_nodes(self.bn, out))


class HeterogeneousGraphAttention(nn.Module):
    """Attention among temporal and spectral nodes, with one weight for each kind of pair, and a master node."""

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__()
        self.proj_type1 = nn.Linear(in_size, in_size)
        self.proj_type2 = nn.Linear(in_size, in_size)
        self.att_proj = nn.Linear(in_size, out_size)
        self.att_projM = nn.Linear(in_size, out_size)
        self.att_weight11 = attention_weight(out_size)
        self.att_weight22 = attention_weight(out_size)
        self.att_weight12 = attention_weight(out_size)
        self.att_weightM = attention_weight(out_size)
        self.proj_with_att = nn.Linear(in_size, out_size)
        self.proj_without_att = nn.Linear(in_size, out_size)
        self.proj_with_attM = nn.Linear(in_size, out_size)
        self.proj_without_attM = nn.Linear(in_size, out_size)
        self.bn = nn.BatchNorm1d(out_size)
        self.input_drop = nn.Dropout(NODE_DROPOUT)

    def forward(self, temporal: Tensor, spectral: Tensor, master: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, node, in) twice and the master (batch or 1, 1, in) -> the same three with ``out`` features."""
        n_temporal = temporal.shape[1]
        x = self.input_drop(torch.cat([self.proj_type1(temporal), self.proj_type2(spectral)], dim=1))
        master = self._update_master(x, master)
        attended = self._attention(x, n_temporal) @ x  # (batch, node, in)
        out = self.proj_with_att(attended) + self.proj_without_att(x)
        nodes = functional.selu(normalise_nodes(self.bn, out))
        return nodes[:, :n_temporal], nodes[:, n_temporal:], master

    def _attention(self, x: Tensor, n_temporal: int) -> Tensor:
        pairs = torch.tanh(self.att_proj(x.unsqueeze(2) * x.unsqueeze(1)))  # (batch, node, node, out)
        t, s = slice(None, n_temporal), slice(n_temporal, None)
        within_t, within_s = pairs[:, t, t] @ self.att_weight11, pairs[:, s, s] @ self.att_weight22
        t_to_s, s_to_t = pairs[:, t, s] @ self.att_weight12, pairs[:, s, t] @ self.att_weight12
        rows = [torch.cat([within_t, t_to_s], dim=2), torch.cat([s_to_t, within_s], dim=2)]
        scores = torch.cat(rows, dim=1).squeeze(-1) / BRANCH_TEMPERATURE  # (batch, node, node)
        return scores.softmax(dim=-1)

    def _update_master(self, x: Tensor, master: Tensor) -> Tensor:
        pairs = torch.tanh(self.att_projM(x * master))  # (batch, node, out)
        scores = (pairs @ self.att_weightM).transpose(1, 2) / BRANCH_TEMPERATURE  # (batch, 1, node)
        return self.proj_with_attM(scores.softmax(dim=-1) @ x) + self.proj_without_attM(master)  # (batch, 1, out)


class GraphPool(nn.Module):
    """Selection of the better half of the nodes, weighted by their scores; a recorded selection can be replayed."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(size, 1)
        self.drop = nn.Dropout(POOL_DROPOUT)

    def forward(self, nodes: Tensor, selection: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, node, feature) -> the selected nodes (batch, selected, feature) and their indices (batch, selected).

        A selection of (example, selected) indices is replayed: `batch` is then a multiple of its examples, and the
        selection is repeated as a block, because the points of a path are laid out in blocks of all examples.
        """
        scores = torch.sigmoid(self.proj(self.drop(nodes)))  # (batch, node, 1)
        if selection is None:
            selection = scores.squeeze(-1).topk(max(nodes.shape[1] // 2, 1), dim=1).indices
        elif len(nodes) % len(selection):
            raise DetectorError(f"a selection for {len(selection)} examples cannot be replayed on {len(nodes)} rows")
        else:
            selection = selection.repeat(len(nodes) // len(selection), 1)
        index = selection.unsqueeze(-1).expand(-1, -1, nodes.shape[-1])
        return (nodes * scores).gather(1, index), selection


class AASIST(nn.Module):
    """Graph attention over spectral and temporal nodes of the last layer; `n_bins` is the number of spectral rows.

    Graph pooling selects the better half of the nodes, so the logit jumps where a node enters or leaves the selection,
    and Integrated Gradients are not complete along such a path. `select` therefore records the selection for an input,
    and `forward` replays it: the logit is then continuous, and unchanged at that input.

    References
    ----------
    Jung et al., "AASIST: Audio Anti-Spoofing Using Integrated Spectro-Temporal Graph Attention Networks", ICASSP
    2022; on SSL features: Tak et al., "Automatic Speaker Verification Spoofing and Deepfake Detection Using wav2vec
    2.0 and Data Augmentation", Odyssey 2022.
    """

    MIN_FRAMES = 3  # one after max-pooling by 3

    def __init__(self, n_layers: int, feature_size: int, n_bins: int = 128) -> None:
        super().__init__()
        self.LL = nn.Linear(feature_size, n_bins)
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = nn.Sequential(
            *(nn.Sequential(ResidualBlock(*channels, first=i == 0)) for i, channels in enumerate(CHANNELS))
        )
        self.first_bn1 = nn.BatchNorm2d(NODE_SIZE)
        self.attention = nn.Sequential(
            nn.Conv2d(NODE_SIZE, 2 * NODE_SIZE, 1),
            nn.SELU(),
            nn.BatchNorm2d(2 * NODE_SIZE),
            nn.Conv2d(2 * NODE_SIZE, NODE_SIZE, 1),
        )
        self.pos_S = nn.Parameter(torch.randn(1, n_bins // 3, NODE_SIZE))
        self.GAT_layer_S = GraphAttention(NODE_SIZE)
        self.GAT_layer_T = GraphAttention(NODE_SIZE)
        self.pool_S, self.pool_T = GraphPool(NODE_SIZE), GraphPool(NODE_SIZE)
        for branch in (1, 2):
            self.add_module(f"HtrgGAT_layer_ST{branch}1", HeterogeneousGraphAttention(NODE_SIZE, BRANCH_SIZE))
            self.add_module(f"HtrgGAT_layer_ST{branch}2", HeterogeneousGraphAttention(BRANCH_SIZE, BRANCH_SIZE))
            self.register_parameter(f"master{branch}", nn.Parameter(torch.randn(1, 1, NODE_SIZE)))
            self.add_module(f"pool_hS{branch}", GraphPool(BRANCH_SIZE))
            self.add_module(f"pool_hT{branch}", GraphPool(BRANCH_SIZE))
        self.drop_way = nn.Dropout(0.2)
        self.drop = nn.Dropout(0.5)
        self.out_layer = nn.Linear(5 * BRANCH_SIZE, 1)

    @staticmethod
    def config_of(state: dict[str, Tensor]) -> dict[str, int]:
        """The arguments of the constructor for a state dict of this head, without `n_layers`."""
        n_bins, feature_size = state["LL.weight"].shape
        return {"feature_size": feature_size, "n_bins": n_bins}

    def forward(self, features: Tensor, selection: Selection | None = None) -> Tensor:
        """(batch,) Spoof logits of (batch, layer, frame, feature) features, with the nodes of `select` or free ones."""
        return self._run(self.project(features), dict(selection or {}))

    def project(self, features: Tensor) -> Tensor:
        """(batch, 1, frame, bin) The frames of the last layer, each through one affine map: the input of `decide`."""
        return self.LL(features[:, -1:])

    def decide(self, projected: Tensor) -> Tensor:
        """(batch,) Spoof logits of the output of `project`."""
        return self._run(projected, {})

    def line(self, start: Tensor, end: Tensor, nodes: Selection | None = None) -> AffineLine:
        """The way of the projected frames from features to features (`sslig.models.lines.Line`)."""
        return AffineLine(lambda projected: self._run(projected, dict(nodes or {})), start, end, self.project)

    @torch.no_grad()
    def select(self, features: Tensor) -> Selection:
        """The nodes that each graph pool selects for (batch, layer, frame, feature) features."""
        selection: Selection = {}
        self._run(self.project(features), selection)
        return selection

    def _run(self, projected: Tensor, selection: Selection) -> Tensor:
        """(batch,) Logits; pools that are not in `selection` select for themselves, and are entered there."""
        temporal, spectral = self._nodes(self._encode(projected))
        spectral = self._pool("pool_S", self.GAT_layer_S(spectral), selection)
        temporal = self._pool("pool_T", self.GAT_layer_T(temporal), selection)
        branches = [self._branch(branch, temporal, spectral, selection) for branch in (1, 2)]
        temporal, spectral, master = (torch.maximum(a, b) for a, b in zip(*branches, strict=True))
        readout = [temporal.abs().amax(1), temporal.mean(1), spectral.abs().amax(1), spectral.mean(1), master[:, 0]]
        return self.out_layer(self.drop(torch.cat(readout, dim=1))).squeeze(-1)

    def _encode(self, projected: Tensor) -> Tensor:
        image = projected.transpose(2, 3)  # (batch, 1, bin, frame)
        image = functional.selu(self.first_bn(functional.max_pool2d(image, 3)))  # (batch, 1, bin // 3, frame // 3)
        return functional.selu(self.first_bn1(self.encoder(image)))  # (batch, channel, row, frame // 3)

    def _nodes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.attention(x)
        spectral = (x * weights.softmax(dim=-1)).sum(dim=-1).transpose(1, 2) + self.pos_S  # (batch, row, channel)
        temporal = (x * weights.softmax(dim=-2)).sum(dim=-2).transpose(1, 2)  # (batch, frame // 3, channel)
        return temporal, spectral

    def _pool(self, name: str, nodes: Tensor, selection: Selection) -> Tensor:
        pooled, selection[name] = getattr(self, name)(nodes, selection.get(name))
        return pooled

    def _branch(self, branch: int, temporal: Tensor, spectral: Tensor, selection: Selection) -> tuple[Tensor, ...]:
        first, second = (getattr(self, f"HtrgGAT_layer_ST{branch}{layer}") for layer in (1, 2))
        temporal, spectral, master = first(temporal, spectral, getattr(self, f"master{branch}"))
        spectral = self._pool(f"pool_hS{branch}", spectral, selection)
        temporal = self._pool(f"pool_hT{branch}", temporal, selection)
        added = second(temporal, spectral, master)
        return tuple(self.drop_way(x + y) for x, y in zip((temporal, spectral, master), added, strict=True))
