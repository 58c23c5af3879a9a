import pytest
import torch

from sslig.models.camhfa import CAMHFA

N_LAYERS, N_FRAMES, FEATURE_SIZE = 3, 12, 16


@pytest.fixture
def features():
    return torch.randn(2, N_LAYERS, N_FRAMES, FEATURE_SIZE, generator=torch.Generator().manual_seed(2))


def head(context, **values):
    """A small head with random weights, the layer weights and the attention large enough to matter."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = CAMHFA(N_LAYERS, FEATURE_SIZE, **{"compression": 8, "n_heads": 4, "context": context} | values).eval()
        made.weights_k.copy_(torch.tensor([1.0, -2.0, 0.5]))
        made.weights_v.copy_(torch.tensor([-1.0, 0.0, 2.0]))
        made.att_head.weight.mul_(10)
        return made


def test_the_released_values_are_the_default():
    config = {"n_layers": 13, "feature_size": 768, "compression": 128, "n_heads": 64, "context": 1}
    assert CAMHFA.config_of(CAMHFA(13, 768).state_dict()) == config


def test_one_frame_of_context_sees_no_order_and_five_do(features):
    shuffled = features[:, :, torch.randperm(N_FRAMES, generator=torch.Generator().manual_seed(3))]
    torch.testing.assert_close(head(context=1)(shuffled), head(context=1)(features), atol=1e-6, rtol=1e-5)
    assert (head(context=5)(shuffled) - head(context=5)(features)).abs().min() > 1e-3


def test_a_head_of_five_frames_sees_two_neighbours_on_each_side(features):
    """Ratios of attention weights, because the softmax spreads a change over all frames."""
    five = head(context=5)
    louder = features.clone()
    louder[:, :, 6] *= 3
    before, after = five.attention(features).log(), five.attention(louder).log()
    change = (after - before) - (after - before)[..., :1]  # frame 0 is far from frame 6
    seen = change.abs().amax(dim=(0, 1)) > 1e-4
    assert seen.nonzero().flatten().tolist() == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("context", [1, 3, 5])
def test_attention_is_a_share_of_frames(features, context):
    attention = head(context).attention(features)
    assert attention.shape == (2, 4, N_FRAMES)
    assert attention.min() >= 0
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 4))


def test_equal_frames_are_pooled_to_themselves():
    """With any attention, pooling equal frames gives the compressed values of one of them."""
    narrow = head(context=1)
    frame = torch.randn(1, N_LAYERS, 1, FEATURE_SIZE, generator=torch.Generator().manual_seed(4))
    values = narrow.project(frame)[:, 1, 0]  # (batch, C)
    expected = narrow.pooling_fc(values.repeat(1, 4)).squeeze(-1)
    torch.testing.assert_close(narrow(frame.expand(-1, -1, N_FRAMES, -1)), expected, atol=1e-5, rtol=1e-5)


def test_layers_are_mixed_by_the_softmax_of_their_weights():
    mixing = CAMHFA(2, 1, compression=1, n_heads=1).eval()
    with torch.no_grad():
        for layer in (mixing.cmp_linear_k, mixing.cmp_linear_v):
            layer.weight.fill_(1), layer.bias.zero_()
        mixing.weights_k.copy_(torch.log(torch.tensor([1.0, 3.0])))
    keys, values = mixing.project(torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1)).flatten().tolist()
    assert keys == pytest.approx(0.25 * 10 + 0.75 * 20)
    assert values == pytest.approx(0.5 * 10 + 0.5 * 20)


@pytest.mark.parametrize("context", [0, 2, 4, -1])
def test_an_even_context_is_refused(context):
    with pytest.raises(ValueError, match=f"context is {context} frames; accepted: odd numbers"):
        CAMHFA(N_LAYERS, FEATURE_SIZE, context=context)
