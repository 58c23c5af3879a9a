"""Attention step by step gives what the encoder gives, and relevance follows its rules."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sslig.attribution.context import Context
from sslig.attribution.relevance import Attention, Relevance, attention_lrp, gatr
from sslig.attribution.target import of_head
from sslig.errors import DetectorError
from sslig.models.backbone import Backbone

STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("block", [Attention, Relevance])
@pytest.mark.parametrize("stable", [{}, STABLE])
@pytest.mark.parametrize("family", ["wavlm", "wav2vec2", "hubert"])
def test_the_encoder_gives_the_same_within_the_block(tiny_backbone, family, stable, block):
    backbone = Backbone.from_config(tiny_backbone | stable | {"model_type": family}).eval()
    waveforms = 0.1 * normal(2, 4_000)
    with block() as attention:
        inside = backbone(waveforms)
    torch.testing.assert_close(inside, backbone(waveforms), rtol=1e-4, atol=1e-5)
    assert len(attention.maps) == 2
    for weights in attention.maps:
        rows = weights.reshape(2, 2, 12, 12).sum(dim=-1)  # (batch, head, frame)
        torch.testing.assert_close(rows, torch.ones_like(rows))


def relevance(function, x):
    """Gradient times input of a function within the block."""
    with Relevance():
        x = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return (gradient * x).detach()


def test_an_activation_passes_its_value_on():
    x = torch.tensor([-2.0, 0.0, 0.5, 3.0])
    torch.testing.assert_close(relevance(functional.gelu, x), functional.gelu(x))
    torch.testing.assert_close(relevance(functional.selu, x), functional.selu(x))


def test_a_product_halves_relevance_and_a_weight_takes_none():
    a, b = torch.tensor([2.0, -1.0]), torch.tensor([5.0, 3.0])
    torch.testing.assert_close(relevance(lambda x: x[0] * x[1], torch.stack([a, b])), torch.stack([a * b, a * b]) / 2)
    torch.testing.assert_close(relevance(lambda x: b * x, a), a * b)


def test_relevance_passes_a_normalisation_whole():
    """The scale is a constant: x - mean(x) is shared linearly, so that the sum stays."""
    x, weight = normal(3, 8), normal(8, seed=1)
    result = relevance(lambda x: functional.layer_norm(x, (8,), weight), x)
    assert result.sum().item() == pytest.approx(functional.layer_norm(x, (8,), weight).sum().item(), abs=1e-5)


def test_gates_take_nothing():
    x = normal(2, 4)
    torch.testing.assert_close(relevance(lambda x: torch.sigmoid(x[0]) * x[1], x)[0], torch.zeros(4))


def test_attention_keeps_half_of_the_relevance_for_the_values():
    """Softmax of equal keys is constant in the query: all the relevance that the values have is half of the output."""
    x = normal(1, 5, 4)
    equal = torch.zeros(1, 5, 4)
    result = relevance(lambda v: functional.scaled_dot_product_attention(equal, equal, v), x)
    torch.testing.assert_close(result, x)  # weights do not depend on the input, so nothing is halved
    both = relevance(lambda v: functional.scaled_dot_product_attention(v, equal, v), x)
    torch.testing.assert_close(both, x / 2)


class Attended(nn.Module):
    """Frames attend to the loudest one; the logit reads the last feature of the first frame."""

    def forward(self, x):
        key = 20 * x[:, 0]  # (batch, frame, feature)
        return functional.scaled_dot_product_attention(key.abs(), key, x[:, 0])[:, 0, -1]


@pytest.mark.parametrize("method", [gatr, attention_lrp])
def test_the_frame_that_is_attended_to_is_relevant(method):
    x = 0.05 * torch.ones(1, 1, 6, 3)
    x[0, 0, 4] = 1.0
    result = method(of_head(Attended(), x, None, freeze=False), Context({}))
    assert result.by_layer.shape == (1, 6)
    assert (result.by_frame[4] > result.by_frame[[1, 2, 3, 5]]).all()
    assert result.status == "not promised"


def test_without_attention_there_is_no_map():
    with pytest.raises(DetectorError, match="no attention of a transformer is found"):
        gatr(of_head(lambda x: x.sum(dim=(1, 2, 3)), torch.ones(1, 1, 4, 2), None, freeze=False), Context({}))
