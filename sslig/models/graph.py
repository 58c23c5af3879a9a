"""Graph layers of AASIST: attention within one kind of nodes, across two kinds with a master node, and pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sslig.errors import DetectorError

NODE_DROPOUT = 0.2
POOL_DROPOUT = 0.3


def attention_weight(size: int) -> nn.Parameter:
    """(size, 1) The learned projection to one attention score."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(size, 1)))


def normalise_nodes(bn: nn.BatchNorm1d, nodes: Tensor) -> Tensor:
    """(batch, node, feature) The nodes, batch-normalised over all nodes of the batch."""
    return bn(nodes.flatten(0, 1)).view_as(nodes)


class GraphAttention(nn.Module):
    """Attention among all nodes of one graph (Jung et al., ICASSP 2022, section 2)."""

    def __init__(self, in_size: int, out_size: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.att_proj = nn.Linear(in_size, out_size)
        self.att_weight = attention_weight(out_size)
        self.proj_with_att = nn.Linear(in_size, out_size)
        self.proj_without_att = nn.Linear(in_size, out_size)
        self.bn = nn.BatchNorm1d(out_size)
        self.input_drop = nn.Dropout(NODE_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        """(batch, node, in) -> (batch, node, out)."""
        x = self.input_drop(nodes)
        pairs = torch.tanh(self.att_proj(x.unsqueeze(2) * x.unsqueeze(1)))  # (batch, node, node, out)
        scores = (pairs @ self.att_weight).squeeze(-1) / self.temperature  # (batch, node, node)
        attended = scores.softmax(dim=-1) @ x  # (batch, node, in)
        out = self.proj_with_att(attended) + self.proj_without_att(x)
        return functional.selu(normalise_nodes(self.bn, out))


class HeterogeneousGraphAttention(nn.Module):
    """Attention among temporal and spectral nodes, with one weight for each kind of pair, and a master node."""

    def __init__(self, in_size: int, out_size: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
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
        scores = torch.cat(rows, dim=1).squeeze(-1) / self.temperature  # (batch, node, node)
        return scores.softmax(dim=-1)

    def _update_master(self, x: Tensor, master: Tensor) -> Tensor:
        pairs = torch.tanh(self.att_projM(x * master))  # (batch, node, out)
        scores = (pairs @ self.att_weightM).transpose(1, 2) / self.temperature  # (batch, 1, node)
        return self.proj_with_attM(scores.softmax(dim=-1) @ x) + self.proj_without_attM(master)  # (batch, 1, out)


class GraphPool(nn.Module):
    """Selection of the better half of the nodes, weighted by their scores; a recorded selection can be replayed."""

    def __init__(self, size: int, ratio: float = 0.5) -> None:
        super().__init__()
        self.ratio = ratio
        self.proj = nn.Linear(size, 1)
        self.drop = nn.Dropout(POOL_DROPOUT)

    def forward(self, nodes: Tensor, selection: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, node, feature) -> the selected nodes (batch, selected, feature) and their indices (batch, selected).

        A selection of (example, selected) indices is replayed: `batch` is then a multiple of its examples, and the
        selection is repeated as a block, because the points of a path are laid out in blocks of all examples.
        """
        scores = torch.sigmoid(self.proj(self.drop(nodes)))  # (batch, node, 1)
        if selection is None:
            n_selected = max(int(nodes.shape[1] * self.ratio), 1)
            selection = scores.squeeze(-1).topk(n_selected, dim=1).indices
        elif len(nodes) % len(selection):
            raise DetectorError(
                f"a selection for {len(selection)} examples cannot be replayed on a batch of {len(nodes)}"
            )
        else:
            selection = selection.repeat(len(nodes) // len(selection), 1)
        index = selection.unsqueeze(-1).expand(-1, -1, nodes.shape[-1])
        return (nodes * scores).gather(1, index), selection
